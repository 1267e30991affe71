"""One conversation with Claude Code over its SDK: bounded in turns, time and silence, written down as it goes."""

import asyncio
from collections.abc import Iterator
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKError,
    ContentBlock,
    Message,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
    query,
)

from sia.author.brief import TRANSCRIPT_FILE
from sia.author.start import Start, required
from sia.author.transcript import Entry, Transcript

TOOLS = ["Bash", "Read", "Write", "Edit", "Glob", "Grep"]
MAX_MESSAGE_BYTES = 64 << 20
TOOL_SECONDS = 300


async def converse(start: Start) -> str | None:
    """Runs until Claude is done; returns what kept it from ending well, None when nothing did."""
    with Transcript(start.home / TRANSCRIPT_FILE, start.workspace) as transcript:
        transcript.add(Entry(kind="prompt", text=start.message))
        problem = await _listen(start, transcript)
        transcript.add(Entry(kind="end", text=problem or "done", failed=problem is not None))
        return problem


async def _listen(start: Start, transcript: Transcript) -> str | None:
    limits = start.brief.limits
    clock = asyncio.get_running_loop().time
    deadline = clock() + limits.seconds
    turns = 0
    conversation, result = start.resumed.conversation if start.resumed else "", None
    try:
        # A stream that stalls is bounded by nothing in the SDK: silence has a deadline, and so has the whole.
        async with asyncio.timeout(limits.idle_seconds) as silence:
            async for message in query(prompt=start.message, options=options(start)):
                silence.reschedule(min(clock() + limits.idle_seconds, deadline))
                for entry in entries(message):
                    transcript.add(entry)
                turns += isinstance(message, AssistantMessage)
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    conversation = str(message.data.get("session_id", ""))
                if isinstance(message, ResultMessage):
                    result, turns = message, message.num_turns
    except TimeoutError:
        if clock() >= deadline:
            return f"wall-clock limit of {limits.seconds:g} s reached"
        return f"no sign of life from the model for {limits.idle_seconds:g} s"
    except ClaudeSDKError as error:
        # After a result that tells of an error, an exception follows that says less.
        if result is None:
            return str(error)
    finally:
        start.save(conversation, turns)
    return problem_of(result, start)


def problem_of(result: ResultMessage | None, start: Start) -> str | None:
    """Why the conversation ended, unless Claude was done."""
    if result is None:
        return "the conversation ended without a result"
    if result.subtype == "error_max_turns":
        return f"limit of {start.brief.limits.max_turns} turns reached"
    # A final failure of the API is a success with an error in it.
    if result.is_error or result.subtype != "success":
        return f"the model failed: {result.result or ', '.join(result.errors or ()) or result.subtype}"
    return None


def options(start: Start) -> ClaudeAgentOptions:
    """How Claude Code is started: these tools, no settings of the user, nothing asked, nothing sent elsewhere."""
    model = start.model.name
    return ClaudeAgentOptions(
        tools=TOOLS,
        permission_mode="bypassPermissions",
        system_prompt=start.system,
        setting_sources=[],
        strict_mcp_config=True,
        model=model,
        max_turns=start.turns,
        max_buffer_size=MAX_MESSAGE_BYTES,
        cwd=start.workspace,
        resume=start.resumed.conversation if start.resumed else None,
        # Parts of an answer are signs of life.
        include_partial_messages=True,
        env={
            "HOME": str(start.home),
            "CLAUDE_CONFIG_DIR": str(start.home / ".claude"),
            "TMPDIR": str(start.temporary),
            "ANTHROPIC_BASE_URL": required("ANTHROPIC_BASE_URL"),
            "ANTHROPIC_API_KEY": required("ANTHROPIC_API_KEY"),
            # There is one model: side jobs must not ask for another.
            "ANTHROPIC_SMALL_FAST_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
            "CLAUDE_CODE_MAX_RETRIES": "3",
            "DISABLE_AUTOUPDATER": "1",
            "BASH_DEFAULT_TIMEOUT_MS": str(1000 * TOOL_SECONDS // 2),
            "BASH_MAX_TIMEOUT_MS": str(1000 * TOOL_SECONDS),
            # Without it root may not skip permissions; the jail is the sandbox.
            "IS_SANDBOX": "1",
        },
    )


def entries(message: Message) -> Iterator[Entry]:
    """What a message adds to the transcript."""
    if isinstance(message, AssistantMessage | UserMessage) and isinstance(message.content, list):
        for block in message.content:
            entry = _entry(block)
            if entry:
                yield entry


def _entry(block: ContentBlock) -> Entry | None:
    if isinstance(block, TextBlock):
        return Entry(kind="text", text=block.text)
    if isinstance(block, ThinkingBlock):
        return Entry(kind="thinking", text=block.thinking)
    if isinstance(block, ToolUseBlock):
        return Entry(kind="call", tool=block.name, arguments=block.input)
    if isinstance(block, ToolResultBlock):
        return Entry(kind="result", text=_words(block.content), failed=bool(block.is_error))
    return None


def _words(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", part.get("type", ""))) for part in content or ())
