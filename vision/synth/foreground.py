"""What stands between the camera and the trains: fences, trees, people on a platform, the frame of a window.

All of it is opaque or nearly so, and the truth knows what it covers: each layer carries the sums of its alpha, so that the
covered share of any box is four look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.backdrop import Layer
from vision.synth.paint import Colour, Image, layered_noise
from vision.synth.spec import Foreground, SceneSpec

FloatArray = NDArray[np.float64]

_FINE = 2
_COATS: tuple[Colour, ...] = ((46, 42, 40), (70, 58, 44), (52, 60, 66), (40, 46, 92), (96, 92, 88), (58, 74, 60))
_SKIN: Colour = (132, 156, 196)
_BARK: Colour = (44, 56, 66)
_LEAVES: Colour = (38, 66, 52)


@dataclass(frozen=True, slots=True)
class Cover:
    """How much of any box something covers.

    Attributes:
        sums: (h + 1, w + 1) float64, sums of alpha (0 to 1) over all rows above and columns to the left.
    """

    sums: FloatArray

    @staticmethod
    def of(alpha: Image) -> Cover:
        """From (h, w) uint8 alpha."""
        return Cover(cv2.integral(alpha.astype(np.float32) / 255, sdepth=cv2.CV_64F))

    def share(self, xyxy: FloatArray) -> FloatArray:
        """Covered share of boxes (..., 4) in the layer's own pixels, shape (...,); what lies outside the layer is not covered."""
        rows, columns = self.sums.shape[0] - 1, self.sums.shape[1] - 1
        x = np.clip(np.round(xyxy[..., 0::2]).astype(np.int64), 0, columns)
        y = np.clip(np.round(xyxy[..., 1::2]).astype(np.int64), 0, rows)
        total = self.sums[y[..., 1], x[..., 1]] - self.sums[y[..., 0], x[..., 1]]
        total = total - self.sums[y[..., 1], x[..., 0]] + self.sums[y[..., 0], x[..., 0]]
        area = np.maximum((xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1]), 1.0)
        return np.clip(total / area, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """A foreground layer, ready to draw.

    Attributes:
        layer: The picture, which repeats.
        cover: Of the repeated picture.
        item: What it is.
    """

    layer: Layer
    cover: Cover
    item: Foreground

    def shift_px(self, camera_px: FloatArray, shake_px: FloatArray, scene_s: FloatArray) -> FloatArray:
        """Column of the layer at the picture's left edge, before it wraps; like the arguments."""
        return np.asarray(self.item.parallax * camera_px - shake_px - self.item.drift_px_s * scene_s, dtype=np.float64)

    def covered(self, xyxy: FloatArray, shift_px: FloatArray, down_px: FloatArray, *, width_px: int) -> FloatArray:
        """Covered share of boxes (frames, n, 4) on the picture, shape (frames, n); the part outside the picture counts as open.

        Args:
            xyxy: Boxes on the picture before any zoom.
            shift_px: (frames,) from ``shift_px``.
            down_px: (frames,) how far everything stands below its place.
            width_px: Of the picture.
        """
        inside = xyxy.copy()
        inside[..., 0::2] = np.clip(inside[..., 0::2], 0, width_px)
        moved = inside + np.stack([np.mod(shift_px, self.layer.period_px), -self.layer.top_px - down_px] * 2, axis=-1)[:, None]
        return self.cover.share(moved)


def foreground_layer(spec: SceneSpec, item: Foreground, number: int, *, margin_px: int) -> Standing:
    """Draw one item of the foreground.

    Args:
        spec: Of the scene: sizes and the seed.
        item: What to draw.
        number: Its place among the scene's items; each has its own dice.
        margin_px: Rows to draw above and below the picture, for what shakes.
    """
    rng = np.random.default_rng([spec.seed, 31, number])
    width, height = spec.width_px, spec.height_px
    period = width + 4 * margin_px if item.kind == "window" else 2 * width
    draw = {"people": _people, "trees": _trees, "fence": _fence, "window": _window}[item.kind]
    fine = np.zeros((_FINE * (height + 2 * margin_px), _FINE * period, 4), np.float32)
    draw(fine, rng, item.density, height=_FINE * height, width=_FINE * width, margin=_FINE * margin_px)
    small = cv2.resize(fine, (period, height + 2 * margin_px), interpolation=cv2.INTER_AREA)
    alpha = np.clip(small[..., 3:], 0, 1)
    if item.kind == "window":
        # The frame begins at the picture's edge when nothing shakes.
        small, alpha = np.roll(small, -2 * margin_px, axis=1), np.roll(alpha, -2 * margin_px, axis=1)
    colour = np.clip(small[..., :3] * alpha, 0, 255).astype(np.uint8)
    inverse = np.repeat(np.round((1 - alpha) * 255).astype(np.uint8), 3, axis=2)
    need = period + width + 2
    tiles = -(-need // period)
    colour, inverse = (np.ascontiguousarray(np.tile(picture, (1, tiles, 1))[:, :need]) for picture in (colour, inverse))
    return Standing(Layer(colour, inverse, -margin_px, period), Cover.of(255 - inverse[..., 0]), item)


Canvas = NDArray[np.float32]


def _wrapped(canvas: Canvas, x: float, reach: float) -> list[int]:
    """Columns at which to draw something so that the picture's right edge continues at its left."""
    period = canvas.shape[1]
    return [round(x + k * period) for k in (-1, 0, 1) if -reach < x + k * period < period + reach]


def _ink(colour: Colour, factor: float = 1.0) -> tuple[float, float, float, float]:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor, 1.0)


def _people(canvas: Canvas, rng: np.random.Generator, density: float, *, height: int, width: int, margin: int) -> None:
    """Silhouettes cut off by the lower edge, heads at the height of the vehicles, alone and in groups."""
    x, bottom = 0.0, canvas.shape[0]
    while x < canvas.shape[1]:
        for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 4))):
            tall = height * float(rng.uniform(0.36, 0.58))
            wide = tall * float(rng.uniform(0.22, 0.28))
            coat = _COATS[int(rng.integers(len(_COATS)))]
            tone = float(rng.uniform(0.7, 1.2))
            for at in _wrapped(canvas, x, wide):
                head = (at, round(margin + height - tall + wide * 0.3))
                cv2.ellipse(
                    canvas, (at, head[1] + round(wide * 1.5)), (round(wide / 2), round(wide)), 0, 180, 360, _ink(coat, tone), -1
                )
                body = (at - round(wide / 2), head[1] + round(wide * 1.4))
                cv2.rectangle(canvas, body, (at + round(wide / 2), bottom), _ink(coat, tone), -1)
                cv2.circle(canvas, head, round(wide * 0.32), _ink(_SKIN if rng.random() < 0.4 else coat, 0.8), -1)
                cap = (round(wide * 0.34), round(wide * 0.3))
                cv2.ellipse(canvas, (head[0], head[1] - 1), cap, 0, 180, 360, _ink(coat, 0.6), -1)
            x += wide * float(rng.uniform(0.8, 1.3))
        x += width * float(rng.uniform(0.12, 0.4)) / density


