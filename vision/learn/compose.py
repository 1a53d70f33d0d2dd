"""Compose training pictures and add them to a set: ``flatcar dataset compose``.

They are made of training pictures only and go to the training side only: a composed picture in validation would measure how well
the detector knows our drawing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from vision.errors import InputError, OutputError, UsageError
from vision.learn.compose_material import Backgrounds, Vehicles, cuttable, few_of, training_pictures
from vision.learn.compose_scene import Composed, Composer
from vision.learn.description import DataSet
from vision.learn.folders import fresh_folder
from vision.learn.manifest import (
    MANIFEST_NAME,
    Row,
    class_names,
    read_manifest,
    read_summary,
    write_manifest,
    write_summary,
)
from vision.learn.pictures import Picture, file_sha256
from vision.run.store import atomic_write
from vision.synth.cutouts import TABLE
from vision.synth.paint import Image
from vision.synth.pool import write_pool

SOURCE = "composed"
PREFIX = f"{SOURCE}__"
TABLE_NAME = "composed.ndjson"

_JPEG_QUALITY = 93
_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_CELL_PX = 4, 6, 400

Track = Callable[[Sequence[int]], Iterable[int]]
"""Goes through the numbers of the pictures, and may show how far it is."""


@dataclass(frozen=True)
class Done:
    """What was composed.

    Attributes:
        folder: The set, or the folder of pictures and labels.
        pictures: How many.
        empty: How many of them show no vehicle.
        boxes: Leaf -> how many boxes.
        cutouts: Leaf -> how many cut-outs there were to choose from.
        seconds: What the pictures took, without cutting out.
        digest: Of the set; None where the pictures went into a folder of their own.
    """

    folder: Path
    pictures: int
    empty: int
    boxes: Counter[str]
    cutouts: dict[str, int]
    seconds: float
    digest: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": str(self.folder),
            "pictures": self.pictures,
            "empty": self.empty,
            "boxes": dict(sorted(self.boxes.items())),
            "cutouts": self.cutouts,
            "pictures_per_s": round(self.pictures / max(self.seconds, 1e-9), 2),
            "digest": self.digest,
        }


def compose_set(
    data: DataSet,
    root: Path | None,
    out: Path,
    *,
    count: int,
    seed: int = 0,
    cutouts: Path | None = None,
    sheet: Path | None = None,
    force: bool = False,
    track: Track = lambda numbers: numbers,
    say: Callable[[str], None] = lambda sentence: None,
) -> Done:
    """Compose pictures; all are added, or none.

    Args:
        data: The description that the set was built from.
        root: Folder of the collections; None takes the description's own.
        out: A built set, whose training side grows, or a new folder for ``images`` and ``labels``.
        count: How many pictures.
        seed: The same gives the same pictures.
        cutouts: Folder of cut-outs: used if there, made there if not. None makes them for this time only.
        sheet: Picture file to draw the first ones on, with their boxes.
        force: Replace composed pictures that are there.
        track: Goes through the numbers, for a progress bar.
        say: Told what is being done.

    Raises:
        InputError: Nothing can be cut out, there is no background, the set has other classes, or it would validate on them.
        OutputError: Composed pictures are there already, the folder cannot be written, or the disk is full.
        BadLabels: Labels or pictures are bad.
    """
    if count < 1:
        raise UsageError(f"cannot compose {count} pictures")
    if sheet is not None:
        _check_sheet(sheet)
    leaves = data.taxonomy.leaves
    rows = _check_set(out, leaves, force=force) if (out / "data.yaml").is_file() else None
    if rows is None:
        _refuse_inside_set(out)
    in_set = {(row.source, row.file) for row in rows if row.split == "train"} if rows else None
    with data.reading(root) as read, _cutout_folder(cutouts) as place:
        pictures = training_pictures(data, read, in_set)
        if not (place / TABLE).is_file():
            _cut(pictures, place, say)
        vehicles = Vehicles(place, allowed={(p.source, p.file) for p in pictures})
        composer = Composer(vehicles, Backgrounds(pictures), seed=seed)
        say(f"composing {count} pictures from {sum(vehicles.counts().values())} cut-outs")
        with _target(out, into_set=rows is not None, force=force) as work:
            started = time.perf_counter()
            composed = _write_pictures(composer, work, track(range(count)), leaves, sheet)
            seconds = time.perf_counter() - started
            digest = None if rows is None else _add_to_set(out, work, rows, composed, seed=seed)
    boxes = Counter(name for _, entry in composed for name in entry["boxes"])
    empty = sum(not entry["boxes"] for _, entry in composed)
    return Done(out, len(composed), empty, boxes, dict(vehicles.counts()), seconds, digest)


def _check_sheet(path: Path) -> None:
    """Before an hour's work, not after it."""
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise UsageError(f"cannot write a picture as {path.name}", hint="use .png or .jpg")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no such folder")


