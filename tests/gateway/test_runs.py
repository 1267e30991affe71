"""Runs that ask models: caps end them in order, nothing paid is paid again, and a recording plays again for nothing."""

import asyncio
import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.events import Event, StageStarted
from sia.gateway.budget import Cap
from sia.gateway.gateway import Rules
from sia.gateway.journal import Journal, read_calls
from sia.gateway.trace import TraceLine, spending_of
from sia.gateway.usage import NANO, Charge
from sia.loop import run_generations
from sia.replay import Replay, replay_run
from sia.settings import RunSettings
from sia.store.catalog import generations_of
from sia.store.progress import RunProgress
from sia.store.records import RunRecord
from sia.store.run_directory import own_run, read_run_record
from sia.verify import verify_run
from tests.gateway.asking import ASKED, ASKING, asking_session, counted, think
from tests.gateway.support import KEY
from tests.gateway.upstream import Request, ScriptedUpstream
from tests.support import agent_with_accuracy, fill, make_session, make_task
from tests.support import play as play_scripted


def settings(tmp_path: Path, **more: object) -> RunSettings:
    return RunSettings.model_validate(
        {
            "runs_dir": tmp_path / "runs",
            "run_id": "1",
            "meta_model": "haiku",
            "task_model": "gpt-4o-mini",
            "max_gen": 3,
            **more,
        }
    )


def play(tmp_path: Path, url: str, rules: Rules | None = None, **more: object) -> RunRecord:
    task = tmp_path / "task"
    if not task.exists():
        make_task(task, {})
    with asking_session(task, settings(tmp_path, **more), url, rules) as (session, record):
        return run_generations(session, record, lambda _: None)


