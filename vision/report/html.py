"""The page a person reads: ``RUN/report/index.html``, one file with its pictures inside, made from the run folder alone."""

from __future__ import annotations

import base64
import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from vision.errors import TruthError
from vision.report import words
from vision.report.strip import colour_of, mark_strip
from vision.run.ledger import InputRow, Ledger, RunRow
from vision.run.reviewed import Outcome, reviewed_run
from vision.run.store import RunFolder, atomic_write, path_text
from vision.run.tables import Evidence, class_order, find_evidence, train_ids
from vision.types import Interval, Train, Vehicle, VideoResult

EMBED_LIMIT_BYTES = 30_000_000
"""Beyond so many bytes of pictures the page links to the run's files instead of holding them."""


def write_report(run_dir: Path, *, embed_limit_bytes: int = EMBED_LIMIT_BYTES) -> Path:
    """Write the page of a run, which may still be going on or have been killed: it shows what is there.

    Args:
        run_dir: The run folder.
        embed_limit_bytes: Pictures up to this size in all are put into the page.

    Returns:
        The page.

    Raises:
        OutputError: It is not a run, or cannot be written.
        TruthError: A stored result is damaged.
    """
    run = RunFolder.open(run_dir)
    with Ledger.open(run_dir, create=False) as ledger:
        rows, runs = ledger.rows(), ledger.runs()
    reviewed = reviewed_run(run, rows)
    view = page_view(run, rows, runs, reviewed.results, outcomes=reviewed.outcomes, embed_limit_bytes=embed_limit_bytes)
    template = _environment().from_string(_template("index.html.jinja"))
    page = run.path / "report" / "index.html"
    page.parent.mkdir(exist_ok=True)
    atomic_write(page, template.render(**view, css=_template("page.css")).encode())
    return page


def page_view(
    run: RunFolder,
    rows: Sequence[InputRow],
    runs: Sequence[RunRow],
    results: Sequence[VideoResult],
    *,
    embed_limit_bytes: int,
    outcomes: Sequence[Outcome] = (),
) -> dict[str, Any]:
    """Everything that the template shows, as texts and numbers."""
    results = sorted(results, key=lambda r: (path_text(r.path), r.sha256))
    evidence = find_evidence(run, results)
    strips = _marked_strips(run, results)
    pictures = _Pictures.of(run, [*strips.values(), *evidence.crops.values()], embed_limit_bytes)
    trains = [train for result in results for train in result.trains]
    waiting = [row for row in rows if row.status in {"queued", "running"}]
    return {
        "runs": [{**_fields(run_row), "config": _pretty(run_row.config_json)} for run_row in runs],
        "latest": _fields(runs[-1]) if runs else None,
        "tally": Counter(result.status for result in results),
        "waiting": [_name(row.path) for row in waiting],
        "n_inputs": len(rows),
        "n_trains": len(trains),
        "n_incomplete": sum(not words.complete(train) for train in trains),
        "totals": _totals(trains),
        "videos": [_video_view(result, evidence, strips, pictures) for result in results],
        "verdicts": [_verdict_view(outcome) for outcome in outcomes],
        "linked": not pictures.embed,
        "picture_mb": pictures.size_bytes / 1e6,
    }


@dataclass(frozen=True)
class _Pictures:
    """Sources for ``<img>``: data URIs, or links relative to the page."""

    run: RunFolder
    embed: bool
    size_bytes: int

    @classmethod
    def of(cls, run: RunFolder, paths: Iterable[str], limit_bytes: int) -> _Pictures:
        size_bytes = 0
        for path in set(paths):
            with contextlib.suppress(OSError):
                size_bytes += (run.path / path).stat().st_size
        return cls(run, size_bytes <= limit_bytes, size_bytes)

    def source(self, path: str | None) -> str | None:
        """What ``src`` holds for a JPEG of the run, or None where there is none."""
        if path is None:
            return None
        if not self.embed:
            return f"../{path}"  # made of letters, digits and .-_ alone: nothing to quote
        try:
            data = (self.run.path / path).read_bytes()
        except OSError:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def _marked_strips(run: RunFolder, results: Sequence[VideoResult]) -> dict[str, str]:
    """``train_id`` -> the strip with the vehicles drawn on it. A damaged one is left out: the rest of the page still stands."""
    found = {}
    for result in results:
        for train_id, train in zip(train_ids(result), result.trains, strict=True):
            with contextlib.suppress(TruthError):
                path = mark_strip(run, train_id, train)
                if path is not None:
                    found[train_id] = f"strips/{path.name}"
    return found


