"""Damaged adapters and checkpoints: a clear outcome, and nothing lost."""

from pathlib import Path

import pytest

from sia.errors import StoreError
from sia.weights.adapter import adapter_digest, publish_adapter, served_as
from sia.weights.checkpoints import CHECKPOINT
from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from sia.weights.tinker.reference import REFERENCE_FILE, TinkerAdapter, write_reference
from tests.weights.toy import make_base, make_job, make_public, run_job, toy_plan


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path / "cache"))


def make_adapter(folder: Path) -> Path:
    """The files of an adapter."""
    folder.mkdir()
    (folder / ADAPTER_WEIGHTS).write_bytes(b"weights")
    (folder / ADAPTER_CONFIG).write_text("{}")
    return folder


def test_an_adapter_that_was_changed_is_never_served(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter")
    digest = adapter_digest(folder)
    (folder / ADAPTER_WEIGHTS).write_bytes(b"others")
    with pytest.raises(StoreError, match="was changed after it was trained"):
        publish_adapter(folder, digest)
    (folder / ADAPTER_WEIGHTS).unlink()
    with pytest.raises(StoreError, match="is not there"):
        publish_adapter(folder, digest)
    assert not list((tmp_path / "cache").rglob(ADAPTER_WEIGHTS))
    (folder / ADAPTER_WEIGHTS).write_bytes(b"weights")
    assert served_as(folder, digest) == digest


def test_an_adapter_at_tinker_is_known_by_its_reference(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    path = "tinker://run/sampler_weights/step-1"
    adapter = TinkerAdapter(sampler=path, state="tinker://run/weights/step-1", base_model="m", rank=8, plan="0" * 64)
    write_reference(tmp_path / "adapter", adapter)
    digest = adapter_digest(tmp_path / "adapter")
    write_reference(tmp_path / "adapter", adapter.model_copy(update={"sampler": "tinker://other/sampler_weights/x"}))
    with pytest.raises(StoreError, match="was changed after it was trained"):
        served_as(tmp_path / "adapter", digest)
    write_reference(tmp_path / "adapter", adapter)
    assert served_as(tmp_path / "adapter", digest) == path
    assert list((tmp_path / "cache").rglob(REFERENCE_FILE))


@pytest.mark.parametrize("file", [ADAPTER_WEIGHTS, "state.pt", "marks.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_a_damaged_checkpoint_costs_its_steps_only(file: str, damage: str, tmp_path: Path, base: Path) -> None:
    public = make_public(tmp_path / "public")
    job = make_job(tmp_path, base, public, toy_plan("cloning", steps=4, checkpoint_seconds=0.1))
    first, _ = run_job(job)
    place = job.work / CHECKPOINT / file
    if damage == "missing":
        place.unlink()
    else:
        place.write_bytes(b"" if damage == "empty" else place.read_bytes()[:-20])
    outcome, lines = run_job(job)
    assert outcome.ended == first.ended == "finished"
    assert not any("going on" in line for line in lines)
    assert outcome.steps == 4


def test_a_kill_between_the_renames_of_a_checkpoint_loses_none(tmp_path: Path, base: Path) -> None:
    public = make_public(tmp_path / "public")
    job = make_job(tmp_path, base, public, toy_plan("cloning", steps=4, checkpoint_seconds=0.1))
    run_job(job)
    (job.work / CHECKPOINT).rename(job.work / f".{CHECKPOINT}.old")
    (job.work / f".{CHECKPOINT}.new").mkdir()
    _, lines = run_job(job)
    assert "going on from step 4" in lines
