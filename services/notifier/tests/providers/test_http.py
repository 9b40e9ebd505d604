"""`Retry-After` in both its forms, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from notifier.providers.shared import http

from .http_peer import Answer, http_peer

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("99999999", 86_400.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Saturday, 31-Jan-26 08:01:00 GMT", 60.0),
        ("Sat Jan 31 08:01:00 2026", 60.0),
        ("Sat, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("², ³", None),
        ("", None),
        ("Sat, 99 Jan 2026 08:00:00 GMT", None),
    ],
)
def test_retry_after(said: str | None, seconds: float | None) -> None:
    """Seconds or a date of any of the three forms; nonsense is nothing, and nobody makes us wait for years."""
    assert http.retry_after_s(said, NOW) == seconds


async def test_no_answer_is_transient_and_names_no_address() -> None:
    """A closed port, and a server that hangs up: try again later."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path"
        client = http.client()
        with pytest.raises(http.ServiceUnreachable) as lost:
            await http.post(client, "Service", closed, b"{}", {})
        assert "secret-path" not in str(lost.value)
        assert lost.value.retry_after_s is None
        await client.aclose()


async def test_a_silent_server_does_not_hold_a_push_for_ever() -> None:
    """The limit for reading ends it, before the push's own limit would."""
    assert http.READ_TIMEOUT_S < 10
    async with http_peer() as peer:
        peer.answer = Answer(hang=True)
        client = httpx.AsyncClient(timeout=httpx.Timeout(0.2))
        with pytest.raises(http.ServiceUnreachable, match="ReadTimeout"):
            await http.post(client, "Service", peer.url, b"{}", {})
        await client.aclose()


async def test_connections_are_kept_and_bounded() -> None:
    """More requests at once than there may be connections: the others wait, and later ones use the same."""
    async with http_peer() as peer:
        client = http.client()
        for _ in range(2):
            await asyncio.gather(*(http.post(client, "Service", peer.url, b"{}", {}) for _ in range(80)))
        assert len(peer.asked) == 160
        assert peer.connections <= http.CONNECTIONS_MAX
        await client.aclose()


async def test_redirections_are_not_followed() -> None:
    """Whoever answers with one would make us carry tokens elsewhere."""
    async with http_peer() as peer:
        peer.answer = Answer(307, headers={"location": f"{peer.url}/elsewhere"})
        client = http.client()
        assert (await http.post(client, "Service", peer.url, b"{}", {})).status_code == 307
        assert len(peer.asked) == 1
        await client.aclose()
