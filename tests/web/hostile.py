"""A run in which everything that an agent can write is an attack on whoever looks at it."""

import json
from pathlib import Path

from tests.web.scenery import play_run

MARKUP = (
    "<script>alert('owned')</script><img src=x onerror=alert('owned')><svg onload=alert('owned')>"
    "</pre></script><iframe src='javascript:alert(1)'></iframe><a href='javascript:alert(1)'>go</a>"
    "{{7*7}}${7*7}\" autofocus onfocus='alert(1)' x='"
)
ESCAPES = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\x1b]8;;http://evil.example\x07link\x1b]8;;\x07 "
    "\u202egnitirw\u202c \x00\x07"
)
HUGE_LINE = "h" * 3_000_000


def attack(folder: Path) -> Path:
    """Plays a run and replaces what its agents wrote. Returns its directory."""
    run = play_run(folder, "hostile", [40, 60, 50, 70])
    for number in (1, 2, 3, 4):
        _spoil(run / f"gen_{number}")
    (run / "gen_3" / "target_agent.py").unlink()
    (run / "gen_3" / "results.json").write_text('{"accuracy": 0.5, "items": [{"id": ')
    (run / "gen_3" / "agent_execution.json").write_text("[" * 100_000)
    (run / "gen_3" / "trace.jsonl").write_text('{"cost": "free"}\nnot json\n' + "x" * 3_000_000)
    (run / "gen_4" / "generation.json").write_text("{")
    (run / "gen_4" / "results.json").unlink()
    (run / "gen_4" / "target_agent_stdout.log").unlink()
    (run / "gen_4" / "target_agent_stdout.log").symlink_to("/etc/passwd")
    return run


def _spoil(folder: Path) -> None:
    for name in ("target_agent.py", "improvement.md", "meta_agent_prompt.txt", "target_agent_stdout.log", "author.log"):
        (folder / name).write_text(f"{MARKUP}\n{ESCAPES}\n{HUGE_LINE}\n{MARKUP}\n")
    said = {"kind": "call", "seconds": 1.5, "text": MARKUP, "tool": MARKUP, "arguments": {MARKUP: ESCAPES}}
    (folder / "author_transcript.jsonl").write_text(json.dumps(said) + f"\n{MARKUP}\n")
    for name in ("decision.json", "requirements.txt", "evaluation.log"):
        (folder / name).write_text(f"{MARKUP}\n{ESCAPES}\n")
    items = json.loads((folder / "results.json").read_text())["items"]
    spoiled = [
        {**item, "group": MARKUP, "input": MARKUP, "output": ESCAPES, MARKUP: [MARKUP, {MARKUP: 1}]} for item in items
    ]
    spoiled[0]["id"] = MARKUP
    (folder / "results.json").write_text(json.dumps({"accuracy": 0.5, "items": spoiled}))
    turns = [
        {"role": MARKUP, "content": [{"type": "text", "text": MARKUP}, {"type": MARKUP, MARKUP: ESCAPES}, 5, None]}
    ]
    (folder / "agent_execution.json").write_text(json.dumps({"messages": turns, MARKUP: MARKUP}))
    (folder / "agent_execution" / f"execution_q{MARKUP.replace('/', '')[:150]}.json").write_text(json.dumps(turns))
    (folder / MARKUP.replace("/", "")[:200]).write_text(MARKUP)
    call = {
        "id": 1,
        "time": "2026-11-25T00:00:00Z",
        "generation": 1,
        "role": "target",
        "attempt": 1,
        "provider": MARKUP,
        "model": MARKUP,
        "endpoint": MARKUP,
        "parameters": {MARKUP: MARKUP},
        "key": MARKUP,
        "request": MARKUP,
        "status": 500,
        "source": "upstream",
        "error": MARKUP,
    }
    (folder / "trace.jsonl").write_text(json.dumps(call) + "\n")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "training.json").write_text(MARKUP)
    rows = [{"step": k, MARKUP: k, "loss": 1e400 if k == 3 else k} for k in range(9)]
    (folder / "adapter" / "training.log").write_text("\n".join(json.dumps(row) for row in rows) + "\n" + MARKUP)
