"""Build a training set on disk from a data-set description: pictures, YOLO labels, ground truth.

    python -m vision.learn.build --data datasets/first.yaml --pictures FOLDER --out FOLDER

writes, under ``--out``:

    images/train/*.jpg, images/valid/*.jpg   shrunk pictures; ignore regions painted grey
    labels/train/*.txt, labels/valid/*.txt   YOLO labels
    truth/*.jpg, truth.json                  validation pictures as they are, with their ignore regions
    data.yaml                                what the trainer reads
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from vision.errors import FlatcarError, InputError
from vision.learn.sources import Box, Picture, read_source
from vision.learn.splits import (
    Placed,
    divide,
    group,
    named_scenes,
    picture_colours,
    picture_hash,
    read_split,
    same_scene,
    write_split,
)
from vision.taxonomy import Taxonomy

Image = npt.NDArray[np.uint8]

GREY = 114  # the trainer's own padding colour: it has seen that it means "nothing"
COVERED = 0.5  # an ignore region with this share of its area under labelled boxes is left alone
JPEG_QUALITY = 90


@dataclass(frozen=True)
class DataSet:
    """A data-set description read from ``datasets/*.yaml``.

    Attributes:
        name: Its name.
        sources: Collection -> its options, as read.
        taxonomy: The class tree; its leaves are the classes.
        split: Path of the split file.
        longest_side_px: Pictures are shrunk to this.
    """

    name: str
    sources: Mapping[str, Mapping[str, Any]]
    taxonomy: Taxonomy
    split: Path
    longest_side_px: int

    @classmethod
    def load(cls, path: Path) -> DataSet:
        """Read a description; paths in it are relative to it.

        Raises:
            InputError: The file cannot be read as a description.
        """
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(
                name=raw["name"],
                sources=raw["sources"],
                taxonomy=Taxonomy.load(path.parent / raw["taxonomy"]),
                split=path.parent / raw["split"],
                longest_side_px=int(raw["longest_side_px"]),
            )
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no data-set description: {error}") from error

    def pictures(self, root: Path) -> list[Picture]:
        """All usable pictures: those of negative collections, and those with a labelled box."""
        found = []
        for name, options in self.sources.items():
            negative = options["reader"] == "negatives"
            found += [p for p in read_source(name, root, options) if negative or any(b.leaf for b in p.boxes)]
        return found


def make_split(data: DataSet, pictures: Sequence[Picture]) -> list[Placed]:
    """Group the pictures by scene and divide them as the description asks."""
    pairs = same_scene(pictures, [picture_hash(p.path) for p in pictures], [picture_colours(p.path) for p in pictures])
    pairs += named_scenes(pictures, {n: o["same_scene"] for n, o in data.sources.items() if "same_scene" in o})
    return divide(pictures, group(len(pictures), pairs), {n: o.get("validation", 0) for n, o in data.sources.items()})


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


def build(data: DataSet, root: Path, out: Path, *, new_split: bool = False) -> Counter[str]:
    """Build the set.

    Args:
        data: The description.
        root: Folder of the collections.
        out: Folder to write.
        new_split: Divide the pictures anew and write the split file, rather than follow it.

    Returns:
        How many pictures and boxes went where.

    Raises:
        InputError: A picture cannot be read, or the split does not name it.
    """
    pictures = data.pictures(root)
    if new_split:
        write_split(data.split, make_split(data, pictures))
    placed = read_split(data.split)
    for part in ("images/train", "images/valid", "labels/train", "labels/valid", "truth"):
        (out / part).mkdir(parents=True, exist_ok=True)
    truth = _Truth(data.taxonomy.leaves)
    counted: Counter[str] = Counter()
    for picture in pictures:
        place = placed.get((picture.source, picture.file))
        if place is None:
            raise InputError(f"{data.split} does not name {picture.source}/{picture.file}", hint="divide anew with --new-split")
        image = _read(picture.path, data.longest_side_px)
        _write(out / "images" / place.split / f"{picture.name}.jpg", paint_ignored(image, picture.boxes))
        labels = out / "labels" / place.split / f"{picture.name}.txt"
        labels.write_text("".join(_yolo_lines(picture, data.taxonomy.leaves)), encoding="utf-8")
        if place.split == "valid":
            _write(out / "truth" / f"{picture.name}.jpg", image)
            truth.add(picture, image.shape[1], image.shape[0])
        counted[f"{place.split} pictures"] += 1
        counted[f"{place.split} pictures {picture.source}"] += 1
        counted.update(f"{place.split} {b.leaf or '(ignored)'}" for b in picture.boxes)
    (out / "truth.json").write_text(json.dumps(truth.document(), ensure_ascii=False), encoding="utf-8")
    trainer = {
        "path": str(out.resolve()),
        "train": "images/train",
        "val": "images/valid",
        "names": dict(enumerate(data.taxonomy.leaves)),
    }
    (out / "data.yaml").write_text(yaml.safe_dump(trainer, sort_keys=False), encoding="utf-8")
    return counted


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


def _read(path: Path, longest_side_px: int) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"cannot read the picture {path}")
    return shrink(np.asarray(image, dtype=np.uint8), longest_side_px)


def _write(path: Path, image: Image) -> None:
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def main(argv: Sequence[str] | None = None) -> int:
    """Build a set from the command line."""
    parser = argparse.ArgumentParser(prog="python -m vision.learn.build", description="Build a training set on disk.")
    parser.add_argument("--data", type=Path, required=True, help="description, datasets/*.yaml")
    parser.add_argument("--pictures", type=Path, required=True, help="folder that holds the collections")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--new-split", action="store_true", help="divide the pictures anew and write the split file")
    args = parser.parse_args(argv)
    try:
        counted = build(DataSet.load(args.data), args.pictures, args.out, new_split=args.new_split)
    except FlatcarError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for what, number in sorted(counted.items()):
        print(f"{number:6d}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
