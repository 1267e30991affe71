"""What the gateway adds to a model call, against calling the provider directly, and against LiteLLM's proxy.

    python -m tests.benchmarks.gateway [--litellm /path/to/litellm]

A scripted provider, the gateway and the proxy are processes of their own; this one asks them in turns, so that all see
the same machine. LiteLLM is taken from a virtual environment of its own: `pip install 'litellm[proxy]'`.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sia.gateway.gateway import Rules
from tests.gateway.provider import events
from tests.gateway.support import MODELS, gateway_at, model_at, opened
from tests.gateway.upstream import Request, ScriptedUpstream, answer, stream

MODEL = MODELS["openai"]
USAGE = {"prompt_tokens": 11, "completion_tokens": 20, "total_tokens": 31}
ROUNDS = 3
WARM_UP = 20


async def provide(request: Request, writer: asyncio.StreamWriter) -> None:
    """A short answer, or a stream of twenty pieces of it."""
    head = {"id": "1", "created": 1, "model": MODEL}
    if not request.body or not request.said.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 20}, "finish_reason": "stop"}
        await answer(writer, {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})
        return
    head["object"] = "chat.completion.chunk"
    pieces = [{**head, "choices": [{"index": 0, "delta": {"content": "word "}}]} for _ in range(20)]
    last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    text = events(*pieces, last, {**head, "choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"
    await stream(writer, text, size=len(text) // 20 + 1)


@dataclass(frozen=True)
class Server:
    """Where to ask, and with which key."""

    name: str
    port: int
    key: str
    process: int = 0
    """Its process id; 0: not measured."""

    def cpu_seconds(self) -> float:
        """CPU time of the process and of its children so far: hardly touched by what else the machine does."""
        if not self.process:
            return 0.0
        own = psutil.Process(self.process)
        return sum(sum(each.cpu_times()[:2]) for each in (own, *own.children(recursive=True)))

    def request(self, streamed: bool) -> bytes:
        """The bytes of a call."""
        question = [{"role": "user", "content": "Say twenty words. " * 50}]
        body = {"model": MODEL, "messages": question, "max_tokens": 100, "stream": streamed}
        if streamed:
            body["stream_options"] = {"include_usage": True}
        content = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


class Connection:
    """A kept connection that reads answers as fast as Python can."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._server.port)

    async def ask(self, streamed: bool) -> None:
        self._writer.write(self._server.request(streamed))
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 " in head.split(b"\r\n")[0], head
        if b"transfer-encoding: chunked" not in head:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await self._reader.readexactly(length)
            return
        while size := int((await self._reader.readline()).strip() or b"0", 16):
            await self._reader.readexactly(size + 2)
        await self._reader.readline()

    def close(self) -> None:
        self._writer.close()


async def latencies(servers: list[Server], calls: int) -> dict[str, list[float]]:
    """Seconds of calls made one by one, the servers in turns."""
    connections = {server.name: Connection(server) for server in servers}
    taken: dict[str, list[float]] = {server.name: [] for server in servers}
    for connection in connections.values():
        await connection.open()
        for _ in range(WARM_UP):
            await connection.ask(False)
    for _ in range(calls):
        for name, connection in connections.items():
            start = time.perf_counter()
            await connection.ask(False)
            taken[name].append(time.perf_counter() - start)
    for connection in connections.values():
        connection.close()
    return taken


async def throughput(server: Server, side_by_side: int, calls: int) -> float:
    """Streamed calls a second."""
    connections = [Connection(server) for _ in range(side_by_side)]
    for connection in connections:
        await connection.open()
    left = iter(range(calls))

    async def work(connection: Connection) -> None:
        for _ in left:
            await connection.ask(True)

    start = time.perf_counter()
    await asyncio.gather(*map(work, connections))
    seconds = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return calls / seconds


@contextmanager
def child(*arguments: str) -> Iterator[tuple[int, list[str]]]:
    """This module as another process; gives its id and the words of its first line."""
    argv = [sys.executable, "-m", "tests.benchmarks.gateway", *arguments]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().split()
        finally:
            process.communicate()


