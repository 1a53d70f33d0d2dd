"""When the detector looks, and at which parts of the frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vision.config import DetectConfig
from vision.run.looking import LookScheduler, RowChooser, Tile, Where, merge_tiles, tiles_for
from vision.types import Detections

WIDTH_PX = 1280
CONFIG = DetectConfig(looks_per_view=8.0, max_looks_s=30.0, still_interval_s=2.0)


def looks(
    speed_px_s: float | Callable[[float], float],
    *,
    duration_s: float,
    fps: float = 25.0,
    cuts: tuple[int, ...] = (),
    config: DetectConfig = CONFIG,
) -> list[float]:
    """Times of the looks at something that moves at a given speed."""
    scheduler = LookScheduler(config, width_px=WIDTH_PX)
    times = np.arange(round(duration_s * fps)) / fps
    speed = speed_px_s if callable(speed_px_s) else lambda _: speed_px_s
    return [float(t) for i, t in enumerate(times) if scheduler.due(float(t), speed(float(t)), cut=i in cuts)]


# ---- When -------------------------------------------------------------------------------------------------------------------


def test_the_first_frame_is_looked_at() -> None:
    assert looks(0.0, duration_s=0.04) == [0.0]


@given(speed_px_s=st.floats(40, 4000), views=st.floats(1, 20), fps=st.sampled_from([12.5, 25.0, 29.97, 60.0]))
def test_looks_follow_the_advance(speed_px_s: float, views: float, fps: float) -> None:
    """Eight looks a view, whatever the speed and the frame rate, but that a look waits for the next frame."""
    duration_s = views * WIDTH_PX / speed_px_s
    step_px = speed_px_s / fps
    assume(step_px < WIDTH_PX / 8 / 2)
    made = looks(speed_px_s, duration_s=duration_s, fps=fps)
    at_most = views * 8 + 1
    at_least = views * WIDTH_PX / (WIDTH_PX / 8 + step_px) - 1
    assert at_least <= len(made) <= at_most + 1


def test_a_train_costs_the_same_at_half_the_speed() -> None:
    counts = {speed: len(looks(speed, duration_s=12_800 / speed, fps=50.0)) for speed in (100.0, 200.0, 400.0, 800.0)}
    assert max(counts.values()) - min(counts.values()) <= 6, counts
    assert all(74 <= count <= 82 for count in counts.values()), counts


def test_looks_grow_with_the_length_of_the_train() -> None:
    short, long = (len(looks(300.0, duration_s=duration_s)) for duration_s in (20.0, 60.0))
    assert long == pytest.approx(3 * short, rel=0.05)


def test_a_standing_picture_costs_a_few_looks_and_the_pause_doubles_up_to_eight_times() -> None:
    made = looks(0.0, duration_s=120.0)
    assert np.diff(made).tolist() == pytest.approx([2.0, 4.0, 8.0, *[16.0] * 6])


def test_after_motion_the_pauses_begin_anew() -> None:
    made = looks(lambda t: 300.0 if 40 <= t < 45 else 0.0, duration_s=80.0)
    after = [t for t in made if t >= 45.0]
    before = [t for t in made if t < 45.0][-1]
    assert np.diff([before, *after]).tolist() == pytest.approx([2.0, 4.0, 8.0, 16.0], abs=0.1)


def test_a_creeping_train_is_looked_at_more_than_a_standing_one() -> None:
    """Slower than what counts as motion at once, but its advance adds up."""
    config = DetectConfig(still_interval_s=2.0, looks_per_view=64.0)
    standing, creeping = (looks(speed, duration_s=120.0, config=config) for speed in (0.0, 0.009 * WIDTH_PX))
    assert len(creeping) > 3 * len(standing)


def test_a_cut_is_looked_at_at_once_and_ends_the_long_pause() -> None:
    made = looks(0.0, duration_s=60.0, cuts=(1000,))
    assert 40.0 in made
    assert np.diff([t for t in made if t >= 40.0]).tolist() == pytest.approx([2.0, 4.0, 8.0])


@given(
    speeds=st.lists(st.floats(0, 1e5), min_size=2, max_size=60),
    max_looks_s=st.floats(0.5, 30),
    looks_per_view=st.floats(0.5, 64),
)
def test_never_more_looks_a_second_than_allowed(speeds: list[float], max_looks_s: float, looks_per_view: float) -> None:
    config = DetectConfig(max_looks_s=max_looks_s, looks_per_view=looks_per_view)
    made = looks(lambda t: speeds[int(t * 10) % len(speeds)], duration_s=len(speeds) / 10, fps=50.0, config=config)
    assert np.all(np.diff(made) >= 1 / max_looks_s - 1e-5)


@given(speed_px_s=st.floats(0, 3000), seed=st.integers(0, 100))
def test_a_variable_frame_rate_costs_no_more(speed_px_s: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scheduler = LookScheduler(CONFIG, width_px=WIDTH_PX)
    times = np.cumsum(rng.uniform(0.01, 0.2, 300))
    made = sum(scheduler.due(float(t), speed_px_s) for t in times)
    views = speed_px_s * float(times[-1] - times[0]) / WIDTH_PX
    pauses = (times[-1] - times[0]) / 2.0
    assert 1 <= made <= 8 * views + pauses + 2


# ---- Where ------------------------------------------------------------------------------------------------------------------

INPUT_HW = (384, 640)
sizes = st.tuples(st.integers(16, 4000), st.integers(16, 4000))


@pytest.mark.parametrize(
    ("width_px", "height_px", "input_hw", "count"),
    [
        (1920, 1080, INPUT_HW, 1),
        (1280, 720, INPUT_HW, 1),
        (640, 480, INPUT_HW, 1),  # 4:3 is not cut
        (720, 720, INPUT_HW, 2),
        (1080, 1920, INPUT_HW, 4),
        (1080, 1920, (640, 640), 3),
        (1000, 1000, (640, 640), 1),
        (3840, 400, INPUT_HW, 1),
    ],
)
def test_tiles_of_usual_frames(width_px: int, height_px: int, input_hw: tuple[int, int], count: int) -> None:
    tiles = tiles_for(width_px, height_px, input_hw)
    assert len(tiles) == count
    if count == 1:
        assert tiles == (Tile(0, height_px),)


@given(size=sizes, input_hw=st.sampled_from([(384, 640), (640, 640), (640, 384), (736, 1280)]))
def test_tiles_cover_the_frame_and_overlap(size: tuple[int, int], input_hw: tuple[int, int]) -> None:
    width_px, height_px = size
    tiles = tiles_for(width_px, height_px, input_hw)
    tile_px = width_px * input_hw[0] / input_hw[1]
    assert tiles[0].y0_px == 0
    assert tiles[-1].y1_px == height_px
    for tile in tiles:
        assert 0 <= tile.y0_px < tile.y1_px <= height_px
        # A frame no higher than the input loses nothing by being shown whole.
        assert tile.y1_px - tile.y0_px <= max(1.35 * tile_px, tile_px + 1, input_hw[0])
    for above, below in itertools.pairwise(tiles):
        assert above.y0_px < below.y0_px
        # A vehicle as high as a quarter of a tile lies whole in one of them, but for a rounded pixel.
        assert above.y1_px - below.y0_px >= 0.25 * tile_px - 1.01


@pytest.mark.parametrize(
    ("size", "rows_px", "tiles"),
    [
        ((1280, 720), (300, 650), ((283, 667),)),  # an input of 192 rows has room for 384 of the frame
        ((1280, 720), (0, 100), ((0, 128),)),
        ((1280, 720), (700, 720), ((592, 720),)),
        ((1280, 720), (10, 715), ((0, 720),)),
        ((1080, 1920), (900, 1300), ((884, 1316),)),  # one tile instead of four
        ((1080, 1920), (700, 1600), ((700, 1348), (952, 1600))),
        ((640, 480), (100, 400), ((90, 410),)),  # at full size: the whole frame would have to be shrunk
    ],
)
def test_tiles_of_some_rows(size: tuple[int, int], rows_px: tuple[float, float], tiles: tuple[tuple[int, int], ...]) -> None:
    assert tiles_for(*size, INPUT_HW, rows_px) == tuple(Tile(*tile) for tile in tiles)


@given(size=sizes, rows=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_tiles_cover_the_rows_asked_for(size: tuple[int, int], rows: tuple[float, float]) -> None:
    width_px, height_px = size
    first_px, last_px = sorted(share * height_px for share in rows)
    tiles = tiles_for(width_px, height_px, INPUT_HW, (first_px, last_px))
    assert 0 <= tiles[0].y0_px <= first_px + 1
    assert last_px - 1 <= tiles[-1].y1_px <= height_px
    assert all(tile.y1_px > tile.y0_px for tile in tiles)
    assert all(below.y0_px < above.y1_px for above, below in itertools.pairwise(tiles))
    assert len(tiles) <= len(tiles_for(width_px, height_px, INPUT_HW))


def chooser(rows: Literal["moving", "all"] = "moving") -> RowChooser:
    return RowChooser(width_px=1280, height_px=720, input_hw=INPUT_HW, rows=rows)


WHOLE = (Tile(0, 720),)
NO_BOXES = np.empty((0, 4), np.float32)


def test_the_first_look_of_a_shot_and_every_sixth_are_whole() -> None:
    choose = chooser()
    looks = [choose.tiles(Where((300.0, 500.0), shot)) == WHOLE for shot in [0] * 14 + [1] * 3]
    assert looks == [i in (0, 6, 12, 14) for i in range(17)]


@pytest.mark.parametrize(("rows", "known"), [("all", True), ("moving", False)])
def test_whole_frames_where_asked_for_or_nothing_is_known(rows: Literal["moving", "all"], known: bool) -> None:
    choose = chooser(rows)
    assert all(choose.tiles(Where((300.0, 500.0) if known else None, 0)) == WHOLE for _ in range(9))


@pytest.mark.parametrize(("rows_px", "part"), [((200.0, 520.0), True), ((150.0, 640.0), True), ((100.0, 640.0), False)])
def test_rows_are_left_out_where_it_is_worth_it(rows_px: tuple[float, float], part: bool) -> None:
    choose = chooser()
    choose.tiles(Where(rows_px, 0))
    assert (choose.tiles(Where(rows_px, 0)) != WHOLE) == part


def test_what_a_look_finds_widens_the_rows_until_the_shot_ends() -> None:
    choose = chooser()
    choose.tiles(Where((400.0, 500.0), 0))
    narrow = choose.tiles(Where((400.0, 500.0), 0))
    choose.found(Where((400.0, 500.0), 0), np.array([[0, 200, 90, 260]], np.float32))
    (wide,) = choose.tiles(Where((400.0, 500.0), 0))
    assert wide.y0_px <= 200 - 20
    assert wide.y1_px >= 500
    choose.found(Where((400.0, 500.0), 0), NO_BOXES)
    assert choose.tiles(Where((400.0, 500.0), 0)) == (wide,)
    choose.tiles(Where((400.0, 500.0), 1))
    choose.found(Where(None, 0), np.array([[0, 0, 90, 700]], np.float32))  # a late answer of the shot before
    assert choose.tiles(Where((400.0, 500.0), 1)) == narrow


def seen(tile: Tile, boxes: np.ndarray) -> Detections:
    """What a perfect detector finds on a tile: each box cut to it, if something of it is left."""
    inside = boxes - np.array([0, tile.y0_px, 0, tile.y0_px])
    inside[:, [1, 3]] = np.clip(inside[:, [1, 3]], 0, tile.y1_px - tile.y0_px)
    kept = inside[:, 3] - inside[:, 1] >= 1
    score = 0.5 + 0.01 * np.arange(len(boxes))
    return Detections.of(inside[kept], score[kept], np.arange(len(boxes))[kept])


@given(
    width_px=st.integers(200, 1080),
    ratio=st.floats(1.0, 2.5),
    tops=st.lists(st.floats(0, 1), min_size=0, max_size=6),
    height_share=st.floats(0.05, 0.24),
)
def test_an_object_on_a_border_is_counted_once(width_px: int, ratio: float, tops: list[float], height_share: float) -> None:
    """Objects side by side, at any height: each comes out once, and whole."""
    height_px = round(width_px * ratio)
    tiles = tiles_for(width_px, height_px, INPUT_HW)
    high_px = height_share * width_px * INPUT_HW[0] / INPUT_HW[1] - 2
    assume(high_px >= 4)
    pitch_px = width_px / max(1, len(tops))
    boxes = np.array(
        [
            [i * pitch_px, top * (height_px - high_px), (i + 0.9) * pitch_px, top * (height_px - high_px) + high_px]
            for i, top in enumerate(tops)
        ]
    ).reshape(-1, 4)
    merged = merge_tiles(tiles, [seen(tile, boxes) for tile in tiles])
    assert sorted(merged.class_id.tolist()) == list(range(len(tops)))


@pytest.mark.parametrize(
    ("upper", "lower", "kept"),
    [
        ([10, 80, 50, 97], [10, 5, 50, 22], [10, 80, 50, 97]),  # both see it whole: the higher score
        ([10, 80, 50, 100], [10, 5, 50, 45], [10, 80, 50, 120]),  # the upper one has only its top, though it is sure of it
        ([10, 60, 50, 95], [10, 0, 50, 20], [10, 60, 50, 95]),  # the lower one has only its wheels
    ],
)
def test_of_an_object_seen_twice_the_better_view_stays(upper: list[float], lower: list[float], kept: list[float]) -> None:
    tiles = (Tile(0, 100), Tile(75, 175))
    merged = merge_tiles(tiles, [Detections.of([upper], [0.9], [1]), Detections.of([lower], [0.4], [0])])
    assert merged.xyxy_px.tolist() == [kept]


def test_neighbours_stay_apart() -> None:
    tiles = (Tile(0, 100), Tile(75, 175))
    above, below = (
        Detections.of([[10, 40, 50, 78]], [0.9], [0]),
        Detections.of([[10, 4, 50, 45], [60, 4, 90, 45]], [0.8, 0.7], [0, 0]),
    )
    assert len(merge_tiles(tiles, [above, below])) == 3


def test_one_tile_changes_nothing_not_even_two_boxes_on_one_object() -> None:
    found = Detections.of([[0, 0, 10, 10], [1, 1, 9, 9]], [0.3, 0.8], [2, 1])
    merged = merge_tiles((Tile(0, 50),), [found])
    np.testing.assert_array_equal(merged.xyxy_px, found.xyxy_px)
    np.testing.assert_array_equal(merged.score, found.score)


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_found_stays_nothing(count: int) -> None:
    merged = merge_tiles(tuple(Tile(i * 10, i * 10 + 15) for i in range(count)), [Detections.empty()] * count)
    assert len(merged) == 0
    assert merged.xyxy_px.shape == (0, 4)
