"""How probable it is that a vehicle stands at a place, from the looks that saw it and those that did not.

Two explanations compete for the sightings of a place (rates per look):

- *Vehicle.* It has a detection probability ``p`` from the population of this train's vehicles, a mixture on a grid fitted
  by expectation-maximisation: most are seen in nearly every look, hard ones (half hidden, oddly lit) in a quarter of them.
  Its centres scatter normally by ``sigma``, its width resembles the other vehicles', and its distances to its neighbours resemble
  the train's other distances (a renewal process: putting it into a gap ``G`` costs ``f(left) f(right) / f(G)``).
- *No vehicle.* Either unrelated false boxes that fell together, a Poisson process of ``mu`` boxes per look and pixel, or a
  thing on the train that deceives the detector now and then (``CONFUSER_SHARE`` as common as vehicles, seen with a rate
  from Beta(1, 12)).

With ``k`` hits in ``n`` looks the vehicle's side is ``sum_p pi(p) p^k (1 - p)^(n - k)`` times ``(2 pi sigma^2)^(-(k-1)/2)
k^(-1/2) exp(-SS / 2 sigma^2)`` per px, and the false side ``mu^k``: one hit in twenty looks is a false box, three in twelve
at one point are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.count.cluster import ABSORB_SHARE, Clusters, group_median, overlap_px, typical_width_px
from vision.count.coordinate import Bools, Ints, LookTable, Sightings
from vision.types import FloatArray

FULL_SHARE = 0.97
"""A place is fully in view with this share of its width, partly from ``PART_SHARE`` on."""

PART_SHARE = 0.5
PART_RATE = 0.6
"""A vehicle partly in view is detected this much less often than one fully in view."""

CONFUSER_SHARE = 0.03
CUT_WORTH = 0.5
"""Of a cut box one end is known: it says half as much about where a thing lies."""
CUT_STRAY = 2.0
"""Where only cut boxes show a place, stray ones are more frequent: half a thing resembles many."""

FALSE_SHARE = 0.02
"""Before the data: this share of the boxes is false."""

FALSE_PER_LOOK = 0.03
"""And at least so many boxes per look, whatever the train carries: on a civil train every box is false. Measured: 0.07 false
boxes a picture of the first weights at the default score on their validation pictures, of which a train takes two fifths."""

FALSE_SHAPE = 0.5
"""Shape of the Gamma distribution of the false boxes per look: ten times as many on one clip as on the next is nothing rare."""

CARRYING_SHARE = 0.3
"""Before the data: of the trains that are filmed this share carries anything at all. A choice, not a measurement; a vehicle
that is seen well outweighs it by far, two doubtful places on a train of coaches do not."""

ENDS_SHARE = 0.2
"""Share of the view by which head and tail are found too late or too early, the scale of an exponential."""

RATE_GRID = np.array([0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995])
MIN_RATE = 0.1
"""What is seen in fewer looks cannot be told from chance; vehicles are not sought below."""


def _on_grid(density: FloatArray) -> FloatArray:
    mass = np.asarray(density * np.gradient(RATE_GRID), dtype=np.float64)
    return np.asarray(mass / mass.sum())


_SEEKABLE: FloatArray = np.asarray(RATE_GRID >= MIN_RATE, dtype=np.float64)
_RATE_PRIOR: FloatArray = np.asarray(0.7 * _on_grid(_SEEKABLE * RATE_GRID**8) + 0.3 * _on_grid(_SEEKABLE))
_CONFUSER_RATES = _on_grid((1 - RATE_GRID) ** 11)
PRIOR_VEHICLES = 3.0
"""Weight of the prior on the detection rates, in vehicles."""

CAUTION_VEHICLES = 6.0
"""The same for the vehicles that no look saw."""

LOG_SIZES = float(np.log(15))
"""False boxes spread evenly over this range of log widths: a fifth of the typical width to three times it."""

ROUNDS = 8
_TINY = 1e-300


@dataclass(frozen=True, slots=True, repr=False)
class Opportunities:
    """For each place, (j,) each, in effective looks (see ``effective_weights``) or, unweighted, in plain looks.

    Attributes:
        looks, hits: Looks with the whole place in view, and those of them that saw it.
        part_looks, part_hits: The same with part of the place in view.
    """

    looks: FloatArray
    hits: FloatArray
    part_looks: FloatArray
    part_hits: FloatArray


@dataclass(frozen=True, slots=True, repr=False)
class Existence:
    """What was fitted to one train.

    Attributes:
        probability: (j,) that a vehicle stands at each place.
        given: (j, f) the same under each supposition that places have in common: whether the train carries anything, and at which
            rate false boxes come.
        share: (f,) the probability of each supposition, summing to 1.
        rates: (len(RATE_GRID),) the population's detection rates, summing to 1.
        unseen: Expected number of vehicles that no look saw.
    """

    probability: FloatArray
    given: FloatArray
    share: FloatArray
    rates: FloatArray
    unseen: float


def count_opportunities(s: Sightings, clusters: Clusters, table: LookTable, *, weighted: bool = True) -> Opportunities:
    """In how many looks each place was in view, and in how many it was seen."""
    groups, m = len(clusters), len(table)
    weight = table.weight if weighted else np.ones(m)
    if groups == 0:
        none = np.zeros(0)
        return Opportunities(none, none, none, none)
    first, last = table.view_px[0] - table.displacement_px, table.view_px[1] - table.displacement_px
    width = np.maximum(clusters.width_px, 1e-9)[:, None]
    seen = np.clip(np.minimum(clusters.s1_px[:, None], last) - np.maximum(clusters.s0_px[:, None], first), 0, None) / width
    full, part = seen >= FULL_SHARE, (seen >= PART_SHARE) & (seen < FULL_SHARE)
    hit = np.zeros((groups, m), bool)
    of_core = clusters.core & (clusters.of >= 0)
    hit[clusters.of[of_core], s.look[of_core]] = True
    part |= hit & ~full & ~part & (seen > 0)
    full |= hit & (seen <= 0)
    return Opportunities(full @ weight, (full & hit) @ weight, part @ weight, (part & hit) @ weight)


def fit_existence(
    s: Sightings, clusters: Clusters, table: LookTable, off_ends_px: FloatArray | float = 0.0, *, known_false: float = 0.0
) -> Existence:
    """Existence of each place, the detection rates and the false boxes, fitted together.

    Args:
        s: The boxes.
        clusters: Their places.
        table: The looks.
        off_ends_px: (j,) how far each place lies beyond the train's head or tail.
        known_false: Boxes on the train that were left out because they cannot be vehicles: they tell how often false ones come.
    """
    groups = len(clusters)
    chances = count_opportunities(s, clusters, table)
    if groups == 0:
        return Existence(np.zeros(0), np.zeros((0, 1)), np.ones(1), _RATE_PRIOR, 0.0)
    typical_px = typical_width_px(s)
    log_rate = _log_rates(chances)
    hits = chances.hits + chances.part_hits
    confuser = np.logaddexp.reduce(np.log(_CONFUSER_RATES) + log_rate, axis=1)
    shape = _PlaceShape.of(s, clusters, table, typical_px)

    # Where the train begins and ends is known so well only; what lies far beyond is not on it.
    view_px = table.view_px[1] - table.view_px[0]
    length_px = float(np.ptp(table.displacement_px)) + view_px
    beyond = off_ends_px / (ENDS_SHARE * view_px)
    looks_right = _Likeness.of(s, clusters)
    false = _FalseRates.of(hits, table)
    together = shape.log_together(chances, false.per_look_px)
    stray = np.log(np.where(shape.boxes > 0, 1.0, CUT_STRAY))[:, None] + np.log(false.per_look_px)
    scattered = np.minimum(hits, 1)[:, None] * stray  # a hit that counts little is a stray box at little cost
    deceived = (np.log(CONFUSER_SHARE / (4 * typical_px)) + confuser)[:, None] + together
    not_vehicle = np.logaddexp(scattered, deceived)
    further = known_false + float(np.sum(_further(chances)[0]) + CUT_WORTH * np.sum(_further(chances)[1]))
    rates = _RATE_PRIOR
    rate_of_count = (hits >= 1.5) | (hits >= 0.5 * np.maximum(chances.looks, 1e-9))
    probability = np.where(rate_of_count, 0.9, 0.3)
    for _ in range(ROUNDS):
        gaps = _Gaps.of(clusters, probability, typical_px, length_px)
        by_rate = np.log(rates + _TINY) + log_rate
        vehicle = np.logaddexp.reduce(by_rate, axis=1) + gaps.log_place(clusters, probability) + shape.log_width(probability)
        vehicle += looks_right.log_ratio(probability) - beyond
        as_vehicle = vehicle[:, None] + together
        given = 1 / (1 + np.exp(-np.clip(as_vehicle - not_vehicle, -50, 50)))
        share = _normalised(false.log_share(np.logaddexp(as_vehicle, not_vehicle), further, gaps.free_share))
        probability = given @ share
        by_rate = np.exp(by_rate - np.logaddexp.reduce(by_rate, axis=1)[:, None])
        weight = probability @ (by_rate / np.maximum(1 - _missed(chances), 0.05))
        rates = weight + PRIOR_VEHICLES * _RATE_PRIOR
        rates /= rates.sum()
    # Doubtful places share one doubt: whether this is a train that carries anything.
    carries = false.log_share(np.logaddexp(as_vehicle, not_vehicle), further, gaps.free_share) + np.log(CARRYING_SHARE)
    bare = false.log_share(not_vehicle, further, 1.0) + np.log(1 - CARRYING_SHARE)
    share = _normalised(np.concatenate([carries, bare]))
    given = np.hstack([given, np.zeros_like(given)])
    probability = given @ share
    return Existence(probability, given, share, rates, _unseen(clusters, probability, chances, rates, typical_px))


def _normalised(log_share: FloatArray) -> FloatArray:
    share = np.exp(log_share - log_share.max())
    return np.asarray(share / share.sum())


@dataclass(frozen=True, slots=True, repr=False)
class _FalseRates:
    """How many false boxes there are, not known beforehand but to a factor: every rate of a grid by its probability.

    On one clip there is not one in a hundred looks, on the next, of like wagons, one in ten: a Gamma distribution of small shape.

    Attributes:
        per_look_px: (f,) the rates, boxes per look and pixel of the train.
        log_prior: (f,) log of the probability of each before the data.
        look_px: Looks times pixels in view.
    """

    per_look_px: FloatArray
    log_prior: FloatArray
    look_px: float

    @classmethod
    def of(cls, hits: FloatArray, table: LookTable) -> _FalseRates:
        looks = float(np.sum(table.weight))
        look_px = looks * (table.view_px[1] - table.view_px[0])
        mean_px = max(FALSE_SHARE * float(np.sum(hits)), FALSE_PER_LOOK * looks, FALSE_SHARE) / look_px
        of_mean = np.geomspace(1 / 64, 16, 21)
        return cls(mean_px * of_mean, FALSE_SHAPE * (np.log(of_mean) - of_mean), look_px)

    def log_share(self, log_place: FloatArray, further: float, free_share: float) -> FloatArray:
        """(f,) log probability of each rate together with the data, but for a constant.

        Args:
            log_place: (j, f) log likelihood of each place's boxes, relative to its further hits being false.
            further: Those hits.
            free_share: Share of the false boxes that no vehicle's place takes in.
        """
        log_share = self.log_prior + log_place.sum(axis=0) + further * np.log(self.per_look_px)
        return np.asarray(log_share - self.per_look_px * self.look_px * free_share)


def _further(chances: Opportunities) -> tuple[FloatArray, FloatArray]:
    """(j,) hits beyond each place's first one, and those of them that saw a part."""
    further_part = chances.part_hits - np.maximum(1 - chances.hits, 0)
    return np.maximum(chances.hits - 1, 0), np.maximum(further_part, 0)


