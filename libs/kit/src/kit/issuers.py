"""Access tokens that somebody else signs: the public keys of other issuers, kept fresh in the background.

`verify` never waits: it works with the keys that are here. A key that is not here is asked for, and the token's owner
is told to come again in a moment. An issuer whose key set cannot be fetched goes on being believed with the keys that
it had, for a day; a key that it has taken back is gone with the next fetch.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from prometheus_client import Counter, Gauge

from kit.logs import Stage, logger
from kit.settings import IssuerSettings
from kit.tokens import LEEWAY_S, KeyUnknown, Principal, Role, TokenError, TokenExpired, principal_of, verify

log = logger()

KEYS_TTL_S = 600.0
"""Keys older than this are fetched anew, while the old ones go on working."""
KEYS_AGE_MAX_S = 86_400.0
"""So long an issuer is believed whose keys cannot be fetched."""
REFETCH_MIN_S = 10.0
"""Tokens with unknown keys, however many, cause no more than one request to the issuer in this time."""
RETRY_S = 2.0
"""After a fetch that failed."""
ASKED_TTL_S = 60.0
"""So long a key that the issuer does not have is refused without asking again."""
ASKED_MAX = 256
KID_LENGTH_MAX = 200
KEYS_MAX = 100
KEY_SET_BYTES_MAX = 1_048_576
FETCH_TIMEOUT_S = 5.0
RSA_BITS_MIN = 2048

_ALGORITHM_OF_KEY = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""One algorithm per kind of key, and only asymmetric ones: a token never chooses how its key is used."""
_PUBLIC_FIELDS = ("kty", "crv", "n", "e", "x", "y")

_READERS: dict[str, Callable[[str], object]] = {
    "RS256": RSAAlgorithm.from_jwk,
    "ES256": ECAlgorithm.from_jwk,
    "EdDSA": OKPAlgorithm.from_jwk,
}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class Metric(StrEnum):
    """Metric names as Prometheus shows them."""

    FETCHES = "natter_issuer_fetches_total"
    KEYS_AGE = "natter_issuer_keys_age_seconds"


fetches = Counter(Metric.FETCHES, "Fetches of other issuers' key sets, by outcome", ["outcome"])
keys_age = Gauge(Metric.KEYS_AGE, "Seconds since an issuer's keys were last fetched", ["issuer"])


@dataclass(frozen=True, slots=True)
class _Key:
    algorithm: str
    key: PublicKey


class _Issuer:
    """One issuer's keys, and when they are to be fetched; no I/O."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.changed = asyncio.Event()
        self._keys: dict[str | None, _Key] = {}
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._failed = False
        self._wanted = False
        self._asked: OrderedDict[str, float] = OrderedDict()

    def key(self, kid: str | None, algorithm: str, now: float) -> PublicKey:
        """The key of a token's head; raises `KeyUnknown` or `TokenError`."""
        if self._fetched_at is None or now - self._fetched_at > KEYS_AGE_MAX_S:
            self._want()
            raise KeyUnknown("the issuer's keys are not here yet")
        found = self._keys.get(kid)
        if kid is None:
            fitting = [key for key in self._keys.values() if key.algorithm == algorithm]
            found = fitting[0] if len(fitting) == 1 else None
            if found is None:
                raise TokenError("the token does not name its key")
        if found is None:
            assert kid is not None
            raise self._unknown(kid, now)
        if found.algorithm != algorithm:
            raise TokenError("the token's algorithm is not its key's")
        return found.key

    def _unknown(self, kid: str, now: float) -> TokenError:
        asked_at = self._asked.get(kid)
        if asked_at is None or now - asked_at > ASKED_TTL_S:
            self._asked[kid] = now
            self._asked.move_to_end(kid)
            if len(self._asked) > ASKED_MAX:
                self._asked.popitem(last=False)
        elif self._attempted_at is not None and not self._failed and self._attempted_at > asked_at:
            return TokenError("the token's key is not one of its issuer's")
        self._want()
        return KeyUnknown("the token's key is being fetched")

    def _want(self) -> None:
        if not self._wanted:
            self._wanted = True
            self.changed.set()

    def due_in(self, now: float) -> float:
        """Seconds until the next fetch; 0 for at once."""
        if self._attempted_at is None:
            return 0.0
        if self._failed:
            at = self._attempted_at + RETRY_S
        else:
            at = self._attempted_at + (REFETCH_MIN_S if self._wanted else KEYS_TTL_S)
        return max(0.0, at - now)

    def begun(self, now: float) -> None:
        """A fetch begins: what is asked for from here on may need another one."""
        self._attempted_at, self._failed, self._wanted = now, True, False

    def succeeded(self, keys: dict[str | None, _Key], now: float) -> None:
        """What was fetched is what holds: a key that is not among them is good no more."""
        self._keys, self._fetched_at, self._failed = keys, now, False

    def age_s(self, now: float) -> float:
        """Seconds since the keys were fetched; infinite without any."""
        return float("inf") if self._fetched_at is None else now - self._fetched_at


