"""What frames mean, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import CloseCode, ErrorCode
from contracts.ids import new_id
from ws_edge.session.live import CloseSocket, ForwardSend, FrameBudget, SendFrame, SetActivity, on_binary, on_text


def answer(text: str) -> dict[str, Any]:
    (effect,) = on_text(text.encode())
    assert isinstance(effect, SendFrame)
    return dict(json.loads(effect.payload))


def test_ping_is_answered_with_its_ref() -> None:
    """The simplest question."""
    assert answer('{"action":"ping","ref":"a"}') == {"action": "pong", "ref": "a", "data": {}}
    assert answer('{"action":"ping"}') == {"action": "pong", "data": {}}


@pytest.mark.parametrize("active", [True, False])
def test_activity_is_known_and_acknowledged(active: bool) -> None:
    """The ack repeats what holds from now on."""
    (effect,) = on_text(json.dumps({"action": "activity", "ref": 7, "data": {"active": active}}).encode())
    assert isinstance(effect, SetActivity)
    assert effect.active is active
    assert json.loads(effect.ack.payload) == {"action": "ack", "ref": 7, "data": {"active": active}}


@pytest.mark.parametrize("data", [{}, {"active": None}, {"active": "no"}, {"active": 0}])
def test_activity_is_a_flag(data: dict[str, Any]) -> None:
    """What could be misread changes nothing."""
    got = answer(json.dumps({"action": "activity", "ref": 7, "data": data}))
    assert (got["action"], got["data"]["code"], got["ref"]) == ("error", "validation_failed", 7)


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever comes in, an effect comes out."""
    assert on_text(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
actions = st.sampled_from(["ping", "send_message", "typing", "x"]) | json_values


@given(actions, json_values, json_values)
def test_no_json_raises(action: object, data: object, ref: object) -> None:
    """Any JSON in any field is answered or closed, and every answer is a frame."""
    for effect in on_text(json.dumps({"action": action, "data": data, "ref": ref}).encode()):
        if isinstance(effect, SendFrame):
            assert json.loads(effect.payload)["action"] in ("pong", "error")


@pytest.mark.parametrize("ref", [True, 1.5, [], {}, "x" * 65, 2**60])
def test_ref_that_cannot_be_echoed_is_an_error(ref: object) -> None:
    """A ref is small, and comes back as it was."""
    got = answer(json.dumps({"action": "ping", "ref": ref}))
    assert got["data"]["code"] == "validation_failed"
    assert "ref" not in got


@pytest.mark.parametrize("text", [b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000, b'{"action":"\\ud800"}', b"\xff"])
def test_bombs_are_bad_frames(text: bytes) -> None:
    """Nesting, huge numbers, lone surrogates: no exception, one code."""
    (effect,) = on_text(text)
    assert isinstance(effect, CloseSocket)
    assert effect.code is CloseCode.BAD_FRAME


def test_binary_is_a_bad_frame() -> None:
    """Frames are text."""
    assert on_binary() == [CloseSocket(CloseCode.BAD_FRAME, "frames are JSON text, not binary")]


def test_valid_message_is_forwarded() -> None:
    """The draft goes to chat-api as a type, not as a dict."""
    data = {"conversation_id": new_id(), "client_msg_id": "1", "content": "你好"}
    (effect,) = on_text(json.dumps({"action": "send_message", "ref": 7, "data": data}).encode())
    assert isinstance(effect, ForwardSend)
    assert (effect.message.content, effect.ref) == ("你好", 7)


def test_validation_error_names_the_field_and_not_the_input() -> None:
    """A message's text is private, also when it is wrong."""
    data = {"conversation_id": "nope", "client_msg_id": "1", "content": "secret\u0000"}
    got = answer(json.dumps({"action": "send_message", "data": data}))
    assert got["data"]["code"] == ErrorCode.VALIDATION_FAILED
    assert "conversation_id" in got["data"]["message"]
    assert "secret" not in json.dumps(got)


def test_budget_refills_and_abuse_is_cut() -> None:
    """A burst passes, the rate is kept, debt ends in a close, and a pause pays it back."""
    budget = FrameBudget(10, burst=3, abuse=5, now_s=0)
    assert [budget.spend(0) for _ in range(3)] == [None] * 3
    assert isinstance(budget.spend(0), SendFrame)
    assert [budget.spend(0.3) for _ in range(2)] == [None] * 2
    for _ in range(5):
        assert isinstance(budget.spend(0.3), SendFrame)
    assert isinstance(budget.spend(0.3), CloseSocket)
    assert budget.spend(60) is None
