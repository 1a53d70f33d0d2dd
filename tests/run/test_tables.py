from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.results import SHA, make_passage, make_result, make_train, make_vehicle
from vision.errors import TruthError
from vision.run.crops import write_crop
from vision.run.store import TABLE_FORMATS, TABLES, RunFolder
from vision.run.tables import (
    Evidence,
    class_order,
    crop_name,
    find_evidence,
    number,
    read_trains,
    read_vehicles,
    read_videos,
    strip_path,
    train_ids,
    train_rows,
    vehicle_rows,
    video_rows,
    write_tables,
)
from vision.types import Interval, VideoResult

NAN = float("nan")


def later(start_s: float, **fields: Any):
    return make_train("bmp", passage=make_passage(start_s=start_s, **fields))


@pytest.fixture
def run(tmp_path: Path):
    with RunFolder.create(tmp_path / "run") as run:
        yield run


def test_rows_keep_the_contract() -> None:
    """The golden rows: a change here breaks those who read the tables."""
    passage = make_passage(start_s=1.23456, tail_seen=False, flags=("passage_flag",))
    train = make_train("tank", "tank", "uaz", passage=passage, wagons=Interval(9, 8, 9), speed_m_s=8.3333, flags=("doubt",))
    results = [
        make_result(train, sightings=2),
        VideoResult(Path("b.mp4"), "", "failed", "unreadable: it is empty"),
    ]
    evidence = Evidence({"3f5a3f5a-0-0": "strips/x.jpg"}, {("3f5a3f5a-0-0", 1): "crops/y.jpg"})
    assert train_rows(results, evidence) == [
        {
            "train_id": "3f5a3f5a-0-0",
            "video": "clips/a.mp4",
            "sha256": SHA,
            "start_s": 1.235,
            "end_s": 3.195,
            "direction": "left",
            "vehicles": {"tank": {"count": 2, "low": 1, "high": 3}, "uaz": {"count": 1, "low": 0, "high": 2}},
            "total": {"count": 2, "low": 1, "high": 3},
            "complete": {"head": True, "tail": False},
            "wagons": {"count": 9, "low": 8, "high": 9},
            "speed_m_s": 8.33,
            "flags": ["doubt"],
            "strip": "strips/x.jpg",
            "reviewed": None,
        }
    ]
    rows = vehicle_rows(results, evidence)
    assert rows[1] == {
        "train_id": "3f5a3f5a-0-0",
        "index": 1,
        "class": "tank",
        "parent": "tank",
        "score": 0.97,
        "position_px": 360.0,
        "looks": 7,
        "pts_s": 1.64,
        "xyxy_px": [200.0, 120.0, 360.0, 220.0],
        "crop": "crops/y.jpg",
        "verdict": None,
    }
    assert [row["crop"] for row in rows] == [None, "crops/y.jpg", None]
    assert video_rows(results) == [
        {"video": "b.mp4", "sha256": "", "status": "failed", "reason": "unreadable: it is empty", "duration_s": None, "trains": 0,
         "sightings": 0},
        {"video": "clips/a.mp4", "sha256": SHA, "status": "done", "reason": "", "duration_s": 60.0, "trains": 1, "sightings": 2},
    ]  # fmt: skip


def test_order_and_names_do_not_depend_on_the_order_of_the_trains() -> None:
    first, second, third = later(5), later(9), later(1, shot_index=2)
    a = make_result(second, first, third, path="z.mp4")
    b = make_result(later(4), path="a.mp4", sha256="b" * 64)
    assert train_ids(a) == ("3f5a3f5a-0-1", "3f5a3f5a-0-0", "3f5a3f5a-2-0")
    rows = train_rows([a, b])
    assert [row["train_id"] for row in rows] == ["bbbbbbbb-0-0", "3f5a3f5a-2-0", "3f5a3f5a-0-0", "3f5a3f5a-0-1"]
    assert train_rows([b, make_result(third, first, second, path="z.mp4")]) == rows


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(None, 2, None), (NAN, 2, None), (float("-inf"), 2, None), (-0.001, 2, 0.0), (1.23456, 3, 1.235), (2, 1, 2.0)],
)
def test_number(value: float | None, digits: int, expected: float | None) -> None:
    assert str(number(value, digits)) == str(expected)


def test_classes_stand_in_the_order_of_the_taxonomy() -> None:
    names = ["zeppelin", "uaz", "car", "btr", "apc", "tank", "bmp", "ifv", "airship"]
    assert class_order(names) == ["tank", "ifv", "bmp", "apc", "btr", "car", "uaz", "airship", "zeppelin"]


def test_tables_read_back(run: RunFolder) -> None:
    results = [make_result(make_train("tank", "bmp")), make_result(later(2), path="поезд\udcff\n.mp4", sha256="c" * 64)]
    write_tables(run, results)
    assert read_trains(run) == train_rows(results)
    assert read_vehicles(run) == vehicle_rows(results)
    assert read_videos(run) == video_rows(results)


