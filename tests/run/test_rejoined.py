"""A jump told by the vehicles on both sides of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.motion.jumps import Join
from vision.motion.passages import JUMP_CUT
from vision.run.rejoined import rejoined
from vision.types import Detections, FloatArray, Look, Passage

FPS, FRAMES, AT = 25.0, 500, 250
VIEW_PX = 640.0
SPEED_PX = -2.0
WIDTHS_PX = (70.0, 110.0, 85.0, 70.0, 95.0, 110.0, 85.0, 70.0, 110.0, 95.0, 70.0, 85.0)


class Series:
    """As much of a series as is asked for."""

    pts_s = np.arange(FRAMES) / FPS


def scene(jump_px: float, *, vehicles: int = 12, seed: int = 0) -> tuple[FloatArray, list[Look]]:
    """How the train moves, with a jump in the middle, and looks at its vehicles five times a second."""
    rng = np.random.default_rng(seed)
    moved_px = SPEED_PX * np.arange(FRAMES) + np.where(np.arange(FRAMES) >= AT, np.sign(SPEED_PX) * jump_px, 0.0)
    places_px = 100.0 + np.cumsum(np.array(WIDTHS_PX) + rng.uniform(20.0, 110.0, len(WIDTHS_PX)))
    looks = []
    for frame in range(0, FRAMES, 5):
        rows = []
        for place_px, width_px in list(zip(places_px, WIDTHS_PX, strict=True))[:vehicles]:
            x0, x1 = place_px + moved_px[frame], place_px + width_px + moved_px[frame]
            if x1 > 20 and x0 < VIEW_PX - 20 and rng.random() < 0.8:
                rows.append([max(x0, 0.0), 100.0, min(x1, VIEW_PX), 140.0])
        boxes = np.array(rows).reshape(-1, 4)
        boxes[:, [0, 2]] += rng.normal(0, 1.0, (len(boxes), 2))
        n = len(boxes)
        looks.append(Look(frame, frame / FPS, Detections.of(boxes, np.full(n, 0.8), np.zeros(n))))
    return moved_px, looks


def passage_of(moved_px: FloatArray) -> Passage:
    return Passage(
        0, 0.0, (FRAMES - 1) / FPS, np.arange(FRAMES) / FPS, moved_px, np.zeros(FRAMES), np.ones(FRAMES, np.float32), "left",
        (0.0, VIEW_PX), (80.0, 200.0), True, True, 50.0, 2000.0,
    )  # fmt: skip


def mended(passage: Passage, looks: list[Look]) -> Passage:
    none = np.zeros((4, 4), np.uint8)
    return rejoined([passage], Series(), looks, [Join(AT, none, none, 5.0)])[0]  # type: ignore[arg-type]


def error_px(passage: Passage, moved_px: FloatArray) -> float:
    off = passage.displacement_px - moved_px
    return float(off[-1] - off[0])


@given(jump_px=st.floats(60.0, 200.0), seed=st.integers(0, 200), assumed_px=st.sampled_from([0.0, VIEW_PX]))
@settings(max_examples=25, deadline=None)
def test_a_jump_that_pixels_did_not_measure(jump_px: float, seed: int, assumed_px: float) -> None:
    """Unnoticed, or taken for a whole view: either it is put right, or left as it is; never made worse."""
    moved_px, looks = scene(jump_px, seed=seed)
    assumed = moved_px + np.where(np.arange(FRAMES) >= AT, jump_px - assumed_px, 0.0)
    before = passage_of(assumed)
    after = mended(before, looks)
    if after is not before and JUMP_CUT in after.flags:
        assert abs(error_px(after, moved_px)) < 10
    else:
        assert error_px(after, moved_px) == pytest.approx(error_px(before, moved_px))


def test_it_is_put_right_where_vehicles_tell() -> None:
    right = 0
    for seed in range(10):
        moved_px, looks = scene(120.0, seed=seed)
        without = moved_px + np.where(np.arange(FRAMES) >= AT, 120.0, 0.0)
        right += abs(error_px(mended(passage_of(without), looks), moved_px)) < 10
    assert right >= 6


@given(seed=st.integers(0, 200), jump_px=st.sampled_from([0.0, 120.0]))
@settings(max_examples=15, deadline=None)
def test_a_coordinate_that_is_right_stays(seed: int, jump_px: float) -> None:
    """A flash, or a jump that was measured."""
    moved_px, looks = scene(jump_px, seed=seed)
    assert np.array_equal(mended(passage_of(moved_px), looks).displacement_px, moved_px)


@pytest.mark.parametrize("vehicles", [0, 1])
def test_one_vehicle_tells_nothing(vehicles: int) -> None:
    """It may be another one."""
    moved_px, looks = scene(120.0, vehicles=vehicles)
    assert mended(passage_of(moved_px + 5.0), looks).displacement_px == pytest.approx(moved_px + 5.0)


def test_a_join_beside_the_passage_changes_nothing() -> None:
    moved_px, looks = scene(120.0)
    early = replace(passage_of(moved_px), end_s=5.0)
    assert mended(early, looks) is early
