"""Whole scans of simulated films whose counts are known exactly: counts, laws, the run folder, what resumes and what fails."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.clips import small_scene
from tests.support.films import (
    FilmDetector,
    evidence_bytes,
    film,
    frames_of,
    passing,
    scene_of,
    standing,
    table_bytes,
    train,
    write,
)
from vision.config import Config, CountConfig, DetectConfig, MotionConfig
from vision.errors import InputError, OutputError
from vision.run.ledger import Ledger
from vision.run.looking import tiles_for
from vision.run.scan import ScanSummary, count_again, scan, settings_of
from vision.run.store import TABLES, RunFolder
from vision.run.tables import TRAIN_KEYS, VEHICLE_KEYS, VIDEO_KEYS, read_trains, read_vehicles, read_videos
from vision.synth.scene import Camera, SceneSpec
from vision.types import VideoResult

Counts = list[tuple[str, dict[str, int]]]
CONFIG = Config()


def scan_of(paths: Sequence[Path], run: Path, detector: FilmDetector, config: Config = CONFIG, **how: Any) -> ScanSummary:
    return scan(list(paths), run, config=config, detector_factory=detector.factory(), **how)


def counts_of(result: VideoResult) -> Counts:
    assert result.status == "done", result.reason
    return [(t.passage.direction, {name: i.count for name, i in t.counts.items()}) for t in result.trains]


def truth_of(*trains: tuple[str, Sequence[str]]) -> Counts:
    return [(direction, dict(sorted(Counter(classes).items()))) for direction, classes in trains]


# ---- Counts -----------------------------------------------------------------------------------------------------------------

PAN = Camera(sway_px=90.0, sway_period_s=7.0)
FILMS: dict[str, tuple[list[SceneSpec], Counts, int]] = {
    "left": ([passing("tank", "bmp", "truck")], truth_of(("left", ["tank", "bmp", "truck"])), 0),
    "right": ([passing("btr", "btr", heading="right")], truth_of(("right", ["btr", "btr"])), 0),
    "slow": ([passing("tank", "tank", "tank", speed_m_s=8.0)], truth_of(("left", ["tank"] * 3)), 0),
    "panned": (
        [replace(passing("tank", "bmp", "mtlb"), camera=PAN, duration_s=11.0)],
        truth_of(("left", ["tank", "bmp", "mtlb"])),
        0,
    ),
    "shaken": (
        [replace(passing("tank", "truck"), camera=Camera(shake_x_px=1.5, shake_y_px=1.0))],
        truth_of(("left", ["tank", "truck"])),
        0,
    ),
    "two shots": (
        [passing("tank", "bmp", seed=6), passing("truck", "btr", "truck", heading="right", seed=9)],
        truth_of(("left", ["tank", "bmp"]), ("right", ["truck", "btr", "truck"])),
        0,
    ),
    "two trains in a shot": (
        [scene_of(train("tank", "bmp"), train("truck", heading="right", entry_s=10.0), duration_s=18.0)],
        truth_of(("left", ["tank", "bmp"]), ("right", ["truck"])),
        0,
    ),
    "no vehicles": ([passing(locomotive=True)], [], 0),
    "no train": ([scene_of(duration_s=3.0)], [], 0),
    "one stands": ([scene_of(standing("tank"), duration_s=3.0)], [], 1),
    "two stand": ([scene_of(standing("tank", "bmp"), duration_s=3.0)], truth_of(("still", ["tank", "bmp"])), 0),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in {"slow", "shaken"} else []) for n in FILMS])
def test_counts_are_exact(tmp_path: Path, name: str) -> None:
    specs, expected, sightings = FILMS[name]
    path, detector, truths = film(tmp_path / "film.mp4", *specs)
    summary = scan_of([path], tmp_path / "run", detector)
    (result,) = summary.results
    found = counts_of(result)
    if name == "no vehicles":
        # A train passes and carries nothing: it is a train with nothing on it.
        assert [counts for _, counts in found] == [{}]
    else:
        assert found == expected
    assert result.sightings == sightings
    assert result.duration_s == pytest.approx(sum(float(t.pts_s[-1]) + 1 / 25 for t in truths), abs=0.09)
    assert detector.closed
    for one in result.trains:
        assert one.total.low <= one.total.count <= one.total.high
        if one.passage.direction != "still":
            assert (one.passage.head_seen, one.passage.tail_seen) == (True, True)


def test_vehicles_come_in_the_trains_order_with_true_times(tmp_path: Path) -> None:
    path, detector, (truth,) = film(tmp_path / "film.mp4", passing("tank", "bmp", "truck", "sam"))
    (result,) = scan_of([path], tmp_path / "run", detector).results
    (one,) = result.trains
    vehicles = truth.trains[0].vehicles
    assert [v.class_name for v in one.vehicles] == ["tank", "bmp", "truck", "sam"]
    assert [v.index for v in one.vehicles] == [0, 1, 2, 3]
    for found, true in zip(one.vehicles, vehicles, strict=True):
        assert true.visible_from_s is not None
        assert true.visible_to_s is not None
        assert true.visible_from_s - 0.05 <= found.pts_s <= true.visible_to_s + 0.05
        assert found.width_px == pytest.approx(true.width_px, rel=0.15)
    # Distances along the train do not depend on where the head was taken to be.
    distances = [v.position_px - one.vehicles[0].position_px for v in one.vehicles]
    assert distances == pytest.approx([v.position_px - vehicles[0].position_px for v in vehicles], abs=0.03 * 480)


def test_an_upright_telephone_is_looked_at_in_tiles(tmp_path: Path) -> None:
    spec = small_scene(2, condition="vertical")
    assert spec.height_px > spec.width_px
    # A model that is small against the film: at the usual size so small a film is one picture.
    tiles = len(tiles_for(spec.width_px, spec.height_px, (96, 160)))
    assert tiles == 4
    path, detector, (truth,) = film(tmp_path / "film.mp4", spec, detector=FilmDetector(input_hw=(96, 160)))
    pictures = {}
    for rows in ("all", "moving"):
        config = CONFIG.model_copy(update={"detect": CONFIG.detect.model_copy(update={"rows": rows})})
        looking = detector.fresh()
        (result,) = scan_of([path], tmp_path / rows, looking, config).results
        (one,) = result.trains
        assert len(one.vehicles) == len(truth.trains[0].seen())
        assert one.passage.direction == truth.trains[0].heading
        pictures[rows] = looking.looks
    assert pictures["all"] > 0
    assert pictures["all"] % tiles == 0
    # The train is in one tile or two of the four.
    assert pictures["moving"] < 0.7 * pictures["all"]


# ---- Laws -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        passing("tank", "bmp"),
        pytest.param(FILMS["panned"][0][0], marks=pytest.mark.slow),
        pytest.param(small_scene(3, condition="pan"), marks=pytest.mark.slow),
    ],
)
def test_a_mirrored_film_has_the_same_counts_the_other_way(tmp_path: Path, spec: SceneSpec) -> None:
    frames, truth = frames_of(spec)
    pictures = list(frames)
    detector = FilmDetector()
    plain = write(tmp_path / "plain.mp4", pictures)
    turned = write(tmp_path / "turned.mp4", [(t, picture[:, ::-1]) for t, picture in pictures])
    detector.show(plain, (0.0, truth)).show(turned, (0.0, truth), mirror=True)
    results = scan_of([plain, turned], tmp_path / "run", detector).results
    other = {"left": "right", "right": "left"}
    first, second = counts_of(results[0]), counts_of(results[1])
    assert len(first) == 1
    assert [(other[direction], counts) for direction, counts in first] == second
    orders = [[v.class_name for train_ in result.trains for v in train_.vehicles] for result in results]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("fps", [12.5, pytest.param(50.0, marks=pytest.mark.slow)])
def test_another_frame_rate_keeps_the_counts(tmp_path: Path, fps: float) -> None:
    spec = passing("tank", "bmp", "bmp")
    path, detector, _ = film(tmp_path / "film.mp4", replace(spec, fps=fps))
    (result,) = scan_of([path], tmp_path / "run", detector).results
    assert counts_of(result) == truth_of(("left", ["tank", "bmp", "bmp"]))


@pytest.mark.parametrize(
    "config",
    [
        Config(detect=DetectConfig(batch=1)),
        Config(detect=DetectConfig(batch=32)),
        Config(detect=DetectConfig(looks_per_view=16.0)),
        Config(motion=MotionConfig(width_px=240)),
    ],
    ids=["batch 1", "batch 32", "twice the looks", "smaller motion picture"],
)
def test_what_only_costs_time_does_not_change_the_counts(scanned: Scanned, tmp_path: Path, config: Config) -> None:
    detector = scanned.detector.fresh()
    (result,) = scan_of([scanned.one], tmp_path / "run", detector, config).results
    assert counts_of(result) == truth_of(("left", ["tank", "bmp"]))


def test_two_scans_of_the_same_film_give_the_same_bytes(scanned: Scanned, tmp_path: Path) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    for run in runs:
        scan_of([scanned.one], run, scanned.detector.fresh())
    assert table_bytes(runs[0]) == table_bytes(runs[1])
    assert evidence_bytes(runs[0]) == evidence_bytes(runs[1])


# ---- A run over a folder ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scanned:
    """A folder of films, the detector that knows them, and a run over it."""

    folder: Path
    run: Path
    detector: FilmDetector
    summary: ScanSummary

    @property
    def one(self) -> Path:
        return self.folder / "one.mp4"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    root = tmp_path_factory.mktemp("scanned")
    folder = root / "films"
    folder.mkdir()
    detector = FilmDetector()
    film(folder / "one.mp4", passing("tank", "bmp"), detector=detector)
    film(folder / "three.mp4", scene_of(duration_s=2.0), detector=detector)
    film(folder / "two.mp4", *FILMS["two shots"][0], detector=detector)
    shutil.copy(folder / "one.mp4", folder / "zz-again.mp4")
    (folder / "four.mp4").write_text("<html>not found</html>")
    (folder / "notes.txt").write_text("not a video")
    summary = scan_of([folder], root / "run", detector.fresh())
    return Scanned(folder, root / "run", detector, summary)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_have_exactly_the_keys_of_the_contract(scanned: Scanned) -> None:
    trains, vehicles, videos = (lines(scanned.run / f"{name}.ndjson") for name in TABLES)
    assert len(trains) == 3
    assert len(vehicles) == 7
    assert len(videos) == 5
    for row in trains:
        assert list(row) == [
            "train_id", "video", "sha256", "start_s", "end_s", "direction", "vehicles",
            "total", "complete", "wagons", "speed_m_s", "flags", "strip", "reviewed",
        ]  # fmt: skip
        assert set(row["total"]) == {"count", "low", "high"}
        assert all(set(interval) == {"count", "low", "high"} for interval in row["vehicles"].values())
        assert set(row["complete"]) == {"head", "tail"}
        assert row["direction"] in {"left", "right", "still", "unknown"}
        assert row["start_s"] < row["end_s"]
        assert row["total"]["count"] == sum(interval["count"] for interval in row["vehicles"].values())
    for row in vehicles:
        assert list(row) == [
            "train_id", "index", "class", "parent", "score", "position_px", "looks", "pts_s", "xyxy_px", "crop", "verdict",
        ]  # fmt: skip
        assert row["train_id"] in {train_["train_id"] for train_ in trains}
        assert len(row["xyxy_px"]) == 4
    for row in videos:
        assert list(row) == ["video", "sha256", "status", "reason", "duration_s", "trains", "sightings"]
    assert (tuple(trains[0]), tuple(vehicles[0]), tuple(videos[0])) == (TRAIN_KEYS, VEHICLE_KEYS, VIDEO_KEYS)


def test_every_input_is_named_with_how_it_ended(scanned: Scanned) -> None:
    rows = {Path(row["video"]).name: row for row in lines(scanned.run / "videos.ndjson")}
    ended = {
        name: (row["status"], row["reason"].partition(":")[0], row["trains"], row["sightings"]) for name, row in rows.items()
    }
    assert ended == {
        "one.mp4": ("done", "", 1, 0),
        "two.mp4": ("done", "", 2, 0),
        "three.mp4": ("done", "", 0, 0),
        "four.mp4": ("failed", "unreadable", 0, 0),
        "zz-again.mp4": ("skipped", "duplicate", 0, 0),
    }
    assert "one.mp4" in rows["zz-again.mp4"]["reason"]
    assert rows["zz-again.mp4"]["sha256"] == rows["one.mp4"]["sha256"]
    assert rows["three.mp4"]["duration_s"] == pytest.approx(1.96)
    assert [Path(result.path).name for result in scanned.summary.failed] == ["four.mp4"]


def test_csv_and_parquet_say_what_ndjson_says(scanned: Scanned) -> None:
    for name, key in (("trains", "train_id"), ("vehicles", "train_id"), ("videos", "video")):
        exact = lines(scanned.run / f"{name}.ndjson")
        with (scanned.run / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            flat = list(csv.DictReader(file))
        nested = pq.read_table(scanned.run / f"{name}.parquet").to_pylist()
        assert [row[key] for row in flat] == [row[key] for row in nested] == [row[key] for row in exact]
        if name == "trains":
            for row, one, two in zip(exact, flat, nested, strict=True):
                counts = {c: interval["count"] for c, interval in row["vehicles"].items()}
                assert {item["class"]: item["count"] for item in two["vehicles"]} == counts
                assert {c: int(one[f"{c}_count"]) for c in counts} == counts
                assert int(one["total_high"]) == two["total"]["high"] == row["total"]["high"]
        if name == "vehicles":
            assert [row["xyxy_px"] for row in nested] == [row["xyxy_px"] for row in exact]
            assert [float(row["x0_px"]) for row in flat] == [row["xyxy_px"][0] for row in exact]


def test_every_picture_that_is_named_is_there(scanned: Scanned) -> None:
    named = [row["strip"] for row in lines(scanned.run / "trains.ndjson")] + [
        row["crop"] for row in lines(scanned.run / "vehicles.ndjson")
    ]
    assert len(named) == 10
    for name in named:
        assert (scanned.run / name).read_bytes().startswith(b"\xff\xd8\xff"), name
    # And nothing lies about that no row names.
    there = {
        p.relative_to(scanned.run).as_posix() for folder in ("strips", "crops") for p in (scanned.run / folder).glob("*.jpg")
    }
    assert there == set(named)


def test_nothing_half_written_is_left(scanned: Scanned) -> None:
    assert [path for path in scanned.run.rglob("*") if path.name.startswith(".")] == []
    assert sorted(path.name for path in scanned.folder.iterdir()) == sorted(
        ["one.mp4", "two.mp4", "three.mp4", "four.mp4", "zz-again.mp4", "notes.txt"]
    )


def copy_of(scanned: Scanned, tmp_path: Path) -> tuple[Path, Path]:
    """Films and run of one's own."""
    shutil.copytree(scanned.run, tmp_path / "run")
    return scanned.folder, tmp_path / "run"


