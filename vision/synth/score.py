"""Counts against the truth: what `flatcar evaluate counts` prints.

Trains are matched by video and time. Within a pair of trains, vehicles are matched along the train, not by number: a
miss and a double are two errors, though the count comes out right.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vision.errors import TruthError
from vision.synth.figures import SEGMENTS, ClassScore, Grouping, Scores, TrainScore, figures

__all__ = ["ClassScore", "Scores", "TrainScore", "TruthTrain", "TruthVehicle", "evaluate_counts", "match_along", "read_truth"]

FloatArray = NDArray[np.float64]

_OTHER_SCALES = (0.4, 3.0)
_SAME_WIDTH = 1.4

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
    """A line of ``truth.ndjson``; what a line may leave out is None where it does.

    Attributes:
        video, start_s, end_s: Which train.
        vehicles: Number by class.
        listed: All vehicles from the head on.
        direction: ``left``, ``right`` or ``still``.
        length_px: Over couplers, the scale of the positions.
        condition: What it was filmed under, for figures by condition.
        ends_seen: Whether head and tail were in the picture.
    """

    video: str
    start_s: float
    end_s: float
    vehicles: Mapping[str, int]
    listed: tuple[TruthVehicle, ...] | None
    direction: str | None = None
    length_px: float | None = None
    condition: str | None = None
    ends_seen: tuple[bool, bool] | None = None

    @property
    def total(self) -> int:
        """All but cars."""
        return sum(count for name, count in self.vehicles.items() if name not in NOT_MILITARY)


@dataclass(frozen=True, slots=True)
class FoundTrain:
    """A line of a run's ``trains.ndjson`` with its vehicles, in order from the head: (class, position_px).

    ``complete`` says whether head and tail were seen, None where the line does not; ``width_px`` is the median width of its
    vehicles' boxes, None where none is given.
    """

    train_id: str
    video: str
    start_s: float
    end_s: float
    vehicles: Mapping[str, tuple[int, int, int]]
    total: tuple[int, int, int]
    direction: str
    listed: tuple[tuple[str, float], ...] | None
    complete: tuple[bool, bool] | None = None
    width_px: float | None = None


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


def _both(row: Mapping[str, Any], keys: tuple[str, str], where: str) -> tuple[bool, bool] | None:
    """Two truth values, or None where either is missing."""
    values = [row.get(key) for key in keys]
    if any(value is None for value in values):
        return None
    for key, value in zip(keys, values, strict=True):
        if not isinstance(value, bool):
            raise TruthError(f"{where}: {key} must be true or false, got {value!r}")
    return bool(values[0]), bool(values[1])


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
        trains.append(
            TruthTrain(
                _text(row, "video", where),
                start_s,
                end_s,
                vehicles,
                listed,
                direction,
                length_px,
                _text(row, "condition", where) if row.get("condition") is not None else None,
                _both(row, ("head_seen", "tail_seen"), where),
            )
        )
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
    widths: dict[str, list[float]] = defaultdict(list)
    for number, row in enumerate(vehicles or (), start=1):
        where = f"vehicles row {number}"
        if row.get("xyxy_px") is not None:
            widths[_text(row, "train_id", where)].append(_box_width(row["xyxy_px"], where))
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
                complete=_both(row.get("complete") or {}, ("head", "tail"), where),
                width_px=float(np.median(widths[train_id])) if widths.get(train_id) else None,
            )
        )
    return trains


def _box_width(value: object, where: str) -> float:
    try:
        x0, _, x1, _ = (float(edge) for edge in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise TruthError(f"{where}: xyxy_px must be four numbers, got {value!r}") from error
    return x1 - x0


# Matching.


def _overlap_s(truth: TruthTrain, found: FoundTrain) -> float:
    """Seconds that both cover; a train as short as one frame still overlaps itself."""
    if Path(truth.video).name != Path(found.video).name:
        return 0.0
    return max(0.0, min(truth.end_s, found.end_s) - max(truth.start_s, found.start_s) + 1e-3)


def match_trains(truth: Sequence[TruthTrain], found: Sequence[FoundTrain]) -> tuple[list[int | None], Grouping]:
    """Each train of the truth with its report: the pairing with the most common time; of like ones that of the same direction.

    A report covers a train when they share a third of the shorter one's time. A report that covers several trains has merged
    them, and a train that several reports cover was split; but two trains that pass side by side cover each other's reports,
    and what is another's own report counts for neither.

    Returns:
        For each train of the truth an index into ``found`` or None; and how they go together.
    """
    overlap = np.array([[_overlap_s(t, f) for f in found] for t in truth], np.float64).reshape(len(truth), len(found))
    agree = np.array([[t.direction == f.direction for f in found] for t in truth], bool).reshape(overlap.shape)
    rows, columns = linear_sum_assignment(-overlap * np.where(agree, 1.5, 1.0))
    pairs: list[int | None] = [None] * len(truth)
    for row, column in zip(rows, columns, strict=True):
        if overlap[row, column] > 0:
            pairs[int(row)] = int(column)
    own = np.array([[pairs[t] == f for f in range(len(found))] for t in range(len(truth))], bool).reshape(overlap.shape)
    shorter = np.array(
        [[min(t.end_s - t.start_s, f.end_s - f.start_s) + 1e-3 for f in found] for t in truth], np.float64
    ).reshape(overlap.shape)
    covers = overlap > shorter / 3
    merged, split = 0, 0
    for f in range(len(found)):
        mine = [t for t in np.flatnonzero(covers[:, f]) if own[t, f] or not _beside(truth, pairs, int(t), f)]
        merged += len(mine) > 1
    for t in range(len(truth)):
        mine = [f for f in np.flatnonzero(covers[t]) if own[t, f] or not _beside(truth, pairs, t, int(f))]
        split += len(mine) > 1
    return pairs, Grouping(len(found) - sum(k is not None for k in pairs), merged, split)


def _beside(truth: Sequence[TruthTrain], pairs: Sequence[int | None], t: int, f: int) -> bool:
    """Whether train and report each have another partner of their own, and the two trains pass at the same time."""
    other = next((k for k, pair in enumerate(pairs) if pair == f), None)
    if pairs[t] is None or other is None or other == t:
        return False
    common_s = min(truth[t].end_s, truth[other].end_s) - max(truth[t].start_s, truth[other].start_s)
    return common_s > 0.25 * min(truth[t].end_s - truth[t].start_s, truth[other].end_s - truth[other].start_s)


def match_along(
    truth_px: FloatArray, width_px: FloatArray, found_px: FloatArray, found_width_px: float | None = None
) -> list[tuple[int, int]]:
    """Vehicles matched with reports along a train.

    The run's coordinate may be stretched and shifted against the truth's (its head was found too early, its speed was a
    little off), so scale and offset are searched for, then refined; a pair holds when it lies within half a vehicle's width.

    Args:
        truth_px: (n,) centres, increasing.
        width_px: (n,) widths, same scale.
        found_px: (m,) centres, increasing.
        found_width_px: How wide a reported vehicle is, same scale as ``found_px``; None where that is not known.

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
            if not 0.7 * scale <= slope <= 1.4 * scale:
                break
            again, again_cost = _pairs_at(truth_px, width_px, found_px * slope + shift)
            if (len(again), -again_cost) <= (len(pairs), -cost):
                break
            pairs, cost = again, again_cost
        if (len(pairs), -cost) > (len(best), -best_cost) and _as_wide(truth_px, width_px, found_px, found_width_px, pairs):
            best, best_cost = pairs, cost
        if len(best) == min(len(truth_px), len(found_px)) and best_cost < 0.2 * len(best):
            break
    return best


