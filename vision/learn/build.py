"""Build a training set on disk from a data-set description: pictures, YOLO labels, ground truth.

``flatcar dataset build`` writes, under ``--out``:

    images/train/*.jpg, images/valid/*.jpg   shrunk pictures; ignore regions painted grey
    labels/train/*.txt, labels/valid/*.txt   YOLO labels
    truth/*.jpg, truth.json                  validation pictures as they are, with their ignore regions
    manifest.ndjson, set.json                where each picture came from; the set in short, with its digest
    data.yaml                                what the trainer reads
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from vision import __version__
from vision.errors import InputError
from vision.learn.description import DataSet, Reading
from vision.learn.folders import fresh_folder
from vision.learn.manifest import Row, write_manifest, write_summary
from vision.learn.pictures import Box, Image, Picture, check_whole, file_sha256, read_picture
from vision.learn.problems import BadLabels, Key, Problems
from vision.learn.splits import (
    FloatArray,
    Placed,
    divide,
    group,
    hold_out,
    looks,
    named_scenes,
    read_split,
    same_clip,
    same_scene,
    write_split,
)

GREY = 114  # the trainer's own padding colour: it has seen that it means "nothing"
COVERED = 0.5  # an ignore region with this share of its area under labelled boxes is left alone
JPEG_QUALITY = 90


def paint_ignored(image: Image, boxes: Sequence[Box]) -> Image:
    """Paint ignore regions grey; pixels of labelled boxes stay.

    Args:
        image: H x W x 3, uint8.
        boxes: All boxes of the picture.

    Returns:
        A painted copy.
    """
    h, w = image.shape[:2]
    keep = np.zeros((h, w), dtype=bool)
    for box in boxes:
        if box.leaf is not None:
            keep[_pixels(box, w, h)] = True
    painted = image.copy()
    for box in boxes:
        area = _pixels(box, w, h)
        if box.leaf is None and keep[area].size and keep[area].mean() < COVERED:
            painted[area][~keep[area]] = GREY
    return painted


def _pixels(box: Box, width_px: int, height_px: int) -> tuple[slice, slice]:
    left, top, right, bottom = box.xyxy
    return (
        slice(int(top * height_px), int(np.ceil(bottom * height_px))),
        slice(int(left * width_px), int(np.ceil(right * width_px))),
    )


def shrink(image: Image, longest_side_px: int) -> Image:
    """Shrink a picture so that its longer side has at most ``longest_side_px``."""
    h, w = image.shape[:2]
    scale = longest_side_px / max(h, w)
    if scale >= 1:
        return image
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        folder: Where it lies.
        digest: Of its contents, see ``vision.learn.manifest``.
        counted: How many pictures and boxes went where.
        problems: What was found wrong, and what was done about it.
        left_out: Pictures left out for errors.
        beside: Training pictures left out because they look like the held-out source.
        new_split: The split file that was written, or None.
    """

    folder: Path
    digest: str
    counted: Counter[str]
    problems: Problems
    left_out: int = 0
    beside: int = 0
    new_split: Path | None = None

    def to_dict(self) -> dict[str, object]:
        """The counts, ready for JSON."""
        return {
            "counted": dict(sorted(self.counted.items())),
            "left_out": self.left_out,
            "beside": self.beside,
            "problems": dict(sorted(self.problems.counts().items())),
            "split": None if self.new_split is None else str(self.new_split),
        }

    def sentences(self) -> Iterator[str]:
        """What else a person should know."""
        if self.left_out:
            yield f"{self.left_out} pictures left out for their errors"
        if self.beside:
            yield f"{self.beside} training pictures left out: they look like, or are of the scenes of, the held-out source"
        if self.new_split is not None:
            yield f"sides written to {self.new_split}: the next build follows them"


Track = Callable[[Sequence[Picture]], Iterable[Picture]]
"""Goes through pictures, and may show how far it is."""


