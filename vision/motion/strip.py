"""The strip: one long picture of the whole train, made of the looks registered on it.

Column ``c`` of the strip shows the train coordinate ``s = origin_px + c / scale`` (see `vision.types`). Wherever several
looks show the same part of the train, the pixel-wise median is taken: poles, trees and people stand at another place of the
train in every look and vanish; what belongs to the train stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.types import Passage

_CHUNK_PX = 96
_LOOKS_PER_CHUNK = 5
_EDGE_SHARE = 0.03
_MAX_LENGTH_PX = 60_000
_TRACK_SHARE = 0.4
_MARGIN_ABOVE, _MARGIN_BELOW = 0.25, 0.10


class LookPicture(Protocol):
    """A shrunken frame at the time of a look, decoded when it is asked for."""

    @property
    def pts_s(self) -> float: ...

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3) uint8 BGR; all looks of a video have the same size."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Strip:
    """A strip and where it lies along the train.

    Attributes:
        picture: (rows, columns, 3) uint8 BGR.
        origin_px: Train coordinate ``s`` of the first column, full-frame pixels.
        scale: Strip pixels per full-frame pixel.
        top_px: Row of the full frame that the strip's first row shows.
    """

    picture: NDArray[np.uint8]
    origin_px: float
    scale: float
    top_px: float

    def __repr__(self) -> str:
        return f"Strip(picture={self.picture.shape}, origin_px={self.origin_px:.1f}, scale={self.scale:.3f})"

    def column_of(self, s_px: float) -> float:
        """Column of the strip that shows the train coordinate ``s_px``."""
        return (s_px - self.origin_px) * self.scale


def build_strip(passage: Passage, looks: Sequence[LookPicture], *, frame_width_px: int) -> Strip | None:
    """The strip of a passage from the looks that fall into it; None where there is none.

    Args:
        passage: Train coordinate over time.
        looks: Shrunken frames, any order; those outside the passage are passed over.
        frame_width_px: Width of the full frame.
    """
    inside = [look for look in looks if passage.start_s <= look.pts_s <= passage.end_s]
    if not inside:
        return None
    first = inside[0].picture()
    rows, columns = first.shape[:2]
    scale = columns / frame_width_px
    top, bottom = _rows(passage, rows, scale)
    shift = np.array([passage.displacement_at(look.pts_s) for look in inside]) * scale
    first_column, last_column = (edge * scale for edge in passage.view_x_px)
    edge = (last_column - first_column) * _EDGE_SHARE
    left, right = -shift + first_column + edge, -shift + last_column - edge
    start, end = _ends(passage, float(left.min()), float(right.max()), scale)
    length = int(min(end - start, _MAX_LENGTH_PX))
    strip = np.zeros((bottom - top, max(length, 1), 3), np.uint8)
    cache: dict[int, NDArray[np.uint8]] = {}
    for begin in range(0, strip.shape[1], _CHUNK_PX):
        width = min(_CHUNK_PX, strip.shape[1] - begin)
        chosen = _choose(left - start, right - start, begin, begin + width)
        cache = {i: cache[i] if i in cache else inside[i].picture()[top:bottom] for i in chosen}
        if chosen:
            strip[:, begin : begin + width] = _median([_cut(cache[i], start + begin + shift[i], width) for i in chosen])
    return Strip(strip, start / scale, scale, top / scale)


def _ends(passage: Passage, first: float, last: float, scale: float) -> tuple[float, float]:
    """Where the strip begins and ends, strip pixels: what the looks show, less the empty track beyond an end that was seen.

    Some of the track stays, as ends are noticed late.
    """
    low_px, high_px = passage.bounds_px()
    margin_px = _TRACK_SHARE * (passage.view_x_px[1] - passage.view_x_px[0])
    return max(first, (low_px - margin_px) * scale), min(last, (high_px + margin_px) * scale)


def _rows(passage: Passage, rows: int, scale: float) -> tuple[int, int]:
    """Rows to show: the train's band with room for what stands on it."""
    upper, lower = passage.band_y_px
    height = lower - upper
    top = int(max(0.0, (upper - _MARGIN_ABOVE * height) * scale))
    bottom = int(min(float(rows), (lower + _MARGIN_BELOW * height) * scale))
    return (top, bottom) if bottom - top >= 16 else (0, rows)


def _choose(left: NDArray[np.float64], right: NDArray[np.float64], begin: int, end: int) -> list[int]:
    """An odd number of looks that show the whole chunk, nearest to their middle first; else the best partial one."""
    covering = np.flatnonzero((left <= begin) & (right >= end))
    if len(covering) == 0:
        overlap = np.minimum(right, end) - np.maximum(left, begin)
        best = int(overlap.argmax())
        return [best] if overlap[best] > 0 else []
    off_centre = np.abs((left[covering] + right[covering]) / 2 - (begin + end) / 2)
    nearest = covering[np.argsort(off_centre, kind="stable")][:_LOOKS_PER_CHUNK]
    odd = len(nearest) if len(nearest) % 2 else len(nearest) - 1
    return [int(i) for i in nearest[:odd]]


def _cut(picture: NDArray[np.uint8], x: float, width: int) -> NDArray[np.uint8]:
    """``width`` columns of a picture from the fractional column ``x`` on."""
    transform = np.array([[1.0, 0.0, x], [0.0, 1.0, 0.0]], dtype=np.float64)
    size = (width, picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, transform, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), dtype=np.uint8)


def _median(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixel-wise median of one, three or five pictures, by comparing them in pairs: a sort would take ten times as long."""
    if len(pictures) == 1:
        return pictures[0]
    if len(pictures) == 5:
        a, b, c, d, e = pictures
        # Neither the least nor the greatest of four can be the median of five.
        low, high = cv2.max(cv2.min(a, b), cv2.min(c, d)), cv2.min(cv2.max(a, b), cv2.max(c, d))
        return _median([low, high, e])
    a, b, c = pictures
    return np.asarray(cv2.max(cv2.min(a, b), cv2.min(cv2.max(a, b), c)), np.uint8)
