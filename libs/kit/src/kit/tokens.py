"""Access tokens: who somebody is, as chat-api says it and every service believes it."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt

from contracts.ids import USER_ID_PATTERN, UUID_PATTERN

_USER_ID = re.compile(USER_ID_PATTERN)
_UUID = re.compile(UUID_PATTERN)
_ALGORITHM = "HS256"

LEEWAY_S = 5
"""How far two machines' clocks may differ before a fresh token is refused."""


class Role(StrEnum):
    """What a principal may do. `service` is a host application that acts for its users."""

    CUSTOMER = "customer"
    CONSULTANT = "consultant"
    DOCTOR = "doctor"
    ADMIN = "admin"
    SERVICE = "service"


class TokenError(Exception):
    """The token is missing, malformed, or not signed by us."""


class TokenExpired(TokenError):
    """The token was good once: get a new one."""


class KeyUnknown(TokenError):
    """The key that signed this token is being fetched: come again in a moment."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a verified token speaks for; `expires_at` in seconds since 1970."""

    user_id: str
    roles: frozenset[str]
    expires_at: float
    name: str | None = None
    session_id: str | None = None
    """The session that the token belongs to (claim `sid`), if it is a local account's."""
    issued_at: float = 0.0
    """When, in seconds since 1970; 0 if the token does not say."""
    issuer: str | None = None
    """Who signed the token, if that was neither we nor a host application with the shared secret: see kit.issuers."""

    @property
    def acts_for_others(self) -> bool:
        """Whether this principal may act on any user and conversation."""
        return Role.SERVICE in self.roles or Role.ADMIN in self.roles


def issue(
    secret: str,
    user_id: str,
    roles: tuple[str, ...],
    *,
    ttl_s: float,
    name: str | None = None,
    session_id: str | None = None,
    after: float = 0.0,
) -> str:
    """A signed HS256 token that is good for `ttl_s` seconds from now.

    Tokens may be revoked up to a moment: `iat` has milliseconds, and lies above `after` (seconds since 1970) even if
    the clock of whoever revoked was ahead.
    """
    issued_at = max(int(time.time() * 1000), math.floor(after * 1000) + 1) / 1000
    claims: dict[str, object] = {
        "sub": user_id,
        "roles": list(roles),
        "iat": issued_at,
        "exp": int(time.time()) + int(ttl_s),
    }
    if name is not None:
        claims["name"] = name
    if session_id is not None:
        claims["sid"] = session_id
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def verify(secret: str, token: str) -> Principal:
    """The principal of a token; raises `TokenExpired` or `TokenError` (whose text never contains the token)."""
    try:
        claims = jwt.decode(
            token, secret, algorithms=[_ALGORITHM], leeway=LEEWAY_S, options={"require": ["sub", "exp"]}
        )
    except jwt.ExpiredSignatureError:
        raise TokenExpired("the token has expired") from None
    except jwt.InvalidTokenError as invalid:
        raise TokenError(f"the token is not valid: {type(invalid).__name__}") from None
    return principal_of(claims)


def principal_of(claims: dict[str, Any], *, issuer: str | None = None) -> Principal:
    """The principal of claims whose signature was verified; raises `TokenError` if they are not what they must be."""
    subject, roles, name = claims.get("sub"), claims.get("roles", []), claims.get("name")
    session_id, issued_at = claims.get("sid"), claims.get("iat")
    if not isinstance(subject, str) or not _USER_ID.match(subject):
        raise TokenError("the token's sub is not a user id")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TokenError("the token's roles are not a list of names")
    try:
        expires_at = float(claims["exp"])
        issued_at = float(issued_at) if isinstance(issued_at, (int, float)) else 0.0
    except OverflowError:
        raise TokenError("the token's exp or iat is not an instant") from None
    return Principal(
        user_id=subject,
        roles=frozenset(roles),
        expires_at=expires_at,
        name=name[:200] if isinstance(name, str) else None,
        session_id=session_id if isinstance(session_id, str) and _UUID.match(session_id) else None,
        issued_at=issued_at,
        issuer=issuer,
    )
