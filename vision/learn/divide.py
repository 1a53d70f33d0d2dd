"""Give pictures their sides and write the split file, keeping the sides that pictures have from before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vision.errors import UsageError
from vision.learn.build import make_split
from vision.learn.description import DataSet
from vision.learn.problems import BadLabels, Problems
from vision.learn.splits import read_split, write_split

BACKGROUND = "(nothing)"


@dataclass(frozen=True)
class Divided:
    """What went where.

    Attributes:
        path: The split file.
        pictures: Source -> side -> pictures.
        classes: Leaf -> side -> pictures with it.
        groups: Scenes and clips.
        kept, moved, new: Pictures that kept their side; changed it, because a new picture joins their scene to one on the other
            side; had none before.
        gone: Rows of the file whose picture is not there now; they stay in it.
        problems: What was found wrong.
    """

    path: Path
    pictures: Mapping[str, Mapping[str, int]]
    classes: Mapping[str, Mapping[str, int]]
    groups: int
    kept: int
    moved: int
    new: int
    gone: int
    problems: Problems

    def to_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in {"path", "problems"}}
        return {"split": str(self.path), **said, "problems": dict(sorted(self.problems.counts().items()))}

    def sentences(self) -> Iterator[str]:
        """The rest, for a person."""
        total = sum(sum(sides.values()) for sides in self.pictures.values())
        yield f"{self.path}: {total} pictures in {self.groups} scenes; {self.new} new, {self.kept} as before, {self.moved} moved"
        if self.gone:
            yield f"{self.gone} pictures of the file are not there now; their rows stay"
        one_sided = [name for name, sides in self.classes.items() if name != BACKGROUND and not sides.get("valid")]
        if one_sided:
            yield f"not in validation, as they are in one scene only or its share is 0: {', '.join(one_sided)}"


def redivide(
    data: DataSet,
    root: Path | None,
    path: Path | None,
    *,
    validation: float | None = None,
    seed: int = 0,
    anew: bool = False,
    leave_out_bad: bool = False,
) -> Divided:
    """Divide the pictures of a description and write the split file.

    Args:
        data: The description.
        root: Folder of the collections; None takes the description's own.
        path: The split file; sides in it are kept.
        validation: Share of every source for validation, in place of what the description says.
        seed: Of the division.
        anew: Forget the sides from before.
        leave_out_bad: Leave pictures with errors out, rather than stop.

    Raises:
        UsageError: There is no place for the split file.
        BadLabels: Labels or pictures are bad.
        OutputError: The file cannot be written.
        DependencyError: The ``train`` extra is not installed.
    """
    if path is None:
        raise UsageError("there is no place for the split file", hint="give it with --out FILE")
    before = {} if anew or not path.exists() else read_split(path)
    with data.reading(root) as read:
        if read.problems.errors and not leave_out_bad:
            raise BadLabels(read.problems)
        pictures, placed = make_split(data, read.pictures, read.problems, seed=seed, keep=before, validation=validation)
        if read.problems.errors and not leave_out_bad:
            raise BadLabels(read.problems)
    sides = {(p.source, p.file): p for p in placed}
    gone = [row for key, row in before.items() if key not in sides]
    write_split(path, [*placed, *gone])
    by_source: dict[str, Counter[str]] = {}
    by_class: dict[str, Counter[str]] = {}
    for picture, place in zip(pictures, placed, strict=True):
        by_source.setdefault(picture.source, Counter())[place.split] += 1
        for leaf in {b.leaf for b in picture.boxes if b.leaf} or {BACKGROUND}:
            by_class.setdefault(leaf, Counter())[place.split] += 1
    order = [*data.taxonomy.leaves, BACKGROUND]
    kept = sum(1 for key, row in before.items() if key in sides and sides[key].split == row.split)
    return Divided(
        path=path,
        pictures=by_source,
        classes={name: by_class[name] for name in order if name in by_class},
        groups=len({p.group for p in placed}),
        kept=kept,
        moved=len(before) - len(gone) - kept,
        new=len(placed) - (len(before) - len(gone)),
        gone=len(gone),
        problems=read.problems,
    )