def test_a_second_scan_looks_at_nothing(scanned: Scanned, tmp_path: Path) -> None:
    folder, run = copy_of(scanned, tmp_path)
    detector = scanned.detector.fresh()
    summary = scan_of([folder], run, detector)
    assert detector.looks == 0
    assert detector.closed
    assert table_bytes(run) == table_bytes(scanned.run)
    assert evidence_bytes(run) == evidence_bytes(scanned.run)
    assert len(summary.results) == 5


def test_force_does_all_of_it_again(scanned: Scanned, tmp_path: Path) -> None:
    folder, run = copy_of(scanned, tmp_path)
    (run / "mine.txt").write_text("mine")
    detector = scanned.detector.fresh()
    scan_of([folder], run, detector, force=True)
    assert detector.looks > 40
    assert table_bytes(run) == table_bytes(scanned.run)
    assert (run / "mine.txt").read_text() == "mine"


def test_a_new_file_alone_is_looked_at(scanned: Scanned, tmp_path: Path) -> None:
    folder, run = copy_of(scanned, tmp_path)
    detector = scanned.detector.fresh()
    new, detector, _ = film(tmp_path / "new.mp4", passing("sam"), detector=detector)
    summary = scan_of([folder, new], run, detector)
    assert 0 < detector.looks < 25
    assert len(summary.results) == 6
    assert len(read_trains(RunFolder.open(run))) == 4


