import numpy as np
import pytest

from vision.errors import DetectorError
from vision.geometry import iou_matrix
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer, SceneTruth
from vision.synth.scene import random_scene
from vision.synth.scripted import ScriptedDetector, scripted_looks
from vision.types import Look


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    """A long train of look-alikes: some hundred looks with several vehicles each."""
    return Renderer(random_scene(4, condition="lookalike", width_px=320, height_px=180, flatcars=40), DrawnAssets()).truth()


def hits(looks: list[Look], truth: SceneTruth) -> tuple[np.ndarray, np.ndarray, int]:
    """Per vehicle: looks that could show it, looks that did; and boxes that show none."""
    could, did, false = np.zeros(len(truth.trains[0].vehicles)), np.zeros(len(truth.trains[0].vehicles)), 0
    for look in looks:
        boxes = truth.boxes(int(np.argmin(np.abs(truth.pts_s - look.pts_s))))
        boxes_half = boxes.vehicle[boxes.fraction >= 0.5]
        could[boxes_half] += 1
        overlap = iou_matrix(look.detections.xyxy_px, boxes.xyxy_px[boxes.fraction >= 0.5])
        did[boxes_half] += (overlap > 0.6).any(axis=0)
        false += int((~(overlap > 0.6).any(axis=1)).sum()) if overlap.size else len(look.detections)
    return could, did, false


@pytest.mark.parametrize(
    ("share", "rate", "easy", "false_rate"),
    [(0.25, 0.75, 0.0, 0.02), (0.0, 0.75, 0.0, 0.0), (0.5, 0.5, 0.1, 0.10), (1.0, 1.0, 0.0, 0.0)],
)
def test_rates_come_out_as_asked(truth: SceneTruth, share: float, rate: float, easy: float, false_rate: float) -> None:
    asked = {"miss_hard_share": share, "miss_rate": rate, "miss_easy_rate": easy, "false_rate": false_rate}
    looks = scripted_looks(truth, looks_per_s=8, jitter_px=0.5, seed=3, **asked)  # type: ignore[arg-type]
    hard = ScriptedDetector(truth, miss_hard_share=share, seed=3).hard[0]
    could, did, false = hits(looks, truth)
    assert hard.mean() == pytest.approx(share, abs=0.02)
    if hard.any():
        assert 1 - did[hard].sum() / could[hard].sum() == pytest.approx(rate, abs=0.06)
    if (~hard).any():
        assert 1 - did[~hard].sum() / could[~hard].sum() == pytest.approx(easy, abs=0.04)
    total = sum(len(look.detections) for look in looks)
    assert false / max(1, total) == pytest.approx(false_rate, abs=0.02)


@pytest.mark.parametrize("flicker", [0.0, 0.3, 1.0])
def test_classes_flicker_as_asked(truth: SceneTruth, flicker: float) -> None:
    names = ScriptedDetector(truth).class_names
    own = names.index(truth.trains[0].vehicles[0].class_name)
    looks = scripted_looks(truth, looks_per_s=5, false_rate=0.0, class_flicker=flicker)
    ids = np.concatenate([look.detections.class_id for look in looks])
    assert (ids != own).mean() == pytest.approx(flicker, abs=0.07)


def test_looks_are_even_in_time_and_repeatable(truth: SceneTruth) -> None:
    first, second = (scripted_looks(truth, looks_per_s=5, seed=1) for _ in range(2))
    assert np.allclose(np.diff([look.pts_s for look in first]), 0.2, atol=1e-6)
    assert all(np.array_equal(a.detections.xyxy_px, b.detections.xyxy_px) for a, b in zip(first, second, strict=True))
    assert any(
        a.detections.xyxy_px.shape != b.detections.xyxy_px.shape
        for a, b in zip(first, scripted_looks(truth, looks_per_s=5, seed=2), strict=True)
    )


def test_no_more_looks_than_frames(truth: SceneTruth) -> None:
    assert len(scripted_looks(truth, looks_per_s=1000)) == len(truth.pts_s)


def test_boxes_stay_in_the_picture_and_are_not_empty(truth: SceneTruth) -> None:
    for look in scripted_looks(truth, looks_per_s=5, jitter_px=30, false_rate=0.5):
        boxes = look.detections.xyxy_px
        assert (boxes >= 0).all()
        assert (boxes <= [320, 180, 320, 180]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert ((look.detections.score > 0) & (look.detections.score < 1)).all()


def test_detect_answers_for_the_announced_times_only(truth: SceneTruth) -> None:
    picture = np.zeros((180, 320, 3), np.uint8)
    with ScriptedDetector(truth) as detector:
        middle = float(truth.pts_s[len(truth.pts_s) // 2])
        detector.coming([middle])
        (found,) = detector.detect([picture])
        assert np.array_equal(found.xyxy_px, detector.for_time(middle).xyxy_px)
        with pytest.raises(DetectorError, match="coming"):
            detector.detect([picture])
