"""What is refused, each in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia.errors import HostError, TaskError
from sia.jail.choose import WALLS, choose_jail
from sia.jail.process import ProcessJail
from sia.jail.protocol import Command, Limits, Mount
from sia.task.package import load_task
from tests.support import make_task


@pytest.mark.parametrize("mounted", [".", "private", "private/inner", "link"])
def test_protected_path_in_a_mount_is_refused(mounted: str, tmp_path: Path) -> None:
    (tmp_path / "private" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("private")
    command = Command(
        ("/bin/true",),
        tmp_path,
        tmp_path / "log",
        Limits(seconds=5),
        mounts=(Mount(tmp_path / mounted),),
        protected=(tmp_path / "private",),
    )
    for jail in (ProcessJail(), *WALLS.values()):
        with pytest.raises(HostError, match=r"would show .*private to a generated program") as refused:
            jail.run(command)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("hidden", ["private", "log"])
@pytest.mark.parametrize("shown", ["system", "python"])
def test_what_lies_in_the_folders_of_the_system_is_refused(
    hidden: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    if shown == "python":
        monkeypatch.setattr(sys, "base_prefix", str(system))
    else:
        monkeypatch.setattr("sia.jail.layout.SYSTEM", (str(system),))
    apart = tmp_path / "apart"
    apart.mkdir()
    private, log = (system, apart / "log") if hidden == "private" else (apart / "private", system / "log")
    command = Command(("/bin/true",), apart, log, Limits(seconds=5), protected=(private / "answers.csv",))
    for jail in (ProcessJail(), *WALLS.values()):
        with pytest.raises(HostError, match=r"system would show .* to a generated program"):
            jail.run(command)


def test_private_folder_that_leads_into_the_public_one_is_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    private = task / "data" / "private"
    (task / "data" / "public" / "hidden").mkdir()
    for file in private.iterdir():
        file.rename(task / "data" / "public" / "hidden" / file.name)
    private.rmdir()
    private.symlink_to(Path("public") / "hidden")
    with pytest.raises(TaskError, match="agents would read the answers"):
        load_task(task)


def test_public_folder_that_leads_to_the_private_one_is_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    private, public = task / "data" / "private", task / "data" / "public"
    (private / "task.md").write_text("A task.")
    for file in sorted(public.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    public.rmdir()
    public.symlink_to("private")
    with pytest.raises(TaskError, match="agents would read the answers"):
        load_task(task)


@pytest.mark.slow
def test_runs_folder_in_the_public_one_is_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    runs = task / "data" / "public" / "runs"
    argv = [sys.executable, "-m", "sia", "--task-dir", str(task), "--backend", "offline", "--runs-dir", str(runs)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "lies in" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_backend_is_told_with_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for jail in WALLS.values():

        def fails(*_: object, name: str = jail.name) -> None:
            raise HostError(f"{name} cannot")

        monkeypatch.setattr(jail, "run", fails)
    with pytest.raises(HostError, match="no sandbox works here") as refused:
        choose_jail("auto")
    assert "sia doctor" in str(refused.value)
    assert "--sandbox none" in str(refused.value)
    assert os.linesep not in str(refused.value)