def test_a_file_that_was_only_touched_keeps_its_result(scanned: Scanned, tmp_path: Path) -> None:
    path = Path(shutil.copy(scanned.one, tmp_path / "one.mp4"))
    first, second = scanned.detector.fresh(), scanned.detector.fresh()
    scan_of([path], tmp_path / "run", first)
    before = table_bytes(tmp_path / "run")
    os.utime(path, (1, 1))
    scan_of([path], tmp_path / "run", second)
    assert (first.looks > 0, second.looks) == (True, 0)
    assert table_bytes(tmp_path / "run") == before


def test_a_file_whose_content_changed_is_scanned_anew(scanned: Scanned, tmp_path: Path) -> None:
    path = Path(shutil.copy(scanned.one, tmp_path / "film.mp4"))
    scan_of([path], tmp_path / "run", scanned.detector.fresh())
    shutil.copy(scanned.folder / "two.mp4", path)
    detector = scanned.detector.fresh()
    (result,) = scan_of([path], tmp_path / "run", detector).results
    assert detector.looks > 0
    assert len(result.trains) == 2
    assert len(read_videos(RunFolder.open(tmp_path / "run"))) == 1


def test_a_failed_file_is_tried_again_once_it_is_whole(scanned: Scanned, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(scanned.one.read_bytes()[:5000])
    detector = scanned.detector.fresh()
    summary = scan_of([path], tmp_path / "run", detector)
    assert (len(summary.failed), detector.looks) == (1, 0)
    shutil.copy(scanned.one, path)
    summary = scan_of([path], tmp_path / "run", scanned.detector.fresh())
    assert not summary.failed
    assert len(summary.results[0].trains) == 1


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Config(detect=DetectConfig(min_score=0.4)), r"detect\.min_score was 0\.3 and is 0\.4"),
        (Config(motion=MotionConfig(px_per_m=20.0)), r"motion\.px_per_m was None and is 20\.0"),
        (Config(count=CountConfig(interval=0.5)), r"count\.interval was 0\.9 and is 0\.5"),
    ],
)
def test_other_settings_on_a_run_are_refused(scanned: Scanned, tmp_path: Path, config: Config, says: str) -> None:
    _, run = copy_of(scanned, tmp_path)
    detector = scanned.detector.fresh()
    with pytest.raises(OutputError, match=says) as raised:
        scan_of([scanned.one], run, detector, config)
    assert "--force" in str(raised.value)
    assert raised.value.exit_code == 2
    assert detector.closed
    assert table_bytes(run) == table_bytes(scanned.run)


