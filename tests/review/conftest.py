"""FiftyOne with a database of its own, which is stopped afterwards, and the sample clip, scanned once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from vision.config import load_config
from vision.run.scan import scan

SAMPLE = Path(__file__).parents[2] / "samples" / "sample.mp4"


@pytest.fixture(scope="session")
def review_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """Where FiftyOne keeps its files in these tests; nothing of the person's own is touched."""
    cache = tmp_path_factory.mktemp("cache")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("FIFTYONE_")]:
        del os.environ[name]
    os.environ["XDG_CACHE_HOME"] = str(cache)
    os.environ["FIFTYONE_CONFIG_PATH"] = str(cache / "none.json")
    yield cache
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def fo(review_cache: Path) -> Generator[Any, None, None]:
    """FiftyOne, connected; its mongod goes with the last test."""
    from vision.review.database import import_fiftyone

    if "fiftyone" in sys.modules:  # pragma: no cover
        pytest.fail("something imported FiftyOne before it was told where to keep its files")
    module = import_fiftyone()
    yield module
    from fiftyone.core.odm import database

    service = database._db_service
    database._disconnect()
    if service is not None:
        service.stop()
    os.environ.pop("FIFTYONE_PRIVATE_DATABASE_PORT", None)
    _no_mongod_left(review_cache)


def _no_mongod_left(cache: Path) -> None:
    import psutil

    left = []
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "mongod" and any(str(cache) in part for part in process.info["cmdline"] or ()):
            process.terminate()
            left.append(process)
    _, alive = psutil.wait_procs(left, timeout=20)
    for process in alive:  # pragma: no cover
        process.kill()


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample clip, scanned with the shipped weights; copy it before writing to it."""
    run = tmp_path_factory.mktemp("scanned") / "run"
    scan([SAMPLE], run, config=load_config())
    return run


@pytest.fixture
def run_dir(sample_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_run, tmp_path / "run"))
