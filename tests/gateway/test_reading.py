"""Dialects and streams are read from hostile bytes: nothing raises but what the module says, and no byte is lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sia.gateway.dialects import DIALECTS
from sia.gateway.prices import price_of
from sia.gateway.providers import KNOWN, Model, TokenPrices, resolve_model
from sia.gateway.sse import BadStreamError, EventReader
from sia.gateway.usage import Usage
from tests.gateway.support import MODELS

NAMES = st.sampled_from(
    (
        *("model", "messages", "content", "type", "source", "tools", "usage", "max_tokens", "n", "stream", "input"),
        *("output", "contents", "parts", "url", "image_url", "generationConfig", "usageMetadata", "promptTokenCount"),
        *("input_tokens", "prompt_tokens", "total_tokens", "choices", "error", "message", "response", "delta"),
        *("candidates", "finishReason", "finish_reason", "system", "cache_creation"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/responses", "gemini": "/v1beta/models/m:generateContent"}


@given(said=OBJECTS)
def test_any_json_object_can_be_read(said: dict[str, object]) -> None:
    for name, dialect in DIALECTS.items():
        asked = dialect.read(PATHS[name], said)
        assert asked.max_output is None or asked.max_output >= 0
        usage = dialect.usage(None, said)
        usage = dialect.usage(usage, said)
        assert usage is None or min(usage.input, usage.cache_read, usage.cache_write, usage.output) >= 0
        dialect.is_last(said)


@given(said=st.lists(OBJECTS, max_size=5), cuts=st.lists(st.integers(0, 400), max_size=8), ending=st.booleans())
def test_events_are_cut_without_losing_a_byte(said: list[dict[str, object]], cuts: list[int], ending: bool) -> None:
    line = "\r\n" if ending else "\n"
    text = "".join(f": note{line}event: x{line}data: {json.dumps(one)}{line}{line}" for one in said).encode()
    reader, got, start = EventReader(), [], 0
    for cut in sorted(cuts):
        got += list(reader.take(text[start:cut]))
        start = max(start, cut)
    got += list(reader.take(text[start:])) + list(reader.end())
    assert b"".join(event for event, _ in got) == text
    assert [json.dumps(read) for _, read in got] == [json.dumps(one) for one in said]


@given(pieces=st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_are_events_or_a_bad_stream(pieces: list[bytes]) -> None:
    reader, got = EventReader(), b""
    try:
        for piece in pieces:
            got += b"".join(event for event, _ in reader.take(piece))
        got += b"".join(event for event, _ in reader.end())
    except BadStreamError:
        return
    assert b"".join(pieces).startswith(got)


TOKENS = st.integers(0, 300_000)


@given(read=TOKENS, write=TOKENS, long=TOKENS, plain=TOKENS, output=TOKENS)
def test_no_call_costs_more_than_its_worst_case(read: int, write: int, long: int, plain: int, output: int) -> None:
    usage = Usage(plain, read, write, long, output)
    table = TokenPrices(input=0.1, output=0.4, cache_read=0.01, cache_write=0.125)
    custom = Model(KNOWN["openai"].__class__("x", "http://x", "openai", prices={"m": table}), "m")
    for model in (custom, *(resolve_model(name, KNOWN) for name in MODELS.values())):
        price = price_of(model)
        cost, worst = price.charge(usage).nanodollars, price.worst(usage.all_input, output).nanodollars
        assert cost is not None
        assert worst is not None
        assert 0 <= cost <= worst
