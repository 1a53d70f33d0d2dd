from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.motion.clips import measure, passages_of, scene
from vision.motion.strip import Strip, _median, build_strip
from vision.synth.benchmark import small_grey
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer, SceneTruth
from vision.synth.scene import Pole
from vision.types import Passage

PINK = (255, 0, 255)
EVERY = 8


@dataclass(frozen=True)
class Look:
    pts_s: float
    shown: NDArray[np.uint8]

    def picture(self) -> NDArray[np.uint8]:
        return self.shown


@dataclass(frozen=True)
class Pulled:
    """A strip with what it was made of; ``offset_px`` leads from the truth's train coordinate to the passage's."""

    strip: Strip
    passage: Passage
    looks: list[Look]
    truth: SceneTruth
    offset_px: float


def pulled(poles: tuple[Pole, ...]) -> Pulled:
    spec = scene(3, flatcars=3, speed_px=5.0)
    light = replace(spec.light, contrast=1.0, brightness=0.0, noise=1.0, blur_px=0.0, exposure_s=0.0)
    spec = replace(spec, light=light, poles=poles)
    names = {load.class_name for wagon in spec.trains[0].wagons for load in wagon.loads}
    renderer = Renderer(spec, DrawnAssets(flat=dict.fromkeys(names, PINK)))
    pictures = [picture for _, picture in renderer.frames()]
    times = renderer.pts_s.tolist()
    (passage,) = passages_of(measure([small_grey(p, 320) for p in pictures], times, spec))
    looks = [Look(t, p) for t, p in list(zip(times, pictures, strict=True))[::EVERY]]
    strip = build_strip(passage, looks, frame_width_px=spec.width_px)
    assert strip is not None
    truth = renderer.truth()
    true = np.interp(passage.pts_s, truth.pts_s, truth.trains[0].displacement_px)
    return Pulled(strip, passage, looks, truth, float(np.median(true - passage.displacement_px)))


@pytest.fixture(scope="module")
def clear() -> Pulled:
    return pulled(())


def pink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.inRange(picture, (190, 0, 190), (255, 70, 255)), np.uint8)


def test_vehicles_are_where_the_coordinate_says(clear: Pulled) -> None:
    mask = pink(clear.strip.picture)
    vehicles = clear.truth.trains[0].vehicles
    assert vehicles
    for vehicle in vehicles:
        left, right = (round(clear.strip.column_of(s + clear.offset_px)) for s in vehicle.s_px)
        top, bottom = (round(y - clear.strip.top_px) for y in vehicle.y_px)
        inside = mask[max(top, 0) + 2 : bottom - 2, max(left, 0) + 4 : right - 4]
        assert (inside > 0).mean() > 0.9
        beside = mask[max(top, 0) + 2 : bottom - 2, [max(left - 5, 0), min(right + 5, mask.shape[1] - 1)]]
        # Two on one wagon may stand closer than that on one side, not on both.
        assert (beside > 0).mean(axis=0).min() < 0.5


def test_the_strip_is_as_long_as_what_passed(clear: Pulled) -> None:
    train_px = clear.truth.trains[0].length_px
    covered_px = float(np.ptp(clear.passage.displacement_px)) + 320
    assert 0.9 * train_px < clear.strip.picture.shape[1] <= covered_px + 1
    assert clear.strip.column_of(clear.strip.origin_px) == 0


def test_poles_are_taken_out(clear: Pulled) -> None:
    behind = pulled((Pole(110.0, 9.0), Pole(235.0, 7.0)))
    # Vehicles cover the same pixels of the strip, whether a pole stood before them or not.
    with_poles, without = int((pink(behind.strip.picture) > 0).sum()), int((pink(clear.strip.picture) > 0).sum())
    assert with_poles == pytest.approx(without, rel=0.04)
    # While in the single looks the poles hide some of them.
    hidden = sum(int((pink(a.shown) > 0).sum()) for a in behind.looks) / sum(int((pink(a.shown) > 0).sum()) for a in clear.looks)
    assert hidden < 0.97


def test_no_look_no_strip(clear: Pulled) -> None:
    assert build_strip(clear.passage, [], frame_width_px=320) is None
    before = Look(clear.passage.start_s - 1.0, clear.looks[0].shown)
    assert build_strip(clear.passage, [before], frame_width_px=320) is None


@given(count=st.sampled_from([1, 3, 5]), seed=st.integers(0, 999))
def test_the_median_is_the_median(count: int, seed: int) -> None:
    pictures = list(np.random.default_rng(seed).integers(0, 256, (count, 4, 5, 3), dtype=np.uint8))
    np.testing.assert_array_equal(_median(pictures), np.median(pictures, axis=0))
