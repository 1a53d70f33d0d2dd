"""Counts of a set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.labelled import Labelled, write_yolo
from vision.errors import InputError
from vision.learn.build import build
from vision.learn.description import DataSet
from vision.learn.splits import Placed, write_split
from vision.learn.stats import missing_classes, stats


def test_what_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow comes with imagehash")
    write_yolo(
        tmp_path / "a",
        [
            Labelled("p0", (("tank", (0.0, 0.0, 48.0, 48.0)), ("BMP-2", (0.0, 0.0, 8.0, 8.0)), ("wreck", (0.0, 0.0, 9.0, 9.0)))),
            Labelled("p1", (("tank", (0.0, 0.0, 8.0, 8.0)),), seed=1),
        ],
    )
    write_yolo(tmp_path / "b", [Labelled("p2", seed=2)])
    (tmp_path / "own.yaml").write_text(
        "name: tiny\nsources:\n  a: {reader: yolo, licence: CC0, view: high, classes: {wreck: ignore}}\n  b: {reader: yolo}\n",
        encoding="utf-8",
    )
    sides = [("a", "images/p0.png", "train"), ("a", "images/p1.png", "valid"), ("b", "images/p2.png", "train")]
    write_split(tmp_path / "own.split.tsv", [Placed(s, f, side, f) for s, f, side in sides])
    built = build(DataSet.load(tmp_path / "own.yaml"), None, tmp_path / "set")
    counted = stats(tmp_path / "set")
    assert counted.to_dict() == {
        "name": "tiny",
        "digest": built.digest,
        "pictures": {"pictures": {"train": 2, "valid": 1}, "background": {"train": 1, "valid": 0}},
        "boxes": {"tank": {"train": 1, "valid": 1}, "bmp": {"train": 1, "valid": 0}, "(ignored)": {"train": 1, "valid": 0}},
        "parents": {"tank": {"train": 1, "valid": 1}, "ifv": {"train": 1, "valid": 0}},
        "sources": {"a": {"train": 1, "valid": 1}, "b": {"train": 1, "valid": 0}},
        "views": {"high": {"train": 1, "valid": 1}, "unknown": {"train": 1, "valid": 0}},
        "sizes": {"under 32 px": {"train": 1, "valid": 1}, "32 to 96 px": {"train": 1, "valid": 0}},
        "licences": {"(not stated)": {"train": 1, "valid": 0}, "CC0": {"train": 1, "valid": 1}},
    }
    assert missing_classes(counted) == ["bmp"]
    assert stats(tmp_path / "set" / "data.yaml") == counted


@pytest.mark.parametrize(("files", "said"), [({}, "has no data.yaml"), ({"data.yaml": "names: [a]"}, "has no manifest")])
def test_no_set(files: dict[str, str], said: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        stats(tmp_path)
