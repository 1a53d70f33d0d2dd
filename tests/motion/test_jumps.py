import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.motion.clips import Film, film, joins_of, measure, passages_of, scene
from vision.motion.jumps import JoinKeeper, measure_jump
from vision.motion.passages import AMBIGUOUS_REGISTRATION, JUMP_CUT

Grey = NDArray[np.uint8]
ROWS = (60, 110)


def texture(rng: np.random.Generator, rows: int, columns: int, grain_px: float) -> NDArray[np.float32]:
    noise = cv2.GaussianBlur(rng.normal(size=(rows, columns)).astype(np.float32), (0, 0), grain_px)
    return np.asarray(noise / noise.std(), np.float32)


def pair(shift_px: int, seed: int = 1, *, view_px: int = 240) -> tuple[Grey, Grey]:
    """Two pictures of a train that has moved right by ``shift_px`` before a background that stays."""
    rng = np.random.default_rng(seed)
    ground = 120 + 30 * texture(rng, 160, view_px, 3)
    train = 110 + 40 * texture(rng, ROWS[1] - ROWS[0], 3 * view_px, 4)
    pictures = []
    for moved in (0, shift_px):
        picture = ground + rng.normal(0, 1.0, ground.shape)
        picture[slice(*ROWS)] = train[:, view_px - moved : 2 * view_px - moved]
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures[0], pictures[1]


@settings(max_examples=12, deadline=None)
@given(shift_px=st.integers(12, 190), way=st.sampled_from([-1, 1]), seed=st.integers(0, 1000), brighter=st.integers(0, 25))
def test_a_jump_is_measured_whatever_its_size_and_the_light(shift_px: int, way: int, seed: int, brighter: int) -> None:
    before, after = pair(way * shift_px, seed)
    after = np.clip(after.astype(int) + brighter, 0, 255).astype(np.uint8)
    jump = measure_jump(before, after, expected_px=1.5 * way, rows=ROWS)
    assert jump.shift_px == pytest.approx(way * shift_px, abs=1.0)
    assert not jump.plain


def test_a_hand_that_shakes_does_not_hide_it() -> None:
    before, after = pair(70)
    shaken = np.roll(after, (2, -3), axis=(0, 1))
    assert measure_jump(before, shaken, expected_px=2.0, rows=ROWS).shift_px == pytest.approx(70, abs=1.0)


@pytest.mark.parametrize("shift_px", [0, 1, 3])
def test_a_train_that_goes_on_has_not_jumped(shift_px: int) -> None:
    assert measure_jump(*pair(shift_px), expected_px=2.0, rows=ROWS).plain


def test_a_jump_beyond_the_view_is_none_that_can_be_measured() -> None:
    jump = measure_jump(*pair(239), expected_px=2.0, rows=ROWS)
    assert (jump.shift_px, jump.plain) == (None, False)


def test_other_rows_that_change_are_not_the_train() -> None:
    before, after = pair(239)
    assert measure_jump(before, after, expected_px=2.0, rows=(0, 50)).plain


def test_only_sudden_changes_are_kept_and_not_many() -> None:
    keeper = JoinKeeper()
    picture = np.zeros((4, 4), np.uint8)
    for frame in range(1000):
        sudden = frame % 5 == 4
        keeper.push(picture + np.uint8(frame % 200), frame * 0.25, (8.0 + frame / 1000) if sudden else 0.2)
    joins = keeper.joins()
    assert joins == ()  # the last second holds too few frames to know what is usual
    keeper = JoinKeeper()
    for frame in range(6000):
        sudden = frame % 40 == 39
        keeper.push(picture + np.uint8(frame % 200), frame * 0.04, (8.0 + frame / 1000) if sudden else 0.2)
    joins = keeper.joins()
    assert len(joins) == 100
    assert [join.index for join in joins] == [2000 + frame for frame in range(39, 4000, 40)]
    assert all(join.after[0, 0] == join.index % 200 and join.before[0, 0] == (join.index - 1) % 200 for join in joins)


@pytest.fixture(scope="module")
def steady() -> Film:
    return film(scene(1, speed_px=5.0))


@pytest.mark.parametrize("missing_views", [0.3, 0.7])
def test_a_train_goes_on_over_a_piece_that_is_missing(steady: Film, missing_views: float) -> None:
    truth = steady.truth.trains[0]
    width_px, scale_px = steady.spec.width_px, np.abs(np.diff(truth.displacement_px)).max()
    middle = len(steady.grey) // 2
    missing = int(missing_views * width_px / scale_px)
    kept = [*range(middle), *range(middle + missing, len(steady.grey))]
    grey, pts_s = [steady.grey[i] for i in kept], [n / 25 for n in range(len(kept))]
    (passage,) = passages_of(measure(grey, pts_s, steady.spec), joins_of(grey, pts_s))
    assert passage.flags == (JUMP_CUT,)
    assert AMBIGUOUS_REGISTRATION not in passage.flags
    true_px = truth.displacement_px[kept][np.searchsorted(pts_s, passage.pts_s)]
    assert np.ptp(passage.displacement_px - true_px) < 5.0
    assert passage.length_px == pytest.approx(truth.length_px, rel=0.06)


def test_a_whole_clip_has_no_jump(steady: Film) -> None:
    (passage,) = passages_of(steady.measured(), joins_of(steady.grey, steady.pts_s))
    assert passage.flags == ()
