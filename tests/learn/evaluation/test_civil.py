"""False alarms on material without labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.detectors import ScriptedDetector
from tests.support.evaluations import CIVIL_CAR, LEAVES, TANK, A, B, found
from vision.errors import InputError, WeightsError
from vision.learn.evaluation.civil import civil_alarms
from vision.taxonomy import default_taxonomy
from vision.types import Detections

REAL = Path(__file__).parents[2] / "real" / "trainbot"
TREE = default_taxonomy()


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((100, 100, 3), grey, np.uint8))


def by_brightness(image: np.ndarray) -> Detections:
    """White: a tank and a car; grey: two unsure tanks; black: nothing."""
    level = float(image.mean())
    if level > 200:
        return found((A, 0.8, TANK), (B, 0.9, CIVIL_CAR))
    return found((A, 0.2, TANK), (B, 0.25, TANK)) if level > 90 else Detections.empty()


def test_pictures_are_counted(tmp_path: Path) -> None:
    for name, grey in (("white.png", 255), ("below/grey.jpg", 128), ("black.png", 0)):
        picture(tmp_path / "yard" / name, grey)
    (tmp_path / "yard" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "yard" / "notes.txt").write_text("x", encoding="utf-8")
    civil = civil_alarms(ScriptedDetector(by_brightness, class_names=LEAVES), tmp_path / "yard", 0.3, TREE)
    assert (civil.name, civil.videos) == ("yard", 0)
    assert (civil.alarms.pictures, civil.alarms.detections, civil.alarms.pictures_hit) == (3, 1, 1)
    (worst,) = civil.worst
    assert (worst.name, worst.score, worst.width_px) == ("white.png", pytest.approx(0.8), 100)
    assert [name for name, _, _ in worst.objects] == ["tank"]
    assert worst.thumbnail.startswith("data:image/jpeg;base64,")
    assert [name for name, _ in civil.unreadable] == ["broken.jpg"]
    lower = civil_alarms(ScriptedDetector(by_brightness, class_names=LEAVES), tmp_path / "yard", 0.1, TREE)
    assert (lower.alarms.detections, lower.alarms.pictures_hit) == (3, 2)
    assert [p.name for p in lower.worst] == ["white.png", "below/grey.jpg"]
    one = civil_alarms(ScriptedDetector(by_brightness, class_names=LEAVES), tmp_path / "yard", 0.1, TREE, limit=1)
    assert [p.name for p in one.worst] == ["white.png"]


def test_frames_of_videos_are_pictures(tmp_path: Path) -> None:
    shutil.copy(REAL / "snow.mp4", tmp_path / "snow.mp4")
    always = ScriptedDetector(lambda _: found((A, 0.9, TANK)), class_names=LEAVES)
    civil = civil_alarms(always, tmp_path, 0.3, TREE)
    assert civil.videos == 1
    assert 10 <= civil.alarms.pictures == civil.alarms.detections <= 60  # five a second of a few seconds
    assert [p.name for p in civil.worst] == ["snow.mp4 at 0.00 s"]  # one of a file
    assert civil_alarms(always, tmp_path / "snow.mp4", 0.3, TREE).alarms == civil.alarms


def test_nothing_to_look_at(tmp_path: Path) -> None:
    detector = ScriptedDetector(class_names=LEAVES)
    with pytest.raises(InputError, match="holds neither pictures nor videos"):
        civil_alarms(detector, tmp_path, 0.3, TREE)
    with pytest.raises(InputError, match="no such file or folder"):
        civil_alarms(detector, tmp_path / "none", 0.3, TREE)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"nothing in .* can be read; the first, broken.mp4"):
        civil_alarms(detector, tmp_path, 0.3, TREE)


def test_foreign_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    with pytest.raises(WeightsError, match="does not know 'zebra'"):
        civil_alarms(ScriptedDetector(class_names=("tank", "zebra")), tmp_path, 0.3, TREE)
