"""Ground truth of a built set, checked when it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vision.errors import InputError, TaxonomyError
from vision.learn.manifest import read_manifest
from vision.taxonomy import Taxonomy, default_taxonomy

_HINT = "build the set with: flatcar dataset build"


@dataclass(frozen=True)
class Truth:
    """Ground truth of a built set.

    Attributes:
        root: Folder the file names are relative to.
        leaves: Name of each category.
        images: Rows with ``id``, ``file_name``, ``width``, ``height``, ``source``, ``view``; where known also ``group``, the
            scene: pictures of one scene are drawn together when the uncertainty of a figure is measured.
        annotations: Rows with ``image_id``, ``category_id``, ``bbox`` (left, top, width, height, pixels).
        ignored: Rows with ``image_id``, ``bbox``: regions that count neither way.
    """

    root: Path
    leaves: tuple[str, ...]
    images: tuple[Mapping[str, Any], ...]
    annotations: tuple[Mapping[str, Any], ...]
    ignored: tuple[Mapping[str, Any], ...]

    @classmethod
    def load(cls, data: Path, *, split: str = "valid") -> Truth:
        """Read the truth beside a built set's ``data.yaml`` (or in the folder itself).

        Args:
            data: The file or its folder.
            split: Rows of other splits are left out; a row that names none belongs to ``valid``.

        Raises:
            InputError: There is none, it is not in that form, or holds no picture of that split.
        """
        path = (data if data.is_dir() else data.parent) / "truth.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            categories = sorted(raw["categories"], key=lambda c: c["id"])
            if [c["id"] for c in categories] != list(range(len(categories))):
                raise ValueError("the ids of its categories must be 0, 1, 2, ...")
            truth = cls(
                path.parent,
                tuple(str(c["name"]) for c in categories),
                tuple({"source": "unknown", "view": "unknown", **row} for row in raw["images"]),
                tuple(raw["annotations"]),
                tuple(raw["ignored"]),
            )
            truth.check()
        except FileNotFoundError as error:
            raise InputError(f"no ground truth: there is no {path}", hint=_HINT) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise InputError(f"no ground truth in {path}: {why}", hint=_HINT) from error
        return truth._of_split(split, path)._with_scenes(split)

    def check(self, taxonomy: Taxonomy | None = None) -> None:
        """Look at every row.

        Raises:
            ValueError: A row that contradicts another one, a box without area, a class that is no leaf; named with its row.
        """
        tree = taxonomy or default_taxonomy()
        for name in self.leaves:
            try:
                known = tree.resolve(name) in tree.leaves
            except TaxonomyError as error:
                raise ValueError(str(error)) from error
            if not known:
                raise ValueError(f"{name!r} is a parent; a box needs a leaf of it ({', '.join(tree.children_of(name))})")
        if not self.images:
            raise ValueError("it names no picture at all")
        ids: set[Any] = set()
        for number, row in enumerate(self.images):
            if row["id"] in ids:
                raise ValueError(f"images[{number}]: the id {row['id']!r} stands twice")
            ids.add(row["id"])
            if not (isinstance(row["file_name"], str) and row["width"] > 0 and row["height"] > 0):
                raise ValueError(f"images[{number}]: needs a file name, and a width and a height above 0")
        for table in ("annotations", "ignored"):
            for number, row in enumerate(getattr(self, table)):
                _check_box(f"{table}[{number}]", row, ids)
                if table == "annotations" and row["category_id"] not in range(len(self.leaves)):
                    raise ValueError(f"{table}[{number}]: there is no category {row['category_id']!r}")

    def only(self, image_ids: Iterable[Any]) -> Truth:
        """The truth of some pictures alone."""
        kept = set(image_ids)
        return replace(
            self,
            images=tuple(row for row in self.images if row["id"] in kept),
            annotations=tuple(row for row in self.annotations if row["image_id"] in kept),
            ignored=tuple(row for row in self.ignored if row["image_id"] in kept),
        )

    def busy(self) -> set[Any]:
        """Ids of the pictures with a box or an ignore region: on the others there is nothing to find."""
        return {row["image_id"] for row in (*self.annotations, *self.ignored)}

    def _with_scenes(self, split: str) -> Truth:
        """The scene of each picture, where the set's manifest tells it."""
        scenes = {row.picture: row.group for row in read_manifest(self.root) if row.split == split}
        named = ((row, scenes.get(Path(row["file_name"]).stem)) for row in self.images)
        return replace(self, images=tuple({"group": scene, **row} if scene else row for row, scene in named))

    def _of_split(self, split: str, path: Path) -> Truth:
        found = self.only(row["id"] for row in self.images if row.get("split", "valid") == split)
        if not found.images:
            there = ", ".join(sorted({str(row.get("split", "valid")) for row in self.images}))
            raise InputError(f"{path} has no picture of the split {split!r}: it has {there}", hint="give another --split")
        return found


def _check_box(name: str, row: Mapping[str, Any], ids: set[Any]) -> None:
    if row["image_id"] not in ids:
        raise ValueError(f"{name}: there is no picture {row['image_id']!r}")
    try:
        numbers = [float(v) for v in row["bbox"]]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        raise ValueError(f"{name}: {row['bbox']} is no box (left, top, width, height)")
