"""The tables of a run: trains, vehicles and videos, rebuilt whole from its results.

Writing them twice gives the same bytes. NDJSON is the exact form; CSV is for spreadsheets (a text that a spreadsheet would run as
a formula gets a ``'`` in front); Parquet nests.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision.errors import TaxonomyError, TruthError
from vision.run.store import RunFolder, atomic_write, clean_text, path_text
from vision.taxonomy import default_taxonomy
from vision.types import Interval, Train, Vehicle, VideoResult

Row = dict[str, Any]

TRAIN_KEYS = (
    "train_id", "video", "sha256", "start_s", "end_s", "direction",
    "vehicles", "total", "complete", "wagons", "speed_m_s", "flags", "strip", "reviewed",
)  # fmt: skip
VEHICLE_KEYS = ("train_id", "index", "class", "parent", "score", "position_px", "looks", "pts_s", "xyxy_px", "crop", "verdict")
VIDEO_KEYS = ("video", "sha256", "status", "reason", "duration_s", "trains", "sightings")
_LATER_KEYS = frozenset({"reviewed", "verdict"})
"""Tables made before people could give verdicts lack these columns."""

REVIEW_CROPS = "review/crops"
"""Crops of vehicles that no detection showed: people added them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pictures of a run, as POSIX paths relative to the run folder.

    Attributes:
        strips: ``train_id`` -> strip.
        crops: ``(train_id, index)`` -> crop of that vehicle.
    """

    strips: Mapping[str, str] = field(default_factory=dict)
    crops: Mapping[tuple[str, int], str] = field(default_factory=dict)


# ---- Names ------------------------------------------------------------------------------------------------------------------


def train_ids(result: VideoResult) -> tuple[str, ...]:
    """A name for each train of a video, ``<sha256[:8]>-<shot>-<nth>``: the nth passage of its shot, from 0.

    It depends on the passages only, so counting again keeps it.
    """
    order = sorted(range(len(result.trains)), key=lambda i: _in_time(result.trains[i]))
    nth: dict[int, int] = defaultdict(int)
    ids = [""] * len(order)
    for i in order:
        shot = result.trains[i].passage.shot_index
        ids[i] = f"{result.sha256[:8]}-{shot}-{nth[shot]}"
        nth[shot] += 1
    return tuple(ids)


def crop_name(sha256: str, vehicle: Vehicle) -> str:
    """File name, without its suffix, for the crop of a vehicle's best look: made from the frame and the box.

    After counting again a vehicle finds its crop by what is in it, not by a place in the train that may have changed.
    """
    return f"{sha256[:8]}-{vehicle.pts}-" + "_".join(f"{v:.0f}" for v in vehicle.xyxy_px)


def strip_path(train_id: str) -> str:
    """Where a train's strip lies, relative to the run folder."""
    return f"strips/{train_id}.jpg"


def find_evidence(run: RunFolder, results: Iterable[VideoResult]) -> Evidence:
    """The pictures that are there for these results, by their names."""
    strips, crops = {}, {}
    for result in results:
        for train_id, train in zip(train_ids(result), result.trains, strict=True):
            if (run.path / strip_path(train_id)).is_file():
                strips[train_id] = strip_path(train_id)
            for vehicle in train.vehicles:
                for folder in ("crops", REVIEW_CROPS):
                    crop = f"{folder}/{crop_name(result.sha256, vehicle)}.jpg"
                    if (train_id, vehicle.index) not in crops and (run.path / crop).is_file():
                        crops[train_id, vehicle.index] = crop
    return Evidence(strips, crops)


# ---- Rows -------------------------------------------------------------------------------------------------------------------


def train_rows(results: Iterable[VideoResult], evidence: Evidence | None = None) -> list[Row]:
    """A row per train with the keys ``TRAIN_KEYS``, ordered by video and time; nothing in it is NaN."""
    strips = evidence.strips if evidence else {}
    rows: list[Row] = []
    for result, train_id, train in _trains(results):
        passage = train.passage
        rows.append(
            {
                "train_id": train_id,
                "video": path_text(result.path),
                "sha256": result.sha256,
                "start_s": number(passage.start_s, 3),
                "end_s": number(passage.end_s, 3),
                "direction": passage.direction,
                "vehicles": {name: _interval(train.counts[name]) for name in class_order(train.counts)},
                "total": _interval(train.total),
                "complete": {"head": bool(passage.head_seen), "tail": bool(passage.tail_seen)},
                "wagons": None if train.wagons is None else _interval(train.wagons),
                "speed_m_s": number(train.speed_m_s, 2),
                "flags": list(train.flags),
                "strip": strips.get(train_id),
                "reviewed": None
                if train.reviewed is None
                else {"verdicts": train.reviewed.verdicts, "machine_count": train.reviewed.machine_count},
            }
        )
    return rows


