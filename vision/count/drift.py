"""A slow drift of the registration, measured on the boxes themselves.

The train is rigid: between two looks all boxes move alike, and by what the displacement says. Where a fence or a shadow pulls the
measured displacement aside, they all move by a little more, look after look, until one vehicle lies a whole width from where it
lay at first and is two places. So boxes of looks near each other are paired, nearest with nearest, and the offsets ``o_i`` of the
looks are the solution of

    sum over pairs (i, j) w_ij (r_ij - (o_j - o_i))^2  +  sum over i ((o_(i+1) - o_i) / tau)^2  ->  min

with ``r_ij`` the median shift of the pair's boxes: a chain of springs along the looks, reweighted to be robust. A step from one
look to the next stays far below half a pitch of look-alikes, so that a pairing cannot slip onto the neighbour. Where the drift
over a view is no more than ``common_offsets`` mends, nothing is changed.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from vision.count.cluster import typical_width_px
from vision.count.coordinate import LookTable, Sightings
from vision.motion.smooth import add_links
from vision.types import FloatArray

NEAREST, FARTHEST_VIEWS, GAPS = 8, 0.4, 6
"""Looks are paired at so many distances, up to ``NEAREST`` looks or an advance of ``FARTHEST_VIEWS`` views, whichever is more."""

MATCH_SHARE = 0.35
"""Boxes pair within this share of the typical width, after what is known of the drift: less than half a pitch end to end."""

SPRING_SHARE = 0.04
BOX_SHARE = 0.05
"""In typical widths: how far the drift goes from look to look, and how far a box errs."""

LEAST_SHARE = 0.3
"""A drift over one view that stays below this share of the typical width is left to the looks' common offsets."""

ROUNDS = 3


def slow_drift(sightings: Sightings, table: LookTable) -> FloatArray:
    """What to add to each look's displacement, (m,) pixels, to take a slow drift out; zeros where there is none to speak of."""
    m = len(table)
    none = np.zeros(m)
    s = sightings[sightings.whole]
    if m < 6 or len(s) < 6:
        return none
    typical_px = typical_width_px(s)
    start = np.searchsorted(s.look, np.arange(m + 1))
    gaps = _gaps(table)
    offset_px = none
    for round_ in range(ROUNDS):
        # Far ones only after the near ones have said how much the drift is between them.
        links = _links(s.centre_px - offset_px[s.look], start, MATCH_SHARE * typical_px, gaps[: 2 + 2 * round_])
        if len(links[0]) == 0:
            return none
        offset_px = offset_px + _relaxed(m, links, typical_px)
    offset_px = offset_px - np.median(offset_px)
    return offset_px if drift_over_a_view(offset_px, table) > LEAST_SHARE * typical_px else none


def _gaps(table: LookTable) -> tuple[int, ...]:
    """How many looks apart the looks of a pair are, increasing."""
    views = np.abs(np.diff(table.displacement_px)).sum() / (table.view_px[1] - table.view_px[0])
    farthest = max(NEAREST, round(FARTHEST_VIEWS * len(table) / max(views, 1.0)))
    farthest = min(farthest, 8 * NEAREST, len(table) - 1)
    return tuple(int(gap) for gap in np.unique(np.round(np.geomspace(1, farthest, GAPS))))


def _links(
    centre_px: FloatArray, start: np.ndarray, reach_px: float, gaps: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, FloatArray, FloatArray]:
    """Pairs of looks: first, second, median shift of the boxes that pair, and how many do."""
    first, second, shift, boxes = [], [], [], []
    m = len(start) - 1
    for gap in gaps:
        for i in range(m - gap):
            a, b = centre_px[start[i] : start[i + 1]], centre_px[start[i + gap] : start[i + gap + 1]]
            if len(a) == 0 or len(b) == 0:
                continue
            apart = b[None, :] - a[:, None]
            near = np.abs(apart)
            to_b, to_a = near.argmin(axis=1), near.argmin(axis=0)
            rows = np.arange(len(a))
            mutual = (to_a[to_b] == rows) & (near[rows, to_b] <= reach_px)
            if mutual.any():
                first.append(i)
                second.append(i + gap)
                shift.append(float(np.median(apart[rows, to_b][mutual])))
                boxes.append(float(mutual.sum()))
    return np.array(first, np.int64), np.array(second, np.int64), np.array(shift), np.array(boxes)


def _relaxed(m: int, links: tuple[np.ndarray, np.ndarray, FloatArray, FloatArray], typical_px: float) -> FloatArray:
    """(m,) offsets that satisfy links and springs best; Cauchy weights against links between different vehicles."""
    first, second, shift, boxes = links
    sigma_px = np.sqrt(2 / boxes) * BOX_SHARE * typical_px
    spring = np.full(m - 1, 1 / (SPRING_SHARE * typical_px) ** 2)
    offset_px = np.zeros(m)
    width = int(np.max(second - first))
    for _ in range(4):
        residual = (shift - (offset_px[second] - offset_px[first])) / sigma_px
        weight = 1 / sigma_px**2 / (1 + (residual / 2) ** 2)
        bands, right = np.zeros((width + 1, m)), np.zeros(m)
        add_links(bands, right, np.arange(m - 1), np.arange(1, m), weight=spring, apart_px=np.zeros(m - 1))
        add_links(bands, right, first, second, weight=weight, apart_px=shift)
        bands[0] += 1e-6 * spring[0]
        offset_px = solveh_banded(bands, right, lower=True)
    return np.asarray(offset_px)


def drift_over_a_view(offset_px: FloatArray, table: LookTable) -> float:
    """The largest change of the offset while the train advances by one view, pixels: what one vehicle's boxes are spread over."""
    advance_px = np.maximum.accumulate(np.abs(table.displacement_px - table.displacement_px[0]))
    until = np.searchsorted(advance_px, advance_px + (table.view_px[1] - table.view_px[0]), side="right")
    smooth = np.convolve(np.pad(offset_px, 2, mode="edge"), np.ones(5) / 5, mode="valid")  # shake is no drift
    return max(float(np.ptp(smooth[i:j])) for i, j in enumerate(until))
