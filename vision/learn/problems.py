"""What is wrong with the labels and pictures that come in: named, counted, and none of it passed over in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from vision.errors import InputError

Severity = Literal["error", "warning"]

Key = tuple[str, str]
"""Source and file: the identity of a picture."""

SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or a thing that was done about it.

    Attributes:
        kind: Short stable name, such as ``unknown_class``.
        where: File and line or row, the source's name before it.
        what: A sentence without a full stop.
        severity: An error stops a build; a warning tells what was done.
        count: How often; only the first place is kept.
    """

    kind: str
    where: str
    what: str
    severity: Severity = "error"
    count: int = 1

    def line(self) -> str:
        """One line for a person."""
        often = f" ({self.count} times, first here)" if self.count > 1 else ""
        return f"{self.where}: {self.what}{often}"


class Problems:
    """Problems gathered while reading; those of one kind that say the same are counted together.

    Attributes:
        bad_pictures: Pictures that cannot be used as they are.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Problem] = {}
        self.bad_pictures: set[Key] = set()

    def error(self, kind: str, where: str, what: str, *, picture: Key | None = None, together: str | None = None) -> None:
        """Note an error.

        Args:
            kind: Short stable name.
            where: File and line.
            what: A sentence.
            picture: The picture that cannot be used because of it.
            together: Errors of this kind with the same text here are counted as one; None keeps each by itself.
        """
        self._add(Problem(kind, where, what), together)
        if picture is not None:
            self.bad_pictures.add(picture)

    def warning(self, kind: str, where: str, what: str, *, together: str | None = None) -> None:
        """Note what was done about something odd; arguments as in ``error``."""
        self._add(Problem(kind, where, what, "warning"), together)

    def _add(self, problem: Problem, together: str | None) -> None:
        key = (problem.kind, problem.where if together is None else f"\0{together}")
        if together is None and key in self._found:
            key = (problem.kind, f"{problem.where}\0{len(self._found)}")
        before = self._found.get(key)
        self._found[key] = (
            problem
            if before is None
            else Problem(before.kind, before.where, before.what, before.severity, before.count + problem.count)
        )

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> list[Problem]:
        """What stops a build, in the order found."""
        return [p for p in self if p.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """What was done about odd things, in the order found."""
        return [p for p in self if p.severity == "warning"]

    def counts(self) -> Counter[str]:
        """Kind -> how many."""
        counted: Counter[str] = Counter()
        for problem in self:
            counted[problem.kind] += problem.count
        return counted


def lines(problems: Iterable[Problem], *, shown: int = SHOWN) -> list[str]:
    """Problems as lines, a kind at a time; of more than ``shown`` of one kind the rest is only counted."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    text = []
    for kind, found in by_kind.items():
        text += [f"{p.severity}: {p.line()} [{kind}]" for p in found[:shown]]
        if len(found) > shown:
            text.append(f"{found[0].severity}: and {len(found) - shown} more [{kind}]")
    return text


class BadLabels(InputError):  # noqa: N818 - named for what it is
    """Labels or pictures that cannot be used, and nothing was written.

    Attributes:
        problems: All of them.
    """

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        errors = problems.errors
        kinds = Counter(p.kind for p in errors)
        for problem in errors:
            kinds[problem.kind] += problem.count - 1
        named = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        first = errors[0].line() if errors else "nothing"
        super().__init__(
            f"{sum(kinds.values())} error{'s' * (sum(kinds.values()) > 1)} in the labels ({named}); the first: {first}",
            hint=("say what the classes are with --map or classes:" if "unknown_class" in kinds else "correct them")
            + ", or leave the pictures out with --leave-out-bad",
        )
