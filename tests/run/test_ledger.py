from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.results import SHA, make_result, make_train
from vision.errors import OutputError
from vision.run.ledger import Ledger, Planned
from vision.types import VideoResult

CONFIG = '{"detect": {"min_score": 0.25, "batch": 4}}'


def begin(ledger: Ledger, **changes: str) -> None:
    values = {"config_digest": "d1", "config_json": CONFIG, "weights_name": "w", "weights_sha256": "a" * 64, "version": "1"}
    ledger.begin(**(values | changes))


def video(folder: Path, name: str = "a.mp4", content: str = "x") -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.fixture
def ledger(tmp_path: Path):
    (tmp_path / "run").mkdir()
    with Ledger.open(tmp_path / "run", create=True) as ledger:
        yield ledger


def test_a_video_goes_through(ledger: Ledger, tmp_path: Path) -> None:
    path = video(tmp_path)
    assert ledger.plan([path]) == Planned(new=1)
    (row,) = ledger.pending()
    assert (row.path, row.status, row.size_bytes) == (path, "queued", 1)
    ledger.mark_running(row)
    assert ledger.rows()[0].status == "running"
    ledger.finish(row, make_result(make_train("tank"), path=path, sightings=3))
    (row,) = ledger.rows()
    assert (row.status, row.sha256, row.duration_s, row.trains, row.sightings) == ("done", SHA, 60.0, 1, 3)
    assert row.started is not None
    assert row.ended is not None
    assert ledger.pending() == ()
    assert ledger.find_done(SHA) == row
    assert ledger.find_done("") is None


@pytest.mark.parametrize(
    ("status", "change", "expected"),
    [
        ("queued", None, Planned(new=1)),
        ("running", None, Planned(retry=1)),
        ("failed", None, Planned(retry=1)),
        ("done", None, Planned(done=1)),
        ("skipped", None, Planned(done=1)),
        ("done", "content", Planned(changed=1)),
        ("done", "touched", Planned(changed=1)),
        ("done", "gone", Planned(changed=1)),
        ("failed", "gone", Planned(changed=1)),
    ],
)
def test_a_second_plan(ledger: Ledger, tmp_path: Path, status: str, change: str | None, expected: Planned) -> None:
    path = video(tmp_path)
    ledger.plan([path])
    (row,) = ledger.pending()
    if status != "queued":
        ledger.mark_running(row)
    if status not in {"queued", "running"}:
        ledger.finish(row, VideoResult(path, SHA, status, "unreadable: it is broken" if status != "done" else ""))  # type: ignore[arg-type]
    if change == "content":
        path.write_text("longer")
    if change == "touched":
        os.utime(path, ns=(1, 1))
    if change == "gone":
        path.unlink()
    assert ledger.plan([path]) == expected
    again = ledger.pending()
    assert len(again) == 1 - expected.done
    for row in again:
        assert (row.status, row.reason, row.sha256, row.started) == ("queued", "", "", None)


def test_a_reason_is_a_name_and_a_sentence(ledger: Ledger, tmp_path: Path) -> None:
    ledger.plan([tmp_path / "a.mp4"])
    ledger.finish(ledger.pending()[0], VideoResult(tmp_path / "a.mp4", "", "failed", "unreadable: moov atom: not \udcff found"))
    (row,) = ledger.rows()
    assert (row.reason, row.sentence) == ("unreadable", "moov atom: not \\xff found")


def test_the_same_place_in_another_spelling_is_one_input(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path)
    monkeypatch.chdir(tmp_path)
    spellings = [path, Path("a.mp4"), tmp_path / "run" / ".." / "a.mp4"]
    assert ledger.plan(spellings) == Planned(new=1)
    assert len(ledger.pending()) == 1


