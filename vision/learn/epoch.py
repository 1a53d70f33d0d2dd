"""Which pictures an epoch has: those of rare classes several times, those of a left-out source not at all."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vision.errors import InputError
from vision.learn.manifest import class_names
from vision.learn.pictures import PICTURE_SUFFIXES
from vision.run.store import atomic_write

# A class on fewer than this share of the pictures has them repeated, the more so the rarer it is, but no more than
# threefold: a class of twenty pictures is learned by heart otherwise.
RARE_SHARE = 0.05
MOST_REPEATS = 3.0
_BUILD = "make one with: flatcar dataset build"


@dataclass(frozen=True)
class BuiltSet:
    """The pictures of a set, as ``data.yaml`` says.

    Attributes:
        folder: Its folder.
        names: Class names in the order of their index.
        train, valid: Pictures of either side, sorted.
        valid_folder: Where the latter lie.
    """

    folder: Path
    names: tuple[str, ...]
    train: tuple[Path, ...]
    valid: tuple[Path, ...]
    valid_folder: Path

    @classmethod
    def open(cls, data: Path) -> BuiltSet:
        """A set by its ``data.yaml`` or its folder.

        Raises:
            InputError: There is none, or a side of it is empty.
        """
        folder = data if data.is_dir() else data.parent
        if not data.exists():
            raise InputError(f"no such file or folder: {data}", hint=_BUILD)
        names = tuple(class_names(folder))
        described = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
        sides = {}
        for side in ("train", "val"):
            given = described.get(side)
            inside = (folder / given) if isinstance(given, str) else None
            found = sorted(p for p in inside.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES) if inside else []
            if not found:
                raise InputError(f"{folder} has no pictures under {side!r} of its data.yaml", hint=_BUILD)
            sides[side] = tuple(found)
        return cls(folder, names, sides["train"], sides["val"], folder / described["val"])

    def sources(self) -> Counter[str]:
        """Training pictures by source: what stands before the first double underscore of their names."""
        return Counter(source_of(path) for path in self.train)

    def without(self, sources: Sequence[str]) -> tuple[Path, ...]:
        """Training pictures of all but some sources.

        Raises:
            InputError: The set has no such source, or nothing is left.
        """
        known = self.sources()
        if unknown := [s for s in sources if s not in known]:
            raise InputError(f"the set has no source {unknown[0]!r}", hint=f"it has {', '.join(sorted(known))}")
        left = tuple(p for p in self.train if source_of(p) not in sources)
        if not left:
            raise InputError("no training pictures are left without these sources", hint="leave out fewer")
        return left


def source_of(picture: Path) -> str:
    """Source of a picture of a built set."""
    return picture.stem.split("__", 1)[0]


def label_file(picture: Path) -> Path:
    """Where Ultralytics looks for a picture's labels: the last folder ``images`` on its way becomes ``labels``."""
    parts = list(picture.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_classes(pictures: Sequence[Path], class_count: int) -> dict[Path, set[int]]:
    """Which classes are on each picture; every label line is checked, for Ultralytics drops a bad picture with a whisper.

    Args:
        pictures: Pictures of a set. One without a label file has nothing on it.
        class_count: Indices from this on are wrong.

    Raises:
        InputError: Lines are no YOLO labels; the message counts them and names the first.
    """
    found: dict[Path, set[int]] = {}
    wrong: list[str] = []
    for picture in pictures:
        found[picture] = set()
        labels = label_file(picture)
        if not labels.is_file():
            continue
        for number, line in _lines(labels):
            index, complaint = _class_of(line, class_count)
            if complaint:
                wrong.append(f"{labels.name}:{number} {complaint}")
            found[picture].add(index)
    if wrong:
        shown = "; ".join(wrong[:3]) + ("; …" if len(wrong) > 3 else "")
        raise InputError(
            f"{len(wrong)} label lines cannot be learned from: {shown}", hint="see them all with: flatcar dataset check"
        )
    return found


def _lines(labels: Path) -> Iterator[tuple[int, str]]:
    try:
        text = labels.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {labels}: {error}", hint="see what is wrong with: flatcar dataset check") from error
    return ((n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip())


def _class_of(line: str, class_count: int) -> tuple[int, str | None]:
    """Class index of a label line, and what is wrong with the line."""
    try:
        first, *numbers = (float(part) for part in line.split())
    except ValueError:
        return -1, "holds what is no number"
    if len(numbers) != 4:
        return -1, f"has {len(numbers) + 1} columns, not 5"
    if not all(math.isfinite(n) for n in (first, *numbers)):
        return -1, "holds what is no number"
    if first != int(first) or not 0 <= first < class_count:
        return -1, f"has class {first:g}, of {class_count}"
    if min(numbers) < 0 or max(numbers) > 1.001 or min(numbers[2:]) == 0:
        return -1, "has a box outside the picture, or without a size"
    return int(first), None


def repeats(classes: Mapping[Path, set[int]], seed: int = 0) -> list[Path]:
    """Pictures of one epoch: those with a rare class several times.

    A picture is repeated sqrt(`RARE_SHARE` / share) times for its rarest class, at most `MOST_REPEATS`; what is left
    over from a whole number is drawn by lot.

    Args:
        classes: Picture -> indices of the classes on it.
        seed: Of the lot.
    """
    lot = random.Random(seed)
    count = Counter(c for found in classes.values() for c in found)
    listed = []
    for path in sorted(classes):
        share = min((count[c] / len(classes) for c in classes[path]), default=1.0)
        factor = min(max(1.0, math.sqrt(RARE_SHARE / share)), MOST_REPEATS)
        listed += [path] * (int(factor) + (lot.random() < factor - int(factor)))
    return listed


def write_epoch_list(built: BuiltSet, out: Path, *, without: Sequence[str] = (), seed: int = 0) -> Path:
    """Write ``epoch.txt``, the pictures of an epoch, and a ``data.yaml`` that names it; the set itself stays as it is.

    Args:
        built: The set.
        out: Folder of the run, which must exist.
        without: Sources that are left out.
        seed: Of the lot that rounds the repeats.

    Returns:
        The ``data.yaml`` for Ultralytics.

    Raises:
        InputError: The set's labels are no good, or it has no such source.
        OutputError: The folder cannot be written.
    """
    classes = read_classes(built.without(without), len(built.names))
    read_classes(built.valid, len(built.names))
    pictures = repeats(classes, seed)
    atomic_write(out / "epoch.txt", "".join(f"{p.resolve()}\n" for p in pictures).encode())
    described: dict[str, Any] = {
        "path": str(built.folder.resolve()),
        "train": str((out / "epoch.txt").resolve()),
        "val": str(built.valid_folder.resolve()),
        "names": dict(enumerate(built.names)),
    }
    atomic_write(out / "data.yaml", yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode())
    return out / "data.yaml"
