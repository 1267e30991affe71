"""A double of the Tinker service on loopback, as its own client speaks to it: sessions, futures, protocol buffers.

Behind it is the toy model, really trained by the losses that Tinker documents (all parameters, no adapter). It answers
in OpenAI's protocol as well. What Tinker's servers do beyond that is not imitated: queues, limits, prices, expiry.
"""

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tinker.proto import tinker_public_pb2 as proto
from transformers import AutoTokenizer, LlamaForCausalLM

from sia.gateway.providers import TINKER_PATH

KEY = "tml-real-0123456789-never-seen"
MODEL = "toy/Llama-tiny"
NUMPY = {proto.DTYPE_FLOAT32: np.float32, proto.DTYPE_INT64: np.int64}


@dataclass
class Trained:
    """One model in training."""

    model: LlamaForCausalLM
    optimiser: torch.optim.AdamW
    loss_fns: list[str] = field(default_factory=list)


@dataclass
class TinkerDouble:
    """The state of the service."""

    base: Path
    url: str = ""
    models: dict[str, Trained] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)
    """Paths to weights, with the optimiser's state where they are to train on from."""
    samplers: dict[str, LlamaForCausalLM] = field(default_factory=dict)
    futures: dict[str, Response] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Path and body of each request, protocol buffers decoded."""
    refused: list[str] = field(default_factory=list)
    """Paths that were asked for without the key."""
    fail: Callable[[str], str | None] = lambda path: None
    """Why a request to the path fails, if it is to."""

    def __post_init__(self) -> None:
        self._base_model = LlamaForCausalLM.from_pretrained(self.base, local_files_only=True)

    def fresh(self) -> LlamaForCausalLM:
        """The base model."""
        return copy.deepcopy(self._base_model)

    def future(self, answer: Response, sequences: int = 0) -> JSONResponse:
        """A promise of the answer; that of samples names each of them."""
        name = f"request-{len(self.futures)}"
        self.futures[name] = answer
        ids = {"sample_sequence_ids": [f"{name}-{i}" for i in range(sequences)]} if sequences else {}
        return JSONResponse({"request_id": name, **ids})

    def paths(self, kind: str) -> list[str]:
        """The paths of requests of a kind, in order."""
        return [path for path, _ in self.calls if path.endswith(kind)]


def _optimiser(model: LlamaForCausalLM) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=0.0)


def _logprobs(model: LlamaForCausalLM, tokens: list[int], targets: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([tokens])).logits[0]
    return torch.log_softmax(logits, dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1)


def loss_of(
    name: str, logprobs: torch.Tensor, given: dict[str, torch.Tensor], config: dict[str, float]
) -> torch.Tensor:
    """The losses as tinker-docs.thinkingmachines.ai/tinker/losses has them, summed over the tokens of one datum."""
    if name == "cross_entropy":
        return -(logprobs * given["weights"]).sum()
    ratio = torch.exp(logprobs - given["logprobs"])
    if name == "importance_sampling":
        return -(ratio * given["advantages"]).sum()
    assert name == "ppo", name
    clipped = ratio.clamp(config["clip_low_threshold"], config["clip_high_threshold"])
    return -torch.minimum(ratio * given["advantages"], clipped * given["advantages"]).sum()


def _forward_backward(double: TinkerDouble, request: proto.ForwardBackwardRequest) -> Response:
    trained = double.models[request.model_id]
    trained.loss_fns.append(request.loss_fn)
    config = {name: value.number for name, value in request.loss_fn_config_v2.items()}
    total, arrays = torch.tensor(0.0), []
    for datum in request.data:
        tokens = np.frombuffer(datum.model_input[0].encoded_text.tokens, dtype=np.int32).tolist()
        given = {
            name: torch.tensor(np.frombuffer(tensor.dense, dtype=NUMPY[tensor.dtype]).copy())
            for name, tensor in datum.loss_fn_inputs.items()
        }
        logprobs = _logprobs(trained.model, tokens, given["target_tokens"])
        total = total + loss_of(request.loss_fn, logprobs, given, config)
        arrays.append(logprobs.detach().numpy().astype(np.float32))
    if not request.forward_only:
        total.backward()
    offsets = np.cumsum([0, *(a.nbytes for a in arrays)]).astype(np.int64)
    record = proto.ArrayRecord(type_tag="Record", num_datums=len(arrays))
    record.fields["logprobs"].CopyFrom(
        proto.BatchedTensor(
            data=b"".join(a.tobytes() for a in arrays), offsets=offsets.tobytes(), dtype=proto.DTYPE_FLOAT32
        )
    )
    answer = proto.ForwardBackwardOutput(loss_fn_output_type="Record", loss_fn_outputs=[record])
    answer.metrics["loss:sum"] = float(total.detach())
    return Response(answer.SerializeToString(), media_type="application/x-protobuf")


def _optim_step(double: TinkerDouble, body: dict[str, Any]) -> Response:
    trained, adam = double.models[body["model_id"]], body["adam_params"]
    norm = torch.nn.utils.clip_grad_norm_(trained.model.parameters(), adam["grad_clip_norm"])
    for group in trained.optimiser.param_groups:
        group.update(
            lr=adam["learning_rate"],
            betas=(adam["beta1"], adam["beta2"]),
            eps=adam["eps"],
            weight_decay=adam["weight_decay"],
        )
    trained.optimiser.step()
    trained.optimiser.zero_grad()
    return JSONResponse({"metrics": {"grad_norm": float(norm)}})


def _sample(double: TinkerDouble, body: dict[str, Any]) -> Response:
    model, params = double.samplers[body["sampling_session_id"]], body["sampling_params"]
    prompt = [token for chunk in body["prompt"]["chunks"] for token in chunk["tokens"]]
    torch.manual_seed(params.get("seed") or 0)
    answer = proto.SampleResponse()
    for _ in range(body["num_samples"]):
        tokens, logprobs = _write(model, prompt, params["max_tokens"], params["temperature"])
        answer.sequences.append(
            proto.SampledSequence(
                stop_reason=proto.STOP_REASON_LENGTH,
                tokens=np.array(tokens, dtype=np.int32).tobytes(),
                logprobs=np.array(logprobs, dtype=np.float32).tobytes(),
            )
        )
    if body.get("prompt_logprobs"):
        with torch.no_grad():
            told = _logprobs(model, prompt[:-1], torch.tensor(prompt[1:])).tolist()
        answer.prompt_logprobs = np.array([np.nan, *told], dtype=np.float32).tobytes()
    return Response(answer.SerializeToString(), media_type="application/x-protobuf")


def _write(model: LlamaForCausalLM, prompt: list[int], most: int, temperature: float) -> tuple[list[int], list[float]]:
    tokens: list[int] = []
    logprobs: list[float] = []
    while len(tokens) < most and (not tokens or tokens[-1] != model.config.eos_token_id):
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=torch.tensor([prompt + tokens])).logits[0, -1], dim=-1)
        token = int(logp.argmax()) if temperature == 0 else int(torch.multinomial((logp / temperature).exp(), 1))
        tokens.append(token)
        logprobs.append(float(logp[token]))
    return tokens, logprobs


def _save(double: TinkerDouble, body: dict[str, Any], sampler: bool) -> Response:
    trained = double.models[body["model_id"]]
    weights = copy.deepcopy(trained.model.state_dict())
    if sampler and body.get("path") is None:
        name = f"sampling-{len(double.samplers)}"
        double.samplers[name] = _loaded(double, weights)
        return JSONResponse({"path": None, "sampling_session_id": name})
    path = f"tinker://{body['model_id'].replace(':', '-')}/{'sampler_weights' if sampler else 'weights'}/{body['path']}"
    double.saved[path] = weights, copy.deepcopy(trained.optimiser.state_dict())
    return JSONResponse({"path": path})


def _loaded(double: TinkerDouble, weights: dict[str, torch.Tensor]) -> LlamaForCausalLM:
    model = double.fresh()
    model.load_state_dict(weights)
    return model


def _load(double: TinkerDouble, body: dict[str, Any]) -> Response:
    if body["path"] not in double.saved:
        return JSONResponse({"error": f"no weights at {body['path']}", "category": "user"})
    weights, state = double.saved[body["path"]]
    name, model = f"{body['session_id']}:train:{body['model_seq_id']}", _loaded(double, weights)
    double.models[name] = Trained(model, _optimiser(model))
    if body["optimizer"]:
        double.models[name].optimiser.load_state_dict(copy.deepcopy(state))
    return JSONResponse({"path": body["path"], "model_id": name})


def _create(double: TinkerDouble, body: dict[str, Any]) -> Response:
    name, model = f"{body['session_id']}:train:{body['model_seq_id']}", double.fresh()
    double.models[name] = Trained(model, _optimiser(model))
    return JSONResponse({"model_id": name})


def _open_sampler(double: TinkerDouble, body: dict[str, Any]) -> Response:
    name, path = f"sampling-{len(double.samplers)}", body.get("model_path")
    double.samplers[name] = _loaded(double, double.saved[path][0]) if path else double.fresh()
    return JSONResponse({"sampling_session_id": name})


def _chat(double: TinkerDouble, body: dict[str, Any]) -> Response:
    if body["model"] != MODEL and body["model"] not in double.saved:
        return JSONResponse({"error": {"message": f"no model {body['model']}"}}, 404)
    model = double.fresh() if body["model"] == MODEL else _loaded(double, double.saved[body["model"]][0])
    tokenizer = AutoTokenizer.from_pretrained(double.base, local_files_only=True)
    text = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokens, _ = _write(model, prompt, body["max_tokens"], 0.0)
    said = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(tokens), "total_tokens": len(prompt) + len(tokens)}
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return JSONResponse({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


AT_ONCE: dict[str, Callable[[TinkerDouble, dict[str, Any]], Response]] = {
    "client/config": lambda double, body: JSONResponse({"use_pyqwest_transport": False}),
    "client/dynamic_config": lambda double, body: JSONResponse({}),
    "create_session": lambda double, body: JSONResponse({"session_id": "session"}),
    "session_heartbeat": lambda double, body: JSONResponse({}),
    "sessions/session/finish": lambda double, body: JSONResponse({}),
    "create_sampling_session": _open_sampler,
    "get_info": lambda double, body: JSONResponse(
        {"model_data": {"model_name": MODEL, "tokenizer_id": str(double.base)}, "model_id": body["model_id"]}
    ),
    "retrieve_future": lambda double, body: double.futures[body["request_id"]],
}
PROMISED: dict[str, Callable[[TinkerDouble, dict[str, Any]], Response]] = {
    "create_model": _create,
    "load_weights": _load,
    "save_weights": lambda double, body: _save(double, body, sampler=False),
    "save_weights_for_sampler": lambda double, body: _save(double, body, sampler=True),
    "optim_step": _optim_step,
    "asample": _sample,
}


def _application(double: TinkerDouble) -> Starlette:
    # One thing at a time, as it comes: the client sees to the order of its requests.
    async def answer(request: Request) -> Response:
        path, raw = request.path_params["path"], await request.body()
        if request.headers.get("x-api-key") != KEY:
            double.refused.append(path)
            return JSONResponse({"detail": "no such key"}, 401)
        if path == "forward_backward":
            message = proto.ForwardBackwardRequest()
            message.ParseFromString(raw)
            double.calls.append((path, message))
        else:
            body = json.loads(raw or b"{}")
            double.calls.append((path, body))
        promised = path == "forward_backward" or path in PROMISED
        if promised and (reason := double.fail(path)):
            return double.future(JSONResponse({"error": reason, "category": "server"}))
        if path == "forward_backward":
            return double.future(_forward_backward(double, message))
        if path in PROMISED:
            return double.future(PROMISED[path](double, body), body.get("num_samples", 0))
        if path.startswith("samplers/"):
            return JSONResponse({"sampler_id": path.partition("/")[2], "base_model": MODEL})
        return AT_ONCE[path](double, body)

    async def chat(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            double.refused.append("chat")
            return JSONResponse({"error": {"message": "no such key"}}, 401)
        body = await request.json()
        double.calls.append(("chat", body))
        return _chat(double, body)

    return Starlette(
        routes=[
            Route(f"{TINKER_PATH}/chat/completions", chat, methods=["POST"]),
            Route("/api/v1/{path:path}", answer, methods=["GET", "POST"]),
        ]
    )


@contextmanager
def tinker_double(base: Path) -> Iterator[TinkerDouble]:
    """The service on loopback, with the toy model in `base`."""
    double = TinkerDouble(base)
    listener = socket.create_server(("127.0.0.1", 0))
    double.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(_application(double), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.should_exit = True
        thread.join(10)


def make_chat_base(folder: Path) -> Path:
    """The toy model with a chat template that adds nothing to a message."""
    from tests.weights.toy import make_base

    make_base(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder
