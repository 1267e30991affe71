"""Seed agent for spaceship-titanic: predicts `Transported` with a logistic regression on the raw columns.

It shows the contract: the two arguments, `submission.csv` as the answer, `agent_execution.json` as the record.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["Age", "RoomService", "FoodCourt", "ShoppingMall", "Spa", "VRDeck"]
KINDS = ["HomePlanet", "CryoSleep", "Destination", "VIP"]


def build_model():
    """Imputation, scaling and one-hot encoding in front of the regression."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("kinds", OneHotEncoder(handle_unknown="ignore"), KINDS),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def main():
    """Trains on train.csv, answers test.csv, records what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--working_dir", type=Path, required=True)
    arguments = parser.parse_args()

    train = pd.read_csv(arguments.dataset_dir / "train.csv")
    test = pd.read_csv(arguments.dataset_dir / "test.csv")
    for table in (train, test):
        table[KINDS] = table[KINDS].astype(str)
    target = train["Transported"].astype(bool)

    scores = cross_val_score(build_model(), train, target, cv=3)
    print(f"cross-validated accuracy {scores.mean():.4f}", flush=True)
    answers = build_model().fit(train, target).predict(test)

    submission = pd.DataFrame({"PassengerId": test["PassengerId"], "Transported": answers})
    submission.to_csv(arguments.working_dir / "submission.csv", index=False)
    record = {"rows": len(train), "columns": NUMBERS + KINDS, "cv_scores": [round(float(s), 4) for s in scores]}
    (arguments.working_dir / "agent_execution.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
