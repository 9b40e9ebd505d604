"""RFC 6455 as pure functions and one walker: bytes in, what to do out; no socket, no loop.

picows unmasks and cuts frames in C, but checks only part of the RFC, and reports a broken frame before it hands over
the good one in front of it. So `Guard` walks over every byte before picows sees it. It lets pass only what is legal,
takes close frames out of the stream, and looks into text that has not arrived completely, because invalid UTF-8 is to
be refused at the first wrong byte and not megabytes later.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

NORMAL = 1000
NO_STATUS = 1005
"""Stands for a close frame without a code; never on the wire."""
ABNORMAL = 1006
"""Stands for a connection that ended without a close frame; never on the wire."""
PROTOCOL_ERROR = 1002
INVALID_TEXT = 1007
MESSAGE_TOO_BIG = 1009

CONTROL_PAYLOAD_MAX = 125
CLOSE_REASON_BYTES_MAX = CONTROL_PAYLOAD_MAX - 2


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES = frozenset(map(int, Opcode))
_FIN = 0x80
_RSV = 0x70
_MASKED = 0x80


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """One whole server frame (FIN set, not masked), ready to write."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", _FIN | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FIN | opcode, 127, size) + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what fits, at a character's edge. `NO_STATUS` gives an empty one."""
    if code == NO_STATUS:
        return encode_frame(Opcode.CLOSE, b"")
    text = reason.encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore").encode()
    return encode_frame(Opcode.CLOSE, struct.pack("!H", code) + text)


