from dataclasses import replace

import numpy as np
import pytest

from tests.motion.clips import Film, film, passages_of, scene
from vision.config import MotionConfig
from vision.motion.abreast import Ridge, _cleaned, at_its_speed, side_by_side
from vision.motion.layers import Layers
from vision.motion.meter import MotionSeries
from vision.motion.passages import TRAINS_ABREAST, find_passages, shot_layers
from vision.motion.speeds import speed_at, stretched
from vision.synth.scene import Knots, SceneSpec, whole_duration_s
from vision.types import Shot


def pair(*, same_way: bool, ratio: float = 0.7) -> SceneSpec:
    """A train, and another on the track behind it that enters while the first one passes."""
    spec = scene(1, speed_px=4.0)
    near = spec.trains[0]
    way = near.heading if same_way else ("left" if near.heading == "right" else "right")
    far = replace(
        scene(7, speed_px=4.0).trains[0],
        heading=way,
        px_per_m=0.9 * near.px_per_m,
        rail_y_px=near.rail_y_px - 1.6 * near.px_per_m,
        speed_m_s=Knots(((0.0, ratio * float(near.speed_m_s.at(0.0))),)),
        entry_s=near.entry_s + 2.0,
    )
    spec = replace(spec, trains=(near, far))
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=0.6))


@pytest.mark.parametrize(("same_way", "shake_px"), [(True, 0.0), (False, 0.0), (False, 1.5)])
def test_two_trains_at_once_are_two_passages(same_way: bool, shake_px: float) -> None:
    spec = pair(same_way=same_way)
    spec = replace(spec, camera=replace(spec.camera, shake_x_px=shake_px, shake_y_px=0.6 * shake_px))
    clip = film(spec)
    passages = passages_of(clip.measured())
    assert [p.direction for p in passages] == [t.heading for t in clip.truth.trains]
    assert all(TRAINS_ABREAST in p.flags for p in passages)
    for passage, truth in zip(passages, clip.truth.trains, strict=True):
        assert truth.start_s is not None
        assert truth.end_s is not None
        assert passage.end_s == pytest.approx(truth.end_s, abs=1.5)
        inside = (passage.pts_s > truth.start_s) & (passage.pts_s < truth.end_s)
        true_px = np.interp(passage.pts_s[inside], clip.truth.pts_s, truth.displacement_px)
        assert np.ptp(passage.displacement_px[inside] - true_px) < 12.0


def test_a_path_without_evidence_follows_the_ridge() -> None:
    n = 200
    at = np.arange(n)
    true_px = np.where((at >= 20) & (at < 180), -1.1, 0.0)
    told = true_px.copy()
    told[20:60] = told[120:150] = 0.1  # the path stands for seconds, and drifts with the hand
    layers = Layers(
        first=0, background_px=np.zeros(n), train_px=np.cumsum(told), present=(at >= 5) & (at < 195), speed_px=told,
        trust=np.ones(n, np.float32), band_support=np.zeros((n, 4), np.float32), band_background=np.ones((n, 4), np.float32),
    )  # fmt: skip
    series = MotionSeries(
        pts_s=at / 25, anchor=np.maximum(at - 1, 0), shift_px=np.zeros((n, 4, 2), np.float32),
        response=np.zeros((n, 4, 2), np.float32), whole_shift_px=np.zeros((n, 4, 2), np.float32),
        whole_response=np.zeros((n, 4, 2), np.float32), coherence=np.ones(n, np.float32), repeated=np.zeros(n, bool),
        width_px=320, rows=180, scale=2.0, row_scale=2.0,
    )  # fmt: skip
    ridge = Ridge(np.where((at >= 20) & (at < 170), -1.08, np.nan))
    mended = at_its_speed(series, layers, ridge)
    shown = np.flatnonzero(mended.present)
    assert (shown[0], shown[-1]) == (20, 179)  # beyond the ridge as far as the path keeps its speed
    assert np.abs(np.diff(mended.train_px - np.cumsum(true_px))[20:179]).sum() < 2.0
    assert (mended.trust[30:50] == 0).all()
    assert (mended.trust[70:110] == 1).all()


def test_a_shot_that_is_known_to_show_one_train_is_not_parted() -> None:
    clip = film(pair(same_way=True))
    series = clip.measured()
    shot = Shot(3, float(series.pts_s[0]), float(series.pts_s[-1]))
    for one_train, abreast in (((), True), ((3,), False), ((2,), True)):
        passages, _ = find_passages(series, [shot], MotionConfig(), one_train=one_train)
        assert any(TRAINS_ABREAST in p.flags for p in passages) == abreast


@pytest.fixture(scope="module")
def alone() -> list[Film]:
    return [film(scene(seed, condition=condition)) for seed, condition in ((1, "stop"), (2, "reverse"), (1, "shake"), (1, "pan"))]


def test_one_train_is_one_whatever_it_does(alone: list[Film]) -> None:
    for clip in alone:
        series = clip.measured()
        shot = Shot(0, float(series.pts_s[0]), float(series.pts_s[-1]))
        assert side_by_side(series, shot_layers(series, shot)) is None


NONE = np.nan


@pytest.mark.parametrize(
    ("told_px", "own_px"),
    [
        (([1.0, 1.1, 0.9, 0.2, -0.3], [NONE, 0.6, 0.6, 0.6, 0.6]), ([1.0, 1.1, 0.9, NONE, NONE], [NONE, 0.6, 0.6, 0.6, 0.6])),
        # The second track goes on along the first train when its own is gone.
        (([-0.5, -0.5, -0.5, NONE, NONE], [0.9, 0.9, 0.9, -0.5, -0.5]), ([-0.5] * 5, [0.9, 0.9, 0.9, NONE, NONE])),
        (([-0.5, -0.5, -0.5, -0.5], [0.9, 0.9, 0.9, -0.5]), ([-0.5] * 4, [0.9, 0.9, 0.9, NONE])),
        (([NONE, NONE], [NONE, 1.0]), ([NONE, NONE], [NONE, 1.0])),
    ],
)
def test_each_track_keeps_to_its_own_speed(told_px: tuple[list[float], ...], own_px: tuple[list[float], ...]) -> None:
    cleaned = _cleaned(*(stretched(np.array(each)) for each in told_px))
    for track, expected in zip(cleaned, own_px, strict=True):
        np.testing.assert_allclose(speed_at(track), expected)
