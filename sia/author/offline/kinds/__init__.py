"""The kinds of tasks that the offline author knows: by the task's own word, else by what its public files look like."""

from contextlib import suppress

from sia.author.brief import Brief
from sia.author.offline.grammar import AnyKind, NotOfThisKind
from sia.author.offline.kinds.exact_answer import EXACT_ANSWER
from sia.author.offline.kinds.kernel import KERNEL
from sia.author.offline.kinds.matrix import MATRIX
from sia.author.offline.kinds.multiple_choice import MULTIPLE_CHOICE
from sia.author.offline.kinds.table_text import TABLE_TEXT
from sia.author.offline.kinds.tabular import TABULAR
from sia.author.offline.kinds.text_classification import TEXT_CLASSIFICATION
from sia.author.offline.kinds.text_codes import TEXT_CODES

KINDS: dict[str, AnyKind] = {
    kind.name: kind for kind in (TEXT_CLASSIFICATION, TABULAR, MULTIPLE_CHOICE, EXACT_ANSWER, KERNEL, MATRIX)
}
"""In the order in which they are tried; a table of texts is a table, too, and a question with options a question."""


def find_kind(brief: Brief) -> tuple[AnyKind, object]:
    """The kind of the task and what it reads of the public files. Raises NotOfThisKind, saying what is missing."""
    if brief.task.kind == TABULAR.name and brief.task.answers == "model":
        return TABLE_TEXT, TABLE_TEXT.look(brief)
    if brief.task.kind == TEXT_CLASSIFICATION.name and brief.task.answers == "model":
        # Else the model chooses among the few labels that n-grams put first.
        with suppress(NotOfThisKind):
            return TEXT_CODES, TEXT_CODES.look(brief)
    named = KINDS.get(brief.task.kind)
    if named:
        return named, named.look(brief)
    reasons = []
    for kind in KINDS.values():
        try:
            return kind, kind.look(brief)
        except NotOfThisKind as error:
            reasons.append(f"{kind.name}: {error}")
    raise NotOfThisKind(f"the public files are of no kind that it knows ({'; '.join(reasons)})")
