"""The references' server: `python -m benchmarks.references --port PORT`.

It is the service itself, with the same middleware, settings and pool, and beside its routes those
of the references. `ceiling` serves recorded answers from memory; `one-query` does so after one
trivial statement; `plain` is in a module of its own. None of them asks who is calling.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy import literal, select

from app.api.dependencies import Reading
from app.logging import configure_logging
from app.main import create_app, tune_memory
from app.settings import Settings
from benchmarks import plain
from benchmarks.cases import Answer

_ANY = ["GET", "HEAD", "POST"]
_TRIVIAL = select(literal(1))


def build_router(answers: Mapping[str, Answer]) -> APIRouter:
    """Return the routes of `ceiling` and `one-query`."""
    router = APIRouter(prefix="/bench")

    @router.api_route("/ceiling/{name}/", methods=_ANY)
    async def ceiling(name: str, request: Request) -> Response:
        return _response(answers[name], request)

    @router.api_route("/one-query/{name}/", methods=_ANY)
    async def one_query(name: str, request: Request, connection: Reading) -> Response:
        (await connection.execute(_TRIVIAL)).scalar_one()
        return _response(answers[name], request)

    return router


def _response(answer: Answer, request: Request) -> Response:
    response = Response(answer.body, answer.status, answer.headers)
    if request.method == "HEAD":
        # As the service does, which does not know the length of a response that it does not render.
        response.raw_headers = [
            header for header in response.raw_headers if header[0] != b"content-length"
        ]
    return response


def create() -> FastAPI:
    """Put the server together from the environment, as the service does it."""
    settings = Settings()
    configure_logging(settings)
    app = create_app(settings)
    recorded = json.loads(Path(os.environ["BENCHMARK_ANSWERS"]).read_bytes())
    app.include_router(
        build_router({name: Answer.from_json(value) for name, value in recorded.items()})
    )
    app.include_router(plain.build_router(settings))
    tune_memory()
    return app


def main() -> None:
    """Serve, with the options of `python -m app serve`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(
        "benchmarks.references:create",
        factory=True,
        host="127.0.0.1",
        port=parser.parse_args().port,
        loop="uvloop",
        http="httptools",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
    )


if __name__ == "__main__":
    main()
