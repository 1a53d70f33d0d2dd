"""What moves with a swaying camera stands before the train; what keeps its speed is the train."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.motion.test_path import BANDS, TRAIN_BANDS, Scene, advance
from vision.motion.background import Background, ShotShifts
from vision.motion.foreground import foreground_px
from vision.motion.layers import separate_layers
from vision.types import FloatArray

FRAMES = 700


def sway(reach_px: float, *, frames: int = FRAMES) -> FloatArray:
    return reach_px * np.sin(np.arange(frames) / 30)


def layers_before(scene: Scene) -> list[FloatArray]:
    shot = ShotShifts(scene.series(), 0, scene.frames - 1)
    near = shot.whole_shift[:, -1, 0].astype(np.float64)
    near[0] = np.nan
    return foreground_px(shot, Background(near, near))


def ground_of(scene: Scene) -> FloatArray:
    assert scene.background is not None
    return scene.background[1]


@given(nearer=st.floats(0.5, 1.6), reach_px=st.floats(1.5, 2.5), walk_px=st.floats(-0.2, 0.2))
@settings(max_examples=20, deadline=None)
def test_people_on_the_platform(nearer: float, reach_px: float, walk_px: float) -> None:
    pan = sway(reach_px)
    people = (1 + nearer) * pan + walk_px
    found = layers_before(Scene(FRAMES, [(people, slice(5, 12), 0.5)], background=(pan, pan)))
    assert found
    at = np.arange(FRAMES)
    moved = np.cumsum(people)
    anchor = np.maximum((at - 1) // 8 * 8, 0)
    nearest = np.min([np.abs(layer_px - (moved - moved[anchor])) for layer_px in found], axis=0)
    assert np.mean(nearest[1:] < 0.9) > 0.85


@given(speed_px=st.floats(0.6, 4.0), left=st.booleans(), reach_px=st.floats(0.0, 2.5))
@settings(max_examples=20, deadline=None)
def test_a_train_is_none_of_them(speed_px: float, left: bool, reach_px: float) -> None:
    pan = sway(reach_px)
    train = pan + (-speed_px if left else speed_px)
    assert layers_before(Scene(FRAMES, [(train, TRAIN_BANDS, 0.6)], background=(pan, pan))) == []


@pytest.mark.parametrize("steady_px", [0.7, -1.5])
def test_a_camera_that_only_goes_one_way_cannot_tell(steady_px: float) -> None:
    """Then what is nearer keeps its speed as a train does."""
    pan = np.full(FRAMES, steady_px)
    assert layers_before(Scene(FRAMES, [(1.6 * pan, slice(0, BANDS), 0.6)], background=(pan, pan))) == []


def test_a_train_behind_people_is_followed_while_the_camera_sways() -> None:
    """They are seen better than the train, and go at its speed or against it by turns."""
    pan = sway(1.3)
    scene = Scene(FRAMES, [(1.8 * pan, slice(5, 12), 0.7), (pan - 1.0, slice(6, 9), 0.3)], background=(pan, pan))
    layers = separate_layers(scene.series(), 0, FRAMES - 1)
    assert layers.present[40:-40].mean() > 0.95
    expected = -1.0 * 600 + (np.cumsum(pan)[650] - np.cumsum(pan)[50])
    assert advance(layers, 50, 650) == pytest.approx(expected, abs=25)
