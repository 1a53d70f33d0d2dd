from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.run.crops import cut, write_crop
from vision.run.store import RunFolder

NAN = float("nan")


def picture(height_px: int = 360, width_px: int = 640) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 255, (height_px, width_px, 3), np.uint8)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((100, 100, 200, 150), (66, 130)),  # 15 % on each side, rounded outward
        ((0, 0, 640, 360), (225, 400)),  # the whole picture, made smaller
        ((-50, -50, 40, 40), (54, 54)),  # over the corner
        ((600, 340, 900, 900), (360 - 256, 640 - 555)),
        ((10.2, 10.2, 10.4, 10.4), (1, 1)),
        ((0, 100, 640, 110), (9, 400)),
    ],
)
def test_cut(box: tuple[float, float, float, float], shape: tuple[int, int]) -> None:
    part = cut(picture(), box)
    assert part is not None
    assert part.shape[:2] == shape


def test_cut_holds_the_pixels_of_the_box() -> None:
    bgr = picture()
    part = cut(bgr, (100, 100, 200, 140))
    np.testing.assert_array_equal(part, bgr[94:146, 85:215])


@pytest.mark.parametrize(
    "box", [(640, 0, 700, 50), (-10, -10, 0, 0), (50, 50, 50, 90), (90, 50, 50, 90), (NAN, 0, 5, 5), (0, 0, 5, NAN)]
)
def test_nothing_to_cut(tmp_path: Path, box: tuple[float, float, float, float]) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        assert write_crop(run, picture(), box, "3f5a3f5a-1") is None
        assert list((run.path / "crops").iterdir()) == []


def test_write_crop(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        assert write_crop(run, picture(), (100, 100, 200, 150), "3f5a3f5a-1-0_0") == "crops/3f5a3f5a-1-0_0.jpg"
        read = cv2.imread(str(run.path / "crops/3f5a3f5a-1-0_0.jpg"))
    assert read.shape == (66, 130, 3)


@pytest.mark.parametrize("name", ["", "../3f5a3f5a-1", "3f5a3f5a-a/b", "a b", "tank"])
def test_a_name_that_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with RunFolder.create(tmp_path / "run") as run, pytest.raises(ValueError, match="not a name"):
        write_crop(run, picture(), (100, 100, 200, 150), name)


@pytest.mark.parametrize("bgr", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((5, 5, 4), np.uint8)])
def test_not_a_picture(bgr: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8, not .*\(5, 5"):
        cut(bgr, (0, 0, 5, 5))
