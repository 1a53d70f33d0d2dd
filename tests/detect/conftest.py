"""The project's own weights, opened once for all tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.config import VideoConfig
from vision.detect.registry import Registry, load_registry
from vision.video import VideoReader

SAMPLE_FRAMES = (90, 140, 190, 240)


@pytest.fixture(scope="session")
def shipped() -> Registry:
    """The registry in the tree; ``FLATCAR_TEST_REGISTRY`` names another, to try weights before they are shipped."""
    given = os.environ.get("FLATCAR_TEST_REGISTRY")
    return load_registry(Path(given) if given else None)


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Frames of the sample clip, with real vehicles, and drawn trains of several sizes."""
    rng = np.random.default_rng(7)
    sample = VideoReader(Path(__file__).parents[2] / "samples" / "sample.mp4", VideoConfig())
    with sample:
        frames = [frame.bgr() for frame in sample if frame.index in SAMPLE_FRAMES]
    return frames + [_train(rng, *size) for size in ((720, 1280), (384, 640), (600, 800), (333, 777), (900, 500), (1080, 1920))]


def _train(rng: np.random.Generator, height_px: int, width_px: int) -> np.ndarray:
    """Sky, ground, a row of flatcars, and on each a hull on wheels with a turret and a gun."""
    picture = np.empty((height_px, width_px, 3), np.uint8)
    horizon = int(height_px * 0.55)
    picture[:horizon] = np.linspace((230, 200, 170), (250, 240, 230), horizon)[:, None]
    picture[horizon:] = np.linspace((70, 110, 100), (40, 70, 70), height_px - horizon)[:, None]
    unit = max(8, height_px // 12)
    deck = int(height_px * 0.7)
    for left in range(-unit, width_px, 6 * unit):
        green = tuple(int(v) for v in rng.integers(30, 90, 3))
        cv2.rectangle(picture, (left, deck), (left + 5 * unit, deck + unit // 3), (40, 40, 60), -1)
        for wheel in range(4):
            cv2.circle(picture, (left + unit // 2 + wheel * int(1.3 * unit), deck + unit // 2), unit // 4, (20, 20, 20), -1)
            cv2.circle(picture, (left + unit + wheel * unit, deck - unit // 5), unit // 5, (25, 30, 25), -1)
        cv2.rectangle(picture, (left + unit // 2, deck - unit), (left + int(4.5 * unit), deck - unit // 4), green, -1)
        cv2.ellipse(picture, (left + int(2.6 * unit), deck - unit), (unit, unit // 2), 0, 180, 360, green, -1)
        cv2.line(
            picture, (left + int(3.2 * unit), deck - int(1.2 * unit)), (left + 5 * unit, deck - int(1.4 * unit)), green, unit // 8
        )
    noise = rng.normal(0, 6, picture.shape)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1.2) + noise, 0, 255).astype(np.uint8)
