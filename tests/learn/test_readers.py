"""Readers of general formats: the same boxes written in each come back equal; names, sides, clips and turned pictures."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.labelled import (
    FORMATS,
    HEIGHT_PX,
    WIDTH_PX,
    Corners,
    Labelled,
    write_coco,
    write_fiftyone_samples,
    write_picture,
    write_voc,
    write_yolo,
)
from vision.errors import InputError, TaxonomyError
from vision.learn.labels import ClassMap, side_of, turned
from vision.learn.problems import Problems
from vision.learn.sources import guess_reader, read_source
from vision.taxonomy import default_taxonomy

pytest.importorskip("PIL", reason="Pillow comes with imagehash")

every_format = pytest.mark.parametrize("form", FORMATS)

# Their name -> ours, by the taxonomy alone.
NAMES = {"tank": "tank", "БМП-2": "bmp", "2S1": "sp_gun", "KamAZ": "truck", "covered": "covered_vehicle"}


@st.composite
def corners(draw: st.DrawFn) -> Corners:
    x = sorted(draw(st.lists(st.integers(0, 4 * WIDTH_PX), min_size=2, max_size=2, unique=True)))
    y = sorted(draw(st.lists(st.integers(0, 4 * HEIGHT_PX), min_size=2, max_size=2, unique=True)))
    return x[0] / 4, y[0] / 4, x[1] / 4, y[1] / 4


labelled = st.lists(st.lists(st.tuples(st.sampled_from(sorted(NAMES)), corners()), max_size=4), min_size=1, max_size=3)


def boxes_px(picture: Any) -> list[tuple[str | None, tuple[float, ...]]]:
    """Class and corners in pixels of each box of a picture that was read."""
    scale = (WIDTH_PX, HEIGHT_PX, WIDTH_PX, HEIGHT_PX)
    return [(b.leaf, tuple(v * s for v, s in zip(b.xyxy, scale, strict=True))) for b in picture.boxes]


@every_format
@settings(max_examples=20, deadline=None)
@given(drawn=labelled)
def test_what_is_written_in_any_format_is_read_back(form: str, drawn: list[list[tuple[str, Corners]]]) -> None:
    reader, write = FORMATS[form]
    pictures = [Labelled(f"p{i}", tuple(boxes)) for i, boxes in enumerate(drawn)]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "mine", pictures)
        problems = Problems()
        found = read_source("mine", Path(folder), {"reader": reader}, problems=problems)
    assert not list(problems)
    assert [Path(p.file).stem for p in found] == [p.name for p in pictures]
    for read, written in zip(found, pictures, strict=True):
        assert [leaf for leaf, _ in boxes_px(read)] == [NAMES[name] for name, _ in written.boxes]
        for (_, back), (_, box) in zip(boxes_px(read), written.boxes, strict=True):
            assert back == pytest.approx(box, abs=1e-6)


@every_format
def test_the_published_side_is_kept(form: str, tmp_path: Path) -> None:
    reader, write = FORMATS[form]
    box = (("tank", (8.0, 8.0, 40.0, 40.0)),)
    write(tmp_path / "mine", [Labelled("a", box, side="train"), Labelled("b", box, side="val"), Labelled("c", box)])
    found = read_source("mine", tmp_path, {"reader": reader})
    assert {Path(p.file).stem: p.published for p in found} == {"a": "train", "b": "valid", "c": None}


@every_format
def test_the_format_is_guessed(form: str, tmp_path: Path) -> None:
    reader, write = FORMATS[form]
    write(tmp_path / "mine", [Labelled("a", (("tank", (8.0, 8.0, 40.0, 40.0)),))])
    assert guess_reader(tmp_path / "mine") == reader


def test_a_folder_that_tells_nothing(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"nothing in .* tells in which form"):
        guess_reader(tmp_path)


@pytest.mark.parametrize(
    ("name", "mapping", "meaning"),
    [
        ("tank", {}, "tank"),
        ("Т-72", {}, "tank"),
        ("боевая машина пехоты", {}, "bmp"),
        ("САУ", {}, "sp_gun"),
        ("под чехлом", {}, "covered_vehicle"),  # a parent with one leaf
        ("Panzer", {"Panzer": "T-72"}, "tank"),
        ("tank", {"tank": "ignore"}, "ignore"),  # the description has the last word
        ("person", {"*": "drop"}, "drop"),
        ("tank", {"*": "drop"}, "tank"),
        ("artillery", {"artillery": "towed_gun"}, "towed_gun"),
        ("0", {"0": "btr"}, "btr"),
    ],
)
def test_what_a_class_name_becomes(name: str, mapping: dict[str, str], meaning: str) -> None:
    assert ClassMap(default_taxonomy(), mapping, "mine").meaning(name) == meaning


@pytest.mark.parametrize(
    ("name", "said"),
    [("tnak", "did you mean tank"), ("artillery", "stands for several classes .sp_gun, towed_gun"), ("", "unknown class")],
)
def test_a_class_name_that_says_too_little(name: str, said: str) -> None:
    with pytest.raises(TaxonomyError) as error:
        ClassMap(default_taxonomy(), {}, "mine").meaning(name)
    assert re.search(said, str(error.value))


def test_a_mapping_to_nothing_known() -> None:
    with pytest.raises(InputError, match="'Panzer' cannot become 'tnak'"):
        ClassMap(default_taxonomy(), {"Panzer": "tnak"}, "mine")


def test_ignored_and_dropped_classes(tmp_path: Path) -> None:
    boxes = (("tank", (1.0, 1.0, 20.0, 20.0)), ("wreck", (20.0, 20.0, 40.0, 40.0)), ("person", (50.0, 1.0, 60.0, 20.0)))
    write_yolo(tmp_path / "mine", [Labelled("a", boxes), Labelled("b", boxes[2:])])
    problems = Problems()
    options = {"reader": "yolo", "classes": {"wreck": "ignore", "person": "drop", "horse": "drop"}}
    found = read_source("mine", tmp_path, options, problems=problems)
    assert [[b.leaf for b in p.boxes] for p in found] == [["tank", None], []]
    assert [(p.kind, p.what) for p in problems] == [("unused_class", "no label is called horse, which its classes map")]


def test_yolo_beside_its_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "mine" / "a.png")
    (tmp_path / "mine" / "a.txt").write_text("1 0.5 0.5 0.25 0.5\n\n", encoding="utf-8")
    (tmp_path / "mine" / "classes.txt").write_text("bmp\ntank\n", encoding="utf-8")
    (found,) = read_source("mine", tmp_path, {"reader": "yolo"})
    assert [(b.leaf, b.cxcywh) for b in found.boxes] == [("tank", (0.5, 0.5, 0.25, 0.5))]


def test_yolo_with_sides_above_its_folders(tmp_path: Path) -> None:
    for side in ("train", "valid"):
        write_yolo(tmp_path / "mine" / side, [Labelled(side, (("tank", (8.0, 8.0, 40.0, 40.0)),))])
    (tmp_path / "mine" / "data.yaml").write_text("names: {0: tank}\ntrain: ../train/images\n", encoding="utf-8")
    found = read_source("mine", tmp_path, {"reader": "yolo"})
    assert [(p.file, p.published, len(p.boxes)) for p in found] == [
        ("train/images/train.png", "train", 1),
        ("valid/images/valid.png", "valid", 1),
    ]


@pytest.mark.parametrize(
    ("options", "boxes"),
    [
        ({"names": ["bmp", "tank"]}, ["tank"]),
        ({"classes": {"1": "mlrs"}}, ["mlrs"]),
        ({"names": ["a", "b"], "classes": {"b": "uaz"}}, ["uaz"]),
    ],
)
def test_yolo_named_by_the_description(options: dict[str, Any], boxes: list[str], tmp_path: Path) -> None:
    write_picture(tmp_path / "mine" / "images" / "a.png")
    (tmp_path / "mine" / "labels").mkdir()
    (tmp_path / "mine" / "labels" / "a.txt").write_text("1 0.5 0.5 0.25 0.5", encoding="utf-8")
    (found,) = read_source("mine", tmp_path, {"reader": "yolo", **options})
    assert [b.leaf for b in found.boxes] == boxes


def test_polygons_become_the_box_around_them_when_asked(tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [Labelled("a")])
    (tmp_path / "mine" / "labels" / "a.txt").write_text("0 0.25 0.5 0.5 0.25 0.75 0.75\n", encoding="utf-8")
    problems = Problems()
    (found,) = read_source("mine", tmp_path, {"reader": "yolo", "polygons": "box"}, problems=problems)
    assert [b.xyxy for b in found.boxes] == [(0.25, 0.25, 0.75, 0.75)]
    assert problems.counts() == {"polygon_to_box": 1}
    assert not problems.errors


@pytest.mark.parametrize(
    ("reader", "options", "pictures"),
    [
        ("yolo", {}, []),
        ("yolo", {"unlabelled": "background"}, ["a"]),
        ("coco", {}, ["a"]),
        ("coco", {"unlabelled": "leave_out"}, []),
    ],
)
def test_a_picture_that_nobody_labelled(reader: str, options: dict[str, str], pictures: list[str], tmp_path: Path) -> None:
    FORMATS[reader][1](tmp_path / "mine", [Labelled("a")])
    for labels in (tmp_path / "mine").rglob("a.txt"):
        labels.unlink()
    problems = Problems()
    found = read_source("mine", tmp_path, {"reader": reader, **options}, problems=problems)
    assert [Path(p.file).stem for p in found] == pictures
    assert problems.counts() == ({} if reader == "coco" and not options else {"unlabelled": 1})


def test_crowds_and_difficult_objects_are_ignore_regions(tmp_path: Path) -> None:
    box = (("tank", (8.0, 8.0, 40.0, 40.0)),)
    coco = write_coco(tmp_path / "coco", [Labelled("a", box)]) / "annotations.json"
    document = json.loads(coco.read_text(encoding="utf-8"))
    document["annotations"][0]["iscrowd"] = 1
    coco.write_text(json.dumps(document), encoding="utf-8")
    voc = write_voc(tmp_path / "voc", [Labelled("a", box)]) / "Annotations" / "a.xml"
    voc.write_text(voc.read_text(encoding="utf-8").replace("<bndbox>", "<difficult>1</difficult><bndbox>"), encoding="utf-8")
    for reader in ("coco", "voc"):
        problems = Problems()
        (found,) = read_source(reader, tmp_path, {"reader": reader}, problems=problems)
        assert [b.leaf for b in found.boxes] == [None]
        assert len(problems.warnings) == 1
    (kept,) = read_source("voc", tmp_path, {"reader": "voc", "difficult": "keep"})
    assert [b.leaf for b in kept.boxes] == ["tank"]


def test_voc_that_counts_from_one(tmp_path: Path) -> None:
    write_voc(tmp_path / "mine", [Labelled("a", (("tank", (1.0, 1.0, float(WIDTH_PX), float(HEIGHT_PX))),))])
    (found,) = read_source("mine", tmp_path, {"reader": "voc", "one_based": True})
    assert found.boxes[0].xyxy == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("pattern", "clips"),
    [
        ("folder", {"a_1": "images/day", "a_2": "images/day", "b_1": "images/night"}),
        (r"/([a-z])_\d+", {"a_1": "a", "a_2": "a", "b_1": "b"}),
        (r"night", {"a_1": None, "a_2": None, "b_1": "night"}),
        (None, {"a_1": None, "a_2": None, "b_1": None}),
    ],
)
def test_clips_by_folder_or_by_name(pattern: str | None, clips: dict[str, str | None], tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [Labelled("a_1", side="day"), Labelled("a_2", side="day"), Labelled("b_1", side="night")])
    options = {"reader": "yolo"} | ({} if pattern is None else {"clip": pattern})
    assert {Path(p.file).stem: p.clip for p in read_source("mine", tmp_path, options)} == clips


def test_fiftyone_fields(tmp_path: Path) -> None:
    box = (("tank", (8.0, 8.0, 40.0, 40.0)),)
    path = write_fiftyone_samples(tmp_path / "mine", [Labelled("a", box, seed=3), Labelled("b", box, seed=4)]) / "samples.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for sample in document["samples"]:
        sample["checked"] = sample.pop("ground_truth")
        sample["guessed"] = {"_cls": "Detections", "detections": []}
    document["samples"][1]["checked"] = None  # nobody labelled it
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="several fields with boxes; it has checked, guessed"):
        read_source("mine", tmp_path, {"reader": "fiftyone"})
    options = {"reader": "fiftyone", "field": "checked", "clip_field": "clip"}
    assert [(p.file, p.clip) for p in read_source("mine", tmp_path, options)] == [("data/a.png", "clip 3")]


def test_a_label_file_cannot_reach_outside_its_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "secret.png")
    path = write_coco(tmp_path / "mine", [Labelled("a")]) / "annotations.json"
    path.write_text(path.read_text(encoding="utf-8").replace("a.png", "../../secret.png"), encoding="utf-8")
    problems = Problems()
    assert read_source("mine", tmp_path, {"reader": "coco"}, problems=problems) == []
    assert problems.counts() == {"missing_picture": 1}


# ---- Pictures turned by their EXIF data -------------------------------------------------------------------------------------


def write_turned(path: Path, orientation: int) -> tuple[int, int]:
    """A picture with one bright corner, stored as the EXIF orientation says; gives its upright size."""
    import numpy as np
    from PIL import Image

    stored = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    stored[4:20, 6:30] = 255  # rows 4 to 20, columns 6 to 30 of the stored picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stored).save(path, quality=95, exif=exif)
    return (WIDTH_PX, HEIGHT_PX) if orientation < 5 else (HEIGHT_PX, WIDTH_PX)


STORED = (6 / WIDTH_PX, 4 / HEIGHT_PX, 30 / WIDTH_PX, 20 / HEIGHT_PX)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_picture(orientation: int, tmp_path: Path) -> None:
    from vision.learn.pictures import picture_head, read_picture

    size = write_turned(tmp_path / "a.jpg", orientation)
    head = picture_head(tmp_path / "a.jpg")
    assert ((head.width_px, head.height_px), head.orientation) == (size, orientation)
    assert head.stored_px == (WIDTH_PX, HEIGHT_PX)
    image = read_picture(tmp_path / "a.jpg")
    assert image.shape[:2] == size[::-1]
    left, top, right, bottom = turned(STORED, orientation)
    x0, y0, x1, y1 = (round(v) for v in (left * size[0], top * size[1], right * size[0], bottom * size[1]))
    assert image[y0:y1, x0:x1].mean() > 240
    assert image.mean() == pytest.approx(255 * (x1 - x0) * (y1 - y0) / (size[0] * size[1]), rel=0.1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("reader", ["coco", "voc"])
def test_labels_made_on_the_picture_as_stored(reader: str, orientation: int, tmp_path: Path) -> None:
    write = {"coco": write_coco, "voc": write_voc}[reader]
    write(tmp_path / "mine", [Labelled("a", (("tank", (6.0, 4.0, 30.0, 20.0)),))])  # its stated size is the stored one
    (picture,) = (tmp_path / "mine").rglob("a.png")
    write_turned(picture.with_suffix(".jpg"), orientation)
    picture.with_suffix(".jpg").rename(picture)
    problems = Problems()
    (found,) = read_source("mine", tmp_path, {"reader": reader}, problems=problems)
    assert found.boxes[0].xyxy == pytest.approx(turned(STORED, orientation))
    assert problems.counts() == {"turned": 1}
    assert not problems.errors


@pytest.mark.parametrize(("option", "turns"), [("upright", False), ("stored", True)])
def test_fractions_on_a_turned_picture(option: str, turns: bool, tmp_path: Path) -> None:
    write_yolo(tmp_path / "mine", [Labelled("a", (("tank", (6.0, 4.0, 30.0, 20.0)),))])
    picture = tmp_path / "mine" / "images" / "a.png"
    write_turned(picture.with_suffix(".jpg"), 6)
    picture.unlink()
    problems = Problems()
    (found,) = read_source("mine", tmp_path, {"reader": "yolo", "orientation": option}, problems=problems)
    assert found.boxes[0].xyxy == pytest.approx(turned(STORED, 6) if turns else STORED)
    assert problems.counts() == ({} if turns else {"turned": 1})


@pytest.mark.parametrize(
    ("file", "side"),
    [
        ("train/a.jpg", "train"),
        ("images/val2017/a.jpg", "valid"),
        ("valid/images/a.jpg", "valid"),
        ("test/a.jpg", "valid"),
        ("train.jpg", None),
        ("strain/a.jpg", None),
    ],
)
def test_side_of_a_path(file: str, side: str | None) -> None:
    assert side_of(file) == side
