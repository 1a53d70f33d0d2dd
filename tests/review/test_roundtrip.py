"""The sample clip through the real FiftyOne and its real database, and back."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.review.conftest import SAMPLE
from vision.config import load_config
from vision.errors import InputError, OutputError, ReviewError, TruthError
from vision.review.apply import apply_review, open_review
from vision.review.dataset import FIELD, STRIP, VIEWS, dataset_name
from vision.review.export import export_verified
from vision.run.ledger import Ledger
from vision.run.scan import count_again, scan
from vision.run.store import RunFolder
from vision.run.tables import read_trains, read_vehicles
from vision.run.verdicts import KINDS, read_verdicts

pytestmark = [pytest.mark.review, pytest.mark.slow, pytest.mark.timeout(900)]


def digests(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.rglob("*")
        if path.is_file() and path.name != "lock.sqlite"
    }


def strip_of(dataset: Any) -> Any:
    return dataset.select_group_slices(STRIP).first()


def by_number(dataset: Any) -> list[Any]:
    return sorted((d for d in strip_of(dataset)[FIELD].detections if d.vehicle), key=lambda d: d.vehicle)


def alike(run_dir: Path, first: int) -> int:
    """Number of a vehicle whose next neighbour is of the same kind, from ``first`` on: those two may be one."""
    parents = [v["parent"] for v in read_vehicles(RunFolder.open(run_dir))]
    return next(n for n in range(first, len(parents)) if parents[n - 1] == parents[n])


def tag(dataset: Any, tag: str, *numbers: int) -> None:
    """As the App does it: labels are selected and tagged."""
    ids = [str(by_number(dataset)[n - 1].id) for n in numbers]
    dataset.select_group_slices(STRIP).select_labels(ids=ids, fields=FIELD).tag_labels(tag, label_fields=FIELD)


def test_the_review_set_is_what_was_asked_for(fo: Any, run_dir: Path) -> None:
    opened = open_review(fo, run_dir)
    dataset = opened.dataset
    (row,) = read_trains(RunFolder.open(run_dir))
    vehicles = read_vehicles(RunFolder.open(run_dir))
    assert (opened.trains, opened.notes, opened.pending) == (1, (), False)
    assert (dataset.media_type, dataset.persistent, dataset.default_group_slice) == ("group", True, STRIP)
    strip = strip_of(dataset)
    assert strip.filepath == str((run_dir / row["strip"]).resolve())
    shown = [(d.label, d.parent, d.vehicle - 1, round(d.position_px, 1), round(d.score, 3)) for d in by_number(dataset)]
    assert shown == [(v["class"], v["parent"], v["index"], v["position_px"], v["score"]) for v in vehicles]
    assert all(0 <= edge <= 1 for d in by_number(dataset) for edge in d.bounding_box)
    assert (strip["count"], strip.low, strip.high) == tuple(row["total"].values())
    assert (strip.video, strip.sha256, strip.head_seen) == (row["video"], row["sha256"], row["complete"]["head"])

    looks = [s for s in dataset.select_group_slices() if s.kind == "look"]
    assert len({s.group.id for s in [strip, *looks]}) == 1
    assert {d.vehicle for s in looks for d in s[FIELD].detections} == {v["index"] + 1 for v in vehicles}
    for look in looks:
        assert Path(look.filepath).is_file()
        assert not look.from_crops
        assert look.pts_s * 90000 == pytest.approx(look.pts, abs=1)
    assert set(dataset.list_saved_views()) == {name for name, _ in VIEWS}
    sizes = {name: len(dataset.load_saved_view(name)) for name, _ in VIEWS}
    assert sizes["counts least certain"] == 1
    assert sizes["crops"] >= len(vehicles)
    assert sizes["reposts"] == sizes["covered"] == sizes["decided, not applied"] == 0
    assert dataset.app_config.color_scheme.fields[0]["valueColors"]
    assert FIELD in dataset.label_schemas


def test_one_verdict_of_each_kind(fo: Any, run_dir: Path, tmp_path: Path) -> None:
    machine = [v["class"] for v in read_vehicles(RunFolder.open(run_dir))]
    assert len(machine) >= 8
    dataset = open_review(fo, run_dir).dataset
    tag(dataset, "confirm", 1)
    dataset.select_group_slices(STRIP).select_labels(ids=[str(by_number(dataset)[1].id)], fields=FIELD).tag_labels(
        "reject", label_fields=FIELD
    )
    merged = alike(run_dir, 4)
    tag(dataset, "merge", merged, merged + 1)
    tag(dataset, "split", 4 if merged > 4 else 6)
    sample = strip_of(dataset)
    third = next(d for d in sample[FIELD].detections if d.vehicle == 3)
    third.label = "mlrs"
    sample[FIELD].detections.append(fo.Detection(label="towed_gun", bounding_box=[0.437, 0.35, 0.04, 0.3]))
    sample.save()

    before = digests(run_dir)
    assert open_review(fo, run_dir).pending, "an open review set is not filled anew over what waits in it"
    assert digests(run_dir) == before, "deciding changes nothing in the run"
    applied = apply_review(fo, run_dir, who="ann")
    assert sorted(v.kind for v in applied.fresh) == sorted(KINDS)
    expected = len(machine) - 1 - 1 + 1 + 1  # reject, merge, split, add
    assert (applied.before, applied.after) == (len(machine), expected)

    run = RunFolder.open(run_dir)
    (row,), vehicles = read_trains(run), read_vehicles(run)
    assert row["total"]["count"] == expected
    assert row["reviewed"] == {"verdicts": 6, "machine_count": len(machine)}
    assert [v["verdict"] for v in vehicles].count("split") == 2
    assert {v["verdict"] for v in vehicles} >= {"confirmed", "reclassed", "merged", "split", "added", None}
    assert [v["class"] for v in vehicles][:2] == [machine[0], "mlrs"]
    added = next(v for v in vehicles if v["verdict"] == "added")
    assert (added["class"], added["parent"], (run_dir / added["crop"]).is_file()) == ("towed_gun", "artillery", True)
    assert sum(c["count"] for c in row["vehicles"].values()) == len(vehicles) == expected

    import pyarrow.parquet as pq

    assert pq.read_table(run_dir / "trains.parquet").to_pylist()[0]["total"]["count"] == expected
    assert [r["verdict"] for r in pq.read_table(run_dir / "vehicles.parquet").to_pylist()] == [v["verdict"] for v in vehicles]
    with (run_dir / "trains.csv").open(encoding="utf-8", newline="") as file:
        cells = next(csv.DictReader(file))
    assert (cells["total_count"], cells["reviewed_verdicts"], cells["towed_gun_count"]) == (str(expected), "6", "1")
    assert {r["state"] for r in pq.read_table(run_dir / "verdicts.parquet").to_pylist()} == {"applied"}
    log = [json.loads(line) for line in (run_dir / "verdicts.ndjson").read_text().splitlines()]
    assert {line["who"] for line in log} == {"ann"}
    page = (run_dir / "report" / "index.html").read_text()
    assert "Verdicts of people" in page
    assert f"the machine alone counted {len(machine)}" in page

    again = digests(run_dir)
    twice = apply_review(fo, run_dir, who="bob")
    assert (twice.fresh, twice.after) == ((), expected)
    assert digests(run_dir) == again, "applying twice changes nothing"

    made = export_verified(run_dir, tmp_path / "set")
    assert made.frames
    assert made.boxes
    _check_export(tmp_path / "set", row["sha256"])
    _counted_and_scanned_again(run_dir, [(v["class"], v["verdict"]) for v in vehicles])


def _check_export(folder: Path, sha256: str) -> None:
    """The set is read by the reader that builds training sets, and its pictures are of one clip."""
    from vision.learn.description import DataSet
    from vision.taxonomy import default_taxonomy

    with (folder / "groups.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["group"] for row in rows} == {sha256[:16]}
    hardness = [float(row["hardness"]) for row in rows]
    assert hardness == sorted(hardness, reverse=True), "the hardest first"
    leaves = default_taxonomy().leaves
    learned = set()
    for path in folder.rglob("labels/**/*.txt"):
        for line in path.read_text().splitlines():
            index, *numbers = line.split()
            learned.add(leaves[int(index)])
            assert all(0 <= float(n) <= 1 for n in numbers)
    assert {"mlrs", "towed_gun"} <= learned
    data = DataSet.load(folder / "description.yaml")
    with data.reading() as reading:
        assert not reading.problems.errors
        assert len(reading.pictures) == len(rows)
        assert {p.clip for p in reading.pictures} == {sha256[:16]}


def _counted_and_scanned_again(run_dir: Path, stood: list[tuple[str, str | None]]) -> None:
    summary = count_again(run_dir, config=load_config(None, {"count": {"min_existence": 0.9}}))
    assert [(v["class"], v["verdict"]) for v in read_vehicles(RunFolder.open(run_dir))] == stood
    assert summary.lost == ()
    log = (run_dir / "verdicts.ndjson").read_bytes()
    scan([SAMPLE], run_dir, config=load_config(None, {"motion": {"width_px": 400}}), force=True)
    assert (run_dir / "verdicts.ndjson").read_bytes() == log
    assert [(v["class"], v["verdict"]) for v in read_vehicles(RunFolder.open(run_dir)) if v["verdict"]] == [
        s for s in stood if s[1]
    ]


def test_contradictions_are_named_and_nothing_is_applied(fo: Any, run_dir: Path) -> None:
    dataset = open_review(fo, run_dir).dataset
    tag(dataset, "confirm", 1)
    tag(dataset, "reject", 1)
    tag(dataset, "merge", 7)
    sample = strip_of(dataset)
    next(d for d in sample[FIELD].detections if d.vehicle == 3).label = "zeppelin"
    sample.save()
    before = digests(run_dir)
    with pytest.raises(ReviewError) as caught:
        apply_review(fo, run_dir)
    assert len(caught.value.problems) == 3
    assert any("vehicle 1" in p and "confirm" in p for p in caught.value.problems)
    assert any("zeppelin" in p for p in caught.value.problems)
    assert digests(run_dir) == before
    assert open_review(fo, run_dir).pending, "what was decided still waits"


def test_a_removed_box_is_a_rejected_vehicle(fo: Any, run_dir: Path) -> None:
    dataset = open_review(fo, run_dir).dataset
    dataset.select_group_slices(STRIP).select_labels(ids=[str(by_number(dataset)[4].id)], fields=FIELD)
    dataset.delete_labels(ids=[str(by_number(dataset)[4].id)], fields=FIELD)
    applied = apply_review(fo, run_dir)
    assert [v.kind for v in applied.fresh] == ["reject"]
    assert applied.after == applied.before - 1


def test_a_moved_video_is_shown_from_its_crops(fo: Any, sample_run: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(SAMPLE, tmp_path / "clip.mp4"))
    run_dir = tmp_path / "run"
    scan([clip], run_dir, config=load_config())
    clip.unlink()
    opened = open_review(fo, run_dir)
    assert any("clip.mp4 is gone" in note for note in opened.notes)
    looks = [s for s in opened.dataset.select_group_slices() if s.kind == "look"]
    assert looks
    assert all(look.from_crops for look in looks)
    tag(opened.dataset, "confirm", 1)
    apply_review(fo, run_dir)
    with pytest.raises(InputError, match="no frame"):
        export_verified(run_dir, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_what_cannot_be_reviewed_is_named(fo: Any, run_dir: Path, tmp_path: Path) -> None:
    name = dataset_name(RunFolder.open(run_dir))
    with pytest.raises(InputError, match="no review set"):
        apply_review(fo, run_dir)
    fo.Dataset(name)
    with pytest.raises(InputError, match="already there"):
        open_review(fo, run_dir)
    fo.delete_dataset(name)

    with RunFolder.create(run_dir), pytest.raises(OutputError, match="another flatcar is writing"):
        open_review(fo, run_dir)

    empty = tmp_path / "empty"
    with RunFolder.create(empty), Ledger.open(empty, create=True):
        pass
    with pytest.raises(InputError, match="no train"):
        open_review(fo, empty)
    assert not fo.dataset_exists(dataset_name(RunFolder.open(empty)))

    open_review(fo, run_dir)
    (run_dir / "review" / f"{name}.json").unlink()
    with pytest.raises(TruthError, match="--rebuild"):
        open_review(fo, run_dir)
    assert open_review(fo, run_dir, rebuild=True).trains == 1


def test_a_verdict_on_a_vehicle_that_a_recount_lost(fo: Any, run_dir: Path) -> None:
    dataset = open_review(fo, run_dir).dataset
    tag(dataset, "confirm", 2)
    result = next((run_dir / "results").glob("*.json"))
    document = json.loads(result.read_text())
    (train,) = document["trains"]
    gone = train["vehicles"].pop(1)
    result.write_text(json.dumps(document))
    opened = open_review(fo, run_dir)
    assert any("counted again" in note for note in opened.notes)
    applied = apply_review(fo, run_dir)
    (outcome,) = applied.outcomes
    assert outcome.state == "restored"
    assert gone["class_name"] in outcome.sentence
    assert len(read_verdicts(RunFolder.open(run_dir))) == 1


def test_brain_finds_what_is_nearly_the_same(fo: Any, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    from vision.review.export import _small, near_by_brain

    noise = np.random.default_rng(3).integers(0, 255, (4, 18, 32), np.uint8)
    noise[1] = np.clip(noise[0].astype(int) + 3, 0, 255).astype(np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    pictures = [cv2.resize(picture, (320, 180), interpolation=cv2.INTER_CUBIC) for picture in noise]
    for path, picture in zip(paths, pictures, strict=True):
        cv2.imwrite(str(path), picture)
    before = fo.list_datasets()
    near = near_by_brain(fo, paths, [_small(np.asarray(picture, np.uint8)) for picture in pictures])
    assert near == [{1}, {0}, set(), set()]
    assert fo.list_datasets() == before


def test_an_evaluation_with_its_matches(fo: Any, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    from vision.learn.evaluation.operating import Scored, SeenObject, TrueBox
    from vision.review.evaluation import KEY, VIEWS, load_evaluation

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), np.uint8))
    row = {"file_name": "a.png", "width": 200, "height": 100, "source": "mine", "view": "ground"}
    truth = (
        TrueBox((10, 10, 50, 50), "btr", "medium"),
        TrueBox((60, 10, 100, 50), "tank", "medium"),
        TrueBox((150, 10, 190, 50), "truck", "medium"),
    )
    seen = (
        SeenObject((10, 10, 50, 50), "btr", 0.9, 0.9, 0),
        SeenObject((61, 10, 101, 50), "bmp", 0.8, 0.8, 1),
        SeenObject((105, 60, 145, 95), "sam", 0.7, 0.7, None),
        SeenObject((150, 10, 190, 50), "truck", 0.1, 0.1, 2),
    )
    dataset = load_evaluation(fo, tmp_path, [Scored(row, truth, seen)], name="evaluation", min_score=0.3, about="a test")
    shown = {name: dataset.load_saved_view(name) for name, _ in VIEWS}
    assert shown["matches"].values("predictions.detections.label") == [["btr"]]
    assert shown["wrong class"].values("predictions.detections.label") == [["bmp"]]
    assert shown["false positives"].values("predictions.detections.label") == [["sam"]]
    assert shown["false negatives"].values("truth.detections.label") == [["truck"]]
    assert dataset.has_evaluation(KEY)
    again = load_evaluation(fo, tmp_path, [Scored(row, truth, seen)], name="evaluation", min_score=0.05)
    assert not len(again.load_saved_view("false negatives"))
    fo.Dataset("taken")
    with pytest.raises(InputError, match="already there"):
        load_evaluation(fo, tmp_path, [Scored(row, truth, seen)], name="taken", min_score=0.3)
    with pytest.raises(InputError, match="no picture"):
        load_evaluation(fo, tmp_path, [], name="empty", min_score=0.3)
