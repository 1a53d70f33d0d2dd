"""One passage and its looks in, one counted train out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.config import CountConfig
from vision.count.classes import ClassNames, PooledClass, pool_classes
from vision.count.cluster import Clusters, cluster_places, overlap_px, typical_width_px
from vision.count.columns import ColumnMap, fit_columns, straightened
from vision.count.coordinate import Bools, LookTable, Sightings, place_detections, tabulate_looks
from vision.count.drift import drift_over_a_view, slow_drift
from vision.count.existence import Existence, count_opportunities, fit_existence
from vision.count.intervals import interval_around, poisson_binomial, with_unseen
from vision.count.layers import beyond_ends_px, moves_with, outside_band, stands_off_the_ends
from vision.count.registration import common_offsets
from vision.count.trace import Trace, trace_count
from vision.motion.passages import TRAINS_ABREAST
from vision.taxonomy import Taxonomy
from vision.types import Dropped, FloatArray, Interval, Look, Passage, Train, Vehicle

FLAG_AMBIGUOUS_REGISTRATION = "ambiguous_registration"
"""Given by the passage, or the boxes drifted by more than a vehicle against it: the train may have slipped by a pitch. The
intervals are widened."""
FLAG_FEW_LOOKS = "few_looks"
"""Half of the vehicles were in view in fewer than ``FEW_LOOKS`` looks."""
FLAG_HEAD_NOT_SEEN = "head_not_seen"
FLAG_TAIL_NOT_SEEN = "tail_not_seen"
"""The train goes on beyond what was seen; counts and bounds speak of what was seen."""
FLAG_OVERLAPPING_VEHICLES = "overlapping_vehicles"
"""Two counted vehicles share more than ``OVERLAP_SHARE`` of the narrower one's width."""
FLAG_FOREIGN_CLASSES = "foreign_classes"
"""A counted vehicle has a class that the taxonomy does not know; it is not in the total."""
FLAG_NO_LOOKS = "no_looks"
"""The detector never looked at this passage: 0 means unknown."""

DROP_OUTSIDE_PASSAGE = "outside_passage"
DROP_REPEATED_LOOK = "repeated_look"
DROP_OUTSIDE_BAND = "outside_band"
DROP_OUTSIDE_VIEW = "outside_view"
DROP_FILLS_VIEW = "fills_the_view"
DROP_IMPLAUSIBLE_SIZE = "implausible_size"
DROP_MOVES_WITH_BACKGROUND = "moves_with_background"
DROP_STATIC_IN_PICTURE = "static_in_picture"
DROP_CUT_BOX = "cut_box_without_vehicle"
DROP_UNSUPPORTED = "too_few_looks_agree"
DROP_OTHER_TRAIN = "on_another_train"
REASONS = (
    "",
    DROP_OUTSIDE_PASSAGE,
    DROP_REPEATED_LOOK,
    DROP_OUTSIDE_BAND,
    DROP_OUTSIDE_VIEW,
    DROP_FILLS_VIEW,
    DROP_IMPLAUSIBLE_SIZE,
    DROP_MOVES_WITH_BACKGROUND,
    DROP_STATIC_IN_PICTURE,
    DROP_CUT_BOX,
    DROP_UNSUPPORTED,
    DROP_OTHER_TRAIN,
)
"""Why a detection was dropped, by its code in ``CountResult.why``; code 0 is a detection that was used."""

FEW_LOOKS = 3
OVERLAP_SHARE = 0.2
FILLED_SHARE = 0.9
"""A wider box, as a share of the view, fills it."""

PLAUSIBLE_M = (1.2, 25.0)
"""Shortest and longest box of a vehicle (or of two taken for one), metres; checked where the scale is known."""


@dataclass(frozen=True, slots=True, repr=False)
class CountResult:
    """A counted train, and what became of each detection.

    Attributes:
        train: The result.
        dropped: Detections that were left out, one entry for each reason.
        cluster_of: For each look as given an (n,) int32 array: ``Vehicle.index`` of each detection, or -1.
        why: For each look as given an (n,) int8 array: index into ``REASONS``; 0 where ``cluster_of`` is not -1.
        trace: How it came about.
    """

    train: Train
    dropped: tuple[Dropped, ...]
    cluster_of: tuple[NDArray[np.int32], ...]
    why: tuple[NDArray[np.int8], ...]
    trace: Trace


