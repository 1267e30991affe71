"""`python -m sia.local.server --model FOLDER --name NAME`: serves one language model on loopback.

POST /v1/chat/completions, /v1/completions, /v1/embeddings and GET /v1/models speak OpenAI's protocol. POST /v1/score
is our own: {"model", "prompt" | "messages", "continuations": [...]} gives {"scores": [{"logprob", "tokens"}, ...]},
the natural logarithm of the probability of each continuation and its number of tokens; with "prompts": [...] it gives a
list of scores for each, and reads them together. Every request may name a LoRA adapter by its digest in "adapter". The
first line on stdout is the address, when the model is ready.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sia.local.adapters import UnknownAdapter
from sia.local.answers import Choice, Form, error_body, usage
from sia.local.api import (
    MAX_TOKENS,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    Request,
    ScoreRequest,
)
from sia.local.catalogue import PREFIX
from sia.local.engine import Busy, Engine, Failure, GenerationJob
from sia.local.model import LanguageModel
from sia.local.sampling import Delta, Sampling
from sia.local.scoring import score_prompts

MAX_BODY = 8 * 1024 * 1024
LOOK_SECONDS = 0.5
R = TypeVar("R", bound=Request)


class BadRequest(Exception):
    """A request that cannot be answered, with its status and its words."""

    def __init__(self, message: str, code: str | None = None, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, code, param)


class Service:
    """The endpoints over one engine."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._model = engine.model
        self._name = name

    def app(self) -> Starlette:
        """The web application."""
        posts: dict[str, Callable[[HttpRequest], Awaitable[Response]]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._complete,
            "/v1/score": self._score,
            "/v1/embeddings": self._embed,
        }
        routes = [Route(path, _guarded(endpoint), methods=["POST"]) for path, endpoint in posts.items()]
        handlers = {HTTPException: _http_error}
        return Starlette(routes=[*routes, Route("/v1/models", self._models)], exception_handlers=handlers)  # type: ignore[arg-type]

    async def _models(self, request: HttpRequest) -> Response:
        entry = {"id": self._name, "object": "model", "created": 0, "owned_by": "local", "context": self._model.context}
        return JSONResponse({"object": "list", "data": [entry]})

    async def _chat(self, http: HttpRequest) -> Response:
        request = await self._read(http, ChatRequest)
        top = (request.top_logprobs or 0) if request.logprobs else None
        limit = request.max_completion_tokens or request.max_tokens or MAX_TOKENS
        return await self._generate(http, request, request.messages, limit, top)

    async def _complete(self, http: HttpRequest) -> Response:
        request = await self._read(http, CompletionRequest)
        return await self._generate(http, request, request.prompt, request.max_tokens or MAX_TOKENS, request.logprobs)

    async def _generate(
        self,
        http: HttpRequest,
        request: ChatRequest | CompletionRequest,
        asked: str | tuple[Message, ...],
        limit: int,
        top_logprobs: int | None,
    ) -> Response:
        prompt = self._prompt(asked, 1)
        sampling = Sampling(
            max_tokens=min(limit, self._model.context - len(prompt)),
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=request.top_p or 1.0,
            seed=None if request.seed is None else request.seed % (1 << 62),
            stop=request.stop or (),
            top_logprobs=top_logprobs,
        )
        events: asyncio.Queue[Delta | Failure] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def on_event(event: Delta | Failure) -> None:
            # The loop is closed when the server stops while answers are being written.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(events.put_nowait, event)

        job = GenerationJob(request.adapter, prompt, request.n, sampling, on_event)
        form = Form(isinstance(request, ChatRequest), self._name, self._model.tokenizer)
        self._engine.generate(job)
        if request.stream:
            counted = bool(request.stream_options and request.stream_options.include_usage)
            return StreamingResponse(self._stream(job, events, form, counted), media_type="text/event-stream")
        choices = [Choice() for _ in range(request.n)]
        try:
            async for event in _until_done(events, request.n):
                if event is None:
                    if await http.is_disconnected():
                        return Response(status_code=499)
                elif isinstance(event, Failure):
                    return JSONResponse(error_body(event.reason, kind="server_error"), 500)
                else:
                    choices[event.choice].add(event)
        finally:
            self._engine.cancel(job)
        return JSONResponse(form.whole(choices, len(prompt)))

    async def _stream(
        self, job: GenerationJob, events: "asyncio.Queue[Delta | Failure]", form: Form, counted: bool
    ) -> AsyncIterator[str]:
        tokens = 0
        try:
            for choice in range(job.n if form.chat else 0):
                yield _event(form.opening(choice))
            async for event in _until_done(events, job.n):
                if isinstance(event, Failure):
                    yield _event(error_body(event.reason, kind="server_error"))
                    return
                if event is not None:
                    tokens += 1
                    if event.text or event.finish or event.logprob:
                        yield _event(form.chunk(event))
            if counted:
                yield _event(form.closing(len(job.prompt), tokens))
            yield "data: [DONE]\n\n"
        finally:
            self._engine.cancel(job)

    async def _score(self, http: HttpRequest) -> Response:
        request = await self._read(http, ScoreRequest)
        given = [asked for asked in (request.prompt, request.messages, request.prompts) if asked is not None]
        if len(given) != 1:
            raise BadRequest("give one of prompt, messages and prompts", param="prompt")
        continuations = [self._model.encode(text) for text in request.continuations]
        if not all(continuations):
            raise BadRequest("a continuation has no tokens", param="continuations")
        room = max(map(len, continuations))
        prompts = [
            self._prompt(asked, room) for asked in request.prompts or (request.prompt or request.messages or "",)
        ]
        scores = await asyncio.wrap_future(
            self._engine.call(request.adapter, lambda model: score_prompts(model, prompts, continuations))
        )
        told = [
            [{"logprob": score, "tokens": len(c)} for score, c in zip(row, continuations, strict=True)]
            for row in scores
        ]
        counts = usage(sum(map(len, prompts)) + len(prompts) * sum(map(len, continuations)), 0)
        found = told if request.prompts else told[0]
        return JSONResponse({"object": "scores", "model": self._name, "scores": found, "usage": counts})

    async def _embed(self, http: HttpRequest) -> Response:
        request = await self._read(http, EmbeddingRequest)
        texts = (request.input,) if isinstance(request.input, str) else request.input
        prompts = [self._prompt(text, 0) for text in texts]
        waiting = [
            asyncio.wrap_future(self._engine.call(request.adapter, lambda model, p=prompt: model.embedding(p)))  # type: ignore[misc]
            for prompt in prompts
        ]
        vectors: list[list[float]] = await asyncio.gather(*waiting)
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, request.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        counts = usage(sum(map(len, prompts)), 0)
        return JSONResponse({"object": "list", "model": self._name, "data": data, "usage": counts})

    async def _read(self, http: HttpRequest, kind: type[R]) -> R:
        body = bytearray()
        async for piece in http.stream():
            body += piece
            if len(body) > MAX_BODY:
                raise BadRequest(f"the request is larger than {MAX_BODY} bytes", status=413)
        try:
            request = kind.model_validate_json(bytes(body))
        except ValidationError as error:
            first = error.errors()[0]
            param = ".".join(str(part) for part in first["loc"]) or None
            message = first["msg"].removeprefix("Value error, ")
            raise BadRequest(f"{param}: {message}" if param else message, param=param) from None
        if request.model.removeprefix(PREFIX) != self._name.removeprefix(PREFIX):
            raise BadRequest(
                f"the model {request.model!r} is not served here, but {self._name!r} is",
                "model_not_found",
                "model",
                404,
            )
        if request.adapter is not None:
            try:
                self._model.adapters.check(request.adapter)
            except UnknownAdapter:
                raise BadRequest(f"no adapter {request.adapter!r}", "adapter_not_found", "adapter", 404) from None
        return request

    def _prompt(self, asked: str | tuple[Message, ...], room: int) -> list[int]:
        """The prompt's tokens, with `room` tokens left in the context after them."""
        try:
            prompt = self._model.prompt(asked)
        except (ValueError, TypeError) as error:  # the chat template refuses an order of roles
            raise BadRequest(f"the messages do not fit the model's chat template: {error}", param="messages") from None
        if not prompt:
            raise BadRequest("the prompt is empty", param="prompt")
        if len(prompt) + room > self._model.context:
            raise BadRequest(
                f"the prompt has {len(prompt)} tokens; with {room} more that is beyond the context of "
                f"{self._model.context}",
                "context_length_exceeded",
                "messages",
            )
        return prompt


