"""The verdicts of a run: what people decided about its vehicles, ``RUN/verdicts.ndjson``, to which lines are only ever added.

A line says who, when, and what; ``before`` holds the vehicles it speaks of as they stood then, ``after`` what stands there
instead:

    confirm  1 -> 1        reject  1 -> 0        merge  2 or more -> 1
    reclass  1 -> 1        add     0 -> 1        split  1 -> 2 or more

A vehicle is known by a place, not by its number: the column at which its centre stood in the frame of a given time. From these
two the train's motion gives its place along the train, whatever was counted or scanned again since. ``vision.run.reviewed`` lays
the verdicts over the machine's results; scanning anew, also with ``--force``, leaves this file alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from vision.errors import TaxonomyError, TruthError
from vision.run.store import RunFolder, atomic_write
from vision.taxonomy import default_taxonomy

Kind = Literal["confirm", "reclass", "reject", "merge", "split", "add"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FILE = "verdicts.ndjson"

VERDICT_KEYS = ("id", "verdict", "who", "when", "train_id", "sha256", "start_s", "end_s", "before", "after")

# Vehicles before and after: least and most.
_SIZES: Mapping[str, tuple[tuple[int, float], tuple[int, float]]] = {
    "confirm": ((1, 1), (1, 1)),
    "reclass": ((1, 1), (1, 1)),
    "reject": ((1, 1), (0, 0)),
    "merge": ((2, math.inf), (1, 1)),
    "split": ((1, 1), (2, math.inf)),
    "add": ((0, 0), (1, 1)),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A vehicle as a verdict speaks of it.

    Attributes:
        class_name: Canonical name of its class.
        column_px: Column of its centre in the full frame at ``pts_s``; may lie outside the picture.
        pts, pts_s: Time of that frame.
        width_px: Width along the train.
        reach_px: A vehicle farther than this from the place is another one.
        position_px: Behind the train's head, as it was counted then: for people.
        xyxy_px: Box on that frame.
    """

    class_name: str
    column_px: float
    pts: int
    pts_s: float
    width_px: float
    reach_px: float
    position_px: float
    xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table, see the module's text.

    Attributes:
        id: Hash of what was decided, on which state of the run: the same decision is not noted twice.
        kind: What was decided.
        who: Name of the person, as they gave it.
        when: UTC, ISO 8601.
        train_id, sha256, start_s, end_s: The train as it was named then.
        before, after: Vehicles it speaks of, and what stands there instead.
    """

    id: str
    kind: Kind
    who: str
    when: str
    train_id: str
    sha256: str
    start_s: float
    end_s: float
    before: tuple[Place, ...]
    after: tuple[Place, ...]


def verdict_id(verdict: Verdict, *, state: int) -> str:
    """The hash of a decision: not of who made it and when, but of how many verdicts the run had when it was looked at.

    So the same decision read twice from one review set is one, and a change of mind, after the first was applied, is another.
    """
    row = _row(verdict)
    text = json.dumps([state, *(row[key] for key in ("verdict", "sha256", "train_id", "before", "after"))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_stored(verdict: Verdict) -> Verdict:
    """A verdict as it comes back from the table: rounded."""
    return _verdict(_row(verdict))


def read_verdicts(run: RunFolder) -> tuple[Verdict, ...]:
    """All verdicts of a run, in the order in which they were given; none where nobody gave any.

    Raises:
        TruthError: A line is damaged, or names a class that the taxonomy does not know; the message names the line.
    """
    path = run.path / FILE
    if not path.exists():
        return ()
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TruthError(f"cannot read {path}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_verdict(json.loads(line)))
            except (ValueError, KeyError, TypeError, TaxonomyError) as error:
                said = str(error) if isinstance(error, ValueError | TaxonomyError) else f"{type(error).__name__}: {error}"
                raise TruthError(f"{path}:{number} is no verdict: {said}", hint="restore the line from a copy") from error
    return tuple(found)


def append_verdicts(run: RunFolder, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Add verdicts to the table, all or none; those that stand there already are left out.

    Args:
        run: The run folder, locked for writing.
        verdicts: New ones, in order.

    Returns:
        What was added.

    Raises:
        TruthError: The table, or a verdict, is not of the expected form.
        OutputError: The run folder cannot be written.
    """
    known = {verdict.id for verdict in read_verdicts(run)}
    fresh: dict[str, Verdict] = {}
    for verdict in verdicts:
        try:
            _check(verdict)
        except (ValueError, TaxonomyError) as error:
            raise TruthError(f"not a verdict: {error}") from error
        if verdict.id not in known:
            fresh.setdefault(verdict.id, verdict)
    if fresh:
        path = run.path / FILE
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):  # a person's editor
            before += b"\n"
        lines = [json.dumps(_row(v), ensure_ascii=False, allow_nan=False) + "\n" for v in fresh.values()]
        atomic_write(path, before + "".join(lines).encode())
    return tuple(fresh.values())


