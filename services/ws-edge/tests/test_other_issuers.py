"""Tokens whose key is not here yet: the client is told to try again, not to sign in."""

from __future__ import annotations

from contracts.codes import ErrorCode
from contracts.devices import DeviceType
from contracts.frames import ConnectionType
from kit.tokens import KeyUnknown, Principal
from ws_edge.session.handshake import Admitted, BadUpgrade, Request, decide
from ws_edge.session.live import RefreshWith, SendFrame
from ws_edge.session.refresh import decide as decide_refresh

UPGRADE = [
    ("Host", "x"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Authorization", "Bearer anything"),
]


def fetching(_token: str) -> Principal:
    """A verifier that has to fetch the key first."""
    raise KeyUnknown("the token's key is being fetched")


def test_a_key_that_is_being_fetched_refuses_the_upgrade_with_503() -> None:
    """Not 4401: that would send people to the login page because an issuer has a new key."""
    decision = decide(Request("/v1/ws", UPGRADE), origins=frozenset({"*"}), verify=fetching)
    assert isinstance(decision, BadUpgrade)
    assert decision.status == 503


def test_a_key_that_is_being_fetched_leaves_the_socket_as_it_is() -> None:
    """`refresh_token` may be sent again in a moment."""
    admitted = Admitted(
        Principal("ann", frozenset({"customer"}), 1e12), DeviceType.DESKTOP, None, ConnectionType.CHAT, None
    )
    answer = decide_refresh(admitted, RefreshWith("token", "r1"), verify=fetching)
    assert isinstance(answer, SendFrame)
    assert ErrorCode.UNAVAILABLE.value.encode() in answer.payload
    assert b"retry_after_ms" in answer.payload