def _check_set(out: Path, leaves: Sequence[str], *, force: bool) -> list[Row]:
    """Its manifest, if the set can take composed pictures."""
    if (found := class_names(out)) != list(leaves):
        raise InputError(
            f"{out} has other classes ({', '.join(found[:3])} ...) than the description", hint="build it from that description"
        )
    document = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    sides = {name: _side(out, document, name) for name in ("train", "val")}
    if sides["train"] != (out / "images" / "train").resolve():
        raise InputError(f"{out}: the training pictures are not in images/train", hint="use a set from: flatcar dataset build")
    if sides["val"] == sides["train"] or sides["val"] in sides["train"].parents:
        raise InputError(
            f"{out} validates on its training pictures: composed ones would be measured on",
            hint="build a set with a validation side",
        )
    if (out / "images" / "valid").is_dir() and any((out / "images" / "valid").glob(f"{PREFIX}*")):
        raise InputError(
            f"{out} has composed pictures on its validation side", hint="remove them: what they measure means nothing"
        )
    if not force and any((out / "images" / "train").glob(f"{PREFIX}*")):
        raise OutputError(f"{out} has composed pictures already", hint="--force replaces them")
    return read_manifest(out)


def _side(out: Path, document: dict[str, Any], name: str) -> Path:
    # The folder may have been moved since data.yaml was written: its own place counts, not the path in it.
    return (out / str(document.get(name, f"images/{name}"))).resolve()


def _refuse_inside_set(out: Path) -> None:
    for parent in out.resolve().parents:
        if (parent / "data.yaml").is_file():
            raise InputError(f"{out} lies in the set {parent}", hint="give the set itself: its training side takes them")


@contextmanager
def _cutout_folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="flatcar-") as work:
        yield Path(work)


def _cut(pictures: Sequence[Picture], place: Path, say: Callable[[str], None]) -> None:
    """Fill a folder with cut-outs; it has its table only when all are there."""
    found = cuttable(pictures)
    if not found:
        raise InputError(
            "no vehicle can be cut out of the training pictures",
            hint="a cut-out needs a whole vehicle, at least 60 x 40 px, seen from the ground, clear of the edges and of others",
        )
    say(f"cutting up to {len(found)} vehicles out of their photographs")
    done = write_pool(found, place, lenient=few_of(found))
    say(", ".join(f"{name} {number}" for name, number in sorted(done.items())))


@contextmanager
def _target(out: Path, *, into_set: bool, force: bool) -> Iterator[Path]:
    """A folder to compose into, with ``images`` and ``labels``; in the set, or one that becomes ``out``."""
    if not into_set:
        with fresh_folder(out, force=force) as work:
            yield _with_parts(work)
        return
    try:
        # Beside the set, not in it: what a kill leaves behind does not become part of the set.
        work = Path(tempfile.mkdtemp(prefix=f".{out.resolve().name}.", suffix=".unfinished", dir=out.resolve().parent))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}") from error
    try:
        yield _with_parts(work)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _with_parts(folder: Path) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir()
    return folder


Entry = tuple[Row, dict[str, Any]]


