"""Labels on their way in: names through the taxonomy, boxes checked one by one.

A reader (``vision.learn.readers_*``) knows one format. It hands each label to the `Source` it reads for, with the place where it
stands, and gets a `Box`, or nothing where the label is bad or to be dropped; what is wrong is noted in ``source.problems``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from vision.errors import InputError, TaxonomyError
from vision.learn.pictures import UPRIGHT, Box, Picture, PictureHead, View, picture_head
from vision.learn.problems import Key, Problems
from vision.taxonomy import Taxonomy

Xyxy = tuple[float, float, float, float]
Meaning = str | Literal["ignore", "drop"]

# A label may reach over the picture's edge by this share of its side: rounding, and hands. Further out it is a mistake.
OVERSHOOT = 0.01
_ROUNDING = 1e-6
_ASPECT = 0.02  # two sizes whose aspect ratios differ by more than this show different cuts

IGNORE, DROP = "ignore", "drop"
ANY = "*"

_SIDES = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "test", "testing"), "valid"),
}


class ClassMap:
    """What a source's class names become: a leaf, ``ignore`` or ``drop``.

    Args:
        taxonomy: The class tree; names and aliases that it knows need no entry.
        mapping: Their name -> our leaf (or an alias of it), ``ignore`` (a region that counts neither way) or ``drop`` (no label:
            the object is background). ``"*"`` stands for every name that is neither here nor known to the taxonomy.
        where: What the mapping belongs to, for messages.

    Raises:
        InputError: The mapping names a class that is no leaf.
    """

    def __init__(self, taxonomy: Taxonomy, mapping: Mapping[str, str], where: str) -> None:
        self.taxonomy = taxonomy
        self._mapping = {str(theirs): self._meaning(str(theirs), str(ours), where) for theirs, ours in mapping.items()}
        self.unused = set(self._mapping) - {ANY}

    def _meaning(self, theirs: str, ours: str, where: str) -> Meaning:
        if ours in {IGNORE, DROP}:
            return ours
        try:
            return self._leaf(ours)
        except TaxonomyError as error:
            raise InputError(f"{where}: the class {theirs!r} cannot become {ours!r}: {error.message}", hint=error.hint) from error

    def meaning(self, name: str) -> Meaning:
        """The leaf of a class name, ``ignore`` or ``drop``.

        Raises:
            TaxonomyError: Neither the mapping nor the taxonomy knows the name, or it is a parent of several leaves.
        """
        if name in self._mapping:
            self.unused.discard(name)
            return self._mapping[name]
        try:
            return self._leaf(name)
        except TaxonomyError:
            if ANY in self._mapping:
                return self._mapping[ANY]
            raise

    def _leaf(self, name: str) -> str:
        known = self.taxonomy.resolve(name)
        if known in self.taxonomy.leaves:
            return known
        children = self.taxonomy.children_of(known)
        if len(children) == 1:
            return children[0]
        said = f"{name!r} stands for several classes ({', '.join(children)})"
        raise TaxonomyError(said, hint=f"map it to one of them, to {IGNORE} or to {DROP}")


@dataclass
class Source:
    """One collection being read: where it lies, how it is described, and what is found wrong with it.

    Attributes:
        name: Its name.
        folder: Where it lies.
        options: Its entry in the description.
        classes: What its class names become.
        problems: What is wrong so far.
        work: A folder for pictures that a reader makes (frames of a video).
    """

    name: str
    folder: Path
    options: Mapping[str, object]
    classes: ClassMap
    problems: Problems
    work: Path
    _view: View = field(init=False)
    _said: set[tuple[str, Key]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._view = cast(View, self.choice("view", "unknown", "ground", "high"))

    # ---- Options ------------------------------------------------------------------------------------------------------------

    def choice(self, option: str, *allowed: str) -> str:
        """The value of an option out of a few; the first is the default.

        Raises:
            InputError: It is something else.
        """
        value = str(self.options.get(option, allowed[0]))
        if value not in allowed:
            raise InputError(f"{self.name}: {option} is {value!r}", hint=f"use {' or '.join(allowed)}")
        return value

    def number(self, option: str, default: float) -> float:
        """The value of an option that is a number.

        Raises:
            InputError: It is not.
        """
        value = self.options.get(option, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{self.name}: {option} is {value!r}, not a number")
        return float(value)

    # ---- Names and places ---------------------------------------------------------------------------------------------------

    def file_of(self, path: Path) -> str:
        """A path's identity inside the collection: relative, with forward slashes."""
        return path.relative_to(self.folder).as_posix()

    def place(self, path: Path, row: object = None) -> str:
        """A place for messages: source, path inside it, line or row."""
        inside = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.as_posix()
        return f"{self.name}: {inside}" + ("" if row is None else f":{row}")

    # ---- Pictures and boxes -------------------------------------------------------------------------------------------------

    def head(self, path: Path, where: str) -> PictureHead | None:
        """Size and orientation of a picture; None, and an error noted, where it is missing or damaged."""
        try:
            return picture_head(path)
        except InputError as error:
            kind = "unreadable_picture" if path.exists() else "missing_picture"
            file = self.file_of(path) if path.is_relative_to(self.folder) else path.as_posix()
            self.problems.error(kind, where, error.message, picture=(self.name, file))
            return None

    def picture(
        self, path: Path, file: str, boxes: Sequence[Box], *, side: str | None = None, clip: str | None = None
    ) -> Picture:
        """A picture of this source with its boxes; side and clip as the labels say, else as its path and the options say."""
        licence = str(self.options.get("licence", ""))
        return Picture(self.name, file, path, tuple(boxes), side or side_of(file), self._view, clip or self._clip(file), licence)

    def _clip(self, file: str) -> str | None:
        pattern = self.options.get("clip")
        if pattern is None:
            return None
        if pattern == "folder":
            return PurePosixPath(file).parent.as_posix()
        try:
            match = re.search(str(pattern), file)
        except re.error as error:
            raise InputError(f"{self.name}: clip is no regular expression: {error}", hint="or use: clip: folder") from error
        return (match[1] if match.re.groups else match[0]) if match else None

    def box(self, label: str, xyxy: Xyxy, where: str, picture: Key) -> Box | None:
        """Check one label.

        Args:
            label: Class name as the source has it.
            xyxy: Left, top, right, bottom in fractions of the upright picture.
            where: Where it stands.
            picture: The picture it belongs to.

        Returns:
            The box; None where it is bad (noted as an error) or its class is to be dropped.
        """
        meaning: Meaning | None = None
        try:
            meaning = self.classes.meaning(label)
        except TaxonomyError as error:
            self.problems.error("unknown_class", where, str(error), picture=picture, together=f"{self.name}/{label}")
        # Corners are looked at all the same: a person wants to hear of everything at once.
        if meaning == DROP or not self.sound(xyxy, where, picture) or meaning is None:
            return None
        left, top, right, bottom = xyxy
        centred = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        return Box(None if meaning == IGNORE else meaning, centred, self._view)

    def sound(self, xyxy: Xyxy, where: str, picture: Key) -> bool:
        """Whether a box has finite corners, an area, and lies in the picture; arguments as in ``box``.

        What reaches over the edge by at most `OVERSHOOT` of the picture's side is cut there later, and counted; further out it is
        an error, unless the description says ``outside: cut``.
        """
        if not all(map(math.isfinite, xyxy)):
            self.problems.error("not_finite", where, f"a coordinate is not a finite number: {_shown(xyxy)}", picture=picture)
            return False
        left, top, right, bottom = xyxy
        if right <= left or bottom <= top:
            size = f"the box has no area: width {right - left:.4g}, height {bottom - top:.4g} of the picture's"
            self.problems.error("no_area", where, size, picture=picture)
            return False
        if left >= 1 or top >= 1 or right <= 0 or bottom <= 0:
            self.problems.error("outside", where, f"the box lies outside the picture: {_shown(xyxy)}", picture=picture)
            return False
        out = max(-left, -top, right - 1, bottom - 1)
        if out > OVERSHOOT and self.choice("outside", "refuse", "cut") == "refuse":
            said = f"the box reaches out of the picture by {out:.1%} of its side (outside: cut would cut it)"
            self.problems.error("outside", where, said, picture=picture)
            return False
        if out > _ROUNDING:
            self.problems.warning(
                "cut_at_the_edge", where, "a box reaches over the picture's edge and was cut", together=self.name
            )
        return True

    def fractions(
        self, xyxy_px: Sequence[float], stated_px: tuple[float, float], head: PictureHead, where: str, picture: Key
    ) -> Xyxy | None:
        """A box in pixels as fractions of the upright picture.

        Args:
            xyxy_px: Left, top, right, bottom, in pixels of the picture that was labelled.
            stated_px: Its width and height as the label file states them; zeros where it does not.
            head: The picture as it is.
            where: Where it stands.
            picture: The picture it belongs to.

        Returns:
            Fractions; None, and an error noted, where the picture has not the form that the label file states.
        """
        upright = (head.width_px, head.height_px)
        stored = stated_px == head.stored_px != upright
        width_px, height_px = stated_px if all(math.isfinite(v) and v >= 1 for v in stated_px) else upright
        left, top, right, bottom = xyxy_px
        xyxy = (left / width_px, top / height_px, right / width_px, bottom / height_px)
        if stored:
            self._once("turned", where, "labelled as stored, lying on its side: its boxes were turned with it", picture)
            return turned(xyxy, head.orientation)
        if abs(math.log(width_px / height_px * head.height_px / head.width_px)) > _ASPECT:
            said = f"labelled at {width_px:g}x{height_px:g}, but the picture is {upright[0]}x{upright[1]}"
            self.problems.error("other_picture", where, said, picture=picture)
            return None
        if (width_px, height_px) != upright:
            said = f"labelled at {width_px:g}x{height_px:g}, the picture is {upright[0]}x{upright[1]}: its boxes were scaled"
            self._once("other_size", where, said, picture)
        if head.stored_px == upright:
            return self.upright(xyxy, head, where, picture)
        return xyxy

    def upright(self, xyxy: Xyxy, head: PictureHead, where: str, picture: Key) -> Xyxy:
        """Fractions on the upright picture, where a format gives only fractions; ``orientation: stored`` turns them with it."""
        if head.orientation == UPRIGHT:
            return xyxy
        if self.choice("orientation", "upright", "stored") == "stored":
            return turned(xyxy, head.orientation)
        said = "turned by its EXIF data; its boxes are taken as made on the upright picture (orientation: stored says otherwise)"
        self._once("turned", where, said, picture)
        return xyxy

    def _once(self, kind: str, where: str, what: str, picture: Key) -> None:
        """A warning that is counted once a picture, however many boxes it has."""
        if (kind, picture) not in self._said:
            self._said.add((kind, picture))
            self.problems.warning(kind, where, what, together=self.name)


def side_of(file: str) -> str | None:
    """The side a path says: a folder named train, valid, val or test; None where there is none."""
    for part in reversed(PurePosixPath(file).parts[:-1]):
        word = re.sub(r"[^a-z]", "", part.lower())
        if word in _SIDES:
            return _SIDES[word]
    return None


def turned(xyxy: Xyxy, orientation: int) -> Xyxy:
    """A box on the stored picture, in fractions, on the upright one.

    Args:
        xyxy: Left, top, right, bottom.
        orientation: EXIF orientation, 1 to 8.
    """
    left, top, right, bottom = xyxy
    if orientation in {2, 3}:  # mirrored, or turned by half
        left, right = 1 - right, 1 - left
    if orientation in {3, 4}:
        top, bottom = 1 - bottom, 1 - top
    if orientation in {5, 6, 7, 8}:  # by a quarter: rows become columns
        left, top, right, bottom = top, left, bottom, right
        if orientation in {6, 7}:
            left, right = 1 - right, 1 - left
        if orientation in {7, 8}:
            top, bottom = 1 - bottom, 1 - top
    return left, top, right, bottom


def _shown(xyxy: Sequence[float]) -> str:
    return " ".join(f"{v:.4g}" for v in xyxy)
