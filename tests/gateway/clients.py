"""A program for the jail: asks its model by the plain client library of a dialect, knowing nothing of a gateway.

`python clients.py DIALECT MODEL`. Prints what it was told, one JSON line a question.
"""

import json
import sys

QUESTION = "ping, ünïcode"
PARAMETERS = {"type": "object", "properties": {"where": {"type": "string"}}}


def tell(what: str, *told: object) -> None:
    print(json.dumps([what, *told]), flush=True)


def ask_anthropic(model: str) -> None:
    from anthropic import Anthropic

    client = Anthropic()
    question = [{"role": "user", "content": QUESTION}]
    tool = {"name": "look", "description": "Looks.", "input_schema": PARAMETERS}
    whole = client.messages.create(model=model, max_tokens=50, messages=question)
    tell("whole", whole.content[0].text, whole.usage.output_tokens)
    with client.messages.stream(model=model, max_tokens=50, messages=question) as stream:
        tell("streamed", stream.get_final_text(), stream.get_final_message().usage.output_tokens)
    used = client.messages.create(model=model, max_tokens=50, messages=question, tools=[tool])
    tell("tool", used.content[0].name, used.content[0].input, used.stop_reason)
    with client.messages.stream(model=model, max_tokens=50, messages=question, tools=[tool]) as stream:
        tell("tool streamed", stream.get_final_message().content[0].input)
    tell("counted", client.messages.count_tokens(model=model, messages=question).input_tokens)


def ask_openai(model: str) -> None:
    from openai import OpenAI

    client = OpenAI()
    question = [{"role": "user", "content": QUESTION}]
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS}}
    whole = client.chat.completions.create(model=model, messages=question, max_completion_tokens=50)
    tell("whole", whole.choices[0].message.content, whole.usage.completion_tokens)
    settings = {"stream": True, "stream_options": {"include_usage": True}, "max_completion_tokens": 50}
    pieces = list(client.chat.completions.create(model=model, messages=question, **settings))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    tell("streamed", text, pieces[-1].usage.completion_tokens)
    used = client.chat.completions.create(model=model, messages=question, tools=[tool], max_completion_tokens=50)
    tell("tool", used.choices[0].message.tool_calls[0].function.arguments)
    pieces = list(client.chat.completions.create(model=model, messages=question, tools=[tool], **settings))
    tell("tool streamed", pieces[0].choices[0].delta.tool_calls[0].function.arguments)
    answer = client.responses.create(model=model, input=QUESTION, max_output_tokens=50)
    tell("response", answer.output_text, answer.usage.output_tokens)
    with client.responses.stream(model=model, input=QUESTION, max_output_tokens=50) as stream:
        tell("response streamed", stream.get_final_response().output_text)
    tell("embedding", client.embeddings.create(model=model, input="word", encoding_format="float").data[0].embedding)


def ask_gemini(model: str) -> None:
    from google import genai
    from google.genai import types

    client = genai.Client()
    declaration = types.FunctionDeclaration(name="look", description="Looks.", parameters_json_schema=PARAMETERS)
    plain = types.GenerateContentConfig(max_output_tokens=50)
    tooled = types.GenerateContentConfig(
        max_output_tokens=50,
        tools=[types.Tool(function_declarations=[declaration])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    whole = client.models.generate_content(model=model, contents=QUESTION, config=plain)
    tell("whole", whole.text, whole.usage_metadata.candidates_token_count)
    streamed = client.models.generate_content_stream(model=model, contents=QUESTION, config=plain)
    tell("streamed", "".join(piece.text or "" for piece in streamed))
    used = client.models.generate_content(model=model, contents=QUESTION, config=tooled)
    tell("tool", used.function_calls[0].name, used.function_calls[0].args)
    pieces = list(client.models.generate_content_stream(model=model, contents=QUESTION, config=tooled))
    tell("tool streamed", pieces[0].function_calls[0].args)
    tell("counted", client.models.count_tokens(model=model, contents=QUESTION).total_tokens)


if __name__ == "__main__":
    {"anthropic": ask_anthropic, "openai": ask_openai, "gemini": ask_gemini}[sys.argv[1]](sys.argv[2])
