"""Whose tokens are believed besides our own, with which keys, and for how long."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from pydantic import ValidationError

from kit import issuers
from kit.issuers import Issuers, Verifier, read_keys
from kit.settings import IssuerSettings, ServiceSettings
from kit.testing import AUDIENCE, IssuerForTests
from kit.tokens import LEEWAY_S, KeyUnknown, Role, TokenError, TokenExpired, issue

SECRET = "a-secret-of-sixty-four-bytes,-long-enough-for-every-HMAC-of-JWTs"


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
async def issuer() -> AsyncIterator[IssuerForTests]:
    """An issuer with one key of each kind, whose key set is served."""
    made = IssuerForTests()
    for algorithm in ("RS256", "ES256", "EdDSA"):
        made.add(algorithm, algorithm)
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def believing(issuer: IssuerForTests, clock: Callable[[], float], **more: Any) -> AsyncIterator[Verifier]:
    """A verifier that believes this issuer, and has its keys."""
    known = Issuers([IssuerSettings(**issuer.settings(**more))], now=clock)
    running = asyncio.create_task(known.run())
    try:
        if not issuer.away:
            await until(lambda: issuer.fetches > 0)
            await until(lambda: _believed(known, issuer))
        yield Verifier(SECRET, known)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _believed(known: Issuers, issuer: IssuerForTests) -> bool:
    try:
        known.verify(issuer.token(next(iter(issuer.keys)), "probe"), issuer.issuer)
    except KeyUnknown:
        return False
    except TokenError:
        return True
    return True


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Poll until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


def refused(verifier: Verifier, token: str) -> type[TokenError] | None:
    """How a token is refused; None if it is not."""
    try:
        verifier.verify(token)
    except TokenError as error:
        return type(error)
    return None


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_tokens_of_every_kind_of_key_are_believed(issuer: IssuerForTests, algorithm: str) -> None:
    """The principal is whom the token names, with the roles that count here, and says who signed."""
    async with believing(issuer, Clock()) as verifier:
        token = issuer.token(algorithm, "alice", name="Alice", roles=["doctor", "offline_access", "service"])
        principal = verifier.verify(token)
        assert (principal.user_id, principal.name) == ("alice", "Alice")
        assert principal.roles == {Role.DOCTOR}
        assert principal.issuer == issuer.issuer
        assert principal.session_id is None
        assert abs(principal.issued_at - time.time()) < 5


async def test_our_own_tokens_go_on_working(issuer: IssuerForTests) -> None:
    """An issuer more changes nothing for tokens with the shared secret."""
    async with believing(issuer, Clock()) as verifier:
        principal = verifier.verify(issue(SECRET, "host", ("service",), ttl_s=60))
        assert (principal.user_id, principal.issuer) == ("host", None)
        assert refused(verifier, issue("x" * 32, "host", ("service",), ttl_s=60)) is TokenError


async def test_what_is_refused(issuer: IssuerForTests) -> None:
    """Another audience, another issuer, expired, without an end, somebody who is no user, a changed payload."""
    async with believing(issuer, Clock()) as verifier:
        assert refused(verifier, issuer.token("RS256", "alice")) is None
        assert refused(verifier, issuer.token("RS256", "alice", aud="shop")) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", aud=None)) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", iss="https://other.example")) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", iss=None)) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", exp=None)) is TokenError
        assert refused(verifier, issuer.token("RS256", "a.b")) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", roles={"a": 1})) is TokenError
        ended = int(time.time()) - LEEWAY_S - 2
        assert refused(verifier, issuer.token("RS256", "alice", exp=ended)) is TokenExpired
        head, payload, signature = issuer.token("RS256", "alice").split(".")
        other = issuer.token("RS256", "mallory").split(".")[1]
        assert payload != other
        assert refused(verifier, ".".join((head, other, signature))) is TokenError


async def test_a_public_key_is_no_secret(issuer: IssuerForTests) -> None:
    """HS256 "signed" with the public key, and no signature at all, are refused whatever the head says."""
    key = issuer.keys["RS256"]
    assert isinstance(key, rsa.RSAPrivateKey)
    claims = {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "mallory", "exp": int(time.time()) + 60, "roles": ["admin"]}
    encodings = [
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(issuer.key_set()["keys"][0]).encode(),
    ]
    async with believing(issuer, Clock()) as verifier:
        for secret in encodings:
            token = _hs256(claims, secret, {"kid": "RS256"})
            assert refused(verifier, token) is TokenError
        assert refused(verifier, jwt.encode(claims, "", algorithm="none", headers={"kid": "RS256"})) is TokenError
        # A token that claims to be the issuer's is never checked with the shared secret.
        assert refused(verifier, jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "RS256"})) is TokenError


def _hs256(claims: dict[str, Any], secret: bytes, head: dict[str, Any]) -> str:
    """By hand: the library refuses to sign with a public key."""
    import base64
    import hashlib
    import hmac

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    start = f"{part(json.dumps({'alg': 'HS256', 'typ': 'JWT', **head}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{start}.{part(hmac.digest(secret, start.encode(), hashlib.sha256))}"


async def test_a_key_of_another_kind_does_not_fit(issuer: IssuerForTests) -> None:
    """A token that names the EC key but is signed by the RSA key is refused."""
    async with believing(issuer, Clock()) as verifier:
        assert refused(verifier, issuer.token("RS256", "alice", headers={"kid": "ES256"})) is TokenError
        assert refused(verifier, issuer.token("RS256", "alice", headers={"kid": "x" * 500})) is TokenError


async def test_rotated_keys_are_fetched_when_somebody_uses_them(issuer: IssuerForTests) -> None:
    """The first token with a new key is told to come again; then it works, and the key that was taken back does not."""
    clock = Clock()
    async with believing(issuer, clock) as verifier:
        old = issuer.token("RS256", "alice")
        issuer.add("new", "RS256")
        del issuer.keys["RS256"]
        new = issuer.token("new", "alice")
        clock.at += issuers.REFETCH_MIN_S
        assert refused(verifier, old) is None
        assert refused(verifier, new) is KeyUnknown
        await until(lambda: refused(verifier, new) is None)
        # Taken back: at first somebody might still publish it again, then it is plainly wrong.
        assert refused(verifier, old) is KeyUnknown


async def test_unknown_keys_do_not_flood_the_issuer(issuer: IssuerForTests) -> None:
    """A thousand invented keys cause one fetch in ten seconds; a key that is not there is then refused for good."""
    clock = Clock()
    async with believing(issuer, clock) as verifier:
        before = issuer.fetches
        forged = [issuer.token("RS256", "mallory", headers={"kid": f"invented-{n}"}) for n in range(50)]
        for token in forged * 20:
            assert refused(verifier, token) is KeyUnknown
            await asyncio.sleep(0)
        assert issuer.fetches == before
        clock.at += issuers.REFETCH_MIN_S
        verifier.issuers._issuers[issuer.issuer].changed.set()
        await until(lambda: refused(verifier, forged[-1]) is TokenError)
        assert {refused(verifier, token) for token in forged} == {TokenError}
        assert issuer.fetches == before + 1
        assert refused(verifier, issuer.token("RS256", "alice")) is None


async def test_an_issuer_that_is_away_is_believed_for_a_day(issuer: IssuerForTests) -> None:
    """Old keys go on working while new ones cannot be fetched, up to a limit, and again when it is back."""
    clock = Clock()
    async with believing(issuer, clock) as verifier:
        token = issuer.token("ES256", "alice")
        issuer.away = True
        before = issuer.fetches
        clock.at += issuers.KEYS_TTL_S + 1
        verifier.issuers._issuers[issuer.issuer].changed.set()
        await until(lambda: issuer.fetches > before)
        assert refused(verifier, token) is None
        clock.at += issuers.KEYS_AGE_MAX_S
        assert refused(verifier, token) is KeyUnknown
        issuer.away = False
        await until(lambda: refused(verifier, token) is None)


async def test_an_issuer_that_was_never_there(issuer: IssuerForTests) -> None:
    """Without keys nobody is refused for good: the key may come. Our own tokens do not mind."""
    issuer.away = True
    async with believing(issuer, Clock()) as verifier:
        assert refused(verifier, issuer.token("RS256", "alice")) is KeyUnknown
        assert refused(verifier, issue(SECRET, "host", (), ttl_s=60)) is None


async def test_claims_by_their_path(issuer: IssuerForTests) -> None:
    """Roles and user may stand where this issuer puts them; without a role of ours somebody is a customer."""
    more = {"roles_claim": "realm_access.roles", "user_claim": "preferred_username"}
    async with believing(issuer, Clock(), **more) as verifier:
        token = issuer.token("EdDSA", "x|1", preferred_username="bob", realm_access={"roles": ["consultant"]})
        principal = verifier.verify(token)
        assert principal.user_id == "bob"
        assert principal.roles == {Role.CONSULTANT}
        principal = verifier.verify(issuer.token("EdDSA", "x|1", preferred_username="bob"))
        assert principal.roles == {Role.CUSTOMER}


def test_which_keys_are_read() -> None:
    """Keys for encryption, of unknown kinds, too short or broken are left out; a set without any key is an error."""
    issuer = IssuerForTests()
    issuer.add("good", "ES256")
    good = issuer.key_set()["keys"][0]
    short = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key()))
    bad = [
        good | {"use": "enc"},
        good | {"alg": "ES512"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC", "crv": "P-256", "x": "AA"},
        short,
        "nothing",
    ]
    assert set(read_keys(json.dumps({"keys": [*bad, good]}).encode())) == {"good"}
    for body in (json.dumps({"keys": bad}), "[]", "{}", "x"):
        with pytest.raises(ValueError):
            read_keys(body.encode())


@pytest.mark.parametrize("url", ["ftp://x/keys", "https://user:word@x/keys", "nothing", "https:///x"])
def test_a_key_set_has_a_web_address(url: str) -> None:
    """No other scheme, and no credentials in a URL."""
    with pytest.raises(ValidationError):
        IssuerSettings(issuer="i", jwks_url=url, audience="a")


def test_production_fetches_keys_over_https_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can change an answer on the way could sign for everybody; on this machine nobody can."""
    monkeypatch.setenv("NATTER_ENV", "production")
    monkeypatch.setenv("NATTER_JWT_SECRET", "s" * 40)

    def with_url(url: str) -> None:
        entry = {"issuer": "i", "jwks_url": url, "audience": "a"}
        monkeypatch.setenv("NATTER_ISSUERS", json.dumps([entry]))
        assert ServiceSettings().issuers[0].jwks_url == url

    with_url("https://login.example/keys")
    with_url("http://127.0.0.1:8080/keys")
    with pytest.raises(ValidationError, match="https"):
        with_url("http://login.example/keys")
    monkeypatch.setenv("NATTER_ENV", "development")
    with_url("http://login.example/keys")
