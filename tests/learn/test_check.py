"""What ``check`` finds in a set: every kind of fault planted one by one, and nothing in a sound set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.labelled import HEIGHT_PX, WIDTH_PX, Labelled, write_picture, write_yolo
from vision.errors import InputError
from vision.learn.build import build
from vision.learn.check import check, table
from vision.learn.description import DataSet
from vision.learn.manifest import MANIFEST_NAME
from vision.learn.splits import Placed, read_split, write_split

pytest.importorskip("imagehash")

BOX = (("tank", (8.0, 8.0, 40.0, 40.0)), ("bmp-2", (30.0, 10.0, 60.0, 30.0)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound built set of eight pictures, two of them for validation, beside its description ``own.yaml``."""
    folder = tmp_path_factory.mktemp("sound")
    write_yolo(folder / "mine", [Labelled(f"p{i}", BOX, seed=i) for i in range(8)])
    (folder / "own.yaml").write_text("sources: {mine: {reader: yolo, licence: CC0}}", encoding="utf-8")
    sides = [Placed("mine", f"images/p{i}.png", "valid" if i < 2 else "train", f"g{i}") for i in range(8)]
    write_split(folder / "own.split.tsv", sides)
    build(DataSet.load(folder / "own.yaml"), None, folder / "set")
    return folder


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_sound_set(sound: Path) -> None:
    for what in (sound / "set", sound / "set" / "data.yaml", sound / "own.yaml"):
        checked = check(what)
        assert (checked.pictures, checked.boxes) == (8, 16)
        assert list(checked.problems) == []
        assert checked.not_checked == []


def rows(*text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "labels" / "train" / "mine__images__p5.txt").write_text("\n".join(text) + "\n", encoding="utf-8")

    return write


