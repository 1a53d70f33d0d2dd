"""The collections that a data-set description names: which reader each takes, and what may be said about it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from vision.errors import InputError
from vision.learn import readers_coco, readers_collections, readers_fiftyone, readers_run, readers_voc, readers_yolo
from vision.learn.labels import ClassMap, Source
from vision.learn.pictures import Box, Picture, View
from vision.learn.problems import BadLabels, Problems
from vision.run.store import is_run
from vision.taxonomy import Taxonomy, default_taxonomy

__all__ = ["READERS", "Box", "Picture", "View", "guess_reader", "read_source"]

Reader = Callable[[Source], list[Picture]]

READERS: dict[str, Reader] = {
    "yolo": readers_yolo.read_yolo,
    "coco": readers_coco.read_coco,
    "voc": readers_voc.read_voc,
    "fiftyone": readers_fiftyone.read_fiftyone,
    "run": readers_run.read_run,
    "negatives": readers_collections.read_negatives,
    "mianali": readers_collections.read_mianali,
    "tank_pictures": readers_collections.read_tank_pictures,
}

# A picture of these collections on which no labelled box is left is not used: that nothing is on it, nobody said.
LABELLED_ONLY = frozenset({"mianali", "tank_pictures"})

_COMMON = {"reader", "folder", "licence", "origin", "revision", "classes", "validation", "same_scene", "note"}
_GENERAL = _COMMON | {"view", "clip", "outside"}
OPTIONS: dict[str, set[str]] = {
    "yolo": _GENERAL | {"names", "polygons", "unlabelled", "orientation"},
    "coco": _GENERAL | {"annotations", "orientation", "unlabelled"},
    "voc": _GENERAL | {"difficult", "one_based", "orientation"},
    "fiftyone": _GENERAL | {"field", "clip_field", "orientation"},
    "run": _GENERAL | {"videos", "min_score"},
    "negatives": _COMMON | {"every", "limit"},
    "mianali": _COMMON,
    "tank_pictures": _COMMON | {"exceptions"},
}

_NAME = re.compile(r"[\w.-]+")


def read_source(
    name: str,
    root: Path,
    options: Mapping[str, object],
    *,
    taxonomy: Taxonomy | None = None,
    problems: Problems | None = None,
    work: Path | None = None,
) -> list[Picture]:
    """Read one collection.

    Args:
        name: Name of the collection; it becomes `Picture.source`.
        root: Folder that holds all collections.
        options: Its entry in the data-set description: ``reader``, ``folder`` and what that reader takes.
        taxonomy: The class tree; None takes the project's.
        problems: Where to note what is wrong; None raises at the end of the collection.
        work: Folder for pictures that a reader makes, which must outlive them; None makes one that is never removed.

    Returns:
        Its pictures, sorted by file.

    Raises:
        InputError: The folder is missing, or the options are wrong.
        BadLabels: Labels or pictures are bad, and no ``problems`` were given.
    """
    read = check_options(name, options)
    folder = (root / str(options.get("folder", name))).resolve()
    if not folder.is_dir():
        raise InputError(f"no folder for the pictures of {name!r}: {folder}", hint="give the folder that holds the collections")
    given = options.get("classes")
    classes = ClassMap(taxonomy or default_taxonomy(), given if isinstance(given, Mapping) else {}, name)
    found = Problems() if problems is None else problems
    source = Source(name, folder, options, classes, found, work or Path(tempfile.mkdtemp(prefix="flatcar-")))
    pictures = sorted(read(source), key=lambda p: p.file)
    if classes.unused:
        said = f"no label is called {', '.join(sorted(classes.unused))}, which its classes map"
        found.warning("unused_class", name, said)
    if problems is None and found.errors:
        raise BadLabels(found)
    return pictures


def check_options(name: str, options: Mapping[str, object]) -> Reader:
    """The reader of a collection.

    Raises:
        InputError: The reader or an option is not known, or the name would not do for a file.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a source", hint="use letters, digits, and _ . - only")
    if not isinstance(options, Mapping) or "reader" not in options:
        raise InputError(f"the source {name!r} has no reader", hint=f"use one of {', '.join(sorted(READERS))}")
    reader = str(options["reader"])
    if reader not in READERS:
        raise InputError(f"unknown reader {reader!r} for {name!r}", hint=f"use one of {', '.join(sorted(READERS))}")
    unknown = sorted(set(map(str, options)) - OPTIONS[reader])
    if unknown:
        known = ", ".join(sorted(OPTIONS[reader]))
        raise InputError(f"{name}: the reader {reader!r} does not know {', '.join(unknown)}", hint=f"it knows {known}")
    classes = options.get("classes")
    if reader not in LABELLED_ONLY | {"negatives"} and not isinstance(classes, Mapping | None):
        raise InputError(f"{name}: classes is {classes!r}, not a table", hint="write it as classes: {their name: our class}")
    return READERS[reader]


def guess_reader(folder: Path) -> str:
    """The reader for a folder of somebody's pictures, by what lies in it.

    Raises:
        InputError: It does not exist, or nothing in it tells.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    if is_run(folder):
        return "run"
    names = {p.name for p in folder.iterdir()}
    if readers_fiftyone.SAMPLES in names:
        return "fiftyone"
    if {"data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names"} & names:
        return "yolo"
    if readers_fiftyone.LABELS in names:
        document = readers_coco.load_json(folder / readers_fiftyone.LABELS)
        return "fiftyone" if isinstance(document, Mapping) and "labels" in document else "coco"
    for reader, pattern in (("voc", "*.xml"), ("coco", "*.json"), ("yolo", "labels/**/*.txt")):
        if next(folder.rglob(pattern), None) is not None:
            return reader
    raise InputError(
        f"nothing in {folder} tells in which form its labels are",
        hint="name it: --from yolo:FOLDER, coco:, voc:, fiftyone: or run:, or negatives: where nothing is on the pictures",
    )
