"""HTTP with a client's token and limits, and what the client itself needs of it: sync, events, send."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import httpx
from pydantic import Field

from contracts.codec import Contract, decode
from contracts.codes import ErrorCode
from contracts.envelope import Envelope
from contracts.errors import Undecodable
from contracts.frames import Ack
from contracts.messages import Message, MessageDraft
from contracts.problems import Problem
from contracts.sync import SyncPage
from natter_client.asking import ask
from natter_client.errors import RequestFailed
from natter_client.options import ClientOptions
from natter_client.tokens import Tokens

M = TypeVar("M", bound=Contract)

RETRY_AFTER_MAX_S = 300.0
"""A `Retry-After` above it is taken for a mistake."""


class EventPage(Contract):
    """Events of a conversation in the order of their seq, and where it ends."""

    events: tuple[Envelope, ...]
    last_seq: int = Field(ge=0)


class Api:
    """chat-api at `url`; every method raises RequestFailed for anything but success."""

    def __init__(self, url: str, http: httpx.AsyncClient, tokens: Tokens, options: ClientOptions) -> None:
        self._url = url.rstrip("/") + "/v1"
        self._http = http
        self._tokens = tokens
        self._options = options

    async def sync(self, cursor: str | None) -> SyncPage:
        """A page of what happened since `cursor`, or of a snapshot."""
        response = await self.call("GET", "/sync", params={} if cursor is None else {"cursor": cursor})
        return self.read(SyncPage, response)

    async def events(self, conversation_id: str, after_seq: int) -> EventPage:
        """A page of the events that follow on `after_seq` without a gap."""
        params = {"after_seq": str(after_seq), "limit": str(self._options.repair_page)}
        return self.read(EventPage, await self.call("GET", f"/conversations/{conversation_id}/events", params=params))

    async def send(self, conversation_id: str, draft: MessageDraft) -> Ack:
        """Send a message; the same `client_msg_id` again acknowledges the first."""
        path = f"/conversations/{conversation_id}/messages"
        response = await self.call("POST", path, json=draft.model_dump(mode="json", exclude_none=True))
        message = self.read(Message, response)
        return Ack(
            message_id=message.id,
            conversation_id=message.conversation_id,
            seq=message.seq,
            client_msg_id=draft.client_msg_id,
            duplicate=response.status_code == 200,
        )

    async def call(self, method: str, path: str, *, signed_in: bool = True, **request: Any) -> httpx.Response:
        """One request, in the user's name unless it needs none; the answer, which is a success."""
        token = await self._tokens.current() if signed_in else None
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            # httpx limits each step; whoever sends a byte now and then would never end.
            async with asyncio.timeout(self._options.request_timeout_s):
                response = await ask(self._http, method, self._url + path, headers=headers, **request)
        except TimeoutError:
            raise RequestFailed(f"{method} {path}: no answer in time") from None
        except (httpx.HTTPError, OSError) as failed:
            raise RequestFailed(f"{method} {path}: {failed!r}") from failed
        if not response.is_success:
            refused = failure(f"{method} {path}", response)
            if refused.token_refused:
                self._tokens.refused(token)
            raise refused
        return response

    def read(self, model: type[M], response: httpx.Response) -> M:
        """The answer's body."""
        try:
            return decode(model, response.content)
        except Undecodable as unreadable:
            raise RequestFailed(str(unreadable), status=response.status_code) from unreadable


def failure(what: str, response: httpx.Response) -> RequestFailed:
    """The error that an answer which is no success stands for."""
    code: ErrorCode | None = None
    detail = f"{what}: {response.status_code}"
    try:
        told = decode(Problem, response.content)
        code, detail = told.code, told.detail
    except Undecodable:
        # Not one of ours: some proxy between, or a release that knows more codes.
        pass
    retry_after_s = retry_after(response.headers.get("Retry-After"))
    return RequestFailed(detail, status=response.status_code, code=code, retry_after_s=retry_after_s)


def retry_after(value: str | None) -> float:
    """Seconds of a `Retry-After` header, 0 if there is none; its form as a date is not used here."""
    try:
        return min(max(0.0, float(value or 0)), RETRY_AFTER_MAX_S)
    except ValueError:
        return 0.0
