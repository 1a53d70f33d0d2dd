"""Which of several trains that pass at once a detection belongs to.

A vehicle keeps its place in the coordinate of its own train. In another train's it runs through, so that other looks find nothing
where it was. Each detection therefore asks, in each train's coordinate, in what share of the looks that had its place in view a
box with the same ends and rows was found, and goes to the train that answers best. Where one look follows the other closely its
vehicle can be tracked as well, and all boxes of a track go together, to the train in whose coordinate the track stands still.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.count.coordinate import Ints, place_detections, tabulate_looks
from vision.count.tracks import LEAST_BOXES, Track, linked, rate_of, with_cut_boxes
from vision.types import FloatArray, Look, Passage, stacked_boxes

Bools = NDArray[np.bool_]

SAME_END_SHARE = 0.15
"""Ends agree within this share of the usual width."""

SAME_ROWS_SHARE = 0.3
"""... and middles within this share of the usual height: trains on two tracks stand in different rows."""

SPEED_SHARE = 0.03
"""A track that drifts by this share of the train's speed may still be its own: registration errs."""

DECISIVE = 2.0
MOST_UNREST = 20.0
"""Logarithms of likelihood ratios: from where on a track decides, and no track says more."""

PIECE_VIEWS = 0.4
BOX_PX_SHARE = 0.02
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
    asked = [number for number, others in enumerate(together) if others]
    rates = {number: boxes.seen_again(passages[number]) for number in asked}
    tracks = {number: boxes.tracks(passages[number], looks) for number in asked}
    for own in asked:
        for other in together[own]:
            mine, theirs = rates[own], rates[other]
            lost = theirs > mine if own < other else theirs >= mine
            rest = boxes.unrest(passages[own], passages[other], [*tracks[own], *tracks[other]])
            lost &= np.isfinite(mine) & np.isfinite(theirs)
            # A track goes on where the other train's passage ended too early.
            lost = np.where(np.abs(rest) > DECISIVE, rest > 0, lost)
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


def _view_s(passage: Passage) -> float:
    """How long a vehicle takes to cross the view."""
    return (passage.view_x_px[1] - passage.view_x_px[0]) / max(passage.speed_px_s, 1e-3)


def _pieces(track: Track, lasts_s: float) -> list[slice]:
    """Equal pieces of a track that last about so long, of no fewer than twice the boxes that a track needs."""
    most = len(track) // (2 * LEAST_BOXES)
    count = max(1, min(most, round(float(track.pts_s[-1] - track.pts_s[0]) / max(lasts_s, 1e-3))))
    edges = np.linspace(0, len(track), count + 1).astype(int)
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


class _Boxes:
    """All detections of a video, struct-of-arrays."""

    def __init__(self, look: NDArray[np.int64], item: NDArray[np.int64], xyxy_px: FloatArray, pts_s: FloatArray) -> None:
        self.look, self.item, self.xyxy_px, self.pts_s = look, item, xyxy_px, pts_s
        self.width_px = float(np.median(xyxy_px[:, 2] - xyxy_px[:, 0])) if len(xyxy_px) else 1.0
        self.height_px = float(np.median(xyxy_px[:, 3] - xyxy_px[:, 1])) if len(xyxy_px) else 1.0

    @classmethod
    def of(cls, looks: Sequence[Look]) -> _Boxes:
        xyxy, look = stacked_boxes(looks)
        item = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(each.detections)) for each in looks)])
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

    def tracks(self, passage: Passage, looks: Sequence[Look]) -> list[tuple[Ints, Track]]:
        """Tracks along a train's coordinate, each with the numbers of its boxes."""
        picture_px = round(max(passage.view_x_px[1], float(self.xyxy_px[:, 2].max(initial=0.0))))
        table, _, _ = tabulate_looks(passage, looks, picture_px)
        sightings = place_detections(table, looks, picture_px)
        begins = np.concatenate([[0], np.cumsum([len(look.detections) for look in looks])])
        number = begins[table.source[sightings.look]] + sightings.item
        size = {"width_px": self.width_px, "height_px": self.height_px}
        found = [with_cut_boxes(track, sightings, table, **size) for track in linked(sightings, table, **size)]
        # In pieces, as a track may go over from one vehicle to another where they meet.
        pieces = [track[piece] for track in found for piece in _pieces(track, PIECE_VIEWS * _view_s(passage))]
        return [(number[piece.row], piece) for piece in pieces]

    def unrest(self, own: Passage, other: Passage, tracks: Sequence[tuple[Ints, Track]]) -> FloatArray:
        """(n,) how much less a box's track stands still in a train's coordinate than in another's; 0 where nothing tells."""
        out = np.zeros(len(self.look))
        for number, track in sorted(tracks, key=lambda each: (len(each[0]), -each[1].ragged_px)):  # of two, the longer one counts
            apart = self._restless(own, track) - self._restless(other, track)
            if np.isfinite(apart):
                out[number] = apart
        return out

    def _restless(self, passage: Passage, track: Track) -> float:
        """How unlikely it is that a track stands still in a train's coordinate; NaN where it is not in view long enough."""
        inside = (track.pts_s >= passage.start_s) & (track.pts_s <= passage.end_s)
        if np.count_nonzero(inside) < LEAST_BOXES:
            return float("nan")
        t_s = track.pts_s[inside]
        place_px = track.column_px[inside] - passage.displacement_at(t_s)
        rate, error = rate_of(t_s, place_px, least_px=BOX_PX_SHARE * self.width_px)
        return float(min(0.5 * (rate / np.hypot(error, SPEED_SHARE * passage.speed_px_s)) ** 2, MOST_UNREST))
