"""Objects against the truth: who belongs to whom, recall, precision, confusion, false alarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evaluations import (
    BMD,
    BMP,
    BTR,
    CIVIL_CAR,
    LEAVES,
    PERFECT,
    TANK,
    TRUCK,
    A,
    B,
    C,
    D,
    Row,
    found,
    small_truth,
    truth_of,
)
from vision.detect.objects import pool_objects
from vision.learn.evaluation.operating import (
    BACKGROUND,
    MISSED,
    Scored,
    belonging,
    class_scores,
    confusion,
    false_alarms,
    score_pictures,
    slice_scores,
)
from vision.taxonomy import default_taxonomy
from vision.types import Detections

TREE = default_taxonomy()
NEAR_A = [12, 10, 42, 40]  # IoU 0.875 with A


def scored(boxes: Sequence[tuple[Sequence[float], int]], *rows: Row) -> list[Scored]:
    return score_pictures(truth_of(boxes), [found(*rows)], LEAVES)


@pytest.mark.parametrize(
    ("objects", "boxes", "ignored", "expected"),
    [
        ([A], [A], [], [0]),
        ([B], [A], [], [-1]),
        ([A], [], [], [-1]),
        ([], [A], [], []),
        # The surer object chooses first; the other is left without.
        ([NEAR_A, A], [A], [], [0, -1]),
        # Each its own, the closest.
        ([A, B], [B, A], [], [1, 0]),
        # At least half of it in an ignore region.
        ([C], [A], [C], [-2]),
        ([[10, 60, 40, 120]], [], [C], [-2]),
        ([[10, 60, 40, 121]], [], [C], [-1]),
        # A true box comes before an ignore region.
        ([A], [A], [A], [0]),
        # An overlap of half is enough, less is not.
        ([[0, 0, 20, 10]], [[0, 0, 10, 10]], [], [0]),
        ([[0, 0, 21, 10]], [[0, 0, 10, 10]], [], [-1]),
    ],
)
def test_belonging(objects: list[list[float]], boxes: list[list[float]], ignored: list[list[float]], expected: list[int]) -> None:
    arrays = [np.array(rows, np.float32).reshape(-1, 4) for rows in (objects, boxes, ignored)]
    assert belonging(*arrays) == expected


def test_objects_are_pooled_as_in_a_scan() -> None:
    rows: list[Row] = [(A, 0.5, BMP), (NEAR_A, 0.4, BTR), (A, 0.3, BMD)]
    picture = scored([(A, BMP)], *rows)[0]
    pooled = pool_objects(found(*rows), LEAVES, min_score=0.05)
    assert [(o.class_name, o.score) for o in picture.objects] == [("bmp", pytest.approx(float(pooled.score[0])))]
    assert picture.objects[0].score == pytest.approx(1 - 0.5 * 0.6 * 0.7)
    assert picture.objects[0].best == pytest.approx(0.5)
    assert picture.objects[0].truth == 0


def test_class_scores() -> None:
    # An ifv found as bmd, a second taken for a tank, a third missed; a tank where nothing is; a lone truck below the point.
    pictures = scored(
        [(A, BMP), (B, BMP), (C, BMD)], (A, 0.9, BMD), (B, 0.8, TANK), (D, 0.7, TANK), ([70, 45, 80, 55], 0.2, TRUCK)
    )
    parents = class_scores(pictures, 0.3, "parent", TREE)
    assert list(parents) == ["tank", "ifv"]
    ifv, tank = parents["ifv"], parents["tank"]
    assert (ifv.boxes, ifv.found, ifv.other, ifv.missed, ifv.objects) == (3, 1, 1, 1, 1)
    assert (ifv.recall, ifv.precision) == (pytest.approx(1 / 3), 1)
    assert (tank.boxes, tank.objects, tank.recall, tank.precision) == (0, 2, None, 0)
    assert (tank.recall_interval, tank.precision_interval) == (None, pytest.approx((0, 0.6576), abs=1e-3))
    leaves = class_scores(pictures, 0.3, "leaf", TREE)
    assert (leaves["bmp"].found, leaves["bmp"].other, leaves["bmd"].missed) == (0, 2, 1)
    whole = class_scores(pictures, 0.3, "any", TREE)["any"]
    assert (whole.boxes, whole.found, whole.objects) == (3, 2, 3)


def test_confusion() -> None:
    pictures = scored([(A, BMP), (B, BMP), (C, BTR)], (A, 0.9, BMD), (B, 0.8, TANK), (D, 0.7, TANK))
    table = confusion(pictures, 0.3, "parent", TREE)
    assert table.rows == ("ifv", "apc", BACKGROUND)
    assert table.columns == ("tank", "ifv", "apc", MISSED)
    assert table.counts == ((1, 1, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    assert table.shares == ((0.5, 0.5, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    leaves = confusion(pictures, 0.3, "leaf", TREE)
    assert (leaves.rows, leaves.columns) == (("bmp", "btr", BACKGROUND), ("tank", "bmp", "bmd", "btr", MISSED))
    assert leaves.counts[0] == (1, 0, 1, 0, 0)


def test_confusion_without_anything() -> None:
    table = confusion(scored([]), 0.3, "parent", TREE)
    assert (table.rows, table.columns, table.counts) == ((BACKGROUND,), (MISSED,), ((0,),))


def test_false_alarms_are_military_and_sure() -> None:
    third = found((A, 0.9, TANK), (B, 0.2, TANK), (C, 0.9, CIVIL_CAR))
    pictures = score_pictures(small_truth(), (*PERFECT[:2], third), LEAVES)
    alarms = false_alarms(pictures, 0.3, TREE)
    assert (alarms.pictures, alarms.detections, alarms.pictures_hit) == (3, 1, 1)
    assert alarms.per_picture == pytest.approx(1 / 3)
    assert alarms.per_picture_interval == pytest.approx((0.0253 / 3, 5.572 / 3), abs=1e-3)


@pytest.mark.parametrize(
    ("boxes", "rows", "expected"),
    [
        ([(A, CIVIL_CAR)], [(A, 0.9, TANK)], 1),  # a car taken for a tank
        ([(A, TANK)], [(A, 0.9, CIVIL_CAR)], 0),
        ([(A, TANK)], [(A, 0.9, BMP)], 0),  # of the wrong class, but a military vehicle is there
        ([(A, TANK)], [(A, 0.9, TANK), (B, 0.9, TANK), (D, 0.9, BTR)], 2),
    ],
)
def test_what_is_a_false_alarm(boxes: list[tuple[list[float], int]], rows: list[Row], expected: int) -> None:
    assert false_alarms(scored(boxes, *rows), 0.3, TREE).detections == expected


def test_no_pictures_no_rate() -> None:
    alarms = false_alarms([], 0.3, TREE)
    assert (alarms.pictures, alarms.per_picture, alarms.per_picture_interval, alarms.share_hit) == (0, None, None, None)


def test_slices() -> None:
    truth = truth_of([(A, BMP), ([0, 0, 5, 5], TANK)], [(A, TANK)], views=("ground", "high"))
    pictures = score_pictures(truth, [found((A, 0.9, TANK)), found((A, 0.9, TANK))], LEAVES)
    slices = {s.part: s for s in slice_scores(pictures, 0.3, TREE, by=("view",))}
    assert list(slices) == ["all", "view=ground", "view=high", "size=small", "size=medium", "size=large"]
    assert [(s.boxes, s.found, s.named) for s in slices.values()] == [
        (3, 2, 1),
        (2, 1, 0),
        (1, 1, 1),
        (1, 0, 0),
        (2, 2, 1),
        (0, 0, 0),
    ]
    assert slices["view=high"].false_alarms is not None
    assert slices["size=small"].false_alarms is None


PLACES = [A, B, C, D, NEAR_A, [30, 30, 70, 70]]
ROWS = st.lists(st.tuples(st.sampled_from(PLACES), st.floats(0.06, 0.99), st.sampled_from([TANK, BMP, BMD, BTR])), max_size=8)
BOXES = st.lists(
    st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([TANK, BMP, BTR])), max_size=4, unique_by=lambda b: tuple(b[0])
)


@settings(max_examples=60, deadline=None)
@given(BOXES, ROWS, st.floats(0.05, 0.95))
def test_counts_agree_with_each_other(boxes: list[tuple[list[int], int]], rows: list[Row], min_score: float) -> None:
    pictures = scored(boxes, *rows)
    by_level = {level: class_scores(pictures, min_score, level, TREE) for level in ("leaf", "parent", "any")}
    total = {name: sum(s.found for s in scores.values()) for name, scores in by_level.items()}
    assert total["leaf"] <= total["parent"] <= total["any"]
    for level, scores in by_level.items():
        assert sum(s.boxes for s in scores.values()) == len(boxes)
        assert sum(s.objects for s in scores.values()) == len(pictures[0].above(min_score))
        if level != "any":
            table = confusion(pictures, min_score, level, TREE)
            assert sum(map(sum, table.counts[:-1])) == len(boxes)
            right = sum(
                row[table.columns.index(name)]
                for name, row in zip(table.rows, table.counts, strict=True)
                if name in table.columns
            )
            assert right == total[level]


@settings(max_examples=60, deadline=None)
@given(BOXES, ROWS, st.floats(0.05, 0.9))
def test_a_lower_operating_point_finds_no_less(boxes: list[tuple[list[int], int]], rows: list[Row], min_score: float) -> None:
    pictures = scored(boxes, *rows)

    def counted(score: float) -> tuple[int, int]:
        whole = class_scores(pictures, score, "any", TREE).get("any")
        return (0 if whole is None else whole.found), false_alarms(pictures, score, TREE).detections

    (found_low, false_low), (found_high, false_high) = counted(0.05), counted(min_score)
    assert found_low >= found_high
    assert false_low >= false_high


def test_nothing_found() -> None:
    picture = score_pictures(truth_of([(A, TANK)]), [Detections.empty()], LEAVES)
    assert class_scores(picture, 0.3, "any", TREE)["any"].missed == 1
