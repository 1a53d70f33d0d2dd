"""Whatever lies in a label file, a reader gives pictures with sound boxes, notes problems, or says in one line why it cannot."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.labelled import (
    Labelled,
    write_coco,
    write_fiftyone_labels,
    write_fiftyone_samples,
    write_voc,
    write_yolo,
)
from vision.errors import FlatcarError
from vision.learn.pictures import Picture
from vision.learn.problems import Problems
from vision.learn.sources import read_source

pytest.importorskip("PIL", reason="Pillow comes with imagehash")

PICTURES = [Labelled("a", (("tank", (8.0, 8.0, 40.0, 40.0)),)), Labelled("b", (("bmp", (8.0, 8.0, 40.0, 40.0)),), seed=1)]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 99),
    st.floats(),
    st.sampled_from(["", "tank", "a.png", "../a.png", "\0", "1e999"]),
    st.text(max_size=5),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value of a JSON document."""
    found = [path]
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def read_and_judge(reader: str, folder: Path, **options: Any) -> None:
    problems = Problems()
    found: list[Picture] = []
    # Anything but an error of flatcar's own is a traceback for a person.
    with contextlib.suppress(FlatcarError):
        found = read_source("mine", folder, {"reader": reader, "classes": {"*": "ignore"}, **options}, problems=problems)
    for picture in found:
        assert picture.path.is_file()
        for box in picture.boxes:
            left, top, right, bottom = box.xyxy
            assert all(map(math.isfinite, box.xyxy))
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
    for problem in problems:
        assert problem.where.startswith("mine")
        assert problem.count >= 1


@pytest.mark.parametrize(
    ("reader", "write", "name"),
    [
        ("coco", write_coco, "annotations.json"),
        ("fiftyone", write_fiftyone_labels, "labels.json"),
        ("fiftyone", write_fiftyone_samples, "samples.json"),
    ],
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_json_with_anything_anywhere(reader: str, write: Any, name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "mine", PICTURES) / name
        document = json.loads(path.read_text(encoding="utf-8"))
        for _ in range(data.draw(st.integers(1, 2))):
            document = changed(document, data.draw(st.sampled_from(places(document))), data.draw(values))
        path.write_text(json.dumps(document), encoding="utf-8")
        read_and_judge(reader, Path(folder))


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.one_of(st.floats().map(repr), st.integers(-2, 9).map(str), st.text(max_size=3)), max_size=8), max_size=4
    ),
    polygons=st.sampled_from(["refuse", "box"]),
)
def test_yolo_with_anything_in_its_rows(rows: list[list[str]], polygons: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_yolo(Path(folder) / "mine", PICTURES)
        text = "\n".join(" ".join(row) for row in rows)
        (Path(folder) / "mine" / "labels" / "a.txt").write_text(text, encoding="utf-8", errors="replace")
        read_and_judge("yolo", Path(folder), polygons=polygons)


@settings(max_examples=60, deadline=None)
@given(
    cut=st.integers(0, 400),
    put=st.sampled_from(["", "<", "nan", "-", "</object>", "<object/>", "<bndbox>", "9" * 400, "\0", "&b;"]),
)
def test_voc_with_anything_at_any_place(cut: int, put: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_voc(Path(folder) / "mine", PICTURES) / "Annotations" / "a.xml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text[:cut] + put + text[cut + 1 :], encoding="utf-8")
        read_and_judge("voc", Path(folder))


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 2000), change=st.integers(0, 255))
def test_pictures_with_anything_in_their_bytes(cut: int, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_yolo(Path(folder) / "mine", PICTURES)
        path = Path(folder) / "mine" / "images" / "a.png"
        data = bytearray(path.read_bytes())
        if cut < len(data):
            data[cut] = change
        else:
            data = data[: cut % 100]
        path.write_bytes(bytes(data))
        read_and_judge("yolo", Path(folder))
