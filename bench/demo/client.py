"""The clients: HTTP as a host application and its users speak it, and one socket of one device."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from bench.demo.checker import Arrival
from bench.demo.errors import SetupFailed
from bench.demo.http import HttpClient, HttpError
from bench.demo.place import SECRET_VARIABLE, Place
from bench.demo.plan import Device
from contracts.codec import decode
from contracts.codes import ErrorCode
from contracts.devices import DeviceType
from contracts.frames import BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL, Ack, ClientAction, Connected, ServerAction
from contracts.messages import Message
from contracts.pushes import PushRecord

T = TypeVar("T")

REQUEST_TIMEOUT_S = 10.0
ATTEMPTS_MAX = 5
RETRY_S = 0.2
PUSH_PAGE = 1000
EVENT_PAGE = 200


class NotNow(Exception):
    """The server could not take it; the same request may succeed later."""


class Api:
    """chat-api and the notifier's list over HTTP. Whatever is refused for good raises `SetupFailed`."""

    def __init__(self, place: Place, service_token: str) -> None:
        self._place = place
        self._service = service_token
        self._http = HttpClient(REQUEST_TIMEOUT_S)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    async def check(self) -> None:
        """Whether anybody is there who believes our tokens."""
        await self._until_taken("GET", f"{self._place.api_url}/v1/users/me", self._service)
        await self._until_taken("GET", f"{self._place.pushes_url}?limit=1", self._service)

    async def register(self, user_id: str, name: str, role: str) -> None:
        """Make a user known, as the host application."""
        body = {"user_id": user_id, "name": name, "roles": [role]}
        await self._until_taken("POST", f"{self._place.api_url}/v1/users", self._service, body)

    async def open_conversation(self, token: str, title: str, participant_ids: list[str]) -> str:
        """Open a conversation as its owner; returns its id."""
        body = {"title": title, "participant_ids": participant_ids}
        answer = await self._until_taken("POST", f"{self._place.api_url}/v1/conversations", token, body)
        return str(json.loads(answer)["id"])

    async def send(self, token: str, conversation_id: str, draft: dict[str, Any]) -> tuple[float, str, int]:
        """Send one message, once; returns when the answer was there, message id and seq. Raises `NotNow`."""
        url = f"{self._place.api_url}/v1/conversations/{conversation_id}/messages"
        answer = await self._request("POST", url, token, draft)
        at = time.perf_counter()
        message = decode(Message, answer)
        return at, message.id, message.seq

    async def message_events(self, conversation_id: str) -> list[dict[str, Any]]:
        """Every message.created in a conversation's record."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            url = f"{self._place.api_url}/v1/conversations/{conversation_id}/events"
            query = f"?after_seq={after}&limit={EVENT_PAGE}"
            page = json.loads(await self._until_taken("GET", url + query, self._service))
            found.extend(event for event in page["events"] if event["type"] == "message.created")
            if not page["events"] or page["events"][-1]["seq"] >= page["last_seq"]:
                return found
            after = page["events"][-1]["seq"]

    async def pushes(self, after_id: int) -> tuple[list[PushRecord], int]:
        """Every push record above `after_id`, and the last id (or `after_id`)."""
        found: list[PushRecord] = []
        while True:
            url = f"{self._place.pushes_url}?after_id={after_id}&limit={PUSH_PAGE}"
            page = json.loads(await self._until_taken("GET", url, self._service))
            if not page["pushes"]:
                return found, after_id
            found.extend(PushRecord.model_validate(push) for push in page["pushes"])
            after_id = page["next_after_id"]

    async def gauge(self, name: str) -> float | None:
        """A gauge of chat-api's, or None where metrics cannot be reached."""
        if self._place.metrics_url is None:
            return None
        with contextlib.suppress(HttpError):
            for line in (await self._http.request("GET", self._place.metrics_url)).body.decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.rpartition(" ")[2])
        return None

    async def _until_taken(self, method: str, url: str, token: str, body: object = None) -> bytes:
        return await until_taken(lambda: self._request(method, url, token, body), f"{method} {url}")

    async def _request(self, method: str, url: str, token: str, body: object = None) -> bytes:
        try:
            answer = await self._http.request(method, url, token=token, body=body)
        except HttpError as failed:
            raise NotNow(str(failed)) from failed
        if answer.ok:
            return answer.body
        said = f"{answer.status} {answer.body[:300].decode(errors='replace')}"
        if answer.status in (429, 500, 502, 503, 504):
            raise NotNow(said)
        if answer.status == 401:
            raise SetupFailed(f"{url} does not accept our token: set {SECRET_VARIABLE} to the target's secret ({said})")
        raise SetupFailed(f"{method} {url} was refused: {said}")


