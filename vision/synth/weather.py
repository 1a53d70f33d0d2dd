"""What falls, what lies, and what lights: snow, rain, and lamps over a track at night."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from vision.synth.backdrop import Layer
from vision.synth.paint import Image
from vision.synth.spec import SceneSpec, Weather

_FALL_PX_S = {"snow": 45.0, "rain": 420.0}
"""Of the middle distance, for a picture 320 wide."""
_AMBIENT = 0.16
"""What the night sky leaves of the day's light."""


class Falling:
    """Flakes or drops at three distances, drawn onto a picture in place; the same time gives the same picture.

    Args:
        weather: What falls.
        seed: Of the places.
        width_px, height_px: Of the picture.
    """

    def __init__(self, weather: Weather, *, seed: int, width_px: int, height_px: int) -> None:
        self._weather = weather
        self._size = (width_px, height_px)
        self._scale = width_px / 320
        count = round(weather.density * math.sqrt(height_px / width_px / (180 / 320)))
        rng = np.random.default_rng([seed, 13])
        self._start = rng.random((count, 2)) * (1.2, 1.2)
        self._depth = rng.choice([0.6, 1.0, 1.6], count, p=[0.5, 0.35, 0.15])
        self._swing = rng.uniform(0, 2 * np.pi, count)

    def draw(self, picture: Image, scene_s: float) -> None:
        """Draw what falls at a time of the scene."""
        width, height = self._size
        fall_px_s = _FALL_PX_S[self._weather.kind] * self._scale * self._depth
        swing = 4 * self._scale * np.sin(self._swing + 1.7 * scene_s) if self._weather.kind == "snow" else 0.0
        x = (self._start[:, 0] * width + self._weather.wind * fall_px_s * scene_s + swing) % (1.2 * width) - 0.1 * width
        y = (self._start[:, 1] * height + fall_px_s * scene_s) % (1.2 * height) - 0.1 * height
        if self._weather.kind == "snow":
            for px, py, depth in zip(x, y, self._depth, strict=True):
                radius = max(8, round(10 * depth * self._scale))
                cv2.circle(picture, (round(px * 16), round(py * 16)), radius, (242, 240, 238), -1, cv2.LINE_AA, 4)
            return
        streaks = picture.copy()
        # As long as a drop falls while the shutter is open, 1/50 s.
        for px, py, fall in zip(x, y, fall_px_s, strict=True):
            end = (round(px + self._weather.wind * fall / 50), round(py + fall / 50))
            cv2.line(streaks, (round(px), round(py)), end, (214, 212, 208), max(1, round(0.5 * self._scale)), cv2.LINE_AA)
        cv2.addWeighted(streaks, 0.4, picture, 0.6, 0, picture)


def snowed(layer: Layer, cover: float) -> Layer:
    """The layer with snow on it; ``cover`` is the share of white."""
    if cover <= 0:
        return layer
    white = np.float32(238.0) if layer.inverse is None else np.float32(238 / 255) * (255 - layer.inverse.astype(np.float32))
    colour = layer.colour.astype(np.float32) * (1 - cover) + white * cover
    return replace(layer, colour=np.clip(colour, 0, 255).astype(np.uint8))


def lamp_layer(spec: SceneSpec, rng: np.random.Generator, *, margin_px: int, rail_y_px: float, px_per_m: float) -> Layer:
    """What the lamps leave of the day's light, 0 to 255, as a layer that stands on the ground and repeats."""
    period = 2 * spec.width_px
    height = spec.height_px + 2 * margin_px + 2
    x, y = np.meshgrid(np.arange(period, dtype=np.float32), np.arange(height, dtype=np.float32) - margin_px)
    gain = np.full((height, period), _AMBIENT, np.float32)
    pitch_px = period / max(2, round(period / (px_per_m * float(rng.uniform(16, 28)))))
    for at in np.arange(0, period, pitch_px):
        far = np.abs((x - at + period / 2) % period - period / 2) / (6 * px_per_m)
        high = (y - (rail_y_px - 2.5 * px_per_m)) / (4.5 * px_per_m)
        gain += np.float32(spec.light.lamps) * np.exp(-(far**2 + high**2))
    levels = np.clip(gain * 255, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    colour = np.ascontiguousarray(np.tile(levels, (1, 2, 1))[:, : period + spec.width_px + 2])
    return Layer(colour, None, -margin_px, period)
