"""Who may connect, without a socket."""

from __future__ import annotations

import pytest

from contracts.codes import CloseCode
from contracts.devices import DeviceType
from contracts.frames import ConnectionType
from kit.tokens import Principal, TokenError, TokenExpired
from ws_edge.session.handshake import Admitted, BadUpgrade, Request, TurnedAway, decide

UPGRADE = [
    ("Host", "x"),
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]
PRINCIPAL = Principal("ann", frozenset({"customer"}), 1e12)


def verify(token: str) -> Principal:
    if token == "old":
        raise TokenExpired("the token has expired")
    if token != "good":
        raise TokenError("the token is not valid")
    return PRINCIPAL


def ask(target: str = "/v1/ws", *headers: tuple[str, str], origins: str = "*") -> object:
    return decide(Request(target, [*UPGRADE, *headers]), origins=frozenset({origins}), verify=verify)


def test_everything_in_order_is_admitted() -> None:
    """Defaults where nothing is said, values where something is."""
    assert ask("/v1/ws", ("authorization", "bearer good")) == Admitted(
        PRINCIPAL, DeviceType.DESKTOP, None, ConnectionType.CHAT, None
    )
    got = ask("/v1/ws?device_type=mobile&device_id=a:1", ("Sec-WebSocket-Protocol", "natter.v1, bearer.good"))
    assert got == Admitted(PRINCIPAL, DeviceType.MOBILE, "a:1", ConnectionType.CHAT, "natter.v1")


def test_header_wins_over_subprotocol_and_query_is_never_read() -> None:
    """One token counts; one in the query would end in logs, so it is as good as none."""
    both = ask("/", ("Authorization", "Bearer old"), ("Sec-WebSocket-Protocol", "bearer.good"))
    assert isinstance(both, TurnedAway)
    assert isinstance(ask("/v1/ws?token=good&access_token=good"), TurnedAway)


@pytest.mark.parametrize("token", ["old", "bad", ""])
def test_reason_of_a_refused_token_never_contains_it(token: str) -> None:
    """A close reason is logged by many."""
    refused = ask("/", ("Authorization", f"Bearer {token}"))
    assert isinstance(refused, TurnedAway)
    assert refused.code is CloseCode.UNAUTHENTICATED
    assert not token or token not in refused.reason.replace("bearer", "").split()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a.example", True), ("HTTPS://A.example/", True), ("https://a.example.evil", False), ("null", False)],
)
def test_origin_is_compared_whole(origin: str, allowed: bool) -> None:
    """A prefix is not enough."""
    got = ask("/", ("Origin", origin), ("Authorization", "Bearer good"), origins="https://a.example")
    assert isinstance(got, Admitted) == allowed


def test_repeated_header_lines_are_one_list() -> None:
    """HTTP allows a list over several lines."""
    request = Request("/", [("A", "1, 2"), ("a", "3")])
    assert request.tokens("A") == ["1", "2", "3"]


def test_two_versions_or_keys_are_refused() -> None:
    """What must stand once must stand once."""
    assert isinstance(ask("/", ("Sec-WebSocket-Version", "13")), BadUpgrade)
    assert isinstance(ask("/", ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")), BadUpgrade)


def test_query_with_too_many_fields_is_told_so() -> None:
    """A flood of fields costs nothing."""
    got = ask("/?" + "a=1&" * 100, ("Authorization", "Bearer good"))
    assert isinstance(got, TurnedAway)
    assert got.code is CloseCode.BAD_FRAME
