"""What the server says, in OpenAI's words."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from sia.local.sampling import Delta, TokenLogprob

Json = dict[str, Any]


def error_body(
    message: str, code: str | None = None, param: str | None = None, kind: str = "invalid_request_error"
) -> Json:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def usage(prompt: int, completion: int) -> Json:
    """Counts of tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@dataclass
class Choice:
    """One answer, as it is put together from its deltas."""

    text: str = ""
    finish: str | None = None
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        """Takes in the next step."""
        self.text += delta.text
        self.finish = delta.finish
        self.tokens += 1
        if delta.logprob:
            self.logprobs.append(delta.logprob)


@dataclass(frozen=True)
class Form:
    """The shape of one endpoint's answers: chat or plain completions."""

    chat: bool
    model: str
    tokenizer: PreTrainedTokenizerBase
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Choice], prompt_tokens: int) -> Json:
        """The body of an answer that is not streamed."""
        told = []
        for index, choice in enumerate(choices):
            logprobs = self._logprobs(choice.logprobs) if choice.logprobs else None
            body: Json = {"index": index, "finish_reason": choice.finish, "logprobs": logprobs}
            if self.chat:
                body["message"] = {"role": "assistant", "content": choice.text, "refusal": None}
            else:
                body["text"] = choice.text
            told.append(body)
        completion = sum(choice.tokens for choice in choices)
        return self._envelope("", {"choices": told, "usage": usage(prompt_tokens, completion)})

    def opening(self, choice: int) -> Json:
        """The first chunk of a streamed chat answer."""
        body = {"index": choice, "delta": {"role": "assistant", "content": ""}, "finish_reason": None, "logprobs": None}
        return self._envelope(".chunk", {"choices": [body]})

    def chunk(self, delta: Delta) -> Json:
        """The next chunk of a streamed answer."""
        logprobs = self._logprobs([delta.logprob]) if delta.logprob else None
        body: Json = {"index": delta.choice, "finish_reason": delta.finish, "logprobs": logprobs}
        if self.chat:
            body["delta"] = {"content": delta.text} if delta.text else {}
        else:
            body["text"] = delta.text
        return self._envelope(".chunk", {"choices": [body]})

    def closing(self, prompt_tokens: int, completion_tokens: int) -> Json:
        """The last chunk, for clients that ask for counts."""
        return self._envelope(".chunk", {"choices": [], "usage": usage(prompt_tokens, completion_tokens)})

    def _envelope(self, chunk: str, content: Json) -> Json:
        kind = f"chat.completion{chunk}" if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model} | content

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> Json:
        if self.chat:
            return {
                "content": [
                    self._entry(t.token, t.logprob) | {"top_logprobs": [self._entry(*e) for e in t.top]} for t in tokens
                ]
            }
        return {
            "tokens": [self._text(t.token) for t in tokens],
            "token_logprobs": [t.logprob for t in tokens],
            "top_logprobs": [{self._text(token): value for token, value in t.top} for t in tokens],
            "text_offset": [],
        }

    def _entry(self, token: int, logprob: float) -> Json:
        text = self._text(token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    def _text(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))
