"""The scenery behind and before the train: layers that repeat sideways, so that any pan has something to show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.paint import Image, layered_noise, noise, tinted
from vision.synth.scene import SceneSpec


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture that repeats every ``period_px`` columns.

    Attributes:
        colour: (h, period_px + picture width + 2, 3), premultiplied where ``inverse`` is given.
        inverse: 255 - alpha, same shape, or None where opaque.
        top_px: Row of the picture on which its first row lies when nothing shakes.
        period_px: Columns after which it repeats.
    """

    colour: Image
    inverse: Image | None
    top_px: int
    period_px: int


def shifted(picture: Image, x_px: float, y_px: float, width_px: int, height_px: int) -> Image:
    """The window whose first pixel samples ``picture`` at (x, y), bilinear; it must lie inside by one pixel."""
    x0, y0 = int(np.floor(x_px)), int(np.floor(y_px))
    fx, fy = x_px - x0, y_px - y0
    if fy < 1 / 256:
        rows = picture[y0 : y0 + height_px]
    else:
        rows = cv2.addWeighted(picture[y0 : y0 + height_px], 1 - fy, picture[y0 + 1 : y0 + 1 + height_px], fy, 0)
    if fx < 1 / 256:
        return np.asarray(rows[:, x0 : x0 + width_px])
    return np.asarray(cv2.addWeighted(rows[:, x0 : x0 + width_px], 1 - fx, rows[:, x0 + 1 : x0 + 1 + width_px], fx, 0))


def blend(under: Image, colour: Image, inverse: Image) -> None:
    """Lay a premultiplied picture over another of the same shape, in place; ``inverse`` is 255 - alpha."""
    cv2.multiply(under, inverse, under, scale=1 / 255)
    cv2.add(under, colour, under)


