"""What every adapter promises, and that they agree: the same weights give the same boxes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vision.detect.base import Detector
from vision.detect.openvino_adapter import OpenVinoDetector
from vision.detect.registry import Backend, Registry
from vision.detect.ultralytics_adapter import UltralyticsDetector
from vision.errors import DetectorError
from vision.geometry import iou_matrix
from vision.types import Detections

LOW_SCORE = 0.01
ADAPTERS = [pytest.param("openvino"), pytest.param("ultralytics", marks=pytest.mark.torch)]


def build(registry: Registry, backend: Backend, *, min_score: float = LOW_SCORE, batch: int = 4) -> Detector:
    weights = registry.resolve("default", backend=backend)
    make = OpenVinoDetector if backend == "openvino" else UltralyticsDetector
    return make(
        weights.paths[0],
        class_names=weights.class_names,
        input_hw=weights.input_hw,
        min_score=min_score,
        batch=batch,
        device="CPU" if backend == "openvino" else "cpu",
        name=weights.name,
        weights_sha256=weights.sha256,
    )


@pytest.fixture(scope="module", params=ADAPTERS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def detector(shipped: Registry, backend: Backend) -> Detector:
    return build(shipped, backend)


@pytest.fixture(scope="module")
def found(detector: Detector, pictures: list[np.ndarray]) -> list[Detections]:
    return detector.detect(pictures)


def test_says_what_it_is(detector: Detector, shipped: Registry) -> None:
    entry = shipped.get("default")
    assert detector.class_names == entry.classes
    assert detector.input_hw == entry.input_hw
    assert detector.name == shipped.default
    assert len(detector.weights_sha256) == 64


def test_boxes_are_well_formed(found: list[Detections], pictures: list[np.ndarray], detector: Detector) -> None:
    assert len(found) == len(pictures)
    assert sum(len(one) for one in found) >= 12, "too few boxes for this suite to mean anything"
    for one, picture in zip(found, pictures, strict=True):
        height, width = picture.shape[:2]
        assert (one.xyxy_px.dtype, one.score.dtype, one.class_id.dtype) == (np.float32, np.float32, np.int32)
        assert np.all(np.diff(one.score) <= 0)
        assert np.all((one.score >= LOW_SCORE) & (one.score <= 1))
        assert np.all(one.xyxy_px >= 0)
        assert np.all(one.xyxy_px <= (width, height, width, height))
        assert np.all(one.xyxy_px[:, 2:] > one.xyxy_px[:, :2])
        assert np.all((one.class_id >= 0) & (one.class_id < len(detector.class_names)))


def test_no_pictures(detector: Detector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 13), (385, 641), (2000, 31)])
def test_odd_sizes(detector: Detector, shape: tuple[int, int]) -> None:
    (one,) = detector.detect([np.full((*shape, 3), 90, np.uint8)])
    assert np.all(one.xyxy_px <= (shape[1], shape[0], shape[1], shape[0]))


def test_alone_or_in_company(detector: Detector, pictures: list[np.ndarray], found: list[Detections]) -> None:
    for picture, expected in zip(pictures, found, strict=True):
        same(detector.detect([picture])[0], expected, score=1e-3, iou=0.999)


def test_low_and_high_pictures_in_one_call(detector: Detector, pictures: list[np.ndarray]) -> None:
    mixed = [pictures[0], pictures[0][100:400], pictures[1], pictures[1][200:300], pictures[0][100:400]]
    together = detector.detect(mixed)
    for picture, answer in zip(mixed, together, strict=True):
        same(detector.detect([picture])[0], answer, score=1e-3, iou=0.999)
    same(together[1], together[4], score=1e-3, iou=0.999)


def test_rows_without_vehicles_may_be_left_out(detector: Detector, pictures: list[np.ndarray]) -> None:
    """The drawn trains are found again in the rows around them, a lower input, at about the same score."""
    (whole,) = detector.detect([picture := pictures[0]])
    sure = whole[whole.score > 0.4]
    assert len(sure) > 0
    top, bottom = (max(0, int(sure.xyxy_px[:, 1].min()) - 60), min(len(picture), int(sure.xyxy_px[:, 3].max()) + 60))
    assert bottom - top < 0.8 * len(picture)
    (part,) = detector.detect([picture[top:bottom]])
    overlap = iou_matrix(sure.xyxy_px, part.shifted(x_px=0.0, y_px=float(top)).xyxy_px)
    assert (overlap.max(axis=1) > 0.7).all()


def test_a_view_into_a_larger_array(detector: Detector, pictures: list[np.ndarray]) -> None:
    part = pictures[0][100:500, 200:900]
    same(detector.detect([part])[0], detector.detect([part.copy()])[0], score=1e-3, iou=0.999)


@pytest.mark.parametrize(
    "image", [np.zeros((40, 60), np.uint8), np.zeros((40, 60, 3), np.float32), np.zeros((40, 60, 4), np.uint8)]
)
def test_what_is_no_picture(detector: Detector, image: np.ndarray) -> None:
    with pytest.raises(DetectorError, match="must be uint8 of shape"):
        detector.detect([image])


def test_pictures_are_not_changed(detector: Detector) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*detector.input_hw, 3), dtype=np.uint8)
    before = picture.copy()
    detector.detect([picture])
    np.testing.assert_array_equal(picture, before)


def test_from_another_thread(detector: Detector, pictures: list[np.ndarray], found: list[Detections]) -> None:
    answers: list[Detections] = []
    thread = threading.Thread(target=lambda: answers.extend(detector.detect(pictures[:2])))
    thread.start()
    thread.join()
    for answer, expected in zip(answers, found[:2], strict=True):
        same(answer, expected, score=1e-3, iou=0.999)


def test_min_score(shipped: Registry, backend: Backend, pictures: list[np.ndarray], found: list[Detections]) -> None:
    scores = np.sort(np.concatenate([one.score for one in found]))
    middle = float(scores[len(scores) // 2])
    strict = build(shipped, backend, min_score=middle).detect(pictures)
    assert 0 < sum(len(one) for one in strict) < len(scores)
    assert all(np.all(one.score >= middle) for one in strict)


def test_closed(shipped: Registry, backend: Backend) -> None:
    detector = build(shipped, backend)
    detector.close()
    detector.close()
    with pytest.raises(DetectorError, match="is closed"):
        detector.detect([])


@pytest.mark.torch
def test_adapters_agree(shipped: Registry, pictures: list[np.ndarray]) -> None:
    first = build(shipped, "openvino").detect(pictures)
    second = build(shipped, "ultralytics").detect(pictures)
    for one, other in zip(first, second, strict=True):
        same(one, other, score=0.02, iou=0.98)


def same(first: Detections, second: Detections, *, score: float, iou: float) -> None:
    """Each box of one that is clear of the threshold has its like in the other, and the other way round."""
    for one, other in ((first, second), (second, first)):
        clear = one[one.score >= LOW_SCORE + score]
        overlap = iou_matrix(clear.xyxy_px, other.xyxy_px)
        alike = (
            (overlap >= iou)
            & (np.abs(clear.score[:, None] - other.score[None, :]) <= score)
            & (clear.class_id[:, None] == other.class_id[None, :])
        )
        lonely = ~alike.any(axis=1) if len(other) else np.ones(len(clear), bool)
        assert not lonely.any(), f"no like for {clear.xyxy_px[lonely]} {clear.score[lonely]} {clear.class_id[lonely]}"
