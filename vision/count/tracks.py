"""Boxes linked from look to look: one track for each vehicle on its way through the view.

For counting nothing is tracked (see `vision.count.cluster`): a lost identity would be a lost vehicle. A track here only says how
its vehicle moves, and a broken one says so twice. The train coordinate takes the camera and most of the motion off, so that a
vehicle of the train stands still in it and one of another train drifts by the difference of the two speeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vision.count.coordinate import Ints, LookTable, Sightings
from vision.types import FloatArray

REACH_SHARE = 0.3
"""A box continues a track within this share of the typical width of where the track leads: less than half a pitch."""

SAME_ROWS_SHARE, SHAKEN_ROWS_SHARE = 0.2, 0.45
"""... with its middle within this share of the typical height, in which trains on two tracks differ; the second before what all
boxes do alike is taken off."""

LEAST_BOXES = 4
RAGGED_GAIN = 1.22
"""A point's distance from the middle of its neighbours deviates by so much more than each of the three."""

RAGGED_SHARE = 0.07
"""... and its boxes deviate by less than this share of the usual width: look-alikes that run through make a track by chance."""

RECENT = 8
LOST_S = 6.0
STEADY_BOXES = 4
_FAR = 1e6


@dataclass(frozen=True, slots=True, repr=False)
class Track:
    """One vehicle over the looks that show it; all arrays have shape (n,).

    Attributes:
        row: Of the sightings.
        look: Rows in the look table, increasing.
        pts_s: Seconds.
        place_px: Middle along the reference coordinate, ``x - D``.
        column_px: Middle on the picture.
        foot_px: Lower edge on the picture.
    """

    row: Ints
    look: Ints
    pts_s: FloatArray
    place_px: FloatArray
    column_px: FloatArray
    foot_px: FloatArray

    def __len__(self) -> int:
        return len(self.look)

    def __getitem__(self, part: slice) -> Track:
        return Track(*(getattr(self, name)[part] for name in self.__slots__))

    @property
    def ragged_px(self) -> float:
        """Robust deviation of its places from the lines between their neighbours: what a box errs by, however the track bends."""
        t_s, place_px = self.pts_s, self.place_px
        share = (t_s[1:-1] - t_s[:-2]) / np.maximum(t_s[2:] - t_s[:-2], 1e-9)
        off_px = place_px[1:-1] - (place_px[:-2] * (1 - share) + place_px[2:] * share)
        return 1.4826 * float(np.median(np.abs(off_px))) / RAGGED_GAIN


class _Open:
    """A track that may go on. Plain numbers: it is asked at every look."""

    __slots__ = ("place_px", "pts_s", "row_px", "rows")

    def __init__(self, row: int, pts_s: float, place_px: float, row_px: float) -> None:
        self.rows, self.pts_s, self.place_px, self.row_px = [row], [pts_s], [place_px], row_px

    def add(self, row: int, pts_s: float, place_px: float, row_px: float) -> None:
        self.rows.append(row)
        self.pts_s.append(pts_s)
        self.place_px.append(place_px)
        self.row_px += (row_px - self.row_px) / min(len(self.rows), RECENT)

    def expected_px(self, pts_s: float) -> float:
        """Where it leads: on a line through its last boxes once there are some, else where it was last."""
        if len(self.pts_s) < STEADY_BOXES:
            return self.place_px[-1]
        t_s, place_px = self.pts_s[-RECENT:], self.place_px[-RECENT:]
        n = len(t_s)
        mean_s, mean_px = sum(t_s) / n, sum(place_px) / n
        off_s = [t - mean_s for t in t_s]
        gain = sum(t * (p - mean_px) for t, p in zip(off_s, place_px, strict=True))
        return mean_px + gain / max(sum(t * t for t in off_s), 1e-9) * (pts_s - mean_s)


def linked(sightings: Sightings, table: LookTable, *, width_px: float, height_px: float) -> list[Track]:
    """Tracks of at least ``LEAST_BOXES`` whole boxes that lie on a smooth line.

    Args:
        sightings: Boxes along a reference coordinate.
        table: Their looks.
        width_px: Of a usual box.
        height_px: The same.
    """
    rows = np.flatnonzero(sightings.whole)
    place = sightings.centre_px
    middle = (sightings.y0_px + sightings.y1_px) / 2
    begins = np.searchsorted(sightings.look[rows], np.arange(len(table) + 1))
    done: list[_Open] = []
    live: list[_Open] = []
    risen_px = 0.0
    for look, pts_s in enumerate(table.pts_s):
        new = rows[begins[look] : begins[look + 1]]
        done += [track for track in live if pts_s - track.pts_s[-1] > LOST_S]
        live = [track for track in live if pts_s - track.pts_s[-1] <= LOST_S]
        apart = _apart(live, float(pts_s), place[new], middle[new] - risen_px, width_px, height_px)
        # A hand shakes up and down: what all boxes do alike is taken off before rows are compared closely.
        down = np.array([apart[1][k, j] for k, j in _paired(apart[0], apart[1], SHAKEN_ROWS_SHARE)])
        if len(down) >= 2 and np.ptp(down) < SAME_ROWS_SHARE:
            risen_px += float(np.median(down)) * height_px
            apart = _apart(live, float(pts_s), place[new], middle[new] - risen_px, width_px, height_px)
        taken = dict(_paired(apart[0], apart[1], SAME_ROWS_SHARE))
        for k, row in enumerate(new):
            box = int(row), float(pts_s), float(place[row]), float(middle[row]) - risen_px
            if k in taken:
                live[taken[k]].add(*box)
            else:
                live.append(_Open(*box))
    tracks = [_closed(track.rows, sightings, table) for track in (*done, *live) if len(track.rows) >= LEAST_BOXES]
    return [track for track in tracks if track.ragged_px < RAGGED_SHARE * width_px]


