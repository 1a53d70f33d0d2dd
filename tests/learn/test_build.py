"""A training set on disk: painted ignore regions, labels, ground truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.errors import InputError
from vision.learn.build import GREY, DataSet, build, paint_ignored, shrink
from vision.learn.sources import Box
from vision.learn.splits import Placed, read_split, write_split


@pytest.mark.parametrize(("size", "shrunk"), [((1000, 2000), (320, 640)), ((2000, 1000), (640, 320)), ((100, 200), (100, 200))])
def test_shrink(size: tuple[int, int], shrunk: tuple[int, int]) -> None:
    assert shrink(np.zeros((*size, 3), np.uint8), 640).shape == (*shrunk, 3)


def test_ignore_regions_are_grey_but_labelled_pixels_stay() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    ignored = Box(None, (0.5, 0.5, 0.4, 0.4))
    labelled = Box("tank", (0.35, 0.5, 0.2, 0.2))
    painted = paint_ignored(image, [ignored, labelled])
    assert (painted[50, 60] == GREY).all()
    assert (painted[50, 40] == 0).all()  # inside both
    assert (painted[10, 10] == 0).all()
    assert (image == 0).all()


def test_an_ignore_region_under_a_labelled_box_is_left_alone() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    boxes = [Box(None, (0.5, 0.5, 0.4, 0.4)), Box("tank", (0.5, 0.5, 0.38, 0.38))]
    assert (paint_ignored(image, boxes) == 0).all()


def test_build(collections: Path, description: Path, tmp_path: Path) -> None:
    data = DataSet.load(description)
    pictures = data.pictures(collections)
    assert "train/2_a.jpg" not in {p.file for p in pictures}  # nothing but an ignore region on it
    write_split(data.split, [Placed(p.source, p.file, "valid" if p.source == "mianali" else "train", p.name) for p in pictures])
    out = tmp_path / "out"
    counted = build(data, collections, out).counted
    assert counted["valid pictures mianali"] == 3
    assert (out / "labels/train/tanks__tank--3.txt").read_text(encoding="utf-8") == "8 0.500000 0.500000 0.500000 0.500000\n"
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    assert [i["file_name"] for i in truth["images"]] == [
        f"truth/mianali__{n}.jpg" for n in ("train__1_a", "train__3_a", "valid__4_a")
    ]
    assert truth["ignored"] == [{"image_id": 1, "bbox": [20.0, 6.0, 8.0, 12.0], "view": "high"}]
    assert truth["annotations"][0] == {"image_id": 1, "category_id": 1, "bbox": [4.0, 6.0, 8.0, 12.0], "view": "ground"}
    painted = cv2.imread(str(out / "images/valid/mianali__train__1_a.jpg"))
    assert painted.shape == (24, 32, 3)
    assert abs(painted[9:15, 22:26].astype(int) - GREY).max() < 12  # JPEG


def test_a_picture_the_split_does_not_name_is_refused(collections: Path, description: Path, tmp_path: Path) -> None:
    data = DataSet.load(description)
    write_split(data.split, [])
    with pytest.raises(InputError, match=r"does not name mianali/train/1_a\.jpg"):
        build(data, collections, tmp_path / "out")


def test_a_new_split_follows_the_named_scenes(collections: Path, description: Path, tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    data = DataSet.load(description)
    build(data, collections, tmp_path / "out", new_split=True)
    placed = read_split(data.split)
    assert placed["mianali", "train/1_a.jpg"].group == placed["mianali", "valid/4_a.jpg"].group
    assert placed["mianali", "train/1_a.jpg"].split == "valid"  # one of each: a tie is validation
    assert {p.split for p in placed.values() if p.source == "rail"} == {"valid"}


def test_importing_learn_loads_no_training_library() -> None:
    code = "import sys, vision.learn.build, vision.learn.splits; print('torch' in sys.modules, 'ultralytics' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]
