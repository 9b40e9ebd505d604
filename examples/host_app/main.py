"""A host application in one file: saves its messages in its own way, and lets Natter bring them to the people.

uvicorn main:app            # with NATTER_API_URL and NATTER_SERVICE_TOKEN, see README.md
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

# Before: from app.websocket.broadcasting_factory import get_broadcasting_service
from natter_client import BroadcastingService, close_broadcasting_service, get_broadcasting_service

Broadcasting = Annotated[BroadcastingService, Depends(get_broadcasting_service)]

saved: dict[str, dict[str, Any]] = {}
"""Stands for the application's own database."""


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Connections to Natter are opened when they are needed, and closed with the application."""
    yield
    await close_broadcasting_service()


app = FastAPI(title="A host application", lifespan=lifespan)


async def current_user(x_user: Annotated[str, Header()] = "") -> str:
    """Stands for the application's own login."""
    if not x_user:
        raise HTTPException(401, "say who you are: X-User")
    return x_user


CurrentUser = Annotated[str, Depends(current_user)]


class SendRequest(BaseModel):
    """What the application's own pages send."""

    content: str = Field(min_length=1)
    message_type: str = "text"
    is_important: bool = False


@app.post("/chat/{conversation_id}/send")
async def send(
    conversation_id: str, body: SendRequest, user: CurrentUser, broadcasting: Broadcasting
) -> dict[str, str]:
    """Save, broadcast, answer. A failed broadcast is logged by the client, and does not fail this request."""
    message = {
        "id": str(uuid4()),
        "conversation_id": conversation_id,
        "sender_id": user,
        "sender_type": "chat",
        "created_at": datetime.now(UTC).isoformat(),
        **body.model_dump(),
    }
    saved[message["id"]] = message
    await broadcasting.broadcast_message(conversation_id, message)
    return {"status": "sent", "message_id": message["id"]}


@app.post("/chat/{conversation_id}/typing", status_code=204)
async def typing(conversation_id: str, is_typing: bool, user: CurrentUser, broadcasting: Broadcasting) -> None:
    """The user types, or has stopped."""
    await broadcasting.broadcast_typing_status(conversation_id, user, is_typing)


@app.post("/chat/{conversation_id}/maintenance")
async def maintenance(conversation_id: str, message: str, broadcasting: Broadcasting) -> dict[str, bool]:
    """Tell everybody in a conversation, now and in its history."""
    notice = {"title": "Maintenance", "message": message, "type": "maintenance"}
    return {"sent": await broadcasting.broadcast_system_notification(conversation_id, notice) is not None}


@app.post("/appointments/{user_id}/remind")
async def remind(user_id: str, when: str, broadcasting: Broadcasting) -> dict[str, bool]:
    """To one user, on every device, and as a push if there is none."""
    reminder = {
        "title": "Your appointment",
        "content": f"We see you {when}.",
        "type": "appointment_reminder",
        "action": "open_appointment",
    }
    return {"sent": await broadcasting.send_direct_message(user_id, reminder) is not None}


@app.get("/users/{user_id}/online")
async def online(user_id: str, broadcasting: Broadcasting) -> dict[str, Any]:
    """Whether somebody is there, and with which devices."""
    return {
        "online": await broadcasting.is_user_online(user_id),
        "devices": await broadcasting.get_user_device_info(user_id),
    }
