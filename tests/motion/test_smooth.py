import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.motion.smooth import smoothed_offset


def anchors(n: int, every: int) -> np.ndarray:
    """Each frame's anchor when a new one is taken every so many frames."""
    at = np.arange(n)
    return np.maximum((at - 1) // every * every, 0)


def measured(truth_px: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    return truth_px - truth_px[anchor]


@pytest.mark.parametrize("rate_px", [0.0, 0.05, -0.2])
def test_a_path_that_is_too_slow_is_put_right(rate_px: float) -> None:
    anchor = anchors(300, 10)
    truth_px = rate_px * np.arange(300)
    found = smoothed_offset(measured(truth_px, anchor), np.ones(300, np.float32), anchor)
    assert found == pytest.approx(truth_px, abs=0.6)
    assert abs(found[-1] - truth_px[-1]) < 0.02 * abs(truth_px[-1]) + 1e-6


def test_good_responses_outweigh_the_teeth_of_a_fence() -> None:
    """Behind pickets 8 px apart a train's shift is read as a multiple of 8, strongly only where it is one: speed 0.88."""
    anchor = anchors(600, 10)
    age = np.arange(600) - anchor
    shift_px = 0.88 * age
    read_px = 8.0 * np.round(shift_px / 8.0)
    off_px = np.abs(shift_px - read_px)
    weight = np.exp(-off_px).astype(np.float32)
    found = smoothed_offset(np.where(off_px < 2.0, read_px - shift_px, np.nan), weight, anchor)
    plain_px = (read_px - shift_px)[age == 10].sum()
    assert abs(found[-1]) < 0.5 * abs(plain_px)
    assert abs(found[-1]) < 0.05 * 0.88 * 600


def test_single_wrong_peaks_do_not_pull() -> None:
    anchor = anchors(200, 8)
    offset_px = np.zeros(200)
    offset_px[::17] = 1.0
    assert np.abs(smoothed_offset(offset_px, np.ones(200, np.float32), anchor)).max() < 0.6


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_without_measurements_the_path_stays(n: int) -> None:
    nothing = np.full(n, np.nan)
    assert np.array_equal(smoothed_offset(nothing, np.zeros(n, np.float32), anchors(n, 5)), np.zeros(n))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=30, max_size=80), st.integers(1, 10))
def test_a_mirror_mirrors_it(offsets: list[float], every: int) -> None:
    offset_px, anchor = np.array(offsets), anchors(len(offsets), every)
    weight = np.full(len(offsets), 0.7, np.float32)
    assert smoothed_offset(-offset_px, weight, anchor) == pytest.approx(-smoothed_offset(offset_px, weight, anchor), abs=1e-6)
