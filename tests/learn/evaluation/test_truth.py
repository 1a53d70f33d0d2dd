"""Truth files: what is read, and how each bad one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluations import document_of, small_truth
from vision.errors import InputError
from vision.learn.evaluation.truth import Truth

Document = dict[str, Any]


def write(folder: Path, document: object) -> Path:
    (folder / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    truth = Truth.load(write(tmp_path, document_of(small_truth())) / "data.yaml")
    assert (truth.images, truth.annotations) == (small_truth().images, small_truth().annotations)
    assert truth.busy() == {1, 2}
    assert truth.only([2]).annotations == small_truth().annotations[2:]


def test_source_and_view_may_be_missing(tmp_path: Path) -> None:
    document = document_of(small_truth())
    del document["images"][0]["source"], document["images"][0]["view"]
    row = Truth.load(write(tmp_path, document)).images[0]
    assert (row["source"], row["view"]) == ("unknown", "unknown")


def test_scenes_come_from_the_manifest(tmp_path: Path) -> None:
    write(tmp_path, document_of(small_truth()))
    row = {"split": "valid", "source": "s", "file": "f", "sha256": "", "licence": "", "view": "ground", "boxes": {}, "ignored": 0}
    sizes = dict.fromkeys(("width_px", "height_px", "original_width_px", "original_height_px"), 1)
    lines = [{"picture": name, "group": group, **row, **sizes} for name, group in (("1", "yard"), ("2", "yard"), ("9", "other"))]
    (tmp_path / "manifest.ndjson").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert [i.get("group") for i in Truth.load(tmp_path).images] == ["yard", "yard", None]


def test_other_splits_are_left_out(tmp_path: Path) -> None:
    document = document_of(small_truth())
    document["images"][1]["split"] = "test"
    folder = write(tmp_path, document)
    assert [row["id"] for row in Truth.load(folder).images] == [1, 3]
    test = Truth.load(folder, split="test")
    assert [row["image_id"] for row in test.annotations] == [2]
    with pytest.raises(InputError, match="no picture of the split 'train': it has test, valid"):
        Truth.load(folder, split="train")


def _set(*keys: Any, to: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("images"), "'images' is missing"),
        (lambda d: d["annotations"][0].pop("bbox"), "'bbox' is missing"),
        (_set("images", to=[]), "it names no picture at all"),
        (_set("images", 1, "id", to=1), r"images\[1\]: the id 1 stands twice"),
        (_set("images", 0, "width", to=0), r"images\[0\]: needs a file name, and a width"),
        (_set("annotations", 1, "image_id", to=7), r"annotations\[1\]: there is no picture 7"),
        (_set("ignored", 0, "image_id", to=None), r"ignored\[0\]: there is no picture None"),
        (_set("annotations", 2, "category_id", to=99), r"annotations\[2\]: there is no category 99"),
        (_set("annotations", 0, "bbox", to=[1, 1, 0, 5]), r"annotations\[0\]: \[1, 1, 0, 5\] is no box"),
        (_set("annotations", 0, "bbox", to=[1, float("nan"), 5, 5]), "is no box"),
        (_set("annotations", 0, "bbox", to=[1, 1, 5]), "is no box"),
        (_set("annotations", 0, "bbox", to=["x", 1, 5, 5]), "is no box"),
        (_set("categories", 0, "name", to="tnak"), "unknown class 'tnak'; did you mean tank"),
        (_set("categories", 1, "name", to="ifv"), r"'ifv' is a parent; a box needs a leaf of it \(bmp, bmd\)"),
        (_set("categories", 1, "id", to=40), "ids of its categories must be 0, 1, 2"),
    ],
)
def test_bad_truth_is_named(tmp_path: Path, change: Callable[[Document], None], words: str) -> None:
    document = document_of(small_truth())
    change(document)
    with pytest.raises(InputError, match=words):
        Truth.load(write(tmp_path, document))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_other_files_are_no_truth(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="no ground truth in"):
        Truth.load(tmp_path)


def test_missing_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*truth\.json; build the set with: flatcar dataset build"):
        Truth.load(tmp_path)