def picture(name: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        change(folder / "images" / name)

    return write


def manifest(old: str, new: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / MANIFEST_NAME
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return write


def same_look(folder: Path) -> None:
    """The picture of a training file, a little darker, in validation."""
    import cv2

    image = cv2.imread(str(folder / "images" / "train" / "mine__images__p5.jpg"))
    cv2.imwrite(str(folder / "images" / "valid" / "mine__images__p0.jpg"), (image * 0.9).astype("uint8"))


def same_file(folder: Path) -> None:
    lines = (folder / MANIFEST_NAME).read_text(encoding="utf-8").splitlines()
    hashes = {row["picture"]: row["sha256"] for row in map(json.loads, lines)}
    manifest(hashes["mine__images__p0"], hashes["mine__images__p5"])(folder)


TRAIN = "train/mine__images__p5.jpg"
SIDE = '"split": "valid", "source": "mine", "file": "images/p0.png"'
LABELS = "labels/train/mine__images__p5.txt"


@pytest.mark.parametrize(
    ("plant", "kind", "severity", "said"),
    [
        (rows("0 0.5 0.5 1.2 0.2"), "outside", "error", "reaches out of the picture by 10.0%"),
        (rows("0 0.5 0.5 0 0.2"), "no_area", "error", "no area"),
        (rows("0 0.5 nan 0.1 0.2"), "not_finite", "error", "not a finite number"),
        (rows("0 0.5 0.5 0.1"), "columns", "error", "4 columns"),
        (rows("0 0.1 0.1 0.5 0.1 0.5 0.5"), "polygon", "error", "a polygon of 3 corners"),
        (rows("99 0.5 0.5 0.1 0.2"), "not_a_class", "error", "no class 99"),
        (rows("0 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5 0.49"), "doubled", "warning", "the same tank again as in 1"),
        (rows("0 0.5 0.5 0.05 0.5"), "tiny", "warning", "a tank of 3.2 px"),
        (picture(TRAIN, lambda p: p.write_bytes(b"")), "unreadable_picture", "error", "the file is empty"),
        (picture(TRAIN, lambda p: p.write_bytes(p.read_bytes()[:-300])), "unreadable_picture", "error", "it is cut off"),
        (picture(TRAIN, lambda p: p.unlink()), "missing_picture", "error", "the picture is gone from train"),
        (picture(TRAIN, lambda p: p.rename(p.with_name("x.jpg"))), "no_origin", "warning", "nothing says where it came from"),
        (lambda f: (f / LABELS).unlink(), "missing_labels", "error", "its label file is gone"),
        (same_look, "leak_look_alike", "error", "looks the same"),
        (same_file, "leak_same_file", "error", "the same picture is on both sides"),
        (manifest('"group": "g0"', '"group": "g5"'), "leak_scene", "error", "its scene g5 is on both sides"),
        (manifest(SIDE, SIDE.replace("valid", "train")), "moved", "error", "the manifest has it in train"),
    ],
)  # fmt: skip
def test_each_fault_is_found(plant: Callable[[Path], None], kind: str, severity: str, said: str, copy: Path) -> None:
    plant(copy / "set")
    found = {p.kind: p for p in check(copy / "set").problems}
    assert found[kind].severity == severity
    assert said in found[kind].what
    assert set(found) <= {kind, "changed", "missing_picture", "unlabelled", "no_origin", "missing_labels"}
    assert "changed" in found  # its digest is another


def test_two_boxes_of_different_classes_may_share_a_place(copy: Path) -> None:
    rows("0 0.5 0.5 0.5 0.5", "1 0.5 0.5 0.5 0.5")(copy / "set")
    assert {p.kind for p in check(copy / "set").problems} == {"changed"}


def test_the_same_picture_twice_on_one_side_is_a_warning(copy: Path) -> None:
    for part, suffix in (("images", "jpg"), ("labels", "txt")):
        folder = copy / "set" / part / "train"
        shutil.copy(folder / f"mine__images__p5.{suffix}", folder / f"again.{suffix}")
    (copy / "set" / MANIFEST_NAME).unlink()
    problems = check(copy / "set").problems
    assert {(p.kind, p.severity) for p in problems} == {("twice", "warning"), ("changed", "warning")}


def test_a_foreign_set_without_a_manifest(tmp_path: Path) -> None:
    write_yolo(tmp_path / "set", [Labelled("a", BOX[:1], seed=1, side="train"), Labelled("b", BOX[:1], seed=2, side="val")])
    write_picture(tmp_path / "set" / "images" / "val" / "c.png", 1)  # the picture of training, without labels
    (tmp_path / "set" / "data.yaml").write_text("names: [tank]\ntrain: images/train\nval: images/val\n", encoding="utf-8")
    checked = check(tmp_path / "set")
    assert (checked.pictures, checked.boxes) == (3, 2)
    assert {p.kind for p in checked.problems} == {"leak_same_file", "leak_look_alike", "unlabelled"}


def test_a_description_that_leaks(copy: Path) -> None:
    sides = read_split(copy / "own.split.tsv")
    sides["mine", "images/p0.png"] = Placed("mine", "images/p0.png", "valid", "g5")
    del sides["mine", "images/p7.png"]
    write_split(copy / "own.split.tsv", sides.values())
    (copy / "mine" / "labels" / "p6.txt").write_text("9 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    shutil.copy(copy / "mine" / "images" / "p4.png", copy / "mine" / "images" / "p1.png")
    checked = check(copy / "own.yaml")
    assert {p.kind for p in checked.problems.errors} == {"not_a_class", "leak_scene", "leak_same_file", "leak_look_alike"}
    assert {p.kind for p in checked.problems.warnings} == {"no_side"}
    counted = {kind: n for _, kind, n, _ in table(checked)}
    assert counted["leak_same_file"] == 1


def test_without_sides_leaks_cannot_be_checked(copy: Path) -> None:
    (copy / "own.split.tsv").unlink()
    assert check(copy / "own.yaml").not_checked == ["leaks between the sides: the pictures have no two sides yet"]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_to_check(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no set and no description|has no data.yaml"):
        check(tmp_path / name)


def test_sizes_are_those_of_the_pictures() -> None:
    assert (WIDTH_PX, HEIGHT_PX) == (64, 48)  # the rows above count on it
