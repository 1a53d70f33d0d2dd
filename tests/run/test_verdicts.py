"""The table of verdicts, and what it does to counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.results import SHA, make_passage, make_result
from vision.errors import TruthError
from vision.run.along import head_px, s_of
from vision.run.reviewed import FLAG, apply_verdicts
from vision.run.store import RunFolder
from vision.run.verdicts import (
    KINDS,
    Kind,
    Place,
    Verdict,
    append_verdicts,
    read_verdicts,
    verdict_id,
    write_verdict_tables,
)
from vision.taxonomy import default_taxonomy
from vision.types import Interval, Passage, Train, Vehicle

WIDTH_PX = 160.0


def train_of(places: dict[float, str], passage: Passage | None = None) -> Train:
    """A train with vehicles of these classes at these positions; each best look shows it in the middle of the picture."""
    passage = passage or make_passage(frames=500)
    sign = -1 if passage.direction == "right" else 1
    vehicles = []
    for index, (position_px, name) in enumerate(sorted(places.items())):
        s_px = sign * position_px
        at = int(np.argmin(np.abs(passage.displacement_px - (320 - s_px))))
        x_px, pts_s = s_px + float(passage.displacement_px[at]), float(passage.pts_s[at])
        box = (x_px - WIDTH_PX / 2, 120.0, x_px + WIDTH_PX / 2, 220.0)
        parent = default_taxonomy().parent_of(name)
        vehicles.append(Vehicle(index, name, parent, 0.9, position_px, WIDTH_PX, 6, 8, round(pts_s * 1000), pts_s, box))
    military = sum(default_taxonomy().is_military(name) for name in places.values())
    names = list(places.values())
    counts = {n: Interval(names.count(n), max(0, names.count(n) - 1), names.count(n) + 1) for n in sorted(set(names))}
    return Train(passage, tuple(vehicles), counts, Interval(military, max(0, military - 2), military + 2))


def place(train: Train, position_px: float, name: str, *, width_px: float = WIDTH_PX, reach_px: float = 70.0) -> Place:
    sign = -1 if train.passage.direction == "right" else 1
    s_px = head_px(train) + sign * position_px
    pts_s = float(train.passage.pts_s[np.argmin(np.abs(train.passage.displacement_px - (320 - s_px)))])
    x_px = s_px + float(train.passage.displacement_at(pts_s))
    box = (x_px - width_px / 2, 120.0, x_px + width_px / 2, 220.0)
    return Place(name, x_px, round(pts_s * 1000), pts_s, width_px, reach_px, position_px, box)


def verdict(kind: Kind, train: Train, before: tuple[Place, ...] = (), after: tuple[Place, ...] = (), who: str = "ann") -> Verdict:
    span = (train.passage.start_s, train.passage.end_s)
    blank = Verdict("", kind, who, "2026-01-02T03:04:05+00:00", f"{SHA[:8]}-0-0", SHA, *span, before, after)
    return replace(blank, id=verdict_id(blank, state=0))


def stands(train: Train) -> list[tuple[float, str, str]]:
    return [(round(v.position_px), v.class_name, v.verdict) for v in train.vehicles]


TRAIN = train_of({500: "tank", 800: "btr", 1100: "bmp", 1400: "truck"})


def p(position_px: float, name: str, **fields: float) -> Place:
    return place(TRAIN, position_px, name, **fields)


ONE_OF_EACH = {
    "confirm": (verdict("confirm", TRAIN, (p(500, "tank"),), (p(500, "tank"),)), [(500, "tank", "confirmed")], 4),
    "reclass": (verdict("reclass", TRAIN, (p(800, "btr"),), (p(800, "mtlb"),)), [(800, "mtlb", "reclassed")], 4),
    "reject": (verdict("reject", TRAIN, (p(1100, "bmp"),)), [], 3),
    "to a car": (verdict("reclass", TRAIN, (p(1400, "truck"),), (p(1400, "civil_car"),)), [(1400, "civil_car", "reclassed")], 3),
    "add": (verdict("add", TRAIN, (), (p(1700, "tank"),)), [(1700, "tank", "added")], 5),
    "merge": (
        verdict("merge", TRAIN, (p(800, "btr"), p(1100, "bmp")), (p(950, "btr", width_px=400.0),)),
        [(950, "btr", "merged")],
        3,
    ),
    "split": (
        verdict("split", TRAIN, (p(500, "tank"),), (p(460, "tank", reach_px=30.0), p(540, "tank", reach_px=30.0))),
        [(460, "tank", "split"), (540, "tank", "split")],
        5,
    ),
}


@pytest.mark.parametrize(("said", "marked", "total"), ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_each_verdict_changes_what_it_says_and_nothing_else(said: Verdict, marked: list[object], total: int) -> None:
    reviewed = apply_verdicts([make_result(TRAIN)], [said])
    (train,) = reviewed.results[0].trains
    assert [stand for stand in stands(train) if stand[2]] == marked
    assert train.total.count == total
    assert [v.index for v in train.vehicles] == list(range(len(train.vehicles)))
    untouched = {s for s in stands(TRAIN) if all(abs(s[0] - q.position_px) > 70 for q in (*said.before, *said.after))}
    assert untouched <= set(stands(train))
    assert train.reviewed is not None
    assert (train.reviewed.verdicts, train.reviewed.machine_count) == (1, 4)
    assert [o.state for o in reviewed.outcomes] == ["applied"]
    assert reviewed.machine[0].trains == (TRAIN,)


def test_every_kind_was_tried() -> None:
    assert {said.kind for said, _, _ in ONE_OF_EACH.values()} == set(KINDS)


def test_without_verdicts_nothing_changes() -> None:
    result = make_result(TRAIN)
    assert apply_verdicts([result], []).results == (result,)


def test_bounds_follow_what_a_person_looked_at() -> None:
    everything = [verdict("confirm", TRAIN, (q,), (q,)) for q in (p(v.position_px, v.class_name) for v in TRAIN.vehicles)]
    (train,) = apply_verdicts([make_result(TRAIN)], everything).results[0].trains
    assert train.total == Interval(4, 4, 6), "who was confirmed is certain; what was not seen stays open"
    (train,) = apply_verdicts([make_result(TRAIN)], [*everything, ONE_OF_EACH["add"][0]]).results[0].trains
    assert train.total == Interval(5, 5, 6), "the added one was among those that were not seen"


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_verdict_finds_its_vehicle_after_everything_was_measured_anew(direction: str) -> None:
    """Another zero of the motion, another head, another best look, other neighbours: the place stays."""
    side = 1 if direction == "right" else -1
    passage = make_passage(frames=500, direction=direction, displacement_px=side * 200.0 * np.arange(500) / 25)
    before = train_of({500: "tank", 800: "btr", 1100: "bmp"}, passage)
    said = verdict("reject", before, (place(before, 800, "btr"),))
    shifted = replace(passage, displacement_px=passage.displacement_px + 333.0, pts_s=passage.pts_s)
    s_px = {v.class_name: s_of(before, v) for v in before.vehicles}
    after = train_of({}, shifted)
    vehicles = []
    for index, name in enumerate(("tank", "btr", "bmp")):  # the head is found 90 px further on, centres 15 px off
        old = next(v for v in before.vehicles if v.class_name == name)
        at_s = old.pts_s + 0.2
        x_px = s_px[name] + 15 + float(passage.displacement_at(at_s))
        box = (x_px - 80, 100.0, x_px + 80, 200.0)
        vehicles.append(replace(old, index=index, position_px=old.position_px + 90, pts_s=at_s, xyxy_px=box))
    after = replace(after, vehicles=tuple(vehicles), total=Interval(3, 3, 3))
    (train,) = apply_verdicts([make_result(after)], [said]).results[0].trains
    assert [v.class_name for v in train.vehicles] == ["tank", "bmp"]


def test_a_persons_vehicle_stays_when_the_machine_counts_it_no_more() -> None:
    said = [ONE_OF_EACH[kind][0] for kind in ("confirm", "reject", "split")]
    less = train_of({800: "btr", 1400: "truck"})
    less = replace(less, passage=TRAIN.passage)
    reviewed = apply_verdicts([make_result(less)], [said[0], said[1]])
    (train,) = reviewed.results[0].trains
    assert stands(train) == [(500, "tank", "confirmed"), (800, "btr", ""), (1400, "truck", "")]
    assert [o.state for o in reviewed.outcomes] == ["restored", "moot"]
    assert all("ann" in o.sentence and f"{SHA[:8]}-0-0" in o.sentence for o in reviewed.lost)
    assert FLAG in train.flags


def test_what_was_added_is_not_counted_twice_when_the_machine_sees_it_later() -> None:
    more = train_of({500: "tank", 800: "btr", 1100: "bmp", 1400: "truck", 1690: "bmd"})
    (train,) = apply_verdicts([make_result(more)], [ONE_OF_EACH["add"][0]]).results[0].trains
    assert stands(train)[-1] == (1700, "tank", "added")
    assert train.total.count == 5


def test_the_train_is_gone() -> None:
    reviewed = apply_verdicts([make_result(), make_result(TRAIN, sha256="b" * 64)], [ONE_OF_EACH["reject"][0]])
    assert [o.state for o in reviewed.outcomes] == ["no_train"]
    assert "not in the run any more" in reviewed.lost[0].sentence
    assert reviewed.results[1].trains == (TRAIN,)


@given(st.lists(st.sampled_from(sorted(ONE_OF_EACH)), max_size=7, unique=True))
def test_counts_add_up_in_any_order(kinds: list[str]) -> None:
    (train,) = apply_verdicts([make_result(TRAIN)], [ONE_OF_EACH[kind][0] for kind in kinds]).results[0].trains
    assert sum(interval.count for interval in train.counts.values()) == len(train.vehicles)
    assert train.total.count == sum(default_taxonomy().is_military(v.class_name) for v in train.vehicles)
    positions = [v.position_px for v in train.vehicles]
    assert positions == sorted(positions)


# ---- The table --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def test_lines_are_only_ever_added(run: RunFolder) -> None:
    first, second = ONE_OF_EACH["confirm"][0], ONE_OF_EACH["reject"][0]
    assert append_verdicts(run, [first]) == (first,)
    before = (run.path / "verdicts.ndjson").read_bytes()
    assert append_verdicts(run, [first, second, second]) == (second,)
    after = (run.path / "verdicts.ndjson").read_bytes()
    assert after.startswith(before)
    assert append_verdicts(run, [first, second]) == ()
    assert (run.path / "verdicts.ndjson").read_bytes() == after
    again = read_verdicts(run)
    assert [(v.kind, v.who, v.id) for v in again] == [(v.kind, v.who, v.id) for v in (first, second)]
    assert again[0].before[0].column_px == pytest.approx(first.before[0].column_px, abs=0.05)


def test_a_change_of_mind_is_another_verdict() -> None:
    said = ONE_OF_EACH["confirm"][0]
    assert verdict_id(said, state=0) != verdict_id(said, state=3)
    assert verdict_id(replace(said, who="bob", when=""), state=0) == said.id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"verdict": "maybe"}, "no verdict 'maybe'"),
        ({"after": []}, "0 vehicles after"),
        ({"before": []}, "0 vehicles before"),
        ({"start_s": None}, "TypeError"),
        ({"who": ...}, "KeyError"),
    ],
)
def test_a_damaged_line_is_named(run: RunFolder, change: dict[str, object], says: str) -> None:
    append_verdicts(run, [ONE_OF_EACH["confirm"][0]])
    path = run.path / "verdicts.ndjson"
    row = {k: v for k, v in (json.loads(path.read_text()) | change).items() if v is not ...}
    path.write_text(path.read_text() + json.dumps(row) + "\n")
    with pytest.raises(TruthError, match=r"verdicts\.ndjson:2") as caught:
        read_verdicts(run)
    assert says in str(caught.value)


def test_a_class_outside_the_taxonomy_is_refused_and_nothing_is_written(run: RunFolder) -> None:
    good, bad = ONE_OF_EACH["confirm"][0], verdict("add", TRAIN, (), (p(1700, "zeppelin"),))
    with pytest.raises(TruthError, match="zeppelin"):
        append_verdicts(run, [good, bad])
    assert read_verdicts(run) == ()


def test_tables_say_what_came_of_each(run: RunFolder) -> None:
    import pyarrow.parquet as pq

    said = [ONE_OF_EACH["merge"][0], verdict("reject", TRAIN, (p(500, "tank"),), who="=1+1")]
    write_verdict_tables(run, said, {said[0].id: "applied", said[1].id: "moot"})
    rows = pq.read_table(run.path / "verdicts.parquet").to_pylist()
    assert [row["state"] for row in rows] == ["applied", "moot"]
    assert [place["class"] for place in rows[0]["before"]] == ["btr", "bmp"]
    text = (run.path / "verdicts.csv").read_text().splitlines()
    assert "btr;bmp" in text[1]
    assert "'=1+1" in text[2]


def test_a_forced_scan_does_not_remove_verdicts(run: RunFolder) -> None:
    append_verdicts(run, [ONE_OF_EACH["confirm"][0]])
    run.close()
    with RunFolder.create(run.path, force=True) as again:
        assert len(read_verdicts(again)) == 1