def test_writing_twice_gives_the_same_bytes(run: RunFolder) -> None:
    results = [make_result(make_train("tank", "bmp"))]
    files = [run.path / f"{name}.{form}" for name in TABLES for form in TABLE_FORMATS]
    write_tables(run, results)
    first = [file.read_bytes() for file in files]
    write_tables(run, results)
    assert [file.read_bytes() for file in files] == first


def test_no_number_is_nan(run: RunFolder) -> None:
    vehicle = make_vehicle(score=NAN, xyxy_px=(NAN, 0.0, 1.0, 1.0))
    write_tables(run, [make_result(make_train(vehicles=(vehicle,), speed_m_s=NAN), duration_s=float("inf"))])
    for name in TABLES:
        for line in (run.path / f"{name}.ndjson").read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_csv_columns(run: RunFolder) -> None:
    results = [
        make_result(make_train("tank", "bmp", flags=("a", "b"))),
        make_result(later(2, head_seen=False), path="=cmd|' /C calc'!A0", sha256="c" * 64),
    ]
    write_tables(run, results)
    with (run.path / "trains.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "train_id", "video", "sha256", "start_s", "end_s", "direction", "total_count", "total_low", "total_high",
        "complete_head", "complete_tail", "wagons_count", "wagons_low", "wagons_high", "speed_m_s", "flags", "strip",
        "reviewed_verdicts", "reviewed_machine_count",
        "tank_count", "tank_low", "tank_high", "bmp_count", "bmp_low", "bmp_high",
    ]  # fmt: skip
    assert rows[0]["video"] == "'=cmd|' /C calc'!A0"
    assert (rows[0]["tank_count"], rows[0]["complete_head"], rows[0]["wagons_count"]) == ("", "false", "")
    assert (rows[1]["tank_count"], rows[1]["tank_low"], rows[1]["flags"]) == ("1", "0", "a;b")
    with (run.path / "vehicles.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["x1_px"] == "360.0"


def test_parquet_nests(run: RunFolder) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write_tables(run, [make_result(make_train("tank", "bmp"))])
    (row,) = pq.read_table(run.path / "trains.parquet").to_pylist()
    assert row["vehicles"] == [
        {"class": "tank", "count": 1, "low": 0, "high": 2},
        {"class": "bmp", "count": 1, "low": 0, "high": 2},
    ]
    assert row["wagons"] is None
    assert row["complete"] == {"head": True, "tail": True}
    vehicles = pq.read_table(run.path / "vehicles.parquet").to_pylist()
    assert vehicles == vehicle_rows([make_result(make_train("tank", "bmp"))])


def test_a_run_without_trains(run: RunFolder) -> None:
    write_tables(run, [])
    assert read_trains(run) == read_vehicles(run) == read_videos(run) == []
    assert (run.path / "trains.csv").read_text().startswith("train_id,video,")
    pq = pytest.importorskip("pyarrow.parquet")
    assert pq.read_table(run.path / "trains.parquet").column_names[0] == "train_id"


def test_evidence_is_found_by_name(run: RunFolder) -> None:
    import numpy as np

    result = make_result(make_train("tank", "bmp"))
    (train_id,) = train_ids(result)
    vehicle = result.trains[0].vehicles[1]
    crop = write_crop(run, np.zeros((360, 640, 3), np.uint8), vehicle.xyxy_px, crop_name(result.sha256, vehicle))
    (run.path / strip_path(train_id)).write_bytes(b"x")
    assert find_evidence(run, [result]) == Evidence({train_id: strip_path(train_id)}, {(train_id, 1): crop})
    write_tables(run, [result])
    assert [row["crop"] for row in read_vehicles(run)] == [None, crop]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read"),
        ("{}\n", r"trains\.ndjson:1: train_id, video, .*strip missing"),
        ("{oops}\n", r"trains\.ndjson:3: not a line of JSON"),
        ("[1]\n", r"trains\.ndjson:3: expected an object, not list"),
        ("\xff\n", r"trains\.ndjson:3: not a line of JSON"),
        ('{"train_id": "cut of', r"trains\.ndjson:3: not a line of JSON"),
    ],
)
def test_a_broken_table_is_named_with_its_line(run: RunFolder, text: str | None, says: str) -> None:
    write_tables(run, [make_result(make_train("tank"))])
    path = run.path / "trains.ndjson"
    good = path.read_bytes()
    if text is None:
        path.unlink()
    elif text == "{}\n":
        path.write_bytes(b"{}\n")
    else:
        path.write_bytes(good + b"\n" + text.encode("latin-1"))
    with pytest.raises(TruthError, match=says):
        read_trains(run)
