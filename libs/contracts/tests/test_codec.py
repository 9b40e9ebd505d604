"""Bytes to types and back, without telling anybody's secrets on the way."""

from __future__ import annotations

import pytest

from contracts.codec import WHOLE_NUMBER_MAX, Contract, PositiveNumber, WholeNumber, decode, encode
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


class _Numbers(Contract):
    whole: WholeNumber = 0
    positive: PositiveNumber | None = None


@pytest.mark.parametrize(
    ("written", "number"), [("0", 0), ("-0.0", 0), ("3", 3), ("3.0", 3), ("1e3", 1000), ("9007199254740991", 2**53 - 1)]
)
def test_a_whole_number_is_one_however_it_is_written(written: str, number: int) -> None:
    """JSON knows one kind of number, and JSON Schema calls 3.0 an integer."""
    assert decode(_Numbers, f'{{"whole":{written}}}').whole == number


@pytest.mark.parametrize(
    "written",
    ["-1", "3.5", '"3"', "true", "null", "[3]", "9007199254740992", "9007199254740993.0", "1e300", "1e999", "NaN"],
)
def test_what_is_no_whole_number_is_undecodable(written: str) -> None:
    """Neither what could be read as one nor what a reader of JSON would round."""
    with pytest.raises(Undecodable, match="whole"):
        decode(_Numbers, f'{{"whole":{written}}}')


def test_a_positive_number_begins_at_one() -> None:
    """Where nothing is said by leaving the field out, not by 0."""
    assert decode(_Numbers, '{"positive":1.0}').positive == 1
    with pytest.raises(Undecodable, match="positive"):
        decode(_Numbers, '{"positive":0}')


def test_bounds_of_numbers_are_published() -> None:
    """A schema says what is taken."""
    fields = _Numbers.model_json_schema()["properties"]
    assert fields["whole"].items() >= {"type": "integer", "minimum": 0, "maximum": WHOLE_NUMBER_MAX}.items()
    assert fields["positive"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": WHOLE_NUMBER_MAX}
