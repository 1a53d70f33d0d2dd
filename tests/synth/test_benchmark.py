import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.detectors import ScriptedDetector
from vision.config import Config
from vision.errors import DependencyError, InputError
from vision.synth import baselines, benchmark
from vision.synth.bench_page import markdown, report, write_docs
from vision.synth.benchmark import Entry, Job, Results, camera_moves, counted_row, engine_row, read_list, read_rows, run, why
from vision.synth.clips import Clip, bench_scene, kept_clip, looks_of, raw_video, slip_px, watch
from vision.synth.figures import Grouping, TrainScore
from vision.synth.scene import CONDITIONS, parse_condition, random_scene
from vision.types import Detections, Look

ROOT = Path(__file__).resolve().parents[2]
PLAIN = Job(baselines=False)


@pytest.fixture(scope="module")
def clip() -> Clip:
    spec = random_scene(3, condition="fixed", width_px=320, height_px=180, flatcars=3, lead_in_s=0.8, lead_out_s=0.8)
    return watch(spec)


@pytest.fixture
def quick(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Every entry is the same short clip under its own name; what was asked for."""
    asked: list[Entry] = []

    def kept(condition: str, seed: int, *_: object, **__: object) -> Clip:
        asked.append(Entry(condition, seed))
        return replace(clip, condition=condition, seed=seed)

    monkeypatch.setattr(benchmark, "kept_clip", kept)
    monkeypatch.setattr(benchmark, "LOOKINGS", (5.0, "advance"))
    return asked


@pytest.mark.parametrize("name", ["development", "test"])
def test_the_lists_name_every_condition(name: str) -> None:
    entries = read_list(ROOT / "datasets" / "bench" / f"{name}.tsv")
    named = {part for entry in entries for part in parse_condition(entry.condition)}
    assert named == set(CONDITIONS)
    assert len(entries) == len(set(entries)) >= 300
    assert sum(entry.condition == "fixed" for entry in entries) >= 20


def test_the_lists_share_no_seed() -> None:
    one, other = ({entry.seed for entry in read_list(ROOT / "datasets" / "bench" / f"{n}.tsv")} for n in ("development", "test"))
    assert not one & other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line names the columns"),
        ("seed\tcondition\n", "first line names the columns"),
        ("condition\tseed\nhail\t3\n", "list.tsv:2: unknown condition 'hail'"),
        ("# note\ncondition\tseed\n\nfixed\tx\n", "list.tsv:4: invalid literal"),
        ("condition\tseed\nfixed\n", "list.tsv:2: "),
    ],
)
def test_a_bad_list_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_list(path)


@pytest.mark.parametrize("seed", [0, 7, 500003])
@pytest.mark.parametrize("condition", ["fixed", "snow", "loco-last"])
def test_every_vehicle_stays_in_view_long_enough(seed: int, condition: str) -> None:
    spec = bench_scene(condition, seed)
    train = spec.trains[0]
    view_m = spec.width_px / train.px_per_m
    assert 35 <= view_m <= 45
    assert 10 <= view_m / float(train.speed_m_s.at(0.0)) <= 16
    assert spec.condition == condition


def test_a_clip_is_registered_on_its_pixels(clip: Clip) -> None:
    (passage,), _ = clip.watched.passages([], Config().motion)
    assert slip_px(passage, clip.truth, clip.truth.trains[0]) < 4.0
    assert 0 < len(clip.due_s) < len(clip.truth.pts_s) / 4
    assert clip.name == "fixed-3"


def test_without_pixels_there_is_no_train(clip: Clip) -> None:
    """Counts need the motion: the same boxes without passages are no train."""
    blind = replace(clip, watched=replace(clip.watched, shots=()))
    raw = raw_video(blind, looks_of(blind, 5.0), Config())
    row = counted_row(blind, raw, Config(), baselines=False)
    (train,) = row["trains"]
    assert (train["reported"], train["train_id"], row["slip"], row["why"]) == (0, None, [None], ["not found"])
    assert train["misses"] == len(clip.truth.trains[0].seen())


def test_slip_is_the_error_within_one_view(clip: Clip) -> None:
    (passage,), _ = clip.watched.passages([], Config().motion)
    truth, train = clip.truth, clip.truth.trains[0]
    exact = replace(passage, displacement_px=np.interp(passage.pts_s, truth.pts_s, train.displacement_px) + 40.0)
    assert slip_px(exact, truth, train) == pytest.approx(0.0, abs=1e-6)
    jumped = exact.displacement_px + np.where(np.arange(len(exact.pts_s)) > len(exact.pts_s) // 2, 9.0, 0.0)
    assert slip_px(replace(exact, displacement_px=jumped), truth, train) == pytest.approx(9.0)


def test_looks_by_the_clock_by_the_advance_and_at_every_frame(clip: Clip) -> None:
    by_clock = [look.pts_s for look in looks_of(clip, 2.0)]
    assert np.diff(by_clock) == pytest.approx(0.5, abs=0.041)
    assert [look.pts_s for look in looks_of(clip, "advance")] == list(clip.due_s)
    assert [look.pts_s for look in looks_of(clip, "full")] == clip.truth.pts_s.tolist()


def test_a_kept_clip_comes_back_and_a_broken_one_is_made_anew(
    tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def watched(spec: object, **_: object) -> Clip:
        made.append("once more")
        return clip

    monkeypatch.setattr("vision.synth.clips.watch", watched)
    first = kept_clip("fixed", 3, tmp_path)
    again = kept_clip("fixed", 3, tmp_path)
    assert len(made) == 1
    assert np.array_equal(first.watched.series.shift_px, again.watched.series.shift_px)
    assert first.truth.trains[0].vehicles == again.truth.trains[0].vehicles
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"no clip")
    assert kept_clip("fixed", 3, tmp_path).due_s == clip.due_s
    assert len(made) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_goes_on_where_it_was_killed(tmp_path: Path, quick: list[Entry]) -> None:
    out = tmp_path / "deep" / "results.jsonl"
    entries = [Entry("fixed", 1), Entry("shake", 2), Entry("snow", 3)]
    run(entries[:2], PLAIN, out)
    whole = out.read_text()
    out.write_text(whole + whole[:200])
    results = run(entries, PLAIN, out)
    assert quick == entries
    assert len(out.read_text().splitlines()) == 3
    assert results.conditions == ["fixed", "shake", "snow"]
    assert run(entries[1:2], PLAIN, out).conditions == ["shake"]


@pytest.mark.parametrize("line", ["{}", "[1]", "not JSON"])
def test_another_file_is_no_results(tmp_path: Path, line: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"other\.jsonl:1 is no row"):
        read_rows(path)


def test_tables_say_what_the_rows_say(tmp_path: Path, quick: list[Entry]) -> None:
    results = run([Entry("fixed", 1), Entry("pan+snow", 2)], PLAIN, tmp_path / "results.jsonl")
    scores = results.scores(results.rows, "5")
    assert (scores.trains, scores.found, scores.exact) == (2, 2, 1.0)
    assert scores.nw_rmse == pytest.approx(1.0)
    assert "      2   100%" in report(results)
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- bench:engine -->\nstale row\n<!-- /bench:engine -->\n\nEnd.\n")
    write_docs(page, results, mode="engine", command="scripts/bench_counts --list test")
    text = page.read_text()
    assert text.startswith("# Title\n\n<!-- bench:engine -->\n    scripts/bench_counts --list test\n")
    assert text.endswith("<!-- /bench:engine -->\n\nEnd.\n")
    assert "stale row" not in text
    assert "| **all** | 2 | 100% [100, 100] | 100% | 0.00 |" in text
    assert "Nothing." in text
    with pytest.raises(InputError, match="bench:system"):
        write_docs(page, results, mode="system", command="x")


def test_a_wrong_train_is_named_with_its_reason(tmp_path: Path, quick: list[Entry]) -> None:
    results = run([Entry("fixed", 1)], PLAIN, tmp_path / "results.jsonl")
    row = json.loads(json.dumps(results.rows[0]))
    row["lookings"]["5"]["trains"][0]["reported"] += 1
    row["lookings"]["5"]["why"] = ["doubled"]
    spoilt = Results([row])
    assert spoilt.reasons(spoilt.rows, "5") == {"doubled": 1}
    assert "fixed-1: " in report(spoilt)
    assert "- **doubled** (1): fixed-1" in markdown(spoilt, command="x")
    linked = markdown(spoilt, command="x", pictures={"fixed-1": "failures/fixed-1.jpg"})
    assert "- **doubled** (1): [fixed-1](failures/fixed-1.jpg)" in linked


def a_score(**changes: object) -> TrainScore:
    values = {"truth": 5, "reported": 5, "low": 5, "high": 5, "train_id": "t", "misses": 0, "doubles": 0, "wrong_class": 0}
    return TrainScore("a.mp4", 0.0, **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "slip", "grouping", "reason"),
    [
        ({}, 0.0, Grouping(), ""),
        ({"train_id": None, "reported": 0}, None, Grouping(), "not found"),
        ({"train_id": None, "reported": 0}, None, Grouping(merged=1), "merged"),
        ({"reported": 9}, 0.1, Grouping(merged=1), "merged"),
        ({"reported": 3}, 0.1, Grouping(split=1), "split"),
        ({"reported": 3}, 0.8, Grouping(), "slipped"),
        ({"reported": 3}, None, Grouping(), "slipped"),
        ({"reported": 3}, 0.1, Grouping(), "missed"),
        ({"reported": 6}, 0.1, Grouping(), "doubled"),
    ],
)
def test_reasons(changes: dict[str, object], slip: float | None, grouping: Grouping, reason: str) -> None:
    assert why(a_score(**changes), slip, grouping) == reason


@pytest.mark.parametrize(("condition", "moves"), [("fixed", False), ("snow+shake", True), ("walk", True), ("oblique", False)])
def test_which_cameras_move(condition: str, moves: bool) -> None:
    assert camera_moves(condition) == moves


def a_look(pts_s: float, *boxes: tuple[float, float, int]) -> Look:
    """Boxes as (left, score, class)."""
    xyxy = [(left, 50.0, left + 60, 80.0) for left, _, _ in boxes]
    found = Detections.of(np.array(xyxy).reshape(-1, 4), [score for _, score, _ in boxes], [own for _, _, own in boxes])
    return Look(round(pts_s * 90_000), pts_s, found)


def test_the_fullest_frame_leaves_cars_out() -> None:
    looks = [a_look(0.0, (0, 0.9, 0)), a_look(1.0, (0, 0.9, 0), (100, 0.9, 0), (200, 0.9, 1))]
    assert baselines.frame_maximum(looks, ("tank", "uaz")) == 2
    assert baselines.frame_maximum([], ("tank",)) == 0


def test_trackers_count_a_vehicle_that_is_always_seen_once(clip: Clip) -> None:
    pytest.importorskip("trackers")
    looks = [a_look(k * 0.04, (2.0 * k, 0.9, 0)) for k in range(130)]
    totals = baselines.baseline_totals(looks, clip.truth, ("tank", "uaz"))
    assert totals == {"bytetrack ids": 1, "bytetrack line": 1, "botsort ids": 1, "botsort line": 1, "frame maximum": 1}
    cars = [a_look(k * 0.04, (2.0 * k, 0.9, 1)) for k in range(130)]
    assert set(baselines.baseline_totals(cars, clip.truth, ("tank", "uaz")).values()) == {0}


def test_without_the_trackers_one_line_says_what_to_do(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(DependencyError, match="trackers"):
        baselines.baseline_totals(looks_of(clip, 2.0), clip.truth, ("tank",))


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["fixed", "rain", "loco-middle"])
def test_slow_trains_are_counted(condition: str) -> None:
    row = engine_row(Entry(condition, 100_900), PLAIN)
    counted = row["lookings"]["10"]
    assert counted["totals"]["ours"] == counted["totals"]["truth"]
    assert counted["why"] == [""]


def test_the_whole_system_goes_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a detector that sees nothing every vehicle is missed, and the train is still found by its motion."""
    from vision.synth import system

    monkeypatch.setattr(system, "_detector", lambda weights: (Config(), ScriptedDetector()))
    monkeypatch.setattr(system, "WIDTH_PX", 320)
    monkeypatch.setattr(system, "HEIGHT_PX", 180)
    monkeypatch.setattr(system, "_FLATCARS", (2, 2))
    row = system.system_row(Entry("fixed", 11), Job("system", baselines=False, cutouts=ROOT / "samples" / "cutouts"))
    counted = row["lookings"]["scan"]
    (train,) = counted["trains"]
    assert train["misses"] == train["truth"] > 0
    assert train["train_id"] is not None
    assert counted["why"] == ["missed"]


def test_scenes_without_pictures_are_named() -> None:
    from vision.synth.system import possible

    entries = [Entry("fixed", 1), Entry("covered", 2), Entry("covered+snow", 3)]
    assert possible(entries, ROOT / "samples" / "cutouts") == (entries[:1], entries[1:])
    assert possible(entries, None) == (entries, [])


def test_marks_are_met_or_missed(tmp_path: Path, quick: list[Entry]) -> None:
    results = run([Entry("fixed", 1), Entry("pan", 2)], PLAIN, tmp_path / "results.jsonl")
    page = markdown(results, command="x")
    assert "| exact, fixed | at least 97% | 100% | met |" in page
    assert "| exact, every single condition | at least 80% | below it: none | met |" in page
    assert "| truth within the interval, 5 a second | 86% to 94% | 100% | missed |" in page
    row = json.loads(json.dumps(results.of("pan")[0]))
    row["lookings"]["5"]["trains"][0]["reported"] += 1
    page = markdown(Results([row]), command="x")
    assert "| exact, shake and pan | at least 90% | 0% | missed |" in page
    assert "| exact, every single condition | at least 80% | below it: pan 0% | missed |" in page
    assert "exact, fixed" not in page
