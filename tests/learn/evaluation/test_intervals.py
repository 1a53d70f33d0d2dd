"""Intervals: published values, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.learn.evaluation.intervals import percentile_interval, poisson_rate, resample_weights, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table I, method 3 is Wilson without correction
        (81, 263, 0.2553, 0.3662),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_as_published(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson(hits, trials) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.39)],  # tables of exact Poisson limits
)
def test_poisson_as_published(events: int, low: float, high: float) -> None:
    assert poisson_rate(events, 1) == pytest.approx((low, high), abs=6e-3)
    assert poisson_rate(events, 100) == pytest.approx((low / 100, high / 100), abs=6e-5)


def test_nothing_tried_gives_no_interval() -> None:
    assert wilson(0, 0) is None
    assert poisson_rate(0, 0) is None
    assert percentile_interval(np.array([])) is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share(pair: tuple[int, int]) -> None:
    hits, trials = pair
    low, high = wilson(hits, trials) or (9, 9)
    assert 0 <= low <= hits / trials <= high <= 1
    low, high = poisson_rate(hits, trials) or (9, 9)
    assert 0 <= low <= hits / trials <= high


def test_draws_keep_scenes_together() -> None:
    weights = resample_weights(["a", "a", "b", "c"], resamples=50)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (weights[:, 2] != weights[:, 3]).any()
    assert (resample_weights(["a", "a", "b", "c"], resamples=50) == weights).all()


def test_the_middle_of_the_draws() -> None:
    values = np.arange(101, dtype=float)
    assert percentile_interval(values) == pytest.approx((2.5, 97.5))
    values[:50] = np.nan
    assert percentile_interval(values) == pytest.approx((51.25, 98.75))
    values[:60] = np.nan
    assert percentile_interval(values) is None
