"""Scores of continuations, against the same weights asked directly; answers in a batch, against answers alone."""

import math
import queue
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from sia.local.engine import Engine, Failure, GenerationJob
from sia.local.model import LanguageModel
from sia.local.sampling import Delta, Sampling
from sia.local.scoring import score_continuations
from tests.local.conftest import NAME

pytestmark = pytest.mark.slow
PROMPT = "The capital of France is"
CONTINUATIONS = [" Paris", " the city of Paris, on the Seine.", " Rome", " a", " nowhere to be found on any map"]


def directly(model: PreTrainedModel, prompt: list[int], continuation: list[int]) -> float:
    """The definition: one whole pass for each continuation, nothing shared, nothing padded."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + continuation])).logits[0].float().log_softmax(dim=-1)
    return sum(float(logits[len(prompt) - 1 + k, token]) for k, token in enumerate(continuation))


def score(client: openai.OpenAI, **body: object) -> list[dict[str, float]]:
    answer: Any = client.post("/score", cast_to=object, body={"model": NAME, **body})
    scores: list[dict[str, float]] = answer["scores"]
    return scores


def test_scores_are_the_sums_by_definition(exact: LanguageModel) -> None:
    prompt, continuations = exact.prompt(PROMPT), [exact.encode(text) for text in CONTINUATIONS]
    with torch.inference_mode():
        found = score_continuations(exact, prompt, continuations)
    expected = [directly(exact.model, prompt, continuation) for continuation in continuations]
    assert found == pytest.approx(expected, abs=2e-3)


def test_many_continuations_are_cut_into_batches(exact: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt, continuations = exact.prompt(PROMPT), [exact.encode(text) for text in CONTINUATIONS * 3]
    with torch.inference_mode():
        at_once = score_continuations(exact, prompt, continuations)
        monkeypatch.setattr("sia.local.scoring.MAX_CACHED", 30)
        in_pieces = score_continuations(exact, prompt, continuations)
    assert in_pieces == pytest.approx(at_once, abs=2e-3)
    assert at_once[:5] == pytest.approx(at_once[5:10], abs=2e-3)


def test_server_scores_as_the_model_does(client: openai.OpenAI, exact: LanguageModel) -> None:
    scores = score(client, prompt=PROMPT, continuations=CONTINUATIONS)
    prompt = exact.prompt(PROMPT)
    for told, text in zip(scores, CONTINUATIONS, strict=True):
        tokens = exact.encode(text)
        assert told["tokens"] == len(tokens)
        # The server may count in bfloat16: two to three digits a token.
        assert told["logprob"] == pytest.approx(directly(exact.model, prompt, tokens), abs=0.1 * len(tokens))


@pytest.mark.parametrize("continuations", [[" Paris", " Rome"], [" Paris", " the city of Paris"]])
def test_several_prompts_are_scored_in_their_order(
    client: openai.OpenAI, exact: LanguageModel, continuations: list[str]
) -> None:
    prompts = [PROMPT, "Rome is the capital of Italy, and Paris, as all know, that of", "The", *[PROMPT] * 9]
    told: Any = score(client, prompts=prompts, continuations=continuations)
    assert len(told) == len(prompts)
    for number, text in enumerate(continuations):
        tokens = exact.encode(text)
        expected = {prompt: directly(exact.model, exact.prompt(prompt), tokens) for prompt in set(prompts)}
        # What bfloat16 rounds off depends on the shape of the batch, and is far below what tells prompts apart.
        rounding = 0.2 * len(tokens) ** 0.5
        low, middle, high = sorted(expected.values())
        assert min(middle - low, high - middle) > 2 * rounding
        for prompt, scores in zip(prompts, told, strict=True):
            assert scores[number]["logprob"] == pytest.approx(expected[prompt], abs=rounding)


def test_scores_of_one_request_do_not_depend_on_others(client: openai.OpenAI) -> None:
    alone = score(client, prompt=PROMPT, continuations=CONTINUATIONS)
    for _ in range(3):
        assert score(client, prompt=PROMPT, continuations=CONTINUATIONS) == alone


def test_conversation_is_scored_where_the_answer_would_begin(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
    scores = score(client, messages=messages, continuations=["Paris", "Rome"])
    told = client.chat.completions.create(model=NAME, messages=messages, max_tokens=1, logprobs=True, top_logprobs=20)
    assert told.choices[0].logprobs
    assert told.choices[0].logprobs.content
    top = {entry.token: entry.logprob for entry in told.choices[0].logprobs.content[0].top_logprobs}
    assert scores[0]["logprob"] > scores[1]["logprob"]
    assert scores[0]["logprob"] == pytest.approx(top["Paris"], abs=0.1)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": PROMPT, "continuations": []},
        {"prompt": PROMPT, "continuations": [""]},
        {"prompt": "", "continuations": ["a"]},
        {"continuations": ["a"]},
        {"prompt": "a", "messages": [{"role": "user", "content": "a"}], "continuations": ["a"]},
        {"prompt": "a", "prompts": ["a"], "continuations": ["a"]},
        {"prompts": [], "continuations": ["a"]},
        {"prompts": ["a", ""], "continuations": ["a"]},
        {"prompt": "sea " * 9000, "continuations": ["a"]},
        {"prompt": PROMPT, "continuations": ["sea " * 9000]},
    ],
)
def test_what_cannot_be_scored(client: openai.OpenAI, body: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        score(client, **body)


def run_jobs(engine: Engine, prompts: list[str], together: bool) -> list[list[tuple[int, float]]]:
    """Tokens with their log-probabilities of a greedy answer to each prompt."""
    inboxes: list[queue.Queue[Delta | Failure]] = [queue.Queue() for _ in prompts]
    answers: list[list[tuple[int, float]]] = [[] for _ in prompts]

    def collect(k: int) -> None:
        while True:
            event = inboxes[k].get(timeout=60)
            assert isinstance(event, Delta), event
            assert event.logprob
            answers[k].append((event.logprob.token, event.logprob.logprob))
            if event.finish:
                return

    for k, prompt in enumerate(prompts):
        sampling = Sampling(max_tokens=12 + 3 * k, temperature=0, top_logprobs=0)
        engine.generate(GenerationJob(None, engine.model.prompt(prompt), 1, sampling, inboxes[k].put))
        if not together:
            collect(k)
    if together:
        for k in range(len(prompts)):
            collect(k)
    return answers


def test_answers_written_together_are_those_written_alone(exact: LanguageModel) -> None:
    """Prompts of unlike length, answers that end at unlike times: rows are padded, join and leave."""
    engine = Engine(exact)
    prompts = ["The sea", "Once upon a time there was a king who", "1, 2, 3,", "Water boils at a temperature of"] * 2
    alone, together = run_jobs(engine, prompts, together=False), run_jobs(engine, prompts, together=True)
    for one, other in zip(alone, together, strict=True):
        assert [token for token, _ in one] == [token for token, _ in other]
        assert [value for _, value in one] == pytest.approx([value for _, value in other], abs=2e-3)


def test_answers_of_the_engine_are_those_of_transformers(exact: LanguageModel) -> None:
    prompt = "Once upon a time there was a king who"
    ((*answer,),) = run_jobs(Engine(exact), [prompt], together=True)
    generated = exact.model.generate(torch.tensor([exact.prompt(prompt)]), max_new_tokens=12, do_sample=False)
    assert [token for token, _ in answer] == generated[0, len(exact.prompt(prompt)) :].tolist()


def test_adapters_are_switched_by_digest_and_leave_the_base_alone(folder: Path, tmp_path: Path) -> None:
    digests = {}
    for seed in (1, 2):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tuned: Any = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
        digests[seed] = f"{seed}" * 16
        tuned.save_pretrained(tmp_path / digests[seed])
        del base, tuned
    model = LanguageModel(folder, "float32", tmp_path)
    prompt, continuation = model.prompt(PROMPT), model.encode(CONTINUATIONS[1])
    engine = Engine(model)

    def scored(digest: str | None) -> float:
        (value,) = engine.call(digest, lambda m: score_continuations(m, prompt, [continuation])).result(60)
        return value

    before, one, two, after, again = (scored(d) for d in (None, digests[1], digests[2], None, digests[1]))
    assert before == after
    assert one == again
    assert not any(math.isclose(a, b, abs_tol=0.1) for a, b in ((before, one), (before, two), (one, two)))
    model.adapters.use(digests[2])
    assert two == pytest.approx(directly(model.model, prompt, continuation), abs=2e-3)