def vehicle_rows(results: Iterable[VideoResult], evidence: Evidence | None = None) -> list[Row]:
    """A row per vehicle with the keys ``VEHICLE_KEYS``, ordered by train and place; pixels to a tenth, scores to a thousandth."""
    crops = evidence.crops if evidence else {}
    return [
        {
            "train_id": train_id,
            "index": vehicle.index,
            "class": vehicle.class_name,
            "parent": vehicle.parent,
            "score": number(vehicle.score, 3),
            "position_px": number(vehicle.position_px, 1),
            "looks": vehicle.looks,
            "pts_s": number(vehicle.pts_s, 6),
            "xyxy_px": [number(v, 1) for v in vehicle.xyxy_px],
            "crop": crops.get((train_id, vehicle.index)),
            "verdict": vehicle.verdict or None,
        }
        for _, train_id, train in _trains(results)
        for vehicle in sorted(train.vehicles, key=lambda v: v.index)
    ]


def video_rows(results: Iterable[VideoResult]) -> list[Row]:
    """A row per input with the keys ``VIDEO_KEYS``, ordered by video."""
    return [
        {
            "video": path_text(result.path),
            "sha256": result.sha256,
            "status": result.status,
            "reason": clean_text(result.reason),
            "duration_s": number(result.duration_s, 3),
            "trains": len(result.trains),
            "sightings": result.sightings,
        }
        for result in sorted(results, key=_by_video)
    ]


def number(value: float | None, digits: int) -> float | None:
    """A rounded number for a table: None stays None, and so becomes what is not finite; no negative zero."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0


def class_order(names: Iterable[str]) -> list[str]:
    """Class names in the taxonomy's order, each parent before its leaves; unknown ones after them, by name."""
    taxonomy = default_taxonomy()

    def key(name: str) -> tuple[int, int, str]:
        try:
            parent = taxonomy.parent_of(name)
        except TaxonomyError:
            return len(taxonomy.parents), 0, name
        leaf = taxonomy.leaves.index(name) if name in taxonomy.leaves and name != parent else -1
        return taxonomy.parents.index(parent), leaf, name

    return sorted(names, key=key)


def _trains(results: Iterable[VideoResult]) -> list[tuple[VideoResult, str, Train]]:
    found = []
    for result in sorted(results, key=_by_video):
        named = zip(train_ids(result), result.trains, strict=True)
        found += [(result, train_id, train) for train_id, train in sorted(named, key=lambda pair: _in_time(pair[1]))]
    return found


def _by_video(result: VideoResult) -> tuple[str, str]:
    return path_text(result.path), result.sha256


def _in_time(train: Train) -> tuple[float, float, int]:
    return train.passage.start_s, train.passage.end_s, train.passage.shot_index


def _interval(interval: Interval) -> dict[str, int]:
    return {"count": int(interval.count), "low": int(interval.low), "high": int(interval.high)}


# ---- Files ------------------------------------------------------------------------------------------------------------------


def write_tables(run: RunFolder, results: Sequence[VideoResult], evidence: Evidence | None = None) -> None:
    """Write the trains, vehicles and videos as NDJSON, CSV and Parquet; the same results give the same bytes.

    Args:
        run: The run folder, locked for writing.
        results: All results of the run, see ``vision.run.results.load_results``.
        evidence: Paths of pictures; None looks for them in the run folder.

    Raises:
        OutputError: The run folder cannot be written.
    """
    evidence = find_evidence(run, results) if evidence is None else evidence
    tables = {
        "trains": train_rows(results, evidence),
        "vehicles": vehicle_rows(results, evidence),
        "videos": video_rows(results),
    }
    for name, rows in tables.items():
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")) + "\n" for row in rows]
        atomic_write(run.path / f"{name}.ndjson", "".join(lines).encode())
        atomic_write(run.path / f"{name}.csv", _csv(name, rows).encode())
        atomic_write(run.path / f"{name}.parquet", _parquet(name, rows))


def _csv(name: str, rows: Sequence[Row]) -> str:
    """Flat columns: ``complete_head``, ``total_count``, ``<class>_low``, ``x0_px``; a class that a train lacks is left empty."""
    keys = {"trains": TRAIN_KEYS, "vehicles": VEHICLE_KEYS, "videos": VIDEO_KEYS}[name]
    classes = class_order({c for row in rows for c in row.get("vehicles", ())})
    count = ("count", "low", "high")
    flat = {
        "total": [f"total_{part}" for part in count],
        "complete": ["complete_head", "complete_tail"],
        "wagons": [f"wagons_{part}" for part in count],
        "xyxy_px": ["x0_px", "y0_px", "x1_px", "y1_px"],
        "reviewed": ["reviewed_verdicts", "reviewed_machine_count"],
        "vehicles": [],  # at the end: how many there are depends on the run
    }
    columns = [column for key in keys for column in flat.get(key, [key])]
    columns += [f"{c}_{part}" for c in classes for part in count]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat_row(row) for row in rows)
    return text.getvalue()


