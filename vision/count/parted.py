"""Two trains taken for one, parted by their vehicles.

Trains on neighbouring tracks that go the same way at nearly the same speed are one layer to the pixels. Their vehicles tell them
apart: two of one train keep their distance whatever the registration does, two of different trains do not. So vehicles are
tracked, each pair of tracks that is in view together says "same" or "another" by how its distance changes, and two groups are
looked for that leave as little as possible contradicted.

A view in perspective stretches distances as well, but then it does so by the column: with three vehicles in view every pair
changes, in the order in which they lie. Two trains change only between the groups, always the same way. What cannot be said for
sure is flagged, not parted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solveh_banded

from vision.count.coordinate import LookTable
from vision.count.tracks import Track, rate_of
from vision.types import FloatArray

LEAST_SHARED_LOOKS = 4
LEAST_SHARED_VIEWS = 0.08
"""Two tracks are compared that share so many looks, over an advance of this share of the view."""

BOX_SHARE = 0.02
"""A box's middle errs by at least this share of the usual width."""

SAME_SPEED_SHARE, OTHER_SPEED_SHARE = 0.012, 0.3
"""How far speeds of one train's vehicles seem to differ, and those of two trains do, as a share of the speed."""

MOST_FOR, MOST_AGAINST = 6.0, 20.0
"""No pair weighs more than so much for one train, or for two (logarithms of likelihood ratios)."""

MOST_CONTRADICTED = 0.1
LEAST_EVIDENCE = 30.0
STANDS_SHARE = 0.2
STRETCHED_SHARE = 0.4
ONE_WAY_SHARE = 0.9
LEAST_TRACKS = 2


@dataclass(frozen=True, slots=True, repr=False)
class Pairs:
    """How distances change between tracks, struct-of-arrays over the pairs that share looks.

    Attributes:
        first, second: (n,) tracks.
        rate_px_s: (n,) how fast the second gains on the first, to the right.
        apart_px: (n,) how far right of the first it is, on the picture.
        advance_px: (n,) the train's advance while both are in view.
        weight: (n,) logarithm of the likelihood ratio of one train over two.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    rate_px_s: FloatArray
    apart_px: FloatArray
    advance_px: FloatArray
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class Scale:
    """What is usual: the train's speed against the background, a box's width, and the view's."""

    speed_px_s: float
    width_px: float
    view_px: float


def pairs_of(tracks: Sequence[Track], scale: Scale) -> Pairs:
    """Compare all tracks that are in view together."""
    rows = []
    for i, a in enumerate(tracks):
        for j in range(i + 1, len(tracks)):
            b = tracks[j]
            if a.look[-1] < b.look[0] or b.look[-1] < a.look[0]:
                continue
            _, at_a, at_b = np.intersect1d(a.look, b.look, assume_unique=True, return_indices=True)
            if len(at_a) < LEAST_SHARED_LOOKS:
                continue
            t_s = a.pts_s[at_a]
            advance_px = float(t_s[-1] - t_s[0]) * scale.speed_px_s
            if advance_px < LEAST_SHARED_VIEWS * scale.view_px:
                continue
            rate, error = rate_of(t_s, b.place_px[at_b] - a.place_px[at_a], least_px=BOX_SHARE * scale.width_px)
            same, other = (float(np.hypot(error, share * scale.speed_px_s)) for share in (SAME_SPEED_SHARE, OTHER_SPEED_SHARE))
            weight = np.log(other / same) + 0.5 * rate**2 * (other**-2 - same**-2)
            apart_px = float(np.median(b.column_px[at_b] - a.column_px[at_a]))
            rows.append((i, j, rate, apart_px, advance_px, float(np.clip(weight, -MOST_AGAINST, MOST_FOR))))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Pairs(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *table[:, 2:].T)


