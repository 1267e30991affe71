"""Plans: what is possible passes, what is not is refused with the reason, before anything is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia.weights.plan import PlanError, TrainingPlan, parse_plan
from tests.weights.toy import toy_plan


def changed(path: str, value: object, algorithm: str = "cloning") -> str:
    """The toy's plan with one field set, in JSON."""
    plan = toy_plan(algorithm)
    *tables, field = path.split(".")
    place = plan
    for table in tables:
        place = place.setdefault(table, {})  # type: ignore[assignment]
    place[field] = value
    return json.dumps(plan)


@pytest.mark.parametrize("algorithm", ["cloning", "best-of-n", "reinforce", "grpo", "ppo", "entropic", "dpo"])
def test_every_algorithm_has_a_plan(algorithm: str) -> None:
    plan = parse_plan(json.dumps(toy_plan(algorithm)))
    assert plan == parse_plan(plan.model_dump_json())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("lora.rank", 10**6, "lora.rank"),
        ("steps", 10**9, "steps"),
        ("steps", 0, "steps"),
        ("data.file", "../private/test.csv", "outside"),
        ("data.file", "/etc/passwd.csv", "outside"),
        ("data.file", "weights.bin", "not a .csv"),
        ("optimiser.learning_rate", 5.0, "learning_rate"),
        ("limits.seconds", 10**9, "limits.seconds"),
        ("limits.memory_bytes", 1, "memory_bytes"),
        ("batch", 10**6, "batch"),
        ("parent_adapter", "../../x", "parent_adapter"),
        ("lora.targets", ["q;rm"], "lora.targets"),
        ("data.answer", None, "data.answer"),
        ("data.choices", None, "data.choices"),
        ("data.choices", ["yes", "yes"], "twice"),
        ("reward.function", "../x.py:f", "reward"),
        ("micro_batch", 1024, "positions"),
        ("magic", True, "magic"),
    ],
)
def test_impossible_plans_are_refused_with_the_field(path: str, value: object, words: str) -> None:
    plan = json.loads(changed(path, value))
    if path == "micro_batch":
        plan["prompt_tokens"] = 100_000
    with pytest.raises(PlanError, match=words):
        parse_plan(json.dumps(plan))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"group_size": 1}, "group_size"),
        ({"batch": 1024, "group_size": 64}, "rollouts"),
        ({"reward": {"kind": "check"}}, "reward.function"),
        ({"reward": {"kind": "majority"}, "group_size": 2}, "majority"),
    ],
)
def test_impossible_rollouts_are_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        parse_plan(json.dumps(toy_plan("grpo", **more)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_json_gives_a_plan_or_a_reason(value: object) -> None:
    with pytest.raises(PlanError):
        parse_plan(json.dumps(value))


def test_every_field_is_documented() -> None:
    def undocumented(schema: dict[str, object]) -> list[str]:
        found = []
        for name, table in {"plan": schema, **schema["$defs"]}.items():  # type: ignore[dict-item]
            if not table.get("description"):
                found.append(name)
            found += [
                f"{name}.{field}"
                for field, told in table["properties"].items()
                if not (told.get("description") or "$ref" in told)
            ]
        return found

    assert undocumented(TrainingPlan.model_json_schema()) == []
