"""Descriptions of similar tasks, written by a model: they widen what an author of agents prepares for."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

from sia.errors import HostError

PROMPT = """Below is the description of a machine-learning task. Write three short descriptions of OTHER tasks of the
same kind, in Markdown: a heading and five sentences each, saying what a row is, what is predicted, the columns of
submission.csv, the metric and what is difficult. Vary the field, the kinds of columns and the metric. Invent them: do
not describe the given task again, and state no answers. Begin with the line "# Tasks of the same kind".

"""
MAX_TOKENS = 2000
MAX_ANSWER = 20_000
"""Characters that are kept."""
SECONDS = 180.0


@dataclass(frozen=True)
class Endpoint:
    """A model behind an address that speaks one of three dialects."""

    base_url: str
    """Without `/v1`."""
    key: str
    model: str
    dialect: Literal["openai", "anthropic", "gemini"]


def write_similar_tasks(endpoint: Endpoint, description: str) -> str:
    """Markdown with three descriptions. Raises HostError when the model gives none."""
    text = ask(endpoint, PROMPT + description).strip()
    if not text.startswith("#"):
        text = f"# Tasks of the same kind\n\n{text}"
    return text[:MAX_ANSWER].rstrip() + "\n"


def ask(endpoint: Endpoint, prompt: str) -> str:
    """The model's answer to one prompt. Raises HostError when there is none, with the status that was told."""
    path, headers, body = _request(endpoint, prompt)
    request = urllib.request.Request(
        f"{endpoint.base_url}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            text = _text(json.load(answer))
    except urllib.error.HTTPError as error:
        raise _unwritten(f"{endpoint.model} answers with status {error.code}") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _unwritten(f"{endpoint.model} gives no usable answer ({type(error).__name__})") from None
    if not text.strip():
        raise _unwritten(f"{endpoint.model} answers with nothing")
    return text


def _request(endpoint: Endpoint, prompt: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Path, headers and body in the endpoint's dialect."""
    messages = {"messages": [{"role": "user", "content": prompt}], "model": endpoint.model, "max_tokens": MAX_TOKENS}
    match endpoint.dialect:
        case "openai":
            return "v1/chat/completions", {"Authorization": f"Bearer {endpoint.key}"}, messages
        case "anthropic":
            return "v1/messages", {"x-api-key": endpoint.key, "anthropic-version": "2023-06-01"}, messages
    contents = {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"maxOutputTokens": MAX_TOKENS},
    }
    return f"v1beta/models/{endpoint.model}:generateContent", {"x-goog-api-key": endpoint.key}, contents


def _text(answer: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    """The text of an answer in any of the dialects."""
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"] or "")
    if "candidates" in answer:
        return "".join(part.get("text", "") for part in answer["candidates"][0]["content"]["parts"])
    return "".join(part["text"] for part in answer["content"] if part["type"] == "text")


def _unwritten(problem: str) -> HostError:
    return HostError(
        f"the descriptions of similar tasks could not be written: {problem}",
        "try again, or leave `--samples` out: those that come with SIA are used then",
    )
