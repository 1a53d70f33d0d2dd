"""The class tree: leaves the detector tells apart, and the parents a count backs off to.

The tree itself is data, ``datasets/taxonomy.yaml``; an installed package carries it as package data.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from vision.errors import TaxonomyError


@dataclass(frozen=True)
class TaxonomyClass:
    """One class, leaf or parent.

    Attributes:
        name: Canonical name, as it stands in every table.
        parent: Parent of a leaf; of a parent, itself.
        name_en: English name for people.
        name_ru: Russian name for people.
        aliases: Further names it is known by.
        description: What belongs to it.
    """

    name: str
    parent: str
    name_en: str
    name_ru: str
    aliases: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, repr=False)
class Taxonomy:
    """The class tree.

    A leaf may carry its parent's name (``tank``, ``truck``, ``light_armoured``): the name then stands for both,
    and its parent is itself.

    Attributes:
        leaf_classes: The leaves, in the order of the detector's class index.
        parent_classes: The parents, in the order tables show them.
        colours: Parent -> ``#rrggbb``.
        military: The parents that count as military equipment.
    """

    leaf_classes: tuple[TaxonomyClass, ...]
    parent_classes: tuple[TaxonomyClass, ...]
    colours: Mapping[str, str]
    military: frozenset[str]
    _by_alias: dict[str, str] = field(init=False, compare=False)
    _parent_of: dict[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        parents = {c.name for c in self.parent_classes}
        parent_of = {c.name: c.name for c in self.parent_classes}
        by_alias: dict[str, str] = {}
        seen: set[str] = set()
        for c in self.leaf_classes:
            if c.name in seen:
                raise TaxonomyError(f"the leaf {c.name!r} stands twice in the taxonomy")
            seen.add(c.name)
            if c.parent not in parents:
                raise TaxonomyError(f"the leaf {c.name!r} has an unknown parent {c.parent!r}")
            if parent_of.setdefault(c.name, c.parent) != c.parent:
                raise TaxonomyError(f"the leaf {c.name!r} carries the name of a parent that is not its own")
        for c in (*self.leaf_classes, *self.parent_classes):
            for alias in (c.name, c.name_en, c.name_ru, *c.aliases):
                if by_alias.setdefault(_folded(alias), c.name) != c.name:
                    raise TaxonomyError(f"{alias!r} names both {by_alias[_folded(alias)]!r} and {c.name!r}")
        object.__setattr__(self, "_parent_of", parent_of)
        object.__setattr__(self, "_by_alias", by_alias)

    @classmethod
    def load(cls, path: Path | str | None = None) -> Taxonomy:
        """Read a class tree.

        Args:
            path: A YAML file in the form of ``datasets/taxonomy.yaml``; None takes that file itself.

        Raises:
            TaxonomyError: The file cannot be read, or contradicts itself.
        """
        try:
            text = _packaged_text() if path is None else Path(path).read_text(encoding="utf-8")
            raw = yaml.safe_load(text)
            return cls(
                leaf_classes=tuple(_class(row) for row in raw["leaves"]),
                parent_classes=tuple(_class({**row, "parent": row["name"]}) for row in raw["parents"]),
                colours={row["name"]: row["colour"] for row in raw["parents"]},
                military=frozenset(row["name"] for row in raw["parents"] if row["military"]),
            )
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
            raise TaxonomyError(f"cannot read the taxonomy {path or ''}".rstrip() + f": {error}") from error

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of the leaves; the position is the detector's class index."""
        return tuple(c.name for c in self.leaf_classes)

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the parents, in the order tables show them."""
        return tuple(c.name for c in self.parent_classes)

    @property
    def names_ru(self) -> dict[str, str]:
        """Canonical name -> Russian name, for leaves and parents."""
        return {c.name: c.name_ru for c in (*self.leaf_classes, *self.parent_classes)}

    @property
    def names_en(self) -> dict[str, str]:
        """Canonical name -> English name, for leaves and parents."""
        return {c.name: c.name_en for c in (*self.leaf_classes, *self.parent_classes)}

    def resolve(self, name: str) -> str:
        """Canonical name of a class known by ``name``, in any case and spelling of hyphens and spaces.

        Raises:
            TaxonomyError: No class has that name; the message gives the nearest ones.
        """
        key = _folded(name)
        if key in self._by_alias:
            return self._by_alias[key]
        near = difflib.get_close_matches(key, self._by_alias, n=5, cutoff=0.5)
        names = dict.fromkeys(self._by_alias[n] for n in near)
        known = ", ".join(names) if names else ", ".join(dict.fromkeys((*self.leaves, *self.parents)))
        raise TaxonomyError(f"unknown class {name!r}", hint=f"did you mean {known}?" if names else f"known are {known}")

    def parent_of(self, name: str) -> str:
        """Parent of a class; a parent is its own.

        Raises:
            TaxonomyError: Unknown class.
        """
        return self._parent_of[self.resolve(name)]

    def children_of(self, name: str) -> tuple[str, ...]:
        """Leaves of a parent, in the detector's order."""
        parent = self.parent_of(name)
        return tuple(c.name for c in self.leaf_classes if c.parent == parent)

    def is_military(self, name: str) -> bool:
        """Whether a class counts as military equipment."""
        return self.parent_of(name) in self.military

    def back_off(self, a: str, b: str) -> str | None:
        """The closest class that holds both: the class itself, their parent, or None.

        Raises:
            TaxonomyError: Unknown class.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        return self._parent_of[a] if self._parent_of[a] == self._parent_of[b] else None

    def colour(self, name: str) -> str:
        """Colour of a class for drawings, ``#rrggbb``: that of its parent."""
        return self.colours[self.parent_of(name)]

    def __repr__(self) -> str:
        return f"Taxonomy({len(self.leaf_classes)} leaves, {len(self.parent_classes)} parents)"


@functools.cache
def default_taxonomy() -> Taxonomy:
    """The project's own class tree, read once."""
    return Taxonomy.load()


def _class(row: Mapping[str, Any]) -> TaxonomyClass:
    return TaxonomyClass(
        name=row["name"],
        parent=row["parent"],
        name_en=row["name_en"],
        name_ru=row["name_ru"],
        aliases=tuple(str(a) for a in row.get("aliases", ())),
        description=row.get("description", ""),
    )


def _folded(name: str) -> str:
    """The form in which names are compared: case, hyphens, spaces and the letter yo do not matter."""
    return re.sub(r"[\s_\-‐-―]+", "", name.casefold()).replace("ё", "е")


def _packaged_text() -> str:
    packaged = resources.files("vision") / "_data" / "taxonomy.yaml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    # A checkout: the wheel is what copies datasets/ into the package.
    return (Path(__file__).parent.parent / "datasets" / "taxonomy.yaml").read_text(encoding="utf-8")
