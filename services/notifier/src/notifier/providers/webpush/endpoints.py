"""Where pushes to browsers may go: an endpoint is an address that a client gave us, so it is not believed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore

from notifier.providers.base import PermanentPushError

_NAT64 = IPv6Network("64:ff9b::/96")


class EndpointForbidden(PermanentPushError):
    """Pushes do not go to such an address. The token stays: another release or setting may allow it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that pushes may go to, in the parts that a request needs."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query. A secret: whoever knows it, and a key, can push."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, as the signature's audience (RFC 6454)."""
        usual = {"https": 443, "http": 80}[self.scheme] == self.port
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if usual else f"{self.scheme}://{host}:{self.port}"


def endpoint(address: str, allowed_hosts: Sequence[str], *, anywhere: bool = False) -> Endpoint:
    """The parts of a subscription's address; raises `EndpointForbidden`, which does not repeat it.

    Only https, the usual port, and hosts of the list. `anywhere` is for tests: also http, and all hosts and ports.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise EndpointForbidden("the subscription's endpoint is no address") from None
    if not host or parts.username is not None or parts.password is not None:
        raise EndpointForbidden("the subscription's endpoint is no address of a push service")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if anywhere and parts.scheme in ("http", "https"):
        return Endpoint(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)
    if parts.scheme != "https" or port not in (None, 443):
        raise EndpointForbidden("the subscription's endpoint is not https on port 443")
    if not any(_matches(host, pattern) for pattern in allowed_hosts):
        raise EndpointForbidden("the host of the subscription's endpoint is not in NATTER_WEBPUSH_ALLOWED_HOSTS")
    return Endpoint("https", host, 443, target)


def _matches(host: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return host == pattern


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: no private network, this machine, cloud metadata or group."""
    ip = ip_address(address.partition("%")[0])
    inner = _inner(ip)
    if inner is not None:
        ip = inner
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(ip, IPv4Address):
        return None
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


class PublicAddressesOnly(httpcore.AsyncNetworkBackend):
    """Looks names up by itself, and connects to what it has looked at: a name cannot point elsewhere in between."""

    def __init__(self) -> None:
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first public address that answers; raises `EndpointForbidden` if there is none."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._look_up(host, port)
                lost: Exception = httpcore.ConnectError("no address")
                for address in addresses:
                    try:
                        return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
                    except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                        lost = failed
                raise lost
        except TimeoutError:
            raise httpcore.ConnectTimeout("no connection in time") from None

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise EndpointForbidden("no push goes to a file")

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts to connect; the pool makes one alone."""
        await asyncio.sleep(seconds)

    async def _look_up(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as unknown:
            raise httpcore.ConnectError(type(unknown).__name__) from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        public = [address for address in addresses if is_public(address)]
        if not public:
            raise EndpointForbidden("the host of the subscription's endpoint is not on the open internet")
        return public