def may_be_on_the_wire(code: int) -> bool:
    """Whether a peer may send this close code: the registered ones, and 3000 to 4999 for libraries and applications."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def unmask(data: bytes | memoryview, mask: bytes, offset: int = 0) -> bytes:
    """`data` XOR the mask, where `data` begins `offset` bytes into the payload; one big integer is Python's fastest."""
    turn = offset % 4
    size = len(data)
    pad = (mask[turn:] + mask[:turn]) * (size // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad[:size], "little")).to_bytes(size, "little")


@dataclass(frozen=True, slots=True)
class Pass:
    """These bytes are legal: give them to the parser."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckText:
    """A piece of a text message whose frame arrives in parts: fail with 1007 now if it cannot be UTF-8 any more."""

    piece: bytes


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """A valid close frame; nothing after it counts."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The peer broke the protocol: close with this code; nothing after it counts."""

    code: int
    reason: str


Step: TypeAlias = Pass | CheckText | PeerClosed | Fail


def read_close(payload: bytes) -> PeerClosed | Fail:
    """What the payload of a close frame means."""
    if not payload:
        return PeerClosed(NO_STATUS, "")
    if len(payload) == 1:
        return Fail(PROTOCOL_ERROR, "close payload of one byte")
    (code,) = struct.unpack_from("!H", payload)
    if not may_be_on_the_wire(code):
        return Fail(PROTOCOL_ERROR, f"close code {code} is not allowed on the wire")
    try:
        return PeerClosed(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Fail(INVALID_TEXT, "close reason is not UTF-8")


class Guard:
    """Walks over a client's bytes, frame by frame, and remembers where it is between two reads."""

    __slots__ = ("_at", "_close", "_held", "_left", "_mask", "_message", "_size", "_size_max", "_text", "_too_big")

    def __init__(self, message_bytes_max: int, too_big: int = MESSAGE_TOO_BIG) -> None:
        self._size_max = message_bytes_max
        self._too_big = too_big
        self._held = b""  # a header that has not arrived completely, or a close frame up to here
        self._left = 0  # payload bytes of the current frame that have not arrived
        self._at = 0  # payload bytes of the current frame that have arrived
        self._mask = b""
        self._text = False  # the current frame belongs to a text message
        self._close = False  # the current frame is a close frame
        self._message = -1  # opcode of the fragmented message that is open
        self._size = 0  # bytes of the message so far, all fragments together

    @property
    def holds_back(self) -> bool:
        """Whether bytes of an earlier read have not been passed on yet."""
        return bool(self._held)

    def whole_small_frame(self, view: memoryview) -> bool:
        """Whether `view` is exactly one short, unfragmented, legal frame that is no close: the common case, no walk."""
        if self._left or self._held or len(view) < 6:
            return False
        first, second = view[0], view[1]
        if second < _MASKED or (second & 0x7F) > CONTROL_PAYLOAD_MAX or len(view) != 6 + (second & 0x7F):
            return False
        if first == 0x8A or first == 0x89:
            return True
        return (first == 0x81 or first == 0x82) and self._message < 0 and (second & 0x7F) <= self._size_max

    def feed(self, data: bytes) -> list[Step]:
        """What to do about `data`, in order; after `Fail` or `PeerClosed` the guard must not be fed again."""
        steps: list[Step] = []
        if self._held:
            data = self._held + data
            self._held = b""
        passed = position = 0
        end = len(data)
        while position < end:
            if self._left == 0:
                header = self._header(data, position)
                if header == 0:
                    break
                if isinstance(header, Fail):
                    steps.append(Pass(data[passed:position]))
                    steps.append(header)
                    return steps
                if self._close:
                    # Close frames are small: wait for all of it, and keep it from the parser.
                    if end - position < header + self._left:
                        self._left, self._close = 0, False
                        break
                    payload = unmask(data[position + header : position + header + self._left], self._mask)
                    steps.append(Pass(data[passed:position]))
                    steps.append(read_close(payload))
                    return steps
                position += header
                self._at = 0
            here = min(self._left, end - position)
            if self._text and (self._at or here < self._left):
                # The frame is spread over reads: the decoder must have seen all that was before it.
                frame_start = position
                if self._at == 0 and passed < frame_start:
                    steps.append(Pass(data[passed:frame_start]))
                    passed = frame_start
                if here:
                    steps.append(CheckText(unmask(data[position : position + here], self._mask, self._at)))
            position += here
            self._at += here
            self._left -= here
        if passed < position:
            steps.append(Pass(data[passed:position]))
        self._held = data[position:]
        return steps

    def _header(self, data: bytes, position: int) -> int | Fail:
        """Length of the legal header at `position`; 0 if it has not arrived completely."""
        available = len(data) - position
        if available < 2:
            return 0
        first, second = data[position], data[position + 1]
        opcode, size = first & 0x0F, second & 0x7F
        if fault := self._fault(first, second):
            return Fail(PROTOCOL_ERROR, fault)
        header = 6
        if size == 126:
            if available < 4:
                return 0
            (size,) = struct.unpack_from("!H", data, position + 2)
            header, least = 8, 126
        elif size == 127:
            if available < 10:
                return 0
            (size,) = struct.unpack_from("!Q", data, position + 2)
            header, least = 14, 65_536
        else:
            least = 0
        if size >> 63:
            return Fail(PROTOCOL_ERROR, "length with the top bit set")
        if size < least:
            return Fail(PROTOCOL_ERROR, "length not in its shortest form")
        control = opcode >= Opcode.CLOSE
        total = size if control else size + (self._size if opcode == Opcode.CONTINUATION else 0)
        if not control and total > self._size_max:
            return Fail(self._too_big, f"message larger than {self._size_max} bytes")
        if available < header:
            return 0
        self._mask = data[position + header - 4 : position + header]
        self._left = size
        self._close = opcode == Opcode.CLOSE
        if control:
            self._text = False
            return header
        kind = opcode if opcode != Opcode.CONTINUATION else self._message
        self._text = kind == Opcode.TEXT
        final = bool(first & _FIN)
        self._message = -1 if final else kind
        self._size = 0 if final else total
        return header

    def _fault(self, first: int, second: int) -> str | None:
        opcode = first & 0x0F
        if first & _RSV:
            return "reserved bit set without an extension"
        if opcode not in _OPCODES:
            return f"reserved opcode {opcode:#x}"
        if not second & _MASKED:
            return "client frame without a mask"
        if opcode >= Opcode.CLOSE:
            if not first & _FIN:
                return "fragmented control frame"
            if (second & 0x7F) > CONTROL_PAYLOAD_MAX:
                return "control frame larger than 125 bytes"
        elif opcode == Opcode.CONTINUATION:
            if self._message < 0:
                return "continuation without a message"
        elif self._message >= 0:
            return "new message inside a fragmented one"
        return None
