"""Which end of a train comes into view first, and between which coordinates it lies."""

import numpy as np
import pytest

from vision.count.layers import beyond_ends_px
from vision.types import Direction, Passage

VIEW = (0.0, 640.0)


def passage(direction: Direction, went_px: float, *, head: bool = True, tail: bool = True) -> Passage:
    pts_s = np.arange(251) / 25
    return Passage(
        0, 0.0, 10.0, pts_s, went_px * pts_s / 10, np.zeros(251), np.ones(251, np.float32), direction, VIEW, (0.0, 360.0),
        head, tail, 50.0, 900.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("direction", "went_px", "head_first", "bounds_px"),
    [
        pytest.param("right", 1500.0, True, (640.0 - 1500.0, 0.0), id="right"),
        pytest.param("left", -1500.0, True, (640.0, 1500.0), id="left"),
        pytest.param("right", -1500.0, False, (640.0, 1500.0), id="right, but the camera overtakes it"),
        pytest.param("left", 1500.0, False, (640.0 - 1500.0, 0.0), id="left, but the camera overtakes it"),
        pytest.param("right", 30.0, True, (640.0 - 30.0, 0.0), id="the camera goes along with it"),
        pytest.param("right", -30.0, True, (640.0 + 30.0, 0.0), id="goes along, a little faster"),
    ],
)
def test_where_the_ends_are(direction: Direction, went_px: float, head_first: bool, bounds_px: tuple[float, float]) -> None:
    train = passage(direction, went_px)
    assert train.head_first == head_first
    if abs(went_px) > 100:
        assert train.bounds_px() == pytest.approx(bounds_px)
        inside, outside = np.mean(bounds_px), bounds_px[1] + 50.0
        assert beyond_ends_px(np.array([inside, outside]), train, VIEW).tolist() == pytest.approx([0.0, 50.0])


@pytest.mark.parametrize("direction", ["right", "left"])
@pytest.mark.parametrize("went_px", [1500.0, -1500.0])
def test_an_end_that_was_not_seen_bounds_nothing(direction: Direction, went_px: float) -> None:
    low_px, high_px = passage(direction, went_px, head=False).bounds_px()
    assert np.isinf([low_px, high_px]).tolist() == ([True, False] if direction == "left" else [False, True])
    assert np.isinf(passage(direction, went_px, head=False, tail=False).bounds_px()).all()


def test_what_stands_has_no_first_end() -> None:
    still = passage("still", 0.0)
    assert still.head_first
    assert np.isinf(still.bounds_px()).all()
