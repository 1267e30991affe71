"""What serving a local model costs, against plain transformers and llama.cpp on the same weights, in one run.

`python -m tests.benchmarks.local_model [--gguf FILE]`; with a GGUF file and `xllamacpp` installed, llama.cpp as well.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import psutil

from sia.local.prepare import prepare_model
from sia.local.process import LocalModel, start_local_model

NAME = "local/smollm2-135m"
PASSAGE = "The quick brown fox jumps over the lazy dog and runs along the river. " * 6
OPTIONS = [" a fox", " a very lazy dog", " the river bank", " nothing of all that"]
QUESTIONS = 4
TOKENS = 16
SIDE_BY_SIDE = 8


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Plain:
    """Transformers as its documentation shows it, in the precision that the server takes."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        fast = torch.cpu.get_capabilities()
        dtype = torch.bfloat16 if fast.get("avx512_bf16") or fast.get("amx_bf16") else torch.float32
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def tokens(self, text: str) -> Any:  # noqa: ANN401 (a tensor)
        return self.tokenizer(text, return_tensors="pt").input_ids

    def score(self) -> None:
        """One pass for each option of each question."""
        with self.torch.inference_mode():
            for number in range(QUESTIONS):
                for option in OPTIONS:
                    self.model(self.tokens(f"{number}. {PASSAGE}{option}")).logits.float().log_softmax(dim=-1)

    def generate(self) -> None:
        """One answer after the other."""
        for number in range(SIDE_BY_SIDE):
            prompt = self.tokens(f"{number}. {PASSAGE}")
            self.model.generate(prompt, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False)


class Served:
    """The server, asked by OpenAI's client."""

    def __init__(self, running: LocalModel) -> None:
        self.client = openai.OpenAI(base_url=running.base_url, api_key="none", timeout=600)

    def score(self) -> None:
        """One request a question."""
        for number in range(QUESTIONS):
            body = {"model": NAME, "prompt": f"{number}. {PASSAGE}", "continuations": OPTIONS}
            self.client.post("/score", cast_to=object, body=body)

    def generate(self) -> None:
        """Answers that are asked for at the same time."""

        def one(number: int) -> None:
            prompt = f"{number}. {PASSAGE}"
            self.client.completions.create(model=NAME, prompt=prompt, max_tokens=TOKENS, temperature=0)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(one, range(SIDE_BY_SIDE)))


class LlamaCpp:
    """llama.cpp through xllamacpp, on the quantised weights."""

    def __init__(self, file: Path) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx, parameters.n_parallel = 8192, SIDE_BY_SIDE
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = os.cpu_count() or 1
        parameters.verbosity = 0
        self.server = xllamacpp.Server(parameters)

    def _one(self, prompt: str, tokens: int) -> None:
        asked = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        self.server.handle_completions(asked)

    def score(self) -> None:
        """It has no call for scores: each question with each option is read."""
        for number in range(QUESTIONS):
            for option in OPTIONS:
                self._one(f"{number}. {PASSAGE}{option}", 1)

    def generate(self) -> None:
        """Answers that are asked for at the same time."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda number: self._one(f"{number}. {PASSAGE}", TOKENS), range(SIDE_BY_SIDE)))


def resident(pid: int) -> float:
    """MiB of the process and all below it."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in processes) / 2**20


def main() -> None:
    """Measures in turn, twice, and prints the better of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="the same model for llama.cpp")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    folder = prepare_model(NAME, print)
    load = "import sys; from transformers import AutoModelForCausalLM as M; M.from_pretrained(sys.argv[1])"
    bare = seconds(lambda: subprocess.run([sys.executable, "-c", load, str(folder)], check=True, capture_output=True))
    start = time.perf_counter()
    with start_local_model(NAME, lambda _: None) as running:
        ready = time.perf_counter() - start
        print(f"server, until it answers / load in transformers   {ready / bare:5.2f}   ({ready:.1f} and {bare:.1f} s)")
        server = next(c for c in psutil.Process().children(recursive=True) if "sia.local.server" in c.cmdline())
        contestants: dict[str, Any] = {"plain": Plain(folder), "served": Served(running)}
        if arguments.gguf:
            contestants["llama.cpp"] = LlamaCpp(arguments.gguf)
        best: dict[tuple[str, str], float] = {}
        for _ in range(2):
            for work in ("score", "generate"):
                for name, contestant in contestants.items():
                    taken = seconds(getattr(contestant, work))
                    best[name, work] = min(taken, best.get((name, work), taken))
        amounts = {"score": (QUESTIONS * len(OPTIONS), "options"), "generate": (SIDE_BY_SIDE * TOKENS, "tokens")}
        for work, (amount, unit) in amounts.items():
            for other in [name for name in contestants if name != "served"]:
                ours, theirs = amount / best["served", work], amount / best[other, work]
                print(f"{work}, served / {other:10} {ours / theirs:5.2f}   ({ours:.0f} and {theirs:.0f} {unit}/s)")
        busy = resident(server.pid)
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20
        print(f"memory of the server / its weights   {busy / weights:5.2f}   ({busy:.0f} and {weights:.0f} MiB)")


if __name__ == "__main__":
    main()
