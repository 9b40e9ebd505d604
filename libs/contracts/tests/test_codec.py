"""Bytes to types and back, without telling anybody's secrets on the way."""

from __future__ import annotations

import pytest

from contracts.codec import Contract, decode, encode
from contracts.errors import Undecodable
from contracts.frames import ClientFrame
from contracts.messages import MessageDraft


class _Sample(Contract):
    a: int
    b: str | None = None


def test_none_is_left_out_and_text_stays_readable() -> None:
    """Compact UTF-8 without nulls."""
    assert encode(_Sample(a=1, b=None)) == b'{"a":1}'
    assert encode(_Sample(a=1, b="你好")) == '{"a":1,"b":"你好"}'.encode()


def test_unknown_fields_are_ignored() -> None:
    """An older reader survives a newer writer."""
    assert decode(_Sample, b'{"a":1,"new":true}') == _Sample(a=1)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"a":"secret-text"}', b"\xff\xfe", b'{"a":1,"b":"\xff"}', b'{"a":NaN}'],
)
def test_what_is_not_the_contract_is_undecodable(data: bytes) -> None:
    """Every kind of wrong input is the same kind of error."""
    with pytest.raises(Undecodable, match="not a valid _Sample"):
        decode(_Sample, data)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (_Sample, b'{"a":"my-secret-text"}'),
        (_Sample, b'{"a":1,"b":{"my-secret-text":1}}'),
        (MessageDraft, b'{"client_msg_id":"my-secret-text!","content":["my-secret-text"],"reply_to":"my-secret-text"}'),
        (ClientFrame, b'{"action":["my-secret-text"],"data":"my-secret-text"}'),
    ],
)
def test_reasons_do_not_repeat_the_input(model: type[Contract], data: bytes) -> None:
    """The reasons name fields, not what stood there, and the original error does not hang on to it."""
    with pytest.raises(Undecodable) as caught:
        decode(model, data)
    assert "my-secret-text" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_contracts_are_frozen() -> None:
    """What crossed a boundary is not changed afterwards."""
    sample = _Sample(a=1)
    with pytest.raises(ValueError, match="frozen"):
        sample.a = 2  # type: ignore[misc]
