"""Raw outputs to boxes."""

from __future__ import annotations

import numpy as np
import pytest

from vision.detect.decode import MAX_DETECTIONS, decode, head_kind
from vision.errors import WeightsError
from vision.geometry import Letterbox

SAME = Letterbox(scale=1.0, pad_x_px=0, pad_y_px=0, width_px=640, height_px=384)


@pytest.mark.parametrize(
    ("shape", "class_count", "head"),
    [
        ((1, 300, 6), 80, "end_to_end"),
        ((1, 300, 6), None, "end_to_end"),
        ((-1, 300, 6), 2, "end_to_end"),
        ((1, 84, 5040), 80, "classic"),
        ((1, 84, 5040), None, "classic"),
        ((1, 6, 5040), 2, "classic"),
        ((1, 6, 6), 2, "classic"),
        ((1, 5, 5040), 1, "classic"),
    ],
)
def test_head_kind(shape: tuple[int, ...], class_count: int | None, head: str) -> None:
    assert head_kind(shape, class_count) == head


@pytest.mark.parametrize("shape", [(1, 116, 5040), (1, 1000), (300, 6), (1, 300, 38), ()])
def test_other_outputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="output has shape"):
        head_kind(shape, 80)


def test_end_to_end_rows() -> None:
    rows = np.array(
        [
            [10, 20, 30, 40, 0.5, 1],
            [0, 0, 50, 50, 0.9, 0],
            [-20, 10, 700, 60, 0.7, 2],  # cut to the picture
            [650, 10, 700, 60, 0.8, 2],  # outside: no area left
            [0, 0, 9, 9, 0.24, 0],  # below the threshold
            [0, 0, 9, 9, 0.6, 3],  # a class that has no name
            [0, 0, np.nan, 9, 0.6, 0],
            [0, 0, 9, 9, np.nan, 0],
            [5, 5, 6, 6, 0.25, 0],  # at the threshold
        ],
        np.float32,
    )
    found = decode(rows, "end_to_end", SAME, min_score=0.25, class_count=3)
    np.testing.assert_allclose(found.score, [0.9, 0.7, 0.5, 0.25])
    np.testing.assert_array_equal(found.class_id, [0, 2, 1, 0])
    np.testing.assert_array_equal(found.xyxy_px[1], [0, 10, 640, 60])
    assert (found.xyxy_px.dtype, found.score.dtype, found.class_id.dtype) == (np.float32, np.float32, np.int32)


def _classic(*columns: tuple[float, ...]) -> np.ndarray:
    """Columns of ``x0, y0, x1, y1, score of each class...`` as a classic output."""
    corners = np.array(columns, np.float32)
    centre, size = (corners[:, :2] + corners[:, 2:4]) / 2, corners[:, 2:4] - corners[:, :2]
    return np.concatenate([centre, size, corners[:, 4:]], axis=1).T


def test_classic_columns_are_suppressed_within_a_class() -> None:
    output = _classic(
        (100, 100, 200, 200, 0.6, 0.1),
        (101, 100, 201, 200, 0.8, 0.1),  # the same object, seen better
        (100, 101, 200, 201, 0.1, 0.7),  # another class at the same place stays
        (300, 100, 400, 200, 0.3, 0.2),
        (160, 100, 260, 200, 0.5, 0.0),  # a neighbour that overlaps a little stays
        (0, 0, 50, 50, 0.1, 0.2),  # below the threshold
    )
    found = decode(output, "classic", SAME, min_score=0.25, class_count=2)
    np.testing.assert_allclose(found.score, [0.8, 0.7, 0.5, 0.3], atol=1e-6)
    np.testing.assert_array_equal(found.class_id, [0, 1, 0, 0])
    np.testing.assert_allclose(found.xyxy_px[0], [101, 100, 201, 200], atol=1e-3)


@pytest.mark.parametrize(("head", "output"), [("end_to_end", np.zeros((300, 6))), ("classic", np.zeros((6, 100)))])
def test_nothing_found(head: str, output: np.ndarray) -> None:
    found = decode(output.astype(np.float32), head, SAME, min_score=0.1, class_count=2)  # type: ignore[arg-type]
    assert len(found) == 0
    assert found.xyxy_px.shape == (0, 4)


def test_at_most_so_many_boxes() -> None:
    corners = [(4.0 * i, 0.0, 4.0 * i + 3, 10.0, 0.5 + i / 1000) for i in range(400)]
    wide = Letterbox(scale=1.0, pad_x_px=0, pad_y_px=0, width_px=2000, height_px=20)
    found = decode(_classic(*corners), "classic", wide, min_score=0.1, class_count=1)
    assert len(found) == MAX_DETECTIONS
    assert found.score[0] == pytest.approx(0.899)


def test_padding_is_taken_off() -> None:
    box = Letterbox.fit(width_px=100, height_px=100, into_width_px=640, into_height_px=384)
    row = np.array([[128, 0, 512, 384, 0.9, 0]], np.float32)
    found = decode(row, "end_to_end", box, min_score=0.1, class_count=1)
    np.testing.assert_allclose(found.xyxy_px, [[0, 0, 100, 100]], atol=1e-3)
