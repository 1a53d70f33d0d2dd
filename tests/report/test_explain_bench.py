"""Pictures of miscounted benchmark clips: one for each condition that fails, drawn from the clip's seed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from vision.errors import OutputError
from vision.report.explain_bench import explain_entry, explain_failures


def row(condition: str, seed: int, *why: str) -> dict[str, Any]:
    return {"condition": condition, "seed": seed, "lookings": {"5": {"why": list(why)}}}


@pytest.mark.parametrize(("condition", "seed"), [("partial", 100104), ("empty", 100110)])  # with a train, and without one
def test_a_clip_is_drawn_from_its_seed(condition: str, seed: int) -> None:
    picture = explain_entry(condition, seed, looking=5.0)
    assert picture.ndim == 3
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 10


def test_one_picture_for_each_condition_that_fails(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(b"")
    rows = [row("partial", 100105, ""), row("partial", 100104, "missed"), row("empty", 100110, ""), row("fixed", 1)]
    assert explain_failures(rows, 5.0, tmp_path) == {"partial-100104": "partial-100104.jpg"}
    assert [path.name for path in tmp_path.iterdir()] == ["partial-100104.jpg"]
    assert cv2.imread(str(tmp_path / "partial-100104.jpg")).shape[1] <= 1100


def test_nothing_failed(tmp_path: Path) -> None:
    assert explain_failures([row("fixed", 1, "")], 5.0, tmp_path) == {}


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        explain_failures([], 5.0, tmp_path / "file")
