"""The layer in which the vehicles rest is the train."""

from dataclasses import replace

import numpy as np
import pytest

from tests.motion.test_path import FPS, WIDTH_PX, Scene
from vision.config import MotionConfig
from vision.motion.boxes import link_boxes
from vision.motion.passages import STANDING, TRAINS_ABREAST, find_passages
from vision.run.carried import _agree, at_rest, carriers
from vision.types import Detections, FloatArray, Look, Passage, Shot

FRAMES = 1000
GROUND_PX = -0.66
SHOT = Shot(0, 0.0, (FRAMES - 1) / FPS)
CONFIG = MotionConfig()


def looks_at(moved_px: FloatArray, places_px: list[float], *, seen: float = 0.7) -> list[Look]:
    """Looks five times a second at vehicles that move so."""
    rng = np.random.default_rng(8)
    looks = []
    for frame in range(0, len(moved_px), 5):
        x0 = np.array([place + moved_px[frame] for place in places_px if rng.random() < seen])
        x0 = x0[(x0 > 2) & (x0 + 45 < WIDTH_PX - 2)]
        boxes = np.stack([x0, np.full_like(x0, 90.0), x0 + 45, np.full_like(x0, 112.0)], axis=1) + rng.normal(
            0, 0.6, (len(x0), 4)
        )
        n = len(boxes)
        looks.append(Look(frame, frame / FPS, Detections.of(boxes, np.full(n, 0.8), np.zeros(n))))
    return looks


PLACES = [60.0, 150.0, 205.0, 330.0, 420.0, 640.0, 700.0, 830.0]


def walk_before_trees() -> Scene:
    """A standing train, filmed by someone who walks along it behind trees: sky above, trees at all heights, the ground below."""
    every = np.ones(FRAMES)
    return Scene(
        FRAMES,
        [(1.6 * GROUND_PX * every, slice(0, 12), 0.5), (GROUND_PX * every, slice(6, 12), 0.4)],
        background=(0.0 * every, GROUND_PX * every),
    )


