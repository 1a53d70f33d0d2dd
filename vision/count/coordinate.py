"""Detections as intervals along the train.

A box with columns ``[x0, x1]`` seen at time ``t`` lies at ``[x0 - D(t), x1 - D(t)]`` of the train coordinate, whatever the
camera did (see ``vision.types``). A box cut by the edge of the view keeps one reliable end; it is marked, and its other end
is a bound only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.types import FloatArray, Look, Passage

EDGE_SHARE = 0.008
"""A box that ends within this share of the picture's width from the edge of the view counts as cut there."""

SAME_PLACE_SHARE = 0.02
"""Looks whose displacements lie within this share of the view show one scene, not independent ones."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, repr=False)
class LookTable:
    """The looks that are counted, in order of time.

    Attributes:
        source: (m,) index of each into the looks as given.
        pts_s: (m,) seconds.
        displacement_px, background_px: (m,) the train's and the background's displacement at each look, pixels.
        weight: (m,) in (0, 1]: how much independent evidence a look is, see ``effective_weights``.
        view_px: First and last column in which a vehicle can be seen.
    """

    source: Ints
    pts_s: FloatArray
    displacement_px: FloatArray
    background_px: FloatArray
    weight: FloatArray
    view_px: tuple[float, float]

    def __len__(self) -> int:
        return len(self.source)

    def shifted(self, offset_px: FloatArray) -> LookTable:
        """The same looks with ``offset_px`` (m,) added to the train's displacement: a corrected registration."""
        return replace(self, displacement_px=self.displacement_px + offset_px)


@dataclass(frozen=True, slots=True, repr=False)
class Sightings:
    """Boxes of all looks, placed along the train; all arrays have shape (n,).

    Attributes:
        look: Row in the look table.
        item: Index within the look's detections.
        x0_px, x1_px, y0_px, y1_px: The box on the picture, float64.
        s0_px, s1_px: The box along the train, ``s = x - D``.
        cut_low, cut_high: Whether the end at ``s0_px`` or ``s1_px`` is cut by the edge of the view.
        score: In [0, 1].
        class_id: Index into the detector's class names.
    """

    look: Ints
    item: Ints
    x0_px: FloatArray
    x1_px: FloatArray
    y0_px: FloatArray
    y1_px: FloatArray
    s0_px: FloatArray
    s1_px: FloatArray
    cut_low: Bools
    cut_high: Bools
    score: FloatArray
    class_id: Ints

    def __len__(self) -> int:
        return len(self.look)

    def __getitem__(self, index: Bools | Ints) -> Sightings:
        return Sightings(*(getattr(self, name)[index] for name in self.__slots__))

    @property
    def whole(self) -> Bools:
        """(n,) whether neither end is cut."""
        return np.asarray(~(self.cut_low | self.cut_high))

    @property
    def centre_px(self) -> FloatArray:
        return np.asarray((self.s0_px + self.s1_px) / 2)

    @property
    def width_px(self) -> FloatArray:
        return np.asarray(self.s1_px - self.s0_px)

    def in_frame(self, displacement_px: FloatArray) -> Sightings:
        """The same boxes along another coordinate ``x - displacement_px[look]`` (the background's, say)."""
        shift = displacement_px[self.look]
        return replace(self, s0_px=self.x0_px - shift, s1_px=self.x1_px - shift)

    def with_ends(self, s0_px: FloatArray, s1_px: FloatArray) -> Sightings:
        """The same boxes with other ends along the train."""
        return replace(self, s0_px=s0_px, s1_px=s1_px)


def effective_weights(displacement_px: FloatArray, view_width_px: float) -> FloatArray:
    """How much independent evidence each look is, shape (m,), in (0, 1].

    Two looks at the same displacement show the same vehicle at the same place before the same background: the detector errs alike
    on both, and sixty looks at a standing train are not sixty witnesses. A look with ``m`` looks (itself included) within half of
    ``SAME_PLACE_SHARE`` of the view to either side counts ``(1 + log2 m) / m``, so that ``m`` of them count ``1 + log2 m``
    together.
    """
    reach_px = SAME_PLACE_SHARE * view_width_px / 2
    ordered = np.sort(displacement_px)
    m = np.searchsorted(ordered, displacement_px + reach_px, "right") - np.searchsorted(
        ordered, displacement_px - reach_px, "left"
    )
    m = np.maximum(m, 1)
    return np.asarray((1 + np.log2(m)) / m)


