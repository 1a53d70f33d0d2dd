"""Detections that are not on the train: beside its rows, or moving with something else.

A vehicle on the train keeps its place in ``x - D(t)``. One parked before the tracks keeps its place in ``x - B(t)``, the
background's coordinate, and a caption or a mark on the lens in ``x`` itself; along the train each of those smears into a
row of weak places.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vision.count.cluster import Clusters, cluster_places, group_median, typical_width_px
from vision.count.coordinate import Bools, Ints, LookTable, Sightings
from vision.count.existence import count_opportunities
from vision.types import FloatArray

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
