import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.errors import InputError
from vision.synth.cutouts import CutoutAssets, cut_out, read_table, with_lengths
from vision.synth.drawn import DrawnAssets
from vision.synth.pool import cut_box
from vision.synth.render import Renderer
from vision.synth.sample import outlines, sample_spec
from vision.synth.scene import VEHICLE_LENGTH_M, random_scene

SAMPLES = Path(__file__).parents[2] / "samples"
HEADER = "file\tclass\tfacing\theight_m\tsource\tsource_file\tbox_index\tlicence\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One red and green vehicle that faces right: its front half is green."""
    picture = np.zeros((40, 100, 4), np.uint8)
    picture[5:, 10:90] = (0, 0, 200, 255)
    picture[5:, 50:90] = (0, 200, 0, 255)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "cutouts.tsv").write_text(HEADER + "a.png\ttank\tright\t2.5\tset\tx.jpg\t0\tCC BY 4.0\n")
    return tmp_path


def test_a_cut_out_is_turned_cropped_and_scaled(folder: Path) -> None:
    assets = CutoutAssets(folder, harmonise=0.0)
    sprite = assets.sprite("tank", length_px=40, appearance=7)
    assert assets.class_names == ("tank",)
    assert sprite.shape == (18, 40, 4)
    assert sprite[9, 5, :3].tolist() == pytest.approx([0, 200, 0], abs=2), "the front comes first"
    assert sprite[9, 35, :3].tolist() == pytest.approx([0, 0, 200], abs=2)
    assert assets.length_m("tank", 0) == pytest.approx(2.5 * 80 / 35)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("", "names no cut-outs"),
        ("a.png\ttank\tup\t2.5\tset\tx.jpg\t0\tCC\n", "facing"),
        ("a.png\ttank\tleft\ttall\tset\tx.jpg\t0\tCC\n", "could not convert"),
        ("a.png\ttank\tleft\t-1\tset\tx.jpg\t0\tCC\n", "positive"),
        ("b.png\ttank\tleft\t2.5\tset\tx.jpg\t0\tCC\n", "b.png does not exist"),
        ("a.png\ttank\tleft\t2.5\tset\tx.jpg\t0\n", "no licence"),
    ],
)
def test_a_bad_table_is_named(folder: Path, row: str, said: str) -> None:
    (folder / "cutouts.tsv").write_text(HEADER + row)
    with pytest.raises(InputError, match=said):
        read_table(folder)


def test_a_missing_table_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        CutoutAssets(tmp_path)


def test_lengths_follow_the_photographs_and_still_fit_the_wagon(folder: Path) -> None:
    spec = with_lengths(random_scene(3, classes=("tank",), width_px=320, height_px=180), CutoutAssets(folder))
    for wagon in spec.trains[0].wagons:
        assert all(load.length_m == pytest.approx(2.5 * 80 / 35) for load in wagon.loads)
        assert all(load.centre_m - load.length_m / 2 > 0.5 for load in wagon.loads)


def test_cutting_finds_the_edge_near_a_rough_outline() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(60, 8, (300, 600, 3))
    picture[80:240, 120:480] = rng.normal(170, 8, (160, 360, 3))
    rough = np.array([[0.21, 0.25], [0.79, 0.28], [0.81, 0.79], [0.19, 0.81]])
    cut = cut_out(picture.astype(np.uint8), rough, width_px=300)
    assert cut.shape[:2] == pytest.approx((80, 180), abs=4)
    assert cut[40, 90, 3] == 255
    assert cut[20:60, 20:160, :3].mean() == pytest.approx(170, abs=3)


def test_a_box_alone_cuts_what_stands_out_and_refuses_the_rest() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(150, 10, (150, 320, 3))
    nothing = picture.astype(np.uint8)
    cv2.ellipse(picture, (160, 80), (140, 55), 0, 0, 360, (40, 60, 50), -1)
    cut = cut_box(picture.astype(np.uint8), width_px=160)
    assert cut is not None
    assert cut.shape[:2] == pytest.approx((55, 140), abs=5)
    assert cut_box(nothing, width_px=160) is None


@pytest.mark.parametrize("name", list(VEHICLE_LENGTH_M))
@pytest.mark.parametrize("length_px", [30.0, 181.3])
def test_every_drawn_class_has_a_picture_of_the_asked_length(name: str, length_px: float) -> None:
    sprite = DrawnAssets().sprite(name, length_px=length_px, appearance=3)
    assert sprite.shape[1] == pytest.approx(length_px, abs=3)
    assert sprite[-1, :, 3].any(), "it stands on its last row"
    assert (sprite[..., 3] > 200).mean() > 0.15


def test_outlines_are_parted_by_semicolons() -> None:
    first, second = outlines("0,0 50,0 50,100; 10,10 20,10 20,20 10,20")
    assert first.shape == (3, 2)
    assert second[0].tolist() == [0.1, 0.1]


# What is in samples/ itself.


def test_the_samples_cut_outs_are_credited_and_held_out() -> None:
    cutouts = read_table(SAMPLES / "cutouts")
    credits = (SAMPLES / "CREDITS.md").read_text()
    with (SAMPLES.parent / "datasets" / "sample_cutouts.tsv").open() as file:
        held_out = {
            (row["source"], row["file"], int(row["box_index"]), row["class"]) for row in csv.DictReader(file, delimiter="\t")
        }
    assert {(c.source, c.source_file, c.box_index, c.class_name) for c in cutouts} == held_out
    assert all(c.file in credits and c.source_file in credits for c in cutouts)
    assert all((SAMPLES / "cutouts" / c.file).stat().st_size <= 60_000 for c in cutouts)


def test_the_sample_shows_what_its_truth_says() -> None:
    assets = CutoutAssets(SAMPLES / "cutouts")
    spec = with_lengths(sample_spec(), assets)
    (train,) = spec.trains
    assert train.vehicles >= 8
    assert len({load.class_name for wagon in train.wagons for load in wagon.loads}) >= 3
    assert (SAMPLES / "sample.mp4").stat().st_size <= 3_000_000
    small = sample_spec(width_px=320, height_px=180)
    truth = Renderer(with_lengths(small, assets), assets).truth()
    assert len(truth.trains[0].seen()) == train.vehicles
