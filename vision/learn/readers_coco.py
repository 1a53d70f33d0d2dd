"""COCO JSON: one file names pictures, classes and boxes in pixels."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from vision.errors import InputError
from vision.learn.labels import Source, side_of
from vision.learn.pictures import Box, Picture, PictureHead, find_pictures
from vision.learn.problems import Key

_PARTS = {"images", "annotations", "categories"}


def read_coco(source: Source) -> list[Picture]:
    """Read a folder with COCO JSON files; ``annotations: FILE`` names one, else all of them below the folder are read.

    A picture without annotations shows nothing of interest, as COCO means it, unless ``unlabelled: leave_out`` says that nobody
    labelled it. A crowd (``iscrowd``) is an ignore region.

    Raises:
        InputError: There is no such file, or it is not COCO JSON.
    """
    pictures: dict[str, Picture] = {}
    for path in annotation_files(source):
        document = load_json(path)
        if not isinstance(document, Mapping) or not document.keys() >= _PARTS:
            lacking = _PARTS - document.keys() if isinstance(document, Mapping) else _PARTS
            raise InputError(f"{path} is not COCO JSON: it lacks {', '.join(sorted(lacking))}")
        for part in sorted(_PARTS):
            if not isinstance(document[part], list):
                raise InputError(f"{path} is not COCO JSON: {part} is no list")
        for picture in _read_file(source, path, document):
            if picture.file in pictures:
                said = f"the picture {picture.file} stands twice in the annotations"
                source.problems.error("twice", source.place(path), said, picture=(source.name, picture.file))
            pictures[picture.file] = picture
    return list(pictures.values())


def annotation_files(source: Source) -> list[Path]:
    """The JSON files to read.

    Raises:
        InputError: There is none.
    """
    given = source.options.get("annotations")
    if given is not None:
        names = given if isinstance(given, list) else [given]
        paths = [source.folder / str(name) for name in names]
        missing = [p for p in paths if not p.is_file()]
        if missing:
            raise InputError(f"{source.name}: there is no file {missing[0]}")
        return paths
    found = [
        p for p in sorted(source.folder.rglob("*.json")) if not any(s.startswith(".") for s in p.relative_to(source.folder).parts)
    ]
    chosen = found if len(found) == 1 else [p for p in found if _is_coco(p)]
    if not chosen:
        raise InputError(f"{source.folder} has no COCO JSON file", hint="name it in the description, as annotations: FILE")
    return chosen


def load_json(path: Path) -> Any:
    """A JSON document.

    Raises:
        InputError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no readable JSON: {error}") from error


def _is_coco(path: Path) -> bool:
    try:
        document = load_json(path)
    except InputError:
        return False
    return isinstance(document, Mapping) and document.keys() >= _PARTS


def _read_file(source: Source, path: Path, document: Mapping[str, Any]) -> Iterator[Picture]:
    names = {row["id"]: str(row["name"]) for row in _rows(source, path, document, "categories", {"id", "name"})}
    images = list(_rows(source, path, document, "images", {"id", "file_name"}))
    rows_of: dict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    ids = {image["id"] for image in images}
    for number, row in enumerate(document["annotations"]):
        where = source.place(path, f"annotations[{number}]")
        if not isinstance(row, Mapping) or not is_id(row.get("image_id")) or not is_id(row.get("category_id")):
            source.problems.error("columns", where, "the annotation lacks image_id or category_id")
        elif row["image_id"] not in ids:
            source.problems.error("missing_picture", where, f"there is no image with the id {row['image_id']!r}")
        else:
            rows_of[row["image_id"]].append((number, row))
    finder = PictureFinder(source.folder)
    for image in images:
        file_name = str(image["file_name"])
        where = source.place(path, file_name)
        picture = finder.find(path.parent, file_name)
        head = source.head(picture, where) if picture else None
        if picture is None:
            source.problems.error("missing_picture", where, "there is no such picture", picture=(source.name, file_name))
        if picture is None or head is None:
            continue
        file = source.file_of(picture)
        key = (source.name, file)
        if not rows_of[image["id"]] and source.choice("unlabelled", "background", "leave_out") == "leave_out":
            source.problems.warning("unlabelled", where, "without annotations: left out", together=source.name)
            continue
        boxes = [
            _box(source, row, names, image, head, source.place(path, f"annotations[{n}] of {file_name}"), key)
            for n, row in rows_of[image["id"]]
        ]
        side = side_of(file) or side_of(f"{path.stem.split('_')[-1]}/x") or side_of(source.file_of(path))
        yield source.picture(picture, file, [b for b in boxes if b], side=side)