def _log_rates(chances: Opportunities) -> FloatArray:
    """(j, rates) log likelihood of the hits and misses of each place at each detection rate."""
    p, q = RATE_GRID, PART_RATE * RATE_GRID
    k, n, part_k, part_n = (a[:, None] for a in (chances.hits, chances.looks, chances.part_hits, chances.part_looks))
    return np.asarray(k * np.log(p) + (n - k) * np.log1p(-p) + part_k * np.log(q) + (part_n - part_k) * np.log1p(-q))


def _missed(chances: Opportunities) -> FloatArray:
    """(j, rates) probability that no look saw a vehicle with each detection rate at each place."""
    n, part_n = chances.looks[:, None], chances.part_looks[:, None]
    return np.asarray(np.exp(n * np.log1p(-RATE_GRID) + part_n * np.log1p(-PART_RATE * RATE_GRID)))


@dataclass(frozen=True, slots=True, repr=False)
class _PlaceShape:
    """How the boxes of each place lie: scatter of their centres, their widths.

    Attributes:
        log_size: (j,) log width of each place.
        boxes: (j,) whole boxes of each place.
        place, log_box: For each whole box its place, and its log density (centre and log width) as a box of that place.
        log_exact: The same of a box without any scatter.
        weight: Of each whole box.
    """

    log_size: FloatArray
    boxes: FloatArray
    place: Ints
    log_box: FloatArray
    log_exact: float
    weight: FloatArray

    @classmethod
    def of(cls, s: Sightings, clusters: Clusters, table: LookTable, typical_px: float) -> _PlaceShape:
        use = clusters.core & (clusters.of >= 0) & s.whole
        place = clusters.of[use]
        log_size = np.log(np.maximum(clusters.width_px, 1e-9))
        off_centre = s.centre_px[use] - clusters.centre_px[place]
        off_size = np.log(np.maximum(s.width_px[use], 1e-9)) - log_size[place]
        boxes = np.bincount(place, minlength=len(clusters)).astype(np.float64)
        many = boxes[place] >= 4
        sigma_px, spread = 0.06 * typical_px, 0.1
        if many.sum() >= 8:
            sigma_px = float(np.clip(1.4826 * np.median(np.abs(off_centre[many])), 0.03 * typical_px, 0.15 * typical_px))
            spread = float(np.clip(1.4826 * np.median(np.abs(off_size[many])), 0.05, 0.25))
        log_exact = -float(np.log(2 * np.pi * sigma_px * spread))
        log_box = log_exact - 0.5 * (off_centre / sigma_px) ** 2 - 0.5 * (off_size / spread) ** 2
        return cls(log_size, boxes, place, log_box, log_exact, table.weight[s.look[use]])

    def log_together(self, chances: Opportunities, false_px: FloatArray) -> FloatArray:
        """(j, f) log ratio of the further hits lying where the first one does, as one thing's boxes and as unrelated ones, at
        each rate (f,) of those.

        A box that fits worse than a stray one would is taken for a stray one: it speaks for nothing, but does not undo the
        place.
        """
        further, further_part = _further(chances)
        # Centre and width of the place come from the hits themselves.
        fitted = np.log(np.maximum(chances.hits + chances.part_hits, 1))
        groups = len(self.boxes)
        mass = np.bincount(self.place, weights=self.weight, minlength=groups)
        out = []
        for log_stray in np.log(false_px) - np.log(LOG_SIZES):
            gain = np.maximum(self.log_box - log_stray, 0)
            total = np.bincount(self.place, weights=self.weight * gain, minlength=groups)
            exact = max(self.log_exact - 1 - log_stray, 0)
            mean = np.divide(total, mass, out=np.full(groups, exact), where=mass > 0)
            out.append(further * mean + CUT_WORTH * further_part * exact - fitted)
        return np.stack(out, axis=1)

    def log_width(self, probability: FloatArray) -> FloatArray:
        """(j,) log ratio of the width's density among this train's vehicles to that among false boxes."""
        solid = probability * np.minimum(self.boxes, 3) / 3
        bandwidth = 0.12
        kernel = np.exp(-0.5 * ((self.log_size[:, None] - self.log_size[None, :]) / bandwidth) ** 2) / (
            bandwidth * np.sqrt(2 * np.pi)
        )
        np.fill_diagonal(kernel, 0.0)
        broad = 1 / LOG_SIZES
        total = solid.sum() - solid
        density = (kernel @ solid + 3 * broad) / (total + 3)
        # The width of a place that only cut boxes show was filled in.
        return np.asarray(np.where(self.boxes > 0, np.log(density / broad), 0.0))