@dataclass(slots=True)
class _Fate:
    """Collects what becomes of each detection."""

    looks: Sequence[Look]
    cluster_of: list[NDArray[np.int32]]
    why: list[NDArray[np.int8]]

    @classmethod
    def of(cls, looks: Sequence[Look]) -> _Fate:
        sizes = [len(look.detections) for look in looks]
        return cls(looks, [np.full(n, -1, np.int32) for n in sizes], [np.zeros(n, np.int8) for n in sizes])

    def drop_looks(self, sources: NDArray[np.int64], reason: str) -> None:
        for source in sources:
            self.why[source][:] = REASONS.index(reason)

    def drop(self, s: Sightings, table: LookTable, mask: Bools, reason: str) -> Sightings:
        """Name the reason for the masked sightings and return the others."""
        for source, item in zip(table.source[s.look[mask]], s.item[mask], strict=True):
            self.why[source][item] = REASONS.index(reason)
        return s[~mask]

    def count(self, reason: str) -> int:
        """Sightings that were left out for a reason so far."""
        return sum(int(np.count_nonzero(why == REASONS.index(reason))) for why in self.why)

    def assign(self, s: Sightings, table: LookTable, vehicle: NDArray[np.int64]) -> None:
        for source, item, index in zip(table.source[s.look], s.item, vehicle, strict=True):
            self.cluster_of[source][item] = index

    def dropped(self) -> tuple[Dropped, ...]:
        out = []
        for code, reason in enumerate(REASONS[1:], start=1):
            counts = [int(np.count_nonzero(why == code)) for why in self.why]
            times = [look.pts_s for look, n in zip(self.looks, counts, strict=True) if n]
            if times:
                out.append(Dropped("detection", reason, sum(counts), float(min(times))))
        return tuple(out)


def count_train(
    passage: Passage,
    looks: Sequence[Look],
    *,
    class_names: tuple[str, ...],
    picture_wh_px: tuple[int, int],
    taxonomy: Taxonomy,
    config: CountConfig,
    px_per_m: float | None = None,
    elsewhere: Sequence[NDArray[np.bool_]] | None = None,
) -> CountResult:
    """Count the vehicles of one passage.

    Args:
        passage: The train coordinate over time.
        looks: Detector runs, in any order; those outside the passage are left out.
        class_names: The detector's classes, by ``class_id``. Names that the taxonomy does not know are counted as they
            are, outside the total.
        picture_wh_px: Width and height of the upright picture, pixels.
        taxonomy: The class tree.
        config: Thresholds.
        px_per_m: Scale at the train, full-frame pixels per metre, or None where it is not known.
        elsewhere: For each look an (n,) mask of the detections that belong to another train.

    Returns:
        The train with its vehicles from the head on, and the fate of each detection.
    """
    fate = _Fate.of(looks)
    table, outside, repeated = tabulate_looks(passage, looks, picture_wh_px[0])
    fate.drop_looks(outside, DROP_OUTSIDE_PASSAGE)
    fate.drop_looks(repeated, DROP_REPEATED_LOOK)
    sightings = place_detections(table, looks, picture_wh_px[0])
    if elsewhere is not None:
        other = [elsewhere[source][item] for source, item in zip(table.source[sightings.look], sightings.item, strict=True)]
        sightings = fate.drop(sightings, table, np.array(other, bool), DROP_OTHER_TRAIN)
    around = [looks[i] for i in outside]
    sightings, measured, columns = _on_the_train(sightings, table, passage, around, fate, px_per_m)
    sightings, table, places, mended_px = _registered(sightings, measured)
    ambiguous = FLAG_AMBIGUOUS_REGISTRATION in passage.flags or mended_px > typical_width_px(sightings)
    doubts = int(ambiguous) + int(TRAINS_ABREAST in passage.flags)

    sightings = fate.drop(sightings, table, loose := places.of < 0, DROP_CUT_BOX)
    places = Clusters(places.s0_px, places.s1_px, places.of[~loose], places.core[~loose])
    off_ends_px = beyond_ends_px(places.centre_px, passage, table.view_px)
    existence = fit_existence(sightings, places, table, off_ends_px, known_false=fate.count(DROP_IMPLAUSIBLE_SIZE))
    names = ClassNames.of(class_names, taxonomy)
    classes = pool_classes(sightings, places, table, names, config.leaf_share)

    counted = np.flatnonzero(existence.probability >= config.min_existence)
    if passage.direction == "right":
        counted = counted[::-1]
    index_of = np.full(len(places), -1, np.int64)
    index_of[counted] = np.arange(len(counted))
    vehicles = _vehicles(counted, sightings, places, existence, classes, table, passage, looks)
    real = existence.probability >= config.min_existence
    head = _head_px(passage, table, Clusters(places.s0_px[real], places.s1_px[real], places.of, places.core))
    trace = trace_count(
        looks, measured, table, sightings, places, existence, classes, vehicle_of=index_of, columns=columns, head=head
    )
    fate.assign(sightings, table, index_of[places.of])
    fate.drop(sightings, table, index_of[places.of] < 0, DROP_UNSUPPORTED)

    twice = _overlapping(counted, places)
    counts, total = _counts(counted, existence, classes, names, config, doubts=doubts, twice=twice)
    train = Train(
        passage=passage,
        vehicles=vehicles,
        counts=counts,
        total=total,
        speed_m_s=None if px_per_m is None else passage.speed_px_s / px_per_m,
        flags=_flags(passage, table, vehicles, counted, places, names, ambiguous=ambiguous),
    )
    return CountResult(train, fate.dropped(), tuple(fate.cluster_of), tuple(fate.why), trace)


