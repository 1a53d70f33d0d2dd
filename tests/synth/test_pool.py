from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.errors import InputError
from vision.synth.cutouts import read_table
from vision.synth.paint import Image
from vision.synth.pool import Quality, Source, cut_vehicle, write_pool

BOX = (60.0, 60.0, 260.0, 150.0)


def photograph(seed: int = 0, *, vehicle: bool = True) -> tuple[Image, np.ndarray]:
    """A textured meadow with a dark hull and cab, and where they are."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(160, 25, (220, 320, 3)), (0, 0), 1.2)
    mask = np.zeros((220, 320), np.uint8)
    if vehicle:
        cv2.fillPoly(mask, [np.array([[60, 150], [75, 100], [150, 95], [160, 60], [230, 60], [260, 150]])], 1)
        picture[mask > 0] = rng.normal((60, 80, 70), 8, (int(mask.sum()), 3))
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def test_a_vehicle_is_cut_along_its_outline() -> None:
    picture, mask = photograph()
    cut = cut_vehicle(picture, BOX)
    assert cut is not None
    assert cut.quality.good("truck")
    height, width = cut.picture.shape[:2]
    assert (width, height) == (pytest.approx(200, abs=5), pytest.approx(90, abs=5))
    truth = cv2.resize(mask[60:150, 60:260], (width, height), interpolation=cv2.INTER_NEAREST) > 0
    solid = cut.picture[..., 3] > 128
    assert (solid & truth).sum() / (solid | truth).sum() > 0.93
    edge = (cut.picture[..., 3] > 60) & (cut.picture[..., 3] < 240)
    assert np.quantile(cut.picture[..., :3][edge], 0.95) < 110, "hardly anything of the meadow (160) is at the edge"


def test_where_nothing_stands_out_nothing_is_taken() -> None:
    cut = cut_vehicle(photograph(vehicle=False)[0], BOX)
    assert cut is None or not cut.quality.good("truck")


@pytest.mark.parametrize("box", [(10.0, 10.0, 14.0, 60.0), (400.0, 10.0, 500.0, 60.0), (0.0, 0.0, 5.0, 5.0)])
def test_boxes_without_a_picture_give_nothing(box: tuple[float, float, float, float]) -> None:
    assert cut_vehicle(photograph()[0], box) is None


def test_a_result_is_never_larger_than_its_photograph_or_the_limit() -> None:
    picture, _ = photograph()
    cut = cut_vehicle(picture, BOX, most_px=120)
    assert cut is not None
    assert cut.picture.shape[1] <= 120


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"agreement": 0.75}, False),
        ({"fill": 0.95}, False),
        ({"fill": 0.3}, False),
        ({"wide": 0.7}, False),
        ({"tall": 0.5}, False),
        ({"rim": 1.6}, False),
        ({"solid": 0.7}, False),
    ],
)
def test_each_measure_has_its_bound(changed: dict[str, float], good: bool) -> None:
    usual = {"agreement": 0.9, "fill": 0.62, "wide": 0.95, "tall": 0.95, "rim": 1.0, "solid": 0.9}
    quality = Quality(**{**usual, **changed})
    assert quality.good("btr") is good
    assert not quality.good("towed_gun"), "a gun fills less of its box"
    if changed == {"agreement": 0.75}:
        assert quality.good("btr", strict=False)


def source(path: Path, name: str, index: int = 0) -> Source:
    return Source(path, BOX, name, "mine", path.name, index, "")


def test_a_pool_is_a_folder_of_cutouts(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), photograph(i)[0])
    cv2.imwrite(str(tmp_path / "nothing.png"), photograph(vehicle=False)[0])
    vehicles = [source(tmp_path / f"{i}.png", name) for i in range(3) for name in ("btr", "truck")]
    vehicles += [source(tmp_path / "nothing.png", "sam"), source(tmp_path / "gone.png", "uaz")]
    done = write_pool(vehicles, tmp_path / "pool", most_per_class=2)
    assert done == {"btr": 2, "truck": 2}
    rows = read_table(tmp_path / "pool")
    assert [(r.class_name, r.source, r.source_file, r.licence) for r in rows[:2]] == [
        ("btr", "mine", "0.png", "not stated"),
        ("truck", "mine", "0.png", "not stated"),
    ]
    (tmp_path / "pool" / rows[0].file).unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "pool")
    assert read_table(tmp_path / "pool", weeded=True) == rows[1:]


def test_a_pool_without_vehicles_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "nothing.png"), photograph(vehicle=False)[0])
    with pytest.raises(InputError, match="no vehicle could be cut out"):
        write_pool([source(tmp_path / "nothing.png", "sam")], tmp_path / "pool")
    assert not (tmp_path / "pool" / "cutouts.tsv").exists()
