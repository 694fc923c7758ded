"""The simulator beside the operation: accepts and declines challenges, counts pushes, forgets limits, breaks down."""

import os
import signal
import time
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from harness.reference.service import Service

STALL_S = 0.5  # long beside any request, short beside a timeout
OUTCOMES = {"accept": "accepted", "decline": "declined"}


def control_app(service: Service) -> Starlette:
    """The simulator of one service, below /simulate at the root of its host."""

    async def settle(request: Request) -> JSONResponse:
        outcome = OUTCOMES.get(request.path_params["verb"])
        if outcome is None:
            raise HTTPException(404)
        done = service.settle(request.path_params["challenge"], outcome)
        if done is None:
            raise HTTPException(404)
        return JSONResponse({"outcome": outcome}) if done else _problem(409, "challenge is not pending")

    async def pushes(_: Request) -> JSONResponse:
        return JSONResponse({"count": service.pushes()})

    async def reset(_: Request) -> JSONResponse:
        service.reset()
        return JSONResponse({"reset": True})

    async def kill(_: Request) -> JSONResponse:
        os.kill(os.getpid(), signal.SIGKILL)
        return JSONResponse({})  # never sent

    async def stall(_: Request) -> JSONResponse:
        time.sleep(STALL_S)
        return JSONResponse({"stalled_s": STALL_S})

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return _problem(status, "no such call of the simulator" if status == 404 else "not possible")

    handlers: dict[Any, Any] = {HTTPException: refuse, Exception: refuse}
    return Starlette(
        exception_handlers=handlers,
        routes=[
            Route("/simulate/challenges/{challenge}/{verb}", settle, methods=["POST"]),
            Route("/simulate/pushes", pushes, methods=["GET"]),
            Route("/simulate/reset", reset, methods=["POST"]),
            Route("/simulate/kill", kill, methods=["POST"]),
            Route("/simulate/stall", stall, methods=["POST"]),
        ],
    )


def _problem(status: int, message: str) -> JSONResponse:
    return JSONResponse({"code": f"HTTP_{status}", "message": message}, status)
