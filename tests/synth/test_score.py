import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision.errors import TruthError
from vision.synth.score import Scores, evaluate_by_condition, evaluate_counts, match_along, read_truth

Placed = list[tuple[str, float]]


def truth_row(
    vehicles: Placed, *, video: str = "a.mp4", start_s: float = 1.0, end_s: float = 11.0, **extra: Any
) -> dict[str, Any]:
    names = [name for name, _ in vehicles]
    listed = [{"class": name, "position_px": px, "width_px": 100.0} for name, px in vehicles]
    counts = {name: names.count(name) for name in sorted(set(names))}
    return {"video": video, "start_s": start_s, "end_s": end_s, "vehicles": counts, "list": listed, "direction": "left", **extra}


def run_rows(
    vehicles: Placed,
    *,
    train_id: str = "t1",
    video: str = "a.mp4",
    start_s: float = 1.0,
    end_s: float = 11.0,
    direction: str = "left",
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    names = [name for name, _ in vehicles]
    counts = {name: {"count": names.count(name), "low": names.count(name), "high": names.count(name) + 1} for name in set(names)}
    total = {"count": len(names), "low": max(0, len(names) - 1), "high": len(names) + 1}
    train = {"train_id": train_id, "video": video, "start_s": start_s, "end_s": end_s, "direction": direction}
    return (
        {**train, "vehicles": counts, "total": total},
        [{"train_id": train_id, "class": name, "position_px": px} for name, px in vehicles],
    )


def score(tmp_path: Path, truth: list[dict[str, Any]], *runs: tuple[dict[str, Any], list[dict[str, Any]]], **kw: Any) -> Scores:
    path = tmp_path / "truth.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in truth))
    return evaluate_counts(path, [row for row, _ in runs], [row for _, rows in runs for row in rows], **kw)


THREE: Placed = [("tank", 500.0), ("tank", 900.0), ("btr", 1300.0)]


@pytest.mark.parametrize(
    ("found", "exact", "misses", "doubles", "wrong"),
    [
        (THREE, 1.0, 0, 0, 0),
        (THREE[:2], 0.0, 1, 0, 0),
        ([*THREE, ("tank", 1340.0)], 0.0, 0, 1, 0),
        ([("tank", 500.0), ("tank", 540.0), ("btr", 1300.0)], 1.0, 1, 1, 0),
        ([("tank", 500.0), ("bmp", 900.0), ("btr", 1300.0)], 1.0, 0, 0, 1),
        ([("tank", 500.0), ("tank", 900.0), ("apc", 1300.0)], 1.0, 0, 0, 0),
        ([(name, 1.06 * px + 75) for name, px in THREE], 1.0, 0, 0, 0),
        ([(name, px - 300) for name, px in THREE], 1.0, 0, 0, 0),
        ([], 0.0, 3, 0, 0),
    ],
    ids=["all", "one missed", "one double", "a miss and a double", "wrong class", "parent", "stretched", "late head", "nothing"],
)
def test_vehicles_are_matched_along_the_train(
    tmp_path: Path, found: Placed, exact: float, misses: int, doubles: int, wrong: int
) -> None:
    scores = score(tmp_path, [truth_row(THREE)], run_rows(sorted(found, key=lambda v: v[1])), parents={"btr": "apc"})
    assert scores.exact == exact
    (train,) = scores.per_train
    assert (train.misses, train.doubles, train.wrong_class) == (misses, doubles, wrong)
    assert scores.misses_per_100 == pytest.approx(100 * misses / 3)


def test_a_train_without_direction_is_read_from_its_left_end(tmp_path: Path) -> None:
    from_left = [(name, 2000 - px) for name, px in reversed(THREE)]
    scores = score(tmp_path, [truth_row(THREE, direction="right")], run_rows(from_left, direction="unknown"))
    assert (scores.misses_per_100, scores.doubles_per_100, scores.wrong_class_per_100) == (0, 0, 0)
    assert scores.direction == 0


@pytest.mark.parametrize(
    ("spans", "found", "missed", "invented", "merged", "split"),
    [
        ([(1, 11)], 1, 1, 0, 0, 0),
        ([(1, 11), (20, 30)], 2, 0, 0, 0, 0),
        ([(1, 30)], 1, 1, 0, 1, 0),
        ([(1, 5), (6, 11), (20, 30)], 2, 0, 1, 0, 1),
        ([(40, 50)], 0, 2, 1, 0, 0),
        ([], 0, 2, 0, 0, 0),
    ],
    ids=["one", "both", "merged", "split", "elsewhere", "none"],
)
def test_trains_are_matched_by_time(
    tmp_path: Path, spans: list[tuple[float, float]], found: int, missed: int, invented: int, merged: int, split: int
) -> None:
    truth = [truth_row(THREE), truth_row(THREE, start_s=20.0, end_s=30.0)]
    runs = [run_rows(THREE, train_id=f"t{k}", start_s=a, end_s=b) for k, (a, b) in enumerate(spans)]
    scores = score(tmp_path, truth, *runs)
    assert (scores.found, scores.missed, scores.invented, scores.merged, scores.split) == (found, missed, invented, merged, split)


def test_another_video_is_another_train(tmp_path: Path) -> None:
    assert score(tmp_path, [truth_row(THREE)], run_rows(THREE, video="clips/b.mp4")).found == 0
    assert score(tmp_path, [truth_row(THREE)], run_rows(THREE, video="clips/a.mp4")).found == 1


def test_figures_over_several_trains(tmp_path: Path) -> None:
    truth = [truth_row(THREE, start_s=20.0 * k, end_s=20.0 * k + 10) for k in range(4)]
    counted = (THREE, THREE[:2], THREE[:1])
    runs = [run_rows(found, train_id=f"t{k}", start_s=20.0 * k, end_s=20.0 * k + 10) for k, found in enumerate(counted)]
    scores = score(tmp_path, truth, *runs)
    assert (scores.exact, scores.within_one) == (0.25, 0.5)
    assert scores.mae == pytest.approx((0 + 1 + 2 + 3) / 4)
    assert scores.coverage == pytest.approx(2 / 3)
    assert scores.misses_per_100 == pytest.approx(100 * 6 / 12)
    assert scores.classes["btr"].truth == 3
    assert scores.classes["btr"].absolute_error == 2
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["found"] == 3
    assert "exact 0.250" in scores.table()


def test_cars_are_not_in_the_total(tmp_path: Path) -> None:
    scores = score(tmp_path, [truth_row([*THREE, ("uaz", 1700.0)])], run_rows(THREE))
    assert scores.exact == 1.0
    assert scores.per_train[0].misses == 1


def test_without_positions_only_counts_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "truth.ndjson"
    path.write_text(json.dumps({"video": "a.mp4", "start_s": 1, "end_s": 11, "vehicles": {"tank": 2, "btr": 1}}) + "\n\n")
    scores = evaluate_counts(path, [run_rows(THREE)[0]])
    assert scores.exact == 1.0
    assert scores.misses_per_100 is None
    assert "-" in scores.table()


def test_an_empty_truth_scores_nothing(tmp_path: Path) -> None:
    scores = score(tmp_path, [], run_rows(THREE))
    assert (scores.trains, scores.invented, scores.exact) == (0, 1, None)


GOOD = truth_row(THREE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "one JSON object"),
        (json.dumps({**GOOD, "start_s": math.nan}), "not JSON"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "video"}), "video is missing"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "vehicles"}), "vehicles is missing"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "end_s"}), "end_s is missing"),
        (json.dumps({**GOOD, "vehicles": {"tank": -1}}), "at least 0"),
        (json.dumps({**GOOD, "vehicles": {"tank": 1.5}}), "whole number"),
        (json.dumps({**GOOD, "vehicles": {"tank": True}}), "whole number"),
        (json.dumps({**GOOD, "vehicles": [1]}), "map classes"),
        (json.dumps({**GOOD, "start_s": "1"}), "finite number"),
        (json.dumps({**GOOD, "start_s": 12.0}), "before it starts"),
        (json.dumps({**GOOD, "vehicles": {"tank": 9}}), "do not agree"),
        (json.dumps({**GOOD, "list": {"a": 1}}), "list of vehicles"),
        (json.dumps({**GOOD, "list": [{"class": "tank", "position_px": 1.0, "width_px": 0}]}), "positive"),
        (json.dumps({**GOOD, "list": [{"class": "tank", "width_px": 3.0}]}), "position_px is missing"),
    ],
)
def test_a_bad_truth_line_is_named_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "truth.ndjson"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(TruthError, match=said) as caught:
        read_truth(path)
    assert f"{path}:2" in str(caught.value)