def _as_wide(
    truth_px: FloatArray, width_px: FloatArray, found_px: FloatArray, found_width_px: float | None, pairs: list[tuple[int, int]]
) -> bool:
    """Whether the scale of a pairing makes the reported vehicles as wide as the true ones.

    Evenly spaced vehicles fit at half the scale as well: half a train counted twice would then pass for a whole one.
    """
    if found_width_px is None or len(pairs) < 3:
        return True
    t, f = (np.array(side) for side in zip(*pairs, strict=True))
    wider = float(np.polyfit(found_px[f], truth_px[t], 1)[0]) * found_width_px / float(np.median(width_px))
    return 1 / _SAME_WIDTH <= wider <= _SAME_WIDTH


def _starts(truth_px: FloatArray, found_px: FloatArray) -> list[tuple[float, float]]:
    """Scales and offsets to try: as it is; and, for scales near 1, every truth vehicle laid on the first and last reports."""
    starts = [(1.0, 0.0)]
    # As it is comes first and wins ties: a shift by one pitch must earn its place.
    for scale in sorted(np.arange(0.90, 1.105, 0.01), key=lambda value: abs(value - 1)):
        for anchor in sorted({0, len(found_px) // 2, len(found_px) - 1}):
            gaps = truth_px - found_px[anchor] * scale
            near = np.argsort(np.abs(gaps))[:7]
            starts += [(float(scale), float(gaps[i])) for i in near]
    # An oblique view has a scale of its own: either end, or the vehicle next to it, laid on either end.
    if len(truth_px) > 2 and len(found_px) > 2:
        for t0, t1, f0, f1 in itertools.product((0, 1), (-1, -2), (0, 1), (-1, -2)):
            if truth_px[t1] > truth_px[t0] and found_px[f1] > found_px[f0]:
                scale = (truth_px[t1] - truth_px[t0]) / (found_px[f1] - found_px[f0])
                if _OTHER_SCALES[0] <= scale <= _OTHER_SCALES[1]:
                    starts.append((float(scale), float(truth_px[t0] - found_px[f0] * scale)))
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
    return evaluate_by_condition(truth, trains, vehicles, parents=parents)[0]


def evaluate_by_condition(
    truth: Path | Sequence[TruthTrain],
    trains: Iterable[Mapping[str, Any]],
    vehicles: Iterable[Mapping[str, Any]] | None = None,
    *,
    parents: Mapping[str, str] | None = None,
) -> tuple[Scores, dict[str, Scores]]:
    """As `evaluate_counts`, and for each condition that the truth names by itself, in order of their names.

    A condition's own scores go over its videos: reports on them without a train are theirs.
    """
    expected = read_truth(truth) if isinstance(truth, Path) else list(truth)
    found = found_trains(trains, vehicles)
    every = figures(*score_trains(expected, found, parents=parents))
    parts = {}
    for name in sorted({train.condition for train in expected if train.condition is not None}):
        own = [train for train in expected if train.condition == name]
        videos = {Path(train.video).name for train in own}
        theirs = [train for train in found if Path(train.video).name in videos]
        parts[name] = figures(*score_trains(own, theirs, parents=parents))
    return every, parts


def score_trains(
    truth: Sequence[TruthTrain], found: Sequence[FoundTrain], *, parents: Mapping[str, str] | None = None
) -> tuple[tuple[TrainScore, ...], Grouping, dict[str, ClassScore]]:
    """Each train of the truth against its report, how trains and reports go together, and counts per class over found trains.

    Args:
        truth: What there is.
        found: What was reported.
        parents: See `evaluate_counts`.
    """
    pairs, grouping = match_trains(truth, found)
    scores = tuple(_train_score(t, None if k is None else found[k], parents or {}) for t, k in zip(truth, pairs, strict=True))
    matched = [(t, found[k]) for t, k in zip(truth, pairs, strict=True) if k is not None]
    return scores, grouping, _class_scores(matched)


def _train_score(truth: TruthTrain, found: FoundTrain | None, parents: Mapping[str, str]) -> TrainScore:
    count, low, high = found.total if found else (0, 0, 0)
    score = TrainScore(
        truth.video,
        truth.start_s,
        truth.total,
        count,
        low,
        high,
        found.train_id if found else None,
        misses=None,
        doubles=None,
        wrong_class=None,
        listed=len(truth.listed or ()),
        condition=truth.condition,
        direction_right=None if found is None or truth.direction is None else truth.direction == found.direction,
        cumulative=_totals(truth, found, parents),
    )
    if found is not None and found.complete is not None and truth.ends_seen is not None:
        claims = list(zip(truth.ends_seen, found.complete, strict=True))
        right = (claims[0][0] == claims[0][1], claims[1][0] == claims[1][1])
        score = replace(score, ends_right=right, ends_invented=sum(said and not seen for seen, said in claims))
    if truth.listed is None or (found is not None and found.listed is None):
        return score
    centres = np.array([vehicle.position_px for vehicle in truth.listed])
    widths = np.array([vehicle.width_px for vehicle in truth.listed])
    listed, pairs = _placed(truth, found, centres, widths, parents)
    return replace(
        score,
        misses=len(truth.listed) - len(pairs),
        doubles=len(listed) - len(pairs),
        wrong_class=sum(not _same(truth.listed[t].class_name, listed[f][0], parents) for t, f in pairs),
        cumulative=_cumulative(truth, centres, listed, pairs, parents),
    )


_Listed = tuple[tuple[str, float], ...]


def _placed(
    truth: TruthTrain, found: FoundTrain | None, centres: FloatArray, widths: FloatArray, parents: Mapping[str, str]
) -> tuple[_Listed, list[tuple[int, int]]]:
    """The reported vehicles in the truth's order, and which is which."""
    listed = () if found is None else found.listed or ()
    readings = [listed]
    if listed and found is not None:
        turned = tuple((name, listed[-1][1] - position) for name, position in reversed(listed))
        if truth.direction == "still":
            # Whoever films a standing train may take either end for the head.
            readings = [listed, turned]
        elif truth.direction == "right" and found.direction in {"still", "unknown"}:
            # Without a direction a run counts from the left end, and that is this train's tail.
            readings = [turned]
    wide_px = found.width_px if found is not None else None
    best = [(reading, match_along(centres, widths, np.array([px for _, px in reading]), wide_px)) for reading in readings]
    named = [vehicle.class_name for vehicle in truth.listed or ()]

    def agreement(reading: tuple[_Listed, list[tuple[int, int]]]) -> tuple[int, int]:
        return len(reading[1]), sum(_same(named[t], reading[0][f][0], parents) for t, f in reading[1])

    return max(best, key=agreement)


def _totals(
    truth: TruthTrain, found: FoundTrain | None, parents: Mapping[str, str]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Counts per class as a single piece, for where no positions are known."""
    sides = []
    for counts in (truth.vehicles, {name: count for name, (count, _, _) in found.vehicles.items()} if found else {}):
        side: Counter[str] = Counter()
        for name, count in counts.items():
            side[parents.get(name, name)] += count
        sides.append(side)
    return {name: ((sides[0][name],), (sides[1][name],)) for name in sorted({*sides[0], *sides[1]})}


def _cumulative(
    truth: TruthTrain, centres: FloatArray, listed: _Listed, pairs: list[tuple[int, int]], parents: Mapping[str, str]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Counts per class cumulated along the train; reports are laid onto the truth by the vehicles that they share."""
    if not len(centres) and not listed:
        return {}
    places = np.array([position for _, position in listed], np.float64)
    if len(pairs) >= 2:
        t, f = (np.array(side) for side in zip(*pairs, strict=True))
        slope, shift = np.polyfit(places[f], centres[t], 1)
        places = places * slope + shift
    for t_index, f_index in pairs:
        places[f_index] = centres[t_index]
    length_px = truth.length_px or float(max([*centres, *places, 1.0]))
    pieces = [np.clip(np.floor(side / length_px * SEGMENTS), 0, SEGMENTS - 1).astype(int) for side in (centres, places)]
    names = [
        [parents.get(vehicle.class_name, vehicle.class_name) for vehicle in truth.listed or ()],
        [parents.get(name, name) for name, _ in listed],
    ]
    out = {}
    for name in sorted({*names[0], *names[1]}):
        sides = []
        for piece, own in zip(pieces, names, strict=True):
            at = np.array([p for p, n in zip(piece, own, strict=True) if n == name], dtype=np.int64)
            sides.append(np.cumsum(np.bincount(at, minlength=SEGMENTS)))
        out[name] = (tuple(int(v) for v in sides[0]), tuple(int(v) for v in sides[1]))
    return out


def _same(truth: str, reported: str, parents: Mapping[str, str]) -> bool:
    return reported in {truth, parents.get(truth, truth)}


def _class_scores(matched: Sequence[tuple[TruthTrain, FoundTrain]]) -> dict[str, ClassScore]:
    names = sorted({name for t, f in matched for name in (*t.vehicles, *f.vehicles)})
    scores = {}
    for name in names:
        pairs = [(t.vehicles.get(name, 0), f.vehicles.get(name, (0, 0, 0))[0]) for t, f in matched]
        scores[name] = ClassScore(sum(a for a, _ in pairs), sum(b for _, b in pairs), sum(abs(a - b) for a, b in pairs))
    return scores
