"""At which rows of the picture anything moves: all that a detector need be shown while a train passes a camera that stands."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.motion.bands import BandPeaks

_SUPPORTED = 0.15
_MOVED_PX = 0.5
_INTERVAL_S = 0.08
_MEMORY_S = 30.0
_OFTEN_ENOUGH = 3
_SHARE_OF_MOST = 0.1
_LEAST_GREY = 0.7
_MARGIN = 0.05


class MovingRows:
    """Follows which rows move, from one small picture to the next.

    A row moves where it changes by more than those that stand do, and a band that it belongs to has shifted as a whole: rain
    changes rows and shifts no band, and a band is coarser than the train's roof. What has moved within the last half minute
    counts, so that a tall engine still makes room for the tall wagon at the end. When the camera moves all rows do. Some ten
    pictures a second are compared.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._moved_s = np.empty(0)
        self._times = np.empty(0, np.int64)
        self._before_s = self._now_s = 0.0

    def push(self, luma: NDArray[np.uint8], pts_s: float, moving: BandPeaks, *, cut: bool) -> None:
        """Take the next picture.

        Args:
            luma: (rows, width) uint8, kept until the next one.
            pts_s: Its time, seconds.
            moving: Its bands' shifts without what stands still.
            cut: Whether a new shot seems to begin with it: nothing is known of its rows then.
        """
        self._now_s = pts_s
        before = self._before
        if cut or before is None or before.shape != luma.shape:
            self._moved_s = np.full(len(luma), -np.inf)
            self._times = np.zeros(len(luma), np.int64)
            self._before, self._before_s = luma, pts_s
            return
        if pts_s - self._before_s < _INTERVAL_S:
            return
        self._before, self._before_s = luma, pts_s
        bands: NDArray[np.bool_] = np.any((moving.response > _SUPPORTED) & (np.abs(moving.shift_px) > _MOVED_PX), axis=1)
        if not bands.any():
            return
        change_grey = cv2.absdiff(luma, before).sum(axis=1, dtype=np.uint32) / luma.shape[1]
        inside = _rows_of(bands, len(luma))
        quiet_grey = float(np.median(change_grey[~inside])) if not inside.all() else 0.0
        excess_grey = change_grey - quiet_grey
        moved = inside & (excess_grey > min(_SHARE_OF_MOST * float(excess_grey.max()), _LEAST_GREY + quiet_grey / 2.0))
        self._moved_s[moved] = pts_s
        self._times[moved] += 1

    def span(self) -> tuple[float, float] | None:
        """First and last of the rows that move, with a margin, as shares of the picture's height; None where nothing is known."""
        moving = np.flatnonzero((self._moved_s >= self._now_s - _MEMORY_S) & (self._times >= _OFTEN_ENOUGH))
        if len(moving) == 0:
            return None
        rows = len(self._moved_s)
        return max(0.0, float(moving[0]) / rows - _MARGIN), min(1.0, float(moving[-1] + 1) / rows + _MARGIN)


def _rows_of(bands: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """(rows,) whether a row belongs to one of the chosen bands; neighbouring bands overlap by half."""
    edges = np.linspace(0, rows, len(bands) + 2).astype(np.int64)
    chosen = np.zeros(rows, bool)
    for band in np.flatnonzero(bands):
        chosen[edges[band] : edges[band + 2]] = True
    return chosen
