"""Look through a set, or through what a description would make, for what spoils a training or flatters its measure.

Errors: labels that are no boxes or lie outside their picture, class indices out of range, pictures that cannot be read, labels
without pictures, and leaks: the same picture, or the same scene, on both sides. Warnings: boxes drawn twice, tiny boxes, pictures
without labels, the same picture twice on one side, and pictures that look alike across the sides without being surely the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from vision.errors import DependencyError, InputError
from vision.geometry import iou
from vision.learn.description import DataSet
from vision.learn.labels import ClassMap, Source, Xyxy
from vision.learn.manifest import Row, class_names, read_manifest, read_summary, set_digest
from vision.learn.pictures import check_whole, file_sha256, find_pictures, picture_head
from vision.learn.problems import Problems
from vision.learn.readers_yolo import read_row
from vision.learn.splits import NEAR_DUPLICATE_BITS, picture_hash, read_split
from vision.taxonomy import default_taxonomy

# Two boxes of one class that overlap by more than this are one vehicle labelled twice.
DOUBLED_IOU = 0.9

# A box whose shorter side is less than this many pixels in the set teaches nothing: a detector's finest cell is 8 px.
TINY_PX = 4

# Up to here a perceptual hash is the same photograph; up to NEAR_DUPLICATE_BITS it may be chance in a million pairs.
SURELY_THE_SAME_BITS = 8


@dataclass(frozen=True)
class Entry:
    """One picture to look at.

    Attributes:
        where: Its name for people.
        path: Where it lies.
        split: ``train``, ``valid`` or None where it has no side yet.
        boxes: Class and corners in fractions of each sound box, with the place it stands.
        group: Its scene, or None.
        sha256: Of its original, or None to take that of ``path``.
    """

    where: str
    path: Path
    split: str | None
    boxes: Sequence[tuple[str, Xyxy, str]] = ()
    group: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        pictures, boxes: How many were looked at.
        problems: What is wrong.
        not_checked: What could not be checked, and why.
    """

    pictures: int
    boxes: int
    problems: Problems
    not_checked: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """Everything, ready for JSON."""
        return {
            "pictures": self.pictures,
            "boxes": self.boxes,
            "errors": sum(p.count for p in self.problems.errors),
            "warnings": sum(p.count for p in self.problems.warnings),
            "not_checked": list(self.not_checked),
            "problems": [
                {"kind": p.kind, "severity": p.severity, "where": p.where, "what": p.what, "count": p.count}
                for p in self.problems
            ],
        }