def _on_the_train(
    s: Sightings, table: LookTable, passage: Passage, around: Sequence[Look], fate: _Fate, px_per_m: float | None
) -> tuple[Sightings, LookTable, ColumnMap]:
    """The sightings without those that are beside the train or move with something else, straightened, and how."""
    middle = (s.x0_px + s.x1_px) / 2
    beside = (middle < table.view_px[0]) | (middle > table.view_px[1]) | (s.width_px <= 0) | ~np.isfinite(s.width_px)
    s = fate.drop(s, table, beside, DROP_OUTSIDE_VIEW)
    # While the train passes, a box from edge to edge has no end on it: a wagon close by, no vehicle to be told from the next
    # one. In a picture that stands still it is what it seems.
    view_px = table.view_px[1] - table.view_px[0]
    if len(table) and np.ptp(table.displacement_px) > view_px / 2:
        s = fate.drop(s, table, (s.cut_low & s.cut_high) | (s.width_px > FILLED_SHARE * view_px), DROP_FILLS_VIEW)
    apart = (s.y1_px < passage.band_y_px[0]) | (s.y0_px > passage.band_y_px[1])
    s = fate.drop(s, table, apart, DROP_OUTSIDE_BAND)
    # Before boxes at the band's rim are asked: a parked car would lose most of its boxes there, and with them its steadiness.
    s = fate.drop(s, table, moves_with(s, table, table.background_px), DROP_MOVES_WITH_BACKGROUND)
    s = fate.drop(s, table, stands_off_the_ends(s, table, passage, around), DROP_MOVES_WITH_BACKGROUND)
    s = fate.drop(s, table, outside_band(s, passage.band_y_px), DROP_OUTSIDE_BAND)
    if px_per_m is not None:
        shortest_px, longest_px = PLAUSIBLE_M[0] * px_per_m, PLAUSIBLE_M[1] * px_per_m
        implausible = (s.whole & (s.width_px < shortest_px)) | (s.width_px > longest_px)
        s = fate.drop(s, table, implausible, DROP_IMPLAUSIBLE_SIZE)
    columns = fit_columns(s, table)
    s, table = straightened(s, table, columns)
    s = fate.drop(s, table, moves_with(s, table, table.background_px), DROP_MOVES_WITH_BACKGROUND)
    if len(table) and np.ptp(table.background_px) > 0:  # else the background is what stays in the picture
        s = fate.drop(s, table, moves_with(s, table, np.zeros(len(table))), DROP_STATIC_IN_PICTURE)
    return s, table, columns


