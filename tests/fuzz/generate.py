"""What a hostile client sends: seeded, each case with what must become of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from contracts.codes import CloseCode
from contracts.frames import FRAME_BYTES_MAX, REF_CHARS_MAX, ClientAction

from . import wire


class Outcome(Enum):
    """What must become of a case."""

    ANSWERED = "answered"
    """An answer comes that carries its ref, and the socket stays."""
    STAYS = "stays"
    """Perhaps an answer without a ref, perhaps none; the socket stays."""
    CLOSED = "closed"
    """The socket is closed with one of the case's codes."""
    EITHER = "either"
    """Refused or closed, as the edge likes, but documented."""
    TORN = "torn"
    """The client hangs up in the middle."""


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes on the wire (`frames` of them), and what must become of them."""

    kind: str
    data: bytes
    outcome: Outcome
    ref: str | None = None
    codes: frozenset[int] = frozenset()
    frames: int = 1


_PROTOCOL = frozenset({int(CloseCode.PROTOCOL_ERROR)})
_BAD = frozenset({int(CloseCode.BAD_FRAME)})
_BIG = frozenset({int(CloseCode.FRAME_TOO_BIG), int(CloseCode.MESSAGE_TOO_BIG), int(CloseCode.PROTOCOL_ERROR)})

NUMBERS = (
    "1e999",
    "-1E+400",
    "1" * 400,
    "9" * 5000,
    "0.1e-999",
    "-0",
    "2e308",
    "18446744073709551616",
    "1e-400",
    "1.0",
)


class Generator:
    """An endless row of cases; the same seed gives the same row. `conversation_id` is one that the sender is in."""

    def __init__(self, seed: int, conversation_id: str) -> None:
        self._random = random.Random(seed)
        self._conversation_id = conversation_id
        self._number = 0
        self._stays: list[tuple[int, Callable[[], Case]]] = [
            (20, self._random_data),
            (12, self._odd_fields),
            (8, self._unknown_action),
            (8, self._ping),
            (8, self._fragments),
            (6, self._control),
            (6, self._data_is_no_object),
            (5, self._wrong_ref),
            (4, self._message),
        ]
        self._ends: list[tuple[int, Callable[[], Case]]] = [
            (6, self._wrong_shape),
            (6, self._no_json),
            (6, self._deep),
            (6, self._number_beyond),
            (6, self._surrogates),
            (6, self._invalid_utf8),
            (4, self._binary),
            (4, self._continuation),
            (4, self._bad_control),
            (4, self._reserved_bits),
            (4, self._reserved_opcode),
            (4, self._unmasked),
            (4, self._long_length),
            (3, self._oversized),
            (3, self._claims_to_be_huge),
            (4, self._close),
            (4, self._torn),
            (4, self._garbage),
        ]

    def dialogue(self) -> list[Case]:
        """What one socket sends: some cases that leave it open, and one at the end that may not."""
        row = []
        for _ in range(self._random.choice((0, 1, 3, 8, 20))):
            row.append(self._pick(self._stays))
            if row[-1].outcome is Outcome.CLOSED:
                return row
        return [*row, self._pick(self._ends)]

    def ping(self) -> Case:
        """The question whether the socket is still good."""
        return self._ping()

    # --- what leaves the socket open ----------------------------------------------------------------------------------

    def _ping(self) -> Case:
        return self._asked("ping", {"action": "ping"})

    def _random_data(self) -> Case:
        action = self._random.choice(list(ClientAction)).value
        data = {self._word(): self._value(3) for _ in range(self._random.randrange(5))}
        return self._asked(f"{action} with any data", {"action": action, "data": data})

    def _odd_fields(self) -> Case:
        """The right fields with wrong values."""
        fields: dict[ClientAction, tuple[str, ...]] = {
            ClientAction.SEND_MESSAGE: (
                "conversation_id", "client_msg_id", "content", "message_type", "attachment_id", "reply_to",
                "is_important", "extra_metadata",
            ),
            ClientAction.TYPING: ("conversation_id", "is_typing"),
            ClientAction.MARK_READ: ("conversation_id", "seq"),
            ClientAction.PRESENCE_SUBSCRIBE: ("user_ids",),
            ClientAction.REFRESH_TOKEN: ("token",),
            ClientAction.ACTIVITY: ("active",),
        }  # fmt: skip
        action, names = self._random.choice(list(fields.items()))
        data = {name: self._value(2) for name in names}
        if "conversation_id" in data and self._random.random() < 0.7:
            data["conversation_id"] = self._conversation_id
        if "user_ids" in data and self._random.random() < 0.5:
            data["user_ids"] = [self._word() for _ in range(self._random.choice((0, 1, 200, 201)))]
        if "seq" in data and self._random.random() < 0.5:
            data["seq"] = self._random.choice((-1, 0, 1, 2**31, 2**62, 2**63, 2**64, 10**30))
        return self._asked(f"{action.value} with odd fields", {"action": action.value, "data": data})

    def _message(self) -> Case:
        data = {
            "conversation_id": self._conversation_id,
            "client_msg_id": f"fuzz-{self._number}-{self._random.getrandbits(64):x}",
            "content": self._text(50) or "x",
        }
        return self._asked("a message", {"action": "send_message", "data": data})

    def _unknown_action(self) -> Case:
        return self._asked("unknown action", {"action": self._text(80), "data": {}})

    def _data_is_no_object(self) -> Case:
        data = self._random.choice((1, "text", [], [1], True, 0.5))
        return self._asked("data is no object", {"action": "ping", "data": data})

    def _wrong_ref(self) -> Case:
        ref: Any = self._random.choice(({}, [], True, 0.5, "x" * (REF_CHARS_MAX + 1), 2**60, ["a"]))
        return self._text_case("wrong ref", {"action": "ping", "ref": ref}, Outcome.STAYS)

    def _fragments(self) -> Case:
        """A whole question in pieces, with control frames between them."""
        ref = self._ref()
        whole = json.dumps(
            {"action": "ping", "ref": ref, "data": {"text": self._text(60)}}, ensure_ascii=False
        ).encode()
        cuts = sorted(self._random.sample(range(len(whole) + 1), self._random.randrange(1, 8)))
        pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        sent = []
        for index, piece in enumerate(pieces):
            opcode = wire.TEXT if index == 0 else wire.CONTINUATION
            sent.append(self._frame(opcode, piece, fin=index == len(pieces) - 1))
            if self._random.random() < 0.2 and index < len(pieces) - 1:
                sent.append(self._frame(wire.PONG, self._random.randbytes(self._random.randrange(126))))
        return Case("fragments", b"".join(sent), Outcome.ANSWERED, ref, frames=len(sent))

    def _control(self) -> Case:
        opcode = self._random.choice((wire.PING, wire.PONG))
        return Case("control", self._frame(opcode, self._random.randbytes(self._random.randrange(126))), Outcome.STAYS)

    # --- what may end it ----------------------------------------------------------------------------------------------

    def _wrong_shape(self) -> Case:
        shape: Any = self._random.choice(
            (1, "ping", [], None, True, {}, {"action": 1}, {"action": None}, {"Action": "ping"})
        )
        return self._text_case("wrong shape", shape, Outcome.CLOSED, _BAD)

    def _no_json(self) -> Case:
        text = self._random.choice(
            (
                "",
                " ",
                "{",
                '{"action":',
                "ping",
                "{'action': 'ping'}",
                '{"action":"ping"}}',
                "NaN",
                "[1,]",
                "\ufeff",
                "//",
            )
        )
        return Case("no JSON", self._frame(wire.TEXT, text.encode()), Outcome.CLOSED, codes=_BAD)

    def _deep(self) -> Case:
        levels = self._random.choice((1, 10, 31, 33, 100, 199, 201, 1_000, 15_000, 30_000))
        opening, closing = self._random.choice((("[", "]"), ('{"a":', "}")))
        if levels * len(opening + closing) > FRAME_BYTES_MAX - 500:
            levels //= 4
        inner = opening * levels + "1" + closing * levels
        fields = f'"conversation_id":"{self._conversation_id}","client_msg_id":"deep-{self._number}","content":"x"'
        text = f'{{"action":"send_message","ref":"{self._ref()}","data":{{{fields},"extra_metadata":{inner}}}}}'
        return Case("deep", self._frame(wire.TEXT, text.encode()), Outcome.EITHER)

    def _number_beyond(self) -> Case:
        number = self._random.choice(NUMBERS)
        text = self._random.choice(
            (
                f'{{"action":"ping","ref":{number}}}',
                f'{{"action":"mark_read","data":{{"conversation_id":"{self._conversation_id}","seq":{number}}}}}',
                f'{{"action":"ping","data":{{"n":{number}}}}}',
            )
        )
        return Case("number beyond", self._frame(wire.TEXT, text.encode()), Outcome.EITHER)

    def _surrogates(self) -> Case:
        odd = self._random.choice(("\\ud800", "\\udfff\\ud800", "\\u0000", "\\ud83d\\ude00", "\\uffff", "\\ud83d"))
        fields = f'"conversation_id":"{self._conversation_id}","client_msg_id":"odd-{self._number}"'
        text = f'{{"action":"send_message","data":{{{fields},"content":"{odd}","extra_metadata":{{"{odd}":"{odd}"}}}}}}'
        return Case("surrogates", self._frame(wire.TEXT, text.encode()), Outcome.EITHER)

    def _invalid_utf8(self) -> Case:
        bad = self._random.choice((b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe4\xbd", b"\x80"))
        payload = b'{"action":"ping","data":{"a":"' + bad + b'"}}'
        codes = frozenset({int(CloseCode.INVALID_TEXT)})
        return Case("invalid UTF-8", self._frame(wire.TEXT, payload), Outcome.CLOSED, codes=codes)

    def _binary(self) -> Case:
        payload = self._random.choice((b"", b'{"action":"ping"}', self._random.randbytes(200)))
        return Case("binary", self._frame(wire.BINARY, payload), Outcome.CLOSED, codes=_BAD)

    def _continuation(self) -> Case:
        """A continuation of nothing, or something new in the middle of a text."""
        begun = self._frame(wire.TEXT, b'{"action":', fin=False)
        data = self._random.choice((self._frame(wire.CONTINUATION, b"x"), begun + begun, begun + self._frame(2, b"x")))
        return Case("continuation", data, Outcome.CLOSED, codes=_PROTOCOL, frames=2)

    def _bad_control(self) -> Case:
        opcode = self._random.choice((wire.PING, wire.PONG, wire.CLOSE))
        data = self._random.choice(
            (self._frame(opcode, b"\x03\xe8", fin=False), self._frame(opcode, b"\x03\xe8" + b"x" * 124))
        )
        return Case("bad control", data, Outcome.CLOSED, codes=_PROTOCOL)

    def _reserved_bits(self) -> Case:
        data = self._frame(self._random.choice((1, 2, 9)), b'{"action":"ping"}', rsv=self._random.randrange(1, 8))
        return Case("reserved bits", data, Outcome.CLOSED, codes=_PROTOCOL)

    def _reserved_opcode(self) -> Case:
        data = self._frame(self._random.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), b"x")
        return Case("reserved opcode", data, Outcome.CLOSED, codes=_PROTOCOL)

    def _unmasked(self) -> Case:
        return Case("unmasked", wire.frame(wire.TEXT, b'{"action":"ping"}', None), Outcome.CLOSED, codes=_PROTOCOL)

    def _long_length(self) -> Case:
        """A length written in more bytes than it needs."""
        data = self._frame(wire.TEXT, b'{"action":"ping"}', length_bytes=self._random.choice((2, 8)))
        return Case("long length", data, Outcome.CLOSED, codes=_PROTOCOL)

    def _oversized(self) -> Case:
        size = FRAME_BYTES_MAX + self._random.choice((1, 2, 1_000, 100_000))
        payload = b'{"action":"ping","data":{"a":"' + b"x" * size + b'"}}'
        if self._random.random() < 0.5:
            half = len(payload) // 2
            data = self._frame(1, payload[:half], fin=False) + self._frame(0, payload[half:])
            return Case("oversized, in parts", data, Outcome.CLOSED, codes=_BIG, frames=2)
        return Case("oversized", self._frame(wire.TEXT, payload), Outcome.CLOSED, codes=_BIG)

    def _claims_to_be_huge(self) -> Case:
        size = self._random.choice((2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1))
        data = bytes((0x81, 0xFF)) + size.to_bytes(8, "big") + b"mask" + b"x" * self._random.randrange(100)
        return Case("claims to be huge", data, Outcome.CLOSED, codes=_BIG)

    def _close(self) -> Case:
        code = self._random.choice((999, 1000, 1001, 1004, 1005, 1006, 1015, 1016, 2999, 3000, 4000, 4999, 5000, 65535))
        payload = self._random.choice(
            (b"", b"\x03", code.to_bytes(2, "big"), code.to_bytes(2, "big") + b"bye", b"\x03\xe8\xff\xfe")
        )
        answers = frozenset({code, 1000, 1002, 1005, 1007})
        return Case("close", self._frame(wire.CLOSE, payload), Outcome.CLOSED, codes=answers)

    def _torn(self) -> Case:
        whole = self._frame(wire.TEXT, b'{"action":"ping","data":{}}')
        return Case("torn", whole[: self._random.randrange(1, len(whole))], Outcome.TORN)

    def _garbage(self) -> Case:
        return Case("garbage", self._random.randbytes(self._random.choice((2, 20, 500))), Outcome.TORN)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _pick(self, weighted: list[tuple[int, Callable[[], Case]]]) -> Case:
        self._number += 1
        (made,) = self._random.choices([make for _, make in weighted], [weight for weight, _ in weighted])
        return made()

    def _frame(self, opcode: int, payload: bytes, **odd: Any) -> bytes:
        return wire.frame(opcode, payload, self._random.randbytes(4), **odd)

    def _text_case(self, kind: str, value: object, outcome: Outcome, codes: frozenset[int] = frozenset()) -> Case:
        return Case(kind, self._frame(wire.TEXT, json.dumps(value).encode()), outcome, codes=codes)

    def _asked(self, kind: str, question: dict[str, Any]) -> Case:
        ref = self._ref()
        text = json.dumps({**question, "ref": ref}, ensure_ascii=self._random.random() < 0.5)
        payload = text.encode()
        if len(payload) > FRAME_BYTES_MAX:
            return Case(kind, self._frame(wire.TEXT, payload), Outcome.CLOSED, codes=_BIG)
        return Case(kind, self._frame(wire.TEXT, payload), Outcome.ANSWERED, ref)

    def _ref(self) -> str:
        self._number += 1
        return f"r{self._number}"

    def _word(self) -> str:
        return "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz_-ABC019.*>$", k=self._random.randrange(1, 20)))

    def _text(self, chars_max: int) -> str:
        odd = 'aZ09 .*>$"\\/\n\t\u0000\u007f\u00e9\u4f60\u597d\u200f\ufeff\U0001f600'
        return "".join(self._random.choices(odd, k=self._random.randrange(chars_max)))

    def _value(self, depth: int) -> Any:
        choice = self._random.randrange(11 if depth else 8)
        match choice:
            case 0:
                return None
            case 1:
                return self._random.random() < 0.5
            case 2:
                return self._random.choice((0, -1, 1, 2**31, 2**53, 2**63, -(2**64)))
            case 3:
                return self._random.choice((0.0, -0.5, 1e300, 1e-300))
            case 4:
                return self._text(200)
            case 5:
                return self._word()
            case 6:
                return self._conversation_id
            case 7:
                return "x" * self._random.choice((64, 65, 10_000, 10_001))
            case 8 | 9:
                return [self._value(depth - 1) for _ in range(self._random.randrange(4))]
            case _:
                return {self._word(): self._value(depth - 1) for _ in range(self._random.randrange(4))}