def check(path: Path, root: Path | None = None) -> Checked:
    """Check a built set (its folder or ``data.yaml``) or a description.

    Args:
        path: The set's folder, its ``data.yaml``, or a description.
        root: Folder of a description's collections; None takes the description's own.

    Raises:
        InputError: It is neither.
        DependencyError: Pillow is not installed.
    """
    if path.is_dir():
        return check_set(path)
    if not path.is_file():
        raise InputError(f"there is no set and no description {path}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if isinstance(raw, Mapping) and "names" in raw and "sources" not in raw:
        return check_set(path.parent)
    return check_description(DataSet.load(path), root)


def check_set(folder: Path) -> Checked:
    """Check a built set, or any YOLO folder with a ``data.yaml``.

    Raises:
        InputError: The folder holds no set.
    """
    folder = folder.resolve()
    problems = Problems()
    names = class_names(folder)
    rows = {row.picture: row for row in read_manifest(folder)}
    source = Source("set", folder, {}, ClassMap(default_taxonomy(), {}, "set"), problems, folder)
    entries: list[Entry] = []
    for split in ("train", "valid"):
        entries += _entries_of(source, split, names, rows)
    if not entries and not len(problems):
        raise InputError(f"{folder} holds no pictures", hint="make a set with: flatcar dataset build")
    _check_manifest(source, rows, entries)
    return _finish(entries, problems)


def check_description(data: DataSet, root: Path | None = None) -> Checked:
    """Check what a description would build: its labels, its pictures, and the sides in its split file if there is one."""
    with data.reading(root) as read:
        placed = read_split(data.split) if data.split is not None and data.split.exists() else {}
        entries = []
        for picture in read.pictures:
            where = f"{picture.source}: {picture.file}"
            place = placed.get((picture.source, picture.file))
            if placed and place is None:
                read.problems.warning("no_side", where, "not in the split file", together=picture.source)
            boxes = [(b.leaf, b.xyxy, f"{where}: box {n}") for n, b in enumerate(picture.boxes, 1) if b.leaf]
            scene = f"{picture.source}/{picture.clip}" if picture.clip is not None else place.group if place else None
            entries.append(Entry(where, picture.path, place.split if place else None, boxes, scene))
        for group, sides in _sides_of((p.group, p.split) for p in placed.values()).items():
            if len(sides) > 1:
                read.problems.error("leak_scene", str(data.split), f"the scene {group} is on both sides")
        return _finish(entries, read.problems)


def _entries_of(source: Source, split: str, names: Sequence[str], rows: Mapping[str, Row]) -> Iterator[Entry]:
    """Pictures of one side of a set, their labels checked on the way."""
    folder = _side_folder(source.folder, split)
    if folder is None:
        return
    used = set()
    for path in find_pictures(folder):
        where = source.place(path)
        labels = _labels_beside(path)
        used.add(labels)
        key = ("set", source.file_of(path))
        row = rows.get(path.stem)
        boxes: list[tuple[str, Xyxy, str]] = []
        if labels.is_file():
            for number, line in enumerate(labels.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                place = source.place(labels, number)
                parsed = read_row(source, line, names, place, key) if line.strip() else None
                if parsed is not None and source.sound(parsed[1], place, key):
                    boxes.append((*parsed, place))
        elif row is not None:
            source.problems.error("missing_labels", where, "its label file is gone")
        else:
            source.problems.warning("unlabelled", where, "a picture without a label file: a trainer takes it as background")
        yield Entry(where, path, split, boxes, row.group if row else None, row.sha256 if row else None)
    labels_folder = Path(*("labels" if part == "images" else part for part in folder.parts))
    for path in sorted(labels_folder.rglob("*.txt")) if labels_folder != folder else ():
        if path not in used:
            source.problems.error("missing_picture", source.place(path), "labels without a picture")


def _side_folder(folder: Path, split: str) -> Path | None:
    described = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    told = described.get("val" if split == "valid" else "train")
    names = [told] if isinstance(told, str) else []
    names += [f"images/{split}", f"{split}/images"]
    for name in names:
        for path in (folder / name, folder / name.removeprefix("../")):
            if path.is_dir():
                return path.resolve()
    return None


def _labels_beside(picture: Path) -> Path:
    parts = list(picture.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def _check_manifest(source: Source, rows: Mapping[str, Row], entries: Sequence[Entry]) -> None:
    digest = read_summary(source.folder).get("digest")
    if digest is not None and digest != set_digest(source.folder):
        source.problems.warning("changed", "set", "the set was changed since it was built: its digest is another")
    if not rows:
        return
    there = {e.path.stem for e in entries}
    for name, row in rows.items():
        if name not in there:
            source.problems.error("missing_picture", f"set: manifest: {name}", f"the picture is gone from {row.split}")
    for entry in entries:
        row_of = rows.get(entry.path.stem)
        if row_of is None:
            source.problems.warning(
                "no_origin", entry.where, "not in the manifest: nothing says where it came from", together="set"
            )
        elif row_of.split != entry.split:
            source.problems.error("moved", entry.where, f"the manifest has it in {row_of.split}")


def _finish(entries: Sequence[Entry], problems: Problems) -> Checked:
    """The checks that a set and a description have in common."""
    readable = [e for e in entries if _check_picture(e, problems)]
    not_checked = list(_check_leaks(readable, problems))
    return Checked(len(entries), sum(len(e.boxes) for e in entries), problems, not_checked)


def _check_picture(entry: Entry, problems: Problems) -> bool:
    try:
        head = picture_head(entry.path)
        check_whole(entry.path)
    except InputError as error:
        problems.error("unreadable_picture", entry.where, error.message)
        return False
    for name, (left, top, right, bottom), where in entry.boxes:
        short_px = min((right - left) * head.width_px, (bottom - top) * head.height_px)
        if short_px < TINY_PX:
            problems.warning("tiny", where, f"a {name} of {short_px:.1f} px on its shorter side")
    for i, (name, box, where) in enumerate(entry.boxes):
        for other, other_box, other_where in entry.boxes[:i]:
            if name == other and iou(box, other_box) > DOUBLED_IOU:
                problems.warning("doubled", where, f"the same {name} again as in {other_where.rpartition(':')[2].strip()}")
                break
    return True


def _check_leaks(entries: Sequence[Entry], problems: Problems) -> Iterator[str]:
    """Note leaks between the sides; what could not be checked is given back."""
    by_content: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        for content in {entry.sha256, file_sha256(entry.path)} - {None}:
            by_content[content or ""].append(entry)
    found = {tuple(e.where for e in same): same for same in by_content.values()}  # once, for the original and for its copy
    for same in found.values():
        sides = {e.split for e in same if e.split}
        if len(sides) > 1:
            problems.error("leak_same_file", same[0].where, f"the same picture is on both sides, as {same[-1].where}")
        elif len(same) > 1:
            problems.warning("twice", same[1].where, f"the same picture as {same[0].where}")
    for group, sides_of_group in _sides_of((e.group, e.split) for e in entries).items():
        if len(sides_of_group) > 1:
            first = next(e for e in entries if e.group == group)
            problems.error("leak_scene", first.where, f"its scene {group} is on both sides")
    sided = [e for e in entries if e.split]
    if len({e.split for e in sided}) < 2:
        yield "leaks between the sides: the pictures have no two sides yet"
        return
    try:
        _check_alike(sided, problems)
    except DependencyError as error:
        yield f"pictures that look alike: {error}"


def _check_alike(entries: Sequence[Entry], problems: Problems) -> None:
    train = [e for e in entries if e.split == "train"]
    valid = [e for e in entries if e.split == "valid"]
    bits = _bits(train)
    for entry, own in zip(valid, _bits(valid), strict=True):
        apart = np.count_nonzero(bits != own, axis=1)
        nearest = int(np.argmin(apart))
        if apart[nearest] <= SURELY_THE_SAME_BITS:
            said = f"a picture of training looks the same ({apart[nearest]} of 64 bits differ): {train[nearest].where}"
            problems.error("leak_look_alike", entry.where, said)
        elif apart[nearest] <= NEAR_DUPLICATE_BITS:
            said = f"a picture of training looks alike ({apart[nearest]} of 64 bits differ; look): {train[nearest].where}"
            problems.warning("look_alike", entry.where, said)


def _bits(entries: Sequence[Entry]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    hashes = np.array([picture_hash(e.path) for e in entries], dtype=">u8")
    return np.unpackbits(hashes[:, None].view(np.uint8), axis=1)


def _sides_of(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, set[str]]:
    sides: dict[str, set[str]] = defaultdict(set)
    for group, split in pairs:
        if group and split:
            sides[group].add(split)
    return sides


def table(checked: Checked) -> list[tuple[str, str, int, str]]:
    """A row per kind of problem: severity, kind, how often, the first place; errors first."""
    counted: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for problem in checked.problems:
        key = (problem.severity, problem.kind)
        counted[key] += problem.count
        first.setdefault(key, f"{problem.where}: {problem.what}")
    return [(severity, kind, n, first[severity, kind]) for (severity, kind), n in sorted(counted.items())]
