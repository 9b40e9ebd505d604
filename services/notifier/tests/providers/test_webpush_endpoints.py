"""Where pushes to browsers may go, and where never."""

from __future__ import annotations

import asyncio

import httpcore
import pytest
from pydantic import ValidationError

from notifier.providers.webpush.endpoints import EndpointForbidden, PublicAddressesOnly, endpoint, is_public
from notifier.providers.webpush.settings import WebPushSettings

KNOWN = WebPushSettings().hosts


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc:APA91b", "https://fcm.googleapis.com"),
        ("https://FCM.googleapis.com:443/fcm/send/x?y=1#z", "https://fcm.googleapis.com"),
        ("https://updates.push.services.mozilla.com/wpush/v2/x", "https://updates.push.services.mozilla.com"),
        ("https://wns2-par02p.notify.windows.com/w/?token=x", "https://wns2-par02p.notify.windows.com"),
        ("https://web.push.apple.com/QF8w", "https://web.push.apple.com"),
        ("https://eu.web.push.apple.com/QF8w", "https://eu.web.push.apple.com"),
    ],
)
def test_the_known_services(address: str, origin: str) -> None:
    """Those of the browsers that there are, by default."""
    assert endpoint(address, KNOWN).origin == origin


@pytest.mark.parametrize(
    "address",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evil.example/fcm.googleapis.com",
        "https://evilfcm.googleapis.com/x",
        "https://googleapis.com/x",
        "https://notify.windows.com/x",
        "https://evilnotify.windows.com/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://evil.example\\@fcm.googleapis.com/x",
        "https://user:password@fcm.googleapis.com/x",
        "https://fcm.googleapis.com./x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::1/x",
        "https://:443/x",
        "https://fcm.googleapis.com:99999/x",
        "https:///x",
        "ftp://fcm.googleapis.com/x",
        "//fcm.googleapis.com/x",
        "x",
    ],
)
def test_anything_else_is_forbidden(address: str) -> None:
    """Other hosts, however they are dressed up; the address is not repeated."""
    with pytest.raises(EndpointForbidden) as caught:
        endpoint(address, KNOWN)
    assert "evil" not in str(caught.value)


def test_path_and_query_go_along_and_the_fragment_does_not() -> None:
    """As the browser gave them, letter by letter."""
    assert endpoint("https://wns2.notify.windows.com/w/?token=a%2fb%3d#frag", KNOWN).target == "/w/?token=a%2fb%3d"
    assert endpoint("https://fcm.googleapis.com", KNOWN).target == "/"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("142.250.74.106", True),
        ("2a00:1450:4001:80b::200a", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:142.250.74.106", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::8efa:4a6a", True),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
    ],
)
def test_addresses(address: str, public: bool) -> None:
    """Private networks, this machine, metadata of clouds, groups, and all of these inside IPv6."""
    assert is_public(address) is public


async def test_a_name_that_leads_here_is_not_called() -> None:
    """The addresses are looked at, not the name."""
    asked = []

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(EndpointForbidden):
        await PublicAddressesOnly().connect_tcp("localhost", port, timeout=5)
    server.close()
    assert asked == []


async def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    """No address is a failure of the network, not of the subscription."""
    with pytest.raises(httpcore.ConnectError):
        await PublicAddressesOnly().connect_tcp("no-such-host.invalid", 443, timeout=30)


async def test_no_push_goes_to_a_file() -> None:
    """A socket in the file system is somebody's on this machine."""
    with pytest.raises(EndpointForbidden):
        await PublicAddressesOnly().connect_unix_socket("/run/docker.sock")


@pytest.mark.parametrize("hosts", ["https://push.example", "push.example:443", "push.example/x", "*.*.example", "a b"])
def test_hosts_are_names(hosts: str) -> None:
    """A list that could never match is refused at the start."""
    with pytest.raises(ValidationError, match="NATTER_WEBPUSH_ALLOWED_HOSTS"):
        WebPushSettings.model_validate({"webpush_allowed_hosts": hosts})


def test_a_list_of_ones_own() -> None:
    """With spaces and capitals, as people write."""
    hosts = WebPushSettings.model_validate({"webpush_allowed_hosts": "Push.example, *.other.example"}).hosts
    assert endpoint("https://push.example/x", hosts).host == "push.example"
    assert endpoint("https://a.b.other.example/x", hosts).host == "a.b.other.example"
    with pytest.raises(EndpointForbidden):
        endpoint("https://fcm.googleapis.com/x", hosts)
