"""One-dimensional clustering of sightings into places where a vehicle may stand.

    whole boxes -> mean shift on their centres -> merge what overlaps -> absorb part boxes and boxes over two
    -> cut boxes

Mean shift with a flat kernel (Cheng 1995, "Mean shift, mode seeking, and clustering") is exact on sorted data with prefix
sums and does not depend on a grid: moving, scaling or mirroring the picture moves, scales or mirrors the clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.count.coordinate import Bools, Ints, LookTable, Sightings
from vision.types import FloatArray

KERNEL_SHARE = 0.25
"""Radius of the mean shift in typical widths: several times the jitter, well under the half pitch of look-alikes end to end."""

SAME_IOU = 0.55
"""Clusters whose intervals overlap by this IoU are one place."""

ABSORB_SHARE = 0.5
"""A weaker cluster that shares this part of its own or the stronger one's width is no vehicle of its own."""

SLIVER_SHARE = 0.35
"""A cut box narrower than this share of the typical width makes no place of its own."""


@dataclass(frozen=True, slots=True, repr=False)
class Clusters:
    """Places along the train, in order of ``s``; (j,) each.

    Attributes:
        s0_px, s1_px: Ends of the place.
        of: (n,) for each sighting the place it belongs to, or -1.
        core: (n,) whether the sighting shows that place's vehicle by itself: not a part box, a box over two, or a sliver.
    """

    s0_px: FloatArray
    s1_px: FloatArray
    of: Ints
    core: Bools

    def __len__(self) -> int:
        return len(self.s0_px)

    @property
    def centre_px(self) -> FloatArray:
        return np.asarray((self.s0_px + self.s1_px) / 2)

    @property
    def width_px(self) -> FloatArray:
        return np.asarray(self.s1_px - self.s0_px)


def typical_width_px(sightings: Sightings) -> float:
    """Lower-middle width of the whole boxes (of all, where none is whole), pixels; 1 where there is no box."""
    widths = sightings.width_px[sightings.whole] if sightings.whole.any() else sightings.width_px
    return max(float(np.quantile(widths, 0.4)), 1e-6) if len(widths) else 1.0


