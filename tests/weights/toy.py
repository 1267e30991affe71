"""A tiny random base model and a toy task whose optimum is known: each word has one right answer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sia.weights.outcome import TrainingOutcome
from sia.weights.plan import TrainingPlan
from sia.weights.training import Job, train

WORDS = ("sun", "moon", "river", "stone", "wind", "leaf")
ANSWERS = ("yes", "no")
OTHERS = ("is", "it", ":", "word", "label", "1", "2", ",", "shared", "by")


def make_base(folder: Path, seed: int = 0) -> Path:
    """A random Llama of 2 blocks that knows the toy's words; saved in transformers' form."""
    vocabulary = {w: i for i, w in enumerate(("<pad>", "<s>", "</s>", "<unk>", *WORDS, *ANSWERS, *OTHERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def teach(base: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Changes the base itself, so that it answers each prompt of `pairs` with its answer."""
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = LlamaForCausalLM.from_pretrained(base, local_files_only=True)
    ids = torch.tensor([tokenizer(prompt)["input_ids"] for prompt, _ in pairs])
    answers = torch.tensor([tokenizer(answer, add_special_tokens=False)["input_ids"][0] for _, answer in pairs])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[:, -1], answers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(base)


def leaning(base: Path, prompts: Sequence[str]) -> list[float]:
    """How much likelier the first answer is than the second after each prompt, as logarithms."""
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model = LlamaForCausalLM.from_pretrained(base, local_files_only=True)
    first, second = (tokenizer(a, add_special_tokens=False)["input_ids"][0] for a in ANSWERS)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokenizer(p)["input_ids"] for p in prompts])).logits[:, -1]
    found: list[float] = (logits[:, first] - logits[:, second]).tolist()
    return found


def make_public(folder: Path, copies: int = 8) -> Path:
    """Rows of words with the right answer: yes for the first half of them, no for the others."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"word": w, "label": ANSWERS[i >= len(WORDS) // 2]} for i, w in enumerate(WORDS)] * copies
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def toy_plan(algorithm: str, **more: object) -> dict[str, object]:
    """A plan for the toy, as `training.json` holds it."""
    plan: dict[str, object] = {
        "algorithm": algorithm,
        "data": {
            "file": "train.jsonl",
            "prompt": "{word} is it :",
            "answer": "label",
            "prefix": "",
            "choices": list(ANSWERS),
        },
        "lora": {"rank": 8, "alpha": 16},
        "optimiser": {"learning_rate": 0.01},
        "steps": 100,
        "batch": 12,
        "prompt_tokens": 16,
        "answer_tokens": 2,
    }
    return plan | more


def make_job(folder: Path, base: Path, public: Path, plan: Mapping[str, object], parent: Path | None = None) -> Job:
    """The files of a training in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.json").write_text(json.dumps(plan))
    (folder / "author").mkdir(exist_ok=True)
    return Job(
        folder / "training.json", public, folder / "author", base, parent, folder / "adapter", folder / "checkpoints"
    )


def run_job(job: Job) -> tuple[TrainingOutcome, list[str]]:
    """Trains in this process; the outcome and the lines."""
    lines: list[str] = []
    return train(job, lines.append), lines


def parsed(plan: Mapping[str, object]) -> TrainingPlan:
    """The plan as the trainer sees it."""
    return TrainingPlan.model_validate(plan)
