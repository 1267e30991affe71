"""The scripted model server against the providers' own clients: each dialect, whole and streamed, and each failure."""

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.scripted_model import Call, Conversation, Failure, Reply, ScriptedModel, serve

ANSWER = Reply("Two words " * 200, (Call("look", {"at": "the sea", "n": [1, 2.5, None]}),))
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}


def policy(conversation: Conversation) -> Reply | Failure:
    """Keyed on what the user says last."""
    last = next(turn for turn in reversed(conversation.turns) if turn.role != "assistant")
    if last.role == "tool":
        return Reply(f"seen: {last.text}")
    kind, _, times = last.text.partition(" ")
    if kind == "answer":
        return ANSWER
    return Failure(kind, 503, times=int(times or 9), then=Reply("at last"), retry_after=0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with serve(policy) as running:
        yield running


def claude(model: ScriptedModel, retries: int = 0) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=model.url, api_key="key", max_retries=retries, timeout=2)


def gpt(model: ScriptedModel, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{model.url}/v1", api_key="key", max_retries=retries, timeout=2)


def test_messages_whole_and_streamed_are_the_same(model: ScriptedModel) -> None:
    request = {
        "model": "m",
        "max_tokens": 9,
        "system": "be brief",
        "messages": [{"role": "user", "content": "answer"}],
        "tools": [{"name": "look", "input_schema": SCHEMA}],
    }
    whole = claude(model).messages.create(**request)  # type: ignore[call-overload]
    with claude(model).messages.stream(**request) as stream:  # type: ignore[arg-type]
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text  # type: ignore[union-attr]
    assert whole.content[1].input == streamed.content[1].input  # type: ignore[union-attr]
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert whole.content[0].text == ANSWER.text
    assert whole.content[1].input == ANSWER.calls[0].arguments
    result = {"type": "tool_result", "tool_use_id": whole.content[1].id, "content": "a sail"}
    more = [{"role": "assistant", "content": whole.content}, {"role": "user", "content": [result]}]
    turns = [*request["messages"], *more]
    assert claude(model).messages.create(**request | {"messages": turns}).content[0].text == "seen: a sail"


def test_chat_whole_and_streamed_are_the_same(model: ScriptedModel) -> None:
    request = {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "answer"}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
    }
    message = gpt(model).chat.completions.create(**request).choices[0].message  # type: ignore[call-overload]
    with gpt(model).chat.completions.stream(**request) as stream:  # type: ignore[arg-type]
        streamed = stream.get_final_completion().choices[0].message
    assert message.content == streamed.content == ANSWER.text
    call = message.tool_calls[0]
    assert call.function.arguments == streamed.tool_calls[0].function.arguments  # type: ignore[index]
    assert json.loads(call.function.arguments) == ANSWER.calls[0].arguments
    turns = [*request["messages"], message, {"role": "tool", "tool_call_id": call.id, "content": "a sail"}]
    again = gpt(model).chat.completions.create(**request | {"messages": turns})  # type: ignore[call-overload]
    assert again.choices[0].message.content == "seen: a sail"


def test_responses_whole_and_streamed_are_the_same(model: ScriptedModel) -> None:
    request = {"model": "m", "input": "answer", "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]}
    whole = gpt(model).responses.create(**request)  # type: ignore[call-overload]
    with gpt(model).responses.stream(**request) as stream:  # type: ignore[call-overload]
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text == ANSWER.text
    call = whole.output[1]
    assert json.loads(call.arguments) == json.loads(streamed.output[1].arguments) == ANSWER.calls[0].arguments
    items = [
        {"role": "user", "content": "answer"},
        {"type": "function_call", "call_id": call.call_id, "name": "look", "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "a sail"},
    ]
    assert gpt(model).responses.create(model="m", input=items).output_text == "seen: a sail"  # type: ignore[arg-type]


def test_gemini_whole_and_streamed_are_the_same(model: ScriptedModel) -> None:
    client = genai.Client(api_key="key", http_options=types.HttpOptions(base_url=model.url, timeout=5000))
    look = types.FunctionDeclaration(name="look", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        system_instruction="be brief",
        tools=[types.Tool(function_declarations=[look])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    turns = [types.Content(role="user", parts=[types.Part(text="answer")])]
    whole = client.models.generate_content(model="m", contents=turns, config=config)
    chunks = list(client.models.generate_content_stream(model="m", contents=turns, config=config))
    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == ANSWER.text
    assert whole.function_calls is not None
    assert chunks[-1].function_calls is not None
    assert whole.function_calls[0].args == chunks[-1].function_calls[0].args == ANSWER.calls[0].arguments
    assert whole.candidates is not None
    result = types.Part.from_function_response(name="look", response={"output": "a sail"})
    turns += [whole.candidates[0].content, types.Content(role="user", parts=[result])]
    assert client.models.generate_content(model="m", contents=turns, config=config).text == "seen: a sail"


@pytest.mark.parametrize("kind", ["status", "drop", "cut", "stall", "garbage", "empty", "error-event"])
def test_every_failure_reaches_the_clients(model: ScriptedModel, kind: str) -> None:
    turns = [{"role": "user", "content": kind}]

    def ask_claude() -> None:
        with claude(model).messages.stream(model="m", max_tokens=9, messages=turns) as stream:  # type: ignore[arg-type]
            assert stream.get_final_message().stop_reason

    def ask_gpt() -> None:
        with gpt(model).chat.completions.stream(model="m", messages=turns) as events:  # type: ignore[arg-type]
            assert events.get_final_completion().choices[0].finish_reason

    # Of whichever transport the clients brought, if not their own.
    with pytest.raises(Exception) as of_claude:  # noqa: PT011
        ask_claude()
    with pytest.raises(Exception) as of_gpt:  # noqa: PT011
        ask_gpt()
    if kind == "status":
        assert of_claude.value.status_code == of_gpt.value.status_code == 503  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["status", "drop"])
def test_retries_of_a_client_are_told_from_new_conversations(model: ScriptedModel, kind: str) -> None:
    turns = [{"role": "user", "content": f"{kind} 2"}]
    said = claude(model, retries=2).messages.create(model="m", max_tokens=9, messages=turns)  # type: ignore[arg-type]
    assert said.content[0].text == "at last"
    other = [{"role": "user", "content": f"{kind} 3"}]
    with pytest.raises(anthropic.APIError):
        claude(model, retries=2).messages.create(model="m", max_tokens=9, messages=other)  # type: ignore[arg-type]
