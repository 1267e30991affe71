"""Which generation was built on which: the line that leads to the best one, and the tries beside it."""

from dataclasses import dataclass

from sia.report.story import Chapter, RunStory


@dataclass(frozen=True)
class Branch:
    """A generation off the main line, with what was built on it."""

    chapter: Chapter
    below: tuple["Branch", ...]


@dataclass(frozen=True)
class Step:
    """A generation on the main line, with the tries beside it."""

    chapter: Chapter
    aside: tuple[Branch, ...]


@dataclass(frozen=True)
class Lineage:
    """The ancestry of a run. The main line ends at the best generation, or at the latest when there is none."""

    main: tuple[Step, ...]
    others: tuple[Branch, ...]
    """Generations without a parent that do not lead to the best one."""

    @property
    def is_a_line(self) -> bool:
        """Whether every generation was built on the one before it: then there is nothing to draw."""
        return not self.others and not any(step.aside for step in self.main)


def lineage(story: RunStory) -> Lineage:
    """The lineage of a run."""
    children: dict[int | None, list[Chapter]] = {}
    for chapter in story.chapters:
        parent = chapter.record.parent
        # A parent that is not there, or not earlier, could only come from a damaged file.
        known = parent is not None and parent in story.by_number and parent < chapter.number
        children.setdefault(parent if known else None, []).append(chapter)
    line = _line(story, story.best or (story.chapters[-1] if story.chapters else None))
    on_line = {chapter.number for chapter in line}

    def aside(number: int | None) -> tuple[Branch, ...]:
        return tuple(_branch(c, children) for c in children.get(number, []) if c.number not in on_line)

    return Lineage(tuple(Step(chapter, aside(chapter.number)) for chapter in line), aside(None))


def _line(story: RunStory, end: Chapter | None) -> list[Chapter]:
    line: list[Chapter] = []
    while end is not None:
        line.append(end)
        parent = end.record.parent
        end = story.by_number.get(parent) if parent is not None and parent < end.number else None
    return line[::-1]


def _branch(chapter: Chapter, children: dict[int | None, list[Chapter]]) -> Branch:
    """The tree under `chapter`, built without recursion: `--parent latest` makes it as deep as the run is long."""
    below: dict[int, tuple[Branch, ...]] = {}
    order, stack = [], [chapter]
    while stack:
        one = stack.pop()
        order.append(one)
        stack.extend(children.get(one.number, []))
    for one in reversed(order):
        below[one.number] = tuple(Branch(c, below[c.number]) for c in children.get(one.number, []))
    return Branch(chapter, below[chapter.number])


def flattened(branches: tuple[Branch, ...]) -> list[tuple[int, Chapter]]:
    """The generations of `branches` with their depth below the main line, from 1, depth first."""
    rows: list[tuple[int, Chapter]] = []
    stack = [(1, branch) for branch in reversed(branches)]
    while stack:
        depth, branch = stack.pop()
        rows.append((depth, branch.chapter))
        # An only child stays at its parent's depth: a long chain is not a deep tree.
        step = 0 if len(branch.below) == 1 else 1
        stack.extend((depth + step, inner) for inner in reversed(branch.below))
    return rows
