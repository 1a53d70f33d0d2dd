"""Exports of FiftyOne: ``labels.json`` (its ImageDetectionDataset) or ``samples.json`` (its Dataset), pictures in ``data/``.

Read without FiftyOne itself: both are plain JSON with boxes as left, top, width, height in fractions of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision.errors import InputError
from vision.learn.labels import Source, side_of
from vision.learn.pictures import Box, Picture, PictureHead
from vision.learn.problems import Key
from vision.learn.readers_coco import PictureFinder, four_numbers, load_json

LABELS, SAMPLES = "labels.json", "samples.json"


def read_fiftyone(source: Source) -> list[Picture]:
    """Read an export of FiftyOne.

    A sample whose labels are null was not labelled and is left out; one with an empty list shows nothing. ``field`` names the
    sample field with the boxes where there are several, ``clip_field`` one that says what clip or train a picture is of.

    Raises:
        InputError: The folder holds no such export.
    """
    if (source.folder / SAMPLES).is_file():
        return list(_from_samples(source, source.folder / SAMPLES))
    if (source.folder / LABELS).is_file():
        return list(_from_labels(source, source.folder / LABELS))
    raise InputError(f"{source.folder} is no export of FiftyOne: it has neither {SAMPLES} nor {LABELS}")


def _from_labels(source: Source, path: Path) -> Iterator[Picture]:
    document = load_json(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("labels"), Mapping):
        raise InputError(f"{path} is no export of FiftyOne: it has no table of labels")
    classes = document.get("classes")
    finder = PictureFinder(source.folder)
    for name, rows in document["labels"].items():
        where = source.place(path, name)
        picture = finder.find(path.parent, name) or finder.by_stem(name)
        yield from _picture(source, picture, name, rows, classes if isinstance(classes, list) else None, where, None, None)


def _from_samples(source: Source, path: Path) -> Iterator[Picture]:
    document = load_json(path)
    samples = document.get("samples") if isinstance(document, Mapping) else None
    if not isinstance(samples, list):
        raise InputError(f"{path} is no export of FiftyOne: it has no list of samples")
    field = _field(source, path, samples)
    clip_field = source.options.get("clip_field")
    finder = PictureFinder(source.folder)
    for number, sample in enumerate(samples):
        where = source.place(path, f"samples[{number}]")
        if not isinstance(sample, Mapping) or not isinstance(sample.get("filepath"), str):
            source.problems.error("columns", where, "the sample has no filepath")
            continue
        value = sample.get(field)
        rows = value.get("detections") if isinstance(value, Mapping) else None
        tags = sample.get("tags")
        sides = [side for tag in (tags if isinstance(tags, list) else []) if (side := side_of(f"{tag}/x"))]
        clip = sample.get(str(clip_field)) if clip_field else None
        where = source.place(path, f"samples[{number}] {sample['filepath']}")
        picture = finder.find(path.parent, sample["filepath"])
        told = (sides[0] if sides else None, None if clip is None else str(clip))
        yield from _picture(source, picture, sample["filepath"], rows, None, where, *told)


def _field(source: Source, path: Path, samples: Sequence[Any]) -> str:
    """The sample field that holds the boxes."""
    found = {
        name
        for sample in samples
        if isinstance(sample, Mapping)
        for name, value in sample.items()
        if isinstance(value, Mapping) and value.get("_cls") == "Detections"
    }
    given = source.options.get("field")
    if given is not None:
        if given not in found:
            raise InputError(f"{path} has no field {given!r} with boxes", hint=f"it has {', '.join(sorted(found)) or 'none'}")
        return str(given)
    if "ground_truth" in found:
        return "ground_truth"
    if len(found) != 1:
        named = f"it has {', '.join(sorted(found))}: name one in the description, as field: NAME" if found else None
        raise InputError(f"{path}: {'several fields' if found else 'no field'} with boxes", hint=named)
    return str(found.pop())


def _picture(
    source: Source,
    path: Path | None,
    name: str,
    rows: object,
    classes: Sequence[Any] | None,
    where: str,
    side: str | None,
    clip: str | None,
) -> Iterator[Picture]:
    if path is None:
        source.problems.error("missing_picture", where, f"there is no picture {name}", picture=(source.name, name))
        return
    if rows is None:
        source.problems.warning("unlabelled", where, "not labelled: left out", together=source.name)
        return
    head = source.head(path, where)
    if head is None:
        return
    file = source.file_of(path)
    key = (source.name, file)
    if not isinstance(rows, list):
        source.problems.error("columns", where, "its labels are no list", picture=key)
        return
    boxes = [_box(source, row, classes, head, f"{where}[{n}]", key) for n, row in enumerate(rows)]
    yield source.picture(path, file, [b for b in boxes if b], side=side, clip=clip)


def _box(source: Source, row: object, classes: Sequence[Any] | None, head: PictureHead, where: str, key: Key) -> Box | None:
    if not isinstance(row, Mapping):
        source.problems.error("columns", where, "the label is no object", picture=key)
        return None
    numbers = four_numbers(row.get("bounding_box"))
    if numbers is None:
        said = f"bounding_box is {str(row.get('bounding_box'))[:60]}, not four numbers"
        source.problems.error("columns", where, said, picture=key)
        return None
    label = row.get("label")
    if isinstance(label, int) and classes is not None:
        if not 0 <= label < len(classes):
            said = f"there is no class {label}: the classes go from 0 to {len(classes) - 1}"
            source.problems.error("not_a_class", where, said, picture=key)
            return None
        label = classes[label]
    left, top, width, height = numbers
    return source.box(str(label), source.upright((left, top, left + width, top + height), head, where, key), where, key)
