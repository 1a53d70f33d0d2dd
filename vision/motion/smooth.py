"""One train coordinate out of many measured shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

_MEASURED_PX = 0.2
_JERK_PX = 0.05
_STRAY_PX = 0.5
_ROUNDS = 3
_LONGEST = 24


def smoothed_offset(
    offset_px: NDArray[np.float64], weight: NDArray[np.float32], anchor: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far the train is from where its path predicts it, by all frames together.

    A measurement ``r_t`` compares a frame with its anchor ``a(t)``; the error of the path's speed is small, and changes slowly.
    So it is the ``e`` with the least

        sum w_t^2 (e_t - e_a(t) - r_t)^2 / s^2 + sum (e_(t+1) - 2 e_t + e_(t-1))^2 / j^2 + sum (e_t - e_(t-1))^2 / q^2

    and what disagrees with the rest counts less (weights ``1 / (1 + (residual / 2 s)^2)``). Behind a fence or through noise a
    good response is nearer to the truth than many poor ones, so the weight is squared.

    Args:
        offset_px: (n,) ``r_t``, NaN where nothing was measured.
        weight: (n,) in [0, 1].
        anchor: (n,) index of each frame's anchor.

    Returns:
        (n,) ``e_t``, about 0 at the first frame.
    """
    n = len(offset_px)
    at = np.arange(n)
    use = np.flatnonzero(np.isfinite(offset_px) & (at - anchor <= _LONGEST) & (at > anchor))
    e = np.zeros(n)
    if n < 3 or len(use) == 0:
        return e
    back = anchor[use]
    measured = np.square(weight[use].astype(np.float64)) / _MEASURED_PX**2
    robust = np.ones(len(use))
    for _ in range(_ROUNDS):
        bands = np.zeros((_LONGEST + 1, n))
        right = np.zeros(n)
        w = measured * robust
        add_links(bands, right, back, use, weight=w, apart_px=offset_px[use])
        _add_differences(bands, n)
        e = np.asarray(solveh_banded(bands, right, lower=True), dtype=np.float64)
        off = e[use] - e[back] - offset_px[use]
        robust = 1.0 / (1.0 + np.square(off / (2 * _MEASURED_PX)))
    return np.asarray(e - e[0], dtype=np.float64)


def add_links(
    bands: NDArray[np.float64],
    right: NDArray[np.float64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    weight: NDArray[np.float64],
    apart_px: NDArray[np.float64],
) -> None:
    """Add the terms ``w (e_second - e_first - apart)^2`` to normal equations, in place.

    Args:
        bands: (longest + 1, n) lower form of ``solveh_banded``: ``bands[k, i]`` is the entry (i + k, i).
        right: (n,) right side.
        first: (links,) indices.
        second: (links,) indices, each above its first.
        weight: (links,).
        apart_px: (links,).
    """
    np.add.at(bands[0], second, weight)
    np.add.at(bands[0], first, weight)
    np.add.at(bands, (second - first, first), -weight)
    np.add.at(right, second, weight * apart_px)
    np.add.at(right, first, -weight * apart_px)


def _add_differences(bands: NDArray[np.float64], n: int) -> None:
    """Add the terms of the first and second differences, in place; lower form of ``solveh_banded``."""
    first, second = 1.0 / _STRAY_PX**2, 1.0 / _JERK_PX**2
    bands[0] += 1e-6
    bands[0, 1:] += first
    bands[0, :-1] += first
    bands[1, :-1] -= first
    bands[0, :-2] += second
    bands[0, 1:-1] += 4 * second
    bands[0, 2:] += second
    bands[1, :-2] -= 2 * second
    bands[1, 1:-1] -= 2 * second
    bands[2, :-2] += second
