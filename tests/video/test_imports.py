from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("imported", "absent"),
    [("vision", {"av", "scenedetect", "cv2"}), ("vision.types, vision.config", {"av", "cv2"}), ("vision.video", {"scenedetect"})],
)
def test_libraries_are_loaded_when_they_are_needed(imported: str, absent: set[str]) -> None:
    code = f"import sys, {imported}; print(*({absent!r} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