def build(
    data: DataSet,
    root: Path | None,
    out: Path,
    *,
    new_split: bool = False,
    held_out: str | None = None,
    leave_out_bad: bool = False,
    force: bool = False,
    seed: int = 0,
    track: Track = lambda pictures: pictures,
) -> Built:
    """Build the set; it appears whole or not at all.

    Args:
        data: The description.
        root: Folder of the collections; None takes the description's own.
        out: Folder to write.
        new_split: Divide the pictures anew and write the split file, rather than follow it.
        held_out: A source that is only measured on: see ``vision.learn.splits.hold_out``.
        leave_out_bad: Leave pictures with errors out, rather than stop.
        force: Replace a set that is there.
        seed: Of the division.
        track: Goes through the pictures, for a progress bar.

    Returns:
        What was built.

    Raises:
        BadLabels: Labels or pictures are bad; the error carries all of them.
        InputError: The split does not name a picture, or nothing is left to build from.
        OutputError: The folder holds something, cannot be written, or the disk is full.
    """
    with fresh_folder(out, force=force) as folder, data.reading(root) as read:
        if read.problems.errors and not leave_out_bad:
            raise BadLabels(read.problems)
        pictures, written = sides_of(data, read, new_split=new_split, leave_out_bad=leave_out_bad, seed=seed)
        sides = written.sides
        if held_out is not None:
            sides = hold_out(pictures, sides, held_out)
        beside = [p for p in pictures if (p.source, p.file) not in sides]
        built = _Writer(folder, data, read.problems)
        for picture in track([p for p in pictures if (p.source, p.file) in sides]):
            built.add(picture, sides[picture.source, picture.file])
        if read.problems.errors and not leave_out_bad:
            raise BadLabels(read.problems)
        digest = built.finish(out, held_out=held_out)
    return Built(out, digest, built.counted, read.problems, len(read.problems.bad_pictures), len(beside), written.split_file)


@dataclass(frozen=True)
class Sides:
    """Which picture goes where, and the split file that was written for it, if any."""

    sides: Mapping[Key, Placed]
    split_file: Path | None = None


def sides_of(
    data: DataSet, read: Reading, *, new_split: bool = False, leave_out_bad: bool = False, seed: int = 0
) -> tuple[list[Picture], Sides]:
    """The usable pictures and their sides: from the split file, or divided now where there is none.

    Raises:
        InputError: There are no pictures, or the split file does not name one.
        BadLabels: A picture cannot be read.
    """
    pictures = list(read.pictures)
    if not pictures:
        raise InputError(f"{data.name} has no usable picture", hint="is the folder right? see docs/datasets.md")
    divide_now = new_split or data.split is None or not data.split.exists()
    if divide_now:
        pictures, placed = make_split(data, pictures, read.problems, seed=seed)
        if read.problems.errors and not leave_out_bad:
            raise BadLabels(read.problems)
        if data.split is not None:
            write_split(data.split, placed)
        return pictures, Sides({(p.source, p.file): p for p in placed}, data.split)
    assert data.split is not None
    sides = read_split(data.split)
    missing = [p for p in pictures if (p.source, p.file) not in sides]
    if missing:
        more = f" and {len(missing) - 1} more pictures" if len(missing) > 1 else ""
        raise InputError(
            f"{data.split} does not name {missing[0].source}/{missing[0].file}{more}",
            hint="give new pictures a side with: flatcar dataset split, or divide anew with --new-split",
        )
    return pictures, Sides(sides)


def make_split(
    data: DataSet,
    pictures: Sequence[Picture],
    problems: Problems | None = None,
    *,
    seed: int = 0,
    keep: Mapping[Key, Placed] | None = None,
    validation: float | None = None,
) -> tuple[list[Picture], list[Placed]]:
    """Group the pictures by scene and divide them as the description asks.

    Args:
        data: The description.
        pictures: All usable pictures.
        problems: Where to note pictures that cannot be read; None raises at the first.
        seed: Of the division.
        keep: Sides from before, see ``divide``.
        validation: Share of every source, in place of the description's.

    Returns:
        The pictures that could be read, and a row for each.

    Raises:
        InputError: A picture cannot be read, and no ``problems`` were given.
    """
    usable: list[Picture] = []
    hashes: list[int] = []
    colours: list[FloatArray] = []
    for picture in pictures:
        try:
            found = looks([picture])
        except InputError as error:
            if problems is None:
                raise
            key = (picture.source, picture.file)
            problems.error("unreadable_picture", f"{picture.source}: {picture.file}", error.message, picture=key)
            continue
        usable.append(picture)
        hashes += found.hashes
        colours += found.colours
    pairs = same_scene(usable, hashes, colours) + same_clip(usable)
    pairs += named_scenes(usable, {n: o["same_scene"] for n, o in data.sources.items() if "same_scene" in o})
    shares = data.shares() if validation is None else dict.fromkeys(data.sources, validation)
    return usable, divide(usable, group(len(usable), pairs), shares, seed=seed, keep=keep)


