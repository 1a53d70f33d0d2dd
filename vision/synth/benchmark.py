"""The counting benchmark: pixels in, counts out, with baselines on the same boxes.

A clip of a fixed list of (condition, seed) is rendered in memory, shrunk as the decoder does it, and watched as a scan watches
it; the boxes come from `vision.synth.scripted`, which reads the truth and errs as told. So the figures say how well the *engine*
counts, and nothing about a detector. The train coordinate comes from the pixels alone; the simulator's own motion only places
the boxes and scores. With real weights on rendered clips it is the whole system that is measured: `vision.synth.system`.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from vision.config import Config
from vision.errors import InputError
from vision.run.counting import count_video
from vision.run.store import RawVideo
from vision.run.tables import train_rows, vehicle_rows
from vision.synth.baselines import BASELINES, baseline_totals, frame_maximum
from vision.synth.clips import Clip, Looking, kept_clip, looks_of, raw_video, slip_px, small_grey, truth_trains
from vision.synth.figures import Grouping, Scores, TrainScore, figures
from vision.synth.scene import parse_condition
from vision.synth.score import found_trains, score_trains
from vision.taxonomy import default_taxonomy
from vision.types import VideoResult

__all__ = ["Entry", "Job", "Results", "engine_row", "read_list", "run", "slip_px", "small_grey"]

LOOKINGS: tuple[Looking, ...] = (2.0, 5.0, 10.0, "full", "advance")
MAIN = "5"
"""The way of looking that conditions are compared by."""
MOVING = {"shake", "pan", "follow", "against", "walk", "window", "zoom"}
"""Conditions under which the camera moves."""
_SLIPPED_VEHICLES = 0.5


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A line of a list: one clip."""

    condition: str
    seed: int


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does with an entry.

    Attributes:
        mode: ``engine`` or ``system``.
        keep: Folder for watched clips (engine) or None.
        baselines: Whether trackers count too; they need the package ``trackers``.
        cutouts: Folder of cut-outs (system).
        weights: Name or path of the weights (system).
    """

    mode: str = "engine"
    keep: Path | None = None
    baselines: bool = True
    cutouts: Path | None = None
    weights: str = "default"


def read_list(path: Path) -> list[Entry]:
    """The clips of a list: a table with the columns ``condition`` and ``seed``, lines with # left out.

    Raises:
        InputError: With file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    entries = []
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    if not numbered or numbered[0][1].split("\t") != ["condition", "seed"]:
        raise InputError(f"{path}: the first line names the columns condition and seed, parted by a tab")
    for (number, _), row in zip(numbered[1:], csv.reader((line for _, line in numbered[1:]), delimiter="\t"), strict=True):
        try:
            condition, seed = row
            parse_condition(condition)
            entries.append(Entry(condition, int(seed)))
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    return entries


# One clip.


def looking_name(looking: Looking) -> str:
    """As tables and results call it."""
    return looking if isinstance(looking, str) else f"{looking:g}"


def engine_row(entry: Entry, job: Job) -> dict[str, Any]:
    """Count one clip with scripted boxes, under every way of looking; a row of the results."""
    config = Config()
    started = time.process_time()
    clip = kept_clip(entry.condition, entry.seed, job.keep, config=config)
    watched_s = time.process_time() - started
    passing = clip.watched.passing(config.motion)
    lookings = {}
    for looking in LOOKINGS:
        looks = looks_of(clip, looking)
        raw = raw_video(clip, looks, config, passing)
        lookings[looking_name(looking)] = counted_row(clip, raw, config, baselines=job.baselines)
    seconds = {"watched_s": round(watched_s, 2), "counted_s": round(time.process_time() - started - watched_s, 2)}
    return {"mode": "engine", **asdict(entry), "frames": len(clip.truth.pts_s), **seconds, "lookings": lookings}


def counted_row(clip: Clip, raw: RawVideo, config: Config, *, baselines: bool) -> dict[str, Any]:
    """Count what was observed and score it; trackers count the same looks."""
    taxonomy = default_taxonomy()
    result = count_video(raw, duration_s=raw.record.duration_s, config=config, taxonomy=taxonomy)
    parents = {leaf: taxonomy.parent_of(leaf) for leaf in taxonomy.leaves}
    truth = truth_trains(clip)
    scores, grouping, _ = score_trains(truth, found_trains(train_rows([result]), vehicle_rows([result])), parents=parents)
    totals = {"truth": sum(train.total for train in truth), "ours": sum(train.total.count for train in result.trains)}
    if baselines:
        totals |= baseline_totals(raw.looks, clip.truth, raw.class_names)
    else:
        totals["frame maximum"] = frame_maximum(raw.looks, raw.class_names)
    return {
        "looks": len(raw.looks),
        "trains": [asdict(score) for score in scores],
        "grouping": asdict(grouping),
        "totals": totals,
        "slip": _slips(clip, raw),
        "why": [why(score, slip, grouping) for score, slip in zip(scores, _slips(clip, raw), strict=True)],
        "flags": _flags(result),
    }


def _flags(result: VideoResult) -> list[str]:
    return sorted({flag for train in result.trains for flag in train.flags})


