"""Speeds from boxes: the train's piles up, whatever else is found among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.motion.boxes import BoxSpeeds, box_speeds, link_boxes, thinned
from vision.motion.speeds import speed_at, speed_axis
from vision.types import Detections, FloatArray, Look

FPS, WIDTH_PX, SCALE = 25.0, 320, 2.0
VIEW_PX = WIDTH_PX * SCALE
BOX_PX, TALL_PX = 90.0, 40.0


def looks_along(moved_px: FloatArray, places_px: list[float], rng: np.random.Generator, *, seen: float = 0.6) -> list[Look]:
    """Looks five times a second at vehicles that go as ``moved_px`` (frames,) says, each seen in a part of them."""
    looks = []
    for frame in range(0, len(moved_px), 5):
        x_px = np.array([place + moved_px[frame] for place in places_px if rng.random() < seen])
        x_px = x_px[(x_px > 0) & (x_px + BOX_PX < VIEW_PX)]
        boxes = np.stack([x_px, np.full_like(x_px, 100), x_px + BOX_PX, np.full_like(x_px, 100 + TALL_PX)], axis=1)
        boxes += rng.normal(0, 1.5, boxes.shape)
        n = len(boxes)
        looks.append(Look(frame, frame / FPS, Detections.of(boxes, np.full(n, 0.8), np.zeros(n))))
    return looks


def speeds_of(looks: list[Look], background_px: FloatArray) -> BoxSpeeds:
    """``background_px`` in pixels of the full frame."""
    return box_speeds(
        link_boxes(looks, picture_width_px=VIEW_PX),
        pts_s=np.arange(len(background_px)) / FPS,
        background_px=background_px / SCALE,
        scale=SCALE,
        interval_s=1 / FPS,
        width_px=WIDTH_PX,
    )


@given(
    speed_px=st.floats(0.6, 3.5),
    left=st.booleans(),
    pan_px=st.floats(0.0, 3.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_the_speed_of_the_vehicles_piles_up(speed_px: float, left: bool, pan_px: float, seed: int) -> None:
    """Look-alikes at uneven places, a part of them missed, before a background that sways: against it they go at one speed."""
    rng = np.random.default_rng(seed)
    n = 400
    at = np.arange(n)
    background_px = SCALE * pan_px * 20 * np.sin(at / 20)
    speed = -speed_px if left else speed_px
    places_px = np.cumsum(rng.uniform(1.2, 3.0, 60)) * BOX_PX
    places_px -= places_px[30] - VIEW_PX / 2 + SCALE * speed * n / 2
    found = speeds_of(looks_along(SCALE * speed * at + background_px, places_px.tolist(), rng), background_px)
    axis = speed_at(speed_axis(WIDTH_PX))
    middle = slice(50, n - 50)
    best = axis[found.share[middle].argmax(axis=1)]
    agreed = found.apart_s[middle] == 0
    assert agreed.mean() > 0.6
    assert np.mean(np.abs(best - speed)[agreed] < 0.06 * speed_px + 0.05) > 0.9
    assert found.agree(np.full((n, 1), speed))[middle][agreed].mean() > 0.8
    assert not found.agree(np.full((n, 1), -speed))[middle].any()


def test_what_stands_in_the_background_says_nothing() -> None:
    rng = np.random.default_rng(3)
    background_px = SCALE * 30 * np.sin(np.arange(300) / 25)
    found = speeds_of(looks_along(background_px, [100.0, 310.0, 480.0], rng), background_px)
    axis = speed_at(speed_axis(WIDTH_PX))
    assert found.share[:, np.abs(axis) < 0.1].max() == 0
    assert np.median(found.share.max(axis=1)) < 0.2


def test_a_train_keeps_its_speed_for_a_while_and_may_have_any_later() -> None:
    """Vehicles in view for the first seconds only: soon after, another speed is out of reach; long after, it is not."""
    rng = np.random.default_rng(4)
    moved_px = SCALE * 1.5 * np.arange(900)
    found = speeds_of(looks_along(moved_px, [-200.0, 20.0], rng, seen=0.9), np.zeros(900))
    axis = speed_axis(WIDTH_PX)
    own, other = (int(np.abs(speed_at(axis) - speed).argmin()) for speed in (1.5, 2.5))
    last = int(np.flatnonzero(found.apart_s == 0)[-1])
    assert found.possible(slice(last + 50, last + 51), axis)[0, [own, other]].tolist() == [1.0, 0.0]
    assert found.possible(slice(899, 900), axis)[0, [own, other]].tolist() == [1.0, 1.0]


def test_without_boxes_anything_is_possible() -> None:
    found = speeds_of([Look(0, 0.0, Detections.of(np.zeros((0, 4)), np.zeros(0), np.zeros(0)))], np.zeros(50))
    assert found.share.max() == 0
    assert found.possible(slice(0, 50), speed_axis(WIDTH_PX)).min() == 1.0
    assert not found.agree(np.zeros((50, 3))).any()


@pytest.mark.parametrize(("looks_a_s", "kept_a_s"), [(25, 6.25), (5, 5), (1, 1)])
def test_looks_are_thinned(looks_a_s: int, kept_a_s: float) -> None:
    none = Detections.of(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    looks = [Look(k, k / looks_a_s, none) for k in range(10 * looks_a_s)]
    assert len(thinned(looks)) == pytest.approx(10 * kept_a_s, abs=2)
