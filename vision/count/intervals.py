"""From probabilities of existence to a count with honest bounds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vision.types import FloatArray, Interval


def poisson_binomial(probabilities: Iterable[float]) -> FloatArray:
    """Distribution of the number of successes of independent trials, by convolution; shape (trials + 1,), sums to 1."""
    pmf = np.ones(1)
    for p in probabilities:
        pmf = np.convolve(pmf, [1 - p, p])
    return np.asarray(pmf)


def with_unseen(pmf: FloatArray, mean: float) -> FloatArray:
    """The distribution with a Poisson number of further vehicles added, up to where its tail is below 1e-6."""
    if mean <= 1e-9:
        return pmf
    n = np.arange(int(np.ceil(mean + 6 * np.sqrt(mean) + 6)))
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(n[1:], 1)))])
    poisson = np.exp(n * np.log(mean) - mean - log_factorial)
    return np.asarray(np.convolve(pmf, poisson / poisson.sum()))


def interval_around(pmf: FloatArray, count: int, coverage: float, *, widen: int = 0) -> Interval:
    """The shortest interval around ``count`` that holds ``coverage`` of the distribution, widened by ``widen`` to both sides.

    Grown one step at a time to the more probable side; it never excludes the count itself.
    """
    top = max(len(pmf) - 1, count)
    mass = np.zeros(top + 1)
    mass[: len(pmf)] = pmf
    low = high = count
    held = float(mass[count])
    while held < coverage - 1e-9 and (low > 0 or high < top):
        below = float(mass[low - 1]) if low > 0 else -1.0
        above = float(mass[high + 1]) if high < top else -1.0
        if above >= below:
            high += 1
            held += above
        else:
            low -= 1
            held += below
    return Interval(count, max(low - widen, 0), high + widen)