async def until_taken(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask until it is taken, at most `ATTEMPTS_MAX` times; every request here is harmless to repeat."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return await ask()
        except NotNow as why:
            if attempt == ATTEMPTS_MAX:
                raise SetupFailed(f"{what}: {why} ({attempt} attempts)") from why
            await asyncio.sleep(RETRY_S * attempt)
    raise AssertionError("unreachable")


class Handset:
    """One device's socket: notes what arrives, and sends."""

    def __init__(self, device: Device, on_message: Callable[[], None]) -> None:
        self.device = device
        self.arrivals: list[Arrival] = []
        self.edge_id = ""
        self.trouble = ""
        """Why the socket was lost, or what it was told beside messages; empty in a good run."""
        self._on_message = on_message
        self._answers: dict[str, asyncio.Future[tuple[float, str, dict[str, Any]]]] = {}
        self._socket: ClientConnection | None = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self, urls: tuple[str, ...], token: str) -> None:
        """Open the socket and wait until the edge says that messages come here. Raises `SetupFailed`."""
        device = self.device
        url = urls[device.entrance % len(urls)]
        # Browsers cannot set headers, apps can: both ways to bring a token are used.
        browser = device.kind is DeviceType.DESKTOP
        protocols = [Subprotocol(SUBPROTOCOL)]
        if browser:
            protocols.append(Subprotocol(BEARER_SUBPROTOCOL_PREFIX + token))
        try:
            self._socket = await connect(
                f"{url}?device_type={device.kind}&device_id={device.device_id}",
                subprotocols=protocols,
                additional_headers=None if browser else {"Authorization": f"Bearer {token}"},
                compression=None,
                proxy=None,
                # The server's pings are what counts; the library answers them by itself.
                ping_interval=None,
                # A limit here would pause reading, and measure this process instead of the server.
                max_queue=None,
                open_timeout=REQUEST_TIMEOUT_S,
            )
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                first = json.loads(await self._socket.recv())
        except (OSError, TimeoutError, WebSocketException) as failed:
            raise SetupFailed(f"no socket at {url}: {type(failed).__name__}: {failed}") from failed
        if first["action"] != ServerAction.CONNECTED:
            raise SetupFailed(f"{url} began with {first['action']!r} instead of 'connected'")
        self.edge_id = Connected.model_validate(first["data"]).edge_id
        self._listening = asyncio.create_task(self._listen(self._socket))

    async def close(self) -> None:
        """Close the socket."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def send(self, conversation_id: str, draft: dict[str, Any]) -> tuple[float, str, int]:
        """Send one message, once; returns when the ack was there, message id and seq. Raises `NotNow`."""
        if self._socket is None or self.trouble:
            raise SetupFailed(f"the socket of {self.device.device_id} is gone: {self.trouble}")
        ref = draft["client_msg_id"]
        answer = self._answers[ref] = asyncio.get_running_loop().create_future()
        frame = {
            "action": ClientAction.SEND_MESSAGE,
            "ref": ref,
            "data": {"conversation_id": conversation_id, **draft},
        }
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False))
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                at, action, data = await answer
        except (TimeoutError, ConnectionClosed) as failed:
            raise NotNow(f"no ack: {type(failed).__name__}: {failed}") from failed
        finally:
            self._answers.pop(ref, None)
        if action == ServerAction.ACK:
            ack = Ack.model_validate(data)
            return at, ack.message_id, ack.seq
        if ErrorCode(data["code"]).retry:
            raise NotNow(str(data))
        raise SetupFailed(f"send_message was refused: {data}")

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            while True:
                raw = await socket.recv(decode=False)
                self._take(time.perf_counter(), json.loads(raw))
        except ConnectionClosed as closed:
            self.trouble = f"closed: {closed}"

    def _take(self, at: float, frame: dict[str, Any]) -> None:
        action, data = frame["action"], frame["data"]
        if action == ServerAction.NEW_MESSAGE:
            self.arrivals.append(Arrival(at, frame["stream"], frame["seq"], data["id"], data["content"]))
            self._on_message()
        elif action in (ServerAction.ACK, ServerAction.ERROR):
            answer = self._answers.get(frame.get("ref", ""))
            if answer is not None and not answer.done():
                answer.set_result((at, action, data))
        elif action in (ServerAction.RESYNC, ServerAction.RECONNECT):
            self.trouble = f"was told to {action}"