def test_a_missing_truth_file_is_a_truth_error(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="cannot read"):
        read_truth(tmp_path / "none.ndjson")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"total": None}, "total"), ({"total": {"count": 3, "low": 4, "high": 5}}, "4 <= 3"), ({"train_id": ""}, "train_id")],
)
def test_a_bad_row_of_a_run_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    row, vehicles = run_rows(THREE)
    with pytest.raises(TruthError, match=said):
        score(tmp_path, [truth_row(THREE)], ({**row, **change}, vehicles))


@pytest.mark.parametrize("seed", range(6))
def test_long_trains_match_through_stretch_shift_jitter_misses_and_doubles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.choice([220.0, 260.0, 500.0], 40)) + 700
    width = np.full(40, 190.0)
    missed = rng.choice(40, 4, replace=False)
    seen = np.delete(truth, missed)
    found = np.sort(
        np.concatenate([seen, [truth[20] + 160.0, truth[20] + 330.0]]) * rng.uniform(0.95, 1.05) + rng.uniform(-300, 300)
    )
    found = found + rng.normal(0, 10, len(found))
    pairs = match_along(truth, width, found)
    assert 36 <= len(pairs) <= 38
    assert len({t for t, _ in pairs}) == len({f for _, f in pairs}) == len(pairs)