def _slips(clip: Clip, raw: RawVideo) -> list[float | None]:
    """For each train that shows: the slip of the passage that fits best, while there are vehicles, in widths of the narrowest."""
    slips: list[float | None] = []
    for train in clip.truth.trains:
        if train.start_s is None or train.end_s is None:
            continue
        during = [p for p in raw.passages if p.end_s >= train.start_s and p.start_s <= train.end_s]
        seen = train.seen()
        first_s = min((vehicle.visible_from_s or 0.0 for vehicle in seen), default=train.start_s)
        last_s = max((vehicle.visible_to_s or 0.0 for vehicle in seen), default=train.end_s)
        best = min((slip_px(p, clip.truth, train, (first_s, last_s)) for p in during), default=np.inf)
        width_px = min((vehicle.width_px for vehicle in seen), default=0.15 * clip.truth.width_px)
        slips.append(round(best / width_px, 3) if np.isfinite(best) else None)
    return slips


def why(score: TrainScore, slip: float | None, grouping: Grouping) -> str:
    """One word for what went wrong with a train; empty where its total is right."""
    if not score.found:
        return "merged" if grouping.merged else "not found"
    if score.error == 0:
        return ""
    if grouping.merged:
        return "merged"
    if grouping.split:
        return "split"
    if slip is None or slip > _SLIPPED_VEHICLES:
        return "slipped"
    return "missed" if score.reported < score.truth else "doubled"


# Many clips.


def _work(entry: Entry, job: Job) -> dict[str, Any]:
    if job.mode == "engine":
        return engine_row(entry, job)
    from vision.synth.system import system_row  # noqa: PLC0415

    return system_row(entry, job)


def run(
    entries: Sequence[Entry],
    job: Job,
    out: Path,
    *,
    jobs: int = 1,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Results:
    """Count the clips that the results file does not hold yet, and add a line for each; a killed run goes on where it was.

    Args:
        entries: Which.
        job: What to do with each.
        out: The results, JSON lines.
        jobs: Processes.
        progress: Called with each new row.

    Raises:
        InputError: The file holds something else.
    """
    rows = read_rows(out)
    done = {(row["mode"], row["condition"], row["seed"]) for row in rows}
    left = [entry for entry in entries if (job.mode, entry.condition, entry.seed) not in done]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:

        def add(row: dict[str, Any]) -> None:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            rows.append(row)
            if progress is not None:
                progress(row)

        if jobs <= 1:
            for entry in left:
                add(_work(entry, job))
        else:
            # A fresh process each: forked ones would share OpenCV's and OpenVINO's threads.
            pool = ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn"))
            try:
                for future in as_completed([pool.submit(_work, entry, job) for entry in left]):
                    add(future.result())
            finally:
                # Whoever stops the run does not wait for the rest of the list.
                pool.shutdown(wait=False, cancel_futures=True)
    wanted = {(job.mode, entry.condition, entry.seed) for entry in entries}
    return Results([row for row in rows if (row["mode"], row["condition"], row["seed"]) in wanted])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a results file, none where it does not exist; a last line cut short by a kill is dropped from the file.

    Raises:
        InputError: A line is no row of results.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            assert {"mode", "condition", "seed", "lookings"} <= row.keys()
        except (ValueError, AssertionError, AttributeError) as error:
            raise InputError(f"{path}:{number} is no row of results", hint="give another file, or remove this one") from error
        rows.append(row)
    return rows


class Results:
    """Rows of results, and figures over them.

    Args:
        rows: Of one mode.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows = sorted(rows, key=lambda row: (row["condition"], row["seed"]))

    @property
    def conditions(self) -> list[str]:
        """As they come in the list of conditions, mixes last."""
        return sorted({row["condition"] for row in self.rows}, key=lambda name: ("+" in name, name))

    @property
    def lookings(self) -> list[str]:
        return list(self.rows[0]["lookings"]) if self.rows else []

    def of(self, condition: str | None) -> list[Mapping[str, Any]]:
        """Rows of one condition; all where None."""
        return [row for row in self.rows if condition in {None, row["condition"]}]

    def scores(self, rows: Iterable[Mapping[str, Any]], looking: str) -> Scores:
        """All figures over some rows under one way of looking."""
        counted = [row["lookings"][looking] for row in rows]
        trains = [TrainScore.from_dict(train) for one in counted for train in one["trains"]]
        return figures(trains, sum((Grouping(**one["grouping"]) for one in counted), Grouping()))

    def reasons(self, rows: Iterable[Mapping[str, Any]], looking: str) -> dict[str, int]:
        """How often each reason made a total wrong, most frequent first."""
        counts: dict[str, int] = {}
        for row in rows:
            for reason in row["lookings"][looking]["why"]:
                if reason:
                    counts[reason] = counts.get(reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def errors(self, rows: Iterable[Mapping[str, Any]], looking: str) -> dict[str, float]:
        """Mean absolute error of a clip's total for each way of counting."""
        totals = [row["lookings"][looking]["totals"] for row in rows]
        names = [name for name in ("ours", *BASELINES) if totals and all(name in one for one in totals)]
        return {name: float(np.mean([abs(one[name] - one["truth"]) for one in totals])) for name in names}


def camera_moves(condition: str) -> bool:
    """Whether the camera moves under it."""
    return bool(MOVING & set(parse_condition(condition)))
