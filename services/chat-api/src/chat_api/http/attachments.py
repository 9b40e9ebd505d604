"""Files: taken in as they come, given to those who may read them, whole or in part."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from chat_api import metrics
from chat_api.blobs.base import BlobMissing, BlobsUnavailable
from chat_api.commands.ports import Once
from chat_api.domain.attachments import NAME_CHARS_MAX
from chat_api.domain.errors import NotFound
from chat_api.files import TooManyUploads
from chat_api.http import multipart, ranges
from chat_api.http.auth import AUTH_ERRORS, PrincipalDep
from chat_api.http.context import Context, ContextDep, IdempotencyKey, once
from chat_api.http.errors import ApiError, problem_responses
from chat_api.http.limits import discard
from chat_api.http.ranges import NotSatisfiable, Range
from chat_api.http.uploads import DURATION_MS_MAX, Upload, patient
from chat_api.store import attachments
from chat_api.store.database import translated
from contracts.attachments import Attachment
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.ids import Uuid
from kit.logs import Stage, logger
from kit.tokens import Principal

log = logger()

router = APIRouter(tags=["attachments"])

PATH = "/v1/attachments"
"""Where files are sent to: the one path whose body may be large."""

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "minLength": 1},
                        "name": {
                            "type": "string",
                            "maxLength": NAME_CHARS_MAX,
                            "description": "In place of the file's own name.",
                        },
                        "duration_ms": {
                            "type": "integer",
                            "minimum": 0,
                            "maximum": DURATION_MS_MAX,
                            "description": "Length of a voice note.",
                        },
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_GET_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": _BYTES}},
    206: {"description": "The part that `Range` asks for.", "content": {"*/*": _BYTES}},
    304: {"description": "The client has it: `If-None-Match` names its `ETag`."},
    **problem_responses(
        *AUTH_ERRORS, ErrorCode.NOT_FOUND, ErrorCode.RANGE_NOT_SATISFIABLE, ErrorCode.VALIDATION_FAILED
    ),
}


@router.post(
    "/attachments",
    status_code=201,
    response_model=Attachment,
    openapi_extra=_FORM,
    responses=problem_responses(
        *AUTH_ERRORS,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.IDEMPOTENCY_CONFLICT,
        ErrorCode.LIMIT_REACHED,
        ErrorCode.PAYLOAD_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.TIMEOUT,
    ),
)
async def upload(
    request: Request, principal: PrincipalDep, context: ContextDep, key: IdempotencyKey = None
) -> Response:
    """Store a file; a message carries it by `attachment_id`. Its type is what its bytes say, whatever it is called.

    A file that no message carries within a day is deleted.
    """
    boundary = multipart.boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send multipart/form-data with a part `file`.")

    def once_of(attachment: Attachment) -> Once | None:
        # The id is new in every attempt; what counts is what was sent.
        said = encode(attachment.model_copy(update={"id": ""}))
        return once(principal.user_id, key, request, hashlib.sha256(said).digest())

    settings = context.settings
    body = patient(request.stream(), stall_s=settings.attachment_stall_s, whole_s=settings.attachment_upload_s)
    incoming = Upload(
        multipart.events(boundary, body), bytes_max=settings.attachment_bytes_max, types=settings.attachment_type_set
    )
    try:
        with context.files.slot():
            await incoming.begin()
            stored, is_new = await context.files.take(incoming, principal.user_id, once_of)
    except ApiError as refused:
        if refused.code is ErrorCode.PAYLOAD_TOO_LARGE:
            # There may be no end of it: the connection cannot be used again.
            await discard(request.receive)
            refused.headers = {"Connection": "close"}
        raise
    except multipart.NotMultipart as wrong:
        raise ApiError(ErrorCode.VALIDATION_FAILED, str(wrong)) from wrong
    except TooManyUploads:
        raise ApiError(ErrorCode.UNAVAILABLE, "Too many files are coming in at the moment.") from None
    except BlobsUnavailable as away:
        log.warning("an upload failed", stage=Stage.LIFECYCLE, detail=str(away))
        raise ApiError(ErrorCode.UNAVAILABLE, "Files cannot be stored right now.") from away
    if is_new:
        metrics.attachment_bytes.inc(stored.size_bytes)
    return Response(encode(stored), 201, media_type="application/json")


@router.get("/attachments/{attachment_id}", response_class=Response, responses=_GET_RESPONSES)
async def download(
    attachment_id: Uuid,
    principal: PrincipalDep,
    context: ContextDep,
    wanted: Annotated[str | None, Header(alias="Range", description="One range of bytes.")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range")] = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Response:
    """The file, for its owner and for those who take part in the conversation that it was sent to."""
    file = await _readable(context, principal, attachment_id)
    etag = _etag(file)
    if ranges.matches(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
    part = _part(wanted if if_range in (None, etag) else None, file)
    whole = Range(0, file.size_bytes)
    try:
        content = await _begun(context.files.blobs.get(file.id, (part or whole).start, (part or whole).end))
    except BlobMissing as lost:
        log.error("a file's bytes are lost", stage=Stage.LIFECYCLE, attachment_id=file.id, detail=str(lost))
        raise NotFound("The file is lost.") from lost
    except BlobsUnavailable as away:
        raise ApiError(ErrorCode.UNAVAILABLE, "Files cannot be read right now.") from away
    return StreamingResponse(content, 206 if part else 200, _headers(file, part), file.media_type)


@router.head("/attachments/{attachment_id}", response_class=Response, responses=_GET_RESPONSES)
async def describe(attachment_id: Uuid, principal: PrincipalDep, context: ContextDep) -> Response:
    """The headers that GET would answer with, and no bytes."""
    file = await _readable(context, principal, attachment_id)
    return Response(None, 200, _headers(file, None), file.media_type)


_CACHE = "private, no-cache"
"""A client may keep it, and must ask before it shows it again: who was removed is not shown anything any more."""


async def _readable(context: Context, principal: Principal, attachment_id: str) -> Attachment:
    async with translated(), context.engine.connect() as connection:
        file = await attachments.readable(
            connection, attachment_id, principal.user_id, privileged=principal.acts_for_others
        )
    if file is None:
        raise NotFound
    return file


def _part(header: str | None, file: Attachment) -> Range | None:
    try:
        return ranges.wanted(header, file.size_bytes)
    except NotSatisfiable:
        raise ApiError(
            ErrorCode.RANGE_NOT_SATISFIABLE,
            f"The file has {file.size_bytes} bytes.",
            headers={"Content-Range": f"bytes */{file.size_bytes}"},
        ) from None


async def _begun(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes; whatever is wrong with them shows before the answer begins."""
    first = await anext(content, b"")

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for chunk in content:
            yield chunk

    return all_of_it()


def _etag(file: Attachment) -> str:
    return f'"{file.sha256}"'


def _headers(file: Attachment, part: Range | None) -> dict[str, str]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": _CACHE,
        "Content-Disposition": _disposition(file),
        "Content-Length": str(part.end - part.start if part else file.size_bytes),
        # If somebody opens it by its address after all: nothing in it runs, and nothing is loaded from elsewhere.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": _etag(file),
        "X-Content-Type-Options": "nosniff",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size_bytes}"
    return headers


def _disposition(file: Attachment) -> str:
    """RFC 6266: a name for everybody, and the real one for those who can read it."""
    kind = "inline" if file.media_type.startswith(("image/", "audio/")) else "attachment"
    plain = "".join(char if char.isascii() and char not in '"\\%;' else "_" for char in file.name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}"
