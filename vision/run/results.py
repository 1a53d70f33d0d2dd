"""The result of each video, stored as soon as it is finished: ``RUN/results/*.json``.

The tables and the page are rebuilt from these, so a killed run loses nothing but the video it was at.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vision.errors import TruthError
from vision.run.ledger import InputRow
from vision.run.store import PASSAGE_ARRAYS, RunFolder, atomic_write, passage_of, passage_scalars
from vision.types import Dropped, Interval, Status, Train, Vehicle, VideoResult

SCHEMA = 1


def write_result(run: RunFolder, result: VideoResult) -> Path:
    """Store the result of one video; an earlier one of the same video gives way.

    Raises:
        OutputError: The run folder cannot be written.
    """
    path = _result_path(run, result.path, result.sha256, result.status)
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(result_to_json(result), allow_nan=False, separators=(",", ":"))
    atomic_write(path, text.encode("ascii"))
    return path


def stored_result(run: RunFolder, sha256: str) -> VideoResult | None:
    """The result of a video with this content that was done before in this run, or None: nothing needs decoding then.

    Raises:
        TruthError: It is there and damaged.
    """
    path = _result_path(run, Path(), sha256, "done")
    result = _load_result(path) if sha256 and path.is_file() else None
    return result if result is not None and result.sha256 == sha256 else None


def load_results(run: RunFolder, rows: Iterable[InputRow]) -> list[VideoResult]:
    """The result of every input that ended, in the ledger's order.

    Args:
        run: The run folder.
        rows: The ledger's rows. Those still queued or running have no result. A failed or skipped one without a stored result
            gives what the ledger knows; a done one without it is reported as failed, ``result_missing``.

    Raises:
        TruthError: A stored result is damaged.
    """
    results = []
    for row in rows:
        if row.status in {"queued", "running"}:
            continue
        path = _result_path(run, row.path, row.sha256, row.status)
        if path.is_file():
            results.append(dataclasses.replace(_load_result(path), path=row.path))
        elif row.status == "done":
            reason = f"result_missing: {path.name} is gone from the run folder"
            results.append(VideoResult(row.path, row.sha256, "failed", reason, row.duration_s))
        else:
            status: Status = "failed" if row.status == "failed" else "skipped"
            reason = f"{row.reason}: {row.sentence}" if row.sentence else row.reason
            results.append(VideoResult(row.path, row.sha256, status, reason, row.duration_s, sightings=row.sightings))
    return results


def result_to_json(result: VideoResult) -> dict[str, Any]:
    """A result as JSON values, exact; numbers that are not finite become the texts ``nan``, ``inf``, ``-inf``."""
    return {
        "schema": SCHEMA,
        "path": os.fspath(result.path),
        "sha256": result.sha256,
        "status": result.status,
        "reason": result.reason,
        "duration_s": _plain(result.duration_s),
        "sightings": result.sightings,
        "trains": [_train_to_json(train) for train in result.trains],
        "dropped": [_plain(dataclasses.asdict(dropped)) for dropped in result.dropped],
    }


def result_from_json(data: dict[str, Any]) -> VideoResult:
    """The result that ``result_to_json`` gave.

    Raises:
        TruthError: It is of another schema, or something is missing or of the wrong kind.
    """
    try:
        if data["schema"] != SCHEMA:
            raise TruthError(f"a result of schema {data['schema']}, expected {SCHEMA}", hint="scan again with --force")
        dropped = [{**d, "at_s": None if d["at_s"] is None else float(d["at_s"])} for d in data["dropped"]]
        return VideoResult(
            path=Path(data["path"]),
            sha256=data["sha256"],
            status=data["status"],
            reason=data["reason"],
            duration_s=None if data["duration_s"] is None else float(data["duration_s"]),
            trains=tuple(_train_from_json(train) for train in data["trains"]),
            sightings=int(data["sightings"]),
            dropped=tuple(Dropped(**d) for d in dropped),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TruthError(f"not a stored result: {type(error).__name__}: {error}") from error


def _train_to_json(train: Train) -> dict[str, Any]:
    arrays = {name: _plain(getattr(train.passage, name)) for name in PASSAGE_ARRAYS}
    return {
        "passage": {"scalars": _plain(passage_scalars(train.passage)), "arrays": arrays},
        "vehicles": [_plain({n: getattr(vehicle, n) for n in Vehicle.__dataclass_fields__}) for vehicle in train.vehicles],
        "counts": {name: dataclasses.asdict(train.counts[name]) for name in sorted(train.counts)},
        "total": dataclasses.asdict(train.total),
        "wagons": None if train.wagons is None else dataclasses.asdict(train.wagons),
        "speed_m_s": _plain(train.speed_m_s),
        "flags": list(train.flags),
    }


_PASSAGE_FLOATS = ("start_s", "end_s", "speed_px_s", "length_px")
_VEHICLE_FLOATS = ("score", "position_px", "width_px", "pts_s")


def _train_from_json(data: dict[str, Any]) -> Train:
    scalars = dict(data["passage"]["scalars"])
    scalars |= {name: float(scalars[name]) for name in _PASSAGE_FLOATS}
    scalars |= {name: [float(v) for v in scalars[name]] for name in ("view_x_px", "band_y_px")}
    arrays = {name: np.array([float(v) for v in data["passage"]["arrays"][name]], kind) for name, kind in PASSAGE_ARRAYS.items()}
    vehicles = []
    for vehicle in data["vehicles"]:
        floats = {name: float(vehicle[name]) for name in _VEHICLE_FLOATS}
        x0, y0, x1, y1 = (float(v) for v in vehicle["xyxy_px"])
        vehicles.append(Vehicle(**{**vehicle, **floats, "xyxy_px": (x0, y0, x1, y1)}))
    return Train(
        passage=passage_of(scalars, arrays),
        vehicles=tuple(vehicles),
        counts={name: Interval(**interval) for name, interval in data["counts"].items()},
        total=Interval(**data["total"]),
        wagons=None if data["wagons"] is None else Interval(**data["wagons"]),
        speed_m_s=None if data["speed_m_s"] is None else float(data["speed_m_s"]),
        flags=tuple(data["flags"]),
    )


def _plain(value: Any) -> Any:
    """JSON values that keep every bit. A float32 is written in its own shortest digits, a third of those of a float64."""
    if isinstance(value, np.ndarray):
        return [_plain(float(str(v))) for v in value]
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _result_path(run: RunFolder, path: Path, sha256: str, status: str) -> Path:
    """Done videos go by content; the others by name, for a broken file may have no hash and a repost has its original's."""
    if status == "done":
        return run.path / "results" / f"{sha256[:16]}.json"
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return run.path / "results" / f"not-{name}.json"


def _load_result(path: Path) -> VideoResult:
    try:
        return result_from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} is damaged: {error}", hint="remove it and scan again") from error
    except TruthError as error:
        raise TruthError(f"{path}: {error.message}", hint=error.hint) from error
