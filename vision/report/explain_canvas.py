"""A sheet to draw on: in pixels of the finished picture, drawn at twice its size and shrunk, which smooths lines and letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.geometry import runs

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red."""

INK: Colour = (35, 31, 27)
SOFT: Colour = (110, 104, 98)
FAINT: Colour = (176, 171, 166)
RULE: Colour = (226, 223, 220)
PANEL: Colour = (240, 238, 236)
PAPER: Colour = (255, 255, 255)
TRAIN: Colour = (60, 140, 20)
BACKGROUND: Colour = (200, 120, 30)
ALARM: Colour = (40, 30, 205)
DOUBT: Colour = (20, 130, 235)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_PX = 21.0
"""Height of a capital letter at font scale 1."""
_SHIFT = 4


class Canvas:
    """A sheet of ``width_px`` times ``height_px``.

    Args:
        width_px: Of the finished picture.
        height_px: Of the finished picture.
        over: A picture to draw on instead of white paper, (height_px, width_px, 3) uint8 BGR.
        zoom: How much larger it is drawn than it is given out.
    """

    def __init__(self, width_px: int, height_px: int, *, over: Picture | None = None, zoom: int = 2) -> None:
        self.width_px, self.height_px, self._zoom = width_px, height_px, zoom
        if over is None:
            self._sheet = np.full((height_px * zoom, width_px * zoom, 3), 255, np.uint8)
        elif zoom == 1:
            self._sheet = over.copy()
        else:
            size = (width_px * zoom, height_px * zoom)
            self._sheet = np.asarray(cv2.resize(over, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

    def picture(self) -> Picture:
        """What was drawn, (height_px, width_px, 3) uint8."""
        if self._zoom == 1:
            return self._sheet
        return np.asarray(cv2.resize(self._sheet, (self.width_px, self.height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, alpha: float = 1.0) -> None:
        """A filled rectangle; nothing where it has no extent."""
        left, right = (int(np.clip(round(x * self._zoom), 0, self._sheet.shape[1])) for x in sorted((x0, x1)))
        top, bottom = (int(np.clip(round(y * self._zoom), 0, self._sheet.shape[0])) for y in sorted((y0, y1)))
        part = self._sheet[top:bottom, left:right]
        if part.size == 0:
            return
        if alpha >= 1:
            part[:] = colour
        else:
            part[:] = np.clip(part * (1 - alpha) + np.array(colour) * alpha + 0.5, 0, 255).astype(np.uint8)

    def frame(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, width: float = 1.0) -> None:
        """The outline of a rectangle."""
        self.lines([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], colour, width=width)

    def lines(self, points: Sequence[tuple[float, float]] | NDArray[np.float64], colour: Colour, *, width: float = 1.0) -> None:
        """A line through points; those that are not finite break it."""
        at = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        finite = np.asarray(np.isfinite(at).all(axis=1))
        thickness = max(1, round(width * self._zoom))
        # Far outside lie numbers that OpenCV cannot hold.
        at = np.clip(np.where(np.isfinite(at), at, 0), -4000, 20_000) * self._zoom * (1 << _SHIFT)
        for start, stop in runs(finite):
            part = at[start:stop].round().astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(self._sheet, [part], False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def dashes(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, width: float = 1.0, dash: float = 4) -> None:
        """A broken line."""
        length = float(np.hypot(x1 - x0, y1 - y0))
        for begin in np.arange(0, length, 2 * dash):
            ends = (begin / length, min(1.0, (begin + dash) / length))
            self.lines([(x0 + (x1 - x0) * e, y0 + (y1 - y0) * e) for e in ends], colour, width=width)

    def polygon(self, points: NDArray[np.float64], colour: Colour) -> None:
        """A filled polygon, (n, 2)."""
        at = (np.clip(points, -4000, 20_000) * self._zoom * (1 << _SHIFT)).round().astype(np.int32)
        cv2.fillPoly(self._sheet, [at.reshape(-1, 1, 2)], colour, cv2.LINE_AA, _SHIFT)

    def arrow(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, width: float = 2.0) -> None:
        """An arrow with a white rim; a dot where it has no length."""
        length = float(np.hypot(x1 - x0, y1 - y0))
        if length < 2:
            self.dot(x0, y0, 3.5, PAPER)
            self.dot(x0, y0, 2.5, colour)
            return
        along = np.array([(x1 - x0), (y1 - y0)]) / length
        across = np.array([-along[1], along[0]])
        head = min(5 * width, max(3 * width, 0.5 * length))
        neck = np.array([x1, y1]) - along * head * 0.7
        for colour_, more in ((PAPER, 1.2), (colour, 0.0)):
            tip = np.array([x1, y1]) + along * more * 1.6
            base = np.array([x1, y1]) - along * (head + more)
            wing = across * (head * 0.55 + more * 1.5)
            self.lines([(x0 - along[0] * more, y0 - along[1] * more), (neck[0], neck[1])], colour_, width=width + 2 * more)
            self.polygon(np.array([tip, base + wing, base - wing]), colour_)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle."""
        scale = self._zoom * (1 << _SHIFT)
        if abs(x) < 20_000 and abs(y) < 20_000:
            cv2.circle(self._sheet, (round(x * scale), round(y * scale)), round(radius * scale), colour, -1, cv2.LINE_AA, _SHIFT)

    def badge(self, x: float, y: float, text: str, colour: Colour, *, size: float = 13) -> None:
        """A number in a coloured disc with a white rim; ``x``, ``y`` is its middle."""
        half = max(text_width(text, size) / 2 - size * 0.28, 0)
        radius = size * 0.68
        for more, colour_ in ((1.5, PAPER), (0.0, colour)):
            self.rect(x - half, y - radius - more, x + half, y + radius + more, colour_)
            for side in (x - half, x + half):
                self.dot(side, y, radius + more, colour_)
        self.text(x, y + size * 0.36, text, size=size, colour=readable_on(colour), anchor="middle", bold=True)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        colour: Colour = INK,
        anchor: Literal["left", "middle", "right"] = "left",
        bold: bool = False,
        halo: Colour | None = None,
    ) -> None:
        """One line of text with its base line at ``y``; letters beyond ASCII become ``?``."""
        text = ascii_of(text)
        width = text_width(text, size)
        left = x - {"left": 0.0, "middle": width / 2, "right": width}[anchor]
        scale = size * 0.7 / _CAP_PX * self._zoom
        thickness = max(1, round(0.07 * size * self._zoom * (1.5 if bold else 1.0)))
        at = (round(left * self._zoom), round(y * self._zoom))
        if halo is not None:
            cv2.putText(self._sheet, text, at, _FONT, scale, halo, thickness + 2 * self._zoom, cv2.LINE_AA)
        cv2.putText(self._sheet, text, at, _FONT, scale, colour, thickness, cv2.LINE_AA)

    def paste(self, picture: Picture, x0: float, y0: float, x1: float, y1: float) -> None:
        """A picture, stretched into a rectangle that lies within the sheet."""
        left, right, top, bottom = (round(v * self._zoom) for v in (x0, x1, y0, y1))
        right, bottom = min(right, self._sheet.shape[1]), min(bottom, self._sheet.shape[0])
        if right <= left or bottom <= top or 0 in picture.shape:
            return
        smaller = (right - left) * (bottom - top) < picture.shape[0] * picture.shape[1]
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        self._sheet[top:bottom, left:right] = cv2.resize(picture, (right - left, bottom - top), interpolation=how)


def ascii_of(text: str) -> str:
    """What the drawing font can show."""
    return text.encode("ascii", "replace").decode()


def text_width(text: str, size: float) -> float:
    """Width of a text, pixels."""
    return float(cv2.getTextSize(ascii_of(text), _FONT, size * 0.7 / _CAP_PX * 4, 4)[0][0]) / 4


def readable_on(colour: Colour) -> Colour:
    """White or ink, whichever is easier to read on a colour."""
    blue, green, red = colour
    return PAPER if 0.114 * blue + 0.587 * green + 0.299 * red < 150 else INK


def bgr_of(hex_colour: str) -> Colour:
    """A colour from ``#rrggbb``."""
    value = int(hex_colour[1:], 16)
    return value & 255, value >> 8 & 255, value >> 16


def wrapped(text: str, *, size: float, width_px: float) -> list[str]:
    """A text in lines no wider than ``width_px``."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def shortened(text: str, *, size: float, width_px: float) -> str:
    """A text that fits, its middle left out where it is too long: a file name is told by both its ends."""
    if text_width(text, size) <= width_px:
        return text
    for kept in range(len(text) - 1, 2, -1):
        short = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
        if text_width(short, size) <= width_px:
            return short
    return text[:1]


def round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below ``at_least``."""
    power = 10.0 ** np.floor(np.log10(max(at_least, 1e-9)))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m >= at_least * 0.999))
