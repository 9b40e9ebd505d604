"""What a frame of a connected client means: bytes in, a list of effects out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from contracts.codes import CloseCode, ErrorCode
from contracts.frames import (
    REF_CHARS_MAX,
    Activity,
    ClientAction,
    ConnectionType,
    FrameError,
    MarkRead,
    PresenceSubscribe,
    RefreshToken,
    SendMessage,
    ServerAction,
    Typing,
    frame_bytes,
)

FEATURES = {
    ConnectionType.CHAT: (
        "messaging",
        "typing_indicator",
        "file_upload",
        "voice_note",
        "read_receipts",
        "presence",
        "system_notifications",
        "token_refresh",
    ),
    ConnectionType.ADMIN: ("system_notifications", "user_monitoring", "real_time_stats", "presence", "token_refresh"),
}
"""What a socket is good for, as `connected.features` says it: seed rows W1 and W7."""

M = TypeVar("M", bound=BaseModel)

Ref: TypeAlias = str | int | None
_REF_INT_MAX = 2**53
"""Beyond it JavaScript would hand back another number than it was sent."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Write this text frame to the client."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class ForwardSend:
    """Ask chat-api to do it; its answer goes to the client under `ref`."""

    message: SendMessage
    ref: Ref
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ForwardTyping:
    """Tell chat-api, unless it knows."""

    typing: Typing
    ref: Ref


@dataclass(frozen=True, slots=True)
class ForwardRead:
    """Ask chat-api to move the read cursor."""

    read: MarkRead
    ref: Ref


@dataclass(frozen=True, slots=True)
class FollowPresence:
    """Tell this socket of these users' coming and going, as far as chat-api lets it see them."""

    subscribe: PresenceSubscribe
    ref: Ref


@dataclass(frozen=True, slots=True)
class RefreshWith:
    """Go on with this token, if it is good; the answer goes to the client under `ref`."""

    token: str = field(repr=False)
    ref: Ref


@dataclass(frozen=True, slots=True)
class SetActivity:
    """Somebody sits before the device from now on, or nobody; `ack` says that it is known."""

    active: bool
    ack: SendFrame


Asked: TypeAlias = ForwardSend | ForwardTyping | ForwardRead | FollowPresence
"""What chat-api has a say in."""

Effect: TypeAlias = SendFrame | CloseSocket | Asked | RefreshWith | SetActivity


class FrameBudget:
    """A token bucket that goes into debt: refused frames cost too, and too deep a debt is abuse."""

    __slots__ = ("_abuse", "_at_s", "_burst", "_rate", "_tokens")

    def __init__(self, per_second: float, burst: int, abuse: int, now_s: float) -> None:
        self._rate, self._burst, self._abuse = per_second, burst, abuse
        self._tokens = float(burst)
        self._at_s = now_s

    def spend(self, now_s: float) -> Effect | None:
        """None if a frame is within the budget; else what to do instead of handling it."""
        tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate) - 1
        self._at_s = now_s
        if tokens < -self._abuse:
            return CloseSocket(CloseCode.TOO_MANY, "too many frames")
        self._tokens = tokens
        if tokens >= 0:
            return None
        wait_ms = int(1000 * -tokens / self._rate) + 1
        return error(ErrorCode.RATE_LIMITED, "too many frames", retry_after_ms=wait_ms)


def error(code: ErrorCode, message: str, *, ref: Ref = None, retry_after_ms: int | None = None) -> SendFrame:
    """An `error` frame; the socket stays open."""
    data = FrameError(code=code, message=message, retry_after_ms=retry_after_ms)
    return SendFrame(frame_bytes(ServerAction.ERROR, data.model_dump(mode="json", exclude_none=True), ref=ref))


def on_binary() -> list[Effect]:
    """Binary frames mean nothing here."""
    return [CloseSocket(CloseCode.BAD_FRAME, "frames are JSON text, not binary")]


def on_text(payload: bytes) -> list[Effect]:
    """What a text frame asks for. `payload` is valid UTF-8 within the size limit; everything else is checked here."""
    try:
        # Not json.loads: this one has a nesting limit of its own, and refuses NaN and lone surrogates.
        frame = from_json(payload, allow_inf_nan=False)
    except ValueError:
        return [CloseSocket(CloseCode.BAD_FRAME, "not valid JSON")]
    if not isinstance(frame, dict):
        return [CloseSocket(CloseCode.BAD_FRAME, "a frame is a JSON object")]
    action = frame.get("action")
    if not isinstance(action, str):
        return [CloseSocket(CloseCode.BAD_FRAME, "a frame has an action, which is a string")]
    ref = frame.get("ref")
    if not _is_ref(ref):
        return [error(ErrorCode.VALIDATION_FAILED, f"ref must be a whole number or up to {REF_CHARS_MAX} characters")]
    data = frame.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        return [error(ErrorCode.VALIDATION_FAILED, "data must be an object", ref=ref)]
    return [_act(action, data, ref, frame.get("traceparent"))]


def _is_ref(ref: object) -> bool:
    if isinstance(ref, bool):
        return False
    if isinstance(ref, int):
        return abs(ref) <= _REF_INT_MAX
    return ref is None or (isinstance(ref, str) and len(ref) <= REF_CHARS_MAX)


def _act(action: str, data: Mapping[str, Any], ref: Ref, traceparent: object) -> Effect:
    match action:
        case ClientAction.PING:
            return SendFrame(frame_bytes(ServerAction.PONG, {}, ref=ref))
        case ClientAction.SEND_MESSAGE:
            # What is no valid traceparent counts as none, as the standard demands.
            trace = traceparent if isinstance(traceparent, str) else None
            return _with(SendMessage, data, ref, lambda message: ForwardSend(message, ref, trace))
        case ClientAction.TYPING:
            return _with(Typing, data, ref, lambda typing: ForwardTyping(typing, ref))
        case ClientAction.MARK_READ:
            return _with(MarkRead, data, ref, lambda read: ForwardRead(read, ref))
        case ClientAction.PRESENCE_SUBSCRIBE:
            return _with(PresenceSubscribe, data, ref, lambda subscribe: FollowPresence(subscribe, ref))
        case ClientAction.ACTIVITY:
            return _with(Activity, data, ref, lambda activity: SetActivity(activity.active, _known(activity, ref)))
        case ClientAction.REFRESH_TOKEN:
            return _with(RefreshToken, data, ref, lambda refresh: RefreshWith(refresh.token, ref))
        case _:
            return error(ErrorCode.UNKNOWN_ACTION, "there is no such action", ref=ref)


def _known(activity: Activity, ref: Ref) -> SendFrame:
    return SendFrame(frame_bytes(ServerAction.ACK, activity.model_dump(mode="json"), ref=ref))


def _with(model: type[M], data: Mapping[str, Any], ref: Ref, effect: Callable[[M], Effect]) -> Effect:
    try:
        return effect(model.model_validate(data))
    except ValidationError as invalid:
        return error(ErrorCode.VALIDATION_FAILED, _reasons(invalid), ref=ref)


def _reasons(invalid: ValidationError) -> str:
    """Field and fault, never the input: it may be private."""
    faults = invalid.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'data'}: {fault['msg']}" for fault in faults[:10])
