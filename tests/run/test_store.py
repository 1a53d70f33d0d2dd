from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.results import SHA, make_look, make_passage, make_raw, make_record
from vision.errors import OutputError, TruthError
from vision.run.store import (
    PASSAGE_ARRAYS,
    RawVideo,
    RunFolder,
    atomic_write,
    clean_text,
    is_run,
    load_raw,
    passage_scalars,
    path_text,
    raw_path,
    save_raw,
)
from vision.types import Detections, Dropped, Look


def assert_same(a: RawVideo, b: RawVideo) -> None:
    assert a.record == b.record
    assert a.class_names == b.class_names
    assert a.dropped == b.dropped
    assert len(a.looks) == len(b.looks)
    for x, y in zip(a.looks, b.looks, strict=True):
        assert (x.pts, x.pts_s) == (y.pts, y.pts_s)
        for name in ("xyxy_px", "score", "class_id"):
            p, q = getattr(x.detections, name), getattr(y.detections, name)
            assert p.dtype == q.dtype
            np.testing.assert_array_equal(p, q)
    assert len(a.passages) == len(b.passages)
    for m, n in zip(a.passages, b.passages, strict=True):
        assert passage_scalars(m) == passage_scalars(n)
        for name in PASSAGE_ARRAYS:
            assert getattr(m, name).dtype == getattr(n, name).dtype
            np.testing.assert_array_equal(getattr(m, name), getattr(n, name))


# ---- The folder -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["absent", "deep", "empty", "run"])
def test_create_takes(tmp_path: Path, make: str) -> None:
    path = tmp_path / ("a/b/c" if make == "deep" else "run")
    if make == "empty":
        path.mkdir()
    if make == "run":
        RunFolder.create(path).close()
    with RunFolder.create(path) as run:
        assert run.writable
        assert is_run(path)
        assert not RunFolder.open(path).writable
    assert not run.writable


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("file", "is a file"),
        ("under_file", "cannot make the run folder"),
        ("foreign", "is not a flatcar run"),
        ("foreign_database", "is not a flatcar run"),
        ("foreign_raw", "is not a flatcar run"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_create_refuses(tmp_path: Path, make: str, says: str, force: bool) -> None:
    path = tmp_path / "run"
    if make.startswith("foreign"):
        path.mkdir()
    if make in {"file", "under_file"}:
        path.write_text("mine")
    if make == "under_file":
        path = path / "run"
    if make == "foreign":
        (path / "holiday.jpg").write_text("mine")
    if make == "foreign_database":
        with sqlite3.connect(path / "ledger.sqlite") as connection:
            connection.execute("CREATE TABLE money (n)")
    if make == "foreign_raw":
        (path / "raw").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=says):
        RunFolder.create(path, force=force)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("make", ["empty", "run"])
def test_create_refuses_a_folder_without_write_permission(tmp_path: Path, make: str) -> None:
    path = tmp_path / "run"
    path.mkdir()
    if make == "run":
        RunFolder.create(path).close()
    for folder in (path, *path.iterdir()):
        folder.chmod(0o555)
    # Root may write anywhere: a child gives its rights up, after it has imported what it needs.
    child = (
        "import os, sys, pathlib; from vision.errors import OutputError; from vision.run.store import RunFolder\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "os.chdir(path); path = pathlib.Path('.')\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try:\n"
        "    RunFolder.create(path)\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", child, str(path)], capture_output=True, text=True, check=True)
    for folder in (path, *path.iterdir()):
        folder.chmod(0o755)
    assert "cannot write to the run folder" in done.stdout


@pytest.mark.parametrize(
    ("make", "says"), [("absent", "no run folder"), ("file", "not a flatcar run"), ("empty", "not a flatcar run")]
)
def test_open_refuses(tmp_path: Path, make: str, says: str) -> None:
    path = tmp_path / "run"
    if make == "file":
        path.write_text("")
    if make == "empty":
        path.mkdir()
    with pytest.raises(OutputError, match=says):
        RunFolder.open(path)


def test_force_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "0123456789abcdef.npz").write_text("mine")
    path = tmp_path / "run"
    RunFolder.create(path).close()
    ours = [
        "trains.ndjson", "videos.parquet", "raw/0123456789abcdef.npz", "results/0123456789abcdef.json",
        "results/not-0123456789abcdef.json", "crops/3f5a3f5a-40-1_2_3_4.jpg", "strips/3f5a3f5a-0-0.jpg", "report/index.html",
        "raw/.flatcar-x_1y.tmp", "ledger.sqlite-journal",
    ]  # fmt: skip
    theirs = [
        "notes.txt",
        "raw/tape.npz",
        "crops/holiday.jpg",
        "strips/my.jpg",
        "report/style.css",
        "results/x.json",
        "trains.txt",
    ]
    for name in ours + theirs:
        (path / name).write_text("x")
    (path / "crops/sub").mkdir()
    RunFolder.create(path, force=True).close()
    assert [name for name in ours if (path / name).exists()] == []
    assert [name for name in theirs if not (path / name).exists()] == []
    (path / "raw/tape.npz").unlink()
    (path / "raw").rmdir()
    (path / "raw").symlink_to(outside)
    RunFolder.create(path, force=True).close()
    assert (outside / "0123456789abcdef.npz").exists()