def _trees(canvas: Canvas, rng: np.random.Generator, density: float, *, height: int, width: int, margin: int) -> None:
    """Trunks from the ground to the sky with branches and ragged leaves, bushes at the foot."""
    rows, columns = canvas.shape[:2]
    leaves = np.zeros((rows, columns), np.float32)
    x = float(rng.uniform(0.1, 0.5)) * width
    while x < canvas.shape[1]:
        trunk, lean = width * float(rng.uniform(0.014, 0.03)), width * float(rng.uniform(-0.05, 0.05))
        crown = np.array([lean, margin + height * float(rng.uniform(0.0, 0.25))])
        bush = np.array([0.0, margin + height * float(rng.uniform(0.95, 1.05))])
        clumps = [
            (*(middle + rng.normal(0, spread * width, 2)), width * float(rng.uniform(0.02, 0.05)))
            for middle, spread, count in ((crown, 0.05, 14), (bush, 0.03, 5))
            for _ in range(count)
        ]
        branch = (width * float(rng.uniform(-0.1, 0.1)), margin + height * float(rng.uniform(0.3, 0.5)))
        for at in _wrapped(canvas, x, width):
            foot = (at, canvas.shape[0])
            cv2.line(canvas, foot, (round(at + lean), 0), _ink(_BARK), max(1, round(trunk)))
            fork = (round(at + lean * 0.5), margin + height // 2)
            cv2.line(canvas, fork, (round(at + branch[0]), round(branch[1])), _ink(_BARK), max(1, round(trunk * 0.45)))
            for dx, y, radius in clumps:
                cv2.ellipse(leaves, (round(at + dx), round(y)), (round(radius), round(radius * 0.8)), 0, 0, 360, 1.0, -1)
        x += width * float(rng.uniform(0.45, 0.9)) / density
    ragged = layered_noise(rng, rows, columns, grain_px=width / 40, octaves=3, periodic=True)
    leaves = np.asarray(cv2.GaussianBlur(leaves, (0, 0), width / 120), dtype=np.float32)
    grown = (leaves + 0.3 * ragged > 0.6) & (leaves > 0.05)
    tone = np.clip(1 + 0.3 * ragged, 0.5, 1.7)[..., None]
    canvas[grown] = np.dstack([np.array(_LEAVES, np.float32) * tone, np.ones_like(tone)])[grown]


def _fence(canvas: Canvas, rng: np.random.Generator, density: float, *, height: int, width: int, margin: int) -> None:
    """Pickets with two rails, from the height of the decks down; posts every few metres."""
    top = margin + round(height * float(rng.uniform(0.56, 0.66)))
    tone = float(rng.uniform(0.6, 1.4))
    colour = _ink(((70, 78, 84), (96, 120, 104), (60, 66, 110))[int(rng.integers(3))], tone)
    pitch = canvas.shape[1] / max(1, round(canvas.shape[1] / (width * 0.028 / density)))
    wide = max(1, round(pitch * 0.28))
    for k in range(round(canvas.shape[1] / pitch)):
        x = round(k * pitch)
        post = k % 9 == 0
        cv2.rectangle(canvas, (x, top - (wide * 2 if post else 0)), (x + wide * (2 if post else 1), canvas.shape[0]), colour, -1)
    for y in (top + round(0.04 * height), top + round(0.2 * height)):
        cv2.rectangle(canvas, (0, y), (canvas.shape[1], y + max(1, round(0.012 * height))), colour, -1)


def _window(canvas: Canvas, rng: np.random.Generator, density: float, *, height: int, width: int, margin: int) -> None:
    """A rounded frame and a faint reflection on the glass."""
    dark = _ink(((38, 40, 44), (66, 70, 74), (30, 34, 40))[int(rng.integers(3))])
    glow = np.clip(layered_noise(rng, canvas.shape[0], canvas.shape[1], grain_px=width / 4, octaves=2) - 0.6, 0, 1)
    canvas[..., :3], canvas[..., 3] = (190, 200, 205), 0.10 * glow
    frame = np.ones(canvas.shape[:2], np.uint8)
    left, right = (round(width * float(rng.uniform(0.04, 0.09)) * density) for _ in range(2))
    top, bottom = (round(height * float(rng.uniform(0.06, 0.12)) * density) for _ in range(2))
    x0, y0 = 2 * margin + left, margin + top
    x1, y1 = 2 * margin + width - right, margin + height - bottom
    radius = round(0.08 * height)
    cv2.rectangle(frame, (x0 + radius, y0), (x1 - radius, y1), 0, -1)
    cv2.rectangle(frame, (x0, y0 + radius), (x1, y1 - radius), 0, -1)
    for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1)):
        cv2.circle(frame, (x + radius * (1 if x == x0 else -1), y + radius * (1 if y == y0 else -1)), radius, 0, -1)
    canvas[frame > 0] = dark