def _write_pictures(
    composer: Composer, folder: Path, numbers: Iterable[int], leaves: Sequence[str], sheet: Path | None
) -> list[Entry]:
    """Write pictures, labels and ``composed.ndjson``; for each its row of the manifest and its line of the table."""
    entries: list[Entry] = []
    cells: list[Image] = []
    for number in numbers:
        composed = composer.picture(number)
        name = f"{PREFIX}{number:05d}"
        _, encoded = cv2.imencode(".jpg", composed.picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        path = folder / "images" / f"{name}.jpg"
        try:
            path.write_bytes(encoded.tobytes())
            (folder / "labels" / f"{name}.txt").write_text(yolo(composed, leaves), encoding="utf-8", newline="\n")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}; nothing was added") from error
        entries.append((_row(name, composed, path), {"picture": name, **_line(composed)}))
        if len(cells) < _SHEET_COLUMNS * _SHEET_ROWS:
            cells.append(_boxed(composed))
    table = "".join(json.dumps(line, ensure_ascii=False) + "\n" for _, line in entries)
    (folder / TABLE_NAME).write_text(table, encoding="utf-8", newline="\n")
    if sheet is not None:
        _write_sheet(cells, sheet)
    return entries


def yolo(composed: Composed, leaves: Sequence[str]) -> str:
    """The labels of a composed picture in YOLO's form."""
    height, width = composed.picture.shape[:2]
    lines = []
    for name, (x0, y0, x1, y1) in composed.boxes:
        numbers = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        lines.append(" ".join([str(list(leaves).index(name)), *(f"{v:.6f}" for v in numbers)]) + "\n")
    return "".join(lines)


def _line(composed: Composed) -> dict[str, Any]:
    return {"boxes": [name for name, _ in composed.boxes], "made_of": list(composed.made_of)}


def _row(name: str, composed: Composed, path: Path) -> Row:
    height, width = composed.picture.shape[:2]
    return Row(
        picture=name,
        split="train",
        source=SOURCE,
        file=f"{name}.jpg",
        sha256=file_sha256(path),
        licence="; ".join(composed.licences),
        group=name,
        view="ground",
        width_px=width,
        height_px=height,
        original_width_px=width,
        original_height_px=height,
        boxes=dict(sorted(Counter(leaf for leaf, _ in composed.boxes).items())),
    )


def _add_to_set(out: Path, work: Path, rows: Sequence[Row], composed: Sequence[Entry], *, seed: int) -> str:
    """Move the pictures in, then say so in the manifest and the summary; returns the set's new digest."""
    for part in ("labels", "images"):
        place = out / part / "train"
        for old in place.glob(f"{PREFIX}*"):
            old.unlink()
        for new in sorted((work / part).iterdir()):
            new.replace(place / new.name)
    (work / TABLE_NAME).replace(out / TABLE_NAME)
    kept = [row for row in rows if row.source != SOURCE]
    summary = read_summary(out)
    if kept:
        write_manifest(work, [*kept, *(row for row, _ in composed)])
        (work / MANIFEST_NAME).replace(out / MANIFEST_NAME)
    counts = {side: sum(row.split == side for row in kept) for side in ("train", "valid")}
    if kept:
        summary["pictures"] = {**counts, "train": counts["train"] + len(composed)}
    summary["composed"] = {"pictures": len(composed), "seed": seed}
    for name in ("schema", "digest"):
        summary.pop(name, None)
    _forget_label_cache(out)
    return write_summary(out, summary)


def _forget_label_cache(out: Path) -> None:
    """Ultralytics keeps a list of labels beside the folder; it would find it out by itself, but only with a warning."""
    for cache in (out / "labels").glob("*.cache"):
        cache.unlink()


def _boxed(composed: Composed) -> Image:
    picture = composed.picture.copy()
    for name, box in composed.boxes:
        x0, y0, x1, y1 = (round(v) for v in box)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), (0, 255, 255), 1)
        cv2.putText(picture, name, (x0, max(10, y0 - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 0), 1, cv2.LINE_AA)
    return picture


def _write_sheet(cells: Sequence[Image], path: Path) -> None:
    """A contact sheet of pictures; the format is the one that the name says."""
    scale = _SHEET_CELL_PX / cells[0].shape[1]
    small = [np.asarray(cv2.resize(cell, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8) for cell in cells]
    tall = max(cell.shape[0] for cell in small)
    columns = min(_SHEET_COLUMNS, len(small))
    sheet = np.zeros((tall * -(-len(small) // columns), _SHEET_CELL_PX * columns, 3), np.uint8)
    for i, cell in enumerate(small):
        y, x = tall * (i // columns), _SHEET_CELL_PX * (i % columns)
        sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    _, encoded = cv2.imencode(path.suffix.lower(), sheet)
    atomic_write(path, encoded.tobytes())