def _rows(source: Source, path: Path, document: Mapping[str, Any], part: str, keys: set[str]) -> Iterator[Mapping[str, Any]]:
    """Rows of one part of the document that have what is needed and an id of their own."""
    seen = set()
    for number, row in enumerate(document[part]):
        where = source.place(path, f"{part}[{number}]")
        if not isinstance(row, Mapping) or not row.keys() >= keys or not is_id(row["id"]):
            source.problems.error("columns", where, f"it lacks {' or '.join(sorted(keys))}")
        elif row["id"] in seen:
            source.problems.error("twice", where, f"the id {row['id']!r} stands twice")
        else:
            seen.add(row["id"])
            yield row


def _box(
    source: Source,
    row: Mapping[str, Any],
    names: Mapping[Any, str],
    image: Mapping[str, Any],
    head: PictureHead,
    where: str,
    key: Key,
) -> Box | None:
    if row["category_id"] not in names:
        source.problems.error("not_a_class", where, f"there is no category with the id {row['category_id']!r}", picture=key)
        return None
    numbers = four_numbers(row.get("bbox"))
    if numbers is None:
        said = "a polygon or mask without a box" if row.get("segmentation") else f"bbox is {row.get('bbox')!r}, not four numbers"
        source.problems.error("polygon" if row.get("segmentation") else "columns", where, said, picture=key)
        return None
    left, top, width, height = numbers
    stated = (_size_px(image.get("width")), _size_px(image.get("height")))
    xyxy = source.fractions((left, top, left + width, top + height), stated, head, where, key)
    if xyxy is None:
        return None
    box = source.box(names[row["category_id"]], xyxy, where, key)
    if box is not None and row.get("iscrowd"):
        source.problems.warning("crowd", where, "a crowd; taken as an ignore region", together=source.name)
        return Box(None, box.cxcywh, box.view)
    return box


def four_numbers(value: object) -> tuple[float, float, float, float] | None:
    """Four numbers of a JSON list, which may be NaN or infinite; None where it is something else."""
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(v) for v in value):
        return None
    first, second, third, fourth = (_float(v) for v in value)
    return first, second, third, fourth


def is_id(value: object) -> bool:
    """Whether a JSON value can name a row: a whole number or a text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _size_px(value: object) -> float:
    """A stated width or height; 0 where it is none."""
    size = _float(value) if _is_number(value) else 0.0
    return size if math.isfinite(size) and size > 0 else 0.0


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON knows whole numbers of any length
        return math.inf


class PictureFinder:
    """Finds the picture that a label file names: files are often moved apart from their labels.

    Args:
        folder: Where to look, an absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in find_pictures(folder):
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def find(self, beside: Path, name: str) -> Path | None:
        """The picture called ``name`` seen from the folder ``beside``; else the only one below the folder with that file name.

        Never one outside the folder: a label file from a stranger may name any path.
        """
        inner = PurePosixPath(name.replace("\\", "/"))
        for base in (beside, self._folder, *(self._folder / part for part in ("images", "data", "JPEGImages"))):
            path = Path(os.path.normpath(base / inner))
            with contextlib.suppress(OSError, ValueError):  # a name that is too long, or holds a NUL
                if path.is_relative_to(self._folder) and path.is_file():
                    return path
        alike = self._by_name.get(inner.name) or []
        return alike[0] if len(alike) == 1 else None

    def by_stem(self, stem: str) -> Path | None:
        """The only picture below the folder with this name, whatever its suffix."""
        alike = self._by_stem.get(PurePosixPath(stem.replace("\\", "/")).name) or []
        return alike[0] if len(alike) == 1 else None