def test_other_weights_on_a_run_are_refused(scanned: Scanned, tmp_path: Path) -> None:
    _, run = copy_of(scanned, tmp_path)
    detector = scanned.detector.fresh()
    detector.weights_sha256 = "0" * 64
    with pytest.raises(OutputError, match="the weights were film"):
        scan_of([scanned.one], run, detector)


def test_without_a_video_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError):
        scan_of([tmp_path / "in"], tmp_path / "run", FilmDetector())
    assert not (tmp_path / "run").exists()


# ---- Counting again ---------------------------------------------------------------------------------------------------------


def test_counting_again_gives_the_same_bytes(scanned: Scanned, tmp_path: Path) -> None:
    _, run = copy_of(scanned, tmp_path)
    summary = count_again(run, config=settings_of(run, None, {}))
    assert table_bytes(run) == table_bytes(scanned.run)
    assert evidence_bytes(run) == evidence_bytes(scanned.run)
    assert [result.status for result in summary.results].count("done") == 3


def test_counting_again_needs_no_films(scanned: Scanned, tmp_path: Path) -> None:
    path = Path(shutil.copy(scanned.one, tmp_path / "one.mp4"))
    scan_of([path], tmp_path / "run", scanned.detector.fresh())
    before = table_bytes(tmp_path / "run")
    path.unlink()
    count_again(tmp_path / "run", config=CONFIG)
    assert table_bytes(tmp_path / "run") == before


