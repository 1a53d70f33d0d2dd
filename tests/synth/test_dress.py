from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.synth.dress import Light, dirtied, draped, harmonised, lab_statistics, resized, snowed, softened, varied
from vision.synth.exposure import exposed
from vision.synth.paint import Image


@pytest.fixture
def vehicle() -> Image:
    """A hull with a turret and a thin barrel, textured, standing on the last row."""
    rng = np.random.default_rng(1)
    picture = np.zeros((80, 200, 4), np.uint8)
    picture[30:, 10:190, 3] = 255
    picture[8:30, 70:120, 3] = 255
    picture[14:17, 120:198, 3] = 255
    picture[..., :3] = rng.integers(60, 120, (80, 200, 3))
    picture[..., :3][picture[..., 3] == 0] = (255, 0, 255)
    return picture


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "dress",
    [
        lambda p: harmonised(p, np.array([90, 128, 128], np.float32), 30.0, share=0.7),
        lambda p: varied(p, rng()),
        lambda p: dirtied(p, rng(), strength=0.8),
        lambda p: snowed(p, rng(), depth_px=4),
        lambda p: Light.of(p[..., :3], rng()).lit(p),
    ],
)
def test_dressing_leaves_the_outline(vehicle: Image, dress: Callable[[Image], Image]) -> None:
    before = vehicle.copy()
    dressed = dress(vehicle)
    assert np.array_equal(dressed[..., 3], vehicle[..., 3])
    assert not np.array_equal(dressed[..., :3], vehicle[..., :3])
    assert np.array_equal(vehicle, before), "the cut-out is used again"


@settings(deadline=None, max_examples=25)
@given(st.floats(45, 140), st.floats(0, 1))
def test_harmonising_moves_the_brightness_by_the_share_that_is_asked_for(level: float, share: float) -> None:
    picture = np.dstack(
        [np.random.default_rng(0).integers(70, 110, (40, 60, 3), dtype=np.uint8), np.full((40, 60), 255, np.uint8)]
    )
    own, deviation = lab_statistics(picture)
    moved = harmonised(picture, np.array([level, *own[1:]], np.float32), float(deviation[0]), share=share)
    wanted = own[0] + share * np.clip(level - own[0], -60, 60)
    assert lab_statistics(moved)[0][0] == pytest.approx(wanted, abs=2)


def test_colours_of_paint_move_by_a_few_units_only(vehicle: Image) -> None:
    solid = vehicle[..., 3] > 0
    own, _ = lab_statistics(vehicle, solid)
    moved, _ = lab_statistics(harmonised(vehicle, np.array([own[0], 200, 60], np.float32), 40, share=1.0), solid)
    assert abs(moved[1] - own[1]) <= 8.5
    assert abs(moved[2] - own[2]) <= 10.5


@pytest.mark.parametrize("size", [(50, 20), (400, 160)])
def test_resizing_and_softening_bring_nothing_in_from_outside_the_outline(vehicle: Image, size: tuple[int, int]) -> None:
    for picture in (resized(vehicle, *size), softened(vehicle, 1.5)):
        shown = picture[..., 3] > 30
        assert picture[..., 0][shown].max() < 150, "blue and red are 255 where nothing is"
        assert picture[..., 2][shown].max() < 150


@pytest.mark.parametrize("seed", range(8))
def test_canvas_covers_the_vehicle_and_little_more(vehicle: Image, seed: int) -> None:
    covered = draped(vehicle, rng(seed))
    pad = (covered.shape[1] - vehicle.shape[1]) // 2
    assert covered.shape[0] == vehicle.shape[0] + pad
    assert (covered[-1, :, 3] > 200).any(), "it stands on the last row, on its feet or its hem"
    middle = covered[pad:, pad:-pad]
    hull = middle[35:52, 15:185]
    assert (hull[..., 3] > 250).all()
    texture = np.abs(hull[..., :3].astype(int) - vehicle[35:52, 15:185, :3]).mean()
    assert texture > 10, "the hull itself is not seen"
    assert (middle[..., 3] > 128).sum() < 1.35 * (vehicle[..., 3] > 128).sum()


def test_canvas_over_nothing_is_nothing() -> None:
    assert not draped(np.zeros((20, 40, 4), np.uint8), rng())[..., 3].any()


def test_snow_lies_on_top(vehicle: Image) -> None:
    white = snowed(vehicle, rng(), depth_px=4)[..., :3].astype(int) - vehicle[..., :3]
    assert white[30:33, 20:60].mean() > 60, "on the hull's edge"
    assert abs(white[60:, 20:180].mean()) < 20, "not on its side"
    assert np.array_equal(snowed(vehicle, rng(), depth_px=4, amount=0), vehicle)


def test_a_dark_scene_darkens_what_was_painted_for_the_day() -> None:
    wagon = np.full((20, 40, 4), 128, np.uint8)
    levels = [lab_statistics(Light.of(np.full((30, 50, 3), grey, np.uint8), rng()).lit(wagon))[0][0] for grey in (20, 120, 230)]
    assert levels == sorted(levels)
    assert levels[0] < levels[2] - 30


@pytest.mark.parametrize("seed", range(12))
def test_an_exposure_moves_nothing_and_is_repeatable(seed: int) -> None:
    picture = np.full((90, 160, 3), 100, np.uint8)
    cv2.rectangle(picture, (50, 30), (110, 60), (230, 230, 230), -1)
    seen = exposed(picture, rng(seed))
    assert seen.shape == picture.shape
    assert np.array_equal(seen, exposed(picture, rng(seed)))
    grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY).astype(float)
    inside, around = grey[34:56, 54:106].mean(), grey[[20, 70], 40:120].mean()
    assert inside > around + 8