def _flat_row(row: Row) -> Row:
    flat: Row = {}
    for key, value in row.items():
        if key == "vehicles":
            flat |= {f"{c}_{part}": n for c, interval in value.items() for part, n in interval.items()}
        elif key == "xyxy_px":
            flat |= dict(zip(("x0_px", "y0_px", "x1_px", "y1_px"), value, strict=True))
        elif key == "flags":
            flat[key] = _safe_cell(";".join(value))
        elif isinstance(value, dict):
            flat |= {f"{key}_{part}": _cell(v) for part, v in value.items()}
        elif not (key in {"wagons", "reviewed"} and value is None):
            flat[key] = _cell(value)
    return flat


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return _safe_cell(value) if isinstance(value, str) else value


def _safe_cell(text: str) -> str:
    """A file name such as ``=HYPERLINK(…)`` comes from strangers; a spreadsheet must not run it."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _parquet(name: str, rows: Sequence[Row]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that other commands need not wait
    import pyarrow.parquet as pq  # noqa: PLC0415

    count = [("count", pa.int32()), ("low", pa.int32()), ("high", pa.int32())]
    schemas = {
        "trains": pa.schema(
            [
                ("train_id", pa.string()),
                ("video", pa.string()),
                ("sha256", pa.string()),
                ("start_s", pa.float64()),
                ("end_s", pa.float64()),
                ("direction", pa.string()),
                ("vehicles", pa.list_(pa.struct([("class", pa.string()), *count]))),
                ("total", pa.struct(count)),
                ("complete", pa.struct([("head", pa.bool_()), ("tail", pa.bool_())])),
                ("wagons", pa.struct(count)),
                ("speed_m_s", pa.float64()),
                ("flags", pa.list_(pa.string())),
                ("strip", pa.string()),
                ("reviewed", pa.struct([("verdicts", pa.int32()), ("machine_count", pa.int32())])),
            ]
        ),
        "vehicles": pa.schema(
            [
                ("train_id", pa.string()),
                ("index", pa.int32()),
                ("class", pa.string()),
                ("parent", pa.string()),
                ("score", pa.float64()),
                ("position_px", pa.float64()),
                ("looks", pa.int32()),
                ("pts_s", pa.float64()),
                ("xyxy_px", pa.list_(pa.float64())),
                ("crop", pa.string()),
                ("verdict", pa.string()),
            ]
        ),
        "videos": pa.schema(
            [
                ("video", pa.string()),
                ("sha256", pa.string()),
                ("status", pa.string()),
                ("reason", pa.string()),
                ("duration_s", pa.float64()),
                ("trains", pa.int32()),
                ("sightings", pa.int32()),
            ]
        ),
    }
    if name == "trains":
        rows = [{**row, "vehicles": [{"class": c, **n} for c, n in row["vehicles"].items()]} for row in rows]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schemas[name]), file, compression="zstd")
    return file.getvalue()


def read_trains(run: RunFolder) -> list[Row]:
    """The rows of ``trains.ndjson``.

    Raises:
        TruthError: It is missing, or a line is not a row of it; the message names the line.
    """
    return _read(run.path / "trains.ndjson", TRAIN_KEYS)


def read_vehicles(run: RunFolder) -> list[Row]:
    """The rows of ``vehicles.ndjson``; errors as in ``read_trains``."""
    return _read(run.path / "vehicles.ndjson", VEHICLE_KEYS)


def read_videos(run: RunFolder) -> list[Row]:
    """The rows of ``videos.ndjson``; errors as in ``read_trains``."""
    return _read(run.path / "videos.ndjson", VIDEO_KEYS)


def _read(path: Path, keys: Sequence[str]) -> list[Row]:
    rows = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TruthError(f"cannot read {path}: {error.strerror}", hint="scan again: it rebuilds the tables") from error
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TruthError(f"{path}:{i}: not a line of JSON: {error}") from error
        if not isinstance(row, dict):
            raise TruthError(f"{path}:{i}: expected an object, not {type(row).__name__}")
        missing = [key for key in keys if key not in row and key not in _LATER_KEYS]
        if missing:
            raise TruthError(f"{path}:{i}: {', '.join(missing)} missing")
        rows.append(row)
    return rows
