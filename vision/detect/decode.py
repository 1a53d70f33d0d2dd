"""A model's raw output as boxes: shared by all adapters, so that the same output gives the same boxes everywhere."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import WeightsError
from vision.geometry import Letterbox, area_px2
from vision.types import Detections

Head = Literal["end_to_end", "classic"]

NMS_IOU = 0.7
"""Boxes of one class that overlap by more are one box: Ultralytics' default, for heads that need suppression."""

MAX_DETECTIONS = 300
"""Boxes a picture may have, the best ones; the length of an end-to-end output."""


def head_kind(shape: tuple[int, ...], class_count: int | None) -> Head:
    """Which head writes an output of this shape.

    ``end_to_end`` is (n, boxes, 6) with ``x0, y0, x1, y1, score, class`` on the model's input; ``classic`` is
    (n, 4 + classes, anchors) with ``centre x, centre y, width, height`` and a score for each class.

    Args:
        shape: The output's shape; the number of pictures or anchors may be -1.
        class_count: Number of classes, where known.

    Raises:
        WeightsError: Neither, as for a segmentation model or a classifier.
    """
    if len(shape) == 3:
        if shape[2] == 6 and shape[1] != 4 + (class_count or 0):
            return "end_to_end"
        if class_count is not None and shape[1] == 4 + class_count:
            return "classic"
        if class_count is None and 4 < shape[1] < shape[2]:
            return "classic"
    rows = "4 + classes" if class_count is None else str(4 + class_count)
    raise WeightsError(
        f"the model's output has shape {shape}, expected (n, boxes, 6) or (n, {rows}, anchors)",
        hint="use a YOLO detection model with matching class names",
    )


def decode(output: NDArray[np.float32], head: Head, letterbox: Letterbox, *, min_score: float, class_count: int) -> Detections:
    """One picture's raw output as detections on that picture.

    Args:
        output: (boxes, 6) or (4 + classes, anchors) float32, see ``head_kind``; pixels of the model's input.
        head: Which of the two.
        letterbox: How the picture was put into the model's input.
        min_score: Boxes below are dropped, in [0, 1].
        class_count: Boxes of a class beyond are dropped.

    Returns:
        At most ``MAX_DETECTIONS`` boxes, cut to the picture, with positive area, by descending score.
    """
    boxes, score, class_id = _end_to_end(output, min_score) if head == "end_to_end" else _classic(output, min_score)
    boxes = letterbox.to_picture(boxes)
    keep = (area_px2(boxes) > 0) & (class_id >= 0) & (class_id < class_count) & np.isfinite(boxes).all(axis=1)
    order = np.argsort(-score[keep], kind="stable")[:MAX_DETECTIONS]
    return Detections.of(boxes[keep][order], np.clip(score[keep][order], 0, 1), class_id[keep][order])


_Raw = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]


def _end_to_end(output: NDArray[np.float32], min_score: float) -> _Raw:
    rows = output[output[:, 4] >= min_score]
    return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int32)


def _classic(output: NDArray[np.float32], min_score: float) -> _Raw:
    """Best class of each anchor, then suppression within each class."""
    score = output[4:].max(axis=0)
    keep = score >= min_score
    class_id = output[4:, keep].argmax(axis=0).astype(np.int32)
    score = score[keep]
    centre, size = output[:2, keep].T, output[2:4, keep].T
    corner = centre - size / 2
    if not len(score):
        return np.zeros((0, 4), np.float32), score, class_id
    rectangles = np.concatenate([corner, size], axis=1).astype(np.float64)
    suppress: Any = cv2.dnn.NMSBoxesBatched  # takes arrays, though its stubs say lists
    chosen = np.asarray(suppress(rectangles, score, class_id, 0.0, NMS_IOU), dtype=np.intp).reshape(-1)
    return np.concatenate([corner, corner + size], axis=1)[chosen], score[chosen], class_id[chosen]
