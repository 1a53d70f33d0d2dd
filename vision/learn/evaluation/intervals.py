"""How sure a figure is: exact or bootstrap intervals of 95 %."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

COVERAGE = 0.95
_Z = 1.959964  # normal quantile of 0.975

RESAMPLES = 200
SEED = 20

Interval = tuple[float, float]


def wilson(hits: int, trials: int) -> Interval | None:
    """Wilson's score interval of a share, or None without trials (Wilson 1927)."""
    if trials == 0:
        return None
    share, z2 = hits / trials, _Z * _Z
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    # At the ends rounding must not leave 1e-17 or 0.9999.
    return (0.0 if hits == 0 else centre - half), (1.0 if hits == trials else centre + half)


def poisson_rate(events: int, exposure: int) -> Interval | None:
    """Exact interval of a rate, events per unit of exposure, or None without exposure (Garwood 1936).

    It takes the events for independent; boxes on one picture are not quite.
    """
    if exposure == 0:
        return None
    tail = (1 - COVERAGE) / 2
    low = float(chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return low / exposure, float(chi2.ppf(1 - tail, 2 * events + 2)) / 2 / exposure


def resample_weights(groups: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """How often each picture is drawn in each bootstrap resample.

    Args:
        groups: Scene of each picture; pictures of one scene are drawn together, as they are no independent witnesses.
        resamples: How many.
        seed: The same seed gives the same draws, so that two detectors can be compared pair by pair.

    Returns:
        (resamples, pictures) float64, whole numbers >= 0.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    index = np.array([names[name] for name in groups], dtype=int)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.asarray(drawn[:, index], dtype=np.float64)


def percentile_interval(values: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of resampled figures; NaN stands for a resample without a figure. None where fewer than half have one."""
    present = values[~np.isnan(values)]
    if len(present) * 2 < max(1, len(values)):
        return None
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(present, [tail, 1 - tail])
    return float(low), float(high)
