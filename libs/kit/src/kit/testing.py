"""An issuer for tests: keys of every kind, a JWKS that is served over HTTP, and tokens, good and bad."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

AUDIENCE = "natter"


class IssuerForTests:
    """Signs tokens, and serves its public keys while `start`ed; `away` makes it fail."""

    def __init__(self, issuer: str = "https://login.example") -> None:
        self.issuer = issuer
        self.keys: dict[str, PrivateKey] = {}
        self.fetches = 0
        self.away = False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Serve the key set on a free port."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Serve it no more."""
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        """Where the key set is."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/jwks.json"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Its entry in `NATTER_ISSUERS`."""
        return {"issuer": self.issuer, "jwks_url": self.url, "audience": AUDIENCE, **more}

    def add(self, kid: str, algorithm: str) -> None:
        """A new key; its id names it in the key set."""
        match algorithm:
            case "RS256":
                self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            case "ES256":
                self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
            case _:
                self.keys[kid] = ed25519.Ed25519PrivateKey.generate()

    def key_set(self) -> dict[str, Any]:
        """The public keys as a JWKS."""
        return {"keys": [json.loads(_public(key)) | {"kid": kid, "use": "sig"} for kid, key in self.keys.items()]}

    def token(self, kid: str, user_id: str, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token signed with that key; a claim that is None is left out."""
        key = self.keys[kid]
        stated: dict[str, Any] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user_id,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "roles": ["customer"],
        }
        stated = {name: value for name, value in (stated | claims).items() if value is not None}
        return jwt.encode(stated, key, algorithm=algorithm_of(key), headers={"kid": kid, **(headers or {})})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        status, body = ("503 Away", b"") if self.away else ("200 OK", json.dumps(self.key_set()).encode())
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


def algorithm_of(key: PrivateKey) -> str:
    """What a key signs with."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"


def _public(key: PrivateKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECAlgorithm.to_jwk(key.public_key())
    return OKPAlgorithm.to_jwk(key.public_key())