async def _until_done(events: "asyncio.Queue[Delta | Failure]", answers: int) -> AsyncIterator[Delta | Failure | None]:
    """Events until every answer has ended; None now and then, as an occasion to look whether anybody still waits."""
    clock = asyncio.get_running_loop().time
    look = clock() + LOOK_SECONDS
    while answers:
        try:
            event = await asyncio.wait_for(events.get(), max(0.0, look - clock()))
        except TimeoutError:
            look = clock() + LOOK_SECONDS
            yield None
            continue
        yield event
        if isinstance(event, Failure):
            return
        answers -= event.finish is not None


def _guarded(endpoint: Callable[[HttpRequest], Awaitable[Response]]) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def guarded(http: HttpRequest) -> Response:
        try:
            return await endpoint(http)
        except BadRequest as error:
            return JSONResponse(error.body, error.status)
        except Busy:
            return JSONResponse(error_body("too many requests are waiting", kind="rate_limit_error"), 429)
        except (RuntimeError, MemoryError) as error:  # torch tells everything by RuntimeError
            return JSONResponse(error_body(f"{type(error).__name__}: {error}", kind="server_error"), 500)

    return guarded


async def _http_error(http: HttpRequest, error: HTTPException) -> Response:
    return JSONResponse(error_body(f"{http.method} {http.url.path}: {error.detail}"), error.status_code)


def _event(body: dict[str, object]) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _encoded(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def main() -> None:
    """Loads the model, says where it listens, serves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with weights and tokenizer")
    parser.add_argument("--name", required=True, help="what requests call it")
    parser.add_argument("--adapters", type=Path, help="folder of LoRA adapters, each in a folder named by its digest")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    engine = Engine(LanguageModel(arguments.model, arguments.dtype, arguments.adapters))
    app = Service(engine, arguments.name).app()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
