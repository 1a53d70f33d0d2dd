"""Captions while the camera moves, on made series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.motion.test_path import TRAIN_BANDS, Scene
from vision.motion import painted
from vision.motion.background import ShotShifts
from vision.motion.layers import first_background, separate_layers
from vision.motion.meter import MotionSeries
from vision.motion.painted import lasting, unpainted

FRAMES = 500
CAPTION = slice(8, 12)


def following(camera_px: float, *, wavering_px: float = 0.0) -> MotionSeries:
    """The background runs; the train goes slowly over the picture, and what stands on it is seen better than either."""
    camera, train = np.full(FRAMES, camera_px), np.full(FRAMES, -0.6 * camera_px)
    rng = np.random.default_rng(3)
    caption = np.diff(wavering_px * rng.standard_normal(FRAMES + 1))
    series = Scene(FRAMES, [(train, slice(5, 8), 0.35), (caption, CAPTION, 0.7)], background=(camera, camera)).series()
    # Seen in the bands as they are, too.
    series.whole_shift_px[:, CAPTION, 1] = series.shift_px[:, CAPTION, 1]
    series.whole_response[:, CAPTION] = 0.5, 0.6
    return series


@pytest.mark.parametrize("camera_px", [-1.4, 1.0, 2.5])
def test_a_caption_is_no_train_that_goes_along(camera_px: float) -> None:
    layers = separate_layers(following(camera_px), 0, FRAMES - 1)
    assert layers.present[60:440].all()
    assert layers.train_px[440] - layers.train_px[60] == pytest.approx(380 * -0.6 * camera_px, rel=0.05)
    assert layers.background_px[440] - layers.background_px[60] == pytest.approx(380 * camera_px, rel=0.02)


@pytest.mark.parametrize(("camera_px", "wavering_px", "is_painted"), [(-1.4, 0.0, True), (-1.4, 1.0, False), (0.0, 0.0, False)])
def test_what_wavers_is_in_the_picture_and_a_fixed_camera_tells_nothing(
    camera_px: float, wavering_px: float, is_painted: bool
) -> None:
    shot = ShotShifts(following(camera_px, wavering_px=wavering_px), 0, FRAMES - 1)
    cleared = unpainted(shot, first_background(shot))
    assert (cleared is not shot) == is_painted
    assert cleared.painted == is_painted
    if is_painted:
        clearly_moved = shot.age * abs(camera_px) > 1.0
        assert cleared.response[clearly_moved][:, CAPTION, 1].max() == 0.0
        np.testing.assert_array_equal(cleared.response[:, TRAIN_BANDS.start : 8], shot.response[:, TRAIN_BANDS.start : 8])


def test_what_shows_at_one_age_of_the_anchor_is_not_lasting() -> None:
    evidence = np.zeros((200, 40), np.float16)
    evidence[:, 10] = 0.3
    evidence[::8, 30] = 1.0
    kept = lasting(evidence)
    np.testing.assert_array_equal(kept[:, 10], evidence[:, 10])
    assert kept[:, 30].max() == 0.0


@settings(max_examples=25, deadline=None)
@given(evidence=hnp.arrays(np.float16, (60, 9), elements=st.floats(0, 2, width=16)), chunk=st.integers(14, 70))
def test_lasting_evidence_is_no_more_than_there_was_and_the_same_in_any_chunks(evidence: np.ndarray, chunk: int) -> None:
    whole = lasting(evidence)
    assert (whole <= evidence).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painted, "_CHUNK_FRAMES", chunk)
        np.testing.assert_array_equal(lasting(evidence), whole)
