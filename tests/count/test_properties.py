"""What must not change the count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.scripted_trains import Scene, Script, scripted_scene
from vision.count import count_train
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Look, Train

scripts = st.builds(
    Script,
    vehicles=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    direction=st.sampled_from(["left", "right"]),
    in_view_s=st.sampled_from([3.0, 6.0]),
    looks_s=st.sampled_from([2.0, 4.0]),
    false=st.sampled_from([0.0, 0.05]),
    hard=st.sampled_from([0.0, 0.25]),
)
few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def counted(scene: Scene, **changes) -> Train:
    given_ = {**scene.kwargs(), **changes.pop("kwargs", {})}
    return count_train(changes.get("passage", scene.passage), changes.get("looks", scene.looks), **given_).train


def summary(train: Train) -> tuple:
    return train.total, dict(train.counts), [v.class_name for v in train.vehicles]


def boxes_changed(looks: list[Look], change) -> list[Look]:
    return [
        replace(one, detections=Detections.of(change(one.detections.xyxy_px), one.detections.score, one.detections.class_id))
        for one in looks
    ]


@few
@given(scripts)
def test_sum_over_military_classes_is_the_total(script):
    train = counted(scripted_scene(script))
    taxonomy = default_taxonomy()
    assert sum(i.count for name, i in train.counts.items() if taxonomy.is_military(name)) == train.total.count
    assert sum(i.count for i in train.counts.values()) == len(train.vehicles)
    for interval in (train.total, *train.counts.values()):
        assert interval.low <= interval.count <= interval.high


@few
@given(scripts)
def test_mirror(script):
    scene = scripted_scene(script)
    width = scene.script.view_px
    turned = {"left": "right", "right": "left"}[scene.passage.direction]
    passage = replace(scene.passage, displacement_px=-scene.passage.displacement_px, direction=turned)
    looks = boxes_changed(scene.looks, lambda b: np.stack([width - b[:, 2], b[:, 1], width - b[:, 0], b[:, 3]], axis=1))
    assert summary(counted(scene, passage=passage, looks=looks)) == summary(counted(scene))


@few
@given(scripts, st.floats(-1e4, 1e4))
def test_time_shift(script, shift_s):
    scene = scripted_scene(script)
    p = scene.passage
    passage = replace(p, start_s=p.start_s + shift_s, end_s=p.end_s + shift_s, pts_s=p.pts_s + shift_s)
    looks = [replace(one, pts_s=one.pts_s + shift_s) for one in scene.looks]
    assert summary(counted(scene, passage=passage, looks=looks)) == summary(counted(scene))


@few
@given(scripts, st.sampled_from([0.25, 0.5, 1.5, 2.0, 3.0]))
def test_size_of_the_picture(script, scale):
    scene = scripted_scene(script)
    p = scene.passage
    passage = replace(
        p,
        displacement_px=p.displacement_px * scale,
        view_x_px=(0.0, p.view_x_px[1] * scale),
        band_y_px=(p.band_y_px[0] * scale, p.band_y_px[1] * scale),
    )
    looks = boxes_changed(scene.looks, lambda b: b * scale)
    size = (round(scene.wh_px[0] * scale), round(scene.wh_px[1] * scale))
    assert summary(counted(scene, passage=passage, looks=looks, kwargs={"picture_wh_px": size})) == summary(counted(scene))


@few
@given(scripts, st.randoms(use_true_random=False))
def test_order_of_the_looks(script, random):
    scene = scripted_scene(script)
    looks = list(scene.looks)
    random.shuffle(looks)
    assert summary(counted(scene, looks=looks)) == summary(counted(scene))


@few
@given(scripts)
def test_order_of_the_boxes(script):
    scene = scripted_scene(script)
    looks = [replace(one, detections=one.detections[np.arange(len(one.detections))[::-1]]) for one in scene.looks]
    assert summary(counted(scene, looks=looks)) == summary(counted(scene))


@few
@given(scripts, st.integers(2, 3))
def test_repeated_frames(script, times):
    scene = scripted_scene(script)
    looks = [replace(one, pts=one.pts + k, pts_s=one.pts_s + 1e-4 * k) for one in scene.looks for k in range(times)]
    assert summary(counted(scene, looks=looks)) == summary(counted(scene))


@few
@given(scripts)
def test_an_empty_look_far_away(script):
    scene = scripted_scene(script)
    looks = [*scene.looks, Look(10**9, 1e6, Detections.empty())]
    assert summary(counted(scene, looks=looks)) == summary(counted(scene))


@pytest.mark.parametrize("vehicles", [1, 5, 20])
def test_perfect_detector_is_counted_perfectly(vehicles):
    clean = Script(
        vehicles=vehicles, seed=vehicles, hard=0, false=0, shake_px=0, box_noise=0, drift_px=0, doubles=0, merged=0, easy_rate=1
    )
    train = counted(scripted_scene(clean))
    assert (train.total.low, train.total.count, train.total.high) == (vehicles, vehicles, vehicles)