@contextmanager
def litellm_proxy(program: str, upstream: str, folder: Path) -> Iterator[Server]:
    """LiteLLM's proxy in front of the same provider, one worker, no database, no logging."""
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "k"},
            }
        ],
        "general_settings": {"master_key": "sk-bench"},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
    argv = [program, "--config", str(file), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    with (
        (folder / "litellm.log").open("w") as log,
        subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield Server("litellm", port, "sk-bench", process.pid)
        finally:
            process.terminate()


def measure(litellm: str | None, calls: int) -> None:
    """Prints the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, (url,) = stack.enter_context(child("upstream"))
        process, (port, token) = stack.enter_context(child("gateway", url))
        direct = Server("direct", int(url.rpartition(":")[2]), "k")
        servers = [direct, Server("gateway", int(port), token, process)]
        if litellm:
            servers.append(stack.enter_context(litellm_proxy(litellm, url, folder)))
        before = {server.name: server.cpu_seconds() for server in servers}
        taken = asyncio.run(latencies(servers, calls))
        used = {server.name: (server.cpu_seconds() - before[server.name]) / (calls + WARM_UP) for server in servers}
        for server in servers[1:]:
            added = sorted(b - a for a, b in zip(taken["direct"], taken[server.name], strict=True))
            print(
                f"{server.name}: added to a call  median {statistics.median(added) * 1e3:.2f} ms, "
                f"p99 {added[int(len(added) * 0.99)] * 1e3:.2f} ms "
                f"(direct {statistics.median(taken['direct']) * 1e3:.2f} ms); "
                f"{used[server.name] * 1e3:.2f} ms of CPU a call"
            )
        for side_by_side in (1, 16, 64):
            rates: dict[str, list[float]] = {server.name: [] for server in servers}
            spent = dict.fromkeys(rates, 0.0)
            done = dict.fromkeys(rates, 0)
            for _ in range(ROUNDS):
                for server in servers:
                    asked = max(side_by_side, calls // (16 if server.name == "litellm" else 2))
                    start = server.cpu_seconds()
                    rates[server.name].append(asyncio.run(throughput(server, side_by_side, asked)))
                    spent[server.name] += server.cpu_seconds() - start
                    done[server.name] += asked
            told = ", ".join(
                f"{name} {statistics.median(rate):.0f}/s ({spent[name] / done[name] * 1e3:.1f} ms of CPU a call)"
                for name, rate in rates.items()
            )
            print(f"{side_by_side:3d} streams side by side: {told}", flush=True)


def serve_upstream() -> None:
    """The provider, until stdin ends."""
    with ScriptedUpstream(provide) as upstream:
        upstream.requests = _Forgetful()
        print(upstream.url, flush=True)
        sys.stdin.read()


class _Forgetful(list[Request]):
    def append(self, _: Request) -> None:
        """Keeps nothing."""


def serve_gateway(url: str) -> None:
    """The gateway as in a run, bodies and journal included, until stdin ends."""
    rules = Rules(calls_per_minute=10_000_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        gateway_at(Path(folder), {"target": model_at(url, "openai")}, rules) as gateway,
        opened(gateway) as (_, variables),
    ):
        port = variables["OPENAI_BASE_URL"].removesuffix("/v1").rpartition(":")[2]
        print(port, variables["OPENAI_API_KEY"], flush=True)
        sys.stdin.read()


def main() -> None:
    """Measures, or serves for the measuring process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", choices=["upstream", "gateway"], help="for the processes that are asked")
    parser.add_argument("url", nargs="?")
    parser.add_argument("--litellm", help="LiteLLM's program")
    parser.add_argument("--calls", type=int, default=400)
    arguments = parser.parse_args()
    if arguments.role == "upstream":
        serve_upstream()
    elif arguments.role == "gateway":
        serve_gateway(arguments.url)
    else:
        measure(arguments.litellm, arguments.calls)


if __name__ == "__main__":
    main()
