"""People's verdicts laid over the machine's results: human above machine, and marked as such.

The stored results stay the machine's. Whoever shows numbers takes them from here, so that a verdict holds also for what is
counted or scanned again: a verdict finds its vehicle by its place along the train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vision.errors import TaxonomyError
from vision.run.along import head_px, sign_of
from vision.run.ledger import InputRow
from vision.run.results import load_results
from vision.run.store import RunFolder
from vision.run.tables import write_tables
from vision.run.verdicts import Place, Verdict, read_verdicts, write_verdict_tables
from vision.taxonomy import default_taxonomy
from vision.types import Interval, Reviewed, Train, Vehicle, VideoResult

State = Literal["applied", "restored", "moot", "no_train"]

WORDS = {"confirm": "confirmed", "reclass": "reclassed", "merge": "merged", "split": "split", "add": "added"}
"""Verdict -> how a vehicle is marked that stands by it."""

FLAG = "verdict_without_vehicle"
"""Flag of a train on which a verdict speaks of a vehicle that the machine does not count any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a verdict on the run as it is now.

    Attributes:
        verdict: The verdict.
        state: ``applied``; ``restored``: the machine does not count the vehicle (any more), the person's word keeps it; ``moot``:
            what was rejected is not counted any more; ``no_train``: the train is not in the run any more.
        sentence: The same for a person, empty where it was applied.
    """

    verdict: Verdict
    state: State
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ReviewedRun:
    """Results with the verdicts laid over them.

    Attributes:
        results: As ``vision.run.results.load_results`` gives them, with people's word in place of the machine's.
        machine: The same without verdicts.
        outcomes: What came of each verdict.
    """

    results: tuple[VideoResult, ...]
    machine: tuple[VideoResult, ...]
    outcomes: tuple[Outcome, ...] = ()

    @property
    def lost(self) -> tuple[Outcome, ...]:
        """The verdicts that speak of a vehicle or train that is not counted any more."""
        return tuple(o for o in self.outcomes if o.state != "applied")


def reviewed_run(run: RunFolder, rows: Iterable[InputRow]) -> ReviewedRun:
    """The results of a run, people's verdicts above the machine's.

    Args:
        run: The run folder.
        rows: The ledger's rows.

    Raises:
        TruthError: A stored result or the table of verdicts is damaged.
    """
    machine = tuple(load_results(run, rows))
    return apply_verdicts(machine, read_verdicts(run))


def rebuild_tables(run: RunFolder, rows: Iterable[InputRow]) -> ReviewedRun:
    """Write all tables of a run anew from its results and verdicts.

    Args:
        run: The run folder, locked for writing.
        rows: The ledger's rows.

    Raises:
        TruthError: A stored result or the table of verdicts is damaged.
        OutputError: The run folder cannot be written.
    """
    reviewed = reviewed_run(run, rows)
    write_tables(run, reviewed.results)
    write_verdict_tables(run, [o.verdict for o in reviewed.outcomes], {o.verdict.id: o.state for o in reviewed.outcomes})
    return reviewed


def apply_verdicts(machine: Sequence[VideoResult], verdicts: Sequence[Verdict]) -> ReviewedRun:
    """Lay verdicts over results, in their order.

    Args:
        machine: What was counted.
        verdicts: What people decided.
    """
    benches = {(i, j): _Bench.of(train) for i, result in enumerate(machine) if verdicts for j, train in enumerate(result.trains)}
    outcomes = []
    for verdict in verdicts:
        key = _train_of(verdict, machine)
        if key is None:
            why = f"the train {verdict.train_id} that a {verdict.kind} by {verdict.who} speaks of is not in the run any more"
            outcomes.append(Outcome(verdict, "no_train", why))
        else:
            outcomes.append(benches[key].decide(verdict))
    results = []
    for i, result in enumerate(machine):
        trains = tuple(benches[i, j].train() if (i, j) in benches else train for j, train in enumerate(result.trains))
        results.append(replace(result, trains=trains) if trains != result.trains else result)
    return ReviewedRun(tuple(results), tuple(machine), tuple(outcomes))


def _train_of(verdict: Verdict, machine: Sequence[VideoResult]) -> tuple[int, int] | None:
    """The train a verdict speaks of: of the same video, and the one that shares most of its time."""
    best, shared_s = None, 0.0
    for i, result in enumerate(machine):
        if result.sha256 != verdict.sha256 or result.status != "done":
            continue
        for j, train in enumerate(result.trains):
            passage = train.passage
            both_s = min(verdict.end_s, passage.end_s) - max(verdict.start_s, passage.start_s)
            if all(passage.start_s - 0.5 <= p.pts_s <= passage.end_s + 0.5 for p in (*verdict.before, *verdict.after)):
                both_s = max(both_s, 1e-3)  # its vehicles are in view: it is the train, however its ends were measured
            if both_s > shared_s:
                best, shared_s = (i, j), both_s
    return best


@dataclass(slots=True)
class _Standing:
    """A vehicle on the bench, and its train coordinate."""

    s_px: float
    vehicle: Vehicle


@dataclass(slots=True)
class _Bench:
    """One train while verdicts are applied to it."""

    original: Train
    head_px: float
    sign: int
    standing: list[_Standing]
    verdicts: int = 0
    added: Counter[str] = field(default_factory=Counter)
    doubtful: bool = False

    @classmethod
    def of(cls, train: Train) -> _Bench:
        head, sign = head_px(train), sign_of(train)
        return cls(train, head, sign, [_Standing(head + sign * v.position_px, v) for v in train.vehicles])

    def decide(self, verdict: Verdict) -> Outcome:
        self.verdicts += 1
        gone: list[Vehicle] = []
        missed = 0
        for place in verdict.before:
            found = self._take(place)
            missed += found is None
            gone += [] if found is None else [found]
        # The machine may have come to see by now what a person added. All are taken before any is put: halves stand close.
        there = [self._take(place) for place in verdict.after]
        for place, found in zip(verdict.after, there, strict=True):
            base = found or min(gone, key=lambda v: abs(self._s(v) - self._place_s(place)), default=None)
            self._put(place, WORDS[verdict.kind], base)
            if base is None:
                self.added[place.class_name] += 1
        if not verdict.before or missed < len(verdict.before):
            return Outcome(verdict, "applied")
        self.doubtful = True
        if not verdict.after:
            return Outcome(verdict, "moot", self._said(verdict, "nothing is counted there any more"))
        return Outcome(verdict, "restored", self._said(verdict, "the machine does not count it any more; the verdict keeps it"))

    def train(self) -> Train:
        """The train as it stands, numbered anew from the head; itself where nobody said anything."""
        if not self.verdicts:
            return self.original
        ordered = sorted(self.standing, key=lambda item: self.sign * item.s_px)
        vehicles = tuple(
            replace(item.vehicle, index=i, position_px=self.sign * (item.s_px - self.head_px)) for i, item in enumerate(ordered)
        )
        counts, total = _intervals(self.original, vehicles, self.added)
        flags = self.original.flags
        if self.doubtful and FLAG not in flags:
            flags = (*flags, FLAG)
        reviewed = Reviewed(self.verdicts, self.original.total.count)
        return replace(self.original, vehicles=vehicles, counts=counts, total=total, flags=flags, reviewed=reviewed)

    def _said(self, verdict: Verdict, what: str) -> str:
        place = verdict.before[0]
        where = f"the {place.class_name} at {place.position_px:.0f} px of {verdict.train_id} ({place.pts_s:.2f} s)"
        return f"{verdict.kind} by {verdict.who} on {where}: {what}"

    def _place_s(self, place: Place) -> float:
        return place.column_px - float(self.original.passage.displacement_at(place.pts_s))

    def _s(self, vehicle: Vehicle) -> float:
        return self.head_px + self.sign * vehicle.position_px

    def _take(self, place: Place) -> Vehicle | None:
        """Take the vehicle at a place off the bench, or None where none stands within reach."""
        s_px = self._place_s(place)
        nearest = min(self.standing, key=lambda item: abs(item.s_px - s_px), default=None)
        if nearest is None or abs(nearest.s_px - s_px) > place.reach_px:
            return None
        self.standing.remove(nearest)
        return nearest.vehicle

    def _put(self, place: Place, word: str, base: Vehicle | None) -> None:
        parent = default_taxonomy().parent_of(place.class_name)
        vehicle = Vehicle(
            index=0,
            class_name=default_taxonomy().resolve(place.class_name),
            parent=parent,
            score=1.0,
            position_px=0.0,
            width_px=place.width_px,
            looks=base.looks if base else 0,
            opportunities=base.opportunities if base else 0,
            pts=place.pts,
            pts_s=place.pts_s,
            xyxy_px=place.xyxy_px,
            verdict=word,
        )
        s_px = self._place_s(place)
        self.standing.append(_Standing(s_px, replace(vehicle, position_px=self.sign * (s_px - self.head_px))))


def _intervals(machine: Train, vehicles: Sequence[Vehicle], added: Counter[str]) -> tuple[dict[str, Interval], Interval]:
    """Counts with bounds after people's word.

    Below, only vehicles that nobody looked at can be missing: as many as the machine allowed for, and no more than there are.
    Above, the machine's allowance for what it did not see stays, less what a person added of it.
    """

    def interval(before: Interval, mine: Sequence[Vehicle], more: int) -> Interval:
        count = len(mine)
        open_ = sum(1 for vehicle in mine if not vehicle.verdict)
        return Interval(count, count - min(before.count - before.low, open_), count + max(before.high - before.count - more, 0))

    by_class: dict[str, list[Vehicle]] = {}
    for vehicle in vehicles:
        by_class.setdefault(vehicle.class_name, []).append(vehicle)
    nothing = Interval(0, 0, 0)
    counts = {name: interval(machine.counts.get(name, nothing), by_class[name], added[name]) for name in sorted(by_class)}
    military = [vehicle for vehicle in vehicles if _is_military(vehicle.class_name)]
    more = sum(n for name, n in added.items() if _is_military(name))
    return counts, interval(machine.total, military, more)


def _is_military(name: str) -> bool:
    try:
        return default_taxonomy().is_military(name)
    except TaxonomyError:
        return False  # a foreign class: counted, but not in the total
