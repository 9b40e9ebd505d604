"""Devices that can be pushed, and what their users want to be told."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from chat_api.http.auth import AUTH_ERRORS, PrincipalDep, require_privileged
from chat_api.http.context import ContextDep
from chat_api.http.conversations import ConversationId
from chat_api.http.errors import problem_responses
from chat_api.store import devices as stored
from chat_api.store import preferences
from chat_api.store.database import translated
from contracts.codec import Contract, encode
from contracts.codes import ErrorCode
from contracts.devices import Device, DeviceDraft, RegisteredDevice, UnregisterKey
from contracts.ids import UserId, Uuid
from contracts.preferences import Mute, MuteDraft, NotificationSettings
from contracts.times import now

router = APIRouter(tags=["devices"])

_BODY_ERRORS = (ErrorCode.VALIDATION_FAILED, ErrorCode.MALFORMED_JSON, ErrorCode.PAYLOAD_TOO_LARGE)


class DeviceBody(DeviceDraft):
    """A device to register. `token`: what its push service calls it; for `webpush` the subscription's endpoint."""

    model_config = ConfigDict(extra="forbid")


class SettingsBody(NotificationSettings):
    """All wishes at once: what is left out is as the deployment has it."""

    model_config = ConfigDict(extra="forbid")


class MuteBody(MuteDraft):
    """Mute, for ever or `until`; or `muted: false`."""

    model_config = ConfigDict(extra="forbid")


class UnregisterBody(UnregisterKey):
    """The key that came with the registration."""

    model_config = ConfigDict(extra="forbid")


class DeviceList(Contract):
    """A user's devices, oldest registration first."""

    devices: tuple[Device, ...]


@router.post(
    "/devices",
    status_code=201,
    response_model=RegisteredDevice,
    response_model_exclude_none=True,
    responses={
        200: {"model": RegisteredDevice, "description": "It was registered before, and is renewed."},
        **problem_responses(*AUTH_ERRORS, ErrorCode.LIMIT_REACHED, *_BODY_ERRORS),
    },
)
async def register(
    body: DeviceBody, principal: PrincipalDep, context: ContextDep, response: Response
) -> RegisteredDevice:
    """Register a device for pushes, again whenever its token or language changes. A token that belonged to somebody
    else's registration is taken from it. The device goes with the session in which it was registered."""
    device, new = await context.devices.register(principal.user_id, principal.session_id, body, now())
    response.status_code = 201 if new else 200
    response.headers["Cache-Control"] = "no-store"
    return device


@router.get(
    "/devices",
    response_model=DeviceList,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS),
)
async def list_mine(principal: PrincipalDep, context: ContextDep) -> DeviceList:
    """The caller's devices, without their tokens."""
    async with translated(), context.engine.connect() as connection:
        return DeviceList(devices=tuple(await stored.of_user(connection, principal.user_id)))


@router.get(
    "/users/{user_id}/devices",
    response_model=DeviceList,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.FORBIDDEN, ErrorCode.VALIDATION_FAILED),
)
async def list_of_user(user_id: UserId, principal: PrincipalDep, context: ContextDep) -> DeviceList:
    """A user's devices, for a service or an admin who wants to know why nothing rang."""
    require_privileged(principal)
    async with translated(), context.engine.connect() as connection:
        return DeviceList(devices=tuple(await stored.of_user(connection, user_id)))


@router.delete(
    "/devices/{id}",
    status_code=204,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED),
)
async def remove(id: Uuid, principal: PrincipalDep, context: ContextDep) -> Response:
    """No push to this device any more."""
    await context.devices.remove(principal.user_id, id)
    return Response(status_code=204)


@router.post(
    "/devices/{id}/unregister",
    status_code=204,
    responses=problem_responses(*_BODY_ERRORS),
    # The key is what counts; whoever logged out without network has no token any more.
    openapi_extra={"security": []},
)
async def unregister(id: Uuid, body: UnregisterBody, context: ContextDep) -> Response:
    """The same without signing in, with the key that came with the registration. A wrong key and a device that is gone
    get the same answer."""
    await context.devices.unregister(id, body.unregister_key)
    return Response(status_code=204)


@router.get(
    "/notification-settings",
    response_model=NotificationSettings,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS),
)
async def settings(principal: PrincipalDep, context: ContextDep) -> NotificationSettings:
    """What the caller wants to be told."""
    async with translated(), context.engine.connect() as connection:
        found = await preferences.settings_of(connection, [principal.user_id])
    return found.get(principal.user_id, NotificationSettings())


@router.put(
    "/notification-settings",
    response_model=NotificationSettings,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, *_BODY_ERRORS),
)
async def change_settings(body: SettingsBody, principal: PrincipalDep, context: ContextDep) -> NotificationSettings:
    """What the caller wants from now on, as a whole. The user's other devices learn of it by sync."""
    wanted = NotificationSettings.model_construct(**{name: getattr(body, name) for name in type(body).model_fields})
    await context.devices.change_settings(principal.user_id, wanted, now())
    return wanted


@router.put(
    "/conversations/{conversation_id}/mute",
    response_model=Mute,
    response_model_exclude_none=True,
    responses=problem_responses(*AUTH_ERRORS, ErrorCode.NOT_FOUND, *_BODY_ERRORS),
)
async def mute(
    conversation_id: ConversationId, body: MuteBody, principal: PrincipalDep, context: ContextDep
) -> Response:
    """No pushes from this conversation, for ever or until a moment; or all of them again."""
    answer = await context.devices.mute(principal.user_id, conversation_id, body, now())
    return Response(encode(answer), media_type="application/json")