def _repeated(picture: Image, width_px: int) -> Image:
    """The picture followed by its own start, so that every window of ``width_px`` is contiguous."""
    need = picture.shape[1] + width_px + 2
    times = -(-need // picture.shape[1])
    return np.ascontiguousarray(np.tile(picture, (1, times, 1))[:, :need])


def _ridge(rng: np.random.Generator, period: int, *, grain_px: float, octaves: int = 4) -> NDArray[np.float32]:
    """A repeating skyline, unit deviation, shape (period,)."""
    return np.asarray(layered_noise(rng, 2, period, grain_px=grain_px, octaves=octaves, periodic=True)[0], dtype=np.float32)


def far_layer(spec: SceneSpec, rng: np.random.Generator, *, margin_px: int) -> Layer:
    """Sky and hills down to the horizon."""
    period = 2 * spec.width_px
    height = round(spec.horizon_px) + 2 * margin_px + 2
    scale = spec.width_px / 1280
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array((226, 205, 188), np.float32) * (1 - y) + np.array((232, 230, 226), np.float32) * y
    cloud = layered_noise(rng, height, period, grain_px=160 * scale, periodic=True)
    picture = sky + 7 * cloud[..., None]
    rows = np.arange(height)[:, None]
    for depth, colour in ((0.30, (168, 160, 148)), (0.16, (120, 128, 116))):
        crest = height * (1 - depth) + 0.06 * height * _ridge(rng, period, grain_px=260 * scale)
        hill = tinted(colour, layered_noise(rng, height, period, grain_px=24 * scale, periodic=True), 0.10)
        picture = np.where((rows >= crest[None])[..., None], hill, picture)
    return Layer(_repeated(np.clip(picture, 0, 255).astype(np.uint8), spec.width_px), None, -margin_px, period)


def tree_layer(spec: SceneSpec, rng: np.random.Generator, *, margin_px: int) -> Layer:
    """A ragged line of trees and bushes before the hills, standing on the horizon."""
    period = 2 * spec.width_px
    scale = spec.width_px / 1280
    tall = round(0.30 * spec.height_px)
    height = tall + margin_px + 6
    crest = tall * (0.55 - 0.22 * np.minimum(np.abs(_ridge(rng, period, grain_px=90 * scale)), 2)) - 0.10 * tall * _ridge(
        rng, period, grain_px=18 * scale
    )
    crest = np.maximum(crest, 0.04 * tall + 0.02 * tall * _ridge(rng, period, grain_px=12 * scale))
    rows = np.arange(height)[:, None]
    leaves = layered_noise(rng, height, period, grain_px=14 * scale, octaves=4, periodic=True)
    depth = np.clip((rows - crest[None]) / tall, 0, 1)
    green = np.array((54, 82, 72), np.float32) * (1.15 - 0.7 * depth[..., None])
    hue = noise(rng, height, period, grain_px=120 * scale, periodic=True)[..., None] * np.array((-2, 2, 7), np.float32)
    colour = np.clip((green + hue) * (1 + 0.25 * leaves[..., None]), 0, 255)
    # Leaves eat into the edge; trunks and bushes fill the foot.
    alpha = np.clip((rows - crest[None] + 9 * scale * leaves) / (3 * scale), 0, 1)
    alpha[rows[:, 0] > tall * 0.9] = 1
    inverse = np.repeat(((1 - alpha) * 255).astype(np.uint8)[..., None], 3, axis=2)
    premultiplied = (colour * alpha[..., None]).astype(np.uint8)
    top = round(spec.horizon_px) - tall
    return Layer(_repeated(premultiplied, spec.width_px), _repeated(inverse, spec.width_px), top, period)


def ground_layer(spec: SceneSpec, rng: np.random.Generator, *, margin_px: int, rail_y_px: float, px_per_m: float) -> Layer:
    """Grass, the ballast bed with sleepers and rails, and the near grass, from the horizon down."""
    period = 2 * spec.width_px
    top = round(spec.horizon_px)
    height = spec.height_px - top + margin_px + 4
    scale = spec.width_px / 1280
    rows = np.arange(height, dtype=np.float32)[:, None] + top
    # Far grass is a smooth carpet, near grass has blades: the grain's share grows with the row.
    grass = layered_noise(rng, height, period, grain_px=30 * scale, octaves=4, periodic=True)
    blades = layered_noise(rng, height, period, grain_px=max(1.5, 3 * scale), octaves=2, periodic=True)
    near = np.linspace(0.5, 1.3, height, dtype=np.float32)[:, None]
    picture = tinted((66, 106, 104), 0.45 * grass + 0.75 * near * blades, 0.17).astype(np.float32)
    dry = noise(rng, height, period, grain_px=200 * scale, periodic=True)[..., None]
    picture += np.array((4, 6, 13), np.float32) * dry
    stones = layered_noise(rng, height, period, grain_px=max(2.0, 0.12 * px_per_m), octaves=2, periodic=True)
    bed = tinted((122, 128, 134), stones, 0.22).astype(np.float32)
    ragged = noise(rng, 2, period, grain_px=0.5 * px_per_m, periodic=True)[:1] * 0.1 * px_per_m
    inside = (rows > rail_y_px - 0.75 * px_per_m + ragged) & (rows < rail_y_px + 1.3 * px_per_m + ragged)
    picture = np.where(inside[..., None], bed, picture)
    _sleepers(picture, rng, rail_row=rail_y_px - top, px_per_m=px_per_m)
    return Layer(_repeated(np.clip(picture, 0, 255).astype(np.uint8), spec.width_px), None, top, period)


def _sleepers(picture: NDArray[np.float32], rng: np.random.Generator, *, rail_row: float, px_per_m: float) -> None:
    """Sleeper ends 0.545 m apart (1840 a kilometre) and two rails, drawn in place; the far rail stands a little higher."""
    period = picture.shape[1]
    count = max(1, round(period / (0.545 * px_per_m)))
    for x in np.arange(count) * period / count:
        tone = float(rng.uniform(0.8, 1.15))
        y0, y1 = round(rail_row + 0.05 * px_per_m), round(rail_row + 0.42 * px_per_m)
        x0, x1 = round(float(x)), round(float(x) + 0.25 * px_per_m)
        if x1 <= period and y1 < len(picture):
            picture[max(0, y0) : y1, x0:x1] = np.array((92, 98, 104), np.float32) * tone
    for row, thick, tone in ((rail_row - 0.42 * px_per_m, 0.06, 0.8), (rail_row, 0.14, 1.0)):
        y0, y1 = round(row), max(round(row) + 1, round(row + thick * px_per_m))
        if y0 >= 0 and y1 < len(picture):
            picture[y0:y1] = np.array((66, 80, 104), np.float32) * tone
            picture[y0 : y0 + 1] = np.array((176, 180, 184), np.float32) * tone
