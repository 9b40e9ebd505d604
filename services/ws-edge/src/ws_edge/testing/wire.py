"""A socket's wire in memory: what was written, and a switch for a peer that does not read."""

from __future__ import annotations


class MemoryWire:
    """A `Wire` that keeps what was written; a test says when it takes no more."""

    def __init__(self) -> None:
        self.paused = False
        self.writes: list[bytes] = []
        self.stuck_bytes = 0
        self.closed_with: tuple[int, str] | None = None

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.writes.append(data)

    def buffered(self) -> int:
        """As many bytes as the test says."""
        return self.stuck_bytes

    def close(self, code: int, reason: str, timeout_s: float) -> None:
        """Remember the first close."""
        del timeout_s
        if self.closed_with is None:
            self.closed_with = (code, reason)

    def frames(self) -> list[tuple[int, bytes]]:
        """Everything written so far, as (opcode, payload); clears it."""
        data, self.writes = b"".join(self.writes), []
        return parse_frames(data)


def parse_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Unmasked server frames as (opcode, payload); raises ValueError if the last one is cut."""
    frames, position = [], 0
    while position < len(data):
        opcode, size = data[position] & 0x0F, data[position + 1]
        position += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[position : position + width], "big")
            position += width
        if position + size > len(data):
            raise ValueError("the last frame is cut")
        frames.append((opcode, data[position : position + size]))
        position += size
    return frames