def two_groups(count: int, pairs: Pairs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two groups of tracks that contradict the pairs least.

    The strongest pairs are believed first (a spanning forest with parities), then single tracks change
    sides as long as that helps.

    Returns:
        (count,) side of each track, -1 or 1; and (count,) its component: sides of different components say nothing of each other.
    """
    parent, side = np.arange(count), np.ones(count, np.int64)

    def root(k: int) -> tuple[int, int]:
        sign = 1
        while parent[k] != k:
            sign *= int(side[k])
            k = int(parent[k])
        return k, sign

    for p in np.argsort(-np.abs(pairs.weight), kind="stable"):
        (a, sign_a), (b, sign_b) = root(int(pairs.first[p])), root(int(pairs.second[p]))
        if a != b:
            parent[b] = a
            side[b] = sign_a * sign_b * (1 if pairs.weight[p] > 0 else -1)
    found = [root(k) for k in range(count)]
    component = np.array([k for k, _ in found], np.int64)
    sides = np.array([sign for _, sign in found], np.int64)
    agree = np.zeros((count, count))
    np.add.at(agree, (pairs.first, pairs.second), pairs.weight)
    agree += agree.T
    for _ in range(4 * count):
        gain = sides * (agree @ sides)
        worst = int(gain.argmin()) if count else 0
        if count == 0 or gain[worst] >= 0:
            break
        sides[worst] *= -1
    return sides, component


@dataclass(frozen=True, slots=True, repr=False)
class Rigid:
    """Vehicles that keep their distances, and how they move against the reference coordinate.

    Attributes:
        tracks: Of its vehicles.
        offset_px: (looks,) what to add to the reference's displacement at each look.
    """

    tracks: tuple[Track, ...]
    offset_px: FloatArray

    @property
    def span_s(self) -> tuple[float, float]:
        """First and last time at which one of its vehicles was seen whole."""
        return min(float(track.pts_s[0]) for track in self.tracks), max(float(track.pts_s[-1]) for track in self.tracks)

    @property
    def places_px(self) -> FloatArray:
        """(tracks,) middles of its vehicles in its own coordinate."""
        return np.array([float(np.median(track.place_px - self.offset_px[track.look])) for track in self.tracks])


@dataclass(frozen=True, slots=True, repr=False)
class Parting:
    """What tracks say of the number of trains.

    Attributes:
        trains: The two, or None where it is one, or cannot be said.
        stretched: Distances change with the column: one train, seen in perspective.
        doubt: There is more than one train's motion, but not two trains that could be told apart.
    """

    trains: tuple[Rigid, Rigid] | None = None
    stretched: bool = False
    doubt: bool = False


def two_trains(tracks: Sequence[Track], table: LookTable, scale: Scale) -> Parting:
    """The two trains that the tracks belong to, if they do.

    Args:
        tracks: In a reference coordinate that follows either train, or now this one and now that.
        table: Their looks.
        scale: What is usual.
    """
    tracks = [track for track in tracks if _runs_along(track, table, scale)]
    pairs = pairs_of(tracks, scale)
    sides, component = two_groups(len(tracks), pairs)
    evidence = _evidence(pairs, sides, component)
    main = max(evidence, key=lambda name: evidence[name], default=-1)
    if main < 0 or evidence[main] < LEAST_EVIDENCE:
        return Parting()
    verdict = _verdict(pairs, sides, component == main)
    if verdict != "two":
        return Parting(stretched=verdict == "stretched", doubt=verdict == "doubt")
    groups = _all_sided(tracks, table, sides, component, main, scale)
    if min(len(group) for group in groups) < LEAST_TRACKS:
        return Parting(doubt=True)
    offsets = rigid_offsets(groups, table, scale).of
    first, second = (Rigid(tuple(group), offset) for group, offset in zip(groups, offsets, strict=True))
    return Parting((first, second) if first.span_s[0] <= second.span_s[0] else (second, first))


def _runs_along(track: Track, table: LookTable, scale: Scale) -> bool:
    """Whether a track moves against the background, the way the reference does: what stands is a parked car, what comes the other
    way is on a passage of its own."""
    relative_px = table.displacement_px - table.background_px
    way = np.sign(relative_px[-1] - relative_px[0])
    rate, _ = rate_of(track.pts_s, track.place_px + relative_px[track.look], least_px=BOX_SHARE * scale.width_px)
    return bool(way * rate > STANDS_SHARE * scale.speed_px_s)


def _evidence(pairs: Pairs, sides: NDArray[np.int64], component: NDArray[np.int64]) -> dict[int, float]:
    """For each component, the summed weight of the pairs that are on different sides and say so."""
    out: dict[int, float] = {}
    apart = (sides[pairs.first] != sides[pairs.second]) & (pairs.weight < 0)
    for p in np.flatnonzero(apart):
        name = int(component[pairs.first[p]])
        out[name] = out.get(name, 0.0) - float(pairs.weight[p])
    return out


def _verdict(pairs: Pairs, sides: NDArray[np.int64], inside: NDArray[np.bool_]) -> Literal["two", "stretched", "doubt"]:
    """Whether two trains at their own speeds explain what the pairs of a component say, or a stretched view, or neither."""
    use = inside[pairs.first]
    first, second, weight = pairs.first[use], pairs.second[use], pairs.weight[use]
    rate, apart_px, span = pairs.rate_px_s[use], pairs.apart_px[use], pairs.advance_px[use]
    sign = (sides[second] - sides[first]) / 2

    def unexplained(by: FloatArray) -> float:
        factor = float((span * rate * by).sum() / max(float((span * by**2).sum()), 1e-9))
        return float((span * (rate - factor * by) ** 2).sum())

    if unexplained(sign) >= STRETCHED_SHARE * unexplained(apart_px):
        return "stretched"
    contradicted = -np.minimum(weight * sides[first] * sides[second], 0.0).sum() / np.abs(weight).sum()
    gains = [float(span[rate * sign * way > 0].sum()) for way in (1, -1)]
    return "two" if contradicted <= MOST_CONTRADICTED and max(gains) >= ONE_WAY_SHARE * sum(gains) else "doubt"


def _all_sided(
    tracks: Sequence[Track],
    table: LookTable,
    sides: NDArray[np.int64],
    component: NDArray[np.int64],
    main: int,
    scale: Scale,
) -> tuple[list[Track], list[Track]]:
    """The tracks of both trains: those of the main component, then of the others, the nearest in time first."""
    groups = tuple(
        [track for track, k, s in zip(tracks, component, sides, strict=True) if k == main and s == own] for own in (1, -1)
    )
    left = [
        [[track for track, k, s in zip(tracks, component, sides, strict=True) if k == name and s == own] for own in (1, -1)]
        for name in np.unique(component)
        if name != main
    ]
    while left:
        known = np.concatenate([track.pts_s for group in groups for track in group])
        gap = [min(float(np.abs(known - track.pts_s[:, None]).min()) for part in parts for track in part) for parts in left]
        parts = left.pop(int(np.argmin(gap)))
        cost = []
        for chosen in (parts, parts[::-1]):
            moved = rigid_offsets([[*group, *part] for group, part in zip(groups, chosen, strict=True)], table, scale)
            rows = sum(_off_rows(part, group, scale) for part, group in zip(chosen, groups, strict=True))
            cost.append(moved.cost + rows)
        for part, group in zip(parts, groups if cost[0] <= cost[1] else groups[::-1], strict=True):
            group.extend(part)
    return groups[0], groups[1]


def _off_rows(part: Sequence[Track], group: Sequence[Track], scale: Scale) -> float:
    """How badly the lower edges of some tracks lie in the rows of a train."""
    foot = np.concatenate([track.foot_px for track in group])
    usual = float(np.median(foot))
    spread = max(1.4826 * float(np.median(np.abs(foot - usual))), BOX_SHARE * scale.width_px)
    off = np.array([(float(np.median(track.foot_px)) - usual) / (2 * spread) for track in part])
    return float(np.minimum(0.5 * off**2, MOST_AGAINST).sum())


REFERENCE_SHARE, APART_SHARE = 0.1, 0.02
"""In a second a train's speed against the reference changes by the first share of the speed, as that may go over from one train
to the other; and the trains' speeds against each other by the second."""


_BANDWIDTH = 6


class Offsets(NamedTuple):
    """For each of two trains (looks,) pixels, and how badly boxes and smoothness are met (a logarithm of a likelihood)."""

    of: tuple[FloatArray, FloatArray]
    cost: float


def rigid_offsets(groups: Sequence[Sequence[Track]], table: LookTable, scale: Scale) -> Offsets:
    """For each of two trains, (looks,) what to add to the reference's displacement so that its tracks stand still in it.

    They are the ``c_k`` with the least sum of squares of ``place_i(t) - p_i - c_k(t)``, of the changes of the slope
    of each ``c_k``, and of those of ``c_1 - c_2``. The last carries a train on by the other one where it is hidden.
    """
    m = len(table)
    tracks = [track for group in groups for track in group]
    sizes = [len(track) for track in tracks]
    # The two curves are interleaved, which makes the equations narrow: c_k(t) is number 2 t + k.
    at = 2 * np.concatenate([track.look for track in tracks])
    at += np.repeat([k for k, group in enumerate(groups) for _ in group], sizes)
    who = np.repeat(np.arange(len(tracks)), sizes)
    place = np.concatenate([track.place_px for track in tracks])
    error_px = 1.5 * BOX_SHARE * scale.width_px
    dt = np.maximum(np.diff(table.pts_s), 1e-3)
    loose, stiff = (_bends(dt, share * max(scale.speed_px_s, 1e-3)) for share in (REFERENCE_SHARE, APART_SHARE))
    smooth = sparse.kron(loose, np.eye(2)) + sparse.kron(stiff, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    bands = np.zeros((_BANDWIDTH, 2 * m))
    for k in range(min(_BANDWIDTH, 2 * m)):
        bands[k, : 2 * m - k] = smooth.diagonal(-k)
    bands[0] += 1e-9
    robust = np.ones(len(at))
    offset, base = np.zeros(2 * m), np.zeros(len(tracks))
    for _ in range(4):
        weight = robust / error_px**2
        own = bands.copy()
        own[0] += np.bincount(at, weights=weight, minlength=2 * m)
        shared = np.zeros((2 * m, len(tracks)))
        np.add.at(shared, (at, who), weight)
        right = np.bincount(at, weights=weight * place, minlength=2 * m)
        solved = solveh_banded(own, np.column_stack([right, shared]), lower=True)
        # The places p_i are few: what is left for them is small. All of a train may be shifted, so the shortest answer is taken.
        left = np.diag(shared.sum(axis=0)) - shared.T @ solved[:, 1:]
        base = np.linalg.lstsq(left, np.bincount(who, weights=weight * place) - shared.T @ solved[:, 0], rcond=1e-9)[0]
        offset = solved[:, 0] - solved[:, 1:] @ base
        robust = 1 / (1 + ((place - base[who] - offset[at]) / (2 * error_px)) ** 2)
    cost = float(-2 * np.log(robust).sum() + 0.5 * offset @ (smooth @ offset))
    return Offsets((offset[0::2], offset[1::2]), cost)


def _bends(dt: FloatArray, change_px_s: float) -> sparse.csc_matrix:
    """Quadratic form of the changes of slope of a curve at uneven times, in units of what is usual."""
    m = len(dt) + 1
    if m < 3:
        return sparse.csc_matrix((m, m))
    usual = change_px_s * np.sqrt((dt[:-1] + dt[1:]) / 2)
    rows = [1 / dt[:-1] / usual, -(1 / dt[:-1] + 1 / dt[1:]) / usual, 1 / dt[1:] / usual]
    second = sparse.diags(rows, offsets=[0, 1, 2], shape=(m - 2, m))
    return (second.T @ second).tocsc()
