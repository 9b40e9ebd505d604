"""What a host application's own code calls: the methods and arguments of the in-process service that Natter replaces.

    broadcasting = BroadcastingService("https://chat.example", token)
    await broadcasting.broadcast_message(conversation_id, {"id": …, "content": …, "sender_id": …})

By default nothing here raises: what fails is logged, and the host application's request goes on.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from contracts.codes import ErrorCode
from contracts.ids import USER_ID_PATTERN, UUID_PATTERN, new_id
from natter_client.calling import Caller, CallOptions
from natter_client.clock import Clock
from natter_client.errors import NatterError, Rejected

log = logging.getLogger(__name__)

T = TypeVar("T")

READ_IDS_MAX = 200
"""Message ids of one call of chat-api; more are told in several."""

_USER_ID = re.compile(USER_ID_PATTERN)
_UUID = re.compile(UUID_PATTERN)
_CLIENT_MSG_ID = re.compile(r"^[A-Za-z0-9._:-]{1,64}\Z")
_DERIVED = frozenset({"id", "conversation_id", "created_at", "timestamp"})
"""Fields of a host application's message that Natter knows from elsewhere, or says itself."""


class BroadcastingService:
    """Broadcasts in the name of a host application, whose token must have the role `service`.

    `url` is chat-api's, without `/v1`. `token` is a JWT, or an async function that is asked for one and again before
    that one is over. `raise_errors=True` raises `Rejected` and `RequestFailed` instead of logging them. `headers` is
    asked before each call for headers to send along, such as the host application's own `traceparent`.

    Safe to share between all requests of one event loop; close it with `aclose`, or use it with `async with`.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], Awaitable[str]],
        *,
        raise_errors: bool = False,
        options: CallOptions | None = None,
        headers: Callable[[], Mapping[str, str]] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._caller = Caller(url, token, options or CallOptions(), transport=transport, clock=clock)
        self._raise_errors = raise_errors
        self._headers = headers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to chat-api."""
        await self._caller.aclose()

    # --- the seven calls ----------------------------------------------------------------------------------------------

    async def broadcast_message(
        self, conversation_id: str, message_data: Mapping[str, Any], exclude_user_id: str | None = None
    ) -> dict[str, Any] | None:
        """To every participant and the owner; who is away gets a push, the sender does not.

        `message_data` has `content` and `sender_id`, and may have `id` (the host application's own: the same again is
        the same message), `message_type`, `sender_type` (`chat` or `system`), `sender_name`, `is_important`,
        `extra_metadata`, `attachment_id`, `reply_to`. Nothing of it reaches `exclude_user_id`.
        Returns the message as Natter has stored it, None if that failed.
        """

        async def send() -> dict[str, Any] | None:
            body = _told(message_data)
            if body.get("message_type") == "system":
                # In Natter that is who speaks, not what is said.
                body |= {"message_type": "text", "sender_type": "system"}
            body["client_msg_id"] = client_msg_id(message_data.get("id"))
            if exclude_user_id is not None:
                body["exclude_user_ids"] = [exclude_user_id]
            return await self._post(f"/conversations/{_conversation(conversation_id)}/messages", body)

        return await self._carefully("broadcast_message", send, None)

    async def send_direct_message(self, user_id: str, message_data: Mapping[str, Any]) -> dict[str, Any] | None:
        """To one user, on all devices: `title`, `content`, `type`, and perhaps `action`, `conversation_id`,
        `is_important`, `data`, and `device_types` if only some are meant. The same `id` again is the same message.

        Returns the notification as Natter has stored it, None if that failed.
        """

        async def send() -> dict[str, Any] | None:
            body = {"type": "direct_message", **_told(message_data, "conversation_id")}
            return await self._post(f"/users/{_user(user_id)}/notifications", body, message_data.get("id"))

        return await self._carefully("send_direct_message", send, None)

    async def broadcast_typing_status(self, conversation_id: str, user_id: str, is_typing: bool) -> None:
        """Tell the others that somebody types, or has stopped. Never stored; ends by itself after some seconds."""

        async def send() -> None:
            path = f"/conversations/{_conversation(conversation_id)}/typing"
            body = {"user_id": user_id, "is_typing": is_typing}
            # What somebody did seconds ago is worth nothing.
            await self._caller.call("POST", path, body=body, headers=self._sent_along(), attempts_max=1)

        await self._carefully("broadcast_typing_status", send, None)

    async def broadcast_read_status(self, conversation_id: str, user_id: str, message_ids: Sequence[str]) -> None:
        """Tell the others, and the reader's other devices, that these messages (and all before them) were read.

        They are named by Natter's ids, or by the application's own: of those the conversation's newest 2,000 are known.
        """

        async def send() -> None:
            path = f"/conversations/{_conversation(conversation_id)}/read"
            ids = [client_msg_id(one) for one in message_ids]
            for start in range(0, len(ids), READ_IDS_MAX):
                body = {"user_id": user_id, "message_ids": ids[start : start + READ_IDS_MAX]}
                await self._caller.call("PUT", path, body=body, headers=self._sent_along())

        await self._carefully("broadcast_read_status", send, None)

    async def broadcast_system_notification(
        self, conversation_id: str, notification_data: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """To everybody in a conversation, and into its history: `title`, `message`, `type`, and perhaps
        `is_important`, `data`. The same `id` again is the same notification.

        Returns the message that it became, None if that failed.
        """

        async def send() -> dict[str, Any] | None:
            path = f"/conversations/{_conversation(conversation_id)}/system-notifications"
            return await self._post(path, _told(notification_data), notification_data.get("id"))

        return await self._carefully("broadcast_system_notification", send, None)

    async def get_user_device_info(self, user_id: str) -> list[dict[str, Any]]:
        """The user's sockets over all edges: `{connection_id, device_type, connected_at}` each; [] if that failed."""

        async def ask() -> list[dict[str, Any]]:
            found = await self._get(f"/users/{_user(user_id)}/connections")
            return [
                {name: one[name] for name in ("connection_id", "device_type", "connected_at")}
                for one in found["connections"]
            ]

        return await self._carefully("get_user_device_info", ask, [])

    async def is_user_online(self, user_id: str) -> bool:
        """Whether the user has a socket anywhere now; False if that could not be learned."""

        async def ask() -> bool:
            return bool((await self._get(f"/users/{_user(user_id)}/presence"))["online"])

        return await self._carefully("is_user_online", ask, False)

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _post(self, path: str, body: Mapping[str, Any], given_id: object = None) -> dict[str, Any] | None:
        headers = {**self._sent_along(), "Idempotency-Key": _key(path, given_id)}
        answer = await self._caller.call("POST", path, body=body, headers=headers)
        return answer if isinstance(answer, dict) else None

    async def _get(self, path: str) -> Any:
        return await self._caller.call("GET", path, headers=self._sent_along())

    def _sent_along(self) -> Mapping[str, str]:
        return self._headers() if self._headers is not None else {}

    async def _carefully(self, what: str, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Do `work`; a failure is raised or logged, as this service was told. Nothing said by users is logged."""
        try:
            return await work()
        except NatterError as failed:
            if self._raise_errors:
                raise
            log.warning("%s failed: %s", what, failed)
        except Exception as broken:
            if self._raise_errors:
                raise
            # An answer of another shape, a function of theirs that raises: no reason to break their request.
            log.error("%s failed: %s", what, type(broken).__name__, exc_info=broken)
        return otherwise


def client_msg_id(given: object) -> str:
    """The name under which chat-api knows a repeat: the host application's id, or a new one if it gave none.

    An id that chat-api would not take becomes its digest, which is as good a name.
    """
    if given is None:
        return new_id()
    text = str(given)
    return text if _CLIENT_MSG_ID.match(text) else hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _key(path: str, given: object) -> str:
    """The idempotency key: of this id to this addressee, because the same notice may be meant for many."""
    return new_id() if given is None else hashlib.sha256(f"{path}\0{given}".encode(errors="replace")).hexdigest()


def _told(data: Mapping[str, Any], *also: str) -> dict[str, Any]:
    """What of the host application's fields chat-api is to know; a None counts as left out."""
    return {name: value for name, value in data.items() if value is not None and (name not in _DERIVED or name in also)}


def _conversation(conversation_id: object) -> str:
    # Checked, because it becomes part of a path.
    text = str(conversation_id).lower()
    if not _UUID.match(text):
        raise Rejected(ErrorCode.VALIDATION_FAILED, "the conversation id is not one of Natter's (a UUID)")
    return text


def _user(user_id: object) -> str:
    text = str(user_id)
    if not _USER_ID.match(text):
        raise Rejected(ErrorCode.VALIDATION_FAILED, "the user id is not 1 to 64 of A-Z a-z 0-9 _ -")
    return text
