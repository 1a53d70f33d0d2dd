"""Counts against the truth: what `flatcar evaluate counts` prints.

Trains are matched by video and time. Within a pair of trains, vehicles are matched along the train, not by number: a
miss and a double are two errors, though the count comes out right.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vision.errors import TruthError

FloatArray = NDArray[np.float64]

NOT_MILITARY = frozenset({"car", "uaz", "civil_car"})
"""Classes that a train's total leaves out."""


@dataclass(frozen=True, slots=True)
class TruthVehicle:
    """A vehicle of the truth: centre behind the head and width, pixels along the train."""

    class_name: str
    position_px: float
    width_px: float


@dataclass(frozen=True, slots=True)
class TruthTrain:
    """A line of ``truth.ndjson``; ``listed`` is None where the line has no list of vehicles."""

    video: str
    start_s: float
    end_s: float
    vehicles: Mapping[str, int]
    listed: tuple[TruthVehicle, ...] | None
    direction: str | None = None
    length_px: float | None = None

    @property
    def total(self) -> int:
        """All but cars."""
        return sum(count for name, count in self.vehicles.items() if name not in NOT_MILITARY)


@dataclass(frozen=True, slots=True)
class FoundTrain:
    """A line of a run's ``trains.ndjson`` with its vehicles, in order from the head: (class, position_px)."""

    train_id: str
    video: str
    start_s: float
    end_s: float
    vehicles: Mapping[str, tuple[int, int, int]]
    total: tuple[int, int, int]
    direction: str
    listed: tuple[tuple[str, float], ...] | None


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
        classes: Per class, over found trains.
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
    classes: Mapping[str, ClassScore] = field(default_factory=dict)
    per_train: tuple[TrainScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def table(self) -> str:
        """For a terminal: one line per figure, then one per class."""

        def show(value: float | None, form: str = ".3f") -> str:
            return "-" if value is None else format(value, form)

        lines = [
            f"trains        {self.trains}: found {self.found}, missed {self.missed}, invented {self.invented}, "
            f"merged {self.merged}, split {self.split}",
            f"count         exact {show(self.exact)}, within 1 {show(self.within_one)}, mean error {show(self.mae, '.2f')}",
            f"intervals     hold the truth {show(self.coverage)}, mean width {show(self.mean_interval, '.2f')}",
            f"per 100       misses {show(self.misses_per_100, '.1f')}, doubles {show(self.doubles_per_100, '.1f')}, "
            f"wrong class {show(self.wrong_class_per_100, '.1f')}",
            f"direction     {show(self.direction)}",
            f"{'class':<18}{'truth':>7}{'reported':>10}{'abs. error':>12}",
        ]
        lines += [
            f"{name:<18}{score.truth:>7}{score.reported:>10}{score.absolute_error:>12}"
            for name, score in sorted(self.classes.items())
        ]
        return "\n".join(lines)


# Reading. Every value is checked where it enters; an error names file and line.


def read_ndjson(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The objects of an NDJSON file, each with its ``file:line``; empty lines are skipped.

    Raises:
        TruthError: The file cannot be read, or a line is not a JSON object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TruthError(f"cannot read {path}: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, parse_constant=_no_constant)
        except ValueError as error:
            raise TruthError(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise TruthError(f"{where}: a line holds one JSON object, not {type(row).__name__}")
        rows.append((where, row))
    return rows


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _number(row: Mapping[str, Any], key: str, where: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TruthError(f"{where}: {key} must be a finite number, got {value!r}" if key in row else f"{where}: {key} is missing")
    return float(value)


def _count(value: object, name: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TruthError(f"{where}: {name} must be a whole number of at least 0, got {value!r}")
    return value


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise TruthError(f"{where}: {key} must be a text" if key in row else f"{where}: {key} is missing")
    return value


def _mapping(row: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = row.get(key)
    if not isinstance(value, dict):
        raise TruthError(f"{where}: {key} must map classes to counts" if key in row else f"{where}: {key} is missing")
    return value


def _span(row: Mapping[str, Any], where: str) -> tuple[float, float]:
    start_s, end_s = _number(row, "start_s", where), _number(row, "end_s", where)
    if end_s < start_s:
        raise TruthError(f"{where}: the train ends at {end_s} s, before it starts at {start_s} s")
    return start_s, end_s


def read_truth(path: Path) -> list[TruthTrain]:
    """The trains of a truth file.

    Raises:
        TruthError: With file and line.
    """
    trains = []
    for where, row in read_ndjson(path):
        start_s, end_s = _span(row, where)
        vehicles = {name: _count(value, f"vehicles.{name}", where) for name, value in _mapping(row, "vehicles", where).items()}
        listed = _truth_list(row["list"], where) if row.get("list") is not None else None
        if listed is not None and Counter(v.class_name for v in listed) != Counter(vehicles):
            raise TruthError(f"{where}: list and vehicles do not agree")
        length_px = _number(row, "length_px", where) if row.get("length_px") is not None else None
        direction = _text(row, "direction", where) if row.get("direction") is not None else None
        trains.append(TruthTrain(_text(row, "video", where), start_s, end_s, vehicles, listed, direction, length_px))
    return trains


def _truth_list(value: object, where: str) -> tuple[TruthVehicle, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TruthError(f"{where}: list must be a list of vehicles")
    found = []
    for number, item in enumerate(value):
        at = f"{where}: list[{number}]"
        width_px = _number(item, "width_px", at)
        if width_px <= 0:
            raise TruthError(f"{at}: width_px must be positive, got {width_px}")
        found.append(TruthVehicle(_text(item, "class", at), _number(item, "position_px", at), width_px))
    return tuple(sorted(found, key=lambda vehicle: vehicle.position_px))


def _interval(value: object, name: str, where: str) -> tuple[int, int, int]:
    if not isinstance(value, dict):
        raise TruthError(f"{where}: {name} must hold count, low and high")
    count, low, high = (_count(value.get(key), f"{name}.{key}", where) for key in ("count", "low", "high"))
    if not low <= count <= high:
        raise TruthError(f"{where}: {name}: {low} <= {count} <= {high} does not hold")
    return count, low, high


def found_trains(
    rows: Iterable[Mapping[str, Any]], vehicles: Iterable[Mapping[str, Any]] | None = None, *, name: str = "trains.ndjson"
) -> list[FoundTrain]:
    """A run's trains from its rows.

    Args:
        rows: Of ``trains.ndjson``.
        vehicles: Of ``vehicles.ndjson``; None where there are none to compare.
        name: What to call the table in an error.

    Raises:
        TruthError: A row is not of the expected form.
    """
    by_train: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for number, row in enumerate(vehicles or (), start=1):
        where = f"vehicles row {number}"
        by_train[_text(row, "train_id", where)].append((_number(row, "position_px", where), _text(row, "class", where)))
    trains = []
    for number, row in enumerate(rows, start=1):
        where = f"{name}:{number}"
        start_s, end_s = _span(row, where)
        train_id = _text(row, "train_id", where)
        trains.append(
            FoundTrain(
                train_id=train_id,
                video=_text(row, "video", where),
                start_s=start_s,
                end_s=end_s,
                vehicles={k: _interval(v, f"vehicles.{k}", where) for k, v in _mapping(row, "vehicles", where).items()},
                total=_interval(row.get("total"), "total", where),
                direction=_text(row, "direction", where),
                listed=None if vehicles is None else tuple((c, p) for p, c in sorted(by_train.get(train_id, []))),
            )
        )
    return trains


# Matching.


def _overlap_s(truth: TruthTrain, found: FoundTrain) -> float:
    """Seconds that both cover; a train as short as one frame still overlaps itself."""
    if Path(truth.video).name != Path(found.video).name:
        return 0.0
    return max(0.0, min(truth.end_s, found.end_s) - max(truth.start_s, found.start_s) + 1e-3)


def match_trains(truth: Sequence[TruthTrain], found: Sequence[FoundTrain]) -> tuple[list[int | None], int, int]:
    """Each train of the truth with its report: the pairing with the most common time.

    Returns:
        For each train of the truth an index into ``found`` or None; how many reports are merged; how many trains are split.
        A report or train counts as covering another when they share a third of the shorter one.
    """
    overlap = np.array([[_overlap_s(t, f) for f in found] for t in truth], np.float64).reshape(len(truth), len(found))
    rows, columns = linear_sum_assignment(-overlap)
    pairs: list[int | None] = [None] * len(truth)
    for row, column in zip(rows, columns, strict=True):
        if overlap[row, column] > 0:
            pairs[int(row)] = int(column)
    shorter = np.array(
        [[min(t.end_s - t.start_s, f.end_s - f.start_s) + 1e-3 for f in found] for t in truth], np.float64
    ).reshape(overlap.shape)
    covers = overlap > shorter / 3
    return pairs, int((covers.sum(axis=0) > 1).sum()), int((covers.sum(axis=1) > 1).sum())


def match_along(truth_px: FloatArray, width_px: FloatArray, found_px: FloatArray) -> list[tuple[int, int]]:
    """Vehicles matched with reports along a train.

    The run's coordinate may be stretched and shifted against the truth's (its head was found too early, its speed was a
    little off), so scale and offset are searched for, then refined; a pair holds when it lies within half a vehicle's width.

    Args:
        truth_px: (n,) centres, increasing.
        width_px: (n,) widths, same scale.
        found_px: (m,) centres, increasing.

    Returns:
        Pairs (truth, found), each index at most once.
    """
    if not len(truth_px) or not len(found_px):
        return []
    best: list[tuple[int, int]] = []
    best_cost = math.inf
    for scale, offset in _starts(truth_px, found_px):
        pairs, cost = _pairs_at(truth_px, width_px, found_px * scale + offset)
        for _ in range(3):
            if len(pairs) < 3:
                break
            t, f = (np.array(side) for side in zip(*pairs, strict=True))
            slope, shift = np.polyfit(found_px[f], truth_px[t], 1)
            if not 0.7 <= slope <= 1.4:
                break
            again, again_cost = _pairs_at(truth_px, width_px, found_px * slope + shift)
            if (len(again), -again_cost) <= (len(pairs), -cost):
                break
            pairs, cost = again, again_cost
        if (len(pairs), -cost) > (len(best), -best_cost):
            best, best_cost = pairs, cost
        if len(best) == min(len(truth_px), len(found_px)) and best_cost < 0.2 * len(best):
            break
    return best


def _starts(truth_px: FloatArray, found_px: FloatArray) -> list[tuple[float, float]]:
    """Scales and offsets to try: as it is; and, for scales near 1, every truth vehicle laid on the first and last reports."""
    starts = [(1.0, 0.0)]
    # As it is comes first and wins ties: a shift by one pitch must earn its place.
    for scale in sorted(np.arange(0.90, 1.105, 0.01), key=lambda value: abs(value - 1)):
        for anchor in sorted({0, len(found_px) // 2, len(found_px) - 1}):
            gaps = truth_px - found_px[anchor] * scale
            near = np.argsort(np.abs(gaps))[:7]
            starts += [(float(scale), float(gaps[i])) for i in near]
    return starts


def _pairs_at(truth_px: FloatArray, width_px: FloatArray, found_px: FloatArray) -> tuple[list[tuple[int, int]], float]:
    """The cheapest one-to-one pairing of near neighbours, and its summed distance in widths."""
    distance = np.abs(truth_px[:, None] - found_px[None]) / width_px[:, None]
    # Beyond half a width nothing pairs; the step in cost makes one more pair worth any distance.
    cost = np.where(distance <= 0.5, distance - 10.0, 0.0)
    rows, columns = linear_sum_assignment(cost)
    pairs = [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if distance[r, c] <= 0.5]
    return pairs, float(sum(distance[r, c] for r, c in pairs))


def evaluate_counts(
    truth: Path | Sequence[TruthTrain],
    trains: Iterable[Mapping[str, Any]],
    vehicles: Iterable[Mapping[str, Any]] | None = None,
    *,
    parents: Mapping[str, str] | None = None,
) -> Scores:
    """Score a run's tables against a truth file.

    Args:
        truth: The file, or its trains.
        trains: Rows of ``trains.ndjson``.
        vehicles: Rows of ``vehicles.ndjson``: with them, and a list in the truth, misses and doubles are told apart.
        parents: Leaf -> parent; a vehicle reported under the truth's parent is then not a wrong class.

    Raises:
        TruthError: A line or row is not of the expected form, with its place.
    """
    expected = read_truth(truth) if isinstance(truth, Path) else list(truth)
    found = found_trains(trains, vehicles)
    pairs, merged, split = match_trains(expected, found)
    per_train = tuple(
        _train_score(t, None if k is None else found[k], parents or {}) for t, k in zip(expected, pairs, strict=True)
    )
    matched = [(t, found[k]) for t, k in zip(expected, pairs, strict=True) if k is not None]
    errors = [abs(score.truth - score.reported) for score in per_train]
    placed = [score for score in per_train if score.misses is not None]
    vehicles_placed = sum(len(t.listed or ()) for t, s in zip(expected, per_train, strict=True) if s.misses is not None)
    directed = [(t, f) for t, f in matched if t.direction is not None]

    def per_100(name: str) -> float | None:
        return 100.0 * sum(getattr(score, name) for score in placed) / vehicles_placed if vehicles_placed else None

    return Scores(
        trains=len(expected),
        found=len(matched),
        missed=len(expected) - len(matched),
        invented=len(found) - len(matched),
        merged=merged,
        split=split,
        exact=_mean([error == 0 and score.train_id is not None for error, score in zip(errors, per_train, strict=True)]),
        within_one=_mean([error <= 1 and score.train_id is not None for error, score in zip(errors, per_train, strict=True)]),
        mae=_mean(errors),
        coverage=_mean([f.total[1] <= t.total <= f.total[2] for t, f in matched]),
        mean_interval=_mean([f.total[2] - f.total[1] for _, f in matched]),
        direction=_mean([t.direction == f.direction for t, f in directed]),
        misses_per_100=per_100("misses"),
        doubles_per_100=per_100("doubles"),
        wrong_class_per_100=per_100("wrong_class"),
        classes=_class_scores(matched),
        per_train=per_train,
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _train_score(truth: TruthTrain, found: FoundTrain | None, parents: Mapping[str, str]) -> TrainScore:
    misses: int | None = None
    doubles: int | None = None
    wrong: int | None = None
    if truth.listed is not None and found is None:
        misses, doubles, wrong = len(truth.listed), 0, 0
    elif truth.listed is not None and found is not None and found.listed is not None:
        centres = np.array([vehicle.position_px for vehicle in truth.listed])
        widths = np.array([vehicle.width_px for vehicle in truth.listed])
        listed = found.listed
        if truth.direction == "right" and found.direction in {"still", "unknown"} and listed:
            # Without a direction a run counts from the left end, and that is this train's tail.
            listed = tuple((name, listed[-1][1] - position) for name, position in reversed(listed))
        pairs = match_along(centres, widths, np.array([position for _, position in listed]))
        misses, doubles = len(truth.listed) - len(pairs), len(listed) - len(pairs)
        wrong = sum(not _same(truth.listed[t].class_name, listed[f][0], parents) for t, f in pairs)
    count, low, high = found.total if found else (0, 0, 0)
    train_id = found.train_id if found else None
    return TrainScore(truth.video, truth.start_s, truth.total, count, low, high, train_id, misses, doubles, wrong)


def _same(truth: str, reported: str, parents: Mapping[str, str]) -> bool:
    return reported in {truth, parents.get(truth, truth)}


def _class_scores(matched: Sequence[tuple[TruthTrain, FoundTrain]]) -> dict[str, ClassScore]:
    names = sorted({name for t, f in matched for name in (*t.vehicles, *f.vehicles)})
    scores = {}
    for name in names:
        pairs = [(t.vehicles.get(name, 0), f.vehicles.get(name, (0, 0, 0))[0]) for t, f in matched]
        scores[name] = ClassScore(sum(a for a, _ in pairs), sum(b for _, b in pairs), sum(abs(a - b) for a, b in pairs))
    return scores
