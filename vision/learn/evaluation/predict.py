"""The detector on the pictures of a set: all boxes for the average precision, and objects as a scan sees them.

Average precision needs the whole curve, so a picture goes to the detector as it is and boxes down to a score of 0.001 are kept.
What a scan reports is another matter: it cuts a tall picture into tiles, takes boxes from 0.05 on and pools those that are one
object. Both are measured, each from its own boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vision.detect.objects import LOWEST_SCORE
from vision.errors import InputError, TaxonomyError, WeightsError
from vision.learn.evaluation.truth import Truth
from vision.learn.pictures import read_picture
from vision.run.looking import merge_tiles, tiles_for
from vision.taxonomy import Taxonomy
from vision.types import Detections

Image = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with the number of pictures done and of all pictures."""

BATCH = 16

MIN_SCORE = 0.001
"""Average precision needs the whole curve: detections far below any score a scan would use."""


class Detects(Protocol):
    """What can be measured: anything that finds boxes in pictures."""

    @property
    def class_names(self) -> Sequence[str]:
        """Name of each class index."""
        ...

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the model's input, pixels."""
        ...

    def detect(self, images: Sequence[Image]) -> Sequence[Detections]:
        """Detections of each picture, H x W x 3, uint8, BGR."""
        ...


@dataclass(frozen=True)
class Predictions:
    """What a detector found.

    Attributes:
        truth: The truth of the pictures that could be read.
        whole: Boxes of each of them, down to ``MIN_SCORE``, the picture given as it is.
        looked: Boxes of each of them as a scan has them before pooling: tall pictures in tiles, down to ``LOWEST_SCORE``.
        class_names: Names that ``class_id`` indexes, as the taxonomy writes them.
        unreadable: File name and reason of each picture that could not be used.
    """

    truth: Truth
    whole: tuple[Detections, ...]
    looked: tuple[Detections, ...]
    class_names: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


def known_classes(class_names: Sequence[str], taxonomy: Taxonomy, *, weights: str = "the weights") -> tuple[str, ...]:
    """The taxonomy's name of each of a detector's classes.

    Raises:
        WeightsError: The taxonomy does not know one; the message names up to three of them.
    """
    known, unknown = [], []
    for name in class_names:
        try:
            known.append(taxonomy.resolve(name))
        except TaxonomyError:
            unknown.append(repr(name))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise WeightsError(
            f"{weights} cannot be measured: the taxonomy does not know {', '.join(unknown[:3])}{more}",
            hint="only weights whose classes are in datasets/taxonomy.yaml, also by an alias, can be compared with this truth",
        )
    return tuple(known)


def predict(detector: Detects, truth: Truth, *, batch: int = BATCH) -> list[Detections]:
    """Run a detector over the pictures, each given as it is.

    Returns:
        Detections, a picture each, in the order of ``truth.images``.

    Raises:
        InputError: A picture cannot be read.
    """
    found: list[Detections] = []
    for start in range(0, len(truth.images), batch):
        images = []
        for row in truth.images[start : start + batch]:
            images.append(read_picture(truth.root / row["file_name"]))
        found += detector.detect(images)
    return found


def predict_all(
    detector: Detects,
    truth: Truth,
    taxonomy: Taxonomy,
    *,
    weights: str = "the weights",
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Predictions:
    """Run a detector over the pictures, both ways. A picture that cannot be used is named and left out.

    Raises:
        WeightsError: The detector names classes that the taxonomy does not know.
        InputError: Not one picture could be used.
    """
    names = known_classes(detector.class_names, taxonomy, weights=weights)
    whole: list[Detections] = []
    looked: list[Detections] = []
    ids, unreadable = [], []
    for start in range(0, len(truth.images), batch):
        images = []
        for row in truth.images[start : start + batch]:
            image = _read(truth.root / row["file_name"], (row["height"], row["width"]))
            if isinstance(image, str):
                unreadable.append((str(row["file_name"]), image))
            else:
                ids.append(row["id"])
                images.append(image)
        found = list(detector.detect(images))
        whole += found
        looked += look(detector, images, found)
        if progress is not None:
            progress(min(start + batch, len(truth.images)), len(truth.images))
    if not ids:
        name, why = unreadable[0]
        raise InputError(f"not one of {len(unreadable)} pictures in {truth.root} can be used; the first, {name}, {why}")
    return Predictions(truth.only(ids), tuple(whole), tuple(looked), names, tuple(unreadable))


def look(detector: Detects, images: Sequence[Image], whole: Sequence[Detections] | None = None) -> Iterator[Detections]:
    """Boxes of each picture as a scan has them before pooling.

    Args:
        detector: Gives boxes down to ``LOWEST_SCORE`` at least.
        images: H x W x 3, uint8, BGR.
        whole: What it found on the pictures as they are, where that is known: pictures of one tile are not looked at again.
    """
    given = list(detector.detect(images)) if whole is None else whole
    for image, found in zip(images, given, strict=True):
        tiles = tiles_for(image.shape[1], image.shape[0], detector.input_hw)
        parts = [found] if len(tiles) == 1 else detector.detect([image[t.y0_px : t.y1_px] for t in tiles])
        yield merge_tiles(tiles, [part[part.score >= LOWEST_SCORE] for part in parts])


def _read(path: Path, expected_hw: tuple[int, int]) -> Image | str:
    """A picture, or why it cannot be used."""
    try:
        image = read_picture(path)
    except InputError as error:
        return str(error)
    if image.shape[:2] != tuple(expected_hw):
        (height, width), (truth_height, truth_width) = image.shape[:2], expected_hw
        return f"is {width} x {height}, the truth was made on {truth_width} x {truth_height}"
    return image
