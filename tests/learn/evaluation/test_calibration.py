"""Reliability bins and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evaluations import BMD, BMP, BTR, LEAVES, TANK, A, B, C, D, found, truth_of
from vision.learn.evaluation.calibration import calibrations, expected_error, reliability
from vision.learn.evaluation.operating import score_pictures
from vision.taxonomy import default_taxonomy


def test_bins_by_hand() -> None:
    bins = reliability(np.array([0.05, 0.72, 0.78, 0.7, 1.0]), np.array([False, True, True, False, True]))
    assert [(round(b.low, 1), b.objects) for b in bins if b.objects] == [(0.0, 1), (0.7, 3), (0.9, 1)]
    assert (bins[7].score, bins[7].right) == (pytest.approx(2.2 / 3), pytest.approx(2 / 3))
    assert (bins[3].score, bins[3].right) == (None, None)
    # 1/5 * 0.05 + 3/5 * (2.2/3 - 2/3) + 1/5 * 0
    assert expected_error(bins) == pytest.approx(0.05)


def test_nothing_has_no_error() -> None:
    assert expected_error(reliability(np.zeros(0), np.zeros(0, bool))) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_the_error_is_a_share(pairs: list[tuple[float, bool]]) -> None:
    bins = reliability(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    error = expected_error(bins)
    assert error is not None
    assert 0 <= error <= 1
    assert sum(b.objects for b in bins) == len(pairs)


def test_scores_that_mean_what_they_say() -> None:
    scores = np.repeat(np.arange(0.05, 1, 0.1), 100)
    right = np.concatenate([np.arange(100) < round(100 * s) for s in np.arange(0.05, 1, 0.1)])
    assert expected_error(reliability(scores, right)) == pytest.approx(0, abs=1e-9)
    assert expected_error(reliability(scores, ~right)) == pytest.approx(0.5)


def test_both_scores_and_both_outcomes() -> None:
    truth = truth_of([(A, BMP), (B, BMP)], ignored=[(1, C)])
    rows = found((A, 0.6, BMD), (A, 0.5, BTR), (B, 0.8, TANK), (C, 0.9, TANK), (D, 0.3, TANK))
    scored = score_pictures(truth, [rows], LEAVES)
    by = {(c.score, c.outcome): c for c in calibrations(scored, default_taxonomy())}
    assert {key: c.objects for key, c in by.items()} == {(s, o): 3 for s in ("best", "pooled") for o in ("vehicle", "parent")}
    # Right vehicles at 0.6 (pooled 0.8) and 0.8, a false one at 0.3.
    assert by["best", "vehicle"].error == pytest.approx((0.4 + 0.2 + 0.3) / 3)
    assert by["pooled", "vehicle"].error == pytest.approx((2 * 0.2 + 0.3) / 3)
    assert by["best", "parent"].error == pytest.approx((0.4 + 0.8 + 0.3) / 3)
