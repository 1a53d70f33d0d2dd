"""Two speeds seen at once are two trains; two speeds seen in turn are one train and lost frames."""

import numpy as np
import pytest

from tests.motion.test_path import TRAIN_BANDS, Scene, steady
from vision.motion.abreast import side_by_side
from vision.motion.layers import separate_layers

FRAMES = 600


@pytest.mark.parametrize("lost_px", [2.0, 3.0])
def test_a_train_that_leaps_where_frames_are_lost_is_one(lost_px: float) -> None:
    """Every third anchor sees the train gone further by as much: a second speed, but never beside the first."""
    speed_px = steady(FRAMES, 1.0, 40, 560)
    speed_px[[first + 1 for first in range(104, 500, 24)]] += lost_px
    series = Scene(FRAMES, [(speed_px, TRAIN_BANDS, 0.6)]).series()
    assert side_by_side(series, separate_layers(series, 0, FRAMES - 1)) is None


@pytest.mark.parametrize("second_px", [1.4, -1.2])
def test_two_trains_in_bands_of_their_own_are_two(second_px: float) -> None:
    first = steady(FRAMES, 1.0, 40, 420), slice(5, 8), 0.6
    second = steady(FRAMES, second_px, 150, 560), slice(8, 10), 0.6
    series = Scene(FRAMES, [first, second]).series()
    pair = side_by_side(series, separate_layers(series, 0, FRAMES - 1))
    assert pair is not None
    assert sorted(float(np.nanmedian(ridge.speed_px)) for ridge in pair) == pytest.approx(sorted((1.0, second_px)), rel=0.05)
