"""Bands behind pickets on made series: two teeth that stand still while the train goes on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.motion.test_path import BANDS, TRAIN_BANDS, Scene, steady
from vision.motion.background import ShotShifts
from vision.motion.fence import find_combs, through_fence
from vision.motion.layers import first_background, separate_layers
from vision.motion.meter import MotionSeries

FRAMES = 600


def behind_pickets(speed_px: float, pitch_px: float, *, first: int = 60, last: int = 540, at_rest: float = 1.0) -> MotionSeries:
    """A smooth train: of its shift only the heights of the two teeth beside it tell.

    Args:
        speed_px: Of the train, pixels a frame.
        pitch_px: Of the pickets.
        first, last: Frames in which it shows.
        at_rest: The tooth at 0 is so many times as high as the train's share of it.
    """
    series = Scene(FRAMES).series()
    at = np.arange(FRAMES)
    gone = speed_px * (at - series.anchor) / pitch_px
    lower = np.floor(gone)
    tooth = np.stack([lower, lower + 1], axis=1)
    height = 0.5 * (1 - np.abs(gone[:, None] - tooth)) * np.where(tooth == 0, at_rest, 1.0)
    height[(at < first) | (at >= last)] = 0.0
    height[at == series.anchor] = 0.0
    series.shift_px[:, TRAIN_BANDS] = (tooth * pitch_px)[:, None]
    series.response[:, TRAIN_BANDS] = height[:, None]
    return series


def seen_through(series: MotionSeries) -> MotionSeries:
    shot = ShotShifts(series, 0, len(series) - 1)
    return through_fence(series, first_background(shot), 0, len(series) - 1)


@pytest.mark.parametrize("speed_px", [-1.4, 1.3, 1.7])
@pytest.mark.parametrize("pitch_px", [6.5, 9.5])
@pytest.mark.parametrize("at_rest", [1.0, 1.6])
def test_a_smooth_train_behind_pickets_is_followed(speed_px: float, pitch_px: float, at_rest: float) -> None:
    layers = separate_layers(seen_through(behind_pickets(speed_px, pitch_px, at_rest=at_rest)), 0, FRAMES - 1)
    assert layers.present[80:520].all()
    assert not layers.present[:40].any()
    assert layers.train_px[500] - layers.train_px[100] == pytest.approx(400 * speed_px, rel=0.06)


def test_the_mean_of_two_teeth_is_nearer_to_the_train_than_the_higher_one() -> None:
    series = behind_pickets(1.3, 9.5, at_rest=1.6)
    shown = slice(80, 520)
    gone_px = 1.3 * (np.arange(FRAMES) - series.anchor)[shown, None]
    off_px = [np.abs(s.shift_px[shown, TRAIN_BANDS, 0] - gone_px).mean() for s in (seen_through(series), series)]
    assert off_px[0] < 0.5
    assert off_px[1] > 2.0


@settings(max_examples=25, deadline=None)
@given(
    speed_px=st.floats(0.3, 12.0),
    second_px=st.floats(-12.0, 12.0),
    noise_px=st.floats(0.0, 0.3),
    seed=st.integers(0, 2**16),
)
def test_layers_that_move_are_no_teeth(speed_px: float, second_px: float, noise_px: float, seed: int) -> None:
    """Two layers at any speeds, one of which may stand: their shifts grow with the age of the anchor."""
    rng = np.random.default_rng(seed)
    layers = [
        (steady(FRAMES, speed, 30, 570) + rng.normal(0, noise_px, FRAMES), TRAIN_BANDS, 0.5) for speed in (speed_px, second_px)
    ]
    series = Scene(FRAMES, layers).series()
    assert seen_through(series) is series


def test_a_shaking_camera_makes_no_teeth() -> None:
    series = behind_pickets(1.3, 9.5)
    shake = 1.5 * np.sin(np.arange(FRAMES) / 2.0)
    moved = shake - shake[series.anchor]
    shaken = replace(series, whole_shift_px=series.whole_shift_px + moved[:, None, None].astype(np.float32))
    shot = ShotShifts(shaken, 0, FRAMES - 1)
    stands = np.abs(first_background(shot).near) < 0.5
    assert stands.mean() < 0.5
    assert find_combs(shot, shot.shift.astype(np.float64), stands=np.zeros(FRAMES, bool)) == {}


def test_only_the_bands_behind_it_are_changed() -> None:
    series = behind_pickets(1.3, 6.5)
    open_bands = [band for band in range(BANDS) if not TRAIN_BANDS.start <= band < TRAIN_BANDS.stop]
    seen = seen_through(series)
    assert seen is not series
    np.testing.assert_array_equal(seen.shift_px[:, open_bands], series.shift_px[:, open_bands])
    np.testing.assert_array_equal(seen.response[:, open_bands], series.response[:, open_bands])
