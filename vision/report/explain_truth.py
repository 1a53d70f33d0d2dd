"""The truth laid along a counted train: which vehicle was missed, which was invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision.report.words import parent_of
from vision.run.explain import PassageCase, VideoCase
from vision.run.tables import train_rows, vehicle_rows
from vision.synth.score import TruthTrain, TruthVehicle, found_trains, match_along, match_trains
from vision.types import FloatArray


@dataclass(frozen=True, slots=True)
class TruthMark:
    """A true vehicle.

    Attributes:
        s_px: Its middle in the train coordinate as measured.
        width_px: Its width along the train.
        class_name: What it is.
        vehicle: ``Vehicle.index`` of what it was counted as, or None where it was missed.
        counted_as: The class it was counted under where that is neither its own nor its parent, else None.
    """

    s_px: float
    width_px: float
    class_name: str
    vehicle: int | None
    counted_as: str | None = None


@dataclass(frozen=True, slots=True)
class TrainTruth:
    """What is true of one counted train.

    Attributes:
        total: Military vehicles.
        marks: Its vehicles in order of ``s``; None where the truth gives no places.
        extra: Counted vehicles that are none: doubles and false ones.
    """

    total: int
    marks: tuple[TruthMark, ...] | None
    extra: frozenset[int]

    @property
    def misses(self) -> int:
        return sum(mark.vehicle is None for mark in self.marks or ())

    @property
    def wrong_class(self) -> int:
        return sum(mark.counted_as is not None for mark in self.marks or ())


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """The truth of one clip.

    Attributes:
        of: Train id -> what is true of it; trains that are not in the truth are missing.
        trains: How many trains the truth has for this clip.
        missed: Its trains that were not found.
    """

    of: Mapping[str, TrainTruth]
    trains: int
    missed: tuple[TruthTrain, ...]


def truth_of(case: VideoCase, truth: Sequence[TruthTrain]) -> ClipTruth:
    """The trains of a truth file matched with those of a clip, and their vehicles along them."""
    here = [train for train in truth if Path(train.video).name == case.path.name]
    found = found_trains(train_rows([case.result]), vehicle_rows([case.result]))
    # The table may shorten a name that is hard to print; the clip is the same one.
    found = [replace(f, video=case.path.name) for f in found]
    pairs = match_trains(here, found)[0]
    passages = {p.train_id: p for p in case.passages if p.train_id is not None}
    of = {}
    for train, k in zip(here, pairs, strict=True):
        if k is not None:
            of[found[k].train_id] = _along(train, passages[found[k].train_id])
    missed = tuple(train for train, k in zip(here, pairs, strict=True) if k is None)
    return ClipTruth(of, len(here), missed)


def _along(truth: TruthTrain, passage: PassageCase) -> TrainTruth:
    """True vehicles in the measured coordinate."""
    vehicles = passage.counted.train.vehicles
    if truth.listed is None:
        return TrainTruth(truth.total, None, frozenset())
    by_place = sorted(vehicles, key=lambda v: v.position_px)
    found_px = np.array([v.position_px for v in by_place], np.float64)
    wide_px = float(np.median([v.width_px for v in by_place])) if by_place else None
    readings = [(listed, true_px, _matched(listed, true_px, found_px, wide_px)) for listed, true_px in _readings(truth, passage)]
    listed, true_px, pairs = max(readings, key=lambda reading: len(reading[2]))
    vehicle_of = {t: by_place[f].index for t, f in pairs}
    wrong = {t: by_place[f].class_name for t, f in pairs if not _same(listed[t].class_name, by_place[f].class_name)}
    along_px, stretch = _in_found(true_px, found_px, pairs)
    trace = passage.counted.trace
    marks = [
        TruthMark(trace.head_px + trace.sign * float(x), v.width_px * stretch, v.class_name, vehicle_of.get(t), wrong.get(t))
        for t, (v, x) in enumerate(zip(listed, along_px, strict=True))
    ]
    extra = frozenset(v.index for v in vehicles) - set(vehicle_of.values())
    return TrainTruth(truth.total, tuple(sorted(marks, key=lambda m: m.s_px)), extra)


def _readings(truth: TruthTrain, passage: PassageCase) -> list[tuple[list[TruthVehicle], FloatArray]]:
    """True vehicles and their positions from the end that the count runs from; from both where either may be meant."""
    listed = sorted(truth.listed or (), key=lambda v: v.position_px)
    true_px = np.array([v.position_px for v in listed], np.float64)
    turned = (listed[::-1], np.asarray(true_px.max(initial=0.0) - true_px[::-1], np.float64))
    if truth.direction == "still":
        return [(listed, true_px), turned]
    # Without a direction a count runs from the left end, and that is the tail of a train that heads right.
    tail_first = truth.direction == "right" and passage.passage.direction in {"still", "unknown"}
    return [turned if tail_first else (listed, true_px)]


def _matched(
    listed: Sequence[TruthVehicle], true_px: FloatArray, found_px: FloatArray, wide_px: float | None
) -> list[tuple[int, int]]:
    return match_along(true_px, np.array([v.width_px for v in listed], np.float64), found_px, wide_px)


def _same(true: str, counted: str) -> bool:
    return counted in {true, parent_of(true)}


def _in_found(true_px: FloatArray, found_px: FloatArray, pairs: list[tuple[int, int]]) -> tuple[FloatArray, float]:
    """True positions in the counted coordinate, and how much longer lengths are there.

    A straight line through the matched vehicles, and what it leaves over between neighbours in proportion.
    """
    if not pairs:
        return true_px, 1.0
    t, f = (np.array(side) for side in zip(*sorted(pairs), strict=True))
    slope = 1.0
    if len(pairs) > 1 and np.ptp(true_px[t]) > 0:
        slope = float(np.clip(np.polyfit(true_px[t], found_px[f], 1)[0], 0.5, 2.0))
    rest = found_px[f] - slope * true_px[t]
    return np.asarray(slope * true_px + np.interp(true_px, true_px[t], rest), dtype=np.float64), slope
