"""Caps bind, whatever runs side by side, fails or is given up."""

import asyncio
import json
import random
import tempfile
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia.gateway.budget import Account, Cap, CapReachedError, Hold, hold
from sia.gateway.gateway import Gateway, Rules
from sia.gateway.trace import TraceLine, is_charged
from sia.gateway.upstream import Patience
from sia.gateway.usage import NANO, Charge
from tests.gateway.support import gateway_at, model_at, opened
from tests.gateway.upstream import Request, ScriptedUpstream, answer, begin_stream, chunk, reset

COSTS = st.integers(0, 1000)
STEPS = st.lists(st.tuples(st.sampled_from(["hold", "settle", "cancel"]), COSTS, COSTS, st.floats(0, 1)), max_size=60)


@given(cap=st.integers(0, 3000), tokens=st.integers(0, 3000), outer=st.integers(0, 5000), steps=STEPS)
def test_no_interleaving_overspends(
    cap: int, tokens: int, outer: int, steps: list[tuple[str, int, int, float]]
) -> None:
    run, generation = Account(Cap(outer, None)), Account(Cap(cap, tokens))
    open_holds: list[Hold] = []
    charged = [0, 0]
    for what, cost, used, share in steps:
        if what == "hold":
            try:
                held = hold((run, generation), Charge(used, cost))
            except CapReachedError:
                assert run.struck or generation.struck
            else:
                open_holds += [held] if held else []
        elif open_holds:
            held = open_holds.pop(int(share * (len(open_holds) - 1)))
            actual = Charge(0, 0)
            if what == "settle":
                assert held.need.nanodollars is not None
                actual = Charge(int(held.need.tokens * share), int(held.need.nanodollars * share))
            held.settle(actual)
            held.settle(Charge(10**9, 10**9))
            charged[0] += actual.tokens
            charged[1] += actual.nanodollars or 0
        for account in (run, generation):
            assert account.nanodollars + account.held_nanodollars <= (account.cap.nanodollars or 0)
            assert [account.tokens, account.nanodollars] == charged
        assert generation.tokens + generation.held_tokens <= tokens
    for held in open_holds:
        held.settle(Charge(0, 0))
    assert run.held_nanodollars == generation.held_nanodollars == generation.held_tokens == 0


def test_unknown_price_leaves_the_token_cap() -> None:
    account = Account(Cap(nanodollars=1, tokens=100))
    first = hold([account], Charge(60, None))
    assert first is not None
    assert hold([account], Charge(60, None)) is None
    first.settle(Charge(50, None))
    with pytest.raises(CapReachedError, match="cap of 100 tokens"):
        hold([account], Charge(60, None))


PRICE_IN, PRICE_OUT = 150, 600
"""Nanodollars a token of gpt-4o-mini."""


class Biller:
    """A provider that knows what it billed, and fails or stalls at random."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.billed = 0

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fate = self._dice.choice(["good", "good", "good", "busy", "reset", "reset after", "slow", "half"])
        limit = request.said["max_tokens"]
        used_in, used_out = self._dice.randint(1, len(request.body)), self._dice.randint(0, limit)
        if fate == "busy":
            await answer(writer, {"error": {"message": "busy"}}, 429)
            return
        if fate == "reset":
            reset(writer)
            return
        self.billed += used_in * PRICE_IN + used_out * PRICE_OUT
        if fate == "reset after":
            reset(writer)
            return
        if fate == "slow":
            await asyncio.sleep(0.05)
        usage = {"prompt_tokens": used_in, "completion_tokens": used_out, "total_tokens": used_in + used_out}
        if not request.said.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
            await answer(writer, {"choices": [choice], "usage": usage})
            return
        await begin_stream(writer)
        for _ in range(used_out):
            piece = {
                "id": "a-name",
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": "x"}}],
            }
            await chunk(writer, b"data: " + json.dumps(piece).encode() + b"\n\n")
        if fate == "half":
            reset(writer)
            return
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
        await chunk(writer, b"data: " + json.dumps(last).encode() + b"\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def ask_many(variables: dict[str, str], calls: list[tuple[int, bool, float | None]]) -> list[int]:
    """Asks all at once; a call with a time is given up then. The statuses, 0 for calls given up or broken."""
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {variables['OPENAI_API_KEY']}"}) as client:

        async def ask(most: int, stream: bool, leave: float | None) -> int:
            question = [{"role": "user", "content": "ping" * most}]
            body = {"model": "gpt-4o-mini", "messages": question, "max_tokens": most, "stream": stream}
            try:
                response = await client.post(
                    f"{variables['OPENAI_BASE_URL']}/chat/completions", json=body, timeout=leave or 20
                )
            except httpx2.TransportError:
                return 0
            return response.status_code

        return list(await asyncio.gather(*(ask(*call) for call in calls)))


def spent(calls: list[TraceLine]) -> int:
    return sum(round((call.cost or 0.0) * NANO) for call in calls if is_charged(call))


def account_of(gateway: Gateway) -> Account:
    return gateway._run_account


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    cap=st.integers(1, 12),
    calls=st.lists(
        st.tuples(st.integers(1, 30), st.booleans(), st.one_of(st.none(), st.floats(0.005, 0.08))),
        min_size=1,
        max_size=24,
    ),
)
def test_real_calls_side_by_side_never_cost_more_than_the_cap(
    seed: int, cap: int, calls: list[tuple[int, bool, float | None]]
) -> None:
    """Caps between about one and a dozen worst cases of a call, through sockets, with failures and departures."""
    biller = Biller(seed)
    rules = Rules(
        run=Cap(nanodollars=cap * 400_000),
        patience=Patience(call=10, stall=2, tries=3, first_wait=0.001, longest_wait=0.01),
        keep_bodies=False,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        ScriptedUpstream(biller) as upstream,
        gateway_at(Path(folder), {"target": model_at(upstream.url, "openai")}, rules) as gateway,
    ):
        with opened(gateway) as (access, variables):
            statuses = asyncio.run(ask_many(variables, calls))
        account = account_of(gateway)
        assert account.nanodollars <= cap * 400_000
        assert biller.billed <= account.nanodollars
        assert account.held_nanodollars == account.held_tokens == 0
        assert spent(gateway.calls_of(1)) == account.nanodollars
        assert set(statuses) <= {0, 200, 402, 429, 502}
        assert (402 in statuses) <= (access.run_cap is not None)
