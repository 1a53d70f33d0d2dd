"""The axis on which speeds are compared: linear about 0, logarithmic above, so that a step is the same share of any speed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.types import FloatArray

BIN = 0.025
"""Step of the axis: 2.5 % of the speed."""

KNEE_PX = 0.8
"""Pixels a frame; below it the axis is linear."""


def stretched(speed_px: FloatArray | float) -> FloatArray:
    """Places on the axis, ``z = asinh(speed / knee)``; same shape."""
    return np.asarray(np.arcsinh(np.asarray(speed_px) / KNEE_PX))


def speed_at(place: NDArray[np.floating] | float) -> FloatArray:
    """Speeds at places on the axis; same shape."""
    return np.asarray(KNEE_PX * np.sinh(place))


def precision(speed_px: FloatArray, error_px: FloatArray) -> FloatArray:
    """How far an error of the speed reaches on the axis there, at least a step; same shape."""
    return np.asarray(np.maximum(error_px / np.hypot(speed_px, KNEE_PX), BIN))


def speed_axis(width_px: int) -> FloatArray:
    """Places of all steps up to half a picture's width a frame, both ways."""
    half = int(float(stretched(width_px / 2)) / BIN)
    return np.asarray(np.arange(-half, half + 1) * BIN, dtype=np.float64)
