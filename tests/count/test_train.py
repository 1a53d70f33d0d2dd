"""Small scenes whose truth can be read off the numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.support.scripted_trains import CLASS_NAMES, Script, passage_of, scripted_scene
from vision.config import CountConfig
from vision.count import REASONS, count_train
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Look

WH = (1280, 720)
WIDTH = 200.0


def count(passage, looks, *, class_names=CLASS_NAMES, px_per_m=None, **settings):
    return count_train(
        passage,
        looks,
        class_names=class_names,
        picture_wh_px=WH,
        taxonomy=default_taxonomy(),
        config=CountConfig(**settings),
        px_per_m=px_per_m,
    )


def look(pts_s, spans, *, names=None, score=0.8, rows=(300.0, 460.0)):
    """A look with boxes over the given columns, cut to the picture; those outside of it are left out."""
    names = names or ["tank"] * len(spans)
    boxes = [(max(a, 0), rows[0], min(b, WH[0]), rows[1]) for a, b in spans]
    shown = [(box, CLASS_NAMES.index(n)) for box, n in zip(boxes, names, strict=True) if box[2] - box[0] > 30]
    return Look(round(pts_s * 1000), pts_s, Detections.of([b for b, _ in shown], [score] * len(shown), [c for _, c in shown]))


def passing(places, *, speed=100.0, looks_s=2.0, end_s=30.0, names=None, extra=()):
    """A train moving right with vehicles of WIDTH px whose left ends are at ``places`` along s; every look has ``extra``."""
    pts_s = np.arange(0, end_s, 0.1)
    times = np.arange(0, end_s, 1 / looks_s)
    looks = []
    for t in times:
        spans = [(s + speed * t, s + WIDTH + speed * t) for s in places]
        more = list(extra)
        looks.append(look(t, spans + more, names=(names or ["tank"] * len(places)) + ["truck"] * len(more)))
    return passage_of(pts_s, speed * pts_s), looks


def test_no_looks_counts_nothing_and_says_so():
    passage, _ = passing([-300])
    result = count(passage, [])
    assert result.train.total.count == 0
    assert "no_looks" in result.train.flags
    assert result.cluster_of == ()


def test_empty_looks_count_nothing():
    passage, _ = passing([-300])
    result = count(passage, [look(t, []) for t in (1.0, 2.0, 3.0)])
    assert (result.train.total.count, result.train.vehicles, dict(result.train.counts)) == (0, (), {})


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(100, 300)], 1),
        ([(100, 300), (304, 504), (800, 1000)], 3),
        ([(100, 300), (105, 296)], 1),  # a double box
        ([(0, 150), (300, 500), (1150, 1280)], 3),  # cut at both edges
        ([(100, 300), (310, 510), (100, 510)], 2),  # and a box over both
    ],
)
def test_one_look(spans, expected):
    passage = passage_of([0.0], [0.0], direction="unknown")
    result = count(passage, [look(0.0, spans)])
    assert result.train.total.count == expected
    assert "few_looks" in result.train.flags


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([-300], 1),
        ([-300, -506], 2),  # end to end, 6 px between them
        ([-300 - 204 * k for k in range(8)], 8),  # look-alikes at a pitch of 1.02 widths
        ([-300, -900, -1500], 3),
    ],
)
def test_passing_train(places, expected):
    result = count(*passing(places))
    total = result.train.total
    assert (total.low, total.count, total.high) == (expected, expected, expected)
    assert result.train.counts.keys() == {"tank"}


def test_look_alikes_that_step_by_one_pitch_between_looks_stay():
    # Every look shows boxes in the same columns: a thing fixed to the picture, were it not for the train's displacement.
    result = count(*passing([-300 - 204 * k for k in range(8)], speed=408.0, looks_s=2.0, end_s=8.0))
    assert result.train.total.count == 8


def test_reversing_train_is_counted_once():
    pts_s = np.arange(0, 40, 0.1)
    forth = 60 * np.minimum(pts_s, 20) - 60 * np.maximum(pts_s - 20, 0)
    passage = passage_of(pts_s, forth, direction="unknown")
    looks = [look(t, [(s + d, s + WIDTH + d) for s in (-300, -510, -900)]) for t, d in zip(pts_s[::5], forth[::5], strict=True)]
    assert count(passage, looks).train.total.count == 3


def test_standing_train_is_counted_and_its_looks_are_no_crowd_of_witnesses():
    rng = np.random.default_rng(5)
    pts_s = np.arange(0, 120, 0.5)
    passage = passage_of(pts_s, np.zeros(len(pts_s)), direction="still", head_seen=False, tail_seen=False)
    looks = []
    for n, t in enumerate(pts_s):
        spans = [(a + rng.normal(0, 3), a + WIDTH + rng.normal(0, 3)) for a in (50, 300, 700)]
        if n == 17:
            spans.append((950.0, 1100.0))  # once in 240 looks
        looks.append(look(t, spans))
    result = count(passage, looks)
    assert result.train.total.count == 3
    assert {"head_not_seen", "tail_not_seen"} <= set(result.train.flags)
    assert [v.position_px for v in result.train.vehicles] == sorted(v.position_px for v in result.train.vehicles)


def test_single_false_box_is_dropped_with_a_reason():
    passage, looks = passing([-300, -1500])
    rogue = look(12.0, [(600, 730)], names=["truck"], score=0.3)
    at = next(i for i, one in enumerate(looks) if one.pts_s == 12.0)
    both = Detections(
        *(
            np.concatenate([getattr(looks[at].detections, f), getattr(rogue.detections, f)])
            for f in ("xyxy_px", "score", "class_id")
        )
    )
    looks[at] = replace(looks[at], detections=both)
    result = count(passage, looks)
    assert result.train.total.count == 2
    assert [(d.reason, d.count, d.at_s) for d in result.dropped] == [("too_few_looks_agree", 1, 12.0)]
    assert result.cluster_of[at][-1] == -1
    assert REASONS[result.why[at][-1]] == "too_few_looks_agree"


def test_parked_vehicle_in_front_is_no_load():
    passage, looks = passing([-300, -900, -1500, -1710], extra=[(1000.0, 1210.0)])
    result = count(passage, looks)
    assert result.train.total.count == 4
    assert "moves_with_background" in {d.reason for d in result.dropped}


def test_panning_camera_drops_what_moves_with_the_background_and_what_stays_in_the_picture():
    pts_s = np.arange(0, 30, 0.1)
    d, b = 20 * pts_s, -120 * pts_s
    passage = passage_of(pts_s, d, background_px=b)
    looks = []
    for t in np.arange(0, 30, 0.5):
        on_train = [(s + 20 * t, s + WIDTH + 20 * t) for s in (100, 400, 800)]
        parked = [(s - 120 * t, s + 180 - 120 * t) for s in (1400, 2900)]
        looks.append(look(t, [*on_train, *parked, (20, 110)]))
    result = count(passage, looks)
    assert result.train.total.count == 3
    assert {"moves_with_background", "static_in_picture"} <= {d.reason for d in result.dropped}


def test_boxes_beside_the_rows_of_the_train_are_dropped():
    passage, looks = passing([-300])
    road = [look(one.pts_s, [(200, 420)], rows=(620.0, 715.0)) for one in looks]
    merged = [
        replace(
            a,
            detections=Detections(
                *(np.concatenate([getattr(a.detections, f), getattr(b.detections, f)]) for f in ("xyxy_px", "score", "class_id"))
            ),
        )
        for a, b in zip(looks, road, strict=True)
    ]
    result = count(passage, merged)
    assert result.train.total.count == 1
    assert [(d.reason, d.count) for d in result.dropped] == [("outside_band", len(looks))]


def test_a_box_from_edge_to_edge_is_a_wagon_close_by():
    passage, looks = passing([])
    walls = [look(one.pts_s, [(0, 1280)]) for one in looks]
    result = count(passage, walls)
    assert result.train.total.count == 0
    assert [(d.reason, d.count) for d in result.dropped] == [("fills_the_view", len(looks))]


def test_a_parked_car_at_the_rim_of_the_band_moves_with_the_background():
    passage, looks = passing([])
    low, _ = passage.band_y_px
    jitter = itertools.cycle((-6.0, 6.0, 0.0))
    cars = [look(one.pts_s, [(600, 700)], rows=(low - 40.0, low + 10.0 + next(jitter))) for one in looks]
    result = count(passage, cars)
    assert result.train.total.count == 0
    assert "moves_with_background" in {d.reason for d in result.dropped}


def test_looks_outside_the_passage_are_left_out():
    passage, looks = passing([-300])
    result = count(passage, [*looks, look(500.0, [(300, 500), (800, 1000)])])
    assert result.train.total.count == 1
    assert [d.reason for d in result.dropped] == ["outside_passage"]


@pytest.mark.parametrize(
    ("votes", "expected", "parent"),
    [
        (["tank"] * 10, "tank", "tank"),
        (["btr"] * 8 + ["truck"] * 2, "btr", "apc"),
        (["btr", "mtlb"] * 5, "apc", "apc"),
        (["btr", "brdm", "mtlb"] * 3 + ["tank"], "apc", "apc"),
        (["covered_vehicle"] * 9 + ["tank"], "covered_vehicle", "covered"),
        (["covered_vehicle", "tank"] * 5, "covered_vehicle", "covered"),
        (["tank"] * 8 + ["covered_vehicle"] * 2, "tank", "tank"),
    ],
)
def test_class_backs_off_as_far_as_the_looks_disagree(votes, expected, parent):
    pts_s = np.arange(0, 10, 0.1)
    looks = [look(float(n), [(100 + 80 * n, 300 + 80 * n)], names=[vote]) for n, vote in enumerate(votes)]
    result = count(passage_of(pts_s, 80 * pts_s), looks)
    assert [(v.class_name, v.parent) for v in result.train.vehicles] == [(expected, parent)]
    assert result.train.counts[expected].count == 1


def test_cars_are_counted_apart_and_foreign_classes_as_they_are():
    passage, looks = passing([-300, -700, -1100], names=["tank", "uaz", "civil_car"])
    train = count(passage, looks).train
    assert train.total.count == 1
    assert {name: i.count for name, i in train.counts.items()} == {"civil_car": 1, "tank": 1, "uaz": 1}
    foreign = count(passage, looks, class_names=tuple("zebra" if n == "civil_car" else n for n in CLASS_NAMES)).train
    assert {name: i.count for name, i in foreign.counts.items()} == {"tank": 1, "uaz": 1, "zebra": 1}
    assert foreign.total.count == 1
    assert "foreign_classes" in foreign.flags


@pytest.mark.parametrize(
    ("flags", "bounds"),
    [
        (("ambiguous_registration",), (2, 3, 4)),
        (("trains_abreast",), (2, 3, 4)),
        (("ambiguous_registration", "trains_abreast"), (1, 3, 5)),
    ],
)
def test_doubts_widen_the_bounds(flags, bounds):
    passage, looks = passing([-300, -900, -1500])
    train = count(replace(passage, flags=flags), looks).train
    assert (train.total.low, train.total.count, train.total.high) == bounds
    assert set(flags) <= set(train.flags)


def test_unseen_ends_are_flagged_but_do_not_inflate_the_count():
    passage, looks = passing([-300, -900])
    train = count(replace(passage, head_seen=False, tail_seen=False), looks).train
    assert (train.total.low, train.total.count, train.total.high) == (2, 2, 2)
    assert {"head_not_seen", "tail_not_seen"} <= set(train.flags)


@pytest.mark.parametrize("direction", ["right", "left"])
def test_positions_run_from_the_head(direction):
    scene = scripted_scene(
        Script(vehicles=8, seed=3, direction=direction, hard=0.0, false=0.0, doubles=0.0, merged=0.0, drift_px=0.0)
    )
    train = count_train(scene.passage, scene.looks, **scene.kwargs()).train
    head_px = (-scene.s1_px if direction == "right" else scene.s0_px) + (scene.s1_px - scene.s0_px) / 2
    assert [v.index for v in train.vehicles] == list(range(8))
    np.testing.assert_allclose([v.position_px for v in train.vehicles], np.sort(head_px), atol=25)
    assert [v.class_name for v in train.vehicles] == scene.classes


def test_every_detection_is_a_vehicles_or_dropped_for_a_reason():
    scene = scripted_scene(Script(vehicles=12, seed=8, false=0.1))
    result = count_train(scene.passage, scene.looks, **scene.kwargs())
    of, why = np.concatenate(result.cluster_of), np.concatenate(result.why)
    assert np.array_equal(of >= 0, why == 0)
    assert sum(d.count for d in result.dropped) == np.count_nonzero(why)
    assert set(of[of >= 0]) == {v.index for v in result.train.vehicles}


def test_the_best_look_shows_the_vehicle_whole():
    scene = scripted_scene(Script(vehicles=6, seed=2, hard=0.0))
    by_pts = {one.pts: one for one in scene.looks}
    for vehicle in count_train(scene.passage, scene.looks, **scene.kwargs()).train.vehicles:
        assert vehicle.xyxy_px[0] > 10
        assert vehicle.xyxy_px[2] < WH[0] - 10
        boxes = by_pts[vehicle.pts].detections.xyxy_px
        assert np.any(np.all(boxes == np.float32(vehicle.xyxy_px), axis=1))
        assert 0 < vehicle.looks <= vehicle.opportunities


def test_known_scale_gives_speed_and_drops_impossible_boxes():
    passage, looks = passing([-300, -900], extra=[(600.0, 620.0 + 12)])
    train = count(passage, looks, px_per_m=30.0).train
    assert train.speed_m_s == pytest.approx(passage.speed_px_s / 30.0)
    assert train.total.count == 2


@pytest.mark.parametrize("oblique", [-0.6, 0.3, 0.6])
def test_oblique_view_is_straightened(oblique):
    scene = scripted_scene(Script(vehicles=12, seed=4, hard=0.0, oblique=oblique))
    assert count_train(scene.passage, scene.looks, **scene.kwargs()).train.total.count == 12


@pytest.mark.parametrize("scale_error", [-0.1, 0.05])
def test_wrong_scale_of_the_displacement_is_put_right(scale_error):
    scene = scripted_scene(Script(vehicles=12, seed=6, hard=0.0, scale_error=scale_error))
    assert count_train(scene.passage, scene.looks, **scene.kwargs()).train.total.count == 12


@pytest.mark.parametrize("direction", ["right", "left"])
@pytest.mark.parametrize("oblique", [0.0, 0.4])
def test_the_trace_says_where_each_box_and_each_place_lies(direction, oblique):
    scene = scripted_scene(Script(vehicles=9, seed=5, direction=direction, oblique=oblique, false=0.05))
    result = count_train(scene.passage, scene.looks, **scene.kwargs())
    trace = result.trace
    counted = {place.vehicle: place for place in trace.places if place.vehicle >= 0}
    assert sorted(counted) == [v.index for v in result.train.vehicles]
    for vehicle in result.train.vehicles:
        place = counted[vehicle.index]
        assert (place.class_name, place.looks, place.opportunities) == (vehicle.class_name, vehicle.looks, vehicle.opportunities)
        assert trace.head_px + trace.sign * vehicle.position_px == pytest.approx(place.centre_px)
    for of, place_of, s_px in zip(result.cluster_of, trace.place_of, trace.s_px, strict=True):
        assert [trace.places[j].vehicle if j >= 0 else -1 for j in place_of] == [*of]
        for j, ends_px in zip(place_of[of >= 0], s_px[of >= 0], strict=True):
            assert trace.places[j].s0_px - WIDTH < ends_px.mean() < trace.places[j].s1_px + WIDTH


@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize(("before", "within"), [(1, 1), (0, 1), (3, 2), (0, 2), (2, 4)])
def test_what_stands_there_before_the_train_comes_is_no_vehicle_at_the_far_edge(direction, before, within):
    scene = scripted_scene(Script(vehicles=6, seed=3, direction=direction, in_view_s=4.0, hard=0.0, false=0.0))
    x = 1040 if direction == "right" else 40
    steady = np.array([[x, 330.0, x + 200.0, 500.0]])
    looks = [Look(-1000 * (1 + k), -0.5 * (1 + k), Detections.of(steady + 2 * k, [0.6], [0])) for k in range(before)]
    for k, one in enumerate(scene.looks):
        d = one.detections
        if k < within:
            d = Detections.of(np.concatenate([d.xyxy_px, steady + k]), [*d.score, 0.6], [*d.class_id, 0])
        looks.append(replace(one, detections=d))
    train = count_train(scene.passage, looks, **scene.kwargs()).train
    assert (train.total.count, train.total.low) == (6, 6)


def test_a_vehicle_seen_standing_before_the_train_leaves_is_counted():
    pts_s = np.arange(0, 30, 0.1)
    moved_px = np.maximum(pts_s - 6, 0) * 60
    places = [200, 500, 900]
    looks = [look(t, [(s + d, s + WIDTH + d) for s in places]) for t, d in zip(pts_s[::5], moved_px[::5], strict=True)]
    leaves = pts_s >= 5
    passage = passage_of(pts_s[leaves], moved_px[leaves], head_seen=False, start_s=5.0)
    assert count(passage, looks).train.total.count == 3


def test_two_places_that_overlap_may_be_one_vehicle():
    """Both were seen in every look, so both are counted; the lower bound says what else it may be."""
    passage, looks = passing([-900, -400, -270])
    train = count(passage, looks).train
    assert train.total.count == 3
    assert train.total.low == 2
    assert "overlapping_vehicles" in train.flags


def test_a_parents_row_leaves_out_what_its_leaves_rows_hold():
    """Three vehicles named bmp, one that wavers between bmp and bmd: the row of their parent speaks of the one alone."""
    passage, looks = passing([-300, -700, -1100, -1500], names=["bmp", "bmp", "bmp", "bmp"])
    other = CLASS_NAMES.index("bmd")
    wavering = []
    for n, one in enumerate(looks):
        d = one.detections
        ids = d.class_id.copy()
        last = d.xyxy_px[:, 0] - 100 * one.pts_s < -1400
        ids[last] = other if n % 2 else ids[last]
        wavering.append(replace(one, detections=Detections.of(d.xyxy_px, d.score, ids)))
    train = count(passage, wavering).train
    assert {name: (i.low, i.count, i.high) for name, i in train.counts.items()} == {"bmp": (3, 3, 4), "ifv": (1, 1, 1)}
    assert (train.total.low, train.total.high) == (4, 4)


def test_a_box_seen_once_is_worth_less_where_stray_boxes_are_common():
    def believed(strays):
        passage, looks = passing([-300, -600, -1500, -1800, -2100], looks_s=1.0, end_s=32.0)
        rng = np.random.default_rng(5)
        seen = []
        for n, one in enumerate(looks):
            d = one.detections
            more = [[-1200 + 100 * one.pts_s, 300, -1000 + 100 * one.pts_s, 460]] if n == 16 else []
            if n in strays:
                x = rng.uniform(0, 1000)
                more.append([x, 300, x + rng.uniform(120, 280), 460])
            boxes = np.concatenate([d.xyxy_px, np.array(more).reshape(-1, 4)])
            ids = [*d.class_id, *[0] * len(more)]
            seen.append(replace(one, detections=Detections.of(boxes, [*d.score, *[0.5] * len(more)], ids)))
        places = count(passage, seen).trace.places
        return next(p.probability for p in places if abs(p.centre_px + 1100) < 30)

    clean, dirty = believed(()), believed(range(2, 30, 2))
    assert dirty / (1 - dirty) < 0.5 * clean / (1 - clean)


def _seen_now_and_then(firm, hits, *, impossible=0, px_per_m=None):
    """A train with firm vehicles and one place that shows a box in few looks: what it is believed to be."""
    passage, looks = passing(firm, looks_s=2.0, end_s=34.0)
    seen = []
    for n, one in enumerate(looks):
        d = one.detections
        x = -1200 + 100 * one.pts_s
        more = [[x, 300, x + 200, 460]] if n in hits else []
        more += [[300 + 17 * n % 500, 300, 330 + 17 * n % 500, 330]] if n < impossible else []
        boxes = np.concatenate([d.xyxy_px.reshape(-1, 4), np.array(more, np.float32).reshape(-1, 4)])
        ids = [*d.class_id, *[0] * len(more)]
        seen.append(replace(one, detections=Detections.of(boxes, [*d.score, *[0.8] * len(more)], ids)))
    places = count(passage, seen, px_per_m=px_per_m).trace.places
    return next((p.probability for p in places if abs(p.centre_px + 1100) < 30), 0.0)


def test_whether_a_train_carries_anything_is_one_doubt_that_its_places_share():
    alone, in_a_row = _seen_now_and_then([], (26, 29)), _seen_now_and_then([-300, -750, -1650, -2100], (26, 29))
    assert alone < 0.5 < in_a_row
    assert _seen_now_and_then([], range(24, 36)) > 0.95  # one that is seen well needs no company


def test_boxes_of_impossible_size_speak_against_the_doubtful_ones():
    clean, dirty = (_seen_now_and_then([], (26, 28, 30), impossible=n, px_per_m=30.0) for n in (0, 40))
    assert dirty / (1 - dirty) < 0.5 * clean / (1 - clean)
