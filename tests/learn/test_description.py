"""Descriptions of data sets, from a file and from folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.labelled import Labelled, write_picture, write_yolo
from vision.errors import InputError
from vision.learn.description import DataSet
from vision.learn.pictures import Picture
from vision.learn.problems import BadLabels

TANK = (("tank", (8.0, 8.0, 40.0, 40.0)),)


def described(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ten_lines_are_enough(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow comes with imagehash")
    write_yolo(tmp_path / "pictures", [Labelled("a", (("Panzer", (8.0, 8.0, 40.0, 40.0)), ("tree", (1.0, 1.0, 9.0, 9.0))))])
    path = described(
        tmp_path,
        """
sources:
  mine:
    reader: yolo
    folder: pictures
    licence: CC BY 4.0
    view: ground
    classes: {Panzer: tank, tree: drop}
""",
    )
    data = DataSet.load(path)
    assert (data.name, data.split, data.longest_side_px) == ("own", tmp_path / "own.split.tsv", 640)
    (picture,) = data.pictures()
    assert (picture.licence, picture.view, [b.leaf for b in picture.boxes]) == ("CC BY 4.0", "ground", ["tank"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no table of sources"),
        ("sources: {}", "has no table of sources"),
        ("sources: [a]", "has no table of sources"),
        ("sources: {a: {reader: yolo}", "is no data-set description"),
        ("sources: {a: {reader: yolo}}\nlongest_side: 640", "unknown longest_side; a description knows"),
        ("sources: {a: {reader: yolo}}\nlongest_side_px: 3", "longest_side_px is 3; use 32"),
        ("sources: {a: {reader: yolo}}\nlongest_side_px: big", "is no data-set description"),
        ("sources: {a: {reader: yolo}}\nvalidation: 2", "validation is 2.* use a share from 0 to 1"),
        ("sources: {a: {reader: yolo, validation: some}}", "a: validation is 'some'"),
        ("sources: {a: {reader: yolo, validation: .nan}}", "a: validation is nan"),
        ("sources: {a: {reader: yolo}}\ntaxonomy: nowhere.yaml", "cannot read the taxonomy"),
        ("sources: {a: {reader: magic}}", "unknown reader 'magic' for 'a'"),
        ("sources: {a: yolo}", "the source 'a' has no reader"),
        ("sources: {a/b: {reader: yolo}}", "'a/b' cannot name a source"),
        ("sources:\n  a: {reader: yolo}\n  a: {reader: voc}", "'a' stands twice, in line 3"),
    ],
)
def test_a_description_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        DataSet.load(described(tmp_path, text))


def test_a_description_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the description"):
        DataSet.load(tmp_path / "nowhere.yaml")


def test_folders_without_a_description(tmp_path: Path) -> None:
    write_yolo(tmp_path / "my set", [Labelled("a", TANK)])
    write_yolo(tmp_path / "b" / "images", [Labelled("a", TANK)])
    data = DataSet.of_folders([str(tmp_path / "my set"), f"other=yolo:{tmp_path / 'b' / 'images'}"], classes={"x": "tank"})
    assert {n: (o["reader"], Path(o["folder"]).name) for n, o in data.sources.items()} == {
        "my_set": ("yolo", "my set"),
        "other": ("yolo", "images"),
    }
    assert data.split is None


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["a", "c/a"], "two sources are called 'a'; name them: --from other="),
        (["yolo:nowhere"], "there is no folder"),
        (["nowhere"], "there is no folder nowhere"),
        (["magic:a"], "unknown reader 'magic'"),
    ],
)
def test_folders_that_cannot_be(folders: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "c/a"):
        write_yolo(tmp_path / folder, [Labelled("p", TANK)])
    with pytest.raises(InputError, match=said):
        DataSet.of_folders(folders)


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow comes with imagehash")
    for name in ("x/a.png", "x__a.png", "x/A.jpg"):
        write_picture(tmp_path / "mine" / name)
    data = DataSet.of_folders([f"negatives:{tmp_path / 'mine'}"])
    with data.reading() as read:
        assert [p.file for p in read.pictures] == ["x/A.jpg"]
        assert [(p.kind, p.where) for p in read.problems.errors] == [
            ("same_name", "mine: x/a.png"),
            ("same_name", "mine: x__a.png"),
        ]
        assert all("would have the same name in the set as mine: x/A.jpg" in p.what for p in read.problems)
    with pytest.raises(BadLabels):
        data.pictures()


def test_a_folder_with_an_equals_sign(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path / "a=b", [Labelled("p", TANK)])
    assert list(DataSet.of_folders([str(folder)]).sources) == ["a_b"]
    assert list(DataSet.of_folders([f"c={folder}"]).sources) == ["c"]


def test_a_very_long_name_fits_a_file_system() -> None:
    names = {Picture("s", f"{'ж' * 40}/{'x' * 180}/{i}.jpg", Path("x")).name for i in range(3)}
    assert len(names) == 3
    assert all(len(name.encode()) < 240 for name in names)


def test_two_data_sets_of_one_name_keep_their_pictures_apart(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow comes with imagehash")
    for name in ("one", "two"):
        write_yolo(tmp_path / name, [Labelled("a", TANK)])
    data = DataSet.of_folders([str(tmp_path / "one"), str(tmp_path / "two")])
    assert [p.name for p in data.pictures()] == ["one__images__a", "two__images__a"]
