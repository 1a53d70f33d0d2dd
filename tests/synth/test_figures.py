import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.synth.figures import Grouping, TrainScore, bootstrap, figures, nw_rmse

GROWING = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(lambda steps: np.cumsum([1, *steps]).tolist())


@pytest.mark.parametrize(
    ("truth", "reported", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([4], [3], 0.75),
        ([4], [0], 0.0),
        ([1], [9], 0.0),
        ([1, 2], [0, 2], 1 - math.sqrt(1 / 3) / 2),
        ([1, 2], [1, 1], 1 - math.sqrt(2 / 3) / 2),
    ],
)
def test_the_weighted_error(truth: list[int], reported: list[int], expected: float) -> None:
    assert nw_rmse(truth, reported) == pytest.approx(expected)


@given(GROWING)
def test_a_late_error_weighs_more_than_an_early_one(truth: list[int]) -> None:
    early, late = list(truth), list(truth)
    early[0] += 1
    late[-1] += 1
    assert nw_rmse(truth, truth) == 1.0
    assert 0 <= nw_rmse(truth, late) <= nw_rmse(truth, early) <= 1


@pytest.mark.parametrize(("truth", "reported"), [([], []), ([0, 0], [0, 0]), ([1, 2], [1])])
def test_no_vehicle_no_error(truth: list[int], reported: list[int]) -> None:
    with pytest.raises(ValueError, match="cumulated counts"):
        nw_rmse(truth, reported)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_a_bootstrap_interval_holds_its_mean_and_stays_within_the_values(values: list[bool]) -> None:
    parts = np.array(values, np.float64)
    low, high = bootstrap(parts, np.ones_like(parts))
    assert 0 <= low <= parts.mean() + 1e-9
    assert parts.mean() - 1e-9 <= high <= 1
    assert (low, high) == bootstrap(parts, np.ones_like(parts))


def test_more_trains_make_a_narrower_interval() -> None:
    few, many = (np.tile([1.0, 0.0, 1.0, 1.0], n) for n in (5, 100))
    widths = [float(np.ptp(bootstrap(values, np.ones_like(values)))) for values in (few, many)]
    assert widths[1] < 0.35 * widths[0]
    # A share of 3/4 over 400 trains is sure to 4 %.
    assert widths[1] == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 400), rel=0.15)


def a_train(truth: int, reported: int, **changes: object) -> TrainScore:
    values: dict[str, object] = {"low": reported, "high": reported + 1, "train_id": "t", "misses": max(0, truth - reported)}
    values |= {"doubles": max(0, reported - truth), "wrong_class": 0, "listed": truth}
    return TrainScore("a.mp4", 0.0, truth, reported, **{**values, **changes})  # type: ignore[arg-type]


def test_figures_over_trains() -> None:
    trains = [
        a_train(4, 4, ends_right=(True, True), direction_right=True),
        a_train(6, 5, ends_right=(True, False), ends_invented=1, direction_right=False),
        a_train(10, 0, train_id=None, misses=10),
        a_train(0, 2),
    ]
    scores = figures(trains, Grouping(invented=2, merged=1) + Grouping(split=3))
    assert (scores.trains, scores.found, scores.missed, scores.invented, scores.merged, scores.split) == (4, 3, 1, 2, 1, 3)
    assert (scores.exact, scores.within_one, scores.mae) == (0.25, 0.5, (0 + 1 + 10 + 2) / 4)
    assert scores.coverage == pytest.approx(2 / 3)
    assert (scores.misses_per_100, scores.doubles_per_100) == (100 * 11 / 20, 100 * 2 / 20)
    assert (scores.ends_right, scores.ends_invented, scores.direction) == (0.75, 1, 0.5)
    assert scores.false_per_train == 2.0
    low, high = scores.bounds["exact"]
    assert 0 <= low < 0.25 < high <= 1
    assert "civil trains  false vehicles a train 2.00" in scores.table()


def test_no_train_says_nothing() -> None:
    scores = figures([], Grouping())
    assert (scores.trains, scores.exact, scores.nw_rmse, scores.bounds) == (0, None, None, {})
    assert "exact -" in scores.table()


def test_a_score_survives_json() -> None:
    import json
    from dataclasses import asdict

    train = a_train(4, 3, ends_right=(True, False), cumulative={"tank": ((1, 4), (1, 3))}, condition="fixed")
    assert TrainScore.from_dict(json.loads(json.dumps(asdict(train)))) == train