def _apart(
    live: Sequence[_Open], pts_s: float, place_px: FloatArray, row_px: FloatArray, width_px: float, height_px: float
) -> tuple[FloatArray, FloatArray]:
    """How far each box, (boxes, tracks), lies from where each track leads: along in usual widths, and down in heights."""
    along = place_px[:, None] - np.array([track.expected_px(pts_s) for track in live])[None]
    down = row_px[:, None] - np.array([track.row_px for track in live])[None]
    return np.abs(along) / width_px, down / height_px


def _paired(along: FloatArray, down: FloatArray, rows_share: float) -> list[tuple[int, int]]:
    """Boxes with the tracks that they continue."""
    if not along.size:
        return []
    along, rows = along / REACH_SHARE, np.abs(down) / rows_share
    cost = np.where((along < 1) & (rows < 1), along + rows, _FAR)
    return [(int(k), int(j)) for k, j in zip(*linear_sum_assignment(cost), strict=True) if cost[k, j] < _FAR]


def _closed(rows: list[int], s: Sightings, table: LookTable) -> Track:
    k = np.array(rows)
    return Track(k, s.look[k], table.pts_s[s.look[k]], s.centre_px[k], (s.x0_px[k] + s.x1_px[k]) / 2, s.y1_px[k])


def with_cut_boxes(track: Track, sightings: Sightings, table: LookTable, *, width_px: float, height_px: float) -> Track:
    """A track with the boxes that show its vehicle on its way into the view and out of it, cut by the edge.

    Such a box has one end of the vehicle, which lies where the nearest whole boxes lead.

    Args:
        track: Of whole boxes.
        sightings: Among which it was linked.
        table: Their looks.
        width_px: Of a usual box.
        height_px: The same.
    """
    s = sightings
    half_px = float(np.median(s.width_px[track.row])) / 2
    row_px = (s.y0_px + s.y1_px) / 2
    # Where the middle is by the end that shows, in columns; the other end is the picture's.
    column_px = np.where(s.cut_low, s.x1_px - half_px, s.x0_px + half_px)
    place_px = column_px - table.displacement_px[s.look]
    usable = (s.cut_low != s.cut_high) & (np.abs(row_px - np.median(row_px[track.row])) < SHAKEN_ROWS_SHARE * height_px)
    ends = []
    for near, at in ((slice(None, RECENT), 0), (slice(-RECENT, None), -1)):
        t_s = track.pts_s[near]
        rate, _ = rate_of(t_s, track.place_px[near], least_px=1.0)
        expected_px = track.place_px[near].mean() + rate * (table.pts_s[s.look] - t_s.mean())
        beyond = (s.look < track.look[0]) if at == 0 else (s.look > track.look[-1])
        beyond &= np.abs(table.pts_s[s.look] - track.pts_s[at]) < LOST_S
        ends.append(np.flatnonzero(usable & beyond & (np.abs(place_px - expected_px) < REACH_SHARE * width_px)))
    more = np.concatenate(ends)
    order = np.argsort(np.concatenate([track.look, s.look[more]]), kind="stable")
    return Track(
        np.concatenate([track.row, more])[order],
        np.concatenate([track.look, s.look[more]])[order],
        np.concatenate([track.pts_s, table.pts_s[s.look[more]]])[order],
        np.concatenate([track.place_px, place_px[more]])[order],
        np.concatenate([track.column_px, column_px[more]])[order],
        np.concatenate([track.foot_px, s.y1_px[more]])[order],
    )


def rate_of(t_s: FloatArray, value_px: FloatArray, *, least_px: float) -> tuple[float, float]:
    """Slope of a robust line through a track's places, and its standard error.

    Args:
        t_s: (n,) seconds.
        value_px: (n,) places.
        least_px: A box errs by at least so much.
    """
    weight = np.ones_like(t_s)
    rate = error = 0.0
    for _ in range(4):
        mean_s, mean_px = np.average(t_s, weights=weight), np.average(value_px, weights=weight)
        off_s = t_s - mean_s
        inertia = float((weight * off_s**2).sum())
        rate = float((weight * off_s * (value_px - mean_px)).sum() / max(inertia, 1e-9))
        residual = value_px - mean_px - rate * off_s
        # A few boxes of another vehicle make a step, which the median would not see.
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1.4 * least_px)
        error = max(scale, float(np.sqrt(np.mean(residual**2)))) / np.sqrt(max(inertia, 1e-9))
        weight = 1 / (1 + (residual / (3 * scale)) ** 2)
    return rate, error
