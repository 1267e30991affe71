"""What adapters cost: `python -m tests.benchmarks.weights [--model local/smollm2-135m] [--steps 6]`.

Training is paired with a plain loop of peft and transformers on the same batches of 16 rows: right-padded, with the
loss of the label's token alone. Both take turns, step by step, in one process, and count the tokens of the prompts;
processor seconds count, so that other work on the machine does not. Serving is paired with one forward pass of peft for
each prompt.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROWS, BATCH = 400, 16
LABELS = ("True", "False")


def make_rows(folder: Path) -> Path:
    """Rows of a table in words, 20 to 80 tokens long, with a label."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(ROWS):
        words = ", ".join(f"column {k} {(i * 37 + k * 11) % 97}" for k in range(3 + i % 10))
        rows.append({"prompt": f"{words}\nAnswer:", "answer": LABELS[i % 3 == 0]})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def plan_text(steps: int) -> str:
    """A plan of cloning by choices over the rows."""
    return json.dumps(
        {
            "algorithm": "cloning",
            "data": {
                "file": "rows.jsonl",
                "prompt": "{prompt}",
                "answer": "answer",
                "choices": LABELS,
                "validation": 0,
            },
            "steps": steps,
            "batch": BATCH,
            "prompt_tokens": 256,
            "answer_tokens": 4,
            "limits": {"seconds": 3600},
        }
    )


def our_step(base: Path, public: Path) -> Callable[[], int]:
    """One step of the trainer; gives the tokens of its rows."""
    from torch.optim import AdamW

    from sia.weights.examples import read_examples
    from sia.weights.model import load_policy
    from sia.weights.plan import parse_plan
    from sia.weights.rewards import reward_of
    from sia.weights.schedule import batch_of
    from sia.weights.scoring import choice_tokens
    from sia.weights.update import take_step

    plan = parse_plan(plan_text(1000))
    examples = read_examples(plan.data, public, 0).train
    policy = load_policy(base, plan, None)
    choices, reward = choice_tokens(policy, plan), reward_of(plan, public, public)
    optimiser = AdamW(policy.parameters(), lr=1e-4)
    done = 0

    def apply() -> float:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return 0.0

    def step() -> int:
        nonlocal done
        done += 1
        return take_step(policy, plan, batch_of(examples, plan, done), reward, choices, apply).tokens

    return step


def plain_step(base: Path, public: Path) -> Callable[[], int]:
    """One step of a plain loop of peft and transformers; gives the tokens of its rows."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sia.weights.examples import read_examples
    from sia.weights.model import compute_dtype
    from sia.weights.plan import parse_plan
    from sia.weights.schedule import batch_of

    plan = parse_plan(plan_text(1000))
    examples = read_examples(plan.data, public, 0).train
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    dtype = compute_dtype(torch.device("cpu"))
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, local_files_only=True)
    model = get_peft_model(plain, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    done = 0

    def step() -> int:
        nonlocal done
        done += 1
        part = batch_of(examples, plan, done)
        batch: Any = tokenizer([f"{e.prompt} {e.answer}" for e in part], return_tensors="pt", padding=True)
        prompts = torch.tensor([len(tokenizer(e.prompt).input_ids) for e in part])
        asked = torch.arange(batch["input_ids"].shape[1])[None, :] < prompts[:, None]
        labels = batch["input_ids"].masked_fill(asked | (batch["attention_mask"] == 0), -100)
        model(**batch, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return int(prompts.sum())

    return step


def cpu_seconds() -> float:
    """Of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def training(base: Path, public: Path, steps: int) -> None:
    """Tokens for each processor second, ours against the plain loop's."""
    ours, plain = our_step(base, public), plain_step(base, public)
    ours(), plain()
    speeds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(steps):
        for name, step in (("ours", ours), ("plain", plain)):
            start = cpu_seconds()
            tokens = step()
            speeds[name].append(tokens / (cpu_seconds() - start))
    a, b = statistics.median(speeds["ours"]), statistics.median(speeds["plain"])
    print(f"training, tokens / plain peft's      {a / b:6.2f}   ({a:.0f} and {b:.0f} a processor second)")


def memory(model: str, public: Path) -> None:
    """Peak memory of two steps, each way in a process of its own."""
    sizes = {}
    for name in ("ours", "plain"):
        argv = [
            sys.executable,
            "-m",
            "tests.benchmarks.weights",
            "--model",
            model,
            "--part",
            name,
            "--rows",
            str(public),
        ]
        sizes[name] = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[-1])
    told = f"({sizes['ours'] >> 20} and {sizes['plain'] >> 20} MiB)"
    print(f"training, memory / plain peft's      {sizes['ours'] / sizes['plain']:6.2f}   {told}")


def serving(model: str, base: Path, public: Path, folder: Path) -> None:
    """Scoring with an adapter by the server, against a forward pass of peft for each prompt; its first use."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sia.local.process import start_local_model
    from sia.weights.adapter import adapter_digest, publish_adapter
    from sia.weights.model import compute_dtype
    from sia.weights.training import Job, train

    (folder / "training.json").write_text(plan_text(1))
    train(Job(folder / "training.json", public, public, base, None, folder / "out", folder / "work"), lambda line: None)
    digest = adapter_digest(folder / "out")
    publish_adapter(folder / "out", digest)
    prompts = [json.loads(line)["prompt"] for line in (public / "rows.jsonl").read_text().splitlines()[:60]]
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=compute_dtype(torch.device("cpu")), local_files_only=True)
    peft = PeftModel.from_pretrained(plain, folder / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    with start_local_model(model, lambda line: None) as server:

        def ask(prompt: str, adapter: str | None) -> float:
            body = {"model": model, "prompt": prompt, "continuations": [f" {x}" for x in LABELS], "adapter": adapter}
            request = urllib.request.Request(
                f"{server.base_url}/score", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            start = time.perf_counter()
            urllib.request.urlopen(request, timeout=300).read()
            return time.perf_counter() - start

        def bare(prompt: str) -> float:
            start = time.perf_counter()
            with torch.no_grad():
                peft(input_ids=tokenizer(prompt, return_tensors="pt").input_ids).logits[0, -1].log_softmax(-1)
            return time.perf_counter() - start

        ask(prompts[0], None), bare(prompts[0])
        base_time = statistics.median(ask(prompts[0], None) for _ in range(5))
        first = ask(prompts[0], digest)
        pairs = [(ask(prompt, digest), bare(prompt)) for prompt in prompts]
    served, alone = statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
    print(f"a score by the server / by peft      {served / alone:6.2f}   ({served * 1e3:.0f} and {alone * 1e3:.0f} ms)")
    print(f"first use of an adapter / of the base {first / base_time:5.2f}   ({first:.2f} and {base_time:.2f} s)")


def main() -> None:
    """Runs all of them in temporary folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="local/smollm2-135m")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--part", choices=("ours", "plain"), help="one way alone, for its memory")
    parser.add_argument("--rows", type=Path)
    given = parser.parse_args()
    from sia.local.prepare import prepare_model

    base = prepare_model(given.model, lambda line: None)
    if given.part:
        step = (our_step if given.part == "ours" else plain_step)(base, given.rows)
        step(), step()
        from sia.weights.training import peak_memory

        print(peak_memory())
        return
    with tempfile.TemporaryDirectory() as name:
        public = make_rows(Path(name) / "public")
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {given.model}")
        training(base, public, given.steps)
        memory(given.model, public)
        serving(given.model, base, public, Path(name))


if __name__ == "__main__":
    main()
