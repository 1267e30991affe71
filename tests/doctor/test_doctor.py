"""`sia doctor`: what it finds is what a run finds, and no secret is shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia.doctor import sandbox
from sia.doctor.finding import Finding, Report
from sia.doctor.machine import check_disk, check_key, check_uv, check_venv
from sia.gateway.providers import KNOWN
from sia.jail.choose import choose_jail
from sia.jail.probe import Probe


def test_report_says_what_a_run_takes() -> None:
    environment = os.environ | {"ANTHROPIC_API_KEY": "sk-a-very-secret-value"}
    argv = [sys.executable, "-m", "sia", "doctor", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120, check=False)
    report = json.loads(done.stdout)
    assert "very-secret" not in done.stdout + done.stderr
    told = {finding["subject"]: finding for finding in report["findings"]}
    assert told["key for anthropic"]["level"] == "ok"
    assert told["Python"]["level"] == "ok"
    assert done.returncode == (0 if report["healthy"] else 1)
    if report["sandbox"]:
        jail = choose_jail("auto")
        assert (report["sandbox"], tuple(report["gaps"])) == (jail.name, jail.gaps)
        assert told[f"sandbox {jail.name}"]["level"] == "ok"
    assert all(finding["remedy"] for finding in report["findings"] if finding["level"] != "ok")


def test_table_names_the_sandbox_and_its_gaps() -> None:
    argv = [sys.executable, "-m", "sia", "doctor"]
    wide = os.environ | {"COLUMNS": "250"}
    done = subprocess.run(argv, capture_output=True, text=True, env=wide, timeout=120, check=False)
    if "takes" not in done.stdout:
        pytest.skip("no sandbox works here")
    jail = choose_jail("auto")
    assert all(gap in done.stdout for gap in jail.gaps)
    assert "Traceback" not in done.stdout + done.stderr


def test_machine_without_a_sandbox_fails_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda jail: Probe(jail.name, False, "it reached TCP"))
    findings, chosen = sandbox.check_sandbox()
    assert chosen is None
    failed = [finding for finding in findings if finding.level == "fail"]
    assert {finding.told for finding in failed} == {"it reached TCP"}
    assert all(finding.remedy for finding in failed)
    assert not Report(tuple(findings), None, ()).healthy


@pytest.mark.parametrize("switch", sandbox.SWITCHES, ids=lambda s: s[0].name)
def test_remedy_names_the_switch_that_is_off(
    switch: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, off, remedy = switch
    file = tmp_path / original.name
    file.write_text(off + "\n")
    monkeypatch.setattr(sandbox, "SWITCHES", ((file, off, remedy),))
    assert sandbox.namespace_remedy() == remedy
    assert original.name.split("_")[0] in remedy or "userns" in remedy
    file.write_text("no such value\n")
    assert "container" in sandbox.namespace_remedy()


def test_key_is_told_by_name_only() -> None:
    assert check_key(KNOWN["openai"], {"OPENAI_API_KEY": "sk-1"}) == Finding(
        "key for openai", "ok", "OPENAI_API_KEY is set"
    )
    assert check_key(KNOWN["openai"], {"OPENAI_API_KEY": ""}).level == "note"


def test_disk_is_written_to(tmp_path: Path) -> None:
    assert check_disk("disk", tmp_path / "not" / "yet").level in ("ok", "fail")
    assert str(tmp_path) in check_disk("disk", tmp_path / "not" / "yet").told


@pytest.mark.slow
def test_environments_can_be_made() -> None:
    assert check_venv().level == "ok"
    assert check_uv().level == "ok"
