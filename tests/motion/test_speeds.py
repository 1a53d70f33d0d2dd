"""The axis of speeds: there and back, even steps, the same both ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.motion.speeds import BIN, precision, speed_at, speed_axis, stretched

SPEEDS = st.floats(-500, 500)


@given(SPEEDS)
def test_there_and_back(speed_px: float) -> None:
    assert float(speed_at(stretched(speed_px))) == pytest.approx(speed_px, rel=1e-9, abs=1e-12)
    assert float(stretched(-speed_px)) == -float(stretched(speed_px))


@given(st.floats(5, 500))
def test_a_step_is_a_share_of_the_speed(speed_px: float) -> None:
    next_px = float(speed_at(stretched(speed_px) + BIN))
    assert next_px / speed_px - 1 == pytest.approx(BIN, rel=0.05)


@pytest.mark.parametrize("width_px", [64, 320, 321])
def test_the_axis_reaches_half_a_picture_both_ways(width_px: int) -> None:
    axis = speed_axis(width_px)
    np.testing.assert_allclose(np.diff(axis), BIN)
    np.testing.assert_allclose(axis, -axis[::-1])
    assert float(speed_at(axis[-1])) <= width_px / 2 < float(speed_at(axis[-1] + BIN))


def test_an_error_counts_less_at_speed() -> None:
    reach = precision(np.array([0.0, 10.0, 100.0]), np.full(3, 0.4))
    assert reach[0] == pytest.approx(0.5)
    assert reach[0] > reach[1] > reach[2] == BIN
