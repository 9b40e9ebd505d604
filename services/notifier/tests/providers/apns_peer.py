"""An HTTP/2 server over TLS on this machine that speaks as APNs does, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from .http_peer import Answer, Asked
from .pushes import pem


class ApnsPeer:
    """Answers each stream with `answer`, or with what `answers` says for a request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer = Answer()
        self.answers: Callable[[Asked], Answer] | None = None
        self.connections: list[Connection] = []
        self.url = ""
        self.news = asyncio.Event()

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests in all."""
        async with asyncio.timeout(30):
            while len(self.asked) < times:
                self.news.clear()
                await self.news.wait()

    def goodbye(self) -> None:
        """Tell every connection to go (GOAWAY), as APNs does before it closes them."""
        for connection in self.connections:
            connection.goodbye()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, peer: ApnsPeer) -> None:
        self._peer = peer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams: dict[int, Asked] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer.connections.append(self)
        self._h2.initiate_connection()
        # As APNs does: one stream until the provider has shown who it is would be its way; many are usual.
        self._h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1_000})
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Frames."""
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                assert event.headers is not None
                headers = {str(name): str(value) for name, value in event.headers}
                self._streams[event.stream_id] = Asked(headers[":method"], headers[":path"], headers, b"")
            elif isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                assert event.data is not None
                assert event.flow_controlled_length is not None
                self._streams[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self._answer(event.stream_id, self._streams.pop(event.stream_id))
        self._flush()

    def goodbye(self) -> None:
        """GOAWAY, then the end."""
        if self._transport is not None and not self._transport.is_closing():
            self._h2.close_connection()
            self._flush()
            self._transport.close()

    def _answer(self, stream: int, asked: Asked) -> None:
        self._peer.asked.append(asked)
        self._peer.news.set()
        answer = self._peer.answers(asked) if self._peer.answers else self._peer.answer
        if answer.hang:
            return
        headers = [
            (":status", str(answer.status)),
            ("apns-id", asked.headers.get("apns-id", "")),
            *answer.headers.items(),
        ]
        self._h2.send_headers(stream, headers, end_stream=not answer.body)
        if answer.body:
            self._h2.send_data(stream, answer.body, end_stream=True)

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(self._h2.data_to_send())


@asynccontextmanager
async def apns_peer(folder: Path) -> AsyncIterator[tuple[ApnsPeer, ssl.SSLContext]]:
    """A server on a free port of 127.0.0.1, and a context that believes its certificate."""
    peer = ApnsPeer()
    ours, theirs = _contexts(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(peer), "127.0.0.1", 0, ssl=ours)
    peer.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer, theirs
    finally:
        server.close()
        peer.goodbye()


def _contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the server with a certificate that it signed itself, and for a client that trusts it alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"apns peer {uuid.uuid4()}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "peer.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + pem(key))
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(file)
    ours.set_alpn_protocols(["h2"])
    return ours, ssl.create_default_context(cafile=str(file))
