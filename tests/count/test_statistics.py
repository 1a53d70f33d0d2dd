from __future__ import annotations

import pytest

from tests.count.statistics import run


@pytest.mark.parametrize("looks_s", [2.0, 5.0, 10.0])
def test_hundred_trains_ten_seconds_in_view(looks_s):
    figures = run(looks_s=looks_s, in_view_s=10.0)
    assert figures.exact >= 0.9
    assert figures.within_one >= 0.99
    assert figures.covered >= 0.9
    assert figures.classes_exact >= 0.95


def test_five_seconds_in_view_at_two_looks_a_second_is_short_of_looks_but_honest():
    figures = run(looks_s=2.0, in_view_s=5.0)
    assert figures.exact >= 0.7
    assert figures.within_one >= 0.93
    assert figures.covered >= 0.88


@pytest.mark.parametrize(
    "changes",
    [
        {"shake_px": 20.0},
        {"drift_px": 20.0},
        {"oblique": 0.6},
        {"merged": 0.15, "two_per_car": 0.8},
        {"doubles": 0.3},
        {"hard": 0.5},
    ],
)
def test_one_thing_worse(changes):
    figures = run(looks_s=2.0, in_view_s=10.0, trains=30, **changes)
    assert figures.exact >= 0.85
    assert figures.within_one >= 0.96


@pytest.mark.parametrize("changes", [{}, {"hard": 0.5}])
def test_bounds_hold_at_the_looks_that_a_scan_takes(changes):
    figures = run(looks_s=1.5, in_view_s=8.0, trains=30, **changes)
    assert figures.covered >= 0.85
    assert figures.class_covered >= 0.85
    assert figures.width <= 1.8
