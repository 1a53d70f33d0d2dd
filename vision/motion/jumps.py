"""Jumps: a piece of the video is missing, the camera stood still, and the train is suddenly somewhere else.

No cut between shots shows them, since the background stays. But all that belongs to the train changes at once, which happens in
no other way; and what changed in the one picture is found again in the other, moved by the jump. Registration of bands finds a
jump of a third of the picture at most, for its windows fade towards the edges. So the two pictures about each sudden change are
kept, and compared directly where a train is passing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SUDDEN_GREY = 0.6
_SUDDEN_RATIO = 2.5
_KNOWN_FRAMES = 5
_MOST_JOINS = 100
_CHANGED_GREY = 6.0
_LEAST_CHANGED = 0.02
_LARGEST_DIFFERENCE = 60.0
_LEAST_OVERLAP = 0.12
_LEAST_COMPARED = 0.1
_NEIGHBOUR_PX = 6
_BETTER_THAN_REST = 0.7
_BETTER_THAN_OTHERS = 0.8
_INSIDE_TO_OUTSIDE = 3.0
_LEAST_ROWS = 24


@dataclass(frozen=True, slots=True, repr=False)
class Join:
    """A place where the picture changes all of a sudden.

    Attributes:
        index: The frame after it, counted from the video's start.
        before, after: (rows, width) uint8, the small pictures on both sides.
        suddenness: The change as a multiple of the usual.
    """

    index: int
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    suddenness: float


class JoinKeeper:
    """Keeps the pictures about sudden changes; at most a hundred of them, the most sudden ones."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()
        self._before: NDArray[np.uint8] | None = None
        self._index = 0
        self._joins: list[Join] = []

    def push(self, luma: NDArray[np.uint8], pts_s: float, change: float) -> None:
        """Take the next picture.

        Args:
            luma: (rows, width) uint8, kept: nobody may write into it afterwards.
            pts_s: Its time, seconds.
            change: Against the picture before, grey levels.
        """
        while self._recent and self._recent[0][0] < pts_s - 1.0:
            self._recent.popleft()
        known = sorted(value for _, value in self._recent)
        usual = known[-2] if len(known) >= _KNOWN_FRAMES else np.inf
        if change > max(_SUDDEN_GREY, _SUDDEN_RATIO * usual) and self._before is not None:
            self._joins.append(Join(self._index, self._before, luma, change / max(usual, 0.1)))
            if len(self._joins) > _MOST_JOINS:
                self._joins.remove(min(self._joins, key=lambda join: join.suddenness))
        self._recent.append((pts_s, change))
        self._before = luma
        self._index += 1

    def joins(self) -> tuple[Join, ...]:
        """All kept, in order of time."""
        return tuple(self._joins)


@dataclass(frozen=True, slots=True)
class Jump:
    """How far what moves has moved between two pictures, against the background.

    Attributes:
        shift_px: To the right, pixels of the small picture; None where nothing fits.
        plain: Whether nothing need be missing: standing still, or nearly so, explains the change as well, or it is not the train
            that changed.
    """

    shift_px: float | None
    plain: bool