def test_trains_side_by_side_each_have_their_own_report(tmp_path: Path) -> None:
    truth = [truth_row(THREE, direction="left"), truth_row(THREE[:2], start_s=3.0, end_s=13.0, direction="right")]
    mine = run_rows(THREE[:2], train_id="a", start_s=3.0, end_s=13.0, direction="right")
    other = run_rows(THREE, train_id="b", direction="left")
    scores = score(tmp_path, truth, mine, other)
    assert (scores.found, scores.merged, scores.split, scores.invented, scores.exact) == (2, 0, 0, 0, 1.0)
    alone = score(tmp_path, truth, other)
    assert (alone.found, alone.missed, alone.merged) == (1, 1, 1)


def test_a_standing_train_may_be_read_from_either_end(tmp_path: Path) -> None:
    turned = [(name, 2000 - px) for name, px in reversed(THREE)]
    for listed in (THREE, turned):
        scores = score(tmp_path, [truth_row(THREE, direction="still")], run_rows(listed, direction="still"))
        assert (scores.misses_per_100, scores.doubles_per_100, scores.wrong_class_per_100, scores.direction) == (0, 0, 0, 1)
    passing = score(tmp_path, [truth_row(THREE, direction="left")], run_rows(turned))
    assert passing.wrong_class_per_100 > 0


@pytest.mark.parametrize("scale", [0.5, 1.8])
def test_an_oblique_view_has_a_scale_of_its_own(tmp_path: Path, scale: float) -> None:
    four: Placed = [("tank", 300.0), ("tank", 760.0), ("btr", 1300.0), ("btr", 1690.0)]
    scores = score(tmp_path, [truth_row(four)], run_rows([(name, scale * px - 40) for name, px in four]))
    assert (scores.misses_per_100, scores.doubles_per_100) == (0, 0)


