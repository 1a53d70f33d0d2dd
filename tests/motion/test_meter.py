import cv2
import numpy as np
import pytest

from tests.motion.clips import Film, film, measure, scene
from vision.config import MotionConfig
from vision.motion.meter import MotionMeter


@pytest.fixture(scope="module")
def passing() -> Film:
    return film(scene(1, flatcars=1, speed_px=5.0))


def test_speed_at_once_is_good_enough_to_look_by(passing: Film) -> None:
    meter = MotionMeter(frame_width_px=320, frame_height_px=180, config=MotionConfig())
    said = [meter.push(grey, pts_s) for grey, pts_s in zip(passing.grey, passing.pts_s, strict=True)]
    truth = passing.truth.trains[0]
    middle = [v for v, t in zip(said, passing.pts_s, strict=True) if truth.start_s + 1 < t < truth.end_s - 1]  # type: ignore[operator]
    assert np.median(middle) == pytest.approx(5.0 * 25, rel=0.1)
    assert said[0] == 0.0
    assert meter.last_coherence > 0.5


def test_a_repeat_is_named_and_not_measured(passing: Film) -> None:
    chosen = [0, 1, 2, 2, 3, 4]
    series = passing.measured(chosen)
    # The times of the repeats differ in a real file; the pictures do not.
    assert series.repeated.tolist() == [False, False, False, True, False, False]
    assert series.anchor[3] == 3
    assert (series.response[3] == 0).all()


def test_a_repeat_that_the_encoder_touched_is_a_repeat(passing: Film) -> None:
    rng = np.random.default_rng(1)
    middle = len(passing.grey) // 2
    shown = [middle + i - i % 2 for i in range(40)]
    touched = []
    for i in shown:
        spots = (rng.random(passing.grey[i].shape) < 0.04).astype(np.uint8)
        touched.append(cv2.add(passing.grey[i], spots))
    series = measure(touched, [i / 25 for i in range(40)], passing.spec)
    assert series.repeated[2:].tolist() == [i % 2 == 1 for i in range(2, 40)]
    assert not np.isin(series.anchor[~series.repeated], np.flatnonzero(series.repeated)).any()


def test_what_creeps_is_no_repeat() -> None:
    rng = np.random.default_rng(2)
    wide = cv2.GaussianBlur(rng.integers(0, 255, (180, 400), dtype=np.uint8), (0, 0), 3.0)
    # Fast for a while, so that a small change is known to be little; then each frame changes by less than a repeat may.
    at_px = np.concatenate([3.0 * np.arange(12), 33.0 + np.arange(1, 61) / 32])
    grey = [cv2.warpAffine(wide, np.array([[1.0, 0.0, -x], [0.0, 1.0, 0.0]]), (320, 180)) for x in at_px]
    series = measure(grey, [i / 25 for i in range(len(grey))], scene(1))
    steps = np.abs(np.diff(grey[12:], axis=0).astype(np.int8)).mean(axis=(1, 2))
    assert np.median(steps) < 0.25
    shown = np.flatnonzero(~series.repeated[12:])
    assert len(shown) >= 4
    assert np.diff(shown).max() <= 13  # no freeze is believed for longer than half a second


def test_a_cut_is_seen_in_the_coherence(passing: Film) -> None:
    other = film(scene(7, flatcars=1, speed_px=5.0))
    half = len(passing.grey) // 2
    meter = MotionMeter(frame_width_px=320, frame_height_px=180, config=MotionConfig())
    for i, grey in enumerate([*passing.grey[:half], *other.grey[:20]]):
        meter.push(grey, i / 25)
    coherence = meter.finish().coherence
    assert coherence[half] < 0.25
    assert np.median(np.delete(coherence, half)) > 0.5


def test_an_empty_series_has_its_shape() -> None:
    series = MotionMeter(frame_width_px=320, frame_height_px=180, config=MotionConfig()).finish()
    assert len(series) == 0
    assert series.shift_px.shape[0] == series.pts_s.shape[0] == 0
    assert series.interval_s == pytest.approx(0.04)


def test_noise_does_not_shorten_the_life_of_anchors() -> None:
    """At night two frames are never alike: a slow train is still compared with an older frame, or it drowns in the background."""
    rng = np.random.default_rng(3)
    ground = rng.integers(90, 120, (180, 320)).astype(np.float32)
    train = np.repeat(rng.integers(70, 150, (60, 200)), 4, axis=1).astype(np.float32)
    meter = MotionMeter(frame_width_px=640, frame_height_px=360, config=MotionConfig())
    for i in range(60):
        picture = ground.copy()
        picture[80:140] = train[:, 100 + i : 420 + i]
        noisy = cv2.GaussianBlur(picture, (0, 0), 1.0) + rng.normal(0, 12, picture.shape)
        meter.push(np.clip(noisy, 0, 255).astype(np.uint8), i / 25)
    series = meter.finish()
    assert np.median(series.coherence[5:]) < 0.5
    assert np.max(np.arange(60) - series.anchor) >= 6
