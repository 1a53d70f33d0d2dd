"""Boxes, 1-D intervals and letterbox transforms: pure functions on numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""Boxes as ``xyxy_px``: shape (n, 4), float32, ``x0 <= x1`` and ``y0 <= y1``, in pixels of one picture."""


def area_px2(xyxy_px: Boxes) -> NDArray[np.float32]:
    """Areas of boxes, shape (n,)."""
    width_px = np.clip(xyxy_px[:, 2] - xyxy_px[:, 0], 0, None)
    height_px = np.clip(xyxy_px[:, 3] - xyxy_px[:, 1], 0, None)
    return np.asarray(width_px * height_px, dtype=np.float32)


def iou_matrix(first_xyxy_px: Boxes, second_xyxy_px: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every box with every other, shape (len(first), len(second)), in [0, 1].

    The overlap of two boxes without area is 0, not NaN.
    """
    top_left = np.maximum(first_xyxy_px[:, None, :2], second_xyxy_px[None, :, :2])
    bottom_right = np.minimum(first_xyxy_px[:, None, 2:], second_xyxy_px[None, :, 2:])
    size = np.clip(bottom_right - top_left, 0, None)
    intersection = size[..., 0] * size[..., 1]
    union = area_px2(first_xyxy_px)[:, None] + area_px2(second_xyxy_px)[None, :] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0), dtype=np.float32)


def iou(a_xyxy: Sequence[float], b_xyxy: Sequence[float]) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    return float(iou_matrix(np.array([a_xyxy], np.float32), np.array([b_xyxy], np.float32))[0, 0])


def clip_boxes(xyxy_px: Boxes, *, width_px: int, height_px: int) -> Boxes:
    """Boxes cut to the picture; those wholly outside collapse to zero area at its edge."""
    limits = np.array([width_px, height_px, width_px, height_px], dtype=np.float32)
    return np.asarray(np.clip(xyxy_px, 0, limits), dtype=np.float32)


def interval_iou(a0: float, a1: float, b0: float, b1: float) -> float:
    """Intersection over union of the 1-D intervals [a0, a1] and [b0, b1], in [0, 1]."""
    overlap = min(a1, b1) - max(a0, b0)
    union = max(a1, b1) - min(a0, b0)
    return overlap / union if overlap > 0 and union > 0 else 0.0


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The stretches of an (n,) mask that hold, first index and the one behind the last, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Uniform scaling into a fixed rectangle with centred padding, and the way back.

    A picture point ``x`` lands on ``x * scale + pad_x_px`` of the model's input.

    Attributes:
        scale: Input pixels per picture pixel.
        pad_x_px, pad_y_px: Left and top padding on the model's input, in its pixels.
        width_px, height_px: Size of the picture.
    """

    scale: float
    pad_x_px: int
    pad_y_px: int
    width_px: int
    height_px: int

    @classmethod
    def fit(cls, *, width_px: int, height_px: int, into_width_px: int, into_height_px: int) -> Letterbox:
        """The largest uniform scaling of a picture that fits into a rectangle."""
        scale = min(into_width_px / width_px, into_height_px / height_px)
        pad_x_px = (into_width_px - round(width_px * scale)) // 2
        pad_y_px = (into_height_px - round(height_px * scale)) // 2
        return cls(scale, pad_x_px, pad_y_px, width_px, height_px)

    def to_picture(self, xyxy_px: Boxes) -> Boxes:
        """Boxes on the model's input as boxes on the picture, cut to it."""
        pad = np.array([self.pad_x_px, self.pad_y_px] * 2, dtype=np.float32)
        return clip_boxes(
            np.asarray((xyxy_px - pad) / np.float32(self.scale), dtype=np.float32),
            width_px=self.width_px,
            height_px=self.height_px,
        )

    def to_input(self, xyxy_px: Boxes) -> Boxes:
        """Boxes on the picture as boxes on the model's input."""
        pad = np.array([self.pad_x_px, self.pad_y_px] * 2, dtype=np.float32)
        return np.asarray(xyxy_px * np.float32(self.scale) + pad, dtype=np.float32)
