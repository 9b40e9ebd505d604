"""Who is believed, and who is not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from kit.tokens import LEEWAY_S, Role, TokenError, TokenExpired, issue, verify

END = 4_000_000_000
"""In the year 2096. What these tokens say is made when tests are collected, and that may be long before they run."""
SECRET = "a-secret-of-sixty-four-bytes,-long-enough-for-every-HMAC-of-JWTs"
OTHER = "another-secret-of-at-least-32-bytes!!!"


def signed(claims: dict[str, Any], secret: str = SECRET, **options: Any) -> str:
    """A token with exactly these claims."""
    return jwt.encode({"sub": "alice", "exp": END, "roles": ["customer"]} | claims, secret, **options)


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    """A token put together by hand."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}.{signature}"


def test_issued_tokens_are_verified() -> None:
    """What we issue says who it is, what he may do, and until when."""
    principal = verify(SECRET, issue(SECRET, "alice", ("doctor", "customer"), ttl_s=60, name="Alice 王"))
    assert principal.user_id == "alice"
    assert principal.roles == {Role.DOCTOR, Role.CUSTOMER}
    assert principal.name == "Alice 王"
    assert 50 < principal.expires_at - time.time() <= 60


@pytest.mark.parametrize(
    ("roles", "acts"),
    [(("customer",), False), (("doctor", "consultant"), False), (("service",), True), (("admin",), True)],
)
def test_only_services_and_admins_act_for_others(roles: tuple[str, ...], acts: bool) -> None:
    """Staff of the clinic is not the host application."""
    assert verify(SECRET, issue(SECRET, "alice", roles, ttl_s=60)).acts_for_others is acts


def test_expired_tokens_are_told_apart() -> None:
    """A client that hears "expired" gets a new token; one that hears "invalid" does not try."""
    with pytest.raises(TokenExpired):
        verify(SECRET, issue(SECRET, "alice", (), ttl_s=-LEEWAY_S - 2))


def test_clocks_may_differ_a_little() -> None:
    """A token that ended within the leeway is still good."""
    assert verify(SECRET, issue(SECRET, "alice", (), ttl_s=-LEEWAY_S + 3)).user_id == "alice"


CLAIMS = {"sub": "alice", "exp": END, "roles": ["admin"]}
BAD_TOKENS = {
    "another key": signed({}, OTHER),
    "another algorithm of the same key": signed({}, algorithm="HS512"),
    "alg none": unsigned({"alg": "none", "typ": "JWT"}, CLAIMS),
    "alg None": unsigned({"alg": "None", "typ": "JWT"}, CLAIMS),
    "RS256 by a confused client": unsigned({"alg": "RS256", "typ": "JWT"}, CLAIMS, "c2lnbmF0dXJl"),
    "no signature": signed({}).rpartition(".")[0] + ".",
    "changed claims": ".".join(
        (signed({}).split(".")[0], unsigned({}, CLAIMS).split(".")[1], signed({}).split(".")[2])
    ),
    "no sub": jwt.encode({"exp": END}, SECRET),
    "no exp": jwt.encode({"sub": "alice"}, SECRET),
    "sub with a wildcard": signed({"sub": "alice.>"}),
    "sub with a newline": signed({"sub": "alice\n"}),
    "empty sub": signed({"sub": ""}),
    "roles as one word": signed({"roles": "admin"}),
    "roles as numbers": signed({"roles": [1]}),
    "roles as an object": signed({"roles": {"admin": True}}),
    "roles as null": signed({"roles": None}),
    "not yet valid": signed({"nbf": int(time.time()) + 3600}),
    "exp as a word": signed({"exp": "never"}),
    "exp beyond every number": signed({"exp": float("inf")}),
    "exp too big for a float": signed({"exp": 10**400}),
    "nothing": "",
    "no token": "abc",
    "half a token": "abc.def",
    "dots": "..",
    "not ASCII": "é.é.é",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_bad_tokens_are_refused(name: str) -> None:
    """Each of them is a TokenError, whose text never contains the token or its claims."""
    token = BAD_TOKENS[name]
    with pytest.raises(TokenError) as caught:
        verify(SECRET, token)
    assert not isinstance(caught.value, TokenExpired)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for part in filter(None, (token, *token.split("."), "alice")):
        if len(part) > 4:
            assert part not in str(caught.value)


def test_symmetric_key_is_not_a_public_key() -> None:
    """A token signed with our secret taken for a public key is refused: only HS256 counts."""
    token = jwt.encode(CLAIMS, SECRET, algorithm="HS384")
    with pytest.raises(TokenError):
        verify(SECRET, token)


def test_names_are_display_only() -> None:
    """A name that is no text is left out, a long one cut: neither is a reason to refuse its bearer."""
    assert verify(SECRET, signed({"name": 7})).name is None
    assert verify(SECRET, signed({"name": "x" * 1000})).name == "x" * 200


def test_roles_may_be_missing() -> None:
    """A token without roles speaks for a user who may do nothing special."""
    claims = {"sub": "alice", "exp": int(time.time()) + 60}
    assert verify(SECRET, jwt.encode(claims, SECRET)).roles == frozenset()


def test_a_token_names_its_session_and_its_moment() -> None:
    """Both are what a revocation goes by; a token without them is older than every revocation."""
    session = "0198f3a0-1b2c-7000-8000-0000000000e1"
    found = verify(SECRET, issue(SECRET, "alice", (), ttl_s=60, session_id=session))
    assert found.session_id == session
    assert time.time() - 5 < found.issued_at <= time.time()
    bare = verify(SECRET, jwt.encode({"sub": "alice", "exp": time.time() + 60, "sid": 7}, SECRET))
    assert (bare.session_id, bare.issued_at) == (None, 0.0)
