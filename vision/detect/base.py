"""What every detector promises, and the one way a picture becomes a model's input.

    picture (BGR, any size) -> prepare -> model input (BGR, fixed size) -> raw output -> decode -> Detections

Both adapters use ``prepare`` and ``vision.detect.decode``, so that the same weights see the same pixels and give the same boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import DetectorError
from vision.geometry import Letterbox
from vision.types import Detections

Picture = NDArray[np.uint8]
"""A picture: shape (height, width, 3), uint8, channels blue, green, red."""

Precision = Literal["f32", "fast"]
"""``f32`` gives the same boxes on every machine; ``fast`` lets the processor compute as coarsely as it likes."""

PAD_GREY = 114
"""Grey level around a letterboxed picture: what YOLO models are trained with."""


_ROW_STEP_PX = 64


class Detector(Protocol):
    """Finds vehicles on single pictures.

    A detector may be called from any thread; calls on one detector run one after the other. After ``close`` it is not to be
    used again.
    """

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that ``Detections.class_id`` indexes."""
        ...

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the model's input, pixels."""
        ...

    @property
    def name(self) -> str:
        """The weights' name in the registry, or the file's name without suffix."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights, hexadecimal; for an ``.xml`` with its ``.bin`` that of both files, one after the other."""
        ...

    def detect(self, images: Sequence[Picture]) -> list[Detections]:
        """The boxes on each picture.

        Args:
            images: Pictures of any sizes, (height, width, 3) uint8, BGR. May be empty.

        Returns:
            One entry a picture, in order: boxes in that picture's own pixels, cut to it, with positive area; scores at
            least the ``min_score`` given at construction, descending.

        Raises:
            DetectorError: Something that is no such picture was given, or the model failed.
        """
        ...

    def close(self) -> None:
        """Frees the model. A second call does nothing."""
        ...


def check_picture(image: object) -> None:
    """Says what is wrong with something that is not a picture.

    Raises:
        DetectorError: Not an uint8 array of shape (height, width, 3) with at least one pixel.
    """
    if not isinstance(image, np.ndarray):
        raise DetectorError(f"a picture must be a numpy array, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        hint = "convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)" if image.ndim == 2 else None
        raise DetectorError(f"a picture must be uint8 of shape (height, width, 3), got {image.dtype}{image.shape}", hint=hint)


def fitted_hw(picture_hw: tuple[int, ...], input_hw: tuple[int, int]) -> tuple[int, int]:
    """The lowest input that holds a picture at the scale at which it fits into the model's own input.

    A wide picture leaves grey rows above and below; a convolutional model needs none of them, and costs as much as its input has
    pixels. Rows come in steps of 64, two of a model's strides: fewer sizes to set up.

    Args:
        picture_hw: Height and width of the picture, pixels; a picture's shape.
        input_hw: Height and width of the model's own input, pixels.

    Returns:
        Height, at most that of ``input_hw``, and the same width.
    """
    (height_px, width_px), (into_height_px, into_width_px) = picture_hw[:2], input_hw
    rows = round(height_px * min(into_width_px / width_px, into_height_px / height_px))
    return min(max(1, -(-rows // _ROW_STEP_PX)) * _ROW_STEP_PX, into_height_px), into_width_px


def prepare(image: Picture, input_hw: tuple[int, int]) -> tuple[Picture, Letterbox]:
    """A picture scaled uniformly into a model's input, centred on grey, and the transform that leads back.

    Pixel for pixel what Ultralytics' ``LetterBox(input_hw, auto=False)`` makes.

    Args:
        image: (height, width, 3) uint8.
        input_hw: Height and width of the model's input, pixels.

    Returns:
        The input, (*input_hw, 3) uint8, C-contiguous; and the letterbox.

    Raises:
        DetectorError: ``image`` is not a picture.
    """
    check_picture(image)
    (height_px, width_px), (into_height_px, into_width_px) = image.shape[:2], input_hw
    box = Letterbox.fit(width_px=width_px, height_px=height_px, into_width_px=into_width_px, into_height_px=into_height_px)
    # A picture thinner than one input pixel still keeps one.
    size = max(1, round(width_px * box.scale)), max(1, round(height_px * box.scale))
    scaled = image if size == (width_px, height_px) else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    if size == (into_width_px, into_height_px):
        return np.ascontiguousarray(scaled), box
    canvas = np.full((into_height_px, into_width_px, 3), PAD_GREY, dtype=np.uint8)
    left, top = min(box.pad_x_px, into_width_px - size[0]), min(box.pad_y_px, into_height_px - size[1])
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas, box


def check_min_score(min_score: float) -> float:
    """``min_score`` itself, where it is a number in [0, 1].

    Raises:
        ValueError: It is not.
    """
    if not 0 <= min_score <= 1:
        raise ValueError(f"min_score must lie in [0, 1], got {min_score}")
    return float(min_score)
