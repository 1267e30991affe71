"""What may be asked of the server: OpenAI's requests, as far as a local model can answer them, and scoring."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_TOKENS = 512
MAX_CHOICES = 64
MAX_CONTINUATIONS = 1024
MAX_PROMPTS = 64


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _nothing(value: object) -> object:
    if value in (None, 0, [], {}, "none", {"type": "text"}):
        return None
    raise ValueError("is not supported by a local model")


Stop = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_tuple), Field(max_length=16)]
Unsupported = Annotated[Any, BeforeValidator(_nothing)]
"""Would change the answer and cannot be done: refused, where other unknown fields are ignored."""


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """All of its text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


Messages = Annotated[tuple[Message, ...], Field(min_length=1)]


class Request(BaseModel):
    """What all requests have."""

    model_config = ConfigDict(frozen=True)

    model: str
    adapter: str | None = Field(default=None, description="digest of a LoRA adapter; None: the base model")


class StreamOptions(BaseModel):
    """How to stream."""

    include_usage: bool = False


class Generation(Request):
    """What chat and plain completions have in common."""

    n: int = Field(default=1, ge=1, le=MAX_CHOICES)
    temperature: float | None = Field(default=1.0, ge=0, le=2)
    top_p: float | None = Field(default=1.0, gt=0, le=1)
    seed: int | None = None
    stop: Stop | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    tools: Unsupported = None
    functions: Unsupported = None
    logit_bias: Unsupported = None
    response_format: Unsupported = None
    frequency_penalty: Unsupported = None
    presence_penalty: Unsupported = None


class ChatRequest(Generation):
    """POST /v1/chat/completions"""

    messages: Messages
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)


class CompletionRequest(Generation):
    """POST /v1/completions"""

    prompt: str
    max_tokens: int | None = Field(default=16, ge=1)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: Unsupported = None
    suffix: Unsupported = None


class ScoreRequest(Request):
    """POST /v1/score: log-probabilities of given continuations after one prompt or conversation, or several prompts."""

    prompt: str | None = None
    messages: Messages | None = None
    prompts: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_PROMPTS)] | None = None
    continuations: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=MAX_CONTINUATIONS)
    ]


class EmbeddingRequest(Request):
    """POST /v1/embeddings"""

    input: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Unsupported = None
