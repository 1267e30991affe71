"""The program of the Claude author when the provider fails, the model stalls, or turns run out."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sia.author import brief as contract
from sia.author.program import AUTHORS
from tests.author.program import make_workspace, start_program, transcript
from tests.scripted_model import Call, Conversation, Failure, Reply, serve

pytestmark = [pytest.mark.slow, pytest.mark.claude]
CLAUDE = AUTHORS["claude"]


FAILURES = {
    "401": Failure("status", 401),
    "400": Failure("status", 400),
    "429": Failure("status", 429),
    "529": Failure("status", 529),
    "Connection": Failure("drop"),
    "Connection to the API was lost": Failure("cut"),
    "JSON": Failure("garbage"),
    "empty": Failure("empty"),
    "API Error": Failure("error-event"),
}
"""By words of the reason that is told. Some need waits between attempts, so they run side by side."""


def test_failing_provider_ends_the_author_with_the_reason(tmp_path: Path) -> None:
    def ending(number: int, failure: Failure) -> tuple[int, str, bool]:
        folder = tmp_path / str(number)
        folder.mkdir()
        workspace = make_workspace(folder, "claude")
        with serve(lambda _: failure) as model:
            status, line = start_program(CLAUDE, workspace, model.url)
        return status, line, transcript(workspace)[-1].failed

    with ThreadPoolExecutor(4) as pool:
        endings = list(pool.map(ending, range(len(FAILURES)), FAILURES.values()))
    for words, (status, line, failed) in zip(FAILURES, endings, strict=True):
        assert (status, failed) == (1, True)
        assert line.startswith("author: the model failed")
        assert words in line


@pytest.mark.parametrize("kind", ["status", "drop", "cut"])
def test_provider_that_recovers_is_asked_again(tmp_path: Path, kind: str) -> None:
    workspace = make_workspace(tmp_path, "claude")
    failure = Failure(kind, 529, times=1, then=Reply("written"))  # type: ignore[arg-type]
    with serve(lambda _: failure) as model:
        assert start_program(CLAUDE, workspace, model.url)[0] == 0
        assert len(model.asked) >= 2
    assert [e.text for e in transcript(workspace) if e.kind == "text"][-1] == "written"


def test_stream_that_stalls_is_left_at_the_deadline_of_silence(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, "claude", idle_seconds=3)
    with serve(lambda _: Failure("stall")) as model:
        status, line = start_program(CLAUDE, workspace, model.url)
    assert (status, line) == (1, "author: no sign of life from the model for 3 s")


def test_whole_conversation_has_a_deadline(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, "claude", seconds=4)
    calls = Reply("", (Call("Bash", {"command": "sleep 1"}),))
    with serve(lambda _: calls) as model:
        status, line = start_program(CLAUDE, workspace, model.url)
    assert (status, line) == (1, "author: wall-clock limit of 4 s reached")


def test_turns_are_limited_over_both_starts(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, "claude", max_turns=3)

    def policy(conversation: Conversation) -> Reply:
        if conversation.said("It does not parse") or conversation.steps == 0:
            return Reply("", (Call("Bash", {"command": f"echo {conversation.steps}"}),))
        return Reply("done")

    with serve(policy) as model:
        assert start_program(CLAUDE, workspace, model.url)[0] == 0
        (workspace / contract.REPAIR_FILE).write_text("It does not parse.")
        status, line = start_program(CLAUDE, workspace, model.url)
        assert model.asked[-1].said("Write it.")
    assert (status, line) == (1, "author: limit of 3 turns reached")
    assert start_program(CLAUDE, workspace, "http://127.0.0.1:9")[1] == "author: no turn is left of 3"


def test_answers_of_many_megabytes_are_taken(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, "claude")
    big = "# a line of a long program\n" * 150_000

    def policy(conversation: Conversation) -> Reply:
        if conversation.steps == 0:
            return Reply("", (Call("Write", {"file_path": f"{workspace}/target_agent.py", "content": big}),))
        return Reply("done")

    with serve(policy) as model:
        assert start_program(CLAUDE, workspace, model.url)[0] == 0
    assert (workspace / "target_agent.py").read_text() == big
