"""The letterbox, and what counts as a picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.detect.base import PAD_GREY, check_picture, fitted_hw, prepare
from vision.errors import DetectorError
from vision.geometry import Letterbox

INPUT_HW = (96, 160)
sides = st.integers(1, 400)


@given(width_px=sides, height_px=sides)
def test_input_has_the_right_shape_and_grey_borders(width_px: int, height_px: int) -> None:
    pixels, box = prepare(np.zeros((height_px, width_px, 3), np.uint8), INPUT_HW)
    assert pixels.shape == (*INPUT_HW, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert set(np.unique(pixels)) <= {0, PAD_GREY}
    filled = np.argwhere(pixels[..., 0] == 0)
    (top, left), (bottom, right) = filled.min(axis=0), filled.max(axis=0) + 1
    assert len(filled) == (bottom - top) * (right - left)
    assert abs((right - left) - max(1, width_px * box.scale)) <= 0.5 + 1e-9
    assert abs((bottom - top) - max(1, height_px * box.scale)) <= 0.5 + 1e-9
    assert abs(left - (INPUT_HW[1] - right)) <= 1
    assert abs(top - (INPUT_HW[0] - bottom)) <= 1


@given(width_px=st.integers(8, 4000), height_px=st.integers(8, 4000), data=st.data())
def test_boxes_come_back(width_px: int, height_px: int, data: st.DataObject) -> None:
    from vision.geometry import Letterbox

    box = Letterbox.fit(width_px=width_px, height_px=height_px, into_width_px=640, into_height_px=384)
    x = sorted(data.draw(st.tuples(*[st.floats(0, width_px, width=32)] * 2)))
    y = sorted(data.draw(st.tuples(*[st.floats(0, height_px, width=32)] * 2)))
    boxes = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    np.testing.assert_allclose(box.to_picture(box.to_input(boxes)), boxes, atol=1e-3 * max(width_px, height_px) / 100 + 1e-3)


@pytest.mark.parametrize(
    ("picture_hw", "fitted"),
    [
        ((720, 1280), (384, 640)),  # 360 rows: the next step is the model's own
        ((384, 1280), (192, 640)),
        ((386, 1280), (256, 640)),
        ((100, 1280), (64, 640)),
        ((1, 1280), (64, 640)),
        ((1920, 1080), (384, 640)),
        ((300, 400), (384, 640)),
    ],
)
def test_a_low_picture_needs_a_low_input(picture_hw: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_hw(picture_hw, (384, 640)) == fitted


@given(width_px=st.integers(1, 4000), height_px=st.integers(1, 4000))
def test_the_low_input_holds_the_picture_at_the_same_scale(width_px: int, height_px: int) -> None:
    scales = [
        Letterbox.fit(width_px=width_px, height_px=height_px, into_width_px=hw[1], into_height_px=hw[0]).scale
        for hw in (fitted_hw((height_px, width_px), (384, 640)), (384, 640))
    ]
    # Rows are whole: half a row of the input, at most.
    assert abs(scales[0] - scales[1]) * height_px <= 0.51


def test_a_picture_of_the_right_size_is_passed_on() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*INPUT_HW, 3), dtype=np.uint8)
    pixels, box = prepare(picture, INPUT_HW)
    np.testing.assert_array_equal(pixels, picture)
    assert (box.scale, box.pad_x_px, box.pad_y_px) == (1.0, 0, 0)


def test_a_slice_of_a_picture_becomes_contiguous() -> None:
    picture = np.zeros((*INPUT_HW, 4), np.uint8)[..., :3]
    assert prepare(picture, INPUT_HW)[0].flags.c_contiguous


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 6), np.uint8), r"uint8\(4, 6\).*GRAY2BGR"),
        (np.zeros((4, 6, 1), np.uint8), r"uint8\(4, 6, 1\)"),
        (np.zeros((4, 6, 4), np.uint8), r"uint8\(4, 6, 4\)"),
        (np.zeros((4, 6, 3), np.float32), r"float32\(4, 6, 3\)"),
        (np.zeros((0, 6, 3), np.uint8), r"uint8\(0, 6, 3\)"),
        (None, "NoneType"),
        ([[1]], "list"),
    ],
)
def test_what_is_no_picture(image: Any, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        check_picture(image)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(1080, 1920), (333, 777), (900, 200), (383, 640), (384, 639), (37, 2111), (96, 160)])
def test_same_pixels_as_ultralytics(shape: tuple[int, int]) -> None:
    from vision.detect.ultralytics_adapter import import_ultralytics

    import_ultralytics()
    from ultralytics.data.augment import LetterBox

    picture = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(picture, (384, 640))[0], LetterBox((384, 640), auto=False)(image=picture))


def test_openvino_does_not_report_home(tmp_path: Path) -> None:
    """Its telemetry is left out: no address is looked up, nothing is written into the home folder."""
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit(f"looked up {args}")
socket.getaddrinfo = socket.socket.connect = refuse
from vision.detect.openvino_adapter import import_openvino
import_openvino().Core()
print(sys.modules["openvino_telemetry"])
"""
    environment = {**os.environ, "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "None"
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = "import sys, vision.detect; print(sorted({'openvino', 'torch', 'ultralytics'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
