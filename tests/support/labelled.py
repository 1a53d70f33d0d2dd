"""The same few labelled pictures written in every format that ``flatcar dataset`` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 64, 48

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Labelled:
    """A picture with boxes.

    Attributes:
        name: File name without suffix.
        boxes: Class name as its labeller wrote it; left, top, right, bottom in pixels.
        seed: Pictures of one seed look the same.
        side: The part it was published in (``train``, ``val``), or empty.
    """

    name: str
    boxes: tuple[tuple[str, Corners], ...] = ()
    seed: int = 0
    side: str = ""


def write_picture(path: Path, seed: int = 0, size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> Path:
    """A picture of smooth noise, width x height, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    done, data = cv2.imencode(path.suffix, cv2.resize(small, size_px, interpolation=cv2.INTER_CUBIC))
    assert done
    path.write_bytes(data.tobytes())
    return path


def classes_of(pictures: Iterable[Labelled]) -> list[str]:
    """Class names in a fixed order; never none."""
    return sorted({name for p in pictures for name, _ in p.boxes} | {"tank"})


def write_yolo(folder: Path, pictures: Sequence[Labelled]) -> Path:
    """``images/`` and ``labels/`` with ``data.yaml``."""
    names = classes_of(pictures)
    for p in pictures:
        write_picture(folder / "images" / p.side / f"{p.name}.png", p.seed)
        rows = []
        for name, (left, top, right, bottom) in p.boxes:
            numbers = ((left + right) / 2 / WIDTH_PX, (top + bottom) / 2 / HEIGHT_PX)
            size = ((right - left) / WIDTH_PX, (bottom - top) / HEIGHT_PX)
            rows.append(" ".join([str(names.index(name)), *(repr(v) for v in (*numbers, *size))]))
        labels = folder / "labels" / p.side / f"{p.name}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("\n".join(rows), encoding="utf-8")
    (folder / "data.yaml").write_text(json.dumps({"names": names}), encoding="utf-8")
    return folder


def write_coco(folder: Path, pictures: Sequence[Labelled]) -> Path:
    """``annotations.json`` beside ``images/``."""
    names = classes_of(pictures)
    images, annotations = [], []
    for number, p in enumerate(pictures):
        write_picture(folder / "images" / p.side / f"{p.name}.png", p.seed)
        file_name = f"{p.side}/{p.name}.png" if p.side else f"{p.name}.png"
        images.append({"id": 7 + number, "file_name": file_name, "width": WIDTH_PX, "height": HEIGHT_PX})
        for name, (left, top, right, bottom) in p.boxes:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": 7 + number,
                    "category_id": 10 + names.index(name),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 10 + i, "name": name} for i, name in enumerate(names)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def write_voc(folder: Path, pictures: Sequence[Labelled]) -> Path:
    """``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main``."""
    (folder / "Annotations").mkdir(parents=True)
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for p in pictures:
        write_picture(folder / "JPEGImages" / f"{p.name}.png", p.seed)
        objects = "".join(
            f"<object><name>{escape(name)}</name><bndbox><xmin>{x0!r}</xmin><ymin>{y0!r}</ymin>"
            f"<xmax>{x1!r}</xmax><ymax>{y1!r}</ymax></bndbox></object>"
            for name, (x0, y0, x1, y1) in p.boxes
        )
        size = f"<size><width>{WIDTH_PX}</width><height>{HEIGHT_PX}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{p.name}.png</filename>{size}{objects}</annotation>"
        (folder / "Annotations" / f"{p.name}.xml").write_text(text, encoding="utf-8")
        if p.side:
            with (lists / f"{p.side}.txt").open("a", encoding="utf-8") as file:
                file.write(f"{p.name}\n")
    return folder


def write_fiftyone_labels(folder: Path, pictures: Sequence[Labelled]) -> Path:
    """``labels.json`` with class indices, as its ImageDetectionDataset has them."""
    names = classes_of(pictures)
    labels = {}
    for p in pictures:
        write_picture(folder / "data" / p.side / f"{p.name}.png", p.seed)
        key = f"{p.side}/{p.name}" if p.side else p.name
        labels[key] = [{"label": names.index(name), "bounding_box": _relative(box)} for name, box in p.boxes]
    (folder / "labels.json").write_text(json.dumps({"classes": names, "labels": labels}), encoding="utf-8")
    return folder


def write_fiftyone_samples(folder: Path, pictures: Sequence[Labelled]) -> Path:
    """``samples.json``, as its Dataset has it."""
    samples = []
    for p in pictures:
        write_picture(folder / "data" / f"{p.name}.png", p.seed)
        detections = [{"_cls": "Detection", "label": name, "bounding_box": _relative(box)} for name, box in p.boxes]
        samples.append(
            {
                "filepath": f"data/{p.name}.png",
                "tags": [p.side] if p.side else [],
                "ground_truth": {"_cls": "Detections", "detections": detections},
                "clip": f"clip {p.seed}",
            }
        )
    (folder / "metadata.json").write_text(json.dumps({"media_type": "image"}), encoding="utf-8")
    (folder / "samples.json").write_text(json.dumps({"samples": samples}), encoding="utf-8")
    return folder


def _relative(box: Corners) -> list[float]:
    left, top, right, bottom = box
    return [left / WIDTH_PX, top / HEIGHT_PX, (right - left) / WIDTH_PX, (bottom - top) / HEIGHT_PX]


Write = Callable[[Path, Sequence[Labelled]], Path]

FORMATS: dict[str, tuple[str, Write]] = {
    "yolo": ("yolo", write_yolo),
    "coco": ("coco", write_coco),
    "voc": ("voc", write_voc),
    "fiftyone labels": ("fiftyone", write_fiftyone_labels),
    "fiftyone samples": ("fiftyone", write_fiftyone_samples),
}
"""Name -> reader and writer."""
