from __future__ import annotations

import numpy as np
import pytest

from vision.count.cluster import group_median, shift_to_modes
from vision.count.columns import ColumnMap
from vision.count.coordinate import effective_weights
from vision.count.intervals import interval_around, poisson_binomial, with_unseen


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], [1.0]),
        ([1.0, 1.0], [0, 0, 1.0]),
        ([0.5], [0.5, 0.5]),
        ([0.5, 0.5], [0.25, 0.5, 0.25]),
        ([0.9, 0.2], [0.08, 0.74, 0.18]),
    ],
)
def test_poisson_binomial(probabilities, expected):
    np.testing.assert_allclose(poisson_binomial(probabilities), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("pmf", "count", "coverage", "widen", "expected"),
    [
        ([0, 0, 1.0], 2, 0.9, 0, (2, 2)),
        ([0.05, 0.9, 0.05], 1, 0.9, 0, (1, 1)),
        ([0.05, 0.5, 0.45], 1, 0.9, 0, (1, 2)),
        ([0.45, 0.5, 0.05], 1, 0.9, 0, (0, 1)),
        ([0.2, 0.6, 0.2], 1, 0.9, 0, (0, 2)),
        ([0, 0, 1.0], 2, 0.9, 1, (1, 3)),
        ([1.0], 0, 0.9, 1, (0, 1)),
        ([1.0], 3, 0.9, 0, (0, 3)),  # the count stays inside, whatever the distribution says
    ],
)
def test_interval(pmf, count, coverage, widen, expected):
    interval = interval_around(np.array(pmf), count, coverage, widen=widen)
    assert (interval.low, interval.high) == expected


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.5, 2.0])
def test_unseen_vehicles_add_their_mean(mean):
    pmf = with_unseen(np.array([0.0, 1.0]), mean)
    assert pmf.sum() == pytest.approx(1)
    assert pmf @ np.arange(len(pmf)) == pytest.approx(1 + mean, abs=0.02 * max(mean, 0.1))


def test_looks_at_one_place_count_their_logarithm():
    assert effective_weights(np.zeros(64), 1280).sum() == pytest.approx(7)
    assert effective_weights(np.arange(10) * 100.0, 1280).sum() == pytest.approx(10)


@pytest.mark.parametrize(
    ("x", "groups"),
    [
        ([], []),
        ([5.0], [0]),
        ([0.0, 1.0, 10.0, 11.0, 12.0], [0, 0, 1, 1, 1]),
        ([12.0, 0.0, 11.0], [1, 0, 1]),
        ([0.0, 6.0], [0, 1]),
    ],
)
def test_mean_shift(x, groups):
    assert shift_to_modes(np.array(x), np.ones(len(x)), 2.0).tolist() == groups


def test_group_median_of_even_odd_and_empty_groups():
    medians = group_median(np.array([1.0, 3.0, 7.0, 8.0, 100.0]), np.array([0, 0, 2, 2, 2]), 3)
    np.testing.assert_array_equal(medians, [2.0, np.nan, 8.0])


def test_column_map_has_the_slope_it_claims():
    columns = ColumnMap(640.0, 1280.0, 1.05, 0.4)
    x = np.linspace(100, 1200, 12)
    slope = (columns(x + 0.01) - columns(x - 0.01)) / 0.02
    np.testing.assert_allclose(slope, (1.05 + 0.4 * (x - 640) / 1280) ** -2, rtol=1e-5)


@pytest.mark.parametrize(("k0", "k1"), [(1.0, 0.0), (1.0, 0.4), (0.9, -0.7), (1.2, 1.0)])
def test_lengths_along_the_train_lead_back_to_their_columns(k0: float, k1: float) -> None:
    columns = ColumnMap(640.0, 1280.0, k0, k1)
    x_px = np.linspace(0, 1280, 33)
    assert columns.inverse(columns(x_px)) == pytest.approx(x_px)
