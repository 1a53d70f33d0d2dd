"""The class tree: names, aliases in two languages, parents, back-off."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision.errors import TaxonomyError
from vision.taxonomy import Taxonomy, default_taxonomy

LEAVES = [
    *("tank", "bmp", "bmd", "btr", "mtlb", "brdm", "tigr", "light_armoured"),
    *("sp_gun", "towed_gun", "mlrs", "sam", "truck", "uaz", "civil_car", "covered_vehicle"),
]
PARENTS = ["tank", "ifv", "apc", "light_armoured", "artillery", "rocket_missile", "truck", "car", "covered"]


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load()


def test_order_of_leaves_is_the_detectors_class_index(taxonomy: Taxonomy) -> None:
    assert list(taxonomy.leaves) == LEAVES
    assert list(taxonomy.parents) == PARENTS


@pytest.mark.parametrize(
    ("leaf", "parent"),
    [
        ("tank", "tank"),
        ("bmp", "ifv"),
        ("bmd", "ifv"),
        ("btr", "apc"),
        ("mtlb", "apc"),
        ("brdm", "apc"),
        ("tigr", "light_armoured"),
        ("light_armoured", "light_armoured"),
        ("sp_gun", "artillery"),
        ("towed_gun", "artillery"),
        ("mlrs", "rocket_missile"),
        ("sam", "rocket_missile"),
        ("truck", "truck"),
        ("uaz", "car"),
        ("civil_car", "car"),
        ("covered_vehicle", "covered"),
        ("ifv", "ifv"),
        ("covered", "covered"),
    ],
)
def test_parent_of(taxonomy: Taxonomy, leaf: str, parent: str) -> None:
    assert taxonomy.parent_of(leaf) == parent
    if leaf in taxonomy.leaves:
        assert leaf in taxonomy.children_of(parent)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("tank", "tank"),
        ("TANK", "tank"),
        ("танк", "tank"),
        ("Т-72", "tank"),
        ("БМП", "bmp"),
        ("бмп-2", "bmp"),
        ("БМД-4", "bmd"),
        ("БТР-82А", "btr"),
        ("МТ-ЛБ", "mtlb"),
        ("мтлб", "mtlb"),
        ("MT LB", "mtlb"),
        ("БРДМ", "brdm"),
        ("Тигр", "tigr"),
        ("САУ", "sp_gun"),
        ("РСЗО", "mlrs"),
        ("ЗРК", "sam"),
        ("УАЗ", "uaz"),
        ("грузовик", "truck"),
        ("бронетранспортёр", "btr"),
        ("бронетранспортер", "btr"),
        ("covered vehicle", "covered_vehicle"),
        ("rocket-missile", "rocket_missile"),
        ("  truck ", "truck"),
    ],
)
def test_resolve(taxonomy: Taxonomy, typed: str, canonical: str) -> None:
    assert taxonomy.resolve(typed) == canonical


@pytest.mark.parametrize(("typed", "near"), [("tnak", "tank"), ("бмпп", "bmp"), ("covered_vehicl", "covered_vehicle")])
def test_unknown_name_gives_the_nearest(taxonomy: Taxonomy, typed: str, near: str) -> None:
    with pytest.raises(TaxonomyError, match=near) as caught:
        taxonomy.resolve(typed)
    assert typed in caught.value.message


def test_name_like_nothing_gives_all(taxonomy: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match="known are tank, bmp"):
        taxonomy.resolve("qqqqqqqqqqqq")


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        ("bmp", "bmp", "bmp"),
        ("bmp", "bmd", "ifv"),
        ("bmp", "ifv", "ifv"),
        ("БТР", "МТ-ЛБ", "apc"),
        ("tigr", "light_armoured", "light_armoured"),
        ("tank", "bmp", None),
        ("uaz", "truck", None),
    ],
)
def test_back_off(taxonomy: Taxonomy, a: str, b: str, common: str | None) -> None:
    assert taxonomy.back_off(a, b) == common
    assert taxonomy.back_off(b, a) == common


def test_military_is_all_but_cars(taxonomy: Taxonomy) -> None:
    assert [p for p in taxonomy.parents if not taxonomy.is_military(p)] == ["car"]
    assert [leaf for leaf in taxonomy.leaves if not taxonomy.is_military(leaf)] == ["uaz", "civil_car"]


def test_colours_are_told_apart_and_shared_by_children(taxonomy: Taxonomy) -> None:
    assert len({taxonomy.colour(p) for p in taxonomy.parents}) == len(taxonomy.parents)
    assert taxonomy.colour("bmp") == taxonomy.colour("bmd") == taxonomy.colour("ifv")


def test_every_class_has_a_russian_name(taxonomy: Taxonomy) -> None:
    assert set(taxonomy.names_ru) == {*LEAVES, *PARENTS}
    assert taxonomy.names_ru["mlrs"] == "РСЗО"


def test_default_is_read_once() -> None:
    assert default_taxonomy() is default_taxonomy()


_HEAD = "parents: [{name: p, military: true, colour: '#000000', name_en: p, name_ru: п}]\nleaves:\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leaves: []", "cannot read the taxonomy"),
        ("[", "cannot read the taxonomy"),
        (_HEAD + " - {name: a, parent: q, name_en: a, name_ru: а}", "unknown parent 'q'"),
        (
            _HEAD + " - {name: a, parent: p, name_en: a, name_ru: x}\n - {name: a, parent: p, name_en: a, name_ru: x}",
            "stands twice",
        ),
        (
            _HEAD + " - {name: a, parent: p, name_en: z, name_ru: x}\n - {name: b, parent: p, name_en: z, name_ru: y}",
            "names both",
        ),
    ],
)
def test_a_contradictory_tree_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TaxonomyError, match=message):
        Taxonomy.load(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="nowhere"):
        Taxonomy.load(tmp_path / "nowhere.yaml")