class _Writer:
    """Writes the pictures of a set one by one, then what is said about them all."""

    def __init__(self, folder: Path, data: DataSet, problems: Problems) -> None:
        self.counted: Counter[str] = Counter()
        self._folder = folder
        self._data = data
        self._problems = problems
        self._truth = _Truth(data.taxonomy.leaves)
        self._rows: list[Row] = []
        for part in ("images/train", "images/valid", "labels/train", "labels/valid", "truth"):
            (folder / part).mkdir(parents=True)

    def add(self, picture: Picture, place: Placed) -> None:
        """Write one picture; one that cannot be read is noted as an error."""
        try:
            check_whole(picture.path)
            original = read_picture(picture.path)
        except InputError as error:
            key = (picture.source, picture.file)
            self._problems.error("unreadable_picture", f"{picture.source}: {picture.file}", error.message, picture=key)
            return
        image = shrink(original, self._data.longest_side_px)
        _write(self._folder / "images" / place.split / f"{picture.name}.jpg", paint_ignored(image, picture.boxes))
        labels = self._folder / "labels" / place.split / f"{picture.name}.txt"
        labels.write_text("".join(_yolo_lines(picture, self._data.taxonomy.leaves)), encoding="utf-8", newline="\n")
        if place.split == "valid":
            _write(self._folder / "truth" / f"{picture.name}.jpg", image)
            self._truth.add(picture, image.shape[1], image.shape[0])
        self._rows.append(_row(picture, place, original, image))
        self.counted[f"{place.split} pictures"] += 1
        self.counted[f"{place.split} pictures {picture.source}"] += 1
        self.counted.update(f"{place.split} {b.leaf or '(ignored)'}" for b in picture.boxes)

    def finish(self, out: Path, *, held_out: str | None) -> str:
        """Write truth, description, manifest and summary.

        Returns:
            The set's digest.

        Raises:
            InputError: No picture was written.
        """
        if not self._rows:
            raise InputError(f"{self._data.name} has no usable picture left")
        text = json.dumps(self._truth.document(), ensure_ascii=False)
        (self._folder / "truth.json").write_text(text, encoding="utf-8")
        trainer = {
            "path": str(out.resolve()),
            "train": "images/train",
            "val": "images/valid",
            "names": dict(enumerate(self._data.taxonomy.leaves)),
        }
        (self._folder / "data.yaml").write_text(yaml.safe_dump(trainer, sort_keys=False, allow_unicode=True), encoding="utf-8")
        write_manifest(self._folder, self._rows)
        said = ("licence", "origin", "revision")
        summary = {
            "name": self._data.name,
            "flatcar": __version__,
            "longest_side_px": self._data.longest_side_px,
            "held_out": held_out,
            "pictures": {split: self.counted[f"{split} pictures"] for split in ("train", "valid")},
            "sources": {n: {k: str(o[k]) for k in said if k in o} for n, o in self._data.sources.items()},
            "problems": dict(sorted(self._problems.counts().items())),
        }
        return write_summary(self._folder, summary)


def _row(picture: Picture, place: Placed, original: Image, image: Image) -> Row:
    return Row(
        picture=picture.name,
        split=place.split,
        source=picture.source,
        file=picture.file,
        sha256=file_sha256(picture.path),
        licence=picture.licence,
        group=place.group,
        view=picture.view,
        width_px=image.shape[1],
        height_px=image.shape[0],
        original_width_px=original.shape[1],
        original_height_px=original.shape[0],
        boxes=dict(sorted(Counter(b.leaf for b in picture.boxes if b.leaf).items())),
        ignored=sum(b.leaf is None for b in picture.boxes),
    )


class _Truth:
    """Ground truth in COCO's form, with ignore regions kept apart: they belong to no class."""

    def __init__(self, leaves: Sequence[str]) -> None:
        self.leaves = list(leaves)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.ignored: list[dict[str, Any]] = []

    def add(self, picture: Picture, width_px: int, height_px: int) -> None:
        image_id = len(self.images) + 1
        self.images.append(
            {
                "id": image_id,
                "file_name": f"truth/{picture.name}.jpg",
                "width": width_px,
                "height": height_px,
                "source": picture.source,
                "view": picture.view,
            }
        )
        for box in picture.boxes:
            left, top, right, bottom = box.xyxy
            xywh = [left * width_px, top * height_px, (right - left) * width_px, (bottom - top) * height_px]
            row = {"image_id": image_id, "bbox": [round(v, 2) for v in xywh], "view": box.view}
            if box.leaf is None:
                self.ignored.append(row)
            else:
                self.annotations.append({**row, "category_id": self.leaves.index(box.leaf)})

    def document(self) -> dict[str, Any]:
        categories = [{"id": i, "name": name} for i, name in enumerate(self.leaves)]
        return {"categories": categories, "images": self.images, "annotations": self.annotations, "ignored": self.ignored}


def _yolo_lines(picture: Picture, leaves: Sequence[str]) -> list[str]:
    lines = []
    for box in picture.boxes:
        if box.leaf is not None:
            left, top, right, bottom = box.xyxy
            numbers = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            lines.append(" ".join([str(leaves.index(box.leaf)), *(f"{v:.6f}" for v in numbers)]) + "\n")
    return lines


def _write(path: Path, image: Image) -> None:
    # Not imwrite: that says nothing when the disk is full, and cannot write every file name on every system.
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InputError(f"a picture of {image.shape[1]}x{image.shape[0]} cannot be written as JPEG: {path.name}")
    path.write_bytes(data.tobytes())
