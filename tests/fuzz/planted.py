"""A small service full of mistakes: what looks for mistakes is tried on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from contracts.codes import ErrorCode
from contracts.ids import new_id
from contracts.problems import PROBLEM_JSON, problem


class Thing(BaseModel):
    """Something to make."""

    size: int = 1


class Made(BaseModel):
    """What was made."""

    id: str
    owner: str
    size: int


async def _caller(
    request: Request, token: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> str:
    if token is None or token.credentials not in request.app.state.signed_in:
        raise HTTPException(401)
    return token.credentials


Caller = Annotated[str, Depends(_caller)]

FORBIDDEN: dict[int | str, dict[str, Any]] = {
    403: {"description": "Problem, code: forbidden", "content": {PROBLEM_JSON: {}}},
    422: {"description": "Problem, code: validation_failed", "content": {PROBLEM_JSON: {}}},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "Not found"}, 422: {"description": "Wrong"}}
HURRY: dict[int | str, dict[str, Any]] = {
    429: {
        "description": "Too often",
        "headers": {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    }
}


def planted() -> FastAPI:
    """The service; each mistake says of itself what it is."""
    app = FastAPI()
    app.state.signed_in = set()
    things: dict[str, Made] = {}

    @app.post("/v1/auth/token", include_in_schema=False)
    async def token(request: Request) -> dict[str, str]:
        user: str = (await request.json())["user_id"]
        app.state.signed_in.add(user)
        return {"access_token": user}

    @app.post("/v1/things", status_code=201, response_model=Made, responses=MISSING | {401: {"description": "Who?"}})
    async def make(thing: Thing, user: Caller) -> Made:
        made = Made(id=new_id(), owner=user, size=thing.size)
        things[made.id] = made
        return made

    @app.get("/v1/things/{thing_id}", response_model=Made, responses=MISSING | {401: {"description": "Who?"}})
    async def look(thing_id: str, user: Caller) -> Made:
        if thing_id not in things:
            raise HTTPException(404)
        return things[thing_id]  # planted: whoever asks

    @app.delete("/v1/things/{thing_id}", status_code=204, responses=MISSING | {401: {"description": "Who?"}})
    async def remove(thing_id: str, user: Caller) -> Response:
        if thing_id not in things or things[thing_id].owner != user:
            raise HTTPException(404)
        return Response(status_code=204)  # planted: it is still there

    @app.post("/v1/picky", responses=FORBIDDEN)
    async def picky(thing: Thing) -> Response:
        return _refusal(ErrorCode.VALIDATION_FAILED, 422)  # planted: nothing is wrong with it

    @app.get("/v1/odd", responses=FORBIDDEN)
    async def odd() -> Response:
        return _refusal(ErrorCode.USER_BLOCKED, 403)  # planted: not the code that is documented

    @app.get("/v1/busy", responses=HURRY)
    async def busy() -> Response:
        return JSONResponse({}, 429)  # planted: without Retry-After

    @app.get("/v1/broken")
    async def broken() -> None:
        raise HTTPException(500)  # planted

    return app


def _refusal(code: ErrorCode, status: int) -> Response:
    answer = problem(code, "No.", status=status)
    return Response(answer.model_dump_json(exclude_none=True), status, media_type=PROBLEM_JSON)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The service at an address of its own, until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