def test_a_scale_gives_speeds(scanned: Scanned, tmp_path: Path) -> None:
    _, run = copy_of(scanned, tmp_path)
    assert {row["speed_m_s"] for row in read_trains(RunFolder.open(run))} == {None}
    count_again(run, config=settings_of(run, None, {"motion": {"px_per_m": 8.0}}))
    speeds = [row["speed_m_s"] for row in read_trains(RunFolder.open(run))]
    assert speeds == pytest.approx([15.0] * 3, rel=0.03)
    # And without it they are gone again.
    count_again(run, config=settings_of(run, None, {}))
    assert table_bytes(run) == table_bytes(scanned.run)


def test_a_stricter_count_keeps_no_more(scanned: Scanned, tmp_path: Path) -> None:
    _, run = copy_of(scanned, tmp_path)
    count_again(run, config=settings_of(run, None, {"count": {"min_existence": 1.0}}))
    strict = len(read_vehicles(RunFolder.open(run)))
    assert strict <= 7
    for row in read_vehicles(RunFolder.open(run)):
        assert (run / row["crop"]).is_file()


def test_counting_again_makes_no_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        count_again(tmp_path / "run", config=CONFIG)
    assert not (tmp_path / "run").exists()


# ---- Failures ---------------------------------------------------------------------------------------------------------------