def play_again(tmp_path: Path, **more: object) -> Replay:
    """A replay, with no provider anywhere."""
    session, record = make_session(tmp_path / "task", settings(tmp_path, resume=True, **more))
    session = replace(session, author=ASKING, progress=RunProgress())
    try:
        return replay_run(session, record, lambda _: None)
    finally:
        session.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three generations, and nobody who could answer a model call any more."""
    folder = tmp_path_factory.mktemp("recorded")
    with ScriptedUpstream(think) as upstream:
        final = play(folder, upstream.url)
    assert final.status == "finished"
    assert final.generations == 3
    return folder


def test_costs_and_tokens_reach_every_record(recorded: Path) -> None:
    run = recorded / "runs" / "run_1"
    calls = read_calls(run / "calls.jsonl")
    assert len(calls) == 3 * (1 + 2 * ASKED)
    for record in generations_of(run):
        trace = [
            TraceLine.model_validate_json(line)
            for line in (run / f"gen_{record.generation}" / "trace.jsonl").read_text().splitlines()
        ]
        assert [call.id for call in trace] == sorted(call.id for call in calls if call.generation == record.generation)
        assert record.cost == spending_of(trace).cost > 0
        assert record.tokens == sum(call.input_tokens + call.output_tokens for call in trace)
        assert {call.role for call in trace} == {"author", "trial", "target"}
    total = read_run_record(run)
    assert total.cost == pytest.approx(sum(call.cost or 0 for call in calls))
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert sum(line["cost"] for line in lines) == pytest.approx(total.cost)


def test_the_key_is_nowhere_in_the_run(recorded: Path) -> None:
    files = [file for file in (recorded / "runs").rglob("*") if file.is_file()]
    assert len(files) > 100
    for file in files:
        content = file.read_bytes()
        assert KEY.encode() not in (gzip.decompress(content) if file.suffix == ".gz" else content), file


def test_a_recorded_run_comes_out_the_same_without_a_provider(recorded: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (recorded / "runs").rglob("*") if file.is_file()}
    done = play_again(recorded)
    assert done.difference is None
    assert done.stages == 12
    assert done.calls == 3 * (1 + 2 * ASKED)
    assert done.strayed == ()
    # The agents print how long they took.
    assert set(done.timed) <= {f"gen_{n}/target_agent_stdout.log" for n in (1, 2, 3)}
    after = {file: file.stat().st_mtime_ns for file in (recorded / "runs").rglob("*") if file.is_file()}
    assert after == before


def test_a_program_that_throws_dice_is_the_first_difference(tmp_path: Path) -> None:
    dice = (
        agent_with_accuracy(50)
        + '(arguments.working_dir / "dice.txt").write_text(f"a\\n{__import__(\'os\').urandom(8)}")\n'
    )
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(40), 2: dice})
    wanted = RunSettings(runs_dir=tmp_path / "runs", run_id="1", max_gen=2)
    play_scripted(task, wanted)
    session, record = make_session(task, wanted.model_copy(update={"resume": True}))
    try:
        done = replay_run(replace(session, progress=RunProgress()), record, lambda _: None)
    finally:
        session.close()
    assert done.difference == "generation 2, run: gen_2/dice.txt differs in line 2"
    assert done.stages == 6


def copy_of(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "copy", symlinks=True))


def test_an_untouched_run_verifies(recorded: Path) -> None:
    found = verify_run(recorded / "runs" / "run_1")
    assert found.problems == ()
    assert found.extra == ()
    assert found.stages == 12
    assert found.calls == 3 * (1 + 2 * ASKED)
    assert found.bodies > ASKED


def test_one_flipped_byte_is_named_wherever_it_is(recorded: Path, tmp_path: Path) -> None:
    run = copy_of(recorded, tmp_path) / "runs" / "run_1"
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.name != ".lock")
    bodies = [file for file in files if file.suffix == ".gz"]
    others = [file for file in files if file.suffix != ".gz"]
    assert {file.name for file in others} > {"run.json", "ledger.jsonl", "calls.jsonl", "context.md", "trace.jsonl"}
    for file in [*others, *bodies[:10]]:
        content = file.read_bytes()
        if not content:
            file.write_bytes(b"x")
            assert any(str(file) in problem for problem in verify_run(run).problems)
            file.write_bytes(b"")
            continue
        for at in {0, len(content) // 2, len(content) - 1, *range(7, len(content), max(1, len(content) // 7))}:
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            problems = verify_run(run).problems
            assert any(str(file) in problem for problem in problems), (file, at, problems)
        file.write_bytes(content)
    assert verify_run(run).problems == ()


def test_a_missing_file_and_a_foreign_one_are_named(recorded: Path, tmp_path: Path) -> None:
    run = copy_of(recorded, tmp_path) / "runs" / "run_1"
    (run / "gen_1" / "results.json").unlink()
    (run / "gen_1" / "smuggled.txt").write_text("x")
    found = verify_run(run)
    assert found.problems == (f"{run / 'gen_1' / 'results.json'} is missing",)
    assert found.extra == (str(run / "gen_1" / "smuggled.txt"),)


def test_a_cap_ends_the_run_in_order_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with ScriptedUpstream(think) as upstream:
        first = play(tmp_path, upstream.url, Rules(run=Cap.of(0.0205, None)))
        assert first.stopped_because is not None
        assert first.stopped_because.startswith("cost cap of $0.0205 reached")
        asked = len(upstream.requests)
        run = tmp_path / "runs" / "run_1"
        assert sum(call.cost or 0 for call in read_calls(run / "calls.jsonl")) <= 0.0205
        assert verify_run(run).problems == ()
        done = first.generations
        assert done < 3
        second = play(tmp_path, upstream.url, Rules(run=Cap.of(1.0, None)), resume=True)
        assert second.status == "finished"
        assert second.generations == 3
        # What was paid for before is not paid for again.
        assert len(upstream.requests) == 3 * (1 + 2 * ASKED)
        assert asked > 0
    assert play_again(tmp_path).difference is None


@pytest.mark.slow
def test_a_disk_that_fills_up_in_a_call_ends_the_run_and_nothing_paid_is_paid_again(
    tmp_path: Path, small_disk: Path
) -> None:
    hog, full_at = small_disk / "hog", ASKED + 15

    async def think_until_full(request: Request, writer: asyncio.StreamWriter) -> None:
        if counted(upstream.requests, "level 1") == full_at and not hog.exists():
            fill(hog)
        await think(request, writer)

    with ScriptedUpstream(think_until_full) as upstream:
        with pytest.raises(HostError, match=r"space.*--resume"):
            play(tmp_path, upstream.url, runs_dir=small_disk / "runs")
        asked = counted(upstream.requests, "level 1")
        assert full_at <= asked < 2 * ASKED
        run = small_disk / "runs" / "run_1"
        hog.unlink()
        written = sum(call.role == "target" for call in read_calls(run / "calls.jsonl"))
        assert 0 < written < ASKED
        final = play(tmp_path, upstream.url, runs_dir=small_disk / "runs", resume=True)
        assert counted(upstream.requests, "level 1") == asked + ASKED - written
    assert final.generations == 3
    assert verify_run(run).problems == ()
    # Whatever the provider was asked is charged, at most when its answer could not be written down.
    charged = [
        call
        for call in read_calls(run / "calls.jsonl")
        if (call.generation, call.role) == (1, "target") and call.source == "upstream"
    ]
    assert len(charged) == asked - written
    assert all(call.cost for call in charged)


def test_a_cap_of_a_generation_fails_that_generation_only(tmp_path: Path) -> None:
    with ScriptedUpstream(think) as upstream:
        final = play(tmp_path, upstream.url, Rules(generation=Cap.of(None, 3_000)), max_gen=2)
        assert upstream.requests == []
    assert final.generations == 2
    for record in generations_of(tmp_path / "runs" / "run_1"):
        assert (record.status, record.tokens) == ("failed", 0)
        assert "cap of 3000 tokens of a generation reached" in record.jail_events[0]


def test_a_cap_of_the_task_binds_the_target_agent(tmp_path: Path) -> None:
    with ScriptedUpstream(think) as upstream:
        play(tmp_path, upstream.url, Rules(target=Cap.of(None, 2_500)), max_gen=1)
        assert 0 < counted(upstream.requests, "level 1") - ASKED < ASKED
    (record,) = generations_of(tmp_path / "runs" / "run_1")
    assert record.failure is not None
    assert "402" in record.failure
    assert any("of a target agent reached" in event for event in record.jail_events)
    target = [c for c in read_calls(tmp_path / "runs" / "run_1" / "calls.jsonl") if c.role == "target"]
    assert spending_of(target).tokens <= 2_500


def test_an_interrupted_stage_gets_its_paid_answers_again(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, StageStarted) and (event.generation, event.stage) == (1, "score"):
            raise KeyboardInterrupt

    task = make_task(tmp_path / "task", {})
    with ScriptedUpstream(think) as upstream:
        with (
            asking_session(task, settings(tmp_path, max_gen=1), upstream.url) as (session, record),
            pytest.raises(KeyboardInterrupt),
        ):
            run_generations(session, record, interrupt)
        run = tmp_path / "runs" / "run_1"
        ledger = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
        # As a kill -9 just before the run stage's line would leave it.
        (run / "ledger.jsonl").write_bytes(ledger[0])
        play(tmp_path, upstream.url, max_gen=1, resume=True)
        assert counted(upstream.requests, "level 1") == 2 * ASKED
    (record,) = generations_of(run)
    again = [call for call in read_calls(run / "calls.jsonl") if call.attempt == 2]
    assert len(again) == ASKED
    assert {call.source for call in again} == {"recording"}
    assert record.cost == pytest.approx(sum(call.cost or 0 for call in read_calls(run / "calls.jsonl")))
    assert play_again(tmp_path, max_gen=1).difference is None


def test_a_call_that_a_kill_cut_short_has_cost_its_worst_case(tmp_path: Path) -> None:
    call = TraceLine(
        id=7,
        time="2026-01-01T00:00:00Z",
        generation=1,
        role="target",
        attempt=1,
        provider="openai",
        model="m",
        endpoint="/v1/chat/completions",
        key="k",
        request="r",
        status=0,
        source="upstream",
    )
    journal = Journal(tmp_path / "calls.jsonl")
    journal.begin(call, Charge(1000, NANO // 2))
    journal.begin(call, Charge(1000, NANO // 4))
    with (tmp_path / "calls.jsonl").open("ab") as file:
        file.write(b'{"kind": "ended", "torn')
    (lost,) = Journal(tmp_path / "calls.jsonl").calls
    assert (lost.cost, lost.output_tokens, lost.estimated) == (0.75, 2000, True)
    assert [c.id for c in Journal(tmp_path / "calls.jsonl").calls] == [7]


def test_cache_answers_other_runs(tmp_path: Path) -> None:
    rules = Rules(cache=tmp_path / "cache")
    with ScriptedUpstream(think) as upstream:
        play(tmp_path, upstream.url, rules, max_gen=1)
        asked = len(upstream.requests)
        final = play(tmp_path, upstream.url, rules, max_gen=1, run_id="2")
        # The author's prompt names no run, and the agent is the same.
        assert len(upstream.requests) == asked
    assert final.cost == 0
    calls = read_calls(tmp_path / "runs" / "run_2" / "calls.jsonl")
    assert {call.source for call in calls} == {"cache"}


def test_without_bodies_there_is_a_trace_and_no_replay(tmp_path: Path) -> None:
    with ScriptedUpstream(think) as upstream:
        play(tmp_path, upstream.url, Rules(keep_bodies=False), max_gen=1)
    run = tmp_path / "runs" / "run_1"
    assert not (run / "bodies").exists()
    assert len((run / "gen_1" / "trace.jsonl").read_text().splitlines()) == 1 + 2 * ASKED
    assert verify_run(run).problems == ()
    with pytest.raises(Exception, match="--no-bodies"):
        play_again(tmp_path)
    own_run(run).close()
