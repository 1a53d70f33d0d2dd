"""Manifest, summary and digest of a set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.labelled import Labelled, write_yolo
from vision.errors import InputError
from vision.learn.manifest import Row, class_names, read_manifest, read_summary, set_digest, write_manifest, write_summary

ROW = Row("s__a", "train", "s", "a.png", "0" * 64, "CC0", "s__a", "ground", 64, 48, 640, 480, {"tank": 2}, 1)

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.builds(Row, *[words] * 8, *[st.integers(0, 9999)] * 4, st.dictionaries(words, st.integers(1, 9)), st.integers(0, 9))
    )
)
def test_rows_come_back(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("set")
    write_manifest(folder, rows)
    key = lambda r: (r.split, r.picture)  # noqa: E731
    assert sorted(read_manifest(folder), key=key) == sorted(rows, key=key)


def test_a_set_without_a_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == []
    assert read_summary(tmp_path) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"picture": "a"}', "1"])
def test_a_damaged_manifest(text: str, tmp_path: Path) -> None:
    write_manifest(tmp_path, [ROW])
    with (tmp_path / "manifest.ndjson").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    with pytest.raises(InputError, match=r"manifest.ndjson:2 is no row"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_summary(text: str, tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"set.json is damaged"):
        read_summary(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [("names: [a, b]", ["a", "b"]), ("names: {1: b, 0: a}", ["a", "b"]), ("names: {0: 1}", ["1"])],
)
def test_class_names(text: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    assert class_names(tmp_path) == names


@pytest.mark.parametrize("text", ["", "names: []", "names: {1: a}", "names: 3", "names: [a", "nc: 3"])
def test_a_data_yaml_without_names(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="does not describe a set"):
        class_names(tmp_path)


def test_what_changes_the_digest(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path / "set", [Labelled("a", (("tank", (8.0, 8.0, 40.0, 40.0)),), side="train")])
    write_manifest(folder, [ROW])
    digest = write_summary(folder, {"name": "x"})
    assert read_summary(folder)["digest"] == digest == set_digest(folder)
    seen = {digest}
    described = (folder / "data.yaml").read_text(encoding="utf-8")

    def differs() -> None:
        seen.add(set_digest(folder))

    (folder / "data.yaml").write_text(described.replace("tank", "mbt"), encoding="utf-8")
    differs()
    (folder / "data.yaml").write_text(described, encoding="utf-8")
    write_manifest(folder, [replace(ROW, licence="CC BY 4.0")])
    differs()
    write_manifest(folder, [ROW])
    (folder / "labels" / "train" / "a.txt").rename(folder / "labels" / "train" / "b.txt")
    differs()
    (folder / "labels" / "train" / "b.txt").rename(folder / "labels" / "train" / "a.txt")
    picture = folder / "images" / "train" / "a.png"
    content = picture.read_bytes()
    picture.write_bytes(content + b"\0")
    differs()
    assert len(seen) == 5
    picture.write_bytes(content)
    assert set_digest(folder) == digest
