"""Readers: what each label becomes, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision.errors import InputError
from vision.learn.readers_collections import mianali_leaf
from vision.learn.sources import read_source


@pytest.mark.parametrize(
    ("original", "fine", "view", "state", "sure", "leaf"),
    [
        ("APC-IFV", "bmp", "ground", "intact", "1", "bmp"),
        ("APC-IFV", "bmp", "ground", "intact", "0", "bmp"),
        ("APC-IFV", "bmp", "high", "wreck", "1", "bmp"),
        ("APC-IFV", "bmp", "high", "wreck", "0", None),
        ("APC-IFV", "unknown", "ground", "intact", "0", None),
        ("APC-IFV", "other_tracked", "ground", "intact", "1", None),
        ("ART", "unknown", "ground", "intact", "0", None),
        ("CAR", "unknown", "high", "intact", "0", None),
        ("CAR", "truck_cargo", "ground", "intact", "1", "truck"),
        ("TRUCK", "truck_armoured", "ground", "intact", "1", "truck"),
        ("TRUCK", "unknown", "high", "intact", "0", "truck"),
        ("TRUCK", "unknown", "high", "wreck", "0", None),
        ("MLRS", "unknown", "high", "intact", "0", "mlrs"),
        ("MLRS", "sam", "ground", "intact", "1", "sam"),
        ("TANK", "tank", "", "", "1", "tank"),
    ],
)
def test_mianali_leaf(original: str, fine: str, view: str, state: str, sure: str, leaf: str | None) -> None:
    assert mianali_leaf({"orig_class": original, "fine": fine, "view": view, "state": state, "sure": sure}) == leaf


def test_mianali_boxes_and_views(collections: Path) -> None:
    pictures = {p.file: p for p in read_source("mianali", collections, {"reader": "mianali"})}
    assert [(b.leaf, b.view) for b in pictures["train/1_a.jpg"].boxes] == [("bmp", "ground"), (None, "high")]
    tank = pictures["valid/4_a.jpg"]
    assert (tank.source, tank.published, tank.view) == ("mianali", "valid", "high")
    assert tank.boxes[0].view == "high"  # a row without a view takes the picture's
    assert tank.name == "mianali__valid__4_a"


def test_tank_exceptions(collections: Path) -> None:
    pictures = read_source("tanks", collections, {"reader": "tank_pictures", "exceptions": "tank_exceptions.tsv"})
    assert {p.file: [b.leaf for b in p.boxes] for p in pictures} == {
        "tank--1.jpg": ["tank", "tank"],
        "tank--3.jpg": ["sp_gun", None],
    }


def test_negatives_are_the_same_choice_every_time(collections: Path) -> None:
    options = {"reader": "negatives", "every": 2, "limit": 2}
    files = [p.file for p in read_source("rail", collections, options)]
    assert len(files) == 2
    assert set(files) <= {"images/0.jpg", "images/2.jpg", "images/4.jpg"}
    assert files == [p.file for p in read_source("rail", collections, options)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("nowhere", {"reader": "mianali"}, "no folder"), ("rail", {"reader": "magic"}, "unknown reader 'magic'")],
)
def test_refusals(collections: Path, name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(name, collections, options)
