"""Bad labels and pictures: each kind is named, with its place, and counted; the picture it spoils is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.labelled import (
    HEIGHT_PX,
    WIDTH_PX,
    Labelled,
    write_coco,
    write_fiftyone_labels,
    write_fiftyone_samples,
    write_picture,
    write_voc,
    write_yolo,
)
from vision.errors import InputError
from vision.learn.problems import BadLabels, Problems, lines
from vision.learn.sources import read_source

pytest.importorskip("PIL", reason="Pillow comes with imagehash")

GOOD = Labelled("good", (("tank", (8.0, 8.0, 40.0, 40.0)),), seed=1)
BAD = Labelled("bad", (("tank", (8.0, 8.0, 40.0, 40.0)),), seed=2)


def problems_of(reader: str, root: Path, **options: Any) -> tuple[Problems, list[str]]:
    """What reading gave: the problems, and the pictures that are left."""
    problems = Problems()
    found = read_source("mine", root, {"reader": reader, **options}, problems=problems)
    left = [Path(p.file).stem for p in found if (p.source, p.file) not in problems.bad_pictures]
    return problems, left


ROWS = [
    ("0 0.5 0.5 nan 0.5", "not_finite", "not a finite number"),
    ("0 inf 0.5 0.2 0.5", "not_finite", "not a finite number"),
    ("0 0.5 0.5 0.2", "columns", "4 columns instead of 5"),
    ("0 0.5 0.5 0.2 0.2 0.9", "columns", "a score at its end"),
    ("0 0.5 0.5 0.2 0.2 0.9 0.8 0.7", "columns", "8 columns"),
    ("0 0.1 0.1 0.5 0.1 0.5 0.5", "polygon", "a polygon of 3 corners"),
    ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5", "polygon", "a polygon of 4 corners"),
    ("0 0.5 0.5 -0.2 0.2", "no_area", "no area: width -0.2"),
    ("0 0.5 0.5 0.2 0", "no_area", "height 0 "),
    ("0 0.05 0.5 0.2 0.2", "outside", "reaches out of the picture by 5.0% of its side"),
    ("0 1.5 0.5 0.2 0.2", "outside", "lies outside the picture"),
    ("0 320 240 64 48", "outside", "lies outside the picture"),  # pixels where fractions belong
    ("3 0.5 0.5 0.2 0.2", "not_a_class", "there is no class 3: the names go from 0 to 0"),
    ("-1 0.5 0.5 0.2 0.2", "not_a_class", "the class is -1, not an index from 0"),
    ("0.5 0.5 0.5 0.2 0.2", "not_a_class", "the class is 0.5"),
    ("nan 0.5 0.5 0.2 0.2", "not_a_class", "the class is nan"),
    ("tank 0.5 0.5 0.2 0.2", "not_a_number", "not a row of numbers: 'tank"),
    ("0,0.5,0.5,0.2,0.2", "not_a_number", "not a row of numbers"),
]


@pytest.mark.parametrize(("row", "kind", "said"), ROWS)
def test_a_bad_row_of_yolo(row: str, kind: str, said: str, tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [GOOD, BAD])
    (tmp_path / "mine" / "labels" / "bad.txt").write_text(f"0 0.5 0.5 0.5 0.5\n{row}\n", encoding="utf-8")
    problems, left = problems_of("yolo", tmp_path)
    (problem,) = problems
    assert (problem.kind, problem.severity, problem.where) == (kind, "error", "mine: labels/bad.txt:2")
    assert said in problem.what
    assert left == ["good"]


def test_nan_in_a_polygon_is_not_lost_among_its_corners(tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [BAD])
    (tmp_path / "mine" / "labels" / "bad.txt").write_text("0 nan 0.1 0.5 0.1 0.5 0.5\n", encoding="utf-8")
    assert problems_of("yolo", tmp_path, polygons="box")[0].counts()["not_finite"] == 1


@pytest.mark.parametrize("text", [b"\xff\xfe0\x00 \x000\x00", b"\x80\x81"])
def test_labels_that_are_no_text(text: bytes, tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [GOOD, BAD])
    (tmp_path / "mine" / "labels" / "bad.txt").write_bytes(text)
    problems, left = problems_of("yolo", tmp_path)
    assert problems.counts() == {"unreadable_labels": 1}
    assert left == ["good"]


def test_a_hair_over_the_edge_is_cut_and_counted(tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [GOOD])
    (tmp_path / "mine" / "labels" / "good.txt").write_text("0 0.1 0.5 0.21 0.5\n0 0.1 0.5 0.2000001 0.5\n", encoding="utf-8")
    problems, left = problems_of("yolo", tmp_path)
    assert problems.counts() == {"cut_at_the_edge": 1}
    assert not problems.errors
    assert left == ["good"]


def test_far_over_the_edge_is_cut_when_asked(tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [GOOD])
    (tmp_path / "mine" / "labels" / "good.txt").write_text("0 0.1 0.5 0.4 0.5\n", encoding="utf-8")
    found = read_source("mine", tmp_path, {"reader": "yolo", "outside": "cut"})
    assert found[0].boxes[0].xyxy == pytest.approx((0.0, 0.25, 0.3, 0.75))


@pytest.mark.parametrize(
    ("reader", "write"),
    [
        ("yolo", write_yolo),
        ("coco", write_coco),
        ("voc", write_voc),
        ("fiftyone", write_fiftyone_labels),
        ("fiftyone", write_fiftyone_samples),
    ],
)
class TestEveryFormat:
    def test_unknown_classes_are_counted_by_name(self, reader: str, write: Callable[..., Path], tmp_path: Path) -> None:
        box = (1.0, 1.0, 20.0, 20.0)
        pictures = [GOOD, Labelled("bad", (("tnak", box), ("tnak", box), ("zebra", box)))]
        write(tmp_path / "mine", pictures)
        problems, left = problems_of(reader, tmp_path)
        assert sorted((p.kind, p.count) for p in problems) == [("unknown_class", 1), ("unknown_class", 2)]
        assert "unknown class 'tnak'; did you mean tank" in next(iter(problems)).what
        assert left == ["good"]
        with pytest.raises(BadLabels, match=r"3 errors in the labels .3 unknown_class.; the first: mine: .*bad.*'tnak'"):
            read_source("mine", tmp_path, {"reader": reader})

    @pytest.mark.parametrize(
        ("spoil", "kind", "said"),
        [
            (lambda p: p.unlink(), "missing_picture", ""),
            (lambda p: p.write_bytes(b""), "unreadable_picture", "the file is empty"),
            (lambda p: p.write_bytes(b"no picture"), "unreadable_picture", "damaged, or no picture"),
        ],
        ids=["missing", "empty", "corrupt"],
    )
    def test_pictures_that_are_not_there(
        self, reader: str, write: Callable[..., Path], spoil: Callable[[Path], None], kind: str, said: str, tmp_path: Path
    ) -> None:
        write(tmp_path / "mine", [GOOD, BAD])
        (picture,) = (tmp_path / "mine").rglob("bad.png")
        spoil(picture)
        problems, left = problems_of(reader, tmp_path)
        assert problems.counts() == {kind: 1}
        assert said in next(iter(problems)).what
        assert "bad" in next(iter(problems)).where + next(iter(problems)).what
        assert left == ["good"]


def change(path: Path, edit: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "kind", "said"),
    [
        (lambda d: d["annotations"][1].update(bbox=[1, 1, float("nan"), 5]), "not_finite", ""),
        (lambda d: d["annotations"][1].update(bbox=[1, 1, 5]), "columns", "not four numbers"),
        (lambda d: d["annotations"][1].update(bbox=["1", 1, 5, 5]), "columns", "not four numbers"),
        (lambda d: d["annotations"][1].update(bbox=[1, 1, -5, 5]), "no_area", "width -"),
        (lambda d: d["annotations"][1].update(bbox=[1, 1, WIDTH_PX + 5, 5]), "outside", "out of the picture"),
        (lambda d: d["annotations"][1].update(bbox=None, segmentation=[[1, 1, 5, 1, 5, 5]]), "polygon", "without a box"),
        (lambda d: d["annotations"][1].update(category_id=99), "not_a_class", "no category with the id 99"),
        (
            lambda d: d["images"][1].update(width=HEIGHT_PX, height=WIDTH_PX),
            "other_picture",
            f"labelled at {HEIGHT_PX}x{WIDTH_PX}",
        ),
    ],
)
def test_a_bad_annotation_of_coco(edit: Callable[[Any], None], kind: str, said: str, tmp_path: Path) -> None:
    change(write_coco(tmp_path / "mine", [GOOD, BAD]) / "annotations.json", edit)
    problems, left = problems_of("coco", tmp_path)
    (problem,) = problems
    assert (problem.kind, problem.where) == (kind, "mine: annotations.json:annotations[1] of bad.png")
    assert said in problem.what
    assert left == ["good"]


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        (lambda d: d["annotations"][1].update(image_id=99), {"missing_picture": 1}),
        (lambda d: d["annotations"][1].pop("image_id"), {"columns": 1}),
        (lambda d: d["images"].append(dict(d["images"][0])), {"twice": 1}),
        (lambda d: d["images"].append({**d["images"][0], "id": 1}), {"twice": 1}),
        (lambda d: d["images"].append({"id": 5}), {"columns": 1}),
    ],
)
def test_a_coco_file_that_does_not_hold_together(edit: Callable[[Any], None], counts: dict[str, int], tmp_path: Path) -> None:
    change(write_coco(tmp_path / "mine", [GOOD, BAD]) / "annotations.json", edit)
    assert problems_of("coco", tmp_path)[0].counts() == counts


def test_a_resized_copy_keeps_its_boxes(tmp_path: Path) -> None:
    write_coco(tmp_path / "mine", [GOOD])
    write_picture(tmp_path / "mine" / "images" / "good.png", 1, (2 * WIDTH_PX, 2 * HEIGHT_PX))
    problems, left = problems_of("coco", tmp_path)
    assert problems.counts() == {"other_size": 1}
    assert not problems.errors
    assert left == ["good"]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("<xmin>8.0</xmin>", "<xmin>nan</xmin>", "not_finite"),
        ("<xmin>8.0</xmin>", "<xmin>left</xmin>", "columns"),
        ("<xmin>8.0</xmin>", "", "columns"),
        ("<xmin>8.0</xmin>", "<xmin>41</xmin>", "no_area"),
        ("<xmax>40.0</xmax>", "<xmax>400</xmax>", "outside"),
        ("<width>64</width>", "<width>640</width>", "other_picture"),
        ("</annotation>", "", "unreadable_labels"),
        ("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>', "unreadable_labels"),
        ("<width>64</width>", f"<width>{'9' * 400}</width>", None),  # no size at all: that of the picture is taken
        (">bad.png<", f">{'9' * 400}.png<", None),
        (">bad.png<", ">nowhere.png<", None),  # found by the label file's own name
    ],
)
def test_a_bad_file_of_voc(old: str, new: str, kind: str | None, tmp_path: Path) -> None:
    path = write_voc(tmp_path / "mine", [GOOD, BAD]) / "Annotations" / "bad.xml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    problems, left = problems_of("voc", tmp_path)
    assert problems.counts() == ({kind: 1} if kind else {})
    assert left == (["good"] if kind and kind != "unreadable_labels" else ["bad", "good"] if not kind else ["good"])


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([{"label": 0, "bounding_box": [0.1, 0.1, 0.2]}], "columns"),
        ([{"label": 0, "bounding_box": [0.1, 0.1, None, 0.2]}], "columns"),
        ([{"label": 0, "bounding_box": [0.1, 0.1, float("inf"), 0.2]}], "not_finite"),
        ([{"label": 9, "bounding_box": [0.1, 0.1, 0.2, 0.2]}], "not_a_class"),
        ([{"label": 0, "bounding_box": [0.9, 0.1, 0.2, 0.2]}], "outside"),
        (["tank"], "columns"),
        ("tank", "columns"),
    ],
)
def test_a_bad_label_of_fiftyone(rows: Any, kind: str, tmp_path: Path) -> None:
    path = write_fiftyone_labels(tmp_path / "mine", [GOOD, BAD]) / "labels.json"
    change(path, lambda d: d["labels"].update(bad=rows))
    problems, left = problems_of("fiftyone", tmp_path)
    assert problems.counts() == {kind: 1}
    assert left == ["good"]


@pytest.mark.parametrize(
    ("reader", "files", "said"),
    [
        ("yolo", {"images/a.png": b"", "labels/a.txt": b""}, "nothing says what its class indices mean"),
        ("yolo", {"data.yaml": b"names: {0: a, 2: b}"}, "does not count its classes from 0"),
        ("yolo", {"data.yaml": b"names: [a"}, "cannot read"),
        ("coco", {"a.txt": b""}, "has no COCO JSON file"),
        ("coco", {"a.json": b"{"}, "no readable JSON"),
        ("coco", {"a.json": b'{"images": []}'}, "lacks annotations, categories"),
        ("coco", {"a.json": b'{"images": 1, "annotations": [], "categories": []}'}, "images is no list"),
        ("voc", {"a.txt": b""}, "has no XML files"),
        ("fiftyone", {"a.txt": b""}, "neither samples.json nor labels.json"),
        ("fiftyone", {"samples.json": b"{}"}, "no list of samples"),
        ("fiftyone", {"samples.json": b'{"samples": [{"filepath": "a"}]}'}, "no field with boxes"),
        ("fiftyone", {"labels.json": b"[]"}, "no table of labels"),
        ("run", {"a.txt": b""}, "is not a flatcar run"),
    ],
)
def test_a_folder_of_another_form(reader: str, files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(Exception, match=said) as error:
        problems_of(reader, tmp_path)
    assert getattr(error.value, "exit_code", None) == 2  # one line for a person, not a traceback


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reader": "yolo", "lables": "x"}, "does not know lables; it knows "),
        ({"reader": "yolo", "classes": "tank"}, "classes is 'tank', not a table"),
        ({"reader": "yolo", "polygons": "yes"}, "polygons is 'yes'; use refuse or box"),
        ({"reader": "yolo", "view": "sideways"}, "view is 'sideways'"),
        ({"reader": "yolo", "clip": "("}, "clip is no regular expression"),
        ({"reader": "yolo", "folder": "nowhere"}, "no folder for the pictures of 'mine'"),
        ({"reader": "coco", "annotations": "nowhere.json"}, "there is no file"),
        ({"folder": "mine"}, "has no reader"),
        ({"reader": "magic"}, "unknown reader 'magic'"),
    ],
)
def test_a_source_described_wrongly(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [GOOD])
    (tmp_path / "mine" / "labels" / "good.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n", encoding="utf-8")
    with pytest.raises(InputError, match=said.replace("(", "[(]")):
        read_source("mine", tmp_path, options)


def test_of_many_problems_the_rest_is_counted(tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [BAD])
    (tmp_path / "mine" / "labels" / "bad.txt").write_text("0 nan 0.5 0.2 0.2\n" * 25 + "0 0.5\n", encoding="utf-8")
    problems, _ = problems_of("yolo", tmp_path)
    said = lines(problems, shown=20)
    assert len(said) == 22
    assert said[0].startswith("error: mine: labels/bad.txt:1: a coordinate is not a finite number")
    assert said[20] == "error: and 5 more [not_finite]"
    assert said[21].endswith("2 columns instead of 5 [columns]")
