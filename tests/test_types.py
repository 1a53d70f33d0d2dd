"""The data types: checked when they are made, shown by their shapes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.results import make_passage
from vision.types import Detections, Interval

THREE = Detections.of([[0, 0, 1, 1], [2, 2, 4, 4], [5, 5, 9, 9]], [0.9, 0.5, 0.1], [2, 0, 1])


# ---- Detections -------------------------------------------------------------------------------------------------------------


def test_anything_array_like_becomes_the_right_types() -> None:
    assert (THREE.xyxy_px.dtype, THREE.score.dtype, THREE.class_id.dtype) == (np.float32, np.float32, np.int32)
    assert len(THREE) == 3
    empty = Detections.of([], [], [])
    assert (len(empty), empty.xyxy_px.shape) == (0, (0, 4))
    assert len(Detections.empty()) == 0


@pytest.mark.parametrize(
    ("xyxy_px", "score", "class_id", "says"),
    [
        ((2, 5), 2, 2, r"xyxy_px has shape \(2, 5\), expected \(2, 4\)"),
        ((8,), 8, 8, "xyxy_px has shape"),
        ((2, 4), 3, 2, r"score has shape \(3,\), expected \(2,\)"),
        ((2, 4), 2, 1, r"class_id has shape \(1,\), expected \(2,\)"),
    ],
)
def test_shapes_are_checked(xyxy_px: tuple[int, ...], score: int, class_id: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Detections(np.zeros(xyxy_px, np.float32), np.zeros(score, np.float32), np.zeros(class_id, np.int32))


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (slice(1, None), [0, 1]),
        (np.array([True, False, True]), [2, 1]),
        (np.array([2, 0]), [1, 2]),
        (np.array([], np.int64), []),
    ],
)
def test_they_are_filtered_like_numpy(index: Any, kept: list[int]) -> None:
    assert THREE[index].class_id.tolist() == kept


@given(st.floats(-1000, 1000, width=32), st.floats(-1000, 1000, width=32))
def test_a_shift_and_back(x_px: float, y_px: float) -> None:
    moved = THREE.shifted(x_px=x_px, y_px=y_px)
    np.testing.assert_allclose(
        moved.xyxy_px[:, 2:] - moved.xyxy_px[:, :2], THREE.xyxy_px[:, 2:] - THREE.xyxy_px[:, :2], atol=1e-3
    )
    np.testing.assert_allclose(moved.shifted(x_px=-x_px, y_px=-y_px).xyxy_px, THREE.xyxy_px, atol=1e-3)
    np.testing.assert_array_equal(moved.score, THREE.score)


def test_a_repr_shows_shapes() -> None:
    assert repr(THREE) == "Detections(xyxy_px=float32(3, 4), score=float32(3,), class_id=int32(3,))"
    assert "pts_s=float64(50,)" in repr(make_passage())


def test_they_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        THREE.score = np.zeros(3, np.float32)  # type: ignore[misc]


# ---- Passages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames": 0, "end_s": 0.0, "pts_s": np.zeros(0)}, "at least one frame"),
        ({"displacement_px": np.zeros(49)}, r"displacement_px has shape \(49,\), expected \(50,\)"),
        ({"background_px": np.zeros((50, 1))}, "background_px has shape"),
        ({"trust": np.zeros(51, np.float32)}, "trust has shape"),
        ({"pts_s": np.zeros(50)}, "pts_s must increase"),
        ({"pts_s": np.arange(50.0)[::-1]}, "pts_s must increase"),
    ],
)
def test_passages_are_checked(changes: dict[str, Any], says: str) -> None:
    whole = make_passage()
    changes.pop("frames", None)
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(whole, **changes)


def test_displacement_between_and_beyond_the_frames() -> None:
    passage = make_passage(frames=3, fps=1.0, start_s=1.0, displacement_px=np.array([0.0, -10.0, -30.0]))
    assert passage.displacement_at(np.array([0.0, 1.0, 1.5, 2.5, 3.0, 9.0])).tolist() == [0.0, 0.0, -5.0, -20.0, -30.0, -30.0]
    assert float(passage.displacement_at(2.0)) == -10.0


@given(st.floats(-300, 300), st.floats(1, 20), st.floats(0, 1280))
def test_a_point_of_the_train_keeps_its_coordinate(speed_px_s: float, at_s: float, start_px: float) -> None:
    """``s = x - D(t)``, whichever way the train runs."""
    pts_s = np.linspace(0, 20, 201)
    passage = make_passage(
        frames=201,
        start_s=0.0,
        pts_s=pts_s,
        displacement_px=speed_px_s * pts_s,
        background_px=np.zeros(201),
        trust=np.ones(201, np.float32),
    )
    x_px = start_px + speed_px_s * at_s
    assert x_px - float(passage.displacement_at(at_s)) == pytest.approx(start_px, abs=1e-6)


# ---- Intervals --------------------------------------------------------------------------------------------------------------


@given(st.integers(-3, 6), st.integers(-3, 6), st.integers(-3, 6))
def test_an_interval_holds_its_count(count: int, low: int, high: int) -> None:
    if 0 <= low <= count <= high:
        assert Interval(count, low, high).count == count
    else:
        with pytest.raises(ValueError, match="not an interval"):
            Interval(count, low, high)
