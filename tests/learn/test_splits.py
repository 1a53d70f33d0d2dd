"""Groups of one scene and the sides they go to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vision.learn.sources import Picture
from vision.learn.splits import Placed, divide, file_number, group, named_scenes, read_split, same_scene, write_split


def picture(file: str, *, source: str = "s", published: str | None = None) -> Picture:
    return Picture(source, file, Path(file), (), published)


@pytest.mark.parametrize(
    ("count", "pairs", "components"),
    [
        (3, [], [0, 1, 2]),
        (4, [(2, 3), (0, 2)], [0, 1, 0, 0]),
        (5, [(0, 1), (1, 2), (3, 4)], [0, 0, 0, 3, 3]),
    ],
)
def test_group(count: int, pairs: list[tuple[int, int]], components: list[int]) -> None:
    assert group(count, pairs) == components


@pytest.mark.parametrize(("file", "number"), [("train/12_png.rf.3.jpg", 12), ("tank--7_ab1.jpg", 7), ("rail/x.jpg", None)])
def test_file_number(file: str, number: int | None) -> None:
    assert file_number(file) == number


RED, BLUE = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("files", "bits_apart", "colours", "same"),
    [
        (("1.jpg", "900.jpg"), 12, (RED, BLUE), True),  # the same photograph
        (("1.jpg", "900.jpg"), 13, (RED, BLUE), False),
        (("1.jpg", "3.jpg"), 40, (RED, RED), True),  # neighbours of one colour: another angle
        (("1.jpg", "4.jpg"), 40, (RED, RED), False),
        (("1.jpg", "3.jpg"), 40, (RED, BLUE), False),
        (("1.jpg", "900.jpg"), 20, (RED, RED), True),  # a sheared copy
        (("x.jpg", "y.jpg"), 40, (RED, RED), False),
    ],
)
def test_same_scene(files: tuple[str, str], bits_apart: int, colours: tuple[np.ndarray, np.ndarray], same: bool) -> None:
    pairs = same_scene([picture(f) for f in files], [0, 2**bits_apart - 1], list(colours))
    assert pairs == ([(0, 1)] if same else [])


def test_named_scenes() -> None:
    pictures = [picture("train/1_a.jpg"), picture("valid/1_b.jpg"), picture("train/5_a.jpg"), picture("1_c.jpg", source="t")]
    assert named_scenes(pictures, {"s": [[1, 5]]}) == [(0, 1), (1, 2)]


def test_groups_stay_whole_and_the_majority_of_published_sides_decides() -> None:
    published = ["train", "valid", "valid", "train", "train", "valid", "train"]
    pictures = [picture(f"{i}.jpg", published=p) for i, p in enumerate(published)]
    placed = divide(pictures, [0, 0, 0, 3, 3, 3, 6], {"s": "published"})
    assert [p.split for p in placed] == ["valid"] * 3 + ["train"] * 4
    assert placed[4].group == "s__3"


def test_share_goes_by_lot_and_by_group() -> None:
    pictures = [picture(f"{i}.jpg") for i in range(2000)]
    placed = divide(pictures, [i // 2 * 2 for i in range(2000)], {"s": 0.08})
    assert all(a.split == b.split for a, b in zip(placed[::2], placed[1::2], strict=True))
    assert 0.05 < sum(p.split == "valid" for p in placed) / 2000 < 0.11


def test_split_file_round_trip(tmp_path: Path) -> None:
    rows = [Placed("s", "b.jpg", "valid", "g"), Placed("s", "a.jpg", "train", "g2")]
    write_split(tmp_path / "x.tsv", rows)
    assert list(read_split(tmp_path / "x.tsv").values()) == sorted(rows, key=lambda p: p.file)


def test_committed_split_keeps_every_group_on_one_side() -> None:
    sides: dict[str, set[str]] = {}
    for placed in read_split(Path(__file__).parents[2] / "datasets" / "splits" / "first.tsv").values():
        sides.setdefault(placed.group, set()).add(placed.split)
    assert set().union(*sides.values()) == {"train", "valid"}
    assert [g for g, s in sides.items() if len(s) > 1] == []