def write_verdict_tables(run: RunFolder, verdicts: Sequence[Verdict], states: Mapping[str, str]) -> None:
    """Write ``verdicts.csv`` and ``.parquet``: the same lines, with what came of each on the run as it is now (``state``).

    Args:
        run: The run folder, locked for writing.
        verdicts: All of the run.
        states: Verdict id -> what came of it, see ``vision.run.reviewed``.

    Raises:
        OutputError: The run folder cannot be written.
    """
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that other commands need not wait
    import pyarrow.parquet as pq  # noqa: PLC0415

    if not verdicts:
        return
    rows = [{**_row(v), "state": states.get(v.id, "")} for v in verdicts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    flat = ("before_class", "before_position_px", "after_class", "after_position_px", "pts_s")
    writer.writerow([*VERDICT_KEYS[:-2], *flat, "state"])
    for row in rows:
        before, after = row["before"], row["after"]
        cells = [_joined(places, key) for places in (before, after) for key in ("class", "position_px")]
        cells.append(_joined(before or after, "pts_s"))
        writer.writerow([_safe(row[key]) for key in VERDICT_KEYS[:-2]] + cells + [row["state"]])
    atomic_write(run.path / "verdicts.csv", text.getvalue().encode())
    place = pa.struct(
        [
            ("class", pa.string()),
            *((name, pa.float64()) for name in ("column_px", "pts_s", "width_px", "reach_px", "position_px")),
            ("pts", pa.int64()),
            ("xyxy_px", pa.list_(pa.float64())),
        ]
    )
    texts = [(key, pa.string()) for key in VERDICT_KEYS[:6]]
    spans = [("start_s", pa.float64()), ("end_s", pa.float64())]
    places = [("before", pa.list_(place)), ("after", pa.list_(place))]
    schema = pa.schema([*texts, *spans, *places, ("state", pa.string())])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
    atomic_write(run.path / "verdicts.parquet", file.getvalue())


def table_path(run_dir: Path) -> Path:
    """Where the verdicts of a run lie."""
    return run_dir / FILE


def _joined(places: Sequence[Mapping[str, Any]], key: str) -> str:
    return ";".join(str(place[key]) for place in places)


def _safe(value: object) -> object:
    """A name such as ``=HYPERLINK(…)`` is no formula, see ``vision.run.tables``."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _row(verdict: Verdict) -> dict[str, Any]:
    row = asdict(verdict)
    row["verdict"] = row.pop("kind")
    for side in ("before", "after"):
        row[side] = [_place_row(place) for place in getattr(verdict, side)]
    return {key: row[key] for key in VERDICT_KEYS}


def _place_row(place: Place) -> dict[str, Any]:
    row = {"class": place.class_name, **asdict(place)}
    del row["class_name"]
    for name in ("column_px", "width_px", "reach_px", "position_px"):
        row[name] = round(float(row[name]), 1)
    row["pts_s"] = round(float(row["pts_s"]), 6)
    row["xyxy_px"] = [round(float(v), 1) for v in place.xyxy_px]
    return row


def _verdict(row: Mapping[str, Any]) -> Verdict:
    sides = {side: tuple(_place(place) for place in row[side]) for side in ("before", "after")}
    texts = {key: str(row[key]) for key in ("id", "who", "when", "train_id", "sha256")}
    verdict = Verdict(
        kind=row["verdict"],
        start_s=float(row["start_s"]),
        end_s=float(row["end_s"]),
        before=sides["before"],
        after=sides["after"],
        **texts,
    )
    _check(verdict)
    return verdict


def _place(row: Mapping[str, Any]) -> Place:
    x0, y0, x1, y1 = (float(v) for v in row["xyxy_px"])
    return Place(
        class_name=str(row["class"]),
        column_px=float(row["column_px"]),
        pts=int(row["pts"]),
        pts_s=float(row["pts_s"]),
        width_px=float(row["width_px"]),
        reach_px=float(row["reach_px"]),
        position_px=float(row["position_px"]),
        xyxy_px=(x0, y0, x1, y1),
    )


def _check(verdict: Verdict) -> None:
    if verdict.kind not in KINDS:
        raise ValueError(f"there is no verdict {verdict.kind!r}; known are {', '.join(KINDS)}")
    for side, (least, most) in zip(("before", "after"), _SIZES[verdict.kind], strict=True):
        places: tuple[Place, ...] = getattr(verdict, side)
        if not least <= len(places) <= most:
            raise ValueError(f"a {verdict.kind} has {len(places)} vehicles {side} it")
        for place in places:
            numbers = (place.column_px, place.pts_s, place.width_px, place.reach_px, place.position_px, *place.xyxy_px)
            if not all(math.isfinite(value) for value in numbers) or place.width_px <= 0 or place.reach_px <= 0:
                raise ValueError(f"the place of a {verdict.kind} is not a place: {place}")
            if side == "after":
                default_taxonomy().resolve(place.class_name)
