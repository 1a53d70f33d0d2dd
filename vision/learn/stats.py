"""What a built set holds: pictures and boxes by side, class, source, view and size, and the terms the pictures come under."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision.errors import InputError, TaxonomyError
from vision.learn.manifest import class_names, read_manifest, read_summary
from vision.taxonomy import Taxonomy, default_taxonomy

SPLITS = ("train", "valid")
IGNORED = "(ignored)"

# By the square root of a box's area in the set's pixels; COCO's limits.
SIZES = (("under 32 px", 32.0), ("32 to 96 px", 96.0), ("over 96 px", math.inf))

Table = Mapping[str, Mapping[str, int]]
"""Name -> side -> how many."""


@dataclass(frozen=True)
class Stats:
    """Counts of a set; each table goes name -> side -> how many.

    Attributes:
        name: The set's name, or its folder's.
        digest: As built, or None.
        pictures: Pictures, and of them those with nothing on them (``background``).
        boxes: Boxes by leaf, in the taxonomy's order; ignore regions at the end.
        parents: Boxes by parent.
        sources: Pictures by source.
        views: Pictures by view.
        sizes: Boxes by size.
        licences: Pictures by licence.
    """

    name: str
    digest: str | None
    pictures: Table
    boxes: Table
    parents: Table
    sources: Table
    views: Table
    sizes: Table
    licences: Table

    def to_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def stats(folder: Path, taxonomy: Taxonomy | None = None) -> Stats:
    """Count a built set.

    Args:
        folder: Its folder, or its ``data.yaml``.
        taxonomy: The class tree; None takes the project's.

    Raises:
        InputError: There is no set, or it has no manifest.
    """
    folder = folder if folder.is_dir() else folder.parent
    names = class_names(folder)
    rows = read_manifest(folder)
    if not rows:
        raise InputError(f"{folder} has no manifest", hint="build it with: flatcar dataset build")
    tree = taxonomy or default_taxonomy()
    tables: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        tables["pictures"]["pictures"][row.split] += 1
        tables["pictures"]["background"][row.split] += not row.boxes and not row.ignored
        tables["sources"][row.source][row.split] += 1
        tables["views"][row.view][row.split] += 1
        tables["licences"][row.licence or "(not stated)"][row.split] += 1
        for leaf, count in (*row.boxes.items(), (IGNORED, row.ignored)):
            tables["boxes"][leaf][row.split] += count
            if leaf != IGNORED:
                tables["parents"][_parent(tree, leaf)][row.split] += count
        labels = folder / "labels" / row.split / f"{row.picture}.txt"
        for size in _sizes(labels, row.width_px, row.height_px):
            tables["sizes"][size][row.split] += 1
    order = {
        "boxes": [*names, IGNORED],
        "parents": [*tree.parents],
        "sizes": [name for name, _ in SIZES],
        "pictures": ["pictures", "background"],
    }
    summary = read_summary(folder)
    return Stats(
        name=str(summary.get("name", folder.resolve().name)),
        digest=summary.get("digest"),
        **{
            part: _table(tables[part], order.get(part, sorted(tables[part])))
            for part in ("pictures", "boxes", "parents", "sources", "views", "sizes", "licences")
        },
    )


def missing_classes(counted: Stats) -> list[str]:
    """Classes that training knows and validation has no box of: no figure will say how well they are found."""
    return [name for name, sides in counted.boxes.items() if name != IGNORED and sides["train"] and not sides["valid"]]


def _table(counted: Mapping[str, Counter[str]], order: Sequence[str]) -> dict[str, dict[str, int]]:
    names = [n for n in order if n in counted and (n == "pictures" or any(counted[n].values()))] + sorted(
        set(counted) - set(order)
    )
    return {name: {split: counted[name][split] for split in SPLITS} for name in names}


def _parent(tree: Taxonomy, leaf: str) -> str:
    try:
        return tree.parent_of(leaf)
    except TaxonomyError:
        return leaf


def _sizes(labels: Path, width_px: int, height_px: int) -> Iterator[str]:
    if not labels.is_file():
        return
    for line in labels.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) == 5:
            side_px = math.sqrt(max(float(words[3]) * width_px * float(words[4]) * height_px, 0.0))
            yield next(name for name, limit in SIZES if side_px < limit)
