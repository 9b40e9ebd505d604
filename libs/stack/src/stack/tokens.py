"""Mints the bearer tokens that a local stack, its tests and the demo need."""

import time
from collections.abc import Sequence

import jwt


def mint(secret: str, user_id: str, *, roles: Sequence[str], name: str | None = None, ttl_s: float = 3600.0) -> str:
    """Return a JWT (HS256) with sub, iat, exp, roles and, if given, name; it is valid for `ttl_s` seconds."""
    now = time.time()
    claims: dict[str, object] = {"sub": user_id, "iat": int(now), "exp": int(now + ttl_s), "roles": list(roles)}
    if name is not None:
        claims["name"] = name
    return jwt.encode(claims, secret, algorithm="HS256")
