"""Readers of the picture collections the detector learns from.

Each collection has its own labels and its own faults. A reader turns one of them into `Picture`
objects in the project's classes and says, box by box, what cannot be learned from: a box whose
``leaf`` is None is an *ignore region*, neither an example nor a counter-example.

The collections are described in ``datasets/*.yaml``; this module holds only their formats.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vision.errors import InputError
from vision.learn.pictures import Box, Picture, View

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


Reader = Callable[[Path, Mapping[str, object]], list[Picture]]


def read_source(name: str, root: Path, options: Mapping[str, object]) -> list[Picture]:
    """Read one collection.

    Args:
        name: Name of the collection; it becomes `Picture.source`.
        root: Folder that holds all collections.
        options: Its entry in the data-set description: ``reader``, ``folder`` and what that reader takes.

    Returns:
        Its pictures, sorted by file.

    Raises:
        InputError: The folder is missing or the reader is unknown.
    """
    folder = root / str(options.get("folder", name))
    if not folder.is_dir():
        raise InputError(f"no folder for the pictures of {name!r}: {folder}", hint="give the folder that holds the collections")
    reader = READERS.get(str(options["reader"]))
    if reader is None:
        raise InputError(f"unknown reader {options['reader']!r} for {name!r}", hint=f"use one of {', '.join(sorted(READERS))}")
    pictures = [Picture(name, p.file, p.path, p.boxes, p.published, p.view) for p in reader(folder, options)]
    return sorted(pictures, key=lambda p: p.file)


def read_mianali(folder: Path, options: Mapping[str, object]) -> list[Picture]:
    """Read photographs and drone frames with the finer labels of ``labels.tsv``."""
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
        for index, (_, cxcywh) in enumerate(_yolo_boxes(folder / "labels_original" / split / f"{path.stem}.txt")):
            row = named[index]
            box_view: View = "ground" if row["view"] == "ground" else "high" if row["view"] == "high" else view
            boxes.append(Box(mianali_leaf(row), cxcywh, box_view))
        box_views = {b.view for b in boxes}
        if view == "unknown" and len(box_views) == 1:
            view = box_views.pop()
        pictures.append(Picture("", f"{split}/{path.name}", path, tuple(boxes), split, view))
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


def read_tank_pictures(folder: Path, options: Mapping[str, object]) -> list[Picture]:
    """Read pictures labelled "tank", corrected by a table of the boxes that are something else.

    ``options["exceptions"]`` names the table, relative to the folder's parent. Pictures marked
    ``bad_picture`` (toys, drawings, models) are left out.
    """
    exceptions: dict[str, dict[int, tuple[str, bool]]] = defaultdict(dict)
    for row in _table(folder.parent / str(options["exceptions"]), "\t"):
        if row["folder"] == folder.name:
            exceptions[row["image_file"]][int(row["box_index"])] = (row["fine"], row["sure"] == "1")
    pictures = []
    for path in _pictures(folder / "images"):
        known = exceptions[path.name]
        if any(fine == "bad_picture" for fine, _ in known.values()):
            continue
        boxes = []
        for index, (original, cxcywh) in enumerate(_yolo_boxes(folder / "labels" / f"{path.stem}.txt")):
            leaf = "tank" if original == 0 else None
            if index in known:
                fine, sure = known[index]
                leaf = _TANK_EXCEPTIONS.get(fine) if sure else None
            boxes.append(Box(leaf, cxcywh, "ground"))
        pictures.append(Picture("", path.name, path, tuple(boxes), None, "ground"))
    return pictures


def read_negatives(folder: Path, options: Mapping[str, object]) -> list[Picture]:
    """Read pictures without any vehicle of the taxonomy.

    ``options["every"]`` takes each n-th file of a sequence; ``options["limit"]`` then takes that many,
    chosen by the hash of their names, so that the choice is the same everywhere.
    """
    paths = _pictures(folder)[:: int(str(options.get("every", 1)))]
    files = {p.relative_to(folder).as_posix(): p for p in paths}
    chosen = sorted(files, key=_name_hash)[: int(str(options.get("limit", len(files))))]
    return [Picture("", file, files[file], (), None, "ground") for file in chosen]


READERS: dict[str, Reader] = {"mianali": read_mianali, "tank_pictures": read_tank_pictures, "negatives": read_negatives}


def _name_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)


def _table(path: Path, delimiter: str) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter=delimiter)


def _yolo_boxes(path: Path) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Class and centre box of each non-empty line of a YOLO label file; a missing file has none."""
    if not path.exists():
        return []
    boxes = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            label, cx, cy, w, h = line.split()
            boxes.append((int(label), (float(cx), float(cy), float(w), float(h))))
    return boxes


def _picture_view(name: str) -> View:
    if name == "ground":
        return "ground"
    return "high" if name == "aerial" else "unknown"
