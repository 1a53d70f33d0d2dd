"""A tiny truth with pictures, and a detector that finds what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.support.detectors import ScriptedDetector
from vision.learn.evaluation.truth import Truth
from vision.taxonomy import default_taxonomy
from vision.types import Detections

LEAVES = default_taxonomy().leaves
TANK, BMP, BMD, BTR, TRUCK, CIVIL_CAR = (LEAVES.index(n) for n in ("tank", "bmp", "bmd", "btr", "truck", "civil_car"))
A, B, C, D = [10, 10, 40, 40], [60, 10, 90, 40], [10, 60, 40, 90], [60, 60, 90, 90]
SIDE_PX = 100

Row = tuple[Sequence[float], float, int]


def bbox(xyxy: Sequence[float]) -> list[float]:
    x0, y0, x1, y1 = xyxy
    return [x0, y0, x1 - x0, y1 - y0]


def found(*rows: Row) -> Detections:
    """Detections from (box, score, class)."""
    return Detections.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def truth_of(
    *pictures: Sequence[tuple[Sequence[float], int]],
    ignored: Sequence[tuple[int, Sequence[float]]] = (),
    views: Sequence[str] = (),
    sources: Sequence[str] = (),
    root: Path = Path(),
) -> Truth:
    """A truth of 100 x 100 pictures, each a list of (box, class); ``ignored`` holds (picture's number from 1, box)."""
    images = tuple(
        {
            "id": i,
            "file_name": f"truth/{i}.png",
            "width": SIDE_PX,
            "height": SIDE_PX,
            "source": sources[i - 1] if sources else "s",
            "view": views[i - 1] if views else "ground",
        }
        for i in range(1, len(pictures) + 1)
    )
    annotations = tuple(
        {"image_id": i, "category_id": leaf, "bbox": bbox(box)}
        for i, boxes in enumerate(pictures, start=1)
        for box, leaf in boxes
    )
    return Truth(root, LEAVES, images, annotations, tuple({"image_id": i, "bbox": bbox(box)} for i, box in ignored))


def small_truth(root: Path = Path()) -> Truth:
    """A ground picture with a tank at A and a BMP at B, an ignore region at C; a high one with a tank; an empty one."""
    return truth_of(
        [(A, TANK), (B, BMP)],
        [(A, TANK)],
        [],
        ignored=[(1, C)],
        views=("ground", "high", "ground"),
        sources=("s", "s", "t"),
        root=root,
    )


PERFECT = (found((A, 0.9, TANK), (B, 0.9, BMP)), found((A, 0.9, TANK)), Detections.empty())


def document_of(truth: Truth) -> dict[str, Any]:
    """The truth as ``truth.json`` holds it."""
    return {
        "categories": [{"id": i, "name": name} for i, name in enumerate(truth.leaves)],
        "images": [dict(row) for row in truth.images],
        "annotations": [dict(row) for row in truth.annotations],
        "ignored": [dict(row) for row in truth.ignored],
    }


def write_set(folder: Path, truth: Truth) -> Path:
    """A built set on disk; picture ``n`` has the grey level ``n``, so that a detector can tell them apart."""
    (folder / "truth").mkdir(parents=True)
    for row in truth.images:
        grey = np.full((row["height"], row["width"], 3), row["id"], np.uint8)
        cv2.imwrite(str(folder / row["file_name"]), grey)
    (folder / "truth.json").write_text(json.dumps(document_of(truth)), encoding="utf-8")
    (folder / "data.yaml").write_text("names: []\n", encoding="utf-8")
    return folder


def knowing(by_picture: Sequence[Detections], class_names: Sequence[str] = LEAVES) -> ScriptedDetector:
    """A detector that knows the pictures of ``write_set`` by their grey level; on others it finds nothing."""

    def look(image: np.ndarray) -> Detections:
        number = int(image[0, 0, 0]) - 1
        return by_picture[number] if 0 <= number < len(by_picture) else Detections.empty()

    return ScriptedDetector(look, class_names=class_names)


@contextmanager
def no_leftovers(folder: Path) -> Iterator[None]:
    """Fail where something else than before lies in a folder afterwards."""
    before = sorted(p.name for p in folder.iterdir())
    yield
    assert sorted(p.name for p in folder.iterdir()) == before