def _registered(s: Sightings, table: LookTable) -> tuple[Sightings, LookTable, Clusters, float]:
    """Places, after a slow drift and the looks' common offsets were taken out once; and how far that drift went over a view."""
    drift_px = slow_drift(s, table)
    mended_px = drift_over_a_view(drift_px, table) if drift_px.any() else 0.0
    table = table.shifted(drift_px)
    s = s.in_frame(table.displacement_px)
    places = cluster_places(s, table)
    offset_px = common_offsets(s, places, len(table))
    table = table.shifted(offset_px)
    s = s.in_frame(table.displacement_px)
    return s, table, cluster_places(s, table), mended_px


def _head_px(passage: Passage, table: LookTable, places: Clusters) -> tuple[float, int]:
    """The train coordinate that positions are measured from, and the sign of positions along ``s``.

    A train that moves right comes in at the left edge with its head, the largest ``s``: ``s_head = view_left - D(start)``; but a
    camera that overtakes it sees the head last: ``s_head = view_left - D(end)``.
    Where the head was not seen, the place first visible stands in for it. Places beyond it (the start is known to a frame
    only) move it out.
    """
    start_px = float(passage.displacement_at(passage.start_s if passage.head_first else passage.end_s))
    first, last = table.view_px
    if passage.direction == "right":
        head = (first if passage.head_seen else last) - start_px
        return max(head, float(places.s1_px.max(initial=head))), -1
    if passage.direction == "left":
        head = (last if passage.head_seen else first) - start_px
    else:
        head = first - float(np.max(passage.displacement_px))
    return min(head, float(places.s0_px.min(initial=head))), 1


def _vehicles(
    counted: NDArray[np.int64],
    s: Sightings,
    places: Clusters,
    existence: Existence,
    classes: list[PooledClass],
    table: LookTable,
    passage: Passage,
    looks: Sequence[Look],
) -> tuple[Vehicle, ...]:
    """The counted places as vehicles, in the order given."""
    if len(counted) == 0:
        return ()
    chances = count_opportunities(s, places, table, weighted=False)
    real = np.zeros(len(places), bool)
    real[counted] = True
    head_px, sign = _head_px(passage, table, Clusters(places.s0_px[real], places.s1_px[real], places.of, places.core))
    best = _best_sightings(s, places, table)
    out = []
    for index, j in enumerate(counted):
        b = best[j]
        look = looks[table.source[s.look[b]]]
        box = look.detections.xyxy_px[s.item[b]]
        hits = round(float(chances.hits[j] + chances.part_hits[j]))
        out.append(
            Vehicle(
                index=index,
                class_name=classes[j].name,
                parent=classes[j].parent,
                score=float(existence.probability[j]),
                position_px=float(sign * (places.centre_px[j] - head_px)),
                width_px=float(places.width_px[j]),
                looks=hits,
                opportunities=max(hits, round(float(chances.looks[j] + chances.part_looks[j]))),
                pts=look.pts,
                pts_s=float(look.pts_s),
                xyxy_px=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            )
        )
    return tuple(out)


def _best_sightings(s: Sightings, places: Clusters, table: LookTable) -> NDArray[np.int64]:
    """For each place the sighting that shows it best: its own box, whole, sure, near the middle of the view."""
    first, last = table.view_px
    off_middle = np.abs((s.x0_px + s.x1_px) / 2 - (first + last) / 2) / max((last - first) / 2, 1e-9)
    value = 2.0 * places.core + 1.0 * s.whole + s.score * (1 - 0.4 * np.clip(off_middle, 0, 1))
    order = np.lexsort((-value, places.of))
    start = np.searchsorted(places.of[order], np.arange(len(places)))
    return np.asarray(order[start], dtype=np.int64)


