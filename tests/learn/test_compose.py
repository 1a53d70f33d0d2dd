"""Composed training pictures: made of training pictures, added to the training side, with exact boxes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from vision.errors import InputError, OutputError, UsageError
from vision.learn import compose_scene
from vision.learn.build import build
from vision.learn.check import check_set
from vision.learn.compose import compose_set
from vision.learn.compose_material import Backgrounds, Vehicles, cuttable, few_of, upright, well_labelled
from vision.learn.compose_scene import NEGATIVE_EVERY, Composer
from vision.learn.description import DataSet
from vision.learn.manifest import read_manifest, read_summary, set_digest
from vision.learn.pictures import Box, Picture
from vision.learn.splits import Placed, write_split
from vision.synth.layers import Seen, box_of
from vision.synth.pool import Source, write_pool
from vision.taxonomy import default_taxonomy

SIZE = (320, 220)
CENTRE = (160 / 320, 105 / 220, 200 / 320, 90 / 220)
"""Box of the vehicle that ``photograph`` draws."""


def photograph(path: Path, seed: int, *, vehicle: bool) -> Path:
    """Sky over a meadow, and a dark truck in it; written as a picture file."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(140, 30, (*SIZE[::-1], 3)), (0, 0), 1.5)
    picture[:70] += 60
    if vehicle:
        hull = np.zeros(SIZE[::-1], np.uint8)
        cv2.fillPoly(hull, [np.array([[60, 150], [75, 100], [150, 95], [160, 60], [230, 60], [260, 150]])], 1)
        picture[hull > 0] = rng.normal((60, 80, 70), 8, (int(hull.sum()), 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a YOLO collection of eight labelled pictures and six negatives, a description and its split."""
    root = tmp_path_factory.mktemp("material")
    names = ("btr", "truck", "uaz", "tank")
    for i in range(8):
        photograph(root / "mine" / "images" / f"{i}.png", i, vehicle=True)
        labels = root / "mine" / "labels" / f"{i}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(" ".join(map(str, (i % 4, *CENTRE))), encoding="utf-8")
    (root / "mine" / "data.yaml").write_text(json.dumps({"names": names}), encoding="utf-8")
    for i in range(6):
        photograph(root / "rail" / f"{i}.png", 100 + i, vehicle=False)
    description = {"sources": {"mine": {"reader": "yolo", "licence": "CC0"}, "rail": {"reader": "negatives"}}, "split": "own.tsv"}
    (root / "own.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    placed = [Placed("mine", f"images/{i}.png", "valid" if i >= 6 else "train", f"m{i}") for i in range(8)]
    placed += [Placed("rail", f"{i}.png", "valid" if i >= 4 else "train", f"r{i}") for i in range(6)]
    write_split(root / "own.tsv", placed)
    return root


@pytest.fixture(scope="session")
def data(material: Path) -> DataSet:
    return DataSet.load(material / "own.yaml")


@pytest.fixture(scope="session")
def cutouts(material: Path, data: DataSet) -> Path:
    """Cut-outs of the training side, made once."""
    out = material / "cutouts"
    with data.reading() as read:
        found = cuttable([p for p in read.pictures if p.file in {f"images/{i}.png" for i in range(6)}])
    assert sum(write_pool(found, out).values()) == 6
    return out


@pytest.fixture
def built(data: DataSet, tmp_path: Path) -> Path:
    """A built set."""
    pytest.importorskip("PIL")
    build(data, None, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture(scope="session")
def composer(data: DataSet, cutouts: Path) -> Composer:
    with data.reading() as read:
        backgrounds = Backgrounds([p for p in read.pictures if p.file not in {"images/6.png", "images/7.png", "4.png", "5.png"}])
    return Composer(Vehicles(cutouts), backgrounds, seed=3)


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file by its path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_pictures_and_labels_go_into_a_new_folder(data: DataSet, cutouts: Path, tmp_path: Path) -> None:
    done = compose_set(data, None, tmp_path / "out", count=9, seed=1, cutouts=cutouts, sheet=tmp_path / "sheet.png")
    names = [f"composed__{i:05d}" for i in range(9)]
    assert sorted(p.name for p in (tmp_path / "out" / "images").iterdir()) == [f"{name}.jpg" for name in names]
    leaves = default_taxonomy().leaves
    boxes = 0
    for number, name in enumerate(names):
        height, width = cv2.imread(str(tmp_path / "out" / "images" / f"{name}.jpg")).shape[:2]
        assert width == 640
        assert height in {360, 368, 384}
        rows = [line.split() for line in (tmp_path / "out" / "labels" / f"{name}.txt").read_text(encoding="utf-8").splitlines()]
        assert not rows or number % NEGATIVE_EVERY
        for label, *box in rows:
            assert leaves[int(label)] in {"btr", "truck", "uaz", "tank", "covered_vehicle"}
            x, y, w, h = map(float, box)
            assert x - w / 2 + 1e-6 >= 0
            assert x + w / 2 <= 1 + 1e-6
            assert y - h / 2 + 1e-6 >= 0
            assert y + h / 2 <= 1 + 1e-6
            assert min(w * width, h * height) >= 4.99
        boxes += len(rows)
    assert boxes == sum(done.boxes.values()) > 0
    assert done.empty >= 3, "pictures 0, 4 and 8"
    assert done.digest is None
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 1600


def test_the_same_seed_gives_the_same_files_and_another_seed_others(data: DataSet, cutouts: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        compose_set(data, None, tmp_path / name, count=3, seed=seed, cutouts=cutouts)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    pictures = [name for name in first if name.startswith("images/")]
    assert all(first[name] != other[name] for name in pictures)
    longer = tmp_path / "d"
    compose_set(data, None, longer, count=4, seed=7, cutouts=cutouts)
    assert {name: contents(longer)[name] for name in pictures} == {name: first[name] for name in pictures}


def test_nothing_of_the_validation_side_is_used(data: DataSet, cutouts: Path, tmp_path: Path) -> None:
    compose_set(data, None, tmp_path / "out", count=12, cutouts=cutouts)
    lines = [json.loads(line) for line in (tmp_path / "out" / "composed.ndjson").read_text(encoding="utf-8").splitlines()]
    used = {name for line in lines for name in line["made_of"]}
    training = {f"mine/images/{i}.png" for i in range(6)} | {f"rail/{i}.png" for i in range(4)}
    assert used <= training
    assert len(used) > 5, "the check says something"


def test_cutouts_of_validation_pictures_are_refused(data: DataSet, material: Path, tmp_path: Path) -> None:
    box = (60.0, 60.0, 260.0, 150.0)
    write_pool([Source(material / "mine/images/6.png", box, "btr", "mine", "images/6.png", 0, "CC0")], tmp_path / "bad")
    with pytest.raises(InputError, match=r"btr_000\.png comes from mine/images/6\.png, which is not on the training side"):
        compose_set(data, None, tmp_path / "out", count=2, cutouts=tmp_path / "bad")
    assert not (tmp_path / "out").exists()


def test_a_set_grows_on_its_training_side_only(data: DataSet, cutouts: Path, built: Path) -> None:
    before, rows = contents(built), read_manifest(built)
    done = compose_set(data, None, built, count=4, seed=2, cutouts=cutouts)
    after = contents(built)
    changed = {name for name in after if after[name] != before.get(name)}
    assert set(before) <= set(after)
    assert {name.split("/")[0] for name in changed} == {"images", "labels", "manifest.ndjson", "set.json", "composed.ndjson"}
    assert all("/train/composed__" in name for name in changed if "/" in name)
    added = [row for row in read_manifest(built) if row.source == "composed"]
    assert [row.picture for row in added] == [f"composed__{i:05d}" for i in range(4)]
    assert {row.split for row in added} == {"train"}
    assert [row for row in read_manifest(built) if row.source != "composed"] == rows
    assert sum(sum(row.boxes.values()) for row in added) == sum(done.boxes.values())
    assert any("CC0" in row.licence for row in added)
    summary = read_summary(built)
    assert summary["digest"] == done.digest == set_digest(built)
    assert summary["pictures"]["train"] == 10 + 4
    assert summary["composed"] == {"pictures": 4, "seed": 2}
    assert not [p for p in check_set(built).problems.errors if "composed" in f"{p.where} {p.what}"]


def test_composed_pictures_are_replaced_only_when_asked(data: DataSet, cutouts: Path, built: Path) -> None:
    compose_set(data, None, built, count=3, seed=2, cutouts=cutouts)
    digest = set_digest(built)
    with pytest.raises(OutputError, match="has composed pictures already"):
        compose_set(data, None, built, count=2, seed=3, cutouts=cutouts)
    assert set_digest(built) == digest
    compose_set(data, None, built, count=2, seed=3, cutouts=cutouts, force=True)
    assert len(list((built / "images" / "train").glob("composed__*"))) == 2
    assert len(list((built / "labels" / "train").glob("composed__*"))) == 2
    assert sum(row.source == "composed" for row in read_manifest(built)) == 2


def test_a_source_that_was_held_out_of_the_set_is_not_composed_from(data: DataSet, tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    build(data, None, tmp_path / "set", held_out="rail")
    compose_set(data, None, tmp_path / "set", count=6, cutouts=tmp_path / "own-cutouts")
    text = (tmp_path / "set" / "composed.ndjson").read_text(encoding="utf-8")
    assert "mine/" in text
    assert "rail/" not in text


def validates_on_training(folder: Path) -> None:
    document = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    (folder / "data.yaml").write_text(yaml.safe_dump({**document, "val": "images/train"}), encoding="utf-8")


def other_classes(folder: Path) -> None:
    document = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    (folder / "data.yaml").write_text(yaml.safe_dump({**document, "names": ["tank", "car"]}), encoding="utf-8")


def composed_in_validation(folder: Path) -> None:
    photograph(folder / "images" / "valid" / "composed__00000.jpg", 1, vehicle=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (validates_on_training, "validates on its training pictures"),
        (other_classes, "has other classes"),
        (composed_in_validation, "has composed pictures on its validation side"),
    ],
)
def test_a_set_that_cannot_take_them_is_refused_and_left_alone(
    data: DataSet, cutouts: Path, built: Path, spoil: object, said: str
) -> None:
    assert callable(spoil)
    spoil(built)
    before = contents(built)
    with pytest.raises(InputError, match=said):
        compose_set(data, None, built, count=2, cutouts=cutouts)
    assert contents(built) == before


def test_a_folder_within_a_set_is_refused(data: DataSet, cutouts: Path, built: Path) -> None:
    with pytest.raises(InputError, match="lies in the set"):
        compose_set(data, None, built / "images" / "valid" / "more", count=2, cutouts=cutouts)


@pytest.mark.parametrize("into_set", [True, False])
def test_a_failure_half_way_leaves_everything_as_it_was(
    data: DataSet, cutouts: Path, built: Path, monkeypatch: pytest.MonkeyPatch, into_set: bool
) -> None:
    before = contents(built.parent)
    whole = Composer.picture

    def failing(self: Composer, number: int) -> object:
        if number == 3:
            raise InputError("cannot read the picture x.jpg: it is damaged")
        return whole(self, number)

    monkeypatch.setattr(Composer, "picture", failing)
    with pytest.raises(InputError, match="damaged"):
        compose_set(data, None, built if into_set else built.parent / "new", count=5, cutouts=cutouts)
    assert contents(built.parent) == before
    assert [p.name for p in built.parent.iterdir()] == ["set"]


def test_no_space_left_is_named(data: DataSet, cutouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        compose_set(data, None, tmp_path / "out", count=2, cutouts=cutouts)
    assert not (tmp_path / "out").exists()


def only(pictures: Sequence[str], data: DataSet, tmp_path: Path, material: Path) -> DataSet:
    """The same pictures, of which only these are on the training side."""
    with data.reading() as read:
        placed = [Placed(p.source, p.file, "train" if p.file in pictures else "valid", p.name) for p in read.pictures]
    write_split(tmp_path / "own.tsv", placed)
    sources = {name: {**options, "folder": str(material / name)} for name, options in data.sources.items()}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"sources": sources, "split": "own.tsv"}), encoding="utf-8")
    return DataSet.load(tmp_path / "own.yaml")


def test_nothing_to_cut_out_is_named(data: DataSet, tmp_path: Path, material: Path) -> None:
    with pytest.raises(InputError, match="no vehicle can be cut out of the training pictures"):
        compose_set(only(["0.png"], data, tmp_path, material), None, tmp_path / "out", count=2)


def test_no_training_side_is_named(data: DataSet, cutouts: Path, tmp_path: Path, material: Path) -> None:
    with pytest.raises(InputError, match="no picture on the training side"):
        compose_set(only([], data, tmp_path, material), None, tmp_path / "out", count=2, cutouts=cutouts)
    (tmp_path / "own.tsv").unlink()
    with pytest.raises(InputError, match="not divided into training and validation yet"):
        compose_set(DataSet.load(tmp_path / "own.yaml"), None, tmp_path / "out", count=2, cutouts=cutouts)


def test_no_pictures_are_wrong_usage(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot compose 0 pictures"):
        compose_set(data, None, tmp_path / "out", count=0)


def test_no_background_is_named() -> None:
    high = Picture("a", "1.png", Path("1.png"), (Box("tank", CENTRE, "high"),), view="high")
    with pytest.raises(InputError, match="no picture can be a background"):
        Backgrounds([high])


def test_cutouts_that_somebody_deleted_are_passed_over(cutouts: Path, tmp_path: Path) -> None:
    for file in cutouts.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = Vehicles(tmp_path).counts()
    (tmp_path / "btr_000.png").unlink()
    assert Vehicles(tmp_path).counts() == {**before, "btr": before["btr"] - 1}
    for file in tmp_path.glob("*.png"):
        file.unlink()
    with pytest.raises(InputError, match="names no cut-outs"):
        Vehicles(tmp_path)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[Seen]]]:
    """What the composing of layers found, picture by picture; exposure is left out, so that pixels can be compared."""
    found: list[list[Seen]] = []
    whole = compose_scene.compose

    def watching(*arguments: object, **options: object) -> object:
        picture, seen = whole(*arguments, **options)  # type: ignore[arg-type]
        found.append(seen)
        return picture, seen

    monkeypatch.setattr(compose_scene, "compose", watching)
    return found


def test_boxes_are_those_of_the_visible_alpha(composer: Composer, watched: list[list[Seen]]) -> None:
    checked = 0
    for number in range(1, 12):
        composed = composer.picture(number)
        seen = watched[-1]
        boxes = [(s.class_name, tuple(map(float, s.xyxy_px))) for s in seen]
        assert list(composed.boxes[: len(boxes)]) == boxes, "what was in the photograph before comes after them"
        for vehicle in seen:
            assert vehicle.xyxy_px == box_of(vehicle.mask)
            assert vehicle.share >= 0.3
        checked += len(seen)
    assert checked > 8


def test_negatives_show_trains_without_vehicles(composer: Composer) -> None:
    for number in range(0, 12, NEGATIVE_EVERY):
        composed = composer.picture(number)
        assert composed.boxes == ()
        assert composed.picture.std() > 5, "they are not blank"


def test_a_picture_does_not_depend_on_those_before_it(composer: Composer) -> None:
    alone = composer.picture(5)
    composer.picture(6)
    again = composer.picture(5)
    assert np.array_equal(alone.picture, again.picture)
    assert alone.boxes == again.boxes
    assert alone.made_of == again.made_of


def picture(*boxes: Box, view: str = "ground", path: Path = Path("x.png")) -> Picture:
    return Picture("mine", path.name, path, boxes, view=view)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boxes", "view", "count"),
    [
        ((Box("btr", CENTRE, "ground"),), "ground", 1),
        ((Box("btr", CENTRE, "unknown"),), "unknown", 1),
        ((Box("btr", CENTRE, "high"),), "ground", 0),
        ((Box("btr", CENTRE, "ground"),), "high", 0),
        ((Box("btr", CENTRE, "ground", model=False),), "ground", 0),
        ((Box(None, CENTRE, "ground"),), "ground", 0),
        ((Box("covered_vehicle", CENTRE, "ground"),), "ground", 0),
        ((Box("btr", (0.5, 0.5, 0.1, 0.1), "ground"),), "ground", 0),
        ((Box("btr", (0.2, 0.5, 0.4, 0.4), "ground"),), "ground", 0),
        ((Box("btr", CENTRE, "ground"), Box("tank", (0.6, 0.5, 0.5, 0.5), "ground")), "ground", 0),
        ((Box("btr", CENTRE, "ground"), Box(None, (0.6, 0.5, 0.5, 0.5), "ground")), "ground", 0),
        ((Box("btr", (0.3, 0.5, 0.3, 0.4), "ground"), Box("tank", (0.7, 0.5, 0.3, 0.4), "ground")), "ground", 2),
    ],
    ids=[
        "whole", "view unknown", "box from high", "picture from high", "wreck or unsure", "ignore region", "covered already",
        "too small", "cut off", "behind another", "behind an ignore region", "side by side",
    ],
)  # fmt: skip
def test_which_vehicles_may_be_cut_out(boxes: tuple[Box, ...], view: str, count: int, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    path = photograph(tmp_path / "x.png", 1, vehicle=True)
    assert len(cuttable([picture(*boxes, view=view, path=path)])) == count


def test_classes_take_turns_and_rare_ones_are_known(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    path = photograph(tmp_path / "x.png", 1, vehicle=True)
    names = ["btr"] * 25 + ["sam"] * 2
    found = cuttable([picture(Box(name, CENTRE), path=path) for name in names])
    assert [v.class_name for v in found[:5]] == ["btr", "sam", "btr", "sam", "btr"]
    assert few_of(found) == {"sam"}


def test_a_collection_of_one_class_gives_no_backgrounds_where_there_are_better_ones() -> None:
    tanks = [Picture("tanks", f"{i}", Path("x"), (Box("tank", CENTRE),)) for i in range(9)]
    all_kinds = [Picture("all", f"{i}", Path("x"), (Box(leaf, CENTRE),)) for i, leaf in enumerate(["tank", "btr", "uaz"])]
    assert well_labelled([*tanks, *all_kinds]) == {"all"}
    assert well_labelled(tanks) == {"tanks"}


def test_pictures_of_unknown_view_are_backgrounds_only_where_no_view_is_known() -> None:
    views = ("ground", "unknown", "high")
    known = [Picture("a", view, Path("x"), (Box("tank", CENTRE),), view=view) for view in views]  # type: ignore[arg-type]
    unknown = [Picture("b", "1", Path("x"), (Box("tank", CENTRE),))]
    assert [p.file for p in Backgrounds([*known, *unknown]).labelled] == ["ground", "1"]


def test_turned_pictures_are_known_by_their_light() -> None:
    landscape = np.zeros((60, 90, 3), np.uint8)
    landscape[:25] = 220
    landscape[25:] = 90
    assert upright(landscape)
    assert not upright(np.ascontiguousarray(np.rot90(landscape)))
    assert not upright(np.ascontiguousarray(np.rot90(landscape, 2)))