def _video_view(result: VideoResult, evidence: Evidence, strips: dict[str, str], pictures: _Pictures) -> dict[str, Any]:
    named = sorted(zip(train_ids(result), result.trains, strict=True), key=lambda pair: pair[1].passage.start_s)
    return {
        "name": _name(result.path),
        "sha256": result.sha256,
        "status": result.status,
        "reason": result.reason.partition(":")[0].strip(),
        "why": words.printable(words.reason_words(result.reason)),
        "duration": words.clock(result.duration_s),
        "sightings": result.sightings,
        "trains": [_train_view(result, train_id, train, evidence, strips, pictures) for train_id, train in named],
        "dropped": [
            {
                "what": d.what,
                "reason": d.reason.replace("_", " "),
                "count": d.count,
                "at": "" if d.at_s is None else words.clock(d.at_s),
            }
            for d in result.dropped
        ],
    }


def _train_view(
    result: VideoResult, train_id: str, train: Train, evidence: Evidence, strips: dict[str, str], pictures: _Pictures
) -> dict[str, Any]:
    passage = train.passage
    return {
        "id": train_id,
        "start": words.clock(passage.start_s),
        "end": words.clock(passage.end_s),
        "direction": words.direction_words(passage.direction),
        "origin": words.origin_words(passage.direction),
        "speed": words.speed_words(train),
        "length": words.length_words(train),
        "complete": words.complete(train),
        "completeness": words.completeness_words(train),
        "reviewed": words.reviewed_words(train),
        "total": _interval_view("all but cars", train.total),
        "headline": words.interval_words(train.total),
        "counts": [_interval_view(name, train.counts[name]) for name in class_order(train.counts)],
        "wagons": None if train.wagons is None else words.interval_words(train.wagons),
        "flags": [(flag, words.flag_words(flag)) for flag in train.flags],
        "strip": pictures.source(strips.get(train_id)),
        "strip_alt": _strip_alt(train_id, train),
        "vehicles": [
            _vehicle_view(train, vehicle, pictures.source(evidence.crops.get((train_id, vehicle.index))))
            for vehicle in sorted(train.vehicles, key=lambda v: v.index)
        ],
    }


def _vehicle_view(train: Train, vehicle: Vehicle, crop: str | None) -> dict[str, Any]:
    return {
        "number": vehicle.index + 1,
        "class": vehicle.class_name,
        "parent": vehicle.parent if vehicle.parent != vehicle.class_name else None,
        "name": words.class_words(vehicle.class_name),
        "colour": colour_of(vehicle.class_name),
        "score": words.percent(vehicle.score),
        "looks": vehicle.looks,
        "opportunities": vehicle.opportunities,
        "position": words.position_words(train, vehicle.position_px),
        "clock": words.clock(vehicle.pts_s),
        "crop": crop,
        "verdict": vehicle.verdict,
    }


def _verdict_view(outcome: Outcome) -> dict[str, Any]:
    verdict = outcome.verdict
    before = ", ".join(place.class_name for place in verdict.before)
    after = ", ".join(place.class_name for place in verdict.after)
    place = (verdict.before or verdict.after)[0]
    return {
        "kind": verdict.kind,
        "train": verdict.train_id,
        "clock": words.clock(place.pts_s),
        "position": f"{place.position_px:.0f} px",
        "what": f"{before or 'nothing'} → {after or 'nothing'}" if verdict.kind != "confirm" else before,
        "who": words.printable(verdict.who),
        "when": verdict.when,
        "note": words.printable(outcome.sentence),
    }


def _strip_alt(train_id: str, train: Train) -> str:
    order = ", ".join(f"{v.index + 1} {v.class_name}" for v in sorted(train.vehicles, key=lambda v: v.index))
    return f"The whole train {train_id} as one long picture. Vehicles in order: {order or 'none'}."


def _interval_view(name: str, interval: Interval) -> dict[str, Any]:
    parent = words.parent_of(name)
    return {
        "class": name,
        "name": words.class_words(name),
        "parent": parent if parent != name else None,
        "colour": colour_of(name),
        "count": interval.count,
        "low": interval.low,
        "high": interval.high,
    }


def _totals(trains: Sequence[Train]) -> dict[str, Any]:
    """Sums over all trains. Bounds are summed as they are, so the true number lies within them more surely than within each."""
    counts: dict[str, list[Interval]] = {}
    for train in trains:
        for name, interval in train.counts.items():
            counts.setdefault(name, []).append(interval)
    return {
        "classes": [_interval_view(name, _sum(counts[name])) for name in class_order(counts)],
        "total": _interval_view("all but cars", _sum([train.total for train in trains])),
    }


def _sum(intervals: Sequence[Interval]) -> Interval:
    return Interval(sum(i.count for i in intervals), sum(i.low for i in intervals), sum(i.high for i in intervals))


def _name(path: Path) -> str:
    return words.printable(path_text(path))


def _fields(row: RunRow) -> dict[str, str]:
    return {name: getattr(row, name) for name in RunRow.__dataclass_fields__}


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _template(name: str) -> str:
    return (resources.files("vision.report") / "templates" / name).read_text(encoding="utf-8")
