"""The annotated strip: the whole train as one long picture, cut into rows, with its vehicles, a ruler and its two ends.

The strip itself is registered by ``vision.motion`` and stored plain by ``vision.run``; here it is drawn upon, anew for each
report: counting again needs no decoding to show its result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import TaxonomyError
from vision.motion.strip import Strip
from vision.run.along import head_px, sign_of
from vision.run.crops import jpeg
from vision.run.store import RunFolder, atomic_write
from vision.run.strips import load_strip
from vision.run.tables import class_order
from vision.taxonomy import default_taxonomy
from vision.types import Train, Vehicle

Picture = NDArray[np.uint8]

_INK = (35, 31, 27)  # BGR
_FAINT = (150, 146, 140)
_PAPER = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_SCALE = 0.45
_LANE_PX = 17  # height of one line of labels
_LANES = 3
_RULER_PX = 24
_GAP_PX = 14
_MARGIN_PX = 12
_MAX_JPEG_SIDE_PX = 65_000


@dataclass(frozen=True, slots=True)
class _Along:
    """How a strip lies along its train: the end at which the head is, the column of position 0, full-frame pixels per column."""

    head_at: Literal["left", "right"]
    head_column: float
    px_per_column: float
    top_px: float
    px_per_m: float | None

    @classmethod
    def of(cls, strip: Strip, train: Train, px_per_m: float | None) -> _Along:
        column = strip.column_of(head_px(train))
        return cls("left" if sign_of(train) > 0 else "right", column, 1 / strip.scale, strip.top_px, px_per_m)

    def column(self, position_px: float) -> float:
        along = position_px / self.px_per_column
        return self.head_column + (along if self.head_at == "left" else -along)

    def position_px(self, column: float) -> float:
        along = column - self.head_column
        return (along if self.head_at == "left" else -along) * self.px_per_column


def draw_strip(
    strip: Strip, train: Train, *, px_per_m: float | None = None, row_width_px: int = 1600, row_height_px: int = 220
) -> Picture:
    """Draw vehicles with index and class, a ruler, the train's ends and a legend; long strips become rows, left to right.

    Args:
        strip: As registered on the train.
        train: Its vehicles and its motion.
        px_per_m: Full-frame pixels per metre, where known: the ruler then shows metres.
        row_width_px: Greatest width of a row of the drawing.
        row_height_px: Height that the train has in the drawing; a low strip is enlarged at most twice.

    Returns:
        (rows, at most row_width_px + margins, 3) uint8.

    Raises:
        ValueError: The picture has not the expected form.
    """
    strip_bgr, scale = strip.picture, _Along.of(strip, train, px_per_m)
    _check(strip_bgr)
    zoom = min(2.0, row_height_px / strip_bgr.shape[0])
    places = [_Place.of(vehicle, scale) for vehicle in train.vehicles]
    breaks = _row_breaks(places, length=strip_bgr.shape[1], longest=row_width_px / zoom)
    rows = [_row(strip_bgr, (a, b), places, train, scale, zoom=zoom) for a, b in pairwise(breaks)]
    width_px = max(420, *(row.shape[1] for row in rows))
    rows.append(_legend(train, width_px))
    drawing = np.full((sum(len(row) for row in rows), width_px, 3), 255, np.uint8)
    y = 0
    for row in rows:
        drawing[y : y + len(row), : row.shape[1]] = row
        y += len(row)
    if y > _MAX_JPEG_SIDE_PX:  # rows beyond count: a JPEG holds no more
        return _resized(drawing, _MAX_JPEG_SIDE_PX / y)
    return drawing


def mark_strip(run: RunFolder, train_id: str, train: Train) -> Path | None:
    """Draw the stored strip of a train into ``strips/<train_id>-marked.jpg``.

    Returns:
        That file, or None where no strip is stored.

    Raises:
        TruthError: What is stored is damaged.
        OutputError: The run folder cannot be written.
    """
    stored = load_strip(run, train_id)
    if stored is None:
        return None
    strip, px_per_m = stored
    path = run.path / "strips" / f"{train_id}-marked.jpg"
    atomic_write(path, jpeg(draw_strip(strip, train, px_per_m=px_per_m), quality=85))
    return path


def colour_of(class_name: str) -> str:
    """The colour of a class, ``#rrggbb``; grey for one that the taxonomy does not know."""
    try:
        return default_taxonomy().colour(class_name)
    except TaxonomyError:
        return "#555555"