def test_a_moved_folder_is_known_again(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    video(tmp_path / "one")
    monkeypatch.chdir(tmp_path / "one")
    ledger.plan([Path("a.mp4")])
    ledger.finish(ledger.pending()[0], make_result(path="a.mp4"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    monkeypatch.chdir(tmp_path / "two")
    assert ledger.plan([Path("a.mp4")]) == Planned(done=1)
    (tmp_path / "three").mkdir()
    video(tmp_path / "three", content="another film")
    monkeypatch.chdir(tmp_path / "three")
    assert ledger.plan([Path("a.mp4")]) == Planned(new=1)


def test_pending_holds_what_was_planned_in_order(ledger: Ledger, tmp_path: Path) -> None:
    a, b, c = (video(tmp_path, name) for name in ("c.mp4", "a.mp4", "b.mp4"))
    ledger.plan([a, b])
    assert [row.path for row in ledger.pending()] == [a, b]
    ledger.plan([c])
    assert [row.path for row in ledger.pending()] == [c]
    assert len(ledger.rows()) == 3


def test_a_name_that_is_no_unicode(ledger: Ledger) -> None:
    path = Path("клип\udcff.mp4")
    ledger.plan([path])
    assert ledger.pending()[0].path == path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"config_digest": "d2", "config_json": CONFIG.replace("0.25", "0.3")},
            r"detect\.min_score was 0\.25 and is 0\.3.*--force",
        ),
        ({"config_digest": "d2", "config_json": '{"detect": {"batch": 4}}'}, r"detect\.min_score was 0\.25 and is None"),
        ({"config_digest": "d2"}, "the settings digest"),
        ({"weights_sha256": "b" * 64, "weights_name": "v"}, "weights were w .aaaaaaaaaaaa. and are v .bbbbbbbbbbbb."),
    ],
)
def test_other_settings_are_refused(ledger: Ledger, changes: dict[str, str], says: str) -> None:
    begin(ledger)
    with pytest.raises(OutputError, match=says):
        begin(ledger, **changes)
    assert len(ledger.runs()) == 1


def test_the_same_settings_go_on(ledger: Ledger) -> None:
    begin(ledger)
    begin(ledger, version="2", weights_name="the same by another name")
    assert [run.version for run in ledger.runs()] == ["1", "2"]


def test_named_texts(ledger: Ledger) -> None:
    assert ledger.get("a") is None
    ledger.set("a", "1")
    ledger.set("a", "2' --")
    assert ledger.get("a") == "2' --"


@pytest.mark.parametrize(
    ("make", "says"),
    [("absent", "not a flatcar run"), ("text", "cannot use the ledger"), ("empty", "schema 0"), ("newer", "schema 9")],
)
def test_what_cannot_be_read(tmp_path: Path, make: str, says: str) -> None:
    path = tmp_path / "ledger.sqlite"
    if make == "text":
        path.write_text("not a database, not at all" * 100)
    if make == "empty":
        path.write_bytes(b"")
    if make == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 9")
    with pytest.raises(OutputError, match=says):
        Ledger.open(tmp_path, create=False)


def test_reading_does_not_write(ledger: Ledger, tmp_path: Path) -> None:
    ledger.plan([tmp_path / "a.mp4"])
    with Ledger.open(tmp_path / "run", create=False) as reader:
        assert len(reader.rows()) == 1
        with pytest.raises(OutputError, match="cannot write the ledger"):
            reader.set("a", "b")


def test_a_kill_in_the_middle_loses_only_the_open_transaction(tmp_path: Path) -> None:
    killed = (
        "import sys, os, signal, pathlib; from vision.run.ledger import Ledger\n"
        "ledger = Ledger.open(pathlib.Path(sys.argv[1]), create=True)\n"
        "ledger.plan([pathlib.Path('a.mp4')]); ledger.mark_running(ledger.pending()[0])\n"
        "with ledger._writing() as c:\n"
        "    c.execute('PRAGMA cache_size = 1')\n"
        "    c.executemany('INSERT INTO settings VALUES (?, ?)', ((str(i), 'x' * 500) for i in range(2000)))\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False).returncode == 9
    assert (tmp_path / "ledger.sqlite-journal").exists()  # a hot journal: what the next to come rolls back
    shutil.copytree(tmp_path, tmp_path / "copy")
    for folder, create in ((tmp_path, True), (tmp_path / "copy", False)):
        with Ledger.open(folder, create=create) as ledger:
            assert [row.status for row in ledger.rows()] == ["running"]
            assert ledger.get("0") is None
