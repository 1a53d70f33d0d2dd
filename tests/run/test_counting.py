"""From what was observed to a result: the same numbers after storing, one reason for each loss, standing trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.results import make_passage, make_raw, make_record
from tests.support.scripted_trains import CLASS_NAMES, Script, scripted_scene
from vision.config import Config, CountConfig, MotionConfig
from vision.motion.passages import BRIEF, STANDING
from vision.run.counting import STANDING_MIN_VEHICLES, count_video
from vision.run.results import result_from_json, result_to_json
from vision.run.store import RawVideo, RunFolder, load_raw, save_raw
from vision.run.tables import train_rows, vehicle_rows
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Dropped, Look, VideoResult

CONFIG = Config()
WH_PX = (1280, 720)


def counted(raw: RawVideo, config: Config = CONFIG) -> VideoResult:
    return count_video(raw, duration_s=60.0, config=config, taxonomy=default_taxonomy())


def raw_of(*scripts: Script, gap_s: float = 5.0) -> RawVideo:
    """Trains by script, one after the other."""
    passages, looks = [], []
    start_s = 0.0
    for script in scripts:
        scene = scripted_scene(script)
        own = scene.passage
        passages.append(replace(own, start_s=start_s, end_s=start_s + own.end_s, pts_s=start_s + own.pts_s))
        looks += [replace(x, pts=round((start_s + x.pts_s) * 1000), pts_s=start_s + x.pts_s) for x in scene.looks]
        start_s = passages[-1].end_s + gap_s
    record = make_record(width_px=WH_PX[0], height_px=WH_PX[1])
    return RawVideo(record, CLASS_NAMES, tuple(passages), tuple(looks))


CLEAN: dict[str, Any] = {"hard": 0.0, "easy_rate": 1.0, "false": 0.0, "class_flicker": 0.0, "doubles": 0.0, "merged": 0.0}


def standing_raw(vehicles: int, *, looks: int = 4, flag: str = STANDING) -> RawVideo:
    """A still picture of one shot with vehicles side by side."""
    width = WH_PX[0] / max(1, vehicles)
    boxes = [[i * width + 20, 300, (i + 1) * width - 20, 400] for i in range(vehicles)]
    found = Detections.of(boxes, [0.9] * vehicles, [CLASS_NAMES.index("tank")] * vehicles)
    passage = make_passage(
        frames=100,
        start_s=0.0,
        displacement_px=np.zeros(100),
        direction="still",
        flags=(flag,),
        speed_px_s=0.0,
        length_px=0.0,
        head_seen=False,
        tail_seen=False,
        view_x_px=(0.0, float(WH_PX[0])),
        band_y_px=(0.0, float(WH_PX[1])),
    )
    record = make_record(width_px=WH_PX[0], height_px=WH_PX[1])
    return RawVideo(record, CLASS_NAMES, (passage,), tuple(Look(i, float(i), found) for i in range(looks)))


@pytest.mark.parametrize(("vehicles", "trains", "sightings"), [(0, 0, 0), (1, 0, 1), (STANDING_MIN_VEHICLES, 1, 0), (4, 1, 0)])
def test_two_standing_vehicles_make_a_train_and_one_is_a_sighting(vehicles: int, trains: int, sightings: int) -> None:
    result = counted(standing_raw(vehicles))
    assert (len(result.trains), result.sightings) == (trains, sightings)
    for train in result.trains:
        assert train.total.count == vehicles
        assert train.passage.direction == "still"
        assert STANDING in train.flags


@pytest.mark.parametrize(("vehicles", "trains"), [(0, 0), (1, 1), (3, 1)])
def test_a_brief_train_is_one_if_it_carries_a_vehicle(vehicles: int, trains: int) -> None:
    assert len(counted(standing_raw(vehicles, flag=BRIEF)).trains) == trains


def test_what_moves_is_a_train_however_little_it_carries() -> None:
    raw = make_raw(looks=())
    result = counted(raw)
    assert [train.total.count for train in result.trains] == [0, 0]
    assert result.sightings == 0


def test_trains_do_not_see_each_others_looks() -> None:
    scripts = [Script(vehicles=n, seed=n, **CLEAN) for n in (3, 5, 4)]
    result = counted(raw_of(*scripts))
    assert [train.total.count for train in result.trains] == [3, 5, 4]
    assert "outside_passage" not in {drop.reason for drop in result.dropped}
    alone = [counted(raw_of(script)).trains[0] for script in scripts]
    assert [train.counts for train in result.trains] == [train.counts for train in alone]


def test_looks_come_in_any_order() -> None:
    raw = raw_of(Script(vehicles=6, seed=3))
    turned = replace(raw, looks=tuple(reversed(raw.looks)))
    assert vehicle_rows([counted(turned)]) == vehicle_rows([counted(raw)])


def test_the_file_is_named_and_the_time_kept() -> None:
    raw = make_raw()
    result = counted(raw)
    assert (result.path, result.sha256, result.status, result.reason) == (raw.record.path, raw.record.sha256, "done", "")
    assert result.duration_s == 60.0


def test_losses_are_summed_by_reason_and_those_of_trains_keep_their_times() -> None:
    dropped = (
        Dropped("frame", "corrupt", 2, 3.5),
        Dropped("detection", "low", 1, 1.0),
        Dropped("detection", "low", 4, 2.0),
        Dropped("train", "too_short", 1, 7.0),
        Dropped("train", "too_short", 1, 9.0),
        Dropped("shot", "too_short", 1, 9.0),
    )
    result = counted(make_raw(passages=(), looks=(), dropped=dropped))
    assert result.dropped == (
        Dropped("frame", "corrupt", 2, 3.5),
        Dropped("detection", "low", 5, 1.0),
        Dropped("train", "too_short", 1, 7.0),
        Dropped("train", "too_short", 1, 9.0),
        Dropped("shot", "too_short", 1, 9.0),
    )


@pytest.mark.parametrize(("px_per_m", "speed_m_s"), [(None, None), (30.0, 1.0), (15.0, 2.0)])
def test_a_scale_gives_a_speed(px_per_m: float | None, speed_m_s: float | None) -> None:
    raw = raw_of(Script(vehicles=5, seed=1, px_per_m=30.0, **CLEAN))
    own_m_s = raw.passages[0].speed_px_s / 30.0
    (train,) = counted(raw, Config(motion=MotionConfig(px_per_m=px_per_m))).trains
    assert train.speed_m_s == (None if speed_m_s is None else pytest.approx(speed_m_s * own_m_s, rel=1e-6))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), vehicles=st.integers(1, 8), direction=st.sampled_from(["left", "right"]))
def test_storing_in_between_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, vehicles: int, direction: str
) -> None:
    """A scan counts what it has in memory, counting again what lies in the run: to the last digit the same."""
    raw = raw_of(Script(vehicles=vehicles, seed=seed, direction=direction))
    with RunFolder.create(tmp_path_factory.mktemp("run")) as run:
        save_raw(run, raw)
        first, again = counted(raw), counted(load_raw(run, raw.record.sha256))
    assert train_rows([again]) == train_rows([first])
    assert vehicle_rows([again]) == vehicle_rows([first])
    stored = result_from_json(result_to_json(first))
    assert vehicle_rows([stored]) == vehicle_rows([first])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), low=st.floats(0.05, 0.95), more=st.floats(0, 0.9))
def test_a_stricter_count_finds_no_more(seed: int, low: float, more: float) -> None:
    raw = raw_of(Script(vehicles=6, seed=seed, hard=0.4))
    found = []
    for least in (low, min(1.0, low + more)):
        (train,) = counted(raw, Config(count=CountConfig(min_existence=least))).trains
        found.append(len(train.vehicles))
        assert train.total.low <= train.total.count <= train.total.high
        assert sum(interval.count for interval in train.counts.values()) == len(train.vehicles)
    assert found[1] <= found[0]


def test_the_result_does_not_depend_on_where_the_file_lies() -> None:
    raw = raw_of(Script(vehicles=4, seed=2))
    moved = replace(raw, record=replace(raw.record, path=Path("elsewhere/b.mp4")))
    first, second = counted(raw), counted(moved)
    assert second.path == Path("elsewhere/b.mp4")
    assert vehicle_rows([first]) == vehicle_rows([second])