@dataclass(frozen=True, slots=True)
class _Place:
    """A vehicle on the strip, in its columns and rows."""

    vehicle: Vehicle
    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def of(cls, vehicle: Vehicle, scale: _Along) -> _Place:
        centre, half = scale.column(vehicle.position_px), vehicle.width_px / scale.px_per_column / 2
        top, bottom = ((y_px - scale.top_px) / scale.px_per_column for y_px in (vehicle.xyxy_px[1], vehicle.xyxy_px[3]))
        return cls(vehicle, centre - half, centre + half, top, bottom)


def _check(strip_bgr: Picture) -> None:
    if strip_bgr.dtype != np.uint8 or strip_bgr.ndim != 3 or strip_bgr.shape[2] != 3 or 0 in strip_bgr.shape:
        raise ValueError(f"a strip is (height, length, 3) uint8, not {strip_bgr.dtype}{strip_bgr.shape}")


def _resized(bgr: Picture, factor: float) -> Picture:
    size = (max(1, round(bgr.shape[1] * factor)), max(1, round(bgr.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(bgr, size, interpolation=how), dtype=np.uint8)


def _row_breaks(places: Sequence[_Place], *, length: int, longest: float) -> list[int]:
    """Columns at which to cut into rows no longer than ``longest``, between vehicles where a gap lies in the row's last third."""
    breaks = [0]
    while length - breaks[-1] > longest:
        start, limit = breaks[-1], breaks[-1] + max(1, int(longest))
        cut = limit
        for candidate in range(limit, start + int(longest * 2 / 3), -4):
            if not any(p.left - 2 <= candidate <= p.right + 2 for p in places):
                cut = candidate
                break
        breaks.append(max(start + 1, cut))
    return [*breaks, length]


def _row(
    strip_bgr: Picture, columns: tuple[int, int], places: Sequence[_Place], train: Train, scale: _Along, *, zoom: float
) -> Picture:
    """One row, from one strip column to another: labels, picture, ruler."""
    start, end = columns
    picture = _resized(strip_bgr[:, start:end], zoom)
    height, width = picture.shape[:2]
    top = _GAP_PX + _LANES * _LANE_PX + 6
    row = np.full((top + height + _RULER_PX, width + 2 * _MARGIN_PX, 3), 255, np.uint8)
    row[top : top + height, _MARGIN_PX : _MARGIN_PX + width] = picture

    def x_of(column: float) -> int:
        return round(_MARGIN_PX + (column - start) * zoom)

    lane_ends = [0] * _LANES
    for place in sorted(places, key=lambda p: p.left):
        if place.right > start and place.left < end:
            y0 = round(top + float(np.clip(place.top * zoom, 0, height - 4)))
            y1 = round(top + float(np.clip(place.bottom * zoom, 4, height - 1)))
            x0, x1 = max(_MARGIN_PX, x_of(place.left)), min(_MARGIN_PX + width - 1, x_of(place.right))
            _vehicle(row, place.vehicle, (x0, y0, x1, y1), top, lane_ends)
    _ruler(row, top + height, start, end, scale, zoom)
    _ends(row, top, height, first=start == 0, last=end == strip_bgr.shape[1], train=train, scale=scale)
    return row


def _vehicle(row: Picture, vehicle: Vehicle, box: tuple[int, int, int, int], top: int, lane_ends: list[int]) -> None:
    """A box on the picture, a bar above it, and index and class in the first line of labels that has room."""
    x0, y0, x1, y1 = box
    colour = _bgr(vehicle.class_name)
    cv2.rectangle(row, (x0, y0), (x1, y1), _PAPER, 4)
    cv2.rectangle(row, (x0, y0), (x1, y1), colour, 2)
    cv2.rectangle(row, (x0, top - 5), (x1, top - 2), colour, -1)
    text = f"{vehicle.index + 1} {_ascii(vehicle.class_name)}"
    width = _text_width(text)
    x = int(np.clip((x0 + x1) // 2 - width // 2, 2, max(2, row.shape[1] - width - 2)))
    lane = next((i for i, end in enumerate(lane_ends) if x > end + 6), int(np.argmin(lane_ends)))
    lane_ends[lane] = x + width
    y = top - 11 - lane * _LANE_PX
    if lane:
        cv2.line(row, ((x0 + x1) // 2, y + 3), ((x0 + x1) // 2, top - 5), _FAINT, 1)
    cv2.rectangle(row, (x - 2, y - 12), (x + width + 2, y + 4), _PAPER, -1)
    _text(row, text, (x, y))


def _ruler(row: Picture, y: int, start: int, end: int, scale: _Along, zoom: float) -> None:
    """Ticks at round distances from the head, in metres where the scale is known."""
    unit_px, unit = (scale.px_per_m, "m") if scale.px_per_m else (1.0, "px")
    first, last = sorted(scale.position_px(column) / unit_px for column in (start, end))
    step = _round_step(90 / zoom * scale.px_per_column / unit_px)
    for n in range(math.ceil(first / step), math.floor(last / step) + 1):
        x = round(_MARGIN_PX + (scale.column(n * step * unit_px) - start) * zoom)
        cv2.line(row, (x, y), (x, y + 6), _INK, 1)
        text = f"{n * step:g} {unit}"
        _text(row, text, (int(np.clip(x - _text_width(text) // 2, 0, row.shape[1] - _text_width(text))), y + 19))
    cv2.line(row, (_MARGIN_PX, y), (row.shape[1] - _MARGIN_PX, y), _INK, 1)


def _round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below ``at_least``."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= at_least * 0.999)


def _ends(row: Picture, top: int, height: int, *, first: bool, last: bool, train: Train, scale: _Along) -> None:
    """Mark the train's ends on the strip's first and last row: a full line where it was seen, a broken one where not."""
    seen = {"HEAD": train.passage.head_seen, "TAIL": train.passage.tail_seen}
    names = ("HEAD", "TAIL") if scale.head_at == "left" else ("TAIL", "HEAD")
    for name, here, x in zip(names, (first, last), (_MARGIN_PX - 6, row.shape[1] - _MARGIN_PX + 6), strict=True):
        if not here:
            continue
        step, dash = (len(row), len(row)) if seen[name] else (12, 6)
        for y in range(_GAP_PX + 4, top + height, step):
            cv2.line(row, (x, y), (x, min(y + dash, top + height) - 1), _INK, 3)
        text = name if seen[name] else f"{name} NOT SEEN"
        if train.passage.direction not in {"left", "right"}:
            text = "LEFT END" if x < _MARGIN_PX else "RIGHT END"
        _text(row, text, (2 if x < _MARGIN_PX else row.shape[1] - _text_width(text) - 2, _GAP_PX - 2))


def _legend(train: Train, width_px: int) -> Picture:
    """Counts by class with their colours, in as many lines as they need."""
    spots, x, line = [], _MARGIN_PX, 0
    for name in class_order(train.counts):
        n = train.counts[name]
        text = f"{_ascii(name)} {n.count}" + (f" ({n.low} to {n.high})" if n.low != n.high else "")
        width = 18 + _text_width(text) + 22
        if x + width > width_px and x > _MARGIN_PX:
            x, line = _MARGIN_PX, line + 1
        spots.append((name, text, x, line))
        x += width
    legend = np.full((18 + 20 * (line + 1), width_px, 3), 255, np.uint8)
    for name, text, left, n_line in spots:
        y = 24 + 20 * n_line
        cv2.rectangle(legend, (left, y - 11), (left + 12, y + 1), _bgr(name), -1)
        _text(legend, text, (left + 18, y))
    if not spots:
        _text(legend, "no vehicles", (_MARGIN_PX, 24))
    return legend


def _bgr(class_name: str) -> tuple[int, int, int]:
    value = int(colour_of(class_name)[1:], 16)
    return value & 255, value >> 8 & 255, value >> 16


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)[0][0])


def _text(row: Picture, text: str, at: tuple[int, int]) -> None:
    cv2.putText(row, text, at, _FONT, _TEXT_SCALE, _INK, 1, cv2.LINE_AA)
