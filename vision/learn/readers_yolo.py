"""YOLO folders: a text file of boxes beside each picture, class names in ``data.yaml`` or ``classes.txt``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from vision.errors import InputError
from vision.learn.labels import Source, Xyxy
from vision.learn.pictures import Box, Picture, PictureHead, find_pictures
from vision.learn.problems import Key

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
_CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_NO_LABELS = frozenset(
    {*_CLASS_LISTS, "readme.txt", "readme.dataset.txt", "readme.roboflow.txt", "train.txt", "val.txt", "valid.txt"}
)

COLUMNS = 5


def read_yolo(source: Source) -> list[Picture]:
    """Read a YOLO folder.

    The label file of ``…/images/…/a.jpg`` is ``…/labels/…/a.txt``; without such folders it lies beside the picture. An empty
    one says that nothing is on the picture; a picture without one is left out, unless ``unlabelled: background`` says that it
    shows nothing either. Rows with polygons are errors, unless ``polygons: box`` asks for the box around each.

    Raises:
        InputError: The folder says nowhere what its class indices mean.
    """
    names = _names(source)
    background = source.choice("unlabelled", "leave_out", "background") == "background"
    pictures, labels_used = [], set()
    for path in _pictures_of(source.folder):
        file = source.file_of(path)
        labels = _label_file(path, source.folder)
        labels_used.add(labels)
        head = source.head(path, source.place(path))
        if head is None:
            continue
        if not labels.is_file():
            what = "without a label file: taken as background" if background else "without a label file: left out"
            source.problems.warning("unlabelled", source.place(path), what, together=source.name)
            if not background:
                continue
        pictures.append(source.picture(path, file, list(_boxes(source, labels, names, head, (source.name, file)))))
    for orphan in sorted(set(_label_files(source.folder)) - labels_used):
        source.problems.error(
            "missing_picture", source.place(orphan), "labels without a picture", picture=(source.name, source.file_of(orphan))
        )
    return pictures


def _boxes(source: Source, labels: Path, names: Sequence[str] | None, head: PictureHead, key: Key) -> Iterator[Box]:
    if not labels.is_file():
        return
    try:
        text = labels.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        source.problems.error("unreadable_labels", source.place(labels), f"cannot read the labels: {error}", picture=key)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = source.place(labels, number)
        row = read_row(source, line, names, where, key)
        if row is not None:
            box = source.box(row[0], source.upright(row[1], head, where, key), where, key)
            if box is not None:
                yield box


class RowError(Exception):
    """A row that is no label; ``kind`` is its short name."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def read_row(source: Source, line: str, names: Sequence[str] | None, where: str, picture: Key) -> tuple[str, Xyxy] | None:
    """One row of a label file, as in ``parse_row``; None, and an error noted, where it is no such row."""
    try:
        row = parse_row(line, names, polygons=source.choice("polygons", "refuse", "box") == "box")
    except RowError as error:
        source.problems.error(error.kind, where, str(error), picture=picture)
        return None
    if len(line.split()) > COLUMNS:
        source.problems.warning("polygon_to_box", where, "a polygon; the box around it was taken", together=source.name)
    return row


def parse_row(line: str, names: Sequence[str] | None, *, polygons: bool) -> tuple[str, Xyxy]:
    """Read one row of a label file: class index, centre, size; or class index and a polygon.

    Args:
        line: The row.
        names: Class names by index; None takes the index itself as the name.
        polygons: Take the box around a polygon, rather than refuse it.

    Returns:
        Class name, and left, top, right, bottom in fractions; they may be anything, even NaN.

    Raises:
        RowError: It is no such row.
    """
    try:
        first, *rest = (float(word) for word in line.split())
    except ValueError as error:
        raise RowError("not_a_number", f"not a row of numbers: {line.strip()[:60]!r}") from error
    if not first.is_integer() or first < 0:
        raise RowError("not_a_class", f"the class is {line.split(maxsplit=1)[0]}, not an index from 0")
    if names is not None and first >= len(names):
        raise RowError("not_a_class", f"there is no class {int(first)}: the names go from 0 to {len(names) - 1}")
    label = str(int(first)) if names is None else names[int(first)]
    if len(rest) == COLUMNS - 1:
        cx, cy, w, h = rest
        return label, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    if len(rest) < 6 or len(rest) % 2:
        why = " (a score at its end? that is a prediction)" if len(rest) == COLUMNS else ""
        raise RowError("columns", f"{len(rest) + 1} columns instead of {COLUMNS}{why}")
    if not polygons:
        said = f"a polygon of {len(rest) // 2} corners, not a box (polygons: box would take the box around it)"
        raise RowError("polygon", said)
    if not all(map(math.isfinite, rest)):
        return label, (math.nan, math.nan, math.nan, math.nan)  # min and max would hide it
    return label, (min(rest[0::2]), min(rest[1::2]), max(rest[0::2]), max(rest[1::2]))


def _names(source: Source) -> list[str] | None:
    """Class names by index, from the description, ``data.yaml`` or ``classes.txt``."""
    given = source.options.get("names")
    if given is not None:
        return _listed(given, f"{source.name}: names")
    for name in _DESCRIPTIONS:
        path = source.folder / name
        if path.is_file():
            try:
                described = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
            if isinstance(described, Mapping) and "names" in described:
                return _listed(described["names"], f"{path}: names")
    for name in _CLASS_LISTS:
        path = source.folder / name
        if path.is_file():
            return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if source.options.get("classes"):
        return None  # the description maps the indices themselves
    raise InputError(
        f"{source.folder} has no data.yaml and no classes.txt: nothing says what its class indices mean",
        hint='give them in the description, as names: [tank, truck] or classes: {"0": tank, "1": truck}',
    )


def _listed(names: object, where: str) -> list[str]:
    if isinstance(names, Mapping):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise InputError(f"{where} does not count its classes from 0 without gaps")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list):
        raise InputError(f"{where} is neither a list nor a table of names")
    return [str(name) for name in names]


def _pictures_of(folder: Path) -> list[Path]:
    """All pictures; where some lie in a folder called ``images``, only those."""
    found = find_pictures(folder)
    in_images = [p for p in found if "images" in p.relative_to(folder).parts[:-1]]
    return in_images or found


def _label_file(picture: Path, folder: Path) -> Path:
    parts = list(picture.relative_to(folder).parts)
    beside = picture.with_suffix(".txt")
    if "images" not in parts[:-1] or beside.is_file():
        return beside
    last = max(i for i, part in enumerate(parts[:-1]) if part == "images")
    parts[last] = "labels"
    return folder.joinpath(*parts).with_suffix(".txt")


def _label_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.txt"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        # Outside a folder of labels a text file may be anything; beside pictures it is the label of one of them.
        if path.is_file() and not hidden and path.name.lower() not in _NO_LABELS and "labels" in inside.parts[:-1]:
            yield path
