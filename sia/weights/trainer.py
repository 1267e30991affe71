"""`python -m sia.weights.trainer`: one update of the target model's weights by a plan, as a program in the jail.

It reads the plan, the public data, the base model and where there is one the parent adapter, and writes into one
folder: `adapter_model.safetensors` and `adapter_config.json`, `outcome.json`, `metrics.jsonl`. Its checkpoints lie in a
folder of their own; started again after a kill, it goes on from the last one. Exit status 0: it ended in order, for
better or worse; 3: the plan was refused. Both are told in `outcome.json`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

REFUSED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sia.weights.trainer", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="training.json")
    parser.add_argument("--public", type=Path, required=True, help="folder of the task's public data")
    parser.add_argument("--author", type=Path, required=True, help="folder of what the author left beside the plan")
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model, transformers' form")
    parser.add_argument("--parent", type=Path, help="folder of the adapter to go on from")
    parser.add_argument("--out", type=Path, required=True, help="folder for adapter, outcome and metrics")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--hour-cost", type=float, default=0.0, help="US dollars for an hour of this machine")
    parser.add_argument("--most-cost", type=float, help="US dollars that the training may cost")
    given = parser.parse_args(arguments)
    # Threads that spin while they wait slow a shared machine down tenfold. Both have to be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sia.weights.outcome import OUTCOME_FILE
    from sia.weights.training import Job, train

    outcome = train(Job(**vars(given)), lambda line: print(line, flush=True))
    (given.out / OUTCOME_FILE).write_text(outcome.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(f"{outcome.ended}: {outcome.reason}" if outcome.reason else outcome.ended, flush=True)
    return REFUSED if outcome.ended == "refused" else 0


if __name__ == "__main__":
    sys.exit(main())