def shift_to_modes(x: FloatArray, weight: FloatArray, radius: float) -> Ints:
    """Labels 0, 1, ... in order of ``x`` by mean shift with a flat kernel of ``radius``; shape (n,)."""
    if len(x) == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(x, kind="stable")
    origin = float(x[order[len(x) // 2]])
    ordered = x[order] - origin
    mass = np.concatenate([[0.0], np.cumsum(weight[order])])
    moment = np.concatenate([[0.0], np.cumsum(weight[order] * ordered)])
    mode = ordered.copy()
    for _ in range(60):
        low = np.searchsorted(ordered, mode - radius, "left")
        high = np.searchsorted(ordered, mode + radius, "right")
        moved = (moment[high] - moment[low]) / (mass[high] - mass[low])
        still = np.max(np.abs(moved - mode)) < 1e-4 * radius
        mode = moved
        if still:
            break
    by_mode = np.argsort(mode, kind="stable")
    label = np.empty(len(x), np.int64)
    label[order[by_mode]] = np.concatenate([[0], np.cumsum(np.diff(mode[by_mode]) > 0.1 * radius)])
    return label


def group_median(value: FloatArray, label: Ints, groups: int) -> FloatArray:
    """Median of each group, shape (groups,); NaN for an empty one."""
    order = np.lexsort((value, label))
    ordered, start = value[order], np.searchsorted(label[order], np.arange(groups + 1))
    count = np.diff(start)
    out = np.full(groups, np.nan)
    filled = count > 0
    first = start[:-1][filled]
    n = count[filled]
    out[filled] = (ordered[first + (n - 1) // 2] + ordered[first + n // 2]) / 2
    return out


def looks_of(label: Ints, look: Ints, groups: int, weight: FloatArray) -> FloatArray:
    """Total weight of the distinct looks in which each group was sighted, shape (groups,)."""
    pairs = np.unique(label * len(weight) + look)
    return np.asarray(np.bincount(pairs // len(weight), weights=weight[pairs % len(weight)], minlength=groups), dtype=np.float64)


def overlap_px(a0: FloatArray, a1: FloatArray, b0: FloatArray | float, b1: FloatArray | float) -> FloatArray:
    """Length shared by intervals, >= 0, broadcast."""
    return np.asarray(np.clip(np.minimum(a1, b1) - np.maximum(a0, b0), 0, None))


def cluster_places(sightings: Sightings, table: LookTable) -> Clusters:
    """Places of one passage from the sightings of all its looks."""
    typical_px = typical_width_px(sightings)
    whole = np.flatnonzero(sightings.whole)
    of = np.full(len(sightings), -1, np.int64)
    core = np.zeros(len(sightings), bool)
    of[whole], core[whole], s0_px, s1_px = _places(sightings[whole], table, typical_px)
    cut = np.flatnonzero(~sightings.whole)
    if len(cut):
        of[cut] = core_of = _cut_boxes(sightings[cut], table, s0_px, s1_px)
        core[cut] = core_of >= 0
        left = cut[(core_of < 0) & (sightings.width_px[cut] >= SLIVER_SHARE * typical_px)]
        if len(left):
            loose = _completed(sightings[left], typical_px)
            label, is_core, more0_px, more1_px = _places(loose, table, typical_px)
            new = _places_beside(more0_px, more1_px, s0_px, s1_px)
            target = np.where(new["into"] >= 0, new["into"], len(s0_px) + np.cumsum(new["into"] < 0) - 1)
            of[left], core[left] = target[label], is_core & (new["into"][label] < 0)
            s0_px = np.concatenate([s0_px, more0_px[new["into"] < 0]])
            s1_px = np.concatenate([s1_px, more1_px[new["into"] < 0]])
    order = np.argsort(s0_px + s1_px, kind="stable")
    rank = np.empty(len(order) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return Clusters(s0_px[order], s1_px[order], rank[of], core)


def _places(s: Sightings, table: LookTable, typical_px: float) -> tuple[Ints, Bools, FloatArray, FloatArray]:
    """Label, core and ends of the places that these sightings make."""
    label = shift_to_modes(s.centre_px, table.weight[s.look], KERNEL_SHARE * typical_px)
    label, s0_px, s1_px = _merged(s, label)
    into = _absorbed(s, label, s0_px, s1_px, table)
    shared = overlap_px(s.s0_px, s.s1_px, s0_px[label], s1_px[label])
    union = np.maximum(s.s1_px, s1_px[label]) - np.minimum(s.s0_px, s0_px[label])
    core = (into[label] == label) & (shared >= SAME_IOU * union)
    kept = np.flatnonzero(into == np.arange(len(into)))
    rank = np.full(len(into), -1, np.int64)
    rank[kept] = np.arange(len(kept))
    return rank[into[label]], core, s0_px[kept], s1_px[kept]


def _ends(s: Sightings, label: Ints, groups: int) -> tuple[FloatArray, FloatArray]:
    centre, width = group_median(s.centre_px, label, groups), group_median(s.width_px, label, groups)
    return centre - width / 2, centre + width / 2


def _merged(s: Sightings, label: Ints) -> tuple[Ints, FloatArray, FloatArray]:
    """Neighbouring clusters joined while their intervals overlap by ``SAME_IOU``, the best pairs first."""
    while True:
        groups = int(label.max()) + 1 if len(label) else 0
        s0, s1 = _ends(s, label, groups)
        if groups < 2:
            return label, s0, s1
        order = np.argsort(s0 + s1, kind="stable")
        a, b = order[:-1], order[1:]
        shared = overlap_px(s0[a], s1[a], s0[b], s1[b])
        iou = shared / np.maximum(s1[a] - s0[a] + s1[b] - s0[b] - shared, 1e-9)
        beside = np.maximum(np.concatenate([[0.0], iou[:-1]]), np.concatenate([iou[1:], [0.0]]))
        join = (iou >= SAME_IOU) & (iou >= beside)
        join &= ~np.concatenate([[False], join[:-1]])  # of equal neighbours only the first, so that no chain grows in one step
        if not join.any():
            return label, s0, s1
        into = np.arange(groups)
        into[b[join]] = a[join]
        _, label = np.unique(into[label], return_inverse=True)


def _absorbed(s: Sightings, label: Ints, s0: FloatArray, s1: FloatArray, table: LookTable) -> Ints:
    """For each cluster the cluster it is counted under: itself, or a stronger one that leaves it no room."""
    groups = len(s0)
    into = np.arange(groups)
    if groups < 2:
        return into
    hits = looks_of(label, s.look, groups, table.weight)
    score = np.bincount(label, weights=s.score, minlength=groups)
    kept: list[int] = []
    for j in np.lexsort((-score, -hits)):
        if kept:
            k = np.array(kept)
            shared = overlap_px(s0[k], s1[k], s0[j], s1[j])
            of_own = shared / max(s1[j] - s0[j], 1e-9)
            share = np.maximum(of_own, shared / np.maximum(s1[k] - s0[k], 1e-9))
            if share.max() >= ABSORB_SHARE or of_own.sum() >= 1.2 * ABSORB_SHARE:
                into[j] = k[np.argmax(shared)]
                continue
        kept.append(int(j))
    return _two_in_one(s, label, s0, s1, hits, into)


def _two_in_one(s: Sightings, label: Ints, s0: FloatArray, s1: FloatArray, hits: FloatArray, into: Ints) -> Ints:
    """Give a place back to two vehicles that were seen apart, where a box over both of them won by number.

    Parts of one vehicle (hull and turret) are seen together with the whole; two vehicles that are sometimes taken for one
    are seen either apart or together.
    """
    looks = [frozenset(s.look[label == j].tolist()) if n > 1 else frozenset() for j, n in enumerate(np.bincount(label))]
    for big in np.unique(into[into != np.arange(len(into))]):
        inside = [
            j
            for j in np.flatnonzero(into == big)
            if j != big
            and hits[j] >= max(0.25 * hits[big], 1.5)
            and overlap_px(s0[j], s1[j], s0[big], s1[big]) >= 0.7 * (s1[j] - s0[j])
            and len(looks[j] & looks[big]) < 0.5 * len(looks[j])
        ]
        best: tuple[float, int, int] | None = None
        for n, a in enumerate(inside):
            for b in inside[n + 1 :]:
                apart = overlap_px(s0[a], s1[a], s0[b], s1[b]) < 0.2 * min(s1[a] - s0[a], s1[b] - s0[b])
                filled = (s1[a] - s0[a] + s1[b] - s0[b]) / max(s1[big] - s0[big], 1e-9)
                if apart and 0.6 <= filled <= 1.4 and looks[a] & looks[b] and (best is None or min(hits[a], hits[b]) > best[0]):
                    best = (min(hits[a], hits[b]), int(a), int(b))
        if best is not None:
            members = np.flatnonzero(into == big)
            _, one, two = best
            middle = s0[members] + s1[members]
            nearer_one = np.abs(middle - s0[one] - s1[one]) < np.abs(middle - s0[two] - s1[two])
            into[members] = np.where(nearer_one, one, two)
            into[one], into[two] = one, two
    return into


def _cut_boxes(s: Sightings, table: LookTable, s0_px: FloatArray, s1_px: FloatArray) -> Ints:
    """For each cut box the place whose visible part it shows (IoU of at least a half), or -1."""
    if len(s0_px) == 0:
        return np.full(len(s), -1, np.int64)
    best = np.zeros(len(s))
    of = np.full(len(s), -1, np.int64)
    shift = table.displacement_px[s.look]
    first, last = table.view_px[0] - shift, table.view_px[1] - shift
    for j in range(len(s0_px)):
        a0, a1 = np.maximum(s0_px[j], first), np.minimum(s1_px[j], last)
        shared = overlap_px(a0, a1, s.s0_px, s.s1_px)
        union = np.maximum(a1, s.s1_px) - np.minimum(a0, s.s0_px)
        iou = np.where((shared > 0) & (union > 0), shared / np.maximum(union, 1e-9), 0)
        better = iou > np.maximum(best, 0.5 - 1e-12)
        of[better], best[better] = j, iou[better]
    # A sliver whose small extent is mostly noise: inside a place is enough.
    rest = np.flatnonzero(of < 0)
    if len(rest):
        order = np.argsort(s0_px, kind="stable")
        middle = s.centre_px[rest]
        at = order[np.clip(np.searchsorted(s0_px[order], middle, "right") - 1, 0, None)]
        within = (s0_px[at] <= middle) & (middle <= s1_px[at])
        shared = overlap_px(s0_px[at], s1_px[at], s.s0_px[rest], s.s1_px[rest])
        fits = within & (shared >= 0.7 * s.width_px[rest])
        of[rest[fits]] = at[fits]
    return of


def _completed(s: Sightings, typical_px: float) -> Sightings:
    """Cut boxes carried on beyond the edge to the typical width."""
    lacking = np.clip(typical_px - s.width_px, 0, None)
    only_low, only_high = s.cut_low & ~s.cut_high, s.cut_high & ~s.cut_low
    return s.with_ends(s.s0_px - np.where(only_low, lacking, 0), s.s1_px + np.where(only_high, lacking, 0))


def _places_beside(s0: FloatArray, s1: FloatArray, old0: FloatArray, old1: FloatArray) -> dict[str, Ints]:
    """For each new place the old one that leaves it no room, or -1."""
    into = np.full(len(s0), -1, np.int64)
    if len(old0):
        for j in range(len(s0)):
            shared = overlap_px(old0, old1, s0[j], s1[j])
            share = np.maximum(shared / max(s1[j] - s0[j], 1e-9), shared / np.maximum(old1 - old0, 1e-9))
            if share.max() >= ABSORB_SHARE:
                into[j] = np.argmax(share)
    return {"into": into}