def test_a_model_that_fails_on_one_film_does_not_cost_the_others(scanned: Scanned, tmp_path: Path) -> None:
    detector = scanned.detector.fresh(fail_on=[scanned.one])
    summary = scan_of([scanned.one, scanned.folder / "two.mp4"], tmp_path / "run", detector)
    (failed,) = summary.failed
    assert failed.path == scanned.one
    assert failed.reason == "detector: the model ran out of memory; use a smaller batch"
    assert failed.sha256
    assert len(summary.results[1].trains) == 2
    # Once the model is well, the film is done.
    summary = scan_of([scanned.one, scanned.folder / "two.mp4"], tmp_path / "run", scanned.detector.fresh())
    assert not summary.failed
    assert len(read_trains(RunFolder.open(tmp_path / "run"))) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ZeroDivisionError("oh"), "internal: ZeroDivisionError: oh"), (MemoryError(), "out_of_memory: ")],
)
def test_a_fault_of_ours_on_one_film_does_not_cost_the_others(
    scanned: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.delenv("FLATCAR_DEBUG", raising=False)
    detector = scanned.detector.fresh()
    look, calls = detector.detect, []

    def once_bad(images: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return look(images)

    monkeypatch.setattr(detector, "detect", once_bad)
    summary = scan_of([scanned.one, scanned.folder / "three.mp4"], tmp_path / "run", detector)
    assert [result.status for result in summary.results] == ["failed", "done"]
    assert summary.failed[0].reason.startswith(reason)


class Recorder:
    """Notes what it is told."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self.told: list[Any] = []
        self.times: list[float] = []
        self._stop_at = stop_at

    def begin(self, *, videos: int, done_before: int) -> None:
        self.told.append(("begin", videos, done_before))

    def video(self, path: Path, *, index: int) -> None:
        self.told.append(("video", path.name, index))
        if index == self._stop_at:
            raise KeyboardInterrupt

    def progress(self, done_s: float, *, duration_s: float | None) -> None:
        assert duration_s is not None
        assert 0 <= done_s <= duration_s + 0.05
        self.times.append(done_s)

    def finished(self, result: VideoResult) -> None:
        self.told.append(("finished", result.path.name, result.status))


def test_a_reporter_is_told_how_it_goes(scanned: Scanned, tmp_path: Path) -> None:
    recorder = Recorder()
    scan_of([scanned.one, scanned.folder / "four.mp4"], tmp_path / "run", scanned.detector.fresh(), reporter=recorder)
    assert recorder.told == [
        ("begin", 2, 0),
        ("video", "one.mp4", 0),
        ("finished", "one.mp4", "done"),
        ("video", "four.mp4", 1),
        ("finished", "four.mp4", "failed"),
    ]
    assert recorder.times == sorted(recorder.times)
    assert len(recorder.times) > 5
    again = Recorder()
    scan_of([scanned.one, scanned.folder / "four.mp4"], tmp_path / "run", scanned.detector.fresh(), reporter=again)
    assert again.told[0] == ("begin", 1, 1)


def test_after_ctrl_c_the_tables_hold_what_is_done(scanned: Scanned, tmp_path: Path) -> None:
    paths = [scanned.one, scanned.folder / "two.mp4"]
    with pytest.raises(KeyboardInterrupt):
        scan_of(paths, tmp_path / "run", scanned.detector.fresh(), reporter=Recorder(stop_at=1))
    assert [Path(row["video"]).name for row in read_videos(RunFolder.open(tmp_path / "run"))] == ["one.mp4"]
    detector = scanned.detector.fresh()
    assert len(scan_of(paths, tmp_path / "run", detector).results) == 2


# ---- Killed -----------------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path
import vision.run.scan as scan
from tests.support.films import FilmDetector
from vision.config import Config
memory, run, kill_at, kill_write, *films = sys.argv[1:]
writes = 0
def killing(real):
    def write(*args, **kwargs):
        global writes
        if writes == int(kill_write):
            os.kill(os.getpid(), signal.SIGKILL)
        writes += 1
        return real(*args, **kwargs)
    return write
import vision.run.store as store
if int(kill_write) >= 0:
    for name, module in list(sys.modules.items()):
        if name.startswith("vision.") and getattr(module, "atomic_write", None) is store.atomic_write and module is not store:
            module.atomic_write = killing(store.atomic_write)
    store.atomic_write = killing(store.atomic_write)
    scan.Ledger.finish = killing(scan.Ledger.finish)
detector = FilmDetector.load(Path(memory), kill_at=None if int(kill_at) < 0 else int(kill_at))
scan.scan([Path(f) for f in films], Path(run), config=Config(), detector_factory=lambda: detector)
print(detector.looks)
"""


def scan_elsewhere(memory: Path, run: Path, films: Sequence[Path], *, look: int = -1, write: int = -1) -> int | None:
    """A scan in a process of its own that is killed at a look, or at a write; how often it looked, or None when it was killed."""
    command = [sys.executable, "-c", CHILD, str(memory), str(run), str(look), str(write), *map(str, films)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def assert_resumes(scanned: Scanned, tmp_path: Path, **kill: int) -> None:
    films = [scanned.one, scanned.folder / "two.mp4", scanned.folder / "three.mp4"]
    memory = scanned.detector.save(tmp_path / "memory")
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert scan_elsewhere(memory, run, films, **kill) is None, "it was not killed"
    detector = scanned.detector.fresh()
    scan_of(films, run, detector)
    uninterrupted = scanned.detector.fresh()
    scan_of(films, whole, uninterrupted)
    assert table_bytes(run) == table_bytes(whole)
    assert evidence_bytes(run) == evidence_bytes(whole)
    assert detector.looks <= uninterrupted.looks
    with Ledger.open(run, create=False) as ledger:
        assert {row.status for row in ledger.rows()} == {"done"}
    if kill.get("look", 0) > 20:
        assert detector.looks < uninterrupted.looks, "what was done was done again"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("kill", [{"look": 30}])
def test_killed_in_the_middle_it_goes_on(scanned: Scanned, tmp_path: Path, kill: dict[str, int]) -> None:
    assert_resumes(scanned, tmp_path, **kill)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "kill", [{"look": 0}, {"look": 7}, {"look": 40}, *({"write": n} for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 18, 20, 22))]
)
def test_killed_anywhere_it_goes_on(scanned: Scanned, tmp_path: Path, kill: dict[str, int]) -> None:
    assert_resumes(scanned, tmp_path, **kill)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_while_one_scan_runs_another_is_refused(scanned: Scanned, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run"), pytest.raises(OutputError, match="another flatcar"):
        scan_of([scanned.one], tmp_path / "run", scanned.detector.fresh())


def test_a_result_that_went_missing_is_named(scanned: Scanned, tmp_path: Path) -> None:
    _, run = copy_of(scanned, tmp_path)
    with sqlite3.connect(run / "ledger.sqlite") as connection:
        (sha256,) = connection.execute("SELECT sha256 FROM inputs WHERE path LIKE '%two.mp4'").fetchone()
    (run / "results" / f"{sha256[:16]}.json").unlink()
    summary = scan_of([scanned.folder], run, scanned.detector.fresh())
    assert {result.reason.partition(":")[0] for result in summary.failed} == {"unreadable", "result_missing"}
    # Counting again makes it from what was observed.
    summary = count_again(run, config=CONFIG)
    assert [result.path.name for result in summary.failed] == ["four.mp4"]
    assert table_bytes(run) == table_bytes(scanned.run)
