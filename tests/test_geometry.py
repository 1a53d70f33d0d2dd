"""Boxes, intervals and letterboxes: laws, and a few cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.geometry import Letterbox, area_px2, clip_boxes, interval_iou, iou, iou_matrix, runs

coordinate = st.floats(-500, 3000, width=32)
box = st.tuples(coordinate, coordinate, st.floats(0, 1500, width=32), st.floats(0, 1500, width=32)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(("row", "area"), [((0, 0, 10, 5), 50), ((3, 3, 3, 9), 0), ((5, 5, 1, 9), 0), ((-10, -10, -5, -8), 10)])
def test_area(row: tuple[float, float, float, float], area: float) -> None:
    assert area_px2(boxes(row)).tolist() == [area]


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((0, 0, 10, 10), (100, 100, 110, 110), 0.0),
    ],
)
def test_iou(first: tuple[float, ...], second: tuple[float, ...], iou: float) -> None:
    assert iou_matrix(boxes(first), boxes(second))[0, 0] == pytest.approx(iou)  # type: ignore[arg-type]


@given(st.lists(box, max_size=5), st.lists(box, max_size=5))
def test_iou_is_symmetric_and_lies_in_0_1(first: list, second: list) -> None:
    a, b = boxes(*first), boxes(*second)
    iou = iou_matrix(a, b)
    assert iou.shape == (len(first), len(second))
    assert iou.dtype == np.float32
    np.testing.assert_allclose(iou, iou_matrix(b, a).T, atol=1e-6)
    assert np.all((iou >= 0) & (iou <= 1 + 1e-5))


@given(box, st.integers(1, 2000), st.integers(1, 2000))
def test_clipping_keeps_inside_and_twice_is_once(row: tuple[float, ...], width_px: int, height_px: int) -> None:
    once = clip_boxes(boxes(row), width_px=width_px, height_px=height_px)  # type: ignore[arg-type]
    assert np.all(once >= 0)
    assert np.all(once <= [width_px, height_px] * 2)
    assert np.all(once[:, :2] <= once[:, 2:])
    np.testing.assert_array_equal(clip_boxes(once, width_px=width_px, height_px=height_px), once)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 10), (0, 10), 1.0),
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (10, 20), 0.0),
        ((0, 10), (20, 30), 0.0),
        ((5, 5), (5, 5), 0.0),
    ],
)
def test_interval_iou(a: tuple[float, float], b: tuple[float, float], iou: float) -> None:
    assert interval_iou(*a, *b) == interval_iou(*b, *a) == pytest.approx(iou)


sides = st.integers(16, 4000)


@given(sides, sides, st.sampled_from([(384, 640), (640, 640), (736, 1280)]))
def test_a_letterbox_fits_and_touches(width_px: int, height_px: int, input_hw: tuple[int, int]) -> None:
    fit = Letterbox.fit(width_px=width_px, height_px=height_px, into_width_px=input_hw[1], into_height_px=input_hw[0])
    scaled = width_px * fit.scale, height_px * fit.scale
    assert scaled[0] <= input_hw[1] + 1e-6
    assert scaled[1] <= input_hw[0] + 1e-6
    assert max(scaled[0] / input_hw[1], scaled[1] / input_hw[0]) == pytest.approx(1.0)
    assert min(fit.pad_x_px, fit.pad_y_px) == 0
    # Centred, to a pixel.
    assert abs(2 * fit.pad_x_px + round(scaled[0]) - input_hw[1]) <= 1
    assert abs(2 * fit.pad_y_px + round(scaled[1]) - input_hw[0]) <= 1


@given(sides, sides, st.tuples(*[st.floats(0, 1, width=32)] * 4))
def test_to_the_input_and_back(width_px: int, height_px: int, share: tuple[float, ...]) -> None:
    x0, x1 = sorted((share[0] * width_px, share[2] * width_px))
    y0, y1 = sorted((share[1] * height_px, share[3] * height_px))
    fit = Letterbox.fit(width_px=width_px, height_px=height_px, into_width_px=640, into_height_px=384)
    there = fit.to_input(boxes((x0, y0, x1, y1)))
    back = fit.to_picture(there)
    np.testing.assert_allclose(back, boxes((x0, y0, x1, y1)), atol=1e-3 * max(width_px, height_px))


def test_padding_leads_back_to_the_edge() -> None:
    fit = Letterbox.fit(width_px=640, height_px=192, into_width_px=640, into_height_px=384)
    assert (fit.scale, fit.pad_x_px, fit.pad_y_px) == (1.0, 0, 96)
    assert fit.to_picture(boxes((0, 0, 640, 384))).tolist() == [[0, 0, 640, 192]]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_iou_of_two_boxes(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [("", []), ("0", []), ("1", [(0, 1)]), ("0110", [(1, 3)]), ("1011", [(0, 1), (2, 4)]), ("111", [(0, 3)])],
)
def test_runs_of_a_mask(mask: str, expected: list[tuple[int, int]]) -> None:
    assert runs(np.array([c == "1" for c in mask], bool)) == expected


@given(st.lists(st.booleans(), max_size=30))
def test_runs_hold_what_the_mask_holds(mask: list[bool]) -> None:
    held = np.zeros(len(mask), bool)
    for start, stop in runs(np.array(mask, bool)):
        assert start < stop
        assert not held[max(0, start - 1) : stop].any()
        held[start:stop] = True
    assert held.tolist() == mask
