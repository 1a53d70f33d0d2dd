"""Figures over many counted trains: shares and rates with bootstrap intervals, and the weighted count error per class.

Trains are the unit that is drawn anew: vehicles of one train are missed together, so that intervals over vehicles would be too
narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SEGMENTS = 10
"""Pieces of a train's length over which cumulated counts are compared."""
_DRAWS = 1000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class over all matched trains: what there is, what was reported, and the summed absolute error per train."""

    truth: int
    reported: int
    absolute_error: int


@dataclass(frozen=True, slots=True)
class TrainScore:
    """One train of the truth.

    Attributes:
        video, start_s: Which.
        truth, reported: Totals without cars; 0 reported where it was not found.
        low, high: The reported bounds.
        train_id: Of the run's train that it was matched with, or None.
        misses, doubles, wrong_class: Vehicles that were not reported, reports without a vehicle, and vehicles under another
            class; None where either side has no positions.
        listed: Vehicles in the truth's list, cars included.
        condition: As the truth names it, or None.
        direction_right: Whether the direction is; None where it was not found or the truth does not say.
        ends_right: For head and tail, whether the report says rightly that it was seen; None where either side does not say.
        ends_invented: Ends that the report claims to have seen and that were not in the picture.
        cumulative: Class -> (truth, reported), each cumulated over ``SEGMENTS`` pieces of the train's length; classes as the
            truth's parents.
    """

    video: str
    start_s: float
    truth: int
    reported: int
    low: int
    high: int
    train_id: str | None
    misses: int | None
    doubles: int | None
    wrong_class: int | None
    listed: int = 0
    condition: str | None = None
    direction_right: bool | None = None
    ends_right: tuple[bool, bool] | None = None
    ends_invented: int = 0
    cumulative: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        return self.train_id is not None

    @property
    def error(self) -> int:
        """Absolute error of the total."""
        return abs(self.truth - self.reported)

    @staticmethod
    def from_dict(row: Mapping[str, Any]) -> TrainScore:
        """Back from ``asdict`` through JSON."""
        values = dict(row)
        values["ends_right"] = None if row["ends_right"] is None else tuple(row["ends_right"])
        values["cumulative"] = {name: (tuple(t), tuple(r)) for name, (t, r) in row["cumulative"].items()}
        return TrainScore(**values)


@dataclass(frozen=True, slots=True)
class Grouping:
    """How reports and trains go together over one or more videos.

    Attributes:
        invented: Reports without a train.
        merged: Trains that share a report with another one.
        split: Reports that share a train with another one.
    """

    invented: int = 0
    merged: int = 0
    split: int = 0

    def __add__(self, other: Grouping) -> Grouping:
        return Grouping(self.invented + other.invented, self.merged + other.merged, self.split + other.split)


@dataclass(frozen=True, slots=True)
class Scores:
    """How well trains were counted; every share is in [0, 1], and NaN-free: None where nothing can be said.

    Attributes:
        trains: Trains of the truth.
        found: Those that the run reported.
        missed, invented: Trains without a report, and reports without a train.
        merged: Reports that cover more than one train of the truth.
        split: Trains of the truth that are covered by more than one report.
        exact, within_one: Share of the truth's trains whose total is right, or off by one at most. A missed train is wrong.
        mae: Mean absolute error of the total, vehicles a train, missed trains counted in full.
        coverage: Share of found trains whose total lies in its reported interval.
        mean_interval: Mean width of those intervals, vehicles.
        direction: Share of found trains whose direction is right.
        misses_per_100, doubles_per_100, wrong_class_per_100: Per 100 vehicles of the trains where positions are known.
        ends_right: Share of head and tail, over found trains, for which the report says rightly whether they were seen.
        ends_invented: Ends that a report claims to have seen and that were not in the picture.
        false_per_train: Mean count reported on found trains without a single vehicle.
        nw_rmse: Over all classes, weighted by their vehicles; 1 is perfect. See `nw_rmse`.
        classes: Per class, over found trains.
        nw_rmse_classes: Per class.
        bounds: For the names above that are means: 95 % bootstrap interval over trains.
        per_train: Every train of the truth.
    """

    trains: int
    found: int
    missed: int
    invented: int
    merged: int
    split: int
    exact: float | None
    within_one: float | None
    mae: float | None
    coverage: float | None
    mean_interval: float | None
    direction: float | None
    misses_per_100: float | None
    doubles_per_100: float | None
    wrong_class_per_100: float | None
    ends_right: float | None = None
    ends_invented: int = 0
    false_per_train: float | None = None
    nw_rmse: float | None = None
    classes: Mapping[str, ClassScore] = field(default_factory=dict)
    nw_rmse_classes: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    per_train: tuple[TrainScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def shown(self, name: str, form: str = ".3f") -> str:
        """A figure with its interval, for a table."""
        value = getattr(self, name)
        if value is None:
            return "-"
        if name not in self.bounds:
            return format(value, form)
        low, high = self.bounds[name]
        return f"{value:{form}} [{low:{form}}, {high:{form}}]"

    def table(self) -> str:
        """For a terminal: one line per figure, then one per class; 95 % bootstrap intervals over trains in brackets."""
        lines = [
            f"trains        {self.trains}: found {self.found}, missed {self.missed}, invented {self.invented}, "
            f"merged {self.merged}, split {self.split}",
            f"count         exact {self.shown('exact')}, within 1 {self.shown('within_one')}, "
            f"mean error {self.shown('mae', '.2f')}",
            f"intervals     hold the truth {self.shown('coverage')}, mean width {self.shown('mean_interval', '.2f')}",
            f"per 100       misses {self.shown('misses_per_100', '.1f')}, doubles {self.shown('doubles_per_100', '.1f')}, "
            f"wrong class {self.shown('wrong_class_per_100', '.1f')}",
            f"direction     {self.shown('direction')}",
            f"head, tail    rightly seen or not {self.shown('ends_right')}, claimed but not in the picture {self.ends_invented}",
            f"nwRMSE        {self.shown('nw_rmse')}",
        ]
        if self.false_per_train is not None:
            lines.append(f"civil trains  false vehicles a train {self.shown('false_per_train', '.2f')}")
        lines.append(f"{'class':<18}{'truth':>7}{'reported':>10}{'abs. error':>12}{'nwRMSE':>9}")
        for name, score in sorted(self.classes.items()):
            weighted = self.nw_rmse_classes.get(name)
            shown = "-" if weighted is None else f"{weighted:.3f}"
            lines.append(f"{name:<18}{score.truth:>7}{score.reported:>10}{score.absolute_error:>12}{shown:>9}")
        return "\n".join(lines)


def nw_rmse(truth: Sequence[int], reported: Sequence[int]) -> float:
    """Normalised weighted root mean square error of a count that grows, 1 for a perfect one and 0 for one worse than nothing.

    The measure of the AI City Challenge's counting track (Naphade et al., The 4th AI City Challenge, CVPR Workshops 2020), with
    the train's length in place of the video's time: with cumulated counts ``x_i`` and ``y_i`` up to piece ``i`` of ``k``,

        wRMSE = sqrt(sum_i w_i (x_i - y_i)^2),  w_i = 2 i / (k (k + 1)),  nwRMSE = max(0, 1 - wRMSE / x_k)

    A double early in the train and a miss late in it do not cancel before the end, where the weight lies.

    Raises:
        ValueError: There is no vehicle in the truth, or the two differ in length.
    """
    x, y = np.array(truth, dtype=np.float64), np.array(reported, dtype=np.float64)
    if x.shape != y.shape or not len(x) or x[-1] <= 0:
        raise ValueError(f"cumulated counts need one length and a vehicle, got {truth} and {reported}")
    k = len(x)
    weight = 2 * np.arange(1, k + 1) / (k * (k + 1))
    return float(max(0.0, 1.0 - math.sqrt(float(np.sum(weight * (x - y) ** 2))) / x[-1]))


def bootstrap(parts: FloatArray, weights: FloatArray, *, draws: int = _DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of ``sum(parts) / sum(weights)`` over trains drawn anew with replacement.

    Args:
        parts: (n,) what each train adds above the line.
        weights: (n,) and below it; draws in which the line is 0 are left out.
        draws: How often to draw.
        seed: The same seed gives the same interval.
    """
    index = np.random.default_rng(seed).integers(len(parts), size=(draws, len(parts)))
    below = weights[index].sum(axis=1)
    ratios = parts[index].sum(axis=1)[below > 0] / below[below > 0]
    if not len(ratios):
        return math.nan, math.nan
    low, high = np.quantile(ratios, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


_Part = Callable[[TrainScore], tuple[float, float]]


def _placed(value: Callable[[TrainScore], int | None]) -> _Part:
    return lambda s: (100.0 * (value(s) or 0), float(s.listed)) if s.misses is not None else (0.0, 0.0)


def _if_found(value: Callable[[TrainScore], float]) -> _Part:
    return lambda s: (value(s), 1.0) if s.found else (0.0, 0.0)


def _nw(score: TrainScore, only: str | None = None) -> tuple[float, float]:
    parts = [
        (nw_rmse(truth, reported) * truth[-1], float(truth[-1]))
        for name, (truth, reported) in score.cumulative.items()
        if truth[-1] > 0 and only in {None, name}
    ]
    return (sum(a for a, _ in parts), sum(b for _, b in parts)) if parts else (0.0, 0.0)


_MEANS: dict[str, _Part] = {
    "exact": lambda s: (float(s.found and s.error == 0), 1.0),
    "within_one": lambda s: (float(s.found and s.error <= 1), 1.0),
    "mae": lambda s: (float(s.error), 1.0),
    "coverage": _if_found(lambda s: float(s.low <= s.truth <= s.high)),
    "mean_interval": _if_found(lambda s: float(s.high - s.low)),
    "direction": lambda s: (0.0, 0.0) if s.direction_right is None else (float(s.direction_right), 1.0),
    "misses_per_100": _placed(lambda s: s.misses),
    "doubles_per_100": _placed(lambda s: s.doubles),
    "wrong_class_per_100": _placed(lambda s: s.wrong_class),
    "ends_right": lambda s: (0.0, 0.0) if s.ends_right is None else (float(sum(s.ends_right)), 2.0),
    "false_per_train": lambda s: (float(s.reported), 1.0) if s.found and s.truth == 0 and s.listed == 0 else (0.0, 0.0),
    "nw_rmse": _nw,
}


def figures(scores: Sequence[TrainScore], grouping: Grouping, classes: Mapping[str, ClassScore] | None = None) -> Scores:
    """All figures over trains.

    Args:
        scores: Every train of the truth.
        grouping: Of all their videos.
        classes: Counts per class, where they are known.
    """
    values: dict[str, float | None] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for name, part in _MEANS.items():
        table = np.array([part(score) for score in scores], np.float64).reshape(-1, 2)
        parts, weights = table[:, 0], table[:, 1]
        if weights.sum() <= 0:
            values[name] = None
            continue
        values[name] = float(parts.sum() / weights.sum())
        if len(scores) > 1:
            bounds[name] = bootstrap(parts, weights)
    found = sum(score.found for score in scores)
    names = sorted({name for score in scores for name in score.cumulative})
    weighted = {}
    for name in names:
        pairs = [_nw(score, name) for score in scores]
        if sum(vehicles for _, vehicles in pairs):
            weighted[name] = sum(part for part, _ in pairs) / sum(vehicles for _, vehicles in pairs)
    return Scores(
        trains=len(scores),
        found=found,
        missed=len(scores) - found,
        invented=grouping.invented,
        merged=grouping.merged,
        split=grouping.split,
        ends_invented=sum(score.ends_invented for score in scores),
        classes=classes or {},
        nw_rmse_classes=weighted,
        bounds=bounds,
        per_train=tuple(scores),
        **values,
    )
