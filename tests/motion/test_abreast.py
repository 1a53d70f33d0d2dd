from dataclasses import replace

import numpy as np
import pytest

from tests.motion.clips import Film, film, passages_of, scene
from vision.motion.abreast import side_by_side
from vision.motion.passages import TRAINS_ABREAST, shot_layers
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


@pytest.mark.parametrize("same_way", [True, False])
def test_two_trains_at_once_are_two_passages(same_way: bool) -> None:
    clip = film(pair(same_way=same_way))
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


@pytest.fixture(scope="module")
def alone() -> list[Film]:
    return [film(scene(seed, condition=condition)) for seed, condition in ((1, "stop"), (2, "reverse"), (1, "shake"), (1, "pan"))]


def test_one_train_is_one_whatever_it_does(alone: list[Film]) -> None:
    for clip in alone:
        series = clip.measured()
        shot = Shot(0, float(series.pts_s[0]), float(series.pts_s[-1]))
        assert side_by_side(series, shot_layers(series, shot)) is None
