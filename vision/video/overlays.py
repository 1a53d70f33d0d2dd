"""What is stuck onto the picture: bars around it, captions and watermarks in it. They never move, and pull motion to zero.

A fixed camera's background never moves either, and is no overlay. What tells them apart is the moment when something passes: a
caption then keeps its edge while everything around it changes, the background does not. So, from one picture to the next, each
pixel around which much changes is asked whether its upright edge (its gradient across) is still there, bright side on the same
side; those that mostly say yes are reported. Mostly, as an edge drowns where what is behind is as bright, and a half-transparent
mark's all the more; by chance a pixel says yes one time in six. Level edges are not asked: those of a train, its roof and its
floor, stay where they are while it runs.

A caption over a background that stands still is not reported: there it does no other harm than the background itself. A pole in
front of a passing train is, rightly. Bars are rows or columns at the border, of one grey level all over and all the time, that
end in a straight step. Bars filled with a blurred copy of the picture are not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
_Map = NDArray[np.float32]

_MIN_PICTURES = 8
"""Fewer cannot tell what never moves."""
_BAR_SPREAD = 8.0
"""Grey levels by which a bar's pixels may differ, over place and time."""
_BAR_SHARE = 0.75
"""Share of a bar's pixels that must do so: a caption may stand in it."""
_BAR_STEP = 12.0
_MIN_EDGE = 10.0
"""Gradient across (Sobel divided by 8: half the difference of the neighbours) of an edge that is worth masking, grey levels."""
_KEPT = 0.6
_CHANGE = 10.0
"""Grey levels from one picture to the next that are a change, and not the noise of a night camera once shrunk."""
_AROUND = 0.4
"""Share of the window around a pixel that must change for the pixel to be asked."""
_WINDOW_PX = 25
_MIN_ASKED = 5


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Overlay:
    """What never moves, in pixels of the small picture that was pushed.

    Attributes:
        content_xyxy: Columns x0 to x1 and rows y0 to y1 (exclusive) inside the bars; the whole picture where there are none.
        static_mask: (rows, columns) bool, True where motion should not look: captions, watermarks; not the bars.
        pictures: Of how many this is known.
    """

    content_xyxy: tuple[int, int, int, int]
    static_mask: NDArray[np.bool_]
    pictures: int

    def __repr__(self) -> str:
        mask = f"bool{self.static_mask.shape} {self.static_mask.mean():.1%}"
        return f"Overlay(content_xyxy={self.content_xyxy}, static_mask={mask}, pictures={self.pictures})"


class StaticOverlays:
    """Gathers small grey pictures of one shot, or of one video, and says what is stuck onto them. Memory does not grow.

    Feed it now and then, twice a second say, about 0.5 ms each: neighbouring frames tell little that is new.
    """

    def __init__(self) -> None:
        self._n = 0
        self._evidence: _Evidence | None = None

    def push(self, luma: Grey) -> None:
        """Take one picture in.

        Args:
            luma: (rows, columns) uint8, always of the same shape.

        Raises:
            ValueError: The shape differs from the first one's.
        """
        if self._evidence is None:
            self._evidence = _Evidence.of(luma)
        elif luma.shape != self._evidence.last.shape:
            raise ValueError(f"luma has shape {luma.shape}, expected {self._evidence.last.shape}")
        else:
            self._evidence.add(luma)
        self._n += 1

    def result(self) -> Overlay:
        """What is known so far: nothing stuck on, before eight pictures.

        Raises:
            ValueError: No picture has been pushed.
        """
        if self._evidence is None:
            raise ValueError("no picture has been pushed")
        rows, columns = self._evidence.last.shape
        mask = np.zeros((rows, columns), np.bool_)
        if self._n < _MIN_PICTURES:
            return Overlay((0, 0, columns, rows), mask, self._n)
        x0, y0, x1, y1 = content = _content(self._evidence.lowest, self._evidence.highest)
        mask[y0:y1, x0:x1] = self._evidence.static()[y0:y1, x0:x1]
        return Overlay(content, mask, self._n)


@dataclass(slots=True)
class _Evidence:
    """Per pixel, (rows, columns): the last picture and its edges, extremes so far, how often a pixel was asked and said yes."""

    last: Grey
    edge: _Map
    lowest: Grey
    highest: Grey
    asked: _Map
    kept: _Map

    @classmethod
    def of(cls, luma: Grey) -> _Evidence:
        return cls(
            luma.copy(), _edge(luma), luma.copy(), luma.copy(), np.zeros(luma.shape, np.float32), np.zeros(luma.shape, np.float32)
        )

    def add(self, luma: Grey) -> None:
        edge = _edge(luma)
        changed = (cv2.absdiff(luma, self.last) >= _CHANGE).astype(np.float32)
        asked = cv2.boxFilter(changed, -1, (_WINDOW_PX, _WINDOW_PX)) >= _AROUND
        kept = np.maximum(np.minimum(edge, self.edge), -np.maximum(edge, self.edge)) >= _MIN_EDGE  # both bright, or both dark
        self.asked += asked
        self.kept += asked & kept
        np.minimum(self.lowest, luma, out=self.lowest)
        np.maximum(self.highest, luma, out=self.highest)
        self.last, self.edge = luma.copy(), edge

    def static(self) -> NDArray[np.bool_]:
        found = ((self.asked >= _MIN_ASKED) & (self.kept >= _KEPT * self.asked)).astype(np.uint8)
        # The strokes of a letter are two edges with a still inside: close the gap, then take a margin of one pixel.
        closed = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        return np.asarray(cv2.dilate(closed, np.ones((3, 3), np.uint8)), np.bool_)


def _edge(luma: Grey) -> _Map:
    return np.asarray(cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=0.125), np.float32)


def _content(lowest: Grey, highest: Grey) -> tuple[int, int, int, int]:
    """The rectangle inside the bars, from the extremes over time."""
    rows, columns = lowest.shape
    lowest_level, highest_level = lowest.astype(np.float32), highest.astype(np.float32)
    # Columns are looked at between the horizontal bars only, whose pixels would make any column even.
    y0, y1 = _bar_px(lowest_level, highest_level), rows - _bar_px(lowest_level[::-1], highest_level[::-1])
    lowest_level, highest_level = lowest_level[y0:y1].T, highest_level[y0:y1].T
    x0, x1 = _bar_px(lowest_level, highest_level), columns - _bar_px(lowest_level[::-1], highest_level[::-1])
    return x0, y0, x1, y1


def _bar_px(lowest: _Map, highest: _Map) -> int:
    """Rows of the bar at the top, 0 where there is none; never half of the picture or more."""
    level = float(np.median((lowest[0] + highest[0]) / 2))
    even = (np.abs(lowest - level) <= _BAR_SPREAD) & (np.abs(highest - level) <= _BAR_SPREAD)
    is_bar = even.mean(axis=1) >= _BAR_SHARE
    bar_px = int(np.argmin(is_bar)) if not is_bar.all() else len(is_bar)
    if not 0 < bar_px < len(is_bar) // 2:
        return 0
    # A night sky fades into what is below it; a bar ends at once, at some time at most places. Shrinking may blur one row.
    beyond = slice(bar_px, bar_px + 2)
    step = np.maximum(highest[beyond] - level, level - lowest[beyond]).max(axis=0)
    return bar_px if float((step >= _BAR_STEP).mean()) >= 0.5 else 0
