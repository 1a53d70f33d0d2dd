"""Which of several trains that pass at once a detection belongs to.

A vehicle keeps its place in the coordinate of its own train. In another train's it runs through, so that other looks find nothing
where it was. Each detection therefore asks, in each train's coordinate, in what share of the looks that had its place in view a
box with the same ends and rows was found, and goes to the train that answers best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.types import FloatArray, Look, Passage

Bools = NDArray[np.bool_]

SAME_END_SHARE = 0.15
"""Ends agree within this share of the usual width."""

SAME_ROWS_SHARE = 0.3
"""... and middles within this share of the usual height: trains on two tracks stand in different rows."""

EDGE_PX = 2.0
MOST_VOTERS = 3000
CHUNK = 500


def on_other_trains(passages: Sequence[Passage], looks: Sequence[Look]) -> list[list[Bools]]:
    """For each passage and look, an (n,) mask of the detections that belong to another passage.

    Args:
        passages: Of one video; those that share no time do not matter to each other.
        looks: All looks, in order of time.
    """
    out = [[np.zeros(len(look.detections), bool) for look in looks] for _ in passages]
    together = [_overlapping(passage, passages) for passage in passages]
    if not any(together):
        return out
    boxes = _Boxes.of(looks)
    rates = {number: boxes.seen_again(passages[number]) for number, others in enumerate(together) if others}
    for own, mine in rates.items():
        for other in together[own]:
            theirs = rates[other]
            lost = theirs > mine if own < other else theirs >= mine
            lost &= np.isfinite(mine) & np.isfinite(theirs)
            for k in np.flatnonzero(lost):
                out[own][boxes.look[k]][boxes.item[k]] = True
    return out


def moving_with(passage: Passage, other: Passage, looks: Sequence[Look]) -> bool:
    """Whether detections keep their places in one passage's coordinate rather than in another's of the same time.

    Args:
        passage: One.
        other: The other; what keeps its place in both speaks for it.
        looks: All of the time, in order.
    """
    boxes = _Boxes.of(looks)
    mine, theirs = boxes.seen_again(passage), boxes.seen_again(other)
    both = np.isfinite(mine) & np.isfinite(theirs)
    return bool(mine[both].sum() > theirs[both].sum())


def _overlapping(passage: Passage, passages: Sequence[Passage]) -> list[int]:
    return [
        number
        for number, other in enumerate(passages)
        if other is not passage and min(other.end_s, passage.end_s) > max(other.start_s, passage.start_s)
    ]


class _Boxes:
    """All detections of a video, struct-of-arrays."""

    def __init__(self, look: NDArray[np.int64], item: NDArray[np.int64], xyxy_px: FloatArray, pts_s: FloatArray) -> None:
        self.look, self.item, self.xyxy_px, self.pts_s = look, item, xyxy_px, pts_s
        self.width_px = float(np.median(xyxy_px[:, 2] - xyxy_px[:, 0])) if len(xyxy_px) else 1.0
        self.height_px = float(np.median(xyxy_px[:, 3] - xyxy_px[:, 1])) if len(xyxy_px) else 1.0

    @classmethod
    def of(cls, looks: Sequence[Look]) -> _Boxes:
        sizes = [len(look.detections) for look in looks]
        look = np.repeat(np.arange(len(looks)), sizes)
        item = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in sizes)])
        xyxy = np.concatenate([np.zeros((0, 4)), *(each.detections.xyxy_px.astype(np.float64) for each in looks)])
        return cls(look, item, xyxy, np.array([each.pts_s for each in looks], np.float64))

    def seen_again(self, passage: Passage) -> FloatArray:
        """(n,) share of the looks with its place in view that found each detection again; NaN outside the passage."""
        during = (self.pts_s >= passage.start_s) & (self.pts_s <= passage.end_s)
        moved_px = passage.displacement_at(self.pts_s)
        first_px, last_px = passage.view_x_px
        inside = during[self.look]
        rate = np.full(len(self.look), np.nan)
        ends = self.xyxy_px[:, [0, 2]]
        whole = (ends > first_px + EDGE_PX) & (ends < last_px - EDGE_PX)  # an end at the edge of the view is none
        place_px = np.where(whole, ends - moved_px[self.look][:, None], np.nan)
        row_px = (self.xyxy_px[:, 1] + self.xyxy_px[:, 3]) / 2
        every = 1 + int(inside.sum()) // MOST_VOTERS
        asked = np.flatnonzero(during)[::every]
        voters = np.flatnonzero(np.isin(self.look, asked))
        for begin in range(0, len(rate), CHUNK):
            k = np.arange(begin, min(begin + CHUNK, len(rate)))
            k = k[inside[k]]
            with np.errstate(invalid="ignore"):
                same = (np.abs(place_px[k][:, None] - place_px[voters][None]) < SAME_END_SHARE * self.width_px).any(axis=2)
            same &= np.abs(row_px[k][:, None] - row_px[voters][None]) < SAME_ROWS_SHARE * self.height_px
            same &= self.look[k][:, None] != self.look[voters][None]
            middle_px = self.xyxy_px[k][:, [0, 2]].mean(axis=1) - moved_px[self.look[k]]
            at_px = middle_px[:, None] + moved_px[asked][None]
            in_view = ((at_px > first_px) & (at_px < last_px)).sum(axis=1)
            rate[k] = same.sum(axis=1) / np.maximum(in_view - 1, 5)
        return rate
