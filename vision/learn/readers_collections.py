"""Readers of the picture collections that the shipped weights were learned from, each with its own labels and faults.

They say, box by box, what cannot be learned from: a box whose ``leaf`` is None is an *ignore region*. The collections are
described in ``datasets/*.yaml``; this module holds only their formats. Own pictures are read by the readers of general formats.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vision.learn.labels import Source
from vision.learn.pictures import Box, Picture, View
from vision.learn.problems import Key
from vision.learn.readers_yolo import read_row

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

# Original class of mianali -> leaf, for boxes nobody could name more closely. The other original
# classes (APC-IFV, ART, CAR) span several leaves, so that an unnamed box of theirs has none.
_MIANALI_FALLBACK = {"TRUCK": "truck", "MLRS": "mlrs", "TANK": "tank"}

# Fine class of the tank exceptions -> leaf. What is not here (bad_box, other_tracked) has none.
_TANK_EXCEPTIONS = {
    "ww2": "tank",
    "bmp": "bmp",
    "btr": "btr",
    "covered_vehicle": "covered_vehicle",
    "light_armoured": "light_armoured",
    "sam": "sam",
    "sp_gun": "sp_gun",
    "towed_gun": "towed_gun",
    "truck": "truck",
}


def read_mianali(source: Source) -> list[Picture]:
    """Read photographs and drone frames with the finer labels of ``labels.tsv``."""
    folder = source.folder
    rows: dict[tuple[str, str], dict[int, dict[str, str]]] = defaultdict(dict)
    for row in _table(folder / "labels.tsv", "\t"):
        rows[row["split"], row["image_file"]][int(row["box_index"])] = row
    views = {(r["split"], r["file"]): _picture_view(r["view"]) for r in _table(folder / "views.csv", ",")}
    pictures = []
    for path in _pictures(folder / "images"):
        split = path.parent.name
        view = views.get((split, path.name), "unknown")
        named = rows[split, path.name]
        boxes = []
        key = (source.name, f"{split}/{path.name}")
        labels = folder / "labels_original" / split / f"{path.stem}.txt"
        for index, _, cxcywh in _yolo_boxes(source, labels, key):
            if index not in named:
                source.problems.error("columns", source.place(labels, index), "labels.tsv has no row for this box", picture=key)
                continue
            row = named[index]
            box_view: View = "ground" if row["view"] == "ground" else "high" if row["view"] == "high" else view
            model = row["state"] in {"intact", ""} and row["sure"] in {"1", ""}
            boxes.append(Box(mianali_leaf(row), cxcywh, box_view, model))
        box_views = {b.view for b in boxes}
        if view == "unknown" and len(box_views) == 1:
            view = box_views.pop()
        pictures.append(Picture(source.name, f"{split}/{path.name}", path, tuple(boxes), split, view, licence=_licence(source)))
    return pictures


def mianali_leaf(row: Mapping[str, str]) -> str | None:
    """Leaf of one row of mianali's ``labels.tsv``, or None for an ignore region.

    Wrecks are kept when they were named for sure. An unsure wreck seen from high is a dark spot
    in a field: it would teach the detector to find such spots.
    """
    if row["sure"] == "0" and row["state"] == "wreck" and row["view"] == "high":
        return None
    fine = row["fine"]
    if fine in {"unknown", "other_tracked"}:
        return _MIANALI_FALLBACK.get(row["orig_class"])
    return "truck" if fine.startswith("truck") else fine


def read_tank_pictures(source: Source) -> list[Picture]:
    """Read pictures labelled "tank", corrected by a table of the boxes that are something else.

    ``options["exceptions"]`` names the table, relative to the folder's parent. Pictures marked
    ``bad_picture`` (toys, drawings, models) are left out.
    """
    folder = source.folder
    exceptions: dict[str, dict[int, tuple[str, bool]]] = defaultdict(dict)
    for row in _table(folder.parent / str(source.options["exceptions"]), "\t"):
        if row["folder"] == folder.name:
            exceptions[row["image_file"]][int(row["box_index"])] = (row["fine"], row["sure"] == "1")
    pictures = []
    for path in _pictures(folder / "images"):
        known = exceptions[path.name]
        if any(fine == "bad_picture" for fine, _ in known.values()):
            continue
        boxes = []
        labels = folder / "labels" / f"{path.stem}.txt"
        for index, original, cxcywh in _yolo_boxes(source, labels, (source.name, path.name)):
            leaf = "tank" if original == 0 else None
            if index in known:
                fine, sure = known[index]
                leaf = _TANK_EXCEPTIONS.get(fine) if sure else None
            boxes.append(Box(leaf, cxcywh, "ground"))
        pictures.append(Picture(source.name, path.name, path, tuple(boxes), None, "ground", licence=_licence(source)))
    return pictures


def read_negatives(source: Source) -> list[Picture]:
    """Read pictures without any vehicle of the taxonomy.

    ``every`` takes each n-th file of a sequence; ``limit`` then takes that many, chosen by the hash of their names, so that the
    choice is the same everywhere.
    """
    paths = _pictures(source.folder)[:: int(source.number("every", 1))]
    files = {source.file_of(p): p for p in paths}
    chosen = sorted(files, key=_name_hash)[: int(source.number("limit", len(files)))]
    return [Picture(source.name, file, files[file], (), None, "ground", licence=_licence(source)) for file in chosen]


def _licence(source: Source) -> str:
    return str(source.options.get("licence", ""))


def _name_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)


def _table(path: Path, delimiter: str) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter=delimiter)


def _yolo_boxes(source: Source, path: Path, picture: Key) -> Iterator[tuple[int, int, tuple[float, float, float, float]]]:
    """Index, class and centre box of each sound non-empty line of a YOLO label file; a missing file has none."""
    if not path.exists():
        return
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for index, line in enumerate(lines):
        where = source.place(path, index + 1)
        parsed = read_row(source, line, None, where, picture)
        if parsed is not None and source.sound(parsed[1], where, picture):
            label, cx, cy, w, h = line.split()
            yield index, int(label), (float(cx), float(cy), float(w), float(h))


def _picture_view(name: str) -> View:
    if name == "ground":
        return "ground"
    return "high" if name == "aerial" else "unknown"
