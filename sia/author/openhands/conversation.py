"""One conversation with an OpenHands agent: bounded in turns, time and silence, written down as it goes."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from openhands.sdk import LLM, AgentContext, Conversation, Event
from openhands.sdk.conversation.exceptions import ConversationRunError
from openhands.sdk.conversation.state import ConversationExecutionStatus as Status
from openhands.sdk.event import ActionEvent, AgentErrorEvent, MessageEvent, ObservationEvent
from openhands.sdk.event.conversation_error import ConversationErrorEvent
from openhands.sdk.llm import content_to_str
from openhands.tools.preset.default import get_default_agent

from sia.author.brief import TRANSCRIPT_FILE
from sia.author.openhands.route import Route, route
from sia.author.start import Start
from sia.author.transcript import Entry, Transcript

REQUEST_SECONDS = 300
RETRIES, FIRST_WAIT, LONGEST_WAIT = 2, 2, 10
WATCH_SECONDS = 1.0


class ChatLLM(LLM):  # type: ignore[misc]  # OpenHands is not installed where this is checked
    """A model that is called by chat completions only. OpenHands would go by its name: all gpt-5 by the newer API."""

    def uses_responses_api(self) -> bool:
        return False


@dataclass
class Seen:
    """What the events told so far."""

    turns: set[str] = field(default_factory=set)
    """Answers of the model, by their ids."""
    error: str | None = None
    last: float = field(default_factory=time.monotonic)


def converse(start: Start) -> str | None:
    """Runs until the agent finishes; returns what kept it from that, None when nothing did."""
    # Its logger draws frames for people; what it did is in the transcript.
    logging.disable(logging.ERROR)
    seen = Seen()
    with Transcript(start.home / TRANSCRIPT_FILE, start.workspace) as transcript:
        transcript.add(Entry(kind="prompt", text=start.message))

        def take(event: Event) -> None:
            seen.last = time.monotonic()
            if isinstance(event, ActionEvent | MessageEvent) and event.llm_response_id:
                seen.turns.add(event.llm_response_id)
            if isinstance(event, ConversationErrorEvent):
                seen.error = f"{event.code}: {event.detail}"
            for entry in entries(event):
                transcript.add(entry)

        identity = start.resumed.conversation if start.resumed else str(uuid.uuid4())
        llm = make_llm(route(start.model, os.environ))
        agent = get_default_agent(llm, cli_mode=True)
        agent = agent.model_copy(update={"agent_context": AgentContext(system_message_suffix=start.system)})
        conversation = Conversation(
            agent=agent,
            workspace=str(start.workspace),
            persistence_dir=str(start.home / "conversation"),
            conversation_id=uuid.UUID(identity),
            callbacks=[take],
            max_iteration_per_run=start.turns,
            visualizer=None,
            delete_on_close=False,
        )
        ended = threading.Event()

        def end(problem: str | None) -> str | None:
            ended.set()
            start.save(identity, len(seen.turns))
            transcript.add(Entry(kind="end", text=problem or "done", failed=problem is not None))
            return problem

        threading.Thread(target=_watch, args=(start, seen, ended, end), daemon=True).start()
        problem = _run(conversation, start, seen)
        conversation.close()
        return end(problem)


def _run(conversation: Conversation, start: Start, seen: Seen) -> str | None:
    conversation.send_message(start.message)
    try:
        conversation.run()
    except ConversationRunError as error:
        return f"the model failed: {type(error.original_exception).__name__}: {error.original_exception}"
    status = conversation.state.execution_status
    if status == Status.FINISHED:
        return None
    if status == Status.STUCK:
        return "stuck: the same action again and again"
    if seen.error and "MaxIterationsReached" in seen.error:
        return f"limit of {start.brief.limits.max_turns} turns reached"
    return f"the conversation ended as {status.value}: {seen.error or 'it said nothing'}"


def _watch(start: Start, seen: Seen, ended: threading.Event, end: Callable[[str], object]) -> None:
    """Ends the program when the whole takes too long, or nothing happens: a call that hangs can't be interrupted."""
    limits = start.brief.limits
    deadline = time.monotonic() + limits.seconds
    while not ended.wait(WATCH_SECONDS):
        now = time.monotonic()
        problem = None
        if now >= deadline:
            problem = f"wall-clock limit of {limits.seconds:g} s reached"
        elif now - seen.last >= limits.idle_seconds:
            problem = f"no sign of life from the model for {limits.idle_seconds:g} s"
        if problem:
            end(problem)
            print(f"author: {problem}", flush=True)
            os._exit(1)


def make_llm(to: Route) -> LLM:
    """The model behind its route. It costs nothing here: whoever forwards the calls counts them."""
    return (ChatLLM if to.api == "chat" else LLM)(
        model=to.model,
        base_url=to.base_url,
        api_key=to.key,
        num_retries=RETRIES,
        retry_min_wait=FIRST_WAIT,
        retry_max_wait=LONGEST_WAIT,
        timeout=REQUEST_SECONDS,
        input_cost_per_token=0.0,
        output_cost_per_token=0.0,
        usage_id="author",
    )


def entries(event: Event) -> Iterator[Entry]:
    """What an event adds to the transcript."""
    if isinstance(event, ActionEvent):
        thought = "\n".join(part.text for part in event.thought).strip()
        if event.reasoning_content:
            yield Entry(kind="thinking", text=event.reasoning_content)
        if thought:
            yield Entry(kind="text", text=thought)
        arguments = event.action.model_dump(mode="json", exclude_none=True, exclude={"kind"}) if event.action else {}
        yield Entry(kind="call", tool=event.tool_name, arguments=arguments)
    elif isinstance(event, ObservationEvent):
        told = "\n".join(content_to_str(event.observation.to_llm_content))
        yield Entry(kind="result", text=told, failed=event.observation.is_error)
    elif isinstance(event, AgentErrorEvent):
        yield Entry(kind="result", text=event.error, failed=True)
    elif isinstance(event, MessageEvent) and event.source == "agent":
        yield Entry(kind="text", text="\n".join(content_to_str(event.llm_message.content)))
