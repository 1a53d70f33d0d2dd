import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.count.scenes import looks_at as scripted
from tests.count.scenes import passage_along, running
from vision.count.abreast import on_other_trains
from vision.types import Detections, Look, Passage

VIEW_PX = 640.0
WIDTH_PX, HEIGHT_PX = 90.0, 40.0


def passage_of(speed_px_s: float, start_s: float, end_s: float) -> Passage:
    pts_s = np.arange(round(start_s * 25), round(end_s * 25) + 1) / 25
    moved_px = speed_px_s * (pts_s - pts_s[0])
    n = len(pts_s)
    return Passage(
        0, float(pts_s[0]), float(pts_s[-1]), pts_s, moved_px, np.zeros(n), np.ones(n, np.float32),
        "right" if speed_px_s > 0 else "left", (0.0, VIEW_PX), (0.0, 360.0), True, True, abs(speed_px_s), 1000.0,
    )  # fmt: skip


def looks_at(passages: list[Passage], places_px: list[list[float]], rng: np.random.Generator, *, row_px: list[float]) -> tuple:
    """Looks five times a second, with a box for each place of each train in view; and whose each box is."""
    looks, owner = [], []
    for pts_s in np.arange(0, 40, 0.2):
        boxes, whose = [], []
        for train, (passage, places) in enumerate(zip(passages, places_px, strict=True)):
            if not passage.start_s <= pts_s <= passage.end_s:
                continue
            for place in places:
                x0 = place + float(passage.displacement_at(float(pts_s)))
                cut = max(x0, 0.0), min(x0 + WIDTH_PX, VIEW_PX)
                if cut[1] - cut[0] > 0.3 * WIDTH_PX and rng.random() < 0.75:
                    box = np.array([cut[0], row_px[train], cut[1], row_px[train] + HEIGHT_PX]) + rng.normal(0, 1.0, 4)
                    boxes.append(box)
                    whose.append(train)
        n = len(boxes)
        looks.append(Look(round(pts_s * 1000), float(pts_s), Detections.of(boxes, np.full(n, 0.8), np.zeros(n))))
        owner.append(np.array(whose, int))
    return looks, owner


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([-1.2, -0.7, 0.7, 1.35]),
    rows=st.sampled_from([(200.0, 200.0), (200.0, 185.0)]),
    way=st.sampled_from([-1, 1]),
)
def test_each_box_goes_to_the_train_in_whose_coordinate_it_stays(
    seed: int, ratio: float, rows: tuple[float, float], way: int
) -> None:
    rng = np.random.default_rng(seed)
    speeds = 50.0 * way, 50.0 * way * ratio
    passages = [passage_of(speeds[0], 0, 30), passage_of(speeds[1], 6, 36)]
    places = [
        [(-1 if speed > 0 else 1) * (60 + 150 * k + float(rng.uniform(0, 50))) + (0 if speed > 0 else VIEW_PX) for k in range(7)]
        for speed in speeds
    ]
    looks, owner = looks_at(passages, places, rng, row_px=list(rows))
    masks = on_other_trains(passages, looks)
    both = [i for i, look in enumerate(looks) if 6.0 <= look.pts_s <= 30.0]
    for train in (0, 1):
        wrong = sum(int((masks[train][i] == (owner[i] == train)).sum()) for i in both)
        assert wrong <= 0.1 * sum(len(owner[i]) for i in both)
    for i in both:
        assert (masks[0][i] != masks[1][i]).all()  # never to both, never to none


@pytest.mark.parametrize("second", [(20.0, 36.0), (19.0, 36.0)])
def test_trains_one_after_the_other_share_nothing(second: tuple[float, float]) -> None:
    passages = [passage_of(50.0, 0, 19.0), passage_of(-50.0, *second)]
    looks, _ = looks_at(passages, [[-200.0, -400.0], [700.0, 900.0]], np.random.default_rng(1), row_px=[200.0, 200.0])
    assert not any(mask.any() for masks in on_other_trains(passages, looks) for mask in masks)


def test_no_boxes_no_looks() -> None:
    passages = [passage_of(50.0, 0, 30), passage_of(40.0, 5, 36)]
    assert on_other_trains(passages, []) == [[], []]
    empty = [Look(0, 10.0, Detections.empty())]
    assert [[len(mask) for mask in masks] for masks in on_other_trains(passages, empty)] == [[0], [0]]


@pytest.mark.parametrize("seed", range(4))
def test_a_vehicle_that_is_in_view_for_moments_goes_where_its_whole_way_says(seed: int) -> None:
    # The first passage ends soon after the other train's first vehicle came into view: a few looks, most of them at a part.
    rng = np.random.default_rng(seed)
    near = running(-62.0, 3, rng=rng, lasts_s=40.0, foot_px=220.0)
    far = running(-50.0, 3, rng=rng, lasts_s=40.0, enters_s=12.0, foot_px=196.0)
    passages = []
    for train, (first_s, last_s) in ((near, (1.0, 14.4)), (far, (9.0, 39.0))):
        inside = (train.pts_s >= first_s) & (train.pts_s <= last_s)
        passages.append(passage_along(train.pts_s[inside], train.moved_px[inside]))
    looks = scripted([near, far], rng)
    masks = on_other_trains(passages, looks)
    asked = 0
    for look, *own in zip(looks, *masks, strict=True):
        if 12.0 < look.pts_s < 14.4:
            is_far = look.detections.xyxy_px[:, 3] < 208
            asked += int(is_far.sum())
            assert (own[0] == is_far).all()
            assert (own[1] == ~is_far).all()
    assert asked >= 3
