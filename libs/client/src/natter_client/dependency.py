"""For FastAPI's `Depends`: one BroadcastingService per event loop, told by the environment where and who.

    Broadcasting = Annotated[BroadcastingService, Depends(get_broadcasting_service)]

FastAPI itself is not imported: this works with whatever calls an async function and awaits it.
"""

from __future__ import annotations

import asyncio
import os
from weakref import WeakKeyDictionary

from natter_client.broadcasting import BroadcastingService
from natter_client.errors import NotConfigured

URL_VARIABLE = "NATTER_API_URL"
TOKEN_VARIABLE = "NATTER_SERVICE_TOKEN"  # noqa: S105 - the name of a variable

_services: WeakKeyDictionary[asyncio.AbstractEventLoop, BroadcastingService] = WeakKeyDictionary()


async def get_broadcasting_service() -> BroadcastingService:
    """The service of this process, made at the first call.

    Reads `NATTER_API_URL` (chat-api's address, without `/v1`) and `NATTER_SERVICE_TOKEN` (a JWT with the role
    `service`); raises NotConfigured if one is missing. Call `close_broadcasting_service` when the application ends.
    """
    loop = asyncio.get_running_loop()
    service = _services.get(loop)
    if service is None:
        service = _services[loop] = BroadcastingService(_read(URL_VARIABLE), _read(TOKEN_VARIABLE))
    return service


async def close_broadcasting_service() -> None:
    """Close this process's service; harmless if there is none. Who asks for one later gets another."""
    service = _services.pop(asyncio.get_running_loop(), None)
    if service is not None:
        await service.aclose()


def _read(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise NotConfigured(f"the environment variable {variable} is not set")
    return value