def measure_jump(
    before: NDArray[np.uint8], after: NDArray[np.uint8], *, expected_px: float, rows: tuple[int, int] | None = None
) -> Jump:
    """Compare what changed between two pictures at every shift.

    Where a pixel changed, the train is in one of the pictures at least. At the right shift most of what changed in the one is
    found in the other; at any other, nothing fits. Pixels that stay are left out: they fit best at no shift at all.

    Args:
        before: (rows, width) uint8.
        after: The same.
        expected_px: How far the train should have moved in the time of a frame, pixels.
        rows: First and last row of the train (the latter exclusive); all where None.
    """
    first, second = (cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0) for picture in (before, after))
    second = _laid_on(first, second, above=rows[0] if rows else 0)
    second -= np.float32(np.median(second - first))  # the light
    changed = cv2.dilate((np.abs(second - first) > _CHANGED_GREY).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if changed.mean() < _LEAST_CHANGED:
        return Jump(0.0, plain=True)
    width_px = first.shape[1]
    near_px = int(np.ceil(max(_NEIGHBOUR_PX, 3.0 * abs(expected_px))))
    # Along the train's way, from a little behind: what is missing was time, and time only goes on.
    ahead = np.arange(-near_px, int(width_px * (1.0 - _LEAST_OVERLAP)) + 1)
    way = -1 if expected_px < 0 else 1
    misfit = np.array([_misfit(first, second, changed, way * int(shift)) for shift in ahead])
    far = ahead > near_px
    at_rest = float(misfit[~far].min())
    best = int(np.where(far, misfit, np.inf).argmin())
    if far[best] and np.isfinite(misfit[best]):
        others = misfit[far & (np.abs(ahead - ahead[best]) > _NEIGHBOUR_PX)]
        if misfit[best] < _BETTER_THAN_REST * at_rest and misfit[best] < _BETTER_THAN_OTHERS * float(others.min(initial=np.inf)):
            return Jump(way * (float(ahead[best]) + _vertex(misfit, best)), plain=False)
    if not np.isfinite(at_rest):
        return Jump(0.0, plain=True)
    usual = float(np.median(misfit[np.isfinite(misfit)]))
    return Jump(None, plain=at_rest < _BETTER_THAN_REST * usual or not _within(changed, rows))


def _within(changed: NDArray[np.bool_], rows: tuple[int, int] | None) -> bool:
    """Whether it is the given rows that changed: a flash or a pole close by changes the others as well."""
    if rows is None or rows[1] - rows[0] >= len(changed):
        return True
    inside = np.zeros(len(changed), bool)
    inside[rows[0] : rows[1]] = True
    return bool(changed[inside].mean() > _INSIDE_TO_OUTSIDE * changed[~inside].mean()) if inside.any() else False


def _misfit(first: NDArray[np.float32], second: NDArray[np.float32], changed: NDArray[np.bool_], shift: int) -> float:
    """Mean difference where both pictures changed, with the first moved right by ``shift``; infinite where too little is left."""
    width_px = first.shape[1]
    a = slice(max(0, -shift), width_px - max(0, shift))
    b = slice(max(0, shift), width_px - max(0, -shift))
    both = changed[:, a] & changed[:, b]
    n = np.count_nonzero(both)
    if n < _LEAST_COMPARED * _LEAST_OVERLAP * np.count_nonzero(changed):
        return np.inf
    return float(np.minimum(np.abs(first[:, a] - second[:, b])[both], _LARGEST_DIFFERENCE).sum()) / n


def _laid_on(first: NDArray[np.float32], second: NDArray[np.float32], *, above: int) -> NDArray[np.float32]:
    """The second picture with the camera's shake between the two taken out, if it is a small one, by the rows above the train."""
    shown = slice(0, above if above >= _LEAST_ROWS else len(first))
    # Copies: it multiplies its inputs with the window where their size needs no padding.
    parts = first[shown].copy(), second[shown].copy()
    (x_px, y_px), response = cv2.phaseCorrelate(*parts, cv2.createHanningWindow(parts[0].shape[::-1], cv2.CV_32F))
    if response < 0.1 or np.hypot(x_px, y_px) < 0.2 or max(abs(x_px), abs(y_px)) > 0.05 * first.shape[1]:
        return second
    back = np.array([[1, 0, -x_px], [0, 1, -y_px]], np.float32)
    return np.asarray(cv2.warpAffine(second, back, first.shape[::-1], borderMode=cv2.BORDER_REPLICATE), np.float32)


def _vertex(misfit: NDArray[np.float64], at: int) -> float:
    """Where between the neighbours the misfit is least, in [-0.5, 0.5] (its flanks are straight lines)."""
    if not 0 < at < len(misfit) - 1 or not np.isfinite(misfit[at - 1 : at + 2]).all():
        return 0.0
    low, here, high = misfit[at - 1 : at + 2]
    steepest = max(low, high) - here
    return float(np.clip(0.5 * (low - high) / steepest, -0.5, 0.5)) if steepest > 0 else 0.0
