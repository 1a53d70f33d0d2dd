"""What lens, sensor, weather and encoder do to a finished still picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.paint import Image

FloatImage = NDArray[np.float32]


def exposed(picture: Image, rng: np.random.Generator) -> Image:
    """A picture as a phone or an old camera would have it: light, haze, falling snow, focus, noise, two rounds of JPEG.

    Nothing is moved: boxes stay where they are.

    Args:
        picture: (h, w, 3) BGR.
        rng: The dice.
    """
    seen = _weather(picture.astype(np.float32), rng)
    if rng.random() < 0.08:
        seen = _snowfall(seen, rng)
    seen = np.clip(seen, 0, 255)
    height, width = seen.shape[:2]
    if rng.random() < 0.3:
        seen = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.4, 1.4)))
    if rng.random() < 0.25:
        share = float(rng.uniform(0.4, 0.8))
        small = cv2.resize(seen, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        seen = seen + rng.standard_normal(seen.shape, dtype=np.float32) * np.float32(rng.uniform(1, 7))
    result = np.clip(seen, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        result = _recompressed(result, int(rng.integers(38, 93)))
    return result


def _weather(seen: FloatImage, rng: np.random.Generator) -> FloatImage:
    height, width = seen.shape[:2]
    kind = rng.random()
    if kind < 0.10:  # night, half the time with one lamp
        curve, level = np.float32(rng.uniform(1.1, 1.6)), np.float32(rng.uniform(0.5, 0.85))
        seen = np.asarray(255 * (seen / 255) ** curve * level, dtype=np.float32)
        seen = seen * np.array((1.0, rng.uniform(0.9, 1), rng.uniform(0.8, 1.1)), np.float32)
        if rng.random() < 0.5:
            x, y = rng.uniform(0, width), rng.uniform(0, 0.5 * height)
            away = np.hypot(np.arange(width, dtype=np.float32)[None] - x, np.arange(height, dtype=np.float32)[:, None] - y)
            seen = seen * (0.7 + 1.2 * np.exp(-((away / (0.35 * width)) ** 2)))[..., None].astype(np.float32)
    elif kind < 0.25:  # flat light
        seen = (seen - 128) * np.float32(rng.uniform(0.6, 0.85)) + np.float32(128 + rng.uniform(-25, 15))
    elif kind < 0.35:  # fog
        share = np.float32(rng.uniform(0.15, 0.45))
        seen = seen * (1 - share) + np.array((205, 203, 200), np.float32) * share
    else:
        seen = (seen - 128) * np.float32(rng.uniform(0.85, 1.2)) + np.float32(128 + rng.uniform(-14, 14))
    if rng.random() < 0.35:
        seen = seen * (1 + rng.normal(0, 0.05, 3)).astype(np.float32)
    return seen


def _snowfall(seen: FloatImage, rng: np.random.Generator) -> FloatImage:
    height, width = seen.shape[:2]
    flakes = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(80, 400))):
        cv2.circle(flakes, (int(rng.integers(width)), int(rng.integers(height))), int(rng.integers(1, 3)), 1.0, -1)
    share = 0.8 * cv2.GaussianBlur(flakes, (0, 0), 0.8)[..., None]
    return np.asarray(seen * (1 - share) + 235 * share, dtype=np.float32)


def _recompressed(picture: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
