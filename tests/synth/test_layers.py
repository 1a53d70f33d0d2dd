import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.synth.layers import Sheet, aslant, box_of, compose
from vision.synth.paint import Image

WIDTH, HEIGHT = 60, 40


def block(width: int, height: int, colour: int = 200, alpha: int = 255) -> Image:
    picture = np.full((height, width, 4), colour, np.uint8)
    picture[..., 3] = alpha
    return picture


def ground() -> Image:
    return np.full((HEIGHT, WIDTH, 3), 50, np.uint8)


places = st.tuples(st.integers(-10, WIDTH), st.integers(-10, HEIGHT), st.integers(6, 30), st.integers(6, 25), st.booleans())


@settings(deadline=None, max_examples=60)
@given(st.lists(places, min_size=1, max_size=6), st.integers(0, 2))
def test_boxes_are_those_of_the_pixels_that_show_the_vehicle(rows: list[tuple[int, int, int, int, bool]], in_front: int) -> None:
    """Against a map of who was painted last, made without the code under test; every vehicle has a colour of its own."""
    sheets = [
        Sheet(block(w, h, colour=100 + 20 * i), x, y, owner=i if vehicle else None, class_name="tank" if vehicle else None)
        for i, (x, y, w, h, vehicle) in enumerate(rows)
    ]
    for pole in range(in_front):
        sheets.append(Sheet(block(5, HEIGHT, colour=10), 20 * pole + 7, 0, moves=False))
    picture, seen = compose(ground(), sheets, least_px=1)
    shown = {s.owner for s in seen}
    for vehicle in seen:
        rows_shown, columns_shown = np.nonzero((picture == 100 + 20 * vehicle.owner).all(axis=2))
        assert vehicle.xyxy_px == (columns_shown.min(), rows_shown.min(), columns_shown.max() + 1, rows_shown.max() + 1)
        area = sheets[vehicle.owner].picture.shape[0] * sheets[vehicle.owner].picture.shape[1]
        assert vehicle.share == pytest.approx(len(rows_shown) / area)
        assert vehicle.share >= 0.3
    for i, (_, _, _, _, is_vehicle) in enumerate(rows):
        if is_vehicle and i not in shown:
            assert not (picture == 100 + 20 * i).all(axis=2).any(), "what has no label is not in the picture"


def test_a_vehicle_that_is_mostly_hidden_goes_with_its_shadow_and_uncovers_another() -> None:
    sheets = [
        Sheet(block(20, 10, 200), 10, 20, owner=0, class_name="bmp"),
        Sheet(block(20, 4, 0), 10, 28, owner=1),
        Sheet(block(20, 10, 150), 10, 20, owner=1, class_name="tank"),
        Sheet(block(20, 8, 90), 10, 20),
    ]
    picture, seen = compose(ground(), sheets)
    assert seen == [], "the tank shows 20 %, and the BMP behind it as much"
    assert set(np.unique(picture)) == {50, 90}
    picture, seen = compose(ground(), [*sheets[:3], Sheet(block(20, 6, 90), 10, 14)])
    assert [(s.class_name, s.xyxy_px) for s in seen] == [("tank", (10, 20, 30, 30))]


@pytest.mark.parametrize(("cover", "left"), [(6, True), (7, True), (8, False)])
def test_seventy_per_cent_is_the_limit(cover: int, left: bool) -> None:
    sheets = [Sheet(block(20, 10), 10, 20, owner=0, class_name="btr"), Sheet(block(20, cover, 9), 10, 20)]
    _, seen = compose(ground(), sheets, least_px=1)
    assert bool(seen) is left


def test_half_a_vehicle_at_the_edge_keeps_the_box_of_its_half() -> None:
    _, seen = compose(ground(), [Sheet(block(20, 10), -10, 20, owner=3, class_name="btr")])
    assert [s.xyxy_px for s in seen] == [(0, 20, 10, 30)]
    assert seen[0].share == pytest.approx(0.5)


