"""A small painter in metres, and noise that looks like paint, dirt, ballast and leaves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

_FINE = 3
"""Painting happens this many times finer than the result, then shrinks: clean edges and a consistent alpha."""
_SHIFT = 4


def noise(
    rng: np.random.Generator, height_px: int, width_px: int, *, grain_px: float, periodic: bool = False
) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and deviation about 1, shape (height, width); ``grain_px`` is the size of its blotches.

    With ``periodic`` the right edge continues at the left.
    """
    rows = max(2, round(height_px / grain_px) + 1)
    columns = max(2, round(width_px / grain_px) + (0 if periodic else 1))
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    if not periodic:
        return np.asarray(cv2.resize(grid, (width_px, height_px), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    pad = min(2, columns)
    wide = np.concatenate([grid[:, -pad:], grid, grid[:, :pad]], axis=1)
    step = width_px / columns
    # Sample the padded grid where the unpadded one would be, so that both ends meet.
    x = (np.arange(width_px, dtype=np.float32) + 0.5) / step - 0.5 + pad
    y = np.linspace(0, rows - 1, height_px, dtype=np.float32)
    map_x, map_y = np.meshgrid(x, y)
    return np.asarray(
        cv2.remap(wide, map_x.astype(np.float32), map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def layered_noise(
    rng: np.random.Generator, height_px: int, width_px: int, *, grain_px: float, octaves: int = 4, periodic: bool = False
) -> NDArray[np.float32]:
    """Noise of several sizes, each half as large and 0.7 times as strong as the one before; about unit deviation."""
    total = np.zeros((height_px, width_px), np.float32)
    strength, power = 1.0, 0.0
    for _ in range(octaves):
        total += np.float32(strength) * noise(rng, height_px, width_px, grain_px=max(1.0, grain_px), periodic=periodic)
        power += strength**2
        strength *= 0.7
        grain_px /= 2
    return np.asarray(total / np.float32(np.sqrt(power)), dtype=np.float32)


def tinted(colour: Colour, field: NDArray[np.float32], strength: float) -> Image:
    """A picture of one colour, brightened and darkened by ``field`` times ``strength`` (share), (height, width, 3)."""
    base = np.array(colour, np.float32)[None, None]
    return np.asarray(np.clip(base * (1 + np.float32(strength) * field[..., None]), 0, 255), dtype=np.uint8)


class Painter:
    """Draws shapes given in metres (x right, y up from the ground) into a BGRA picture with straight alpha.

    Args:
        width_px, height_px: Of the result.
        px_per_m: Scale.
        origin_x_px, ground_y_px: Where (0 m, 0 m) lies on the result; may be fractional.
    """

    def __init__(self, *, width_px: int, height_px: int, px_per_m: float, origin_x_px: float, ground_y_px: float) -> None:
        self._colour = np.zeros((height_px * _FINE, width_px * _FINE, 3), np.uint8)
        self._mask = np.zeros((height_px * _FINE, width_px * _FINE), np.uint8)
        self._size = (width_px, height_px)
        self._scale = px_per_m * _FINE
        self._origin = (origin_x_px * _FINE, ground_y_px * _FINE)

    def _points(self, points_m: NDArray[np.float64]) -> NDArray[np.int32]:
        x = (self._origin[0] + points_m[:, 0] * self._scale - 0.5) * (1 << _SHIFT)
        y = (self._origin[1] - points_m[:, 1] * self._scale - 0.5) * (1 << _SHIFT)
        return np.round(np.stack([x, y], axis=1)).astype(np.int32)

    def polygon(self, points_m: list[tuple[float, float]], colour: Colour, *, alpha: int = 255) -> None:
        """A filled polygon."""
        points = [self._points(np.array(points_m, np.float64))]
        cv2.fillPoly(self._colour, points, colour, shift=_SHIFT)
        cv2.fillPoly(self._mask, points, alpha, shift=_SHIFT)

    def box(self, x0_m: float, y0_m: float, x1_m: float, y1_m: float, colour: Colour, *, alpha: int = 255) -> None:
        """A filled rectangle."""
        self.polygon([(x0_m, y0_m), (x1_m, y0_m), (x1_m, y1_m), (x0_m, y1_m)], colour, alpha=alpha)

    def disc(self, x_m: float, y_m: float, radius_m: float, colour: Colour) -> None:
        """A filled circle."""
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        self.polygon([(x_m + radius_m * float(np.cos(a)), y_m + radius_m * float(np.sin(a))) for a in angle], colour)

    def wheel(self, x_m: float, radius_m: float, tyre: Colour, hub: Colour, *, y_m: float | None = None) -> None:
        """A tyre with a hub, standing on the ground unless ``y_m`` says where its centre is."""
        y_m = radius_m if y_m is None else y_m
        self.disc(x_m, y_m, radius_m, tyre)
        self.disc(x_m, y_m, radius_m * 0.6, hub)
        self.disc(x_m, y_m, radius_m * 0.22, tyre)

    def bar(self, x0_m: float, y0_m: float, x1_m: float, y1_m: float, width_m: float, colour: Colour) -> None:
        """A thick straight line: a barrel, a strut, a cable."""
        along = np.array([x1_m - x0_m, y1_m - y0_m])
        length = float(np.hypot(*along)) or 1.0
        nx, ny = -along[1] / length * width_m / 2, along[0] / length * width_m / 2
        self.polygon([(x0_m + nx, y0_m + ny), (x1_m + nx, y1_m + ny), (x1_m - nx, y1_m - ny), (x0_m - nx, y0_m - ny)], colour)

    def text(self, x_m: float, y_m: float, height_m: float, text: str, colour: Colour) -> None:
        """Text painted on what is there already; it does not widen the mask."""
        scale = height_m * self._scale / 22
        x, y = self._origin[0] + x_m * self._scale, self._origin[1] - y_m * self._scale
        thick = max(1, round(scale * 2))
        cv2.putText(self._colour, text, (round(x), round(y)), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick)

    def result(self) -> Image:
        """The picture, (height, width, 4) BGRA, alpha straight; colour under zero alpha is black."""
        mask = self._mask.astype(np.float32)[..., None]
        premultiplied = cv2.resize(self._colour * (mask / 255), self._size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(mask[..., 0], self._size, interpolation=cv2.INTER_AREA)
        colour = premultiplied * 255 / np.maximum(alpha, 1)[..., None]
        return np.dstack([np.clip(colour, 0, 255), np.round(alpha)]).astype(np.uint8)


def weathered(
    picture: Image, rng: np.random.Generator, *, grain_px: float, strength: float, dirt: Colour = (70, 90, 105)
) -> Image:
    """The picture with blotches, fine grain, and dirt that thickens towards the bottom; alpha stays."""
    height, width = picture.shape[:2]
    blotch = layered_noise(rng, height, width, grain_px=grain_px, octaves=4)
    colour = picture[..., :3].astype(np.float32) * (1 + np.float32(strength) * blotch[..., None])
    low = np.linspace(-0.6, 0.5, height, dtype=np.float32)[:, None]
    share = np.clip(low * 0.45 + 0.2 * noise(rng, height, width, grain_px=grain_px * 1.7), 0, 0.45)[..., None]
    colour = colour * (1 - share) + np.array(dirt, np.float32) * share
    return np.dstack([np.clip(colour, 0, 255), picture[..., 3]]).astype(np.uint8)


def over(under: Image, picture: Image, x_px: int, y_px: int) -> None:
    """Lay a straight-alpha BGRA picture over another in place, its top left corner at (x, y), cut to it."""
    height, width = under.shape[:2]
    x0, y0 = max(0, x_px), max(0, y_px)
    x1, y1 = min(width, x_px + picture.shape[1]), min(height, y_px + picture.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    top = picture[y0 - y_px : y1 - y_px, x0 - x_px : x1 - x_px].astype(np.float32)
    part = under[y0:y1, x0:x1].astype(np.float32)
    top_a, part_a = top[..., 3:] / 255, part[..., 3:] / 255
    alpha = top_a + part_a * (1 - top_a)
    colour = (top[..., :3] * top_a + part[..., :3] * part_a * (1 - top_a)) / np.maximum(alpha, 1e-6)
    under[y0:y1, x0:x1] = np.round(np.dstack([colour, alpha * 255])).astype(np.uint8)
