"""Average precision: hand-made truths whose figures are known, COCO's own summing up, and laws."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.evaluations import BMD, BMP, LEAVES, PERFECT, SIDE_PX, TANK, A, B, C, D, Row, found, small_truth, truth_of
from vision.learn.evaluation.precision import Figures, Matched, evaluate, match, merge_same_object, picture_draws, slice_figures
from vision.learn.evaluation.truth import Truth
from vision.taxonomy import default_taxonomy
from vision.types import Detections

pytest.importorskip("pycocotools")
TREE = default_taxonomy()


def figures_of(figures: Sequence[Figures], level: str, part: str = "all") -> Figures:
    return next(f for f in figures if (f.level, f.part) == (level, part))


def map50(truth: Truth, detections: Sequence[Detections], level: str) -> float | None:
    """Of all pictures at one level."""
    return match(truth, detections, LEAVES, level, TREE, sizes=False).figures("all", [row["id"] for row in truth.images]).map50


def test_perfect_detections() -> None:
    figures = evaluate(small_truth(), PERFECT, LEAVES, resamples=20)
    for level in ("leaf", "parent", "any"):
        whole = figures_of(figures, level)
        assert (whole.map50, whole.map) == (pytest.approx(1), pytest.approx(1))
        assert whole.map50_interval == pytest.approx((1, 1))
    leaf = figures_of(figures, "leaf")
    assert (leaf.classes["tank"].boxes, leaf.classes["bmp"].boxes, leaf.classes["bmd"].boxes) == (2, 1, 0)
    assert leaf.classes["bmd"].ap50 is None
    assert leaf.boxes == 3


@pytest.mark.parametrize(
    ("first", "level", "expected"),
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
        (found((A, 0.9, TANK), (B, 0.9, BMP), (D, 0.99, BMP)), "leaf", 0.75),
        # Nothing found on this picture: one tank of two (51 of 101 recalls), no BMP.
        (Detections.empty(), "leaf", 51 / 101 / 2),
    ],
)
def test_what_counts(first: Detections, level: str, expected: float) -> None:
    assert map50(small_truth(), (first, *PERFECT[1:]), level) == pytest.approx(expected, abs=1e-9)


def test_nothing_found_at_all() -> None:
    assert map50(small_truth(), [Detections.empty()] * 3, "parent") == 0


def test_no_box_no_figure() -> None:
    truth = truth_of([], [])
    whole = figures_of(evaluate(truth, [found((A, 0.9, TANK)), Detections.empty()], LEAVES, resamples=5), "parent")
    assert (whole.map50, whole.map, whole.map50_interval) == (None, None, None)


def test_slices() -> None:
    figures = evaluate(small_truth(), (PERFECT[0], Detections.empty(), PERFECT[2]), LEAVES)
    assert figures_of(figures, "parent", "view=ground").map50 == pytest.approx(1)
    assert figures_of(figures, "parent", "view=high").map50 == 0
    assert figures_of(figures, "parent", "source=t").map50 is None


def test_sizes_are_shares_of_the_picture() -> None:
    small, medium, large = [0, 0, 5, 5], [20, 0, 45, 30], [0, 50, 50, 100]  # 0.25 %, 7.5 %, 25 %
    truth = truth_of([(small, TANK), (medium, TANK), (large, TANK)])
    figures = evaluate(truth, [found((medium, 0.9, TANK))], LEAVES, sizes=True)
    by_size = {s: figures_of(figures, "parent", f"size={s}") for s in ("small", "medium", "large")}
    assert {s: (f.boxes, f.pictures, f.map50) for s, f in by_size.items()} == {
        "small": (1, 1, 0.0),
        "medium": (1, 1, pytest.approx(1)),
        "large": (1, 1, 0.0),
    }


def test_a_parent_in_place_of_a_leaf_is_right_for_the_parent_alone() -> None:
    names = [*LEAVES, "ifv"]
    detections = (found((A, 0.9, TANK), (B, 0.9, len(LEAVES))), *PERFECT[1:])
    figures = evaluate(small_truth(), detections, names)
    assert figures_of(figures, "parent").map50 == pytest.approx(1)
    assert figures_of(figures, "leaf").map50 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([(A, 0.5, 0), (A, 0.9, 0)], [0.9]),
        ([(A, 0.5, 0), (A, 0.9, 1)], [0.9, 0.5]),
        ([(A, 0.5, 0), (B, 0.9, 0)], [0.9, 0.5]),
        ([], []),
    ],
)
def test_merge_same_object(rows: list[Row], kept: list[float]) -> None:
    assert merge_same_object(found(*rows)).score.tolist() == pytest.approx(kept)


PLACES = [A, B, C, D, [12, 10, 42, 40], [58, 14, 88, 44], [30, 30, 70, 70]]
ROWS = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(1, 99).map(lambda n: n / 100), st.sampled_from([TANK, BMP, BMD])))
BOXES = st.lists(
    st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([TANK, BMP, BMD])), max_size=4, unique_by=lambda b: tuple(b[0])
)
PICTURES = st.lists(st.tuples(BOXES, ROWS.map(lambda rows: rows[:8])), min_size=1, max_size=5)
Pictures = list[tuple[list[tuple[list[int], int]], list[Row]]]


def both(pictures: Pictures) -> tuple[Truth, list[Detections]]:
    return truth_of(*(boxes for boxes, _ in pictures)), [found(*rows) for _, rows in pictures]


@settings(max_examples=15, deadline=None)
@given(PICTURES)
def test_sums_up_as_coco_does(pictures: Pictures) -> None:
    """Weights of one give what COCO's own ``accumulate`` gives, class by class and at every IoU."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, detections = both(pictures)
    expected, given_ = COCO(), COCO()
    common = {"images": [{"id": r["id"]} for r in truth.images], "categories": [{"id": i} for i in range(len(LEAVES))]}
    rows = [
        {"id": n, **dict(r), "area": r["bbox"][2] * r["bbox"][3], "iscrowd": 0} for n, r in enumerate(truth.annotations, start=1)
    ]
    boxes = [
        {
            "image_id": i,
            "category_id": int(c),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(s),
            "area": (x1 - x0) * (y1 - y0),
        }
        for i, d in enumerate(detections, start=1)
        for (x0, y0, x1, y1), s, c in zip(d.xyxy_px.tolist(), d.score, d.class_id, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        expected.dataset = {**common, "annotations": rows}
        given_.dataset = {**common, "annotations": [{"id": n, "iscrowd": 0, **b} for n, b in enumerate(boxes, start=1)]}
        expected.createIndex()
        given_.createIndex()
        run = COCOeval(expected, given_, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    theirs = run.eval["precision"][:, :, :, 0, -1]
    ours = figures_of(evaluate(truth, detections, LEAVES, by=()), "leaf")
    for i, name in enumerate(LEAVES):
        if ours.classes[name].boxes:
            assert ours.classes[name].ap50 == pytest.approx(theirs[0, :, i].mean(), abs=1e-9)
            assert ours.classes[name].ap == pytest.approx(theirs[:, :, i].mean(), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(PICTURES, st.randoms(use_true_random=False))
def test_the_order_of_pictures_is_nothing(pictures: Pictures, random: np.random.Generator) -> None:
    # Scores apart, as which of two equal ones comes first does depend on the order.
    numbered = iter(range(1, 1000))
    apart = [(boxes, [(box, score / 2 + next(numbered) / 10_000, c) for box, score, c in rows]) for boxes, rows in pictures]
    mixed = list(apart)
    random.shuffle(mixed)  # type: ignore[arg-type]
    for level in ("leaf", "parent", "any"):
        assert map50(*both(mixed), level) == pytest.approx(map50(*both(apart), level), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(PICTURES)
def test_mirrored_boxes_have_the_same_figures(pictures: Pictures) -> None:
    def mirrored(box: Sequence[float]) -> list[float]:
        return [SIDE_PX - box[2], box[1], SIDE_PX - box[0], box[3]]

    turned = [([(mirrored(b), c) for b, c in boxes], [(mirrored(b), s, c) for b, s, c in rows]) for boxes, rows in pictures]
    for level in ("leaf", "parent", "any"):
        assert map50(*both(turned), level) == pytest.approx(map50(*both(pictures), level), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(PICTURES, st.sampled_from([TANK, BMP]))
def test_a_false_box_below_all_others_never_helps(pictures: Pictures, class_id: int) -> None:
    boxes, rows = pictures[0]
    more = [(boxes, [*rows, ([0, 92, 6, 99], 0.005, class_id)]), *pictures[1:]]  # overlaps with nothing
    for level in ("leaf", "parent", "any"):
        before, after = map50(*both(pictures), level), map50(*both(more), level)
        assert (after is None) == (before is None)
        assert after is None or before is None or after <= before + 1e-12


@settings(max_examples=15, deadline=None)
@given(PICTURES)
def test_truth_itself_is_perfect(pictures: Pictures) -> None:
    truth, _ = both(pictures)
    own = [found(*((b, 0.5, c) for b, c in boxes)) for boxes, _ in pictures]
    expected = pytest.approx(1) if truth.annotations else None
    assert [map50(truth, own, level) for level in ("leaf", "parent", "any")] == [expected] * 3


@settings(max_examples=15, deadline=None)
@given(PICTURES)
def test_leaves_that_are_their_parents_have_its_figures(pictures: Pictures) -> None:
    """With tanks alone the levels say the same, where boxes of one picture do not share a place."""
    tanks: Pictures = [
        ([(b, TANK) for b, _ in boxes], list({tuple(b): (b, s, TANK) for b, s, _ in rows if b in (A, B, C, D)}.values()))
        for boxes, rows in pictures
    ]
    truth, detections = both(tanks)
    assert map50(truth, detections, "leaf") == map50(truth, detections, "parent") == map50(truth, detections, "any")


def test_a_picture_drawn_twice_counts_twice() -> None:
    """A bootstrap weight of two is the same as the picture standing there twice."""
    pictures = [([(A, TANK), (B, TANK)], [(A, 0.9, TANK), (D, 0.6, TANK)]), ([(A, TANK)], [(A, 0.5, TANK), (C, 0.7, TANK)])]
    matched = match(*both(pictures), LEAVES, "parent", TREE, sizes=False)
    weighted = matched.resampled(np.array([[2.0, 1.0], [0.0, 3.0]]))[:, 0]
    assert weighted[0] == pytest.approx(map50(*both([pictures[0], *pictures]), "parent"))
    assert weighted[1] == pytest.approx(map50(*both([pictures[1]] * 3), "parent"))
    assert np.isnan(matched.resampled(np.zeros((1, 2)))).all()


def test_intervals_hold_the_figure_and_shrink() -> None:
    def interval(times: int) -> tuple[float, float]:
        pictures = [([(A, TANK)], [(A, 0.9, TANK)]), ([(A, TANK)], [])] * times
        truth, detections = both(pictures)
        matched: list[Matched] = [match(truth, detections, LEAVES, "parent", TREE, sizes=False)]
        whole = slice_figures(truth, matched, by=(), sizes=False, draws=picture_draws(truth, 200))[0]
        assert whole.map50_interval is not None
        assert whole.map50 == pytest.approx(0.505, abs=0.001)
        assert whole.map50_interval[0] < 0.5 < whole.map50_interval[1]
        return whole.map50_interval

    few, many = interval(5), interval(40)
    assert many[1] - many[0] < 0.6 * (few[1] - few[0])