def test_the_mirror_image_is_composed_of_mirrored_sheets() -> None:
    rng = np.random.default_rng(4)
    back = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    sheets = [
        Sheet(rng.integers(0, 255, (12, 20, 4), dtype=np.uint8), 5, 10, owner=0, class_name="tank"),
        Sheet(block(8, 20), 22, 6),
        Sheet(block(4, HEIGHT, 10), 30, 0, moves=False),
        Sheet(block(18, 9, 120), 40, 25, owner=1, class_name="uaz"),
    ]
    turned = [
        Sheet(s.picture[:, ::-1], WIDTH - s.x_px - s.picture.shape[1], s.y_px, s.owner, s.class_name, s.moves) for s in sheets
    ]
    for smear_px in (1, 5):
        picture, seen = compose(back, sheets, smear_px=smear_px)
        mirrored, seen_there = compose(np.ascontiguousarray(back[:, ::-1]), turned, smear_px=smear_px)
        assert np.abs(mirrored[:, ::-1].astype(int) - picture).max() <= 1
        assert [s.owner for s in seen] == [s.owner for s in seen_there]
        for a, b in zip(seen, seen_there, strict=True):
            assert b.xyxy_px == (WIDTH - a.xyxy_px[2], a.xyxy_px[1], WIDTH - a.xyxy_px[0], a.xyxy_px[3])


@pytest.mark.parametrize("smear_px", [3, 7])
def test_smear_moves_a_box_by_less_than_its_half_length_and_leaves_what_stands_still(smear_px: int) -> None:
    sheets = [Sheet(block(20, 10), 20, 20, owner=0, class_name="tank"), Sheet(block(3, HEIGHT, 0), 50, 0, moves=False)]
    picture, seen = compose(ground(), sheets, smear_px=smear_px)
    x0, y0, x1, y1 = seen[0].xyxy_px
    assert (y0, y1) == (20, 30)
    assert abs(x0 - 20) <= smear_px // 2
    assert abs(x1 - 40) <= smear_px // 2
    assert (picture[:, 50:53] == 0).all()
    assert (picture[:, 53] == 50).all()


@pytest.mark.parametrize("turn", [0.3, -0.3])
def test_perspective_magnifies_one_side_and_fills_the_picture(turn: float) -> None:
    back = np.full((HEIGHT, WIDTH, 3), 50, np.uint8)
    sheets = [
        Sheet(block(8, 10), 4, 15, owner=0, class_name="tank"),
        Sheet(block(8, 10), WIDTH - 12, 15, owner=1, class_name="tank"),
    ]
    picture, seen = compose(back, sheets, matrix=aslant(WIDTH, HEIGHT, turn=turn))
    assert picture.min() >= 50, "no black corners"
    left, right = (s.xyxy_px[3] - s.xyxy_px[1] for s in seen)
    assert (left > right) is (turn > 0)
    for vehicle in seen:
        assert vehicle.xyxy_px == box_of(vehicle.mask)
        bright = np.nonzero(
            (picture[..., 0] > 110)[:, : WIDTH // 2] if vehicle.owner == 0 else (picture[..., 0] > 110)[:, WIDTH // 2 :]
        )
        assert vehicle.xyxy_px[1] == bright[0].min()
        assert vehicle.xyxy_px[3] == bright[0].max() + 1


def test_what_perspective_cuts_off_counts_as_hidden() -> None:
    sheets = [Sheet(block(10, 6), 0, 0, owner=0, class_name="tank")]
    assert compose(ground(), sheets)[1]
    assert not compose(ground(), sheets, matrix=aslant(WIDTH, HEIGHT, turn=0.5))[1]


def test_the_same_sheets_give_the_same_picture_and_are_not_changed() -> None:
    sheet = Sheet(block(20, 10, alpha=128), 10, 20, owner=0, class_name="tank")
    back = ground()
    first, second = compose(back, [sheet], smear_px=3)[0], compose(back, [sheet], smear_px=3)[0]
    assert np.array_equal(first, second)
    assert (back == 50).all()
    assert (sheet.picture[..., 3] == 128).all()