def test_only_one_writes_and_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    holder = (
        "import sys, time, pathlib; from vision.run.store import RunFolder;"
        "run = RunFolder.create(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for force in (False, True):
            with pytest.raises(OutputError, match="another flatcar is writing"):
                RunFolder.create(tmp_path / "run", force=force)
        RunFolder.open(tmp_path / "run")
    finally:
        process.kill()
        process.communicate()
    RunFolder.create(tmp_path / "run").close()


# ---- Writing ----------------------------------------------------------------------------------------------------------------


def test_atomic_write_replaces_and_leaves_no_temporary(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"one")
    atomic_write(tmp_path / "a", lambda file: file.write(b"two"))
    assert (tmp_path / "a").read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_atomic_write_keeps_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"one")

    def fail(file: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        atomic_write(tmp_path / "a", fail)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_atomic_write_says_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        atomic_write(tmp_path / "absent" / "a", b"")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Kills a process that rewrites one file without end, at several moments."""
    writer = (
        "import sys, pathlib; from vision.run.store import atomic_write\n"
        "n = 0\n"
        "while True:\n"
        "    atomic_write(pathlib.Path(sys.argv[1]), (b'%07d\\n' % n) * 20000); n += 1\n"
    )
    path = tmp_path / "table"
    for delay_s in (0.0, 0.005, 0.011, 0.023):
        process = subprocess.Popen([sys.executable, "-c", writer, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay_s)
        process.kill()
        process.wait()
        lines = path.read_bytes().splitlines()
        assert len(lines) == 20000
        assert len(set(lines)) == 1


# ---- Raw observations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        make_raw(),
        make_raw(passages=(), looks=(), dropped=(), class_names=()),
        make_raw(looks=(make_look(1, boxes=0),)),
        make_raw(record=make_record(fps=None, duration_s=None, time_base=Fraction(1001, 30000), path="поезд\udcff <b>.mp4")),
    ],
    ids=["full", "nothing", "no boxes", "odd record"],
)
def test_raw_roundtrip(tmp_path: Path, raw: RawVideo) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        save_raw(run, raw)
        assert_same(load_raw(run, raw.record.sha256), raw)


finite = st.floats(-1e6, 1e6, width=32)
looks = st.builds(
    lambda pts, pts_s, boxes: Look(
        pts, pts_s, Detections.of([b[:4] for b in boxes], [b[4] for b in boxes], [b[5] for b in boxes])
    ),
    st.integers(-(2**40), 2**40),
    st.floats(0, 1e6),
    st.lists(st.tuples(finite, finite, finite, finite, st.floats(0, 1, width=32), st.integers(0, 30)), max_size=4),
)
passages = st.builds(
    make_passage,
    frames=st.integers(1, 20),
    speed_px_s=st.floats(0, 1e4),
    shot_index=st.integers(0, 9),
    direction=st.sampled_from(["left", "right", "still", "unknown"]),
    head_seen=st.booleans(),
    length_px=st.floats(0, 1e6),
    view_x_px=st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)),
    flags=st.lists(st.text(max_size=8), max_size=3).map(tuple),
)
drops = st.builds(Dropped, st.sampled_from(["frame", "shot"]), st.text(), st.integers(1, 99), st.none() | st.floats(0, 1e5))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.builds(
        make_raw,
        class_names=st.lists(st.text(max_size=9), max_size=4).map(tuple),
        passages=st.lists(passages, max_size=3).map(tuple),
        looks=st.lists(looks, max_size=4).map(tuple),
        dropped=st.lists(drops, max_size=3).map(tuple),
    )
)
def test_raw_roundtrip_of_anything(tmp_path: Path, raw: RawVideo) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        save_raw(run, raw)
        assert_same(load_raw(run, raw.record.sha256), raw)


def test_raw_is_the_same_bytes_for_the_same_observations(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        first = save_raw(run, make_raw()).read_bytes()
        assert save_raw(run, make_raw()).read_bytes() == first


def damaged(content: bytes) -> bytes:
    return content[: len(content) // 2]


def of_schema(number: int) -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(json.dumps({"schema": number}).encode(), np.uint8))
    return file.getvalue()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda old: None, "nothing is stored"),
        (damaged, "is damaged"),
        (lambda old: b"", "is damaged"),
        (lambda old: b"text", "is damaged"),
        (lambda old: of_schema(99), "schema 99"),
        (lambda old: of_schema(1), "is damaged"),
    ],
)
def test_load_raw_refuses(tmp_path: Path, change: object, says: str) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        path = save_raw(run, make_raw())
        content = change(path.read_bytes())  # type: ignore[operator]
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(TruthError, match=says):
            load_raw(run, SHA)
        assert raw_path(run, SHA) == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("поезд <b>", "поезд <b>"), ("a\udcffb", "a\\xffb"), ("a\ud83d", "a\\ud83d")],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected
    assert path_text(Path("x") / text) == f"x/{expected}"
