"""How a count came about, for a person who wants to see it; counting itself does not need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.count.classes import PooledClass
from vision.count.cluster import Clusters
from vision.count.columns import ColumnMap
from vision.count.coordinate import LookTable, Sightings
from vision.count.existence import Existence, count_opportunities
from vision.types import Look


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of the train where a vehicle may stand.

    Attributes:
        s0_px, s1_px: Its ends in the train coordinate, pixels.
        probability: That a vehicle stands there, in [0, 1].
        class_name, parent: What it would be.
        looks: In how many looks it was detected.
        opportunities: In how many looks it was in view.
        vehicle: ``Vehicle.index`` where it was counted, else -1.
    """

    s0_px: float
    s1_px: float
    probability: float
    class_name: str
    parent: str
    looks: int
    opportunities: int
    vehicle: int

    @property
    def centre_px(self) -> float:
        return (self.s0_px + self.s1_px) / 2


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """Places and detections along the train.

    Attributes:
        places: All places in order of ``s``, counted or not.
        place_of: For each look as given an (n,) int32 array: index into ``places`` of each detection, or -1.
        s_px: For each look as given an (n, 2) float64 array: ends of each detection along the train, as counted; NaN in looks
            that were left out.
        offset_px: For each look as given, (m,) float64: what was added to the train's displacement; 0 for looks left out.
        columns: From columns of the picture to lengths along the train.
        head_px: The ``s`` that positions are measured from.
        sign: +1 where positions grow along ``s``, else -1.
    """

    places: tuple[Place, ...]
    place_of: tuple[NDArray[np.int32], ...]
    s_px: tuple[NDArray[np.float64], ...]
    offset_px: NDArray[np.float64]
    columns: ColumnMap
    head_px: float
    sign: int


def trace_count(
    looks: Sequence[Look],
    before: LookTable,
    table: LookTable,
    sightings: Sightings,
    places: Clusters,
    existence: Existence,
    classes: Sequence[PooledClass],
    *,
    vehicle_of: NDArray[np.int64],
    columns: ColumnMap,
    head: tuple[float, int],
) -> Trace:
    """Put together what the parts of the counter found.

    Args:
        looks: As given.
        before: The looks that were counted, as measured.
        table: The same with their common offsets taken out.
        sightings: What was clustered.
        places: The clusters.
        existence: Of each place.
        classes: Of each place.
        vehicle_of: (j,) index of the vehicle that each place is, or -1.
        columns: From columns to lengths.
        head: Train coordinate of position 0, and the sign of positions along ``s``.
    """
    chances = count_opportunities(sightings, places, table, weighted=False)
    found = []
    for j in range(len(places)):
        hits = round(float(chances.hits[j] + chances.part_hits[j]))
        seen = max(hits, round(float(chances.looks[j] + chances.part_looks[j])))
        span = float(places.s0_px[j]), float(places.s1_px[j])
        c = classes[j]
        found.append(Place(*span, float(existence.probability[j]), c.name, c.parent, hits, seen, int(vehicle_of[j])))

    place_of = [np.full(len(look.detections), -1, np.int32) for look in looks]
    for source, item, place in zip(table.source[sightings.look], sightings.item, places.of, strict=True):
        place_of[source][item] = place
    s_px = [np.full((len(look.detections), 2), np.nan) for look in looks]
    offset_px = np.zeros(len(looks))
    for source, was_px, is_px in zip(table.source, before.displacement_px, table.displacement_px, strict=True):
        ends_px = looks[source].detections.xyxy_px[:, [0, 2]].astype(np.float64)
        s_px[source] = columns(ends_px) - is_px if (columns.k0, columns.k1) != (1, 0) else ends_px - is_px
        offset_px[source] = is_px - was_px
    return Trace(tuple(found), tuple(place_of), tuple(s_px), offset_px, columns, *head)
