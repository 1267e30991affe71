"""A training whose weights lie at Tinker: the same plan and course as on this machine, with calls of Tinker's client.

It runs in SIA's own process, which holds the key. Only examples and answers go out; what an author wrote runs in the
jail, behind `Grade`. A killed training goes on from the state that it last saved at Tinker.
"""

import hashlib
import os
import time
from typing import Any

import httpx
import tinker

from sia.weights.examples import Examples
from sia.weights.health import Fault
from sia.weights.loop import Course, Say, end_reason, take_steps
from sia.weights.outcome import METRICS_FILE, TrainingOutcome
from sia.weights.plan import PlanError
from sia.weights.tinker.engine import CHECKPOINT_FILE, Remote, RemoteJob, RemoteMarks, read_checkpoint
from sia.weights.tinker.mapping import adapted_layers, check_plan
from sia.weights.tinker.meter import Meter, cost_of
from sia.weights.tinker.reference import REFERENCE_FILE, read_reference, write_reference
from sia.weights.traces import data_digest, select_examples

PATIENCE = 180.0
"""Seconds beyond the plan's limit that the service is waited for: for loading, a last validation and saving."""
SERVICE_ERRORS = (tinker.TinkerError, httpx.HTTPError, ValueError, RuntimeError, AssertionError)
"""What the client raises: errors of its own, plain ones around results that do not come, and what it asserts of them.
"""


def train_remotely(job: RemoteJob, say: Say) -> TrainingOutcome:
    """The whole update, and how it ended. A fault ends it in order: the best adapter so far is left all the same."""
    # Its client would report home on calls and errors.
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    started = time.monotonic()
    for folder in (job.out, job.work):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        examples = _examples(job)
        service = tinker.ServiceClient(api_key=job.key, base_url=job.url, user_metadata={"made_by": "sia"})
    except PlanError as error:
        return TrainingOutcome(ended="refused", reason=str(error), adapter=False)
    with service:
        try:
            remote = _prepare(job, service, examples, started, say)
        except PlanError as error:
            return TrainingOutcome(ended="refused", reason=str(error), adapter=False)
        except (*SERVICE_ERRORS, TimeoutError) as error:
            return TrainingOutcome(ended="service failed", reason=_words(error), adapter=False)
        course = Course(job.plan, remote.marks, remote, job.work, job.most_cost, say, started)
        fault = None
        try:
            fault = take_steps(course)
        except PlanError as error:
            fault = Fault("refused", str(error))
        except TimeoutError:
            fault = Fault("time limit", f"step {remote.marks.step + 1}: the service did not answer in time")
        except SERVICE_ERRORS as error:
            fault = Fault("service failed", f"step {remote.marks.step + 1}: {_words(error)}")
        return _leave(remote, fault, course)


def _examples(job: RemoteJob) -> Examples:
    check_plan(job.plan)
    if job.most_cost is not None and cost_of(Meter(), job.prices) is None:
        raise PlanError(
            f"its limit in dollars could not bind: the price of training {job.base_model} is not known; the user can "
            f'put it into sia.toml: [providers.tinker.prices."{job.base_model}"] input, output and train'
        )
    if job.parent is not None and (job.parent.base_model, job.parent.rank) != (job.base_model, job.plan.lora.rank):
        raise PlanError(
            f"the parent adapter is of {job.parent.base_model} and has rank {job.parent.rank}; an adapter that goes on "
            "from another keeps its form"
        )
    return select_examples(job.plan, job.public, job.author, job.grade)


def _prepare(job: RemoteJob, service: tinker.ServiceClient, examples: Examples, started: float, say: Say) -> Remote:
    plan = job.plan
    say(f"{len(examples.train)} examples to learn from, {len(examples.validation)} to validate on")
    deadline = started + plan.limits.seconds + PATIENCE

    def wait(future: Any) -> Any:  # noqa: ANN401 - as in the engine
        return future.result(timeout=max(1.0, deadline - time.monotonic()))

    digest, training = _digest(job), None
    marks = read_checkpoint(job.work, digest)
    if marks is not None and marks.state is not None:
        try:
            training = wait(service.create_training_client_from_state_with_optimizer(marks.state))
            say(f"going on from step {marks.step}")
        except SERVICE_ERRORS as error:
            say(f"the state of step {marks.step} cannot be loaded, the training begins anew: {_words(error)}")
    if training is None:
        marks = RemoteMarks(digest=digest, steps=plan.steps)
        for name in (CHECKPOINT_FILE, REFERENCE_FILE):
            (job.work / name).unlink(missing_ok=True)
        training = wait(_new_client(job, service))
    assert marks is not None
    say(f"{plan.algorithm} at Tinker on {job.base_model}, rank {plan.lora.rank}, {plan.steps} steps")
    return Remote(job, service, training, training.get_tokenizer(), examples, marks, deadline)


def _new_client(job: RemoteJob, service: tinker.ServiceClient) -> Any:  # noqa: ANN401 - a future of a client
    if job.parent is not None:
        return service.create_training_client_from_state(job.parent.state)
    attention, mlp = adapted_layers(job.plan.lora)
    return service.create_lora_training_client(
        base_model=job.base_model,
        rank=job.plan.lora.rank,
        seed=job.plan.seed,
        train_attn=attention,
        train_mlp=mlp,
        train_unembed=False,
    )


def _leave(remote: Remote, fault: Fault | None, course: Course) -> TrainingOutcome:
    job, marks = remote.job, remote.marks
    try:
        write_reference(job.out, read_reference(job.work))
        left = True
    except ValueError:
        left = False
    metrics = job.work / METRICS_FILE
    if metrics.exists():
        (job.out / METRICS_FILE).write_bytes(metrics.read_bytes())
    return TrainingOutcome(
        ended=fault.ended if fault else "finished",
        reason=end_reason(fault, left),
        adapter=left,
        steps=marks.step,
        adapter_step=marks.best_step,
        tokens=marks.meter.total,
        seconds=course.seconds,
        cost=course.cost or 0.0,
        before=marks.before,
        after=marks.best if left else None,
        device="tinker",
    )


def _digest(job: RemoteJob) -> str:
    """Of everything that the training depends on."""
    parts = (
        job.plan.model_dump_json(),
        data_digest(job.plan, job.public, job.author),
        job.parent.state if job.parent else "base",
        job.base_model,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _words(error: BaseException) -> str:
    """The error on one line, without what the client appends of the request."""
    first = (str(error).splitlines() or [""])[0][:300]
    return first or type(error).__name__
