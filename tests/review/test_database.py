"""The database binary: found, tried, named; and what FiftyOne is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vision.errors import DependencyError
from vision.review import database

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def mongod(folder: Path, says: str, *, code: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mongod"
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("says", "code", "expected"),
    [
        ("db version v6.0.5", 0, (6, 0)),
        ("db version v8.2.1", 0, (8, 2)),
        ("error while loading shared libraries", 127, None),
        ("nothing", 0, None),
    ],
)
def test_version(tmp_path: Path, says: str, code: int, expected: tuple[int, int] | None) -> None:
    version, why = database.mongod_version(mongod(tmp_path, says, code=code))
    assert version == expected
    assert bool(why) == (expected is None)


def test_a_wheel_that_does_not_run_gives_way_to_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = mongod(tmp_path / "wheel", "libcrypto.so.1.1: cannot open", code=127)
    good = mongod(tmp_path / "path", "db version v7.0.1")
    monkeypatch.setattr(database, "mongod_of_wheel", lambda: broken)
    monkeypatch.setenv("PATH", str(good.parent) + os.pathsep + os.environ["PATH"])
    assert database.find_mongod() == good


@pytest.mark.parametrize(
    ("says", "code", "named"), [("db version v4.4.0", 0, "too old"), ("libcrypto.so.1.1: cannot open", 127, "libcrypto")]
)
def test_no_database_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int, named: str
) -> None:
    monkeypatch.setattr(database, "mongod_of_wheel", lambda: mongod(tmp_path / "wheel", says, code=code))
    monkeypatch.setattr(database.shutil, "which", lambda _: None)
    with pytest.raises(DependencyError) as caught:
        database.find_mongod()
    assert named in caught.value.message
    assert database.WHEEL in str(caught.value.hint)
    assert "FIFTYONE_DATABASE_URI" in str(caught.value.hint)


def test_the_users_settings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("FIFTYONE_DO_NOT_TRACK", "FIFTYONE_LOGGING_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", "/their/own")
    monkeypatch.setenv("FIFTYONE_PLUGINS_DIR", str(theirs))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    database.prepare_environment()
    assert os.environ["FIFTYONE_DATABASE_DIR"] == "/their/own"
    assert os.environ["FIFTYONE_DO_NOT_TRACK"] == "true"
    plugins = Path(os.environ["FIFTYONE_PLUGINS_DIR"])
    assert (plugins / "flatcar" / "fiftyone.yml").is_file()
    assert (plugins / "user").resolve() == theirs.resolve()


def test_review_without_fiftyone_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "fiftyone_there", lambda: False)
    with pytest.raises(DependencyError, match=r"flatcar\[review\]"):
        database.import_fiftyone()


@pytest.mark.review
@pytest.mark.slow
def test_an_unreachable_database_is_named(tmp_path: Path) -> None:
    """In a process of its own: FiftyOne connects once."""
    code = "from vision.review.database import import_fiftyone; import_fiftyone()"
    uri = "mongodb://someone:secret@127.0.0.1:1/?serverSelectionTimeoutMS=500&connectTimeoutMS=500"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "FIFTYONE_DATABASE_URI": uri}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=280, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "DependencyError: the database at mongodb://127.0.0.1:1" in last
    assert "unset FIFTYONE_DATABASE_URI" in last
    assert "secret" not in last
