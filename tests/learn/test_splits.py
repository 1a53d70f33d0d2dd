"""Groups of one scene and the sides they go to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labelled import write_picture
from vision.errors import InputError
from vision.learn.sources import Box, Picture
from vision.learn.splits import (
    Placed,
    balanced,
    divide,
    file_number,
    group,
    hold_out,
    named_scenes,
    read_split,
    same_clip,
    same_scene,
    write_split,
)


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


# ---- Balanced division ------------------------------------------------------------------------------------------------------

scenes = st.lists(
    st.dictionaries(st.sampled_from(["tank", "btr", "sam", ""]), st.integers(1, 5), min_size=1, max_size=3), max_size=40
)


@given(groups=scenes, share=st.floats(0, 1))
def test_every_class_gets_about_its_share(groups: list[dict[str, int]], share: float) -> None:
    sides = balanced(groups, share)
    assert len(sides) == len(groups)
    assert set(sides) <= {"train", "valid"}
    if share == 0:
        assert set(sides) <= {"train"}
    if share == 1:
        assert set(sides) <= {"valid"}


@given(groups=scenes, share=st.floats(0.05, 0.95))
def test_the_rarest_class_is_on_both_sides_where_it_can_be(groups: list[dict[str, int]], share: float) -> None:
    held: dict[str, list[int]] = {}
    for i, counted in enumerate(groups):
        for name in counted:
            held.setdefault(name, []).append(i)
    sides = balanced(groups, share)
    rarest = min(held, key=lambda name: (len(held[name]), name), default=None)
    if rarest is not None and len(held[rarest]) > 1:
        assert {sides[i] for i in held[rarest]} == {"train", "valid"}


def test_a_rare_class_is_measured_too() -> None:
    groups = [{"tank": 1}] * 90 + [{"sam": 1}] * 10
    sides = balanced(groups, 0.15)
    assert sum(s == "valid" for s in sides[:90]) in {13, 14}
    assert sum(s == "valid" for s in sides[90:]) in {1, 2}


boxed = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, "tank", "btr"]), st.sampled_from([None, "train", "valid"])),
    min_size=1,
    max_size=30,
)


@given(drawn=boxed, pairs=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20), seed=st.integers(0, 3))
def test_no_group_is_on_both_sides_and_the_division_is_repeatable(
    drawn: list[tuple[str, str | None, str | None]], pairs: list[tuple[int, int]], seed: int
) -> None:
    pictures = [
        Picture(source, f"{i}.jpg", Path(f"{i}.jpg"), (Box(leaf, (0.5, 0.5, 0.1, 0.1)),) if leaf else (), published)
        for i, (source, leaf, published) in enumerate(drawn)
    ]
    groups = group(len(pictures), [(a, b) for a, b in pairs if max(a, b) < len(pictures)])
    placed = divide(pictures, groups, {"a": 0.3, "b": "published"}, seed=seed)
    assert [(p.source, p.file) for p in placed] == [(p.source, p.file) for p in pictures]
    assert {p.split for p in placed} <= {"train", "valid"}
    side = {}
    for p, g in zip(placed, groups, strict=True):
        assert side.setdefault(g, (p.split, p.group)) == (p.split, p.group)
    assert divide(pictures, groups, {"a": 0.3, "b": "published"}, seed=seed) == placed
    again = divide(pictures, groups, {"a": 0.9, "b": 0.9}, seed=seed + 1, keep={(p.source, p.file): p for p in placed})
    assert [p.split for p in again] == [p.split for p in placed]  # sides from before are kept, whatever the share


def test_another_seed_is_another_division() -> None:
    pictures = [picture(f"{i}.jpg") for i in range(100)]
    first, second = (divide(pictures, range(100), {"s": 0.5}, seed=seed) for seed in (0, 1))
    assert first != second


def test_new_pictures_follow_their_scene() -> None:
    pictures = [picture(f"{i}.jpg") for i in range(6)]
    before = {("s", "0.jpg"): Placed("s", "0.jpg", "train", "s__0"), ("s", "2.jpg"): Placed("s", "2.jpg", "valid", "s__2")}
    placed = divide(pictures, [0, 0, 2, 2, 4, 4], {"s": 0}, keep=before)
    assert [p.split for p in placed] == ["train", "train", "valid", "valid", "train", "train"]
    joined = divide(pictures, [0, 0, 0, 0, 4, 4], {"s": 0}, keep=before)  # picture 1 shows both scenes
    assert [p.split for p in joined] == ["valid"] * 4 + ["train"] * 2


def test_pictures_of_one_clip() -> None:
    clips = [("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("a", None), ("a", None), ("a", "1")]
    pictures = [Picture(source, f"{i}.jpg", Path(f"{i}.jpg"), clip=clip) for i, (source, clip) in enumerate(clips)]
    assert group(len(pictures), same_clip(pictures)) == [0, 1, 2, 0, 4, 5, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no split file"),
        ("source\tfile\n", "no split file"),
        ("source\tfile\tsplit\tgroup\na\tb\ttest\tg\n", ":2: the split is 'test', not train or valid"),
        ("source\tfile\tsplit\tgroup\na\tb\ttrain\n", ":2: the split is"),
        (None, "there is no split file"),
    ],
)
def test_a_file_that_is_no_split(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_split(path)


def test_a_held_out_source_takes_its_scenes_out_of_training(tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    seeds = {"a/1": 1, "a/2": 2, "b/1": 1, "b/3": 3, "b/4": 4, "b/5": 5}  # b/1 is the photograph a/1 under another name
    pictures = [Picture(n[0], n[2:], write_picture(tmp_path / f"{n}.png", seed)) for n, seed in seeds.items()]
    placed = {(p.source, p.file): Placed(p.source, p.file, "train", p.name) for p in pictures}
    placed["b", "5"] = Placed("b", "5", "valid", "b__5")
    placed["b", "4"] = Placed("b", "4", "train", "a__2")  # of a scene of the source, says the split file
    sides = hold_out(pictures, placed, "a")
    assert {"/".join(key): p.split for key, p in sides.items()} == {
        "a/1": "valid",
        "a/2": "valid",
        "b/3": "train",
        "b/5": "valid",
    }
    with pytest.raises(InputError, match="no source 'c' to hold out; there are a, b"):
        hold_out(pictures, placed, "c")