@pytest.mark.parametrize(
    ("claimed", "right", "invented"),
    [((True, True), 0.5, 1), ((True, False), 1.0, 0), ((False, False), 0.5, 0), ((False, True), 0.0, 1)],
)
def test_ends_that_were_claimed(tmp_path: Path, claimed: tuple[bool, bool], right: float, invented: int) -> None:
    train, vehicles = run_rows(THREE)
    train["complete"] = {"head": claimed[0], "tail": claimed[1]}
    scores = score(tmp_path, [truth_row(THREE, head_seen=True, tail_seen=False)], (train, vehicles))
    assert (scores.ends_right, scores.ends_invented) == (right, invented)
    assert score(tmp_path, [truth_row(THREE)], (train, vehicles)).ends_right is None


def test_a_miss_and_a_double_of_a_class_do_not_cancel_in_the_weighted_error(tmp_path: Path) -> None:
    four: Placed = [("tank", 300.0), ("tank", 900.0), ("tank", 1500.0), ("tank", 2100.0)]
    exact = score(tmp_path, [truth_row(four, length_px=2400.0)], run_rows(four))
    # The second is missed, the third counted twice: the total is right, the way there is not.
    swapped = score(tmp_path, [truth_row(four, length_px=2400.0)], run_rows([four[0], four[2], ("tank", 1545.0), four[3]]))
    assert exact.nw_rmse == 1.0
    assert swapped.exact == 1.0
    assert 0.8 < swapped.nw_rmse < 1.0


def test_the_weighted_error_is_over_parents(tmp_path: Path) -> None:
    scores = score(tmp_path, [truth_row(THREE)], run_rows([*THREE[:2], ("apc", 1300.0)]), parents={"btr": "apc"})
    assert scores.nw_rmse_classes == {"tank": 1.0, "apc": 1.0}


def test_each_condition_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "truth.ndjson"
    rows = [truth_row(THREE, condition="snow"), truth_row(THREE, video="b.mp4", condition="rain")]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, truth_row(THREE, video="c.mp4")]))
    runs = [run_rows(THREE), run_rows(THREE[:2], train_id="t2", video="b.mp4"), run_rows(THREE, train_id="t3", video="z.mp4")]
    found = [row for row, _ in runs], [vehicle for _, own in runs for vehicle in own]
    every, parts = evaluate_by_condition(path, *found)
    assert list(parts) == ["rain", "snow"]
    assert (parts["rain"].exact, parts["snow"].exact) == (0.0, 1.0)
    assert (parts["rain"].invented, every.invented, every.trains) == (0, 1, 3)


EVEN_PX = 300.0 + 500.0 * np.arange(8)


@pytest.mark.parametrize(
    ("found_px", "found_width_px", "pairs"),
    [
        (300.0 + 250.0 * np.arange(8), 180.0, 4),  # each of the first four twice, half a pitch apart
        (300.0 + 250.0 * np.arange(8), 90.0, 8),  # an oblique view: as narrow as it is short
        (300.0 + 1000.0 * np.arange(4), 180.0, 4),  # every other one
        (300.0 + 500.0 * np.arange(4), 180.0, 4),  # the first four
        ((EVEN_PX - 100) * 1.5, 270.0, 8),
        ((EVEN_PX - 100) * 1.5, None, 8),
        (EVEN_PX, 180.0, 8),
    ],
)
def test_evenly_spaced_vehicles_are_matched_at_the_scale_of_their_widths(
    found_px: np.ndarray, found_width_px: float | None, pairs: int
) -> None:
    assert len(match_along(EVEN_PX, np.full(8, 180.0), found_px, found_width_px)) == pairs
