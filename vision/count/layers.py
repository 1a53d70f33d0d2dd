"""Detections that are not on the train: beside its rows, or moving with something else.

A vehicle on the train keeps its place in ``x - D(t)``. One parked before the tracks keeps its place in ``x - B(t)``, the
background's coordinate, and a caption or a mark on the lens in ``x`` itself; along the train each of those smears into a
row of weak places. What stands there before the train comes, or is left when it has gone, lies off the train's ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vision.count.cluster import Clusters, cluster_places, group_median, typical_width_px
from vision.count.coordinate import Bools, Ints, LookTable, Sightings
from vision.count.existence import count_opportunities
from vision.geometry import Boxes, iou_matrix
from vision.types import FloatArray, Look, Passage

BAND_SHARE = 0.3
"""A box must have this share of its height, or its middle, in the rows of the train."""

MIN_LOOKS = 5
MIN_RATE = 0.5
"""A thing beside the train is seen in at least ``MIN_LOOKS`` looks and ``MIN_RATE`` of those while it is in view."""

TIGHT_SHARE = 0.1
"""... and its centre spreads by less than this share of the typical width; a cut out of a smear spreads by far more."""


def outside_band(sightings: Sightings, band_y_px: tuple[float, float]) -> Bools:
    """(n,) whether a box lies beside the rows that move with the train. Lenient: guns and antennae stand out of them."""
    low, high = band_y_px
    if high <= low:
        return np.zeros(len(sightings), bool)
    middle = (sightings.y0_px + sightings.y1_px) / 2
    height = np.maximum(sightings.y1_px - sightings.y0_px, 1e-9)
    shared = np.clip(np.minimum(sightings.y1_px, high) - np.maximum(sightings.y0_px, low), 0, None)
    return np.asarray(((middle < low) | (middle > high)) & (shared < BAND_SHARE * height))


def moves_with(sightings: Sightings, table: LookTable, other_px: FloatArray) -> Bools:
    """(n,) whether a box belongs to a thing that is fixed to another layer with displacement ``other_px`` (m,).

    A place in the other layer must be tight and seen in most looks, and most of its boxes must be weak places along the
    train. The last condition keeps look-alikes that step by exactly one pitch between looks: they keep one column of the
    picture as well.
    """
    none = np.zeros(len(sightings), bool)
    typical_px = typical_width_px(sightings)
    if len(sightings) < MIN_LOOKS or np.ptp(table.displacement_px - other_px) < 2 * typical_px:
        return none
    on_train = cluster_places(sightings, table)
    train_rate, train_seen = _rates(sightings, on_train, table)
    off_px, scatter_px, _ = _scatter(sightings, on_train)
    strong = (train_rate >= MIN_RATE) & (scatter_px <= 1.5 * TIGHT_SHARE * typical_px)
    strong &= off_px <= 3 * np.maximum(scatter_px, 0.03 * typical_px)

    there = sightings.in_frame(other_px)
    table_there = replace(table, displacement_px=other_px)
    places = cluster_places(there, table_there)
    rate, seen = _rates(there, places, table_there)
    off_px, scatter_px, label = _scatter(there, places)
    mostly_weak = (np.bincount(label, weights=~strong) > 0.5 * np.bincount(label))[label]
    tight = (scatter_px <= TIGHT_SHARE * typical_px) & (off_px <= 3 * np.maximum(scatter_px, 0.02 * typical_px))
    fixed = (places.of >= 0) & (seen >= MIN_LOOKS) & (rate >= MIN_RATE) & tight & mostly_weak
    gone = fixed & ~strong & ((rate > 1.5 * train_rate) | (seen > 2 * train_seen))
    # Its boxes cut by the edge of the view go with it; where they begin says nothing.
    thing = np.bincount(label, weights=gone & sightings.whole) > 0.5 * np.bincount(label, weights=sightings.whole)
    return np.asarray(gone | (thing[label] & (places.of >= 0) & ~sightings.whole & ~strong))


OFF_END_SHARE = 0.5
"""Where head and tail are is known to a frame only: what lies beyond them begins so much of the typical width from them."""

SAME_THING_IOU = 0.5
FIRM_LOOKS = 4
LOOKS_AROUND = 8
"""So many looks before the train and after it are asked for what stands there without it."""


def stands_off_the_ends(sightings: Sightings, table: LookTable, passage: Passage, outside: Sequence[Look]) -> Bools:
    """(n,) whether a box lies ahead of the head or behind the tail and a thing of the background was seen at its place.

    A detector that errs on a roof does so on every frame that shows it: on those before the train as well, and on the first ones
    of it. The latter alone would be a vehicle near the far edge, seen in each of the few looks that it had left.

    Args:
        sightings: Boxes as they are on the picture, not straightened.
        table: Their looks.
        passage: For its ends; where an end was not seen, nothing lies beyond it.
        outside: Looks before and after the passage.
    """
    none = np.zeros(len(sightings), bool)
    typical_px = typical_width_px(sightings)
    if len(sightings) == 0 or np.ptp(table.displacement_px - table.background_px) < 2 * typical_px:
        return none
    off = beyond_ends_px(sightings.centre_px, passage, table.view_px) > OFF_END_SHARE * typical_px
    if not off.any():
        return none
    _, seen = _rates(sightings, cluster_places(sightings, table), table)
    asked = np.flatnonzero(off & (seen < FIRM_LOOKS))

    shift_px = table.background_px[sightings.look[asked]]
    x0_px, x1_px = sightings.x0_px[asked] - shift_px, sightings.x1_px[asked] - shift_px
    here = np.stack([x0_px, sightings.y0_px[asked], x1_px, sightings.y1_px[asked]], axis=1).astype(np.float32)
    # Looks in quick succession show anything at nearly one place; elsewhere along the train it is no vehicle of it.
    along_px = sightings.centre_px[asked]
    apart = np.abs(along_px[:, None] - along_px[None, :]) > OFF_END_SHARE * typical_px
    beside = (iou_matrix(here, here) >= SAME_THING_IOU) & apart
    without = iou_matrix(here, _without_the_train(passage, outside)) >= SAME_THING_IOU
    none[asked] = beside.any(axis=1) | without.any(axis=1)
    return none


def beyond_ends_px(s_px: FloatArray, passage: Passage, view_px: tuple[float, float]) -> FloatArray:
    """How far each ``s`` lies ahead of the head or behind the tail, pixels, 0 between them; same shape.

    An end that was not seen bounds nothing.
    """
    low_px, high_px = passage.bounds_px(view_px)
    return np.asarray(np.maximum(np.maximum(s_px - high_px, low_px - s_px), 0.0))


def _without_the_train(passage: Passage, outside: Sequence[Look]) -> Boxes:
    """(m, 4) boxes of the looks next to a passage, in the background's coordinate as it was at the passage's near end."""
    before = sorted((look for look in outside if look.pts_s < passage.start_s), key=lambda look: look.pts_s)[-LOOKS_AROUND:]
    after = sorted((look for look in outside if look.pts_s > passage.end_s), key=lambda look: look.pts_s)[:LOOKS_AROUND]
    parts = [np.zeros((0, 4), np.float32)]
    for looks, background_px in ((before, passage.background_px[0]), (after, passage.background_px[-1])):
        shift = np.array([background_px, 0, background_px, 0], np.float32)
        parts.extend(look.detections.xyxy_px - shift for look in looks)
    return np.concatenate(parts)


def _scatter(s: Sightings, places: Clusters) -> tuple[FloatArray, FloatArray, Ints]:
    """For each sighting its distance from the middle of its place, that place's robust scatter (pixels), and its label."""
    label = np.where(places.of >= 0, places.of, len(places))
    off_px = np.abs(s.centre_px - group_median(s.centre_px, label, len(places) + 1)[label])
    return off_px, 1.4826 * group_median(off_px, label, len(places) + 1)[label], label


def _rates(s: Sightings, clusters: Clusters, table: LookTable) -> tuple[FloatArray, FloatArray]:
    """For each sighting the hit rate of its place, and in how many looks that was seen; 0 without a place."""
    chances = count_opportunities(s, clusters, table, weighted=False)
    seen = np.concatenate([chances.hits + chances.part_hits, [0.0]])
    of = np.concatenate([chances.looks + chances.part_hits, [1.0]])
    return (seen / np.maximum(of, 1.0))[clusters.of], seen[clusters.of]
