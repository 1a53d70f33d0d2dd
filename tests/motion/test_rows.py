"""At which rows anything moves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.motion.clips import film, scene
from tests.support.clips import small_scene
from vision.config import Config
from vision.motion.bands import BandPeaks
from vision.motion.rows import MovingRows
from vision.run.watching import Watch
from vision.synth.clips import small_grey
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer

ROWS, BANDS = 180, 12


def peaks(*moving: int, response: float = 0.5, shift_px: float = 3.0) -> BandPeaks:
    shift, strength = np.zeros((BANDS, 2), np.float32), np.zeros((BANDS, 2), np.float32)
    shift[list(moving), 0], strength[list(moving), 0] = shift_px, response
    return BandPeaks(shift, strength, 0)


def run(changing: slice, moving: BandPeaks, *, frames: int = 20, grey: float = 30.0, noise: float = 0.0) -> MovingRows:
    """Pictures ten a second in which some rows change."""
    rng, rows = np.random.default_rng(3), MovingRows()
    for i in range(frames):
        luma = 90.0 + noise * rng.standard_normal((ROWS, 320))
        luma[changing] += grey * rng.random(luma[changing].shape)
        rows.push(luma.astype(np.uint8), 0.1 * i, moving, cut=False)
    return rows


def test_nothing_is_known_at_first_and_while_nothing_moves() -> None:
    rows = MovingRows()
    assert rows.span() is None
    assert run(slice(0, 0), peaks()).span() is None
    # A change that shifts no band: rain, an exposure that breathes.
    assert run(slice(40, 90), peaks()).span() is None
    # Bands that say they moved, and no row that did.
    assert run(slice(0, 0), peaks(4, 5)).span() is None


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize(("first", "last"), [(60, 110), (70, 80), (0, 180)])
def test_rows_that_change_in_bands_that_shift(first: int, last: int, noise: float) -> None:
    edges = np.linspace(0, ROWS, BANDS + 2)
    bands = [b for b in range(BANDS) if edges[b] < last and edges[b + 2] > first]
    span = run(slice(first, last), peaks(*bands), noise=noise).span()
    assert span is not None
    # A twentieth of the height on either side.
    assert span[0] == pytest.approx(max(0.0, first / ROWS - 0.05), abs=0.012)
    assert span[1] == pytest.approx(min(1.0, last / ROWS + 0.05), abs=0.012)


def test_a_car_on_the_road_is_left_out_where_no_band_follows_it() -> None:
    rows = MovingRows()
    rng = np.random.default_rng(4)
    for i in range(20):
        luma = np.full((ROWS, 320), 90, np.uint8)
        luma[60:100] = rng.integers(60, 120, (40, 320))
        luma[160:170] = rng.integers(60, 120, (10, 320))
        rows.push(luma, 0.1 * i, peaks(4, 5), cut=False)
    span = rows.span()
    assert span is not None
    assert span[1] < 0.65


def test_what_moved_is_remembered_for_half_a_minute_and_not_over_a_cut() -> None:
    rows = run(slice(20, 60), peaks(1, 2, 3))
    quiet = np.full((ROWS, 320), 90, np.uint8)
    for at_s in (5.0, 20.0, 31.0):
        rows.push(quiet, at_s, peaks(), cut=False)
        assert rows.span() is not None
    rows.push(quiet, 33.0, peaks(), cut=False)
    assert rows.span() is None
    rows = run(slice(20, 60), peaks(1, 2, 3))
    rows.push(quiet, 3.0, peaks(), cut=True)
    assert rows.span() is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_rows_of_a_passing_train_hold_its_vehicles(seed: int) -> None:
    spec = small_scene(seed)
    renderer, config = Renderer(spec, DrawnAssets()), Config()
    watch = Watch(config, width_px=spec.width_px, height_px=spec.height_px)
    truth, found, whole = renderer.truth(), 0, 0
    frames = list(renderer.frames())
    for index, (pts_s, picture) in enumerate(frames):
        watch.push(small_grey(picture, config.motion.width_px), pts_s)
        rows_px = watch.where.rows_px
        for box in truth.boxes(index).xyxy_px if rows_px is not None else ():
            whole += 1
            found += rows_px[0] <= box[1] and box[3] <= rows_px[1]
    assert whole > 50
    assert found >= 0.98 * whole
    assert rows_px is not None
    assert rows_px[1] - rows_px[0] < 0.75 * spec.height_px


def test_when_the_camera_moves_all_rows_do() -> None:
    shaken = film(scene(5, condition="pan"))
    watch = Watch(Config(), width_px=320, height_px=180)
    for grey, pts_s in zip(shaken.grey, shaken.pts_s, strict=True):
        watch.push(grey, pts_s)
    rows_px = watch.where.rows_px
    assert rows_px is None or rows_px[1] - rows_px[0] > 0.8 * 180
