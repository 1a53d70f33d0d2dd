import itertools

import numpy as np
import pytest

from vision.synth.drawn import DECK_M
from vision.synth.dress import Light
from vision.synth.layers import Sheet, compose
from vision.synth.paint import Image
from vision.synth.still import Loading, View, cargo, front_sheets, side_boards, stakes, train_sheets

VIEW = View(640, 360, 20.0, 280.0)


class Blocks:
    """Vehicles of one colour, 7 m x 2.5 m."""

    def sprite(self, rng: np.random.Generator, class_name: str, *, px_per_m: float, light: Light) -> Image | None:
        picture = np.full((round(2.5 * px_per_m), round(7 * px_per_m), 4), 255, np.uint8)
        picture[..., :3] = (0, 0, 250)
        return picture


def light(snow: float = 0.0) -> Light:
    return Light.of(np.full((30, 50, 3), 120, np.uint8), np.random.default_rng(0), snow=snow)


def sheets(seed: int, odds: dict[str, float], *, boards_m: float = 0.0, stakes_m: float = 0.0, view: View = VIEW) -> list[Sheet]:
    loading = Loading(odds, 1.0 if odds else 0.0, 0.35, boards_m, stakes_m)
    return train_sheets(np.random.default_rng(seed), view, light(), Blocks(), loading, [])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("px_per_m", [8.0, 20.0, 60.0])
def test_vehicles_stand_on_the_deck_in_a_row_and_touch_nobody(seed: int, px_per_m: float) -> None:
    view = View(640, 360, px_per_m, 300.0)
    vehicles = [s for s in sheets(seed, {"btr": 1.0, "tank": 1.0}, view=view) if s.class_name]
    assert [s.owner for s in vehicles] == list(range(len(vehicles)))
    for vehicle in vehicles:
        feet = vehicle.y_px + vehicle.picture.shape[0]
        assert feet == pytest.approx(300 - DECK_M * px_per_m, abs=0.05 * px_per_m + 1.5)
        assert vehicle.picture.shape[0] == pytest.approx(2.5 * px_per_m, rel=0.27)
    for left, right in itertools.pairwise(vehicles):
        assert left.x_px + left.picture.shape[1] <= right.x_px


@pytest.mark.parametrize("seed", range(6))
def test_a_train_that_carries_nothing_shows_wagons_from_edge_to_edge_and_no_vehicle(seed: int) -> None:
    found = sheets(seed, {})
    assert all(s.class_name is None and s.owner is None for s in found)
    picture, seen = compose(np.full((360, 640, 3), 255, np.uint8), found)
    assert seen == []
    frame = (picture[250:275] < 200).any(axis=(0, 2))
    assert frame.mean() > 0.97, "there are couplers between the wagons"


def test_only_what_has_odds_is_on_the_train() -> None:
    names = {s.class_name for seed in range(8) for s in sheets(seed, {"tank": 1.0, "sam": 2.0, "uaz": 0.0}) if s.class_name}
    assert names == {"tank", "sam"}


def test_boards_hide_the_lower_part_and_stakes_leave_boxes_alone() -> None:
    back = np.full((360, 640, 3), 255, np.uint8)
    free = compose(back, sheets(3, {"btr": 1.0}))[1]
    staked = compose(back, sheets(3, {"btr": 1.0}, stakes_m=2.0))[1]
    boarded = compose(back, sheets(3, {"btr": 1.0}, boards_m=1.0))[1]
    assert free
    assert all(s.xyxy_px[3] - s.xyxy_px[1] >= 45 for s in free)
    assert all(s.share < 0.99 for s in staked)
    assert all(s.xyxy_px[3] - s.xyxy_px[1] == pytest.approx(30, abs=4) for s in boarded), "2.5 m less 1 m, 20 px each"


def test_the_same_dice_build_the_same_train() -> None:
    first, second = sheets(5, {"btr": 1.0, "mtlb": 1.0}), sheets(5, {"btr": 1.0, "mtlb": 1.0})
    assert [(s.x_px, s.y_px, s.class_name) for s in first] == [(s.x_px, s.y_px, s.class_name) for s in second]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    assert [s.x_px for s in first] != [s.x_px for s in sheets(6, {"btr": 1.0, "mtlb": 1.0})]


@pytest.mark.parametrize("px_per_m", [6.0, 70.0])
def test_parts_are_drawn_at_any_scale(px_per_m: float) -> None:
    rng = np.random.default_rng(2)
    boards = side_boards(rng, px_per_m=px_per_m, length_m=13, tall_m=0.5, colour=(60, 70, 80))
    assert (boards[..., 3] > 200).mean() > 0.95
    row = stakes(rng, px_per_m=px_per_m, length_m=13, tall_m=2)
    assert 0.005 < (row[..., 3] > 100).mean() < 0.25
    textures = [np.full((50, 70, 3), 200, np.uint8)]
    for _ in range(12):
        load = cargo(rng, textures, px_per_m=px_per_m)
        assert (load[..., 3] > 128).mean() > 0.2
    for sheet in (s for _ in range(20) for s in front_sheets(rng, VIEW, light())):
        assert sheet.moves is False
        assert sheet.owner is None