def passage_of(moved_px: FloatArray, **changes: object) -> Passage:
    n = len(moved_px)
    plain = Passage(
        0, 0.0, (n - 1) / FPS, np.arange(n) / FPS, moved_px, np.zeros(n), np.ones(n, np.float32), "left",
        (0.0, float(WIDTH_PX)), (60.0, 140.0), True, True, 20.0, 900.0,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_boxes_rest_in_their_own_coordinate_and_in_no_other() -> None:
    moved_px = GROUND_PX * np.arange(FRAMES)
    looks = looks_at(moved_px, PLACES)
    assert at_rest([passage_of(moved_px)], looks) > 0.6
    for other_px in (np.zeros(FRAMES), 2 * moved_px, -moved_px):
        assert at_rest([passage_of(other_px)], looks) < 0.3
    assert at_rest([passage_of(other) for other in (2 * moved_px, moved_px)], looks) > 0.6, "each where it rests best"
    assert at_rest([], looks) == 0.0
    assert at_rest([passage_of(moved_px)], []) == 0.0


def test_boxes_outside_a_passage_rest_nowhere() -> None:
    moved_px = GROUND_PX * np.arange(FRAMES)
    looks = looks_at(moved_px, PLACES)
    half = passage_of(moved_px, end_s=20.0)
    assert at_rest([half], looks) < 0.75 * at_rest([passage_of(moved_px)], looks)


def test_a_standing_train_behind_trees_is_carried_by_the_ground() -> None:
    scene = walk_before_trees()
    series = scene.series()
    moved_px = GROUND_PX * np.arange(FRAMES)
    looks = looks_at(moved_px, PLACES)
    by_pixels = find_passages(series, [SHOT], CONFIG)
    assert at_rest(by_pixels[0], looks) < 0.4, "the trees are taken for the train"
    passages, _ = carriers(by_pixels, series, [SHOT], looks, CONFIG, ())
    assert [STANDING in passage.flags for passage in passages] == [True]
    assert np.ptp(passages[0].displacement_px - moved_px) < 10


def test_a_train_is_found_by_its_boxes_where_people_hide_it() -> None:
    """People go the other way, and all that pixels show of the train is little."""
    n = FRAMES
    scene = Scene(n, [(np.full(n, 1.2), slice(3, 9), 0.6), (np.full(n, -1.0), slice(6, 8), 0.25)])
    moved_px = -1.0 * np.arange(n)
    looks = looks_at(moved_px, [400.0, 470.0, 640.0, 810.0, 880.0, 1100.0])
    series = scene.series()
    by_pixels = find_passages(series, [SHOT], CONFIG)
    assert {passage.direction for passage in by_pixels[0]} == {"right"}
    passages, _ = carriers(by_pixels, series, [SHOT], looks, CONFIG, ())
    assert {passage.direction for passage in passages} == {"left"}
    during = passages[0]
    error_px = during.displacement_px - np.interp(during.pts_s, np.arange(n) / FPS, moved_px)
    assert np.ptp(error_px[100:-300]) < 20


def test_the_ground_is_not_the_train_however_little_moves_what_is_far() -> None:
    """From a train's window: hills hardly move, the ground goes by, and a train on the next track goes by faster."""
    every = np.ones(FRAMES)
    train = np.where((np.arange(FRAMES) > 60) & (np.arange(FRAMES) < 940), -1.75, np.nan)
    scene = Scene(
        FRAMES,
        [(-1.0 * every, slice(6, 12), 0.6), (train, slice(6, 9), 0.5)],
        background=(-0.22 * every, -1.0 * every),
    )
    moved_px = -1.75 * np.arange(FRAMES)
    looks = looks_at(moved_px, [340.0 + 95 * k + 20 * (k % 3) for k in range(14)])
    series = scene.series()
    by_pixels = find_passages(series, [SHOT], CONFIG)
    assert at_rest(by_pixels[0], looks) < 0.4, "the ground is taken for the train"
    (train_found,), _ = carriers(by_pixels, series, [SHOT], looks, CONFIG, ())
    error_px = train_found.displacement_px - np.interp(train_found.pts_s, np.arange(FRAMES) / FPS, moved_px)
    assert np.ptp(error_px) < 15
    assert train_found.direction == "left"
    assert (train_found.head_seen, train_found.tail_seen) == (True, True)


@pytest.mark.parametrize(
    "moved_px",
    [
        pytest.param(np.zeros(FRAMES), id="parked before a fixed camera"),
        pytest.param(None, id="nothing was seen"),
        pytest.param(1.5 * np.arange(FRAMES) - 900, id="on the train that was found"),
    ],
)
def test_what_need_not_change_does_not(moved_px: FloatArray | None) -> None:
    """A train passes; boxes that rest on it, or that stand on the picture, do not make it another one."""
    speed = np.full(FRAMES, np.nan)
    speed[50:900] = 1.5
    series = Scene(FRAMES, [(speed, slice(5, 10), 0.6)]).series()
    looks = [] if moved_px is None else looks_at(moved_px, PLACES)
    by_pixels = find_passages(series, [SHOT], CONFIG)
    passages, dropped = carriers(by_pixels, series, [SHOT], looks, CONFIG, ())
    assert passages == by_pixels[0]
    assert dropped == by_pixels[1]


def test_two_trains_abreast_are_left_to_those_who_told_them_apart() -> None:
    series = walk_before_trees().series()
    pair = [passage_of(np.zeros(FRAMES), flags=(TRAINS_ABREAST,)), passage_of(np.ones(FRAMES), flags=(TRAINS_ABREAST,))]
    looks = looks_at(GROUND_PX * np.arange(FRAMES), PLACES)
    assert carriers((pair, []), series, [SHOT], looks, CONFIG, ())[0] == pair


@pytest.mark.parametrize(
    ("own_px", "agree"),
    [
        (1.0, True),
        (1.03, True),  # registration errs by a little
        (0.0, False),
        (-1.0, False),
        (2.0, False),
    ],
)
@pytest.mark.parametrize("seen", [0.25, 0.6])
def test_pairs_of_boxes_pile_up_at_the_speed_of_their_own_train(own_px: float, agree: bool, seen: float) -> None:
    """Boxes that are seen in a quarter of the looks rest badly in any coordinate, and still tell theirs."""
    moved_px = -1.2 * np.arange(FRAMES)
    looks = looks_at(moved_px, [340.0 + 55 * k + 20 * (k % 3) for k in range(22)], seen=seen)
    links = link_boxes(looks, picture_width_px=WIDTH_PX)
    assert len(links.first) > 10
    assert _agree(links, [passage_of(own_px * moved_px)]) == agree
    assert not _agree(links, [])


def test_no_other_layer_is_tried_where_the_camera_stands_and_boxes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    moved_px = -1.2 * np.arange(FRAMES)
    scene = Scene(FRAMES, [(np.full(FRAMES, -1.2), slice(5, 9), 0.6)])
    looks = looks_at(moved_px, [340.0 + 55 * k + 20 * (k % 3) for k in range(22)], seen=0.3)
    series = scene.series()
    found = find_passages(series, [SHOT], CONFIG)
    assert 0 < at_rest(found[0], looks) < 0.85
    tried: list[Shot] = []
    monkeypatch.setattr("vision.run.carried.ground_passage", lambda _, shot: tried.append(shot) or [])
    assert carriers(found, series, [SHOT], looks, CONFIG, ())[0] == found[0]
    assert not tried
    swaying = [
        replace(passage, background_px=passage.background_px + 0.2 * WIDTH_PX * (passage.pts_s > 20)) for passage in found[0]
    ]
    carriers((swaying, []), series, [SHOT], looks, CONFIG, ())
    assert tried
