import numpy as np
import pytest

from tests.motion.clips import Film, film, scene
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