def _counts(
    counted: NDArray[np.int64],
    existence: Existence,
    classes: list[PooledClass],
    names: ClassNames,
    config: CountConfig,
    *,
    doubts: int,
    twice: NDArray[np.int64],
) -> tuple[dict[str, Interval], Interval]:
    """Intervals of each reported class and of all military vehicles.

    A place adds ``P(it exists) * P(its class is c)`` to class ``c``. At a given rate of false boxes the number is then
    Poisson-binomial; the rates are mixed by their probability, and the expected vehicles that no look saw, shared out like the
    seen ones, are added. Each pair of places that overlap (``twice``) may be one vehicle: the lower bound goes down by one. Each
    of the ``doubts`` of the whole passage widens the bounds.
    """
    military_of = dict(zip(names.names, names.military, strict=True))

    def interval(count: int, chance: list[float], unseen: float, doubles: int) -> Interval:
        pmf = with_unseen(_mixed(existence, chance), unseen)
        # A slip of the registration by one pitch adds or hides a vehicle; so does another train that is in the way.
        widen = doubts * max(1, round(0.05 * count)) if count or unseen else 0
        bounds = interval_around(pmf, count, config.interval, widen=widen)
        return replace(bounds, low=max(bounds.low - doubles, 0))

    tally: dict[str, int] = {}
    for j in counted:
        tally[classes[j].name] = tally.get(classes[j].name, 0) + 1
    share = existence.unseen / max(len(counted), 1)
    counts = {}
    for name in sorted(tally):
        # A parent's row holds what no leaf was found for: a vehicle named by its leaf stands in that one's row.
        chance = [0.0 if c.parent == name != c.name else c.belief.get(name, 0.0) for c in classes]
        doubles = sum(name in {classes[a].name, classes[b].name} for a, b in twice)
        counts[name] = interval(tally[name], chance, share * tally[name], doubles)

    military = [
        min(sum(b for n, b in c.belief.items() if military_of.get(n, False)) / _leaf_mass(c, military_of), 1.0) for c in classes
    ]
    count = sum(1 for j in counted if classes[j].military)
    doubles = sum(classes[a].military or classes[b].military for a, b in twice)
    return counts, interval(count, military, share * count, doubles)


def _mixed(existence: Existence, chance: list[float]) -> FloatArray:
    """Distribution of how many places hold a vehicle and pass their ``chance``, mixed over the rates of false boxes."""
    likely = existence.share > 1e-4
    share = existence.share[likely] / existence.share[likely].sum()
    each = existence.given[:, likely] * np.array(chance)[:, None]
    each = each[existence.probability * np.array(chance) > 1e-5]
    return np.asarray(sum(part * poisson_binomial(each[:, f]) for f, part in enumerate(share)))


def _leaf_mass(pooled: PooledClass, military_of: dict[str, bool]) -> float:
    """Belief on leaves: what no look named is shared out, since the total does not ask for the class."""
    return max(sum(b for n, b in pooled.belief.items() if n in military_of), 1e-9)


def _flags(
    passage: Passage,
    table: LookTable,
    vehicles: tuple[Vehicle, ...],
    counted: NDArray[np.int64],
    places: Clusters,
    names: ClassNames,
    *,
    ambiguous: bool,
) -> tuple[str, ...]:
    """The passage's flags, then the counter's."""
    flags = [*passage.flags, *([FLAG_AMBIGUOUS_REGISTRATION] if ambiguous else [])]
    if not passage.head_seen:
        flags.append(FLAG_HEAD_NOT_SEEN)
    if not passage.tail_seen:
        flags.append(FLAG_TAIL_NOT_SEEN)
    if len(table) == 0:
        flags.append(FLAG_NO_LOOKS)
    if vehicles and np.median([v.opportunities for v in vehicles]) < FEW_LOOKS:
        flags.append(FLAG_FEW_LOOKS)
    if any(v.class_name in names.foreign for v in vehicles):
        flags.append(FLAG_FOREIGN_CLASSES)
    if len(_overlapping(counted, places)):
        flags.append(FLAG_OVERLAPPING_VEHICLES)
    return tuple(dict.fromkeys(flags))


def _overlapping(counted: NDArray[np.int64], places: Clusters) -> NDArray[np.int64]:
    """(k, 2) pairs of neighbouring counted places that share more than two vehicles can."""
    along = np.sort(counted)
    a, b = along[:-1], along[1:]
    shared = overlap_px(places.s0_px[a], places.s1_px[a], places.s0_px[b], places.s1_px[b])
    width = np.minimum(places.width_px[a], places.width_px[b])
    return np.stack([a, b], axis=1)[shared > OVERLAP_SHARE * width]
