"""From columns of the picture to lengths along the train, for views that are not square-on.

A straight train seen by a pinhole camera maps to columns by a projective function of one variable, and so does its inverse:

    F(x) = m + W xi / (k0 (k0 + k1 xi)),   xi = (x - m) / W,   m the middle of the view, W its width

with ``dF/dx = 1 / (k0 + k1 xi)^2``. Between two looks the train advances by ``dD`` and a vehicle's box by ``dx``, so that
``sqrt(dx / dD) = k0 + k1 xi``: a straight line in the column, fitted robustly to all pairs of boxes in neighbouring looks.
``k1`` is the obliqueness, ``k0`` a common error of scale. A square-on view has ``k0 = 1, k1 = 0`` and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vision.count.cluster import typical_width_px
from vision.count.coordinate import LookTable, Sightings
from vision.types import FloatArray

MIN_PAIRS = 30
MAX_STEP_SHARE = 1.0
MIN_STEP_SHARE = 0.1
"""Looks are compared whose displacements differ by this share of the typical width."""

MATCH_SHARE = 0.42
"""Boxes match within this share of the typical width: less than half the pitch of look-alikes end to end."""

MIN_SLOPE, MIN_SCALE = 0.04, 0.01
MAX_SLOPE = 1.3
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """``F``, see the module's text; ``middle_px`` and ``width_px`` are those of the view."""

    middle_px: float
    width_px: float
    k0: float = 1.0
    k1: float = 0.0

    def __call__(self, x_px: FloatArray) -> FloatArray:
        """Columns as lengths along the train, pixels of the train's displacement; same shape."""
        xi = (x_px - self.middle_px) / self.width_px
        return np.asarray(self.middle_px + self.width_px * xi / (self.k0 * np.maximum(self.k0 + self.k1 * xi, 0.1)))

    def inverse(self, along_px: FloatArray) -> FloatArray:
        """Lengths along the train back to columns; same shape. What lies beyond the horizon gives NaN."""
        u = (along_px - self.middle_px) / self.width_px * self.k0
        below = 1 - self.k1 * u
        return np.asarray(self.middle_px + self.width_px * np.where(below > 1e-6, u * self.k0 / np.maximum(below, 1e-6), np.nan))


def fit_columns(sightings: Sightings, table: LookTable) -> ColumnMap:
    """The map from columns to lengths that makes the boxes of neighbouring looks move with the train."""
    first, last = table.view_px
    fitted = square_on = ColumnMap((first + last) / 2, max(last - first, 1e-9))
    s = sightings[sightings.whole]
    typical_px = typical_width_px(s)
    pairs = _look_pairs(table, typical_px)
    if not pairs:
        return square_on
    start = np.searchsorted(s.look, np.arange(len(table) + 1))
    centre_px = (s.x0_px + s.x1_px) / 2
    for _ in range(ROUNDS):
        along_px = (fitted(s.x0_px) + fitted(s.x1_px)) / 2 - table.displacement_px[s.look]
        matches = [_matched(along_px, start, i, j, MATCH_SHARE * typical_px) for i, j in pairs]
        a, b = (np.concatenate([m[side] for m in matches]) for side in (0, 1))
        if len(a) < MIN_PAIRS:
            return square_on
        advance_px = table.displacement_px[s.look[b]] - table.displacement_px[s.look[a]]
        ratio = (centre_px[b] - centre_px[a]) / advance_px
        good = (ratio > 0.15) & (ratio < 4)
        xi = ((centre_px[a] + centre_px[b]) / 2 - square_on.middle_px) / square_on.width_px
        line = _line(xi[good], np.sqrt(ratio[good]), np.abs(advance_px[good]))
        if line is None:
            return square_on
        k0, k1, error0, error1 = line
        fitted = ColumnMap(square_on.middle_px, square_on.width_px, k0, float(np.clip(k1, -MAX_SLOPE * k0, MAX_SLOPE * k0)))
    if abs(k1) < max(MIN_SLOPE, 4 * error1) and abs(k0 - 1) < max(MIN_SCALE, 4 * error0):
        return square_on
    return fitted


def straightened(sightings: Sightings, table: LookTable, columns: ColumnMap) -> tuple[Sightings, LookTable]:
    """Boxes and view with ``F`` of the columns in place of the columns."""
    if columns.k0 == 1 and columns.k1 == 0:
        return sightings, table
    first, last = columns(np.array(table.view_px))
    moved = replace(sightings, x0_px=columns(sightings.x0_px), x1_px=columns(sightings.x1_px))
    return moved.in_frame(table.displacement_px), replace(table, view_px=(float(first), float(last)))


def _look_pairs(table: LookTable, typical_px: float) -> list[tuple[int, int]]:
    """For each look the next one at which the train has advanced by a usable step."""
    pairs = []
    d = table.displacement_px
    for i in range(len(table) - 1):
        for j in range(i + 1, min(i + 8, len(table))):
            step = abs(d[j] - d[i])
            if step > MAX_STEP_SHARE * typical_px:
                break
            if step >= 0.45 * typical_px or (step >= MIN_STEP_SHARE * typical_px and j == min(i + 8, len(table)) - 1):
                pairs.append((i, j))
                break
    return pairs


def _matched(along_px: FloatArray, start: np.ndarray, i: int, j: int, reach_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of boxes of look i and look j that are each other's nearest along the train."""
    a, b = np.arange(start[i], start[i + 1]), np.arange(start[j], start[j + 1])
    if len(a) == 0 or len(b) == 0:
        return a[:0], b[:0]
    apart = np.abs(along_px[a][:, None] - along_px[b][None, :])
    to_b, to_a = apart.argmin(axis=1), apart.argmin(axis=0)
    mutual = (to_a[to_b] == np.arange(len(a))) & (apart[np.arange(len(a)), to_b] <= reach_px)
    return a[mutual], b[to_b[mutual]]


def _line(x: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, float, float, float] | None:
    """Robust straight line (Tukey's bisquare, reweighted): intercept, slope, and their standard errors."""
    if len(x) < MIN_PAIRS or np.ptp(x) < 0.2:
        return None
    design = np.stack([np.ones_like(x), x], axis=1)
    w = weight / weight.mean()
    robust = w
    for _ in range(12):
        normal = design.T @ (design * robust[:, None])
        if np.linalg.cond(normal) > 1e8:
            return None
        k = np.linalg.solve(normal, design.T @ (robust * y))
        residual = y - design @ k
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-6)
        robust = w * np.clip(1 - (residual / (4.7 * scale)) ** 2, 0, None) ** 2
        if robust.sum() < MIN_PAIRS / 3:
            return None
    # A box takes part in two pairs: the errors are not independent; count half of them.
    variance = scale**2 * np.diag(np.linalg.inv(design.T @ (design * robust[:, None]))) * 2
    return float(k[0]), float(k[1]), float(np.sqrt(variance[0])), float(np.sqrt(variance[1]))
