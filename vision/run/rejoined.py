"""Where a piece of the video is missing, the vehicles themselves say how far the train went on meanwhile.

Pixels on both sides of a jump are compared by `vision.motion.jumps`; through a watermark they may find nothing, or nothing amiss.
But two vehicles that were in view before, and stand as far apart afterwards, tell the jump: at any other, vehicles that should
be in view on one side are not found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.motion.jumps import Join
from vision.motion.meter import MotionSeries
from vision.motion.passages import JUMP_CUT
from vision.types import FloatArray, Look, Passage, stacked_boxes

_ABOUT_S = 5.0
_SAME_PLACE_SHARE = 0.25
_SAME_WIDTH = 0.2
_LEAST_LOOKS = 3
_SEEN_SHARE = 0.3
_CONFIRMED = 4
_MORE = 3


@dataclass(frozen=True, slots=True, repr=False)
class _Side:
    """What was seen on one side of a join.

    Attributes:
        moved_px: (m,) the train's displacement at each look.
        look: (n,) of each box, index into ``moved_px``.
        x_px, width_px: (n,) middle and width of each box.
        places_px, wide_px: (k,) vehicles: middle along the train and width.
    """

    moved_px: FloatArray
    look: NDArray[np.int64]
    x_px: FloatArray
    width_px: FloatArray
    places_px: FloatArray
    wide_px: FloatArray

    @classmethod
    def of(cls, passage: Passage, looks: Sequence[Look], start_s: float, end_s: float) -> _Side:
        """Of the looks from ``start_s`` on, before ``end_s``."""
        theirs = [look for look in looks if start_s <= look.pts_s < end_s]
        xyxy, look = stacked_boxes(theirs)
        first_px, last_px = passage.view_x_px
        edge_px = 0.01 * (last_px - first_px)
        whole = (xyxy[:, 0] > first_px + edge_px) & (xyxy[:, 2] < last_px - edge_px)
        look, xyxy = look[whole], xyxy[whole]
        moved_px = passage.displacement_at(np.array([each.pts_s for each in theirs], np.float64))
        x_px, width_px = (xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 2] - xyxy[:, 0]
        s_px = x_px - moved_px[look]
        order = np.argsort(s_px)
        reach_px = _SAME_PLACE_SHARE * float(np.median(width_px)) if len(width_px) else 1.0
        groups = np.split(order, np.flatnonzero(np.diff(s_px[order]) > reach_px) + 1)
        firm = [group for group in groups if len(np.unique(look[group])) >= _LEAST_LOOKS]
        return cls(
            moved_px,
            look,
            x_px,
            width_px,
            np.array([float(np.median(s_px[group])) for group in firm]),
            np.array([float(np.median(width_px[group])) for group in firm]),
        )

    def confirms(self, places_px: FloatArray, wide_px: FloatArray, view_px: tuple[float, float]) -> int:
        """How many of some vehicles show where they should on this side, less those that should and do not."""
        score = 0
        for place_px, width_px in zip(places_px, wide_px, strict=True):
            at_px = place_px + self.moved_px
            asked = (at_px - width_px / 2 > view_px[0]) & (at_px + width_px / 2 < view_px[1])
            if np.count_nonzero(asked) < _LEAST_LOOKS:
                continue
            there = np.abs(self.x_px - at_px[self.look]) < _SAME_PLACE_SHARE * width_px
            there &= np.abs(self.width_px - width_px) < _SAME_WIDTH * width_px
            share = len(np.unique(self.look[there & asked[self.look]])) / np.count_nonzero(asked)
            score += 1 if share > _SEEN_SHARE else -1 if share == 0 else 0
        return score


def rejoined(passages: Sequence[Passage], series: MotionSeries, looks: Sequence[Look], joins: Sequence[Join]) -> list[Passage]:
    """The passages, moved on after a join where the vehicles on both sides say that they went farther or less far.

    Args:
        passages: Of a video.
        series: Its band shifts.
        looks: What the detector saw, in order of time.
        joins: Where the picture changed all of a sudden.
    """
    out = []
    for passage in passages:
        mended = passage
        for join in joins:
            at_s = float(series.pts_s[join.index])
            if passage.start_s < at_s < passage.end_s and passage.direction in {"left", "right"}:
                mended = _joined(mended, looks, at_s)
        out.append(mended)
    return out


def _joined(passage: Passage, looks: Sequence[Look], at_s: float) -> Passage:
    """A passage with its coordinate after a join moved to where the vehicles are."""
    begin_s, end_s = max(passage.start_s, at_s - _ABOUT_S), min(passage.end_s, at_s + _ABOUT_S)
    before = _Side.of(passage, looks, begin_s, at_s - 1e-6)
    after = _Side.of(passage, looks, at_s - 1e-6, end_s)
    if len(before.places_px) < 2 or len(after.places_px) < 2:
        return passage
    view_px = passage.view_x_px

    def score(apart_px: float) -> int:
        """Of the hypothesis that what lies at ``s`` before the join lies at ``s - apart_px`` after it."""
        forward = after.confirms(before.places_px - apart_px, before.wide_px, view_px)
        return forward + before.confirms(after.places_px + apart_px, after.wide_px, view_px)

    apart_px = before.places_px[:, None] - after.places_px[None, :]
    alike = np.abs(before.wide_px[:, None] - after.wide_px[None, :]) < _SAME_WIDTH * before.wide_px[:, None]
    # What is missing was time, and time only goes on: the train went farther, and not by more than both sides can show.
    way = 1.0 if passage.direction == "right" else -1.0
    last = int(np.searchsorted(passage.pts_s, at_s - 1e-6)) - 1
    went_px = way * (float(passage.displacement_px[last + 1] - passage.displacement_px[last]) - apart_px)
    alike &= (went_px > -_SAME_PLACE_SHARE * before.wide_px[:, None]) & (went_px < view_px[1] - view_px[0])
    tried = apart_px[alike]
    if len(tried) == 0:
        return passage
    scores = np.array([score(float(each_px)) for each_px in tried])
    best = int(scores.argmax())
    if scores[best] < max(_CONFIRMED, score(0.0) + _MORE):
        return passage
    agree = np.abs(tried - tried[best]) < _SAME_PLACE_SHARE * float(np.median(before.wide_px))
    later = passage.pts_s >= at_s - 1e-6
    moved_px = passage.displacement_px - np.where(later, float(np.median(tried[agree])), 0.0)
    return replace(passage, displacement_px=moved_px).flagged(JUMP_CUT)
