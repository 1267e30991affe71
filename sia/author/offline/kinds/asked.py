"""The run's model as the grammar's moves may use it."""

from packaging.requirements import Requirement

from sia.author.brief import Brief, CalledModel
from sia.author.offline.grammar import NotOfThisKind
from sia.author.offline.kinds.questions import QuestionFile
from sia.gateway.providers import LOCAL


def asked_model(brief: Brief) -> CalledModel | None:
    """The model that agents of this grammar can ask: there is one, and its client is among the task's packages."""
    model = brief.task_model
    names = {Requirement(package).name.lower() for package in brief.task.packages}
    return model if model and model.dialect in names else None


def demand_model(brief: Brief) -> CalledModel | None:
    """The same. Raises NotOfThisKind when the task wants the model's own answers and it cannot be asked."""
    model = asked_model(brief)
    if model or brief.task.answers == "any":
        return model
    if brief.task_model is None:
        raise NotOfThisKind("the task wants its answers from a language model, and this run has none (--task-model)")
    raise NotOfThisKind(
        f"the task wants its answers from {brief.task_model.name}, and lacks its client: add "
        f"{brief.task_model.dialect} to [agent] packages"
    )


def scores_continuations(model: CalledModel | None) -> bool:
    """Whether its server tells log-probabilities of given continuations, POST /v1/score; none but our own does."""
    return model is not None and model.provider == LOCAL


def topic_of(questions: QuestionFile) -> str | None:
    """The field that names a question's subject: texts that recur, the one with the most of them."""
    counts = {}
    for field, value in questions.records[0].items():
        if isinstance(value, str) and field not in (questions.id, questions.text):
            counts[field] = len({str(record.get(field)) for record in questions.records})
    recurring = [field for field, count in counts.items() if 1 < count <= len(questions.records) / 3]
    return max(recurring, key=lambda field: counts[field], default=None)