class Issuers:
    """All issuers that the settings name; `run` must be running for keys to arrive."""

    def __init__(
        self,
        settings: Sequence[IssuerSettings],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = {one.issuer: _Issuer(one) for one in settings}
        self._transport = transport
        self._now = now

    def __contains__(self, issuer: object) -> bool:
        return isinstance(issuer, str) and issuer in self._issuers

    def __bool__(self) -> bool:
        return bool(self._issuers)

    def verify(self, token: str, issuer: str) -> Principal:
        """The principal of a token that claims to be `issuer`'s; raises `TokenError` or one of its children."""
        one = self._issuers[issuer]
        head = _head(token)
        kid, algorithm = head.get("kid"), head.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALGORITHM_OF_KEY.values():
            raise TokenError("the token's algorithm is not allowed")
        if kid is not None and (not isinstance(kid, str) or len(kid) > KID_LENGTH_MAX):
            raise TokenError("the token's kid is no name")
        key = one.key(kid, algorithm, self._now())
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=one.settings.audience,
                issuer=one.settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", one.settings.user_claim]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the token has expired") from None
        except jwt.InvalidTokenError as invalid:
            raise TokenError(f"the token is not valid: {type(invalid).__name__}") from None
        return _principal(claims, one.settings)

    async def run(self) -> None:
        """Fetch keys when they are due, until cancelled; returns at once if there are no issuers."""
        if not self._issuers:
            return
        limits = httpx.Limits(max_connections=len(self._issuers), max_keepalive_connections=0)
        client = httpx.AsyncClient(
            timeout=FETCH_TIMEOUT_S, follow_redirects=False, limits=limits, transport=self._transport
        )
        async with client as http, asyncio.TaskGroup() as group:
            for one in self._issuers.values():
                group.create_task(self._keep(one, http))

    async def _keep(self, one: _Issuer, http: httpx.AsyncClient) -> None:
        while True:
            keys_age.labels(one.settings.issuer).set(one.age_s(self._now()))
            wait_s = one.due_in(self._now())
            if wait_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await one.changed.wait()
                one.changed.clear()
                continue
            one.begun(self._now())
            try:
                async with asyncio.timeout(2 * FETCH_TIMEOUT_S):
                    keys = read_keys(await _fetch(http, one.settings.jwks_url))
            except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as failed:
                fetches.labels("failed").inc()
                log.warning(
                    "an issuer's keys could not be fetched",
                    stage=Stage.LIFECYCLE,
                    issuer=one.settings.issuer,
                    error=type(failed).__name__,
                    detail=str(failed)[:200],
                )
            else:
                fetches.labels("fetched").inc()
                one.succeeded(keys, self._now())


class Verifier:
    """Who a token speaks for: our own tokens by the shared secret, others' by their issuers' keys."""

    def __init__(self, secret: str, issuers: Issuers | None = None) -> None:
        self._secret = secret
        self._issuers = issuers if issuers is not None else Issuers(())

    @property
    def issuers(self) -> Issuers:
        """The other issuers, whose `run` somebody must run."""
        return self._issuers

    def verify(self, token: str) -> Principal:
        """The principal of a token; raises `TokenExpired`, `KeyUnknown` or another `TokenError`."""
        if self._issuers:
            issuer = _unverified_issuer(token)
            if issuer in self._issuers:
                assert issuer is not None
                return self._issuers.verify(token, issuer)
        return verify(self._secret, token)


def read_keys(body: bytes) -> dict[str | None, _Key]:
    """The usable keys of a JWKS, by `kid`; raises `ValueError` if it is none or has no key for us."""
    document = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")
    keys: dict[str | None, _Key] = {}
    for jwk in listed[:KEYS_MAX]:
        key = _read_key(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            kid = jwk.get("kid")
            keys[kid if isinstance(kid, str) else None] = key
    if not keys:
        raise ValueError("no usable key in the key set")
    return keys


def _read_key(jwk: dict[str, Any]) -> _Key | None:
    """A key that may sign tokens, or None: issuers also list keys for other purposes."""
    algorithm = _ALGORITHM_OF_KEY.get((str(jwk.get("kty")), str(jwk.get("crv", ""))))
    if algorithm is None or jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    public = json.dumps({name: jwk[name] for name in _PUBLIC_FIELDS if name in jwk})
    try:
        key = _READERS[algorithm](public)
    except (jwt.InvalidKeyError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return None
    return _Key(algorithm, key)


async def _fetch(http: httpx.AsyncClient, url: str) -> bytes:
    body = bytearray()
    async with http.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > KEY_SET_BYTES_MAX:
                raise ValueError("the key set is too large")
    return bytes(body)


def _head(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as invalid:
        raise TokenError(f"the token is not valid: {type(invalid).__name__}") from None


def _unverified_issuer(token: str) -> str | None:
    """Whose keys to try; nothing else is believed before the signature has been looked at."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else None


def _principal(claims: dict[str, Any], settings: IssuerSettings) -> Principal:
    roles = _claim(claims, settings.roles_claim)
    if isinstance(roles, str):
        roles = roles.split()
    if roles is None:
        roles = []
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TokenError("the token's roles are not a list of names")
    # Identity providers put their own housekeeping among the roles, and say nothing about who is a host application.
    ours = sorted({role for role in roles if role in settings.roles_allowed}) or [Role.CUSTOMER.value]
    # A session of theirs is none of ours.
    return principal_of(
        {**claims, "sub": _claim(claims, settings.user_claim), "roles": ours, "sid": None}, issuer=settings.issuer
    )


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by its path: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found
