"""The thread that owns the model: whole calls run one after the other, answers are written together in between."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from sia.local.batch import Batch
from sia.local.model import LanguageModel
from sia.local.sampling import Answer, Delta, OnDelta, Sampling

T = TypeVar("T")


class Busy(RuntimeError):
    """More is waiting than can be kept."""


@dataclass(frozen=True)
class Failure:
    """The model failed while it answered."""

    reason: str


@dataclass(frozen=True, eq=False)
class GenerationJob:
    """Answers to one prompt."""

    adapter: str | None
    prompt: list[int]
    n: int
    sampling: Sampling
    on_event: Callable[[Delta | Failure], None]
    """Is called on the engine's thread."""


@dataclass(frozen=True)
class _Call:
    adapter: str | None
    work: Callable[[LanguageModel], Any]
    future: "Future[Any]"


class Engine:
    """Serves jobs until the process ends."""

    def __init__(self, model: LanguageModel, max_waiting: int = 1024) -> None:
        self.model = model
        self._inbox: queue.Queue[_Call | GenerationJob] = queue.Queue(max_waiting)
        self._cancelled: queue.SimpleQueue[GenerationJob] = queue.SimpleQueue()
        self._waiting: deque[GenerationJob] = deque()
        self._batch = Batch(model)
        self._adapter: str | None = None
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def call(self, adapter: str | None, work: Callable[[LanguageModel], T]) -> "Future[T]":
        """Runs `work` with the adapter in use. A call is not split: one step of the batch comes between two calls."""
        future: Future[T] = Future()
        self._put(_Call(adapter, work, future))
        return future

    def generate(self, job: GenerationJob) -> None:
        """Lets the answers of `job` join the batch as soon as there is room and its adapter is in use."""
        self._put(job)

    def cancel(self, job: GenerationJob) -> None:
        """Stops a job that nobody waits for; does nothing when it has ended."""
        self._cancelled.put(job)

    def _put(self, item: _Call | GenerationJob) -> None:
        try:
            self._inbox.put_nowait(item)
        except queue.Full:
            raise Busy from None

    @torch.inference_mode()
    def _run(self) -> None:
        while True:
            idle = not self._waiting and not len(self._batch)
            try:
                item = self._inbox.get(block=idle)
            except queue.Empty:
                pass
            else:
                if isinstance(item, GenerationJob):
                    self._waiting.append(item)
                else:
                    self._do(item)
            self._drop_cancelled()
            try:
                self._advance()
            except Exception as error:  # noqa: BLE001 - whatever torch raises, the next request must be answered
                for on_event in self._batch.clear():
                    on_event(Failure(f"{type(error).__name__}: {error}"))  # type: ignore[arg-type]

    def _do(self, call: _Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            self.model.adapters.use(call.adapter)
            call.future.set_result(call.work(self.model))
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits for the result
            call.future.set_exception(error)

    def _advance(self) -> None:
        """Admits what waits, in its order, and takes one step. Another adapter waits for the batch's end."""
        while self._waiting:
            job = self._waiting[0]
            answers = [
                Answer(k, len(job.prompt), job.sampling, self.model.ends, self.model.tokenizer.backend_tokenizer)
                for k in range(job.n)
            ]
            if len(self._batch) and (job.adapter != self._adapter or not self._batch.has_room(answers)):
                break
            self._waiting.popleft()
            self._adapter = job.adapter
            try:
                self.model.adapters.use(job.adapter)
                self._batch.join(job.prompt, answers, job.on_event)
            except Exception as error:  # noqa: BLE001 - it is told to whoever waits for the answer
                job.on_event(Failure(f"{type(error).__name__}: {error}"))
        if len(self._batch):
            self.model.adapters.use(self._adapter)
            self._batch.step()

    def _drop_cancelled(self) -> None:
        while not self._cancelled.empty():
            job = self._cancelled.get()
            if job in self._waiting:
                self._waiting.remove(job)
            on_event: OnDelta = job.on_event
            self._batch.drop(on_event)
