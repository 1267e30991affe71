"""A model that writes agents for spaceship-titanic: a poor one first, a better one whenever it is shown its last."""

import re

from tests.scripted_model.conversation import Conversation, Reply
from tests.scripted_model.tools import Tools

METHODS = ("everyone", "sleepers", "boosting")
"""From the poorest to the best."""

AGENT = '''"""Predicts `Transported`."""

import argparse
import json
from pathlib import Path

import pandas as pd

METHOD = "{method}"


def everyone(train, test):
    return pd.Series(True, index=test.index)


def sleepers(train, test):
    return test["CryoSleep"].fillna(False).astype(bool)


def boosting(train, test):
    from sklearn.ensemble import HistGradientBoostingClassifier

    spent = ["RoomService", "FoodCourt", "ShoppingMall", "Spa", "VRDeck", "Age"]

    def features(table):
        kinds = {{c: table[c].astype("category").cat.codes for c in ("HomePlanet", "CryoSleep", "Destination")}}
        deck = table["Cabin"].str[0].astype("category").cat.codes
        return table[spent].assign(side=table["Cabin"].str[-1] == "S", deck=deck, **kinds)

    model = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    return pd.Series(model.fit(features(train), train["Transported"]).predict(features(test)), index=test.index)


parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=Path, required=True)
parser.add_argument("--working_dir", type=Path, required=True)
arguments = parser.parse_args()
train, test = (pd.read_csv(arguments.dataset_dir / f"{{name}}.csv") for name in ("train", "test"))
answers = globals()[METHOD](train, test).astype(bool)
pd.DataFrame({{"PassengerId": test["PassengerId"], "Transported": answers}}).to_csv(
    arguments.working_dir / "submission.csv", index=False
)
(arguments.working_dir / "agent_execution.json").write_text(json.dumps({{"method": METHOD, "rows": len(test)}}))
print(METHOD, len(test), flush=True)
'''

IMPROVEMENT = """# Analysis

The parent scored {score}; it says {before} for its method.

# Hypothesis

It looks at too little of a passenger.

# Change

From {before} to {after}.

# Expected effect

A higher score.

# Risk

None worth naming.
"""


def write_agents(conversation: Conversation) -> Reply:
    """The whole policy: every answer follows from the conversation alone."""
    if not conversation.tools:
        return Reply("A title")
    tools = Tools.of(conversation)
    results = [turn.text for turn in conversation.turns if turn.role == "tool"]
    improves = conversation.said("You are the feedback agent")
    if not results:
        return Reply("First I look around.", (tools.run("pwd; ls; cat parent/target_agent.py 2>/dev/null | head -12"),))
    folder = next(line for line in results[0].splitlines() if line.endswith("/workspace"))
    found = re.search(r'METHOD = "(\w+)"', results[0])
    before = found[1] if found else None
    after = METHODS[min(METHODS.index(before) + 1, len(METHODS) - 1)] if before else METHODS[0]
    steps = [tools.write(f"{folder}/target_agent.py", AGENT.format(method=after))]
    if improves:
        score = re.search(r"Score on the dev items: ([\d.]+)", conversation.turns[0].text)
        text = IMPROVEMENT.format(score=score[1] if score else "?", before=before, after=after)
        steps.append(tools.write(f"{folder}/improvement.md", text))
    public = re.search(r"public data in `([^`]+)`", "\n".join(t.text for t in conversation.turns if t.role == "user"))
    assert public
    trial = (
        f"mkdir -p out && python target_agent.py --dataset_dir {public[1]} --working_dir out && cat out/agent_*.json"
    )
    steps.append(tools.run(trial))
    if conversation.calls <= len(steps):
        return Reply(f"Step {conversation.calls}.", (steps[conversation.calls - 1],))
    return Reply(f"The agent is written: {after}. It said {results[-1].strip()[:80]}")