@dataclass(frozen=True, slots=True, repr=False)
class _Likeness:
    """Score and lower edge of each place's boxes, (j,) medians; compared with those of the train's own vehicles."""

    score: FloatArray
    bottom: FloatArray

    @classmethod
    def of(cls, s: Sightings, clusters: Clusters) -> _Likeness:
        use = clusters.core & (clusters.of >= 0)
        height = max(float(np.median((s.y1_px - s.y0_px)[use])), 1e-9) if use.any() else 1.0
        place, groups = clusters.of[use], len(clusters)
        return cls(group_median(s.score[use], place, groups), group_median(s.y1_px[use] / height, place, groups))

    def log_ratio(self, probability: FloatArray) -> FloatArray:
        """(j,) log ratio of score and lower edge under vehicle and stray box; bounded, and 0 while the train has few vehicles.

        Detectors are not calibrated, so a score is taken by its rank ``u`` among the train's vehicles: those are uniform
        in ``u`` by
        construction, while stray boxes crowd near the threshold, density ``2 (1 - u)``. Vehicles stand on decks of much the same
        height; stray boxes end anywhere within about two heights.
        """
        firm = (probability > 0.9) & np.isfinite(self.score)
        m = int(firm.sum())
        if m < 3:
            return np.zeros(len(self.score))
        ordered = np.sort(self.score[firm])
        rank = (np.searchsorted(ordered, self.score, "left") + np.searchsorted(ordered, self.score, "right")) / (2 * m)
        by_score = -np.log(2 * (1 - rank) + 0.3)
        middle = float(np.median(self.bottom[firm]))
        spread = float(np.clip(1.4826 * np.median(np.abs(self.bottom[firm] - middle)), 0.08, 0.5))
        near = np.exp(-0.5 * ((self.bottom - middle) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        by_deck = np.log(0.85 * near + 0.15 * 0.5) - np.log(0.5)
        return np.asarray(np.nan_to_num(m / (m + 3.0) * (by_score + by_deck)))


@dataclass(frozen=True, slots=True, repr=False)
class _Gaps:
    """Distances between neighbouring vehicles, end to start, as a density per pixel."""

    gaps_px: FloatArray
    typical_px: float
    length_px: float
    free_share: float

    @classmethod
    def of(cls, clusters: Clusters, probability: FloatArray, typical_px: float, length_px: float) -> _Gaps:
        firm = np.flatnonzero(probability > 0.9)
        gaps = clusters.s0_px[firm][1:] - clusters.s1_px[firm][:-1] if len(firm) > 1 else np.zeros(0)
        return cls(gaps, typical_px, length_px, _free_share(clusters, firm, typical_px))

    def _broad(self, gap_px: FloatArray) -> FloatArray:
        """What the train's own gaps do not show: an exponential, with hardly any overlap of two vehicles."""
        scale = 2.0 * self.typical_px
        edge = np.clip((gap_px + 0.3 * self.typical_px) / (0.3 * self.typical_px), 0, 1)
        return np.asarray(edge * np.exp(-np.maximum(gap_px, 0) / scale) / scale + 1e-9 / scale)

    def _kernel(self, gap_px: FloatArray, at_px: FloatArray) -> FloatArray:
        width = 0.08 * self.typical_px
        return np.asarray(np.exp(-0.5 * ((gap_px - at_px) / width) ** 2) / (width * np.sqrt(2 * np.pi)))

    def _log_density(self, gap_px: FloatArray, own: list[tuple[FloatArray, Bools, float]]) -> FloatArray:
        """Log density per px: a kernel estimate from the train's gaps and the broad rest.

        ``own`` are gaps that stand among the train's because the place in question does (sign -1), or would without it
        (+1): a place is no evidence for itself.
        """
        total = self._kernel(gap_px[:, None], self.gaps_px[None, :]).sum(axis=1)
        m = np.full(len(gap_px), float(len(self.gaps_px)))
        for at_px, holds, sign in own:
            total += sign * holds * self._kernel(gap_px, at_px)
            m += sign * holds
        m = np.maximum(m, 0)
        share = 0.85 * m / (m + 4.0)
        return np.asarray(np.log(share * np.maximum(total, 0) / np.maximum(m, 1) + (1 - share) * self._broad(gap_px)))

    def log_place(self, clusters: Clusters, probability: FloatArray) -> FloatArray:
        """(j,) log prior density per px of a vehicle at each place, given the others that are believed."""
        left, right = _neighbours(probability > 0.5)
        has_left, has_right = left >= 0, right >= 0
        to_left = clusters.s0_px - clusters.s1_px[left]
        to_right = clusters.s0_px[right] - clusters.s1_px
        across = clusters.s0_px[right] - clusters.s1_px[left]
        firm = probability > 0.9
        own = [
            (to_left, firm & has_left & firm[left], -1.0),
            (to_right, firm & has_right & firm[right], -1.0),
            (across, firm & has_left & has_right & firm[left] & firm[right], 1.0),
        ]
        log_left, log_right, log_across = (self._log_density(gap_px, own) for gap_px in (to_left, to_right, across))
        # A train on which no vehicle is believed carries none or few: half a one on all that was seen of it.
        alone = np.log(0.5 / (self.length_px + 2 * self.typical_px))
        one_sided = np.where(has_left, log_left, np.where(has_right, log_right, alone))
        return np.asarray(np.where(has_left & has_right, log_left + log_right - log_across, one_sided))


def _neighbours(believed: Bools) -> tuple[Ints, Ints]:
    """For each place the next believed one to the left and to the right, or -1."""
    index = np.flatnonzero(believed)
    places = np.arange(len(believed))
    padded = np.concatenate([[-1], index, [-1]])
    return padded[np.searchsorted(index, places, "left")], padded[np.searchsorted(index, places, "right") + 1]


def _free_share(clusters: Clusters, firm: Ints, typical_px: float) -> float:
    """Share of all false boxes, over a grid of centres and widths, that no vehicle absorbs."""
    first, last = float(np.min(clusters.s0_px)), float(np.max(clusters.s1_px))
    centre = (first + (last - first) * (np.arange(200) + 0.5) / 200)[:, None]
    s0, s1 = clusters.s0_px[firm], clusters.s1_px[firm]
    free = []
    for width in typical_px * np.exp(LOG_SIZES * (np.arange(6) + 0.5) / 6) / 5:
        shared = overlap_px(s0, s1, centre - width / 2, centre + width / 2)
        taken = np.max(shared / np.minimum(width, np.maximum(s1 - s0, 1e-9)), axis=1, initial=0)
        free.append(np.mean(taken < ABSORB_SHARE))
    return float(np.clip(np.mean(free), 0.03, 1.0))


def _unseen(clusters: Clusters, probability: FloatArray, chances: Opportunities, rates: FloatArray, typical_px: float) -> float:
    """Expected vehicles that no look saw: those the detection rates imply, as far as the train has room for them.

    A vehicle of the population is missed in all its looks with ``P0 = sum_p pi(p) (1 - p)^n``; to each one that was seen belong
    ``P0 / (1 - P0)`` that were not. They can only stand where there is room between the others.
    """
    firm = probability > 0.5
    if not firm.any():
        return 0.0
    # Vehicles that are hard to see hide the rate at which they are missed: of it the looks say less than of anything else.
    cautious = (float(probability.sum()) * rates + CAUTION_VEHICLES * _RATE_PRIOR) / (float(probability.sum()) + CAUTION_VEHICLES)
    p0 = np.minimum(_missed(chances) @ cautious, 0.9)
    implied = float(np.sum((probability * p0 / (1 - p0))[firm]))
    gaps = clusters.s0_px[firm][1:] - clusters.s1_px[firm][:-1]
    room = float(np.sum(np.floor(np.maximum(gaps, 0) / (0.95 * typical_px))))
    return min(implied, 0.5 * room)
