"""What labels ask for: verdicts, or sentences on what contradicts itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vision.review.corrections import Corrections, EditedTrain, Known, Label, corrections_of, is_verdict_tag
from vision.run.verdicts import Place

NAMES = ("tank", "btr", "bmp", "truck")
SPACING_PX, WIDTH_PX = 300.0, 160.0


def place(position_px: float, name: str = "", *, width_px: float = WIDTH_PX) -> Place:
    box = (320 - width_px / 2, 100.0, 320 + width_px / 2, 180.0)
    return Place(name, 320.0, 1000, position_px / 200, width_px, width_px / 2, position_px, box)


KNOWN = tuple(Known(f"t#{i}", i + 1, name, place(SPACING_PX * (i + 1), name)) for i, name in enumerate(NAMES))


def label(number: int, *tags: str, name: str | None = None, where: str = "the strip") -> Label:
    known = KNOWN[number - 1]
    return Label(known.key, name or known.class_name, frozenset(tags), None, where)


def drawn(position_px: float, name: str | None, *tags: str, where: str = "the strip") -> Label:
    return Label(None, name, frozenset(tags), place(position_px), where)


def train(changed: dict[int, Label | None], *new: Label, looks: tuple[Label, ...] = (), sign: int = 1) -> EditedTrain:
    """The strip with every vehicle as it was, but for those changed (None: its box is gone)."""
    strip = [changed.get(k.number, label(k.number)) for k in KNOWN]
    return EditedTrain("t", "a" * 64, 1.0, 9.0, sign, KNOWN, (*(s for s in strip if s), *new), looks)


def asked(edited: EditedTrain) -> list[tuple[str, list[str], list[str]]]:
    found = corrections_of([edited])
    assert found.problems == []
    return [(v.kind, [p.class_name for p in v.before], [p.class_name for p in v.after]) for v in found.verdicts]


CASES = {
    "nothing": (train({}), []),
    "own tags": (train({1: label(1, "look at this again")}), []),
    "confirm": (train({1: label(1, "confirm")}), [("confirm", ["tank"], ["tank"])]),
    "confirm on a frame": (train({}, looks=(label(2, "Confirm", where="a frame"),)), [("confirm", ["btr"], ["btr"])]),
    "same class by tag": (train({1: label(1, "is:tank")}), [("confirm", ["tank"], ["tank"])]),
    "reject": (train({2: label(2, "reject")}), [("reject", ["btr"], [])]),
    "box gone": (train({2: None}), [("reject", ["btr"], [])]),
    "another class": (train({2: label(2, name="mtlb")}), [("reclass", ["btr"], ["mtlb"])]),
    "class by tag": (train({2: label(2, "is:MT-LB")}), [("reclass", ["btr"], ["mtlb"])]),
    "class and confirm": (train({2: label(2, "confirm", name="mtlb")}), [("reclass", ["btr"], ["mtlb"])]),
    "class on strip and frame": (
        train({2: label(2, name="mtlb")}, looks=(label(2, name="mtlb", where="a frame"),)),
        [("reclass", ["btr"], ["mtlb"])],
    ),
    "merge": (train({2: label(2, "merge"), 3: label(3, "merge", name="btr")}), [("merge", ["btr", "bmp"], ["btr"])]),
    "merge three": (
        train({n: label(n, "merge", name="truck") for n in (2, 3, 4)}),
        [("merge", ["btr", "bmp", "truck"], ["truck"])],
    ),
    "merge across a rejected one": (
        train({1: label(1, "merge", name="tank"), 2: label(2, "reject"), 3: label(3, "merge", name="tank")}),
        [("merge", ["tank", "bmp"], ["tank"]), ("reject", ["btr"], [])],
    ),
    "two merges": (
        train({n: label(n, tag, "is:bmp") for n, tag in ((1, "merge:1"), (2, "merge:1"), (3, "merge:2"), (4, "merge:2"))}),
        [("merge", ["tank", "btr"], ["bmp"]), ("merge", ["bmp", "truck"], ["bmp"])],
    ),
    "split": (train({1: label(1, "split")}), [("split", ["tank"], ["tank", "tank"])]),
    "split in three": (train({1: label(1, "split:3", name="bmp")}), [("split", ["tank"], ["bmp"] * 3)]),
    "add": (train({}, drawn(1500, "sp_gun")), [("add", [], ["sp_gun"])]),
    "add by tag": (train({}, drawn(1500, None, "is:sp_gun")), [("add", [], ["sp_gun"])]),
    "add on strip and frame": (
        train({}, drawn(1500, "sp_gun"), looks=(drawn(1520, "sp_gun", where="a frame"),)),
        [("add", [], ["sp_gun"])],
    ),
    "drawn and rejected": (train({}, drawn(1500, "sp_gun", "reject")), []),
    "box of a vehicle on one more frame": (train({}, looks=(drawn(620, "btr", where="a frame"),)), []),
    "drawn anew": (train({2: None}, drawn(610, "btr")), [("reject", ["btr"], []), ("add", [], ["btr"])]),
}  # fmt: skip


@pytest.mark.parametrize(("edited", "expected"), CASES.values(), ids=CASES)
def test_what_labels_ask_for(edited: EditedTrain, expected: list[object]) -> None:
    assert asked(edited) == expected


CONTRADICTIONS = {
    "confirm and reject": (train({1: label(1, "confirm", "reject")}), ["vehicle 1", "confirm"]),
    "gone and confirmed on a frame": (train({1: None}, looks=(label(1, "confirm", where="a frame"),)), ["gone from the strip"]),
    "reject and another class": (train({1: label(1, "reject", name="bmp")}), ["another class"]),
    "reject and split": (train({1: label(1, "reject", "split")}), ["split"]),
    "two classes": (train({1: label(1, name="bmp")}, looks=(label(1, name="btr", where="a frame"),)), ["bmp", "btr", "a frame"]),
    "two splits": (train({1: label(1, "split", "split:3")}), ["split and split:3"]),
    "split into one": (train({1: label(1, "split:1")}), ["give 2 to 20"]),
    "outside the taxonomy": (train({1: label(1, name="zeppelin")}), ["zeppelin", "vehicle 1"]),
    "tag outside the taxonomy": (train({1: label(1, "is:zeppelin")}), ["zeppelin"]),
    "merge alone": (train({1: label(1, "merge")}), ["none of its neighbours"]),
    "merge apart": (train({1: label(1, "merge"), 3: label(3, "merge")}), ["none of its neighbours"]),
    "merge and reject": (train({1: label(1, "merge", "reject"), 2: label(2, "merge")}), ["another verdict"]),
    "merge of what cannot be one": (train({1: label(1, "merge"), 2: label(2, "merge")}), ["tank", "btr", "cannot be one"]),
    "merge as two classes": (
        train({1: label(1, "merge", name="bmp"), 2: label(2, "merge", name="sam")}),
        ["cannot be bmp and sam"],
    ),
    "drawn without a class": (train({}, drawn(1500, None)), ["no class"]),
    "drawn as nothing known": (train({}, drawn(1500, "zeppelin")), ["zeppelin"]),
    "drawn on a vehicle": (train({}, drawn(610, "bmp")), ["vehicle 2 (btr) stands there"]),
    "drawn on a frame by another name": (train({}, looks=(drawn(610, "bmp", where="a frame"),)), ["stands there"]),
    "drawn twice as two things": (train({}, drawn(1500, "bmp"), drawn(1510, "btr")), ["btr", "bmp"]),
}  # fmt: skip


@pytest.mark.parametrize(("edited", "said"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_named(edited: EditedTrain, said: list[str]) -> None:
    found = corrections_of([edited])
    sentences = " | ".join(found.problems)
    assert found.problems
    assert "t" in sentences
    assert all(part in sentences for part in said), sentences


@pytest.mark.parametrize("sign", [1, -1])
def test_parts_lie_in_order_along_the_train(sign: int) -> None:
    (verdict,) = corrections_of([train({2: label(2, "split:4")}, sign=sign)]).verdicts
    before = verdict.before[0]
    positions = [p.position_px for p in verdict.after]
    assert positions == sorted(positions)
    assert sum(p.width_px for p in verdict.after) == pytest.approx(before.width_px)
    assert sum(positions) / 4 == pytest.approx(before.position_px)
    for part in verdict.after:
        assert sign * (part.column_px - before.column_px) == pytest.approx(part.position_px - before.position_px)
        assert (part.xyxy_px[0] + part.xyxy_px[2]) / 2 == pytest.approx(part.column_px)
        assert part.reach_px < part.width_px / 2


def test_a_merged_vehicle_reaches_from_the_first_to_the_last() -> None:
    (verdict,) = corrections_of([train({2: label(2, "merge"), 3: label(3, "merge", name="btr")})]).verdicts
    (after,) = verdict.after
    assert after.position_px == pytest.approx(750)
    assert after.width_px == pytest.approx(SPACING_PX + WIDTH_PX)


def test_one_bad_train_does_not_hide_another() -> None:
    other = replace(train({1: label(1, "reject", "confirm")}), train_id="u")
    found = corrections_of([train({1: label(1, "split:1")}), other])
    assert isinstance(found, Corrections)
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("tag", "means"),
    [
        ("confirm", True),
        ("REJECT ", True),
        ("merge:a-1", True),
        ("split:3", True),
        ("is:btr", True),
        ("later", False),
        ("splitted", False),
    ],
)
def test_which_tags_are_verdicts(tag: str, means: bool) -> None:
    assert is_verdict_tag(tag) is means
