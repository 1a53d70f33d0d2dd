"""The folder of an evaluation: whole or not at all, and nothing foreign is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluations import no_leftovers
from vision.errors import OutputError
from vision.learn.evaluation import files
from vision.learn.evaluation.files import DOCUMENT, PAGE, check_file, check_folder, write_folder


def test_a_folder_is_written_and_replaced(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    write_folder(out, page="one", document="{}")
    assert sorted(p.name for p in out.iterdir()) == [DOCUMENT, PAGE]
    with no_leftovers(out.parent):
        write_folder(out, page="two", document="{}")
    assert (out / PAGE).read_text(encoding="utf-8") == "two"


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with no_leftovers(tmp_path):
        write_folder(tmp_path / "out", page="p", document="{}")
    assert (tmp_path / "out" / PAGE).is_file()


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "a.jpg").write_bytes(b"x")
    with no_leftovers(tmp_path), pytest.raises(OutputError, match="is no earlier evaluation"):
        check_folder(foreign)
    (foreign / DOCUMENT).write_text("{}", encoding="utf-8")
    with no_leftovers(tmp_path), pytest.raises(OutputError, match="is no earlier evaluation"):
        write_folder(foreign, page="p", document="{}")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_folder(foreign / "a.jpg")
    with pytest.raises(OutputError, match="cannot write to"):
        check_folder(foreign / "a.jpg" / "out")


def test_a_failure_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_folder(out, page="one", document="{}")

    def full(path: Path, content: bytes) -> None:
        if path.name == DOCUMENT:
            raise OutputError(f"cannot write {path}: No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(files, "atomic_write", full)
    with no_leftovers(tmp_path), pytest.raises(OutputError, match="No space left"):
        write_folder(out, page="two", document="{}")
    assert (out / PAGE).read_text(encoding="utf-8") == "one"


def test_json_needs_a_place(tmp_path: Path) -> None:
    with no_leftovers(tmp_path):
        check_file(tmp_path / "x.json")
        check_folder(tmp_path / "a" / "b" / "c")
    with pytest.raises(OutputError, match="is a folder"):
        check_file(tmp_path)
    with pytest.raises(OutputError, match="there is no folder"):
        check_file(tmp_path / "none" / "x.json")
