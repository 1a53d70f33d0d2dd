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


UNSEEN_SHAPE = 1.5
"""The mean number of unseen vehicles is itself known to a factor only: Gamma distributed with this shape."""


def with_unseen(pmf: FloatArray, mean: float) -> FloatArray:
    """The distribution with further vehicles added, Poisson with a Gamma distributed ``mean``: negative binomial, shape r,
    mean m.

    ``P(n) = C(n + r - 1, n) (m / (m + r))^n (r / (m + r))^r``, up to where its tail is below about 1e-4.
    """
    if mean <= 1e-9:
        return pmf
    n = np.arange(1, int(np.ceil(12 * mean)) + 6)
    ratio = (n + UNSEEN_SHAPE - 1) / n * mean / (mean + UNSEEN_SHAPE)
    more = np.concatenate([[1.0], np.cumprod(ratio)])
    return np.asarray(np.convolve(pmf, more / more.sum()))


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
