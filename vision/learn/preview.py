"""Contact sheets of the transforms: what a training picture looks like before and after, with its boxes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from vision.detect.base import prepare
from vision.errors import InputError, OutputError
from vision.learn.augment import NAMES, import_albumentations, transform
from vision.learn.pictures import read_picture
from vision.run.store import atomic_write
from vision.taxonomy import default_taxonomy

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
"""(n, 4): centre x, centre y, width, height as shares of the picture."""

GAP_PX = 6


def preview(
    data: Path,
    out: Path,
    *,
    names: Sequence[str] = (),
    pictures: int = 6,
    input_hw: tuple[int, int] = (384, 640),
    seed: int = 0,
) -> list[Path]:
    """Write a sheet for each transform: a row a picture, as it is on the left, transformed twice beside it.

    Args:
        data: ``data.yaml`` of a built set, or its folder.
        out: Folder to write, made if need be.
        names: Transforms, see `vision.learn.augment.NAMES`; none stands for all.
        pictures: Rows of a sheet.
        input_hw: Height and width of the pictures, pixels: the size the model is used at.
        seed: Which pictures, and what is done to them.

    Returns:
        The sheets, JPEG.

    Raises:
        InputError: There is no built set, a picture cannot be read, or a transform is unknown.
        OutputError: The folder cannot be written.
        DependencyError: Albumentations is not installed.
    """
    if pictures < 1:
        raise InputError(f"a sheet of {pictures} pictures cannot be drawn", hint="give --pictures 1 or more")
    made = {name: transform(name) for name in dict.fromkeys(names or NAMES)}
    rows = [_row(path, input_hw) for path in _chosen(data, pictures, seed)]
    colours = _class_colours(data)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error
    sheets = []
    for name, one in made.items():
        pipeline = _pipeline(one, seed)
        path = out / f"{name}.jpg"
        atomic_write(path, cv2.imencode(".jpg", _sheet(rows, pipeline, colours), [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
        sheets.append(path)
    return sheets


def _pipeline(one: Any, seed: int) -> Any:
    """The transform with its boxes, as Ultralytics runs it. What does nothing takes boxes: a transform of pixels does not."""
    library = import_albumentations()
    pipeline = library.Compose([one, library.NoOp()], bbox_params=library.BboxParams(format="yolo", label_fields=["classes"]))
    pipeline.set_random_seed(seed)
    return pipeline


def _chosen(data: Path, pictures: int, seed: int) -> list[Path]:
    """Training pictures drawn by lot; those with boxes first, or there would be little to see."""
    folder = data if data.is_dir() else data.parent
    found = sorted((folder / "images" / "train").glob("*.jpg"))
    if not found:
        raise InputError(f"{data} is no built set: it has no training pictures", hint="build it with: flatcar dataset build")
    random.Random(seed).shuffle(found)
    return sorted(found, key=lambda path: not _labels(path).exists() or not _labels(path).stat().st_size)[:pictures]


def _labels(picture: Path) -> Path:
    return picture.parents[2] / "labels" / picture.parent.name / f"{picture.stem}.txt"


def _row(path: Path, input_hw: tuple[int, int]) -> tuple[Picture, list[int], Boxes]:
    """A picture as the model sees it, with its boxes."""
    fitted, box = prepare(read_picture(path), input_hw)
    try:
        rows = [
            [float(v) for v in line.split()] for line in _labels(path).read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        labels = np.array(rows, np.float32).reshape(-1, 5)
    except (OSError, ValueError) as error:
        raise InputError(f"the labels of {path} cannot be read: {error}", hint="run: flatcar dataset check") from error
    size, into = np.array((box.width_px, box.height_px) * 2), np.array(input_hw[::-1] * 2)
    boxes = labels[:, 1:] * size * box.scale
    boxes[:, :2] += (box.pad_x_px, box.pad_y_px)
    return fitted, [int(v) for v in labels[:, 0]], np.asarray(np.clip(boxes / into, 0, 1), dtype=np.float32)


def _class_colours(data: Path) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and colour (BGR) of each class of the set."""
    folder = data if data.is_dir() else data.parent
    try:
        names = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))["names"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no built set: {error}", hint="build it with: flatcar dataset build") from error
    listed = list(names.values()) if isinstance(names, dict) else list(names)
    taxonomy = default_taxonomy()
    return [(str(n), _bgr(taxonomy.colour(str(n)))) for n in listed]


def _bgr(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return blue, green, red


def _sheet(rows: Sequence[tuple[Picture, list[int], Boxes]], pipeline: Any, colours: Sequence[Any]) -> Picture:
    lines = []
    for image, classes, boxes in rows:
        cells = [_drawn(image, classes, boxes, colours)]
        for _ in range(2):
            done = pipeline(image=image, bboxes=boxes, classes=classes)
            found = np.array(done["bboxes"], np.float32).reshape(-1, 4)
            cells.append(_drawn(done["image"], [int(c) for c in done["classes"]], found, colours))
        lines.append(cv2.hconcat([_framed(c) for c in cells]))
    return np.asarray(cv2.vconcat(lines), dtype=np.uint8)


def _framed(image: Picture) -> Picture:
    gap = GAP_PX // 2
    return np.asarray(cv2.copyMakeBorder(image, gap, gap, gap, gap, cv2.BORDER_CONSTANT), dtype=np.uint8)


def _drawn(image: Picture, classes: Sequence[int], boxes: Boxes, colours: Sequence[Any]) -> Picture:
    height, width = image.shape[:2]
    out = image.copy()
    for index, (x, y, w, h) in zip(classes, boxes.tolist(), strict=True):
        name, colour = colours[index]
        corner = round((x - w / 2) * width), round((y - h / 2) * height)
        cv2.rectangle(out, corner, (round((x + w / 2) * width), round((y + h / 2) * height)), colour, 2)
        cv2.putText(out, name, (corner[0] + 3, corner[1] + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return out