def tabulate_looks(passage: Passage, looks: Sequence[Look], picture_width_px: int) -> tuple[LookTable, Ints, Ints]:
    """The looks of a passage in order of time, without those outside of it and without exact repetitions.

    A duplicated frame (the same boxes at the same displacement right after each other) is no second witness.

    Returns:
        The table, the indices of looks outside the passage, and the indices of repeated looks.
    """
    pts_s = np.array([look.pts_s for look in looks], dtype=np.float64)
    slack_s = float(np.median(np.diff(passage.pts_s))) if len(passage.pts_s) > 1 else 0.0
    first_s, last_s = min(passage.start_s, passage.pts_s[0]), max(passage.end_s, passage.pts_s[-1])
    inside = (pts_s >= first_s - slack_s) & (pts_s <= last_s + slack_s)
    order = np.argsort(pts_s, kind="stable")
    order = order[inside[order]]
    view_px = (max(0.0, passage.view_x_px[0]), min(float(picture_width_px), passage.view_x_px[1]))
    if view_px[1] <= view_px[0]:
        view_px = (0.0, float(picture_width_px))

    displacement_px = passage.displacement_at(pts_s[order])
    kept: list[int] = []
    repeated: list[int] = []
    for row, source in enumerate(order):
        if kept and _repeats(
            looks[source], looks[order[kept[-1]]], displacement_px[row] - displacement_px[kept[-1]], picture_width_px
        ):
            repeated.append(source)
        else:
            kept.append(row)
    source, displacement_px = order[kept], displacement_px[kept]
    table = LookTable(
        source=source,
        pts_s=pts_s[source],
        displacement_px=displacement_px,
        background_px=np.interp(pts_s[source], passage.pts_s, passage.background_px),
        weight=effective_weights(displacement_px, view_px[1] - view_px[0]),
        view_px=view_px,
    )
    return table, np.flatnonzero(~inside), np.array(repeated, dtype=np.int64)


def _repeats(look: Look, before: Look, moved_px: float, picture_width_px: int) -> bool:
    a, b = look.detections, before.detections
    same = len(a) == len(b) and np.array_equal(a.xyxy_px, b.xyxy_px) and np.array_equal(a.class_id, b.class_id)
    return bool(same and abs(moved_px) <= 1e-3 * picture_width_px)


def place_detections(table: LookTable, looks: Sequence[Look], picture_width_px: int) -> Sightings:
    """All boxes of the table's looks along the train."""
    counts = np.array([len(looks[i].detections) for i in table.source], dtype=np.int64)
    row = np.repeat(np.arange(len(table)), counts)
    item = np.concatenate([np.arange(c) for c in counts]) if len(counts) else np.zeros(0, np.int64)
    taken = [looks[i].detections for i in table.source]
    xyxy = np.concatenate([d.xyxy_px for d in taken]).astype(np.float64) if taken else np.zeros((0, 4))
    margin_px = EDGE_SHARE * picture_width_px
    shift = table.displacement_px[row]
    return Sightings(
        look=row,
        item=item.astype(np.int64),
        x0_px=xyxy[:, 0],
        x1_px=xyxy[:, 2],
        y0_px=xyxy[:, 1],
        y1_px=xyxy[:, 3],
        s0_px=xyxy[:, 0] - shift,
        s1_px=xyxy[:, 2] - shift,
        cut_low=xyxy[:, 0] <= table.view_px[0] + margin_px,
        cut_high=xyxy[:, 2] >= table.view_px[1] - margin_px,
        score=np.concatenate([d.score for d in taken]).astype(np.float64) if taken else np.zeros(0),
        class_id=np.concatenate([d.class_id for d in taken]).astype(np.int64) if taken else np.zeros(0, np.int64),
    )
