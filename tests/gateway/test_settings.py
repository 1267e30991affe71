"""Providers, keys and prices as users set them: what is missing is told in one line, before anything is spent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia.errors import UsageError
from sia.gateway.budget import Cap
from sia.gateway.keys import demand_key, known_variables
from sia.gateway.prices import price_of
from sia.gateway.providers import load_providers, resolve_model
from sia.gateway.usage import Usage
from tests.support import agent_with_accuracy, make_task


def sia(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sia", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("haiku", "anthropic/claude-haiku-4-5-20251001"),
        ("claude-opus-4-5", "anthropic/claude-opus-4-5"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("openrouter/meta-llama/llama-3.3-70b-instruct", "openrouter/meta-llama/llama-3.3-70b-instruct"),
        ("ollama/qwen3:4b", "ollama/qwen3:4b"),
        ("local/smollm2-135m", "local/smollm2-135m"),
    ],
)
def test_names_of_models(text: str, full: str, tmp_path: Path) -> None:
    assert resolve_model(text, load_providers(tmp_path / "sia.toml", {})).full_name == full


def test_an_unknown_provider_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="openrouter"):
        resolve_model("openruoter/x", load_providers(tmp_path / "sia.toml", {}))


def test_providers_of_the_file_and_moved_ones(tmp_path: Path) -> None:
    file = tmp_path / "sia.toml"
    file.write_text(
        '[providers.mine]\nbase_url = "http://gpu:8000/v1/"\napi_key_env = "MY_KEY"\n'
        '[providers.mine.prices."big"]\ninput = 2.0\noutput = 8.0\ncache_read = 0.5\n'
        '[providers.anthropic]\nbase_url = "http://proxy:1"\n'
    )
    providers = load_providers(file, {"ANTHROPIC_BASE_URL": "http://other:2", "OPENAI_BASE_URL": "http://moved:3/v1/"})
    mine = resolve_model("mine/big", providers)
    assert (mine.provider.base_url, mine.provider.dialect) == ("http://gpu:8000/v1", "openai")
    assert price_of(mine).charge(Usage(input=1000, cache_read=1000, output=100)).nanodollars == 3_300_000
    assert providers["anthropic"].base_url == "http://proxy:1"
    assert providers["anthropic"].key_variables == ("ANTHROPIC_API_KEY",)
    assert providers["openai"].base_url == "http://moved:3/v1"
    with pytest.raises(UsageError, match="MY_KEY"):
        demand_key(mine.provider, {}, "the target agent")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[providers.x]\ndialect = "latin"\nbase_url = "http://x"\n', "providers.x.dialect"),
        ('[providers.x]\nbase_url = "x"\n', "providers.x.base_url"),
        ("[providers.x]\n", "base_url is missing"),
        ('[providers.x]\nbase_url = "http://x"\nkey = "sk"\n', "providers.x.key"),
    ],
)
def test_bad_provider_tables_name_the_field(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sia.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        load_providers(tmp_path / "sia.toml", {})


def test_keys_come_from_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_KEY='from file'\nexport B_KEY=other\nEMPTY=\n")
    found = known_variables(tmp_path / ".env", {"A_KEY": "from environment", "B_KEY": ""})
    assert (found["A_KEY"], found["B_KEY"], found.get("EMPTY")) == ("from environment", "other", None)


def test_missing_keys_and_prices_end_with_2_before_a_run_begins(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(10)})
    (tmp_path / "sia.toml").write_text('[providers.mine]\nbase_url = "http://127.0.0.1:9/v1"\n')
    for arguments, words in (
        (["--backend", "claude"], ["ANTHROPIC_API_KEY", "anthropic"]),
        (["--backend", "openhands", "--meta-model", "gemini/gemini-2.5-pro"], ["GEMINI_API_KEY", "gemini"]),
        (["--backend", "offline", "--task-model", "gpt-4o"], ["OPENAI_API_KEY", "the target agent"]),
        (["--backend", "offline", "--task-model", "mine/m", "--max-cost", "1"], ["mine/m", "--max-tokens"]),
        (["--backend", "offline", "--task-model", "m"], ["names no provider"]),
    ):
        done = sia("--task-dir", str(task), *arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "runs").exists()


def test_caps_are_exact() -> None:
    assert Cap.of(0.1, 5) == Cap(nanodollars=100_000_000, tokens=5)
    assert Cap.of(None, None) == Cap()
