import json
from dataclasses import replace

import numpy as np
import pytest

from vision.synth.benchmark import (
    DEVELOPMENT_SEEDS,
    TEST_SEEDS,
    Benchmark,
    BenchmarkSettings,
    Clip,
    benchmark_scene,
    count_clips,
    looks_of,
    run_benchmark,
    slip_px,
    watch,
)

QUICK = BenchmarkSettings(seeds=(3,), conditions=("fixed",), lookings=(5.0, "advance"), pace="line", flatcars=(2, 2))


@pytest.fixture(scope="module")
def result() -> Benchmark:
    return run_benchmark(QUICK)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return watch(benchmark_scene(3, "fixed", QUICK))


@pytest.mark.parametrize("seed", [0, 7, 1003])
@pytest.mark.parametrize("condition", ["fixed", "pan"])
def test_the_slow_pace_leaves_every_vehicle_enough_looks(seed: int, condition: str) -> None:
    spec = benchmark_scene(seed, condition, BenchmarkSettings())  # type: ignore[arg-type]
    train = spec.trains[0]
    view_m = spec.width_px / train.px_per_m
    in_view_s = view_m / float(train.speed_m_s.at(0.0))
    assert 35 <= view_m <= 45
    assert 10 <= in_view_s <= 16
    assert spec.condition == condition


def test_the_two_lists_of_seeds_share_none() -> None:
    assert not set(DEVELOPMENT_SEEDS) & set(TEST_SEEDS)
    assert len(DEVELOPMENT_SEEDS) == len(TEST_SEEDS) == 100


def test_a_clip_is_registered_on_its_pixels(clip: Clip) -> None:
    (passage,) = clip.passages
    assert slip_px(passage, clip.truth, clip.truth.trains[0]) < 4.0
    assert 0 < len(clip.due_s) < len(clip.truth.pts_s) / 4
    assert clip.name == "fixed-3"


def test_without_pixels_there_is_no_train(clip: Clip) -> None:
    """Counts need the motion: the same boxes without passages are no train."""
    figures, (row,) = count_clips([replace(clip, passages=())], 5.0)
    assert (row.reported, row.passages, row.slip_px) == (0, 0, None)
    assert (figures.scores.found, figures.scores.exact) == (0, 0.0)
    assert row.misses == len(clip.truth.trains[0].seen())


def test_slip_is_the_error_within_one_view(clip: Clip) -> None:
    (passage,) = clip.passages
    truth, train = clip.truth, clip.truth.trains[0]
    exact = replace(passage, displacement_px=np.interp(passage.pts_s, truth.pts_s, train.displacement_px) + 40.0)
    assert slip_px(exact, truth, train) == pytest.approx(0.0, abs=1e-6)
    jumped = exact.displacement_px + np.where(np.arange(len(exact.pts_s)) > len(exact.pts_s) // 2, 9.0, 0.0)
    assert slip_px(replace(exact, displacement_px=jumped), truth, train) == pytest.approx(9.0)


def test_looks_by_the_clock_and_by_the_advance(clip: Clip) -> None:
    by_clock = [look.pts_s for look in looks_of(clip, 2.0)]
    assert np.diff(by_clock) == pytest.approx(0.5, abs=0.041)
    assert [look.pts_s for look in looks_of(clip, "advance")] == list(clip.due_s)


def test_the_table_and_the_json_say_the_same(result: Benchmark) -> None:
    told = json.loads(result.to_json())
    assert [line["looking"] for line in told["figures"]] == [5.0, "advance"]
    assert len(told["trains"]) == 2
    table = result.table()
    assert "fixed" in table
    assert "advance" in table
    wrong = [row for row in result.rows if row.reported != row.truth]
    assert ("not exact" in table) == bool(wrong)
    assert all(f"fixed-{row.seed}" in table for row in wrong)


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["fixed", "pan"])
def test_slow_trains_are_counted(condition: str) -> None:
    """A sample of the benchmark itself; the whole of it is scripts/bench_counts."""
    settings = BenchmarkSettings(seeds=(2, 4), conditions=(condition,), lookings=(5.0,), flatcars=(3, 4))  # type: ignore[arg-type]
    (figures,) = run_benchmark(settings).figures
    assert figures.scores.within_one == 1.0
    assert (figures.scores.found, figures.scores.split, figures.scores.invented) == (2, 0, 0)
