"""Detection figures: hand-made truths and detectors whose figures are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.errors import InputError
from vision.learn.evaluate import Figures, Truth, evaluate, false_alarms, merge_same_object, predict, table
from vision.taxonomy import default_taxonomy
from vision.types import Detections

LEAVES = default_taxonomy().leaves
TANK, BMP, BMD, CIVIL_CAR = (LEAVES.index(n) for n in ("tank", "bmp", "bmd", "civil_car"))
A, B, C = [10, 10, 40, 40], [60, 10, 90, 40], [10, 60, 40, 90]


def box(xyxy: Sequence[float]) -> list[float]:
    x0, y0, x1, y1 = xyxy
    return [x0, y0, x1 - x0, y1 - y0]


@pytest.fixture
def truth() -> Truth:
    """One ground picture with a tank at A and a BMP at B, an ignore region at C; one high one with a tank; an empty one."""
    views = [("s", "ground"), ("s", "high"), ("t", "ground")]
    images = [
        {"id": i, "file_name": f"{i}.png", "width": 100, "height": 100, "source": s, "view": v}
        for i, (s, v) in enumerate(views, start=1)
    ]
    annotations = [
        {"image_id": 1, "category_id": TANK, "bbox": box(A)},
        {"image_id": 1, "category_id": BMP, "bbox": box(B)},
        {"image_id": 2, "category_id": TANK, "bbox": box(A)},
    ]
    return Truth(Path(), LEAVES, tuple(images), tuple(annotations), ({"image_id": 1, "bbox": box(C)},))


def found(*rows: tuple[Sequence[float], float, int]) -> Detections:
    return Detections.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def figures_of(figures: Sequence[Figures], level: str, part: str = "all") -> Figures:
    return next(f for f in figures if (f.level, f.part) == (level, part))


PERFECT = (found((A, 0.9, TANK), (B, 0.9, BMP)), found((A, 0.9, TANK)), Detections.empty())


def test_perfect_detections(truth: Truth) -> None:
    pytest.importorskip("pycocotools")
    figures = evaluate(truth, PERFECT, LEAVES)
    for level in ("leaf", "parent", "any"):
        assert figures_of(figures, level).map50 == pytest.approx(1)
        assert figures_of(figures, level).map == pytest.approx(1)
    leaf = figures_of(figures, "leaf")
    assert (leaf.classes["tank"].boxes, leaf.classes["bmp"].boxes, leaf.classes["bmd"].boxes) == (2, 1, 0)
    assert leaf.classes["bmd"].ap50 is None


@pytest.mark.parametrize(
    ("first", "level", "map50"),
    [
        # A BMP called BMD: wrong as a leaf, right as its parent.
        (found((A, 0.9, TANK), (B, 0.9, BMD)), "leaf", 0.5),
        (found((A, 0.9, TANK), (B, 0.9, BMD)), "parent", 1.0),
        # Called a tank, it is still a vehicle.
        (found((A, 0.9, TANK), (B, 0.9, TANK)), "any", 1.0),
        # Both leaves of one parent on one object are one detection, not a false one beside a right one.
        (found((A, 0.9, TANK), (B, 0.95, BMD), (B, 0.9, BMP)), "parent", 1.0),
        # A detection on an ignore region counts neither way, of whatever class and however sure.
        (found((A, 0.9, TANK), (B, 0.9, BMP), (C, 0.99, TANK), (C, 0.99, BMP)), "leaf", 1.0),
        # The same beside it is false, and comes before the right ones.
        (found((A, 0.9, TANK), (B, 0.9, BMP), ([60, 60, 90, 90], 0.99, BMP)), "leaf", 0.75),
        # Nothing found on this picture: one tank of two, no BMP.
        (Detections.empty(), "leaf", 0.252),
    ],
)
def test_what_counts(truth: Truth, first: Detections, level: str, map50: float) -> None:
    pytest.importorskip("pycocotools")
    figures = evaluate(truth, (first, *PERFECT[1:]), LEAVES)
    assert figures_of(figures, level).map50 == pytest.approx(map50, abs=0.002)


def test_nothing_found_at_all(truth: Truth) -> None:
    pytest.importorskip("pycocotools")
    figures = evaluate(truth, [Detections.empty()] * 3, LEAVES)
    assert figures_of(figures, "parent").map50 == 0


def test_slices(truth: Truth) -> None:
    pytest.importorskip("pycocotools")
    figures = evaluate(truth, (PERFECT[0], Detections.empty(), PERFECT[2]), LEAVES)
    assert figures_of(figures, "parent", "view=ground").map50 == pytest.approx(1)
    assert figures_of(figures, "parent", "view=high").map50 == 0
    assert figures_of(figures, "parent", "source=t").map50 is None
    text = table(figures, false_alarms(truth, PERFECT, LEAVES))
    assert "view=high" in text
    assert "1 pictures without a vehicle: 0 military" in text


def test_false_alarms_are_military_and_sure(truth: Truth) -> None:
    third = found((A, 0.9, TANK), (B, 0.2, TANK), (C, 0.9, CIVIL_CAR))
    alarms = false_alarms(truth, (*PERFECT[:2], third), LEAVES)
    assert (alarms.pictures, alarms.detections, alarms.pictures_hit) == (1, 1, 1)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([(A, 0.5, 0), (A, 0.9, 0)], [0.9]),
        ([(A, 0.5, 0), (A, 0.9, 1)], [0.9, 0.5]),
        ([(A, 0.5, 0), (B, 0.9, 0)], [0.9, 0.5]),
        ([], []),
    ],
)
def test_merge_same_object(rows: list[tuple[list[float], float, int]], kept: list[float]) -> None:
    assert merge_same_object(found(*rows)).score.tolist() == pytest.approx(kept)


class Brightest:
    """Finds the whole picture, with its brightness as the score."""

    class_names = LEAVES

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [found(([0, 0, i.shape[1], i.shape[0]], float(i.mean()) / 255, TANK)) for i in images]


def test_predict_keeps_the_order(tmp_path: Path) -> None:
    rows = []
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 6, 3), 51 * i, np.uint8))
        rows.append({"id": i, "file_name": f"{i}.png", "width": 6, "height": 4, "source": "s", "view": "ground"})
    document = {"categories": [{"id": 0, "name": "tank"}], "images": rows, "annotations": [], "ignored": []}
    (tmp_path / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    detections = predict(Brightest(), Truth.load(tmp_path / "data.yaml"), batch=2)
    assert [float(d.score[0]) for d in detections] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert detections[0].xyxy_px.tolist() == [[0, 0, 6, 4]]


def test_missing_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ground truth"):
        Truth.load(tmp_path)
