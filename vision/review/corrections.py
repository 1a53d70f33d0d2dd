"""From what a person did to the labels of a train to verdicts, or to a list of contradictions. Knows nothing of FiftyOne.

What counts as a correction, on the strip and on the frames alike:

    another class on a box             reclass              tag ``confirm``            confirm
    tag ``is:CLASS``                   reclass              tag ``reject``             reject
    a box removed from the strip       reject               tag ``merge`` on neighbours, ``merge:NAME`` to tell groups apart
    a new box                          add                  tag ``split``, ``split:3``: into so many equal parts

A box removed from a frame only says that the vehicle is not to be labelled there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vision.errors import TaxonomyError
from vision.run.verdicts import Kind, Place, Verdict
from vision.taxonomy import default_taxonomy

TAGS = ("confirm", "reject", "merge", "split")
"""The tags that are verdicts; ``is:CLASS`` is one too. Other tags are the person's own."""

_VERDICT_TAG = re.compile(r"(confirm|reject|merge(:[\w-]+)?|split(:\d+)?|is:.+)")
_CLEAR_BOXES = 0.5  # a new box nearer to a vehicle than half its width is that vehicle


@dataclass(frozen=True, slots=True)
class Known:
    """A vehicle as it stood when the review set was made."""

    key: str
    number: int
    class_name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Label:
    """A box as it stands now.

    Attributes:
        key: The vehicle's, or None for a box that a person drew.
        class_name: Its label; None where the person gave none.
        tags: Its tags.
        place: Where a drawn box is; None for a known vehicle's.
        where: The picture, for messages: ``the strip`` or ``the frame at 3.08 s``.
    """

    key: str | None
    class_name: str | None
    tags: frozenset[str]
    place: Place | None
    where: str


@dataclass(frozen=True, slots=True)
class EditedTrain:
    """One train of the review set: as it was, and its labels as they are; ``sign``: of positions along the train coordinate."""

    train_id: str
    sha256: str
    start_s: float
    end_s: float
    sign: int
    known: tuple[Known, ...]
    strip: tuple[Label, ...]
    looks: tuple[Label, ...]


@dataclass(slots=True)
class Corrections:
    """Verdicts without id, name and time, and sentences on what is wrong."""

    verdicts: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Wish:
    """What is asked of one vehicle."""

    known: Known
    tags: set[str] = field(default_factory=set)
    classes: dict[str, str] = field(default_factory=dict)  # class -> where it was said
    removed: bool = False


def corrections_of(trains: Iterable[EditedTrain]) -> Corrections:
    """The verdicts that the labels ask for.

    Where anything is wrong with a train, the sentence names train, vehicle and what contradicts what.
    """
    found = Corrections()
    for train in trains:
        _of_train(train, found)
    return found


def is_verdict_tag(tag: str) -> bool:
    """Whether a tag means a verdict."""
    return _VERDICT_TAG.fullmatch(tag.strip().casefold()) is not None


def _of_train(train: EditedTrain, found: Corrections) -> None:
    wishes = _wishes(train, found)
    merged = _merges(train, wishes, found)
    for wish in wishes.values():
        if wish.known.key not in merged:
            _single(train, wish, found)
    _drawn(train, wishes, merged, found)


def _wishes(train: EditedTrain, found: Corrections) -> dict[str, _Wish]:
    wishes = {known.key: _Wish(known) for known in train.known}
    on_strip = {label.key for label in train.strip}
    for label in (*train.strip, *train.looks):
        wish = wishes.get(label.key) if label.key else None
        if wish is None:
            continue
        tags = {tag.strip() for tag in label.tags}
        wish.tags |= {tag.casefold() for tag in tags if is_verdict_tag(tag) and not tag.casefold().startswith("is:")}
        said = [tag[3:].strip() for tag in tags if tag.casefold().startswith("is:")]
        if label.class_name is None:
            found.problems.append(f"{_name(train, wish.known)} has no class on {label.where}")
        elif label.class_name != wish.known.class_name:
            said.append(label.class_name)
        for name in said:
            resolved = _resolved(name, f"{_name(train, wish.known)} on {label.where}", found)
            if resolved is not None and resolved != wish.known.class_name:
                wish.classes.setdefault(resolved, label.where)
            elif resolved is not None:
                wish.tags.add("confirm")
    for key, wish in wishes.items():
        wish.removed = key not in on_strip
    return wishes


def _single(train: EditedTrain, wish: _Wish, found: Corrections) -> None:
    """Confirm, reclass, reject or split of one vehicle."""
    name = _name(train, wish.known)
    splits = {tag for tag in wish.tags if tag.startswith("split")}
    rejected = wish.removed or "reject" in wish.tags
    how = "its box is gone from the strip" if wish.removed else "it is tagged reject"
    for other, there in (("confirm", "confirm" in wish.tags), ("split", bool(splits)), ("another class", bool(wish.classes))):
        if rejected and there:
            found.problems.append(f"{name}: {how}, and it is given {other}; leave one of the two")
            return
    if len(wish.classes) > 1:
        said = " and ".join(f"{c} on {where}" for c, where in wish.classes.items())
        found.problems.append(f"{name} is called {said}; leave one class")
        return
    if len(splits) > 1:
        found.problems.append(f"{name} is tagged {' and '.join(sorted(splits))}; leave one")
        return
    before = wish.known.place
    if rejected:
        found.verdicts.append(_verdict(train, "reject", (before,), ()))
        return
    class_name = next(iter(wish.classes), wish.known.class_name)
    if (splits or "confirm" in wish.tags) and _resolved(class_name, name, found) is None:
        return
    after = replace(before, class_name=class_name)
    if splits:
        parts = int(splits.pop().partition(":")[2] or 2)
        if not 2 <= parts <= 20:
            found.problems.append(f"{name} is to be split into {parts}; give 2 to 20")
            return
        found.verdicts.append(_verdict(train, "split", (before,), _parts(after, parts, train.sign)))
    elif wish.classes:
        found.verdicts.append(_verdict(train, "reclass", (before,), (after,)))
    elif "confirm" in wish.tags:
        found.verdicts.append(_verdict(train, "confirm", (before,), (after,)))


def _merges(train: EditedTrain, wishes: Mapping[str, _Wish], found: Corrections) -> set[str]:
    """Turn tagged neighbours into one vehicle each; the keys of all that were tagged."""
    order = sorted(wishes.values(), key=lambda w: w.known.number)
    tagged = [(i, tag, w) for i, w in enumerate(order) for tag in sorted(w.tags) if tag.startswith("merge")]
    groups: list[tuple[str, list[int]]] = []
    for i, tag, _ in sorted(tagged, key=lambda item: (item[1], item[0])):
        if groups and groups[-1][0] == tag and _beside(order, groups[-1][1][-1], i):
            groups[-1][1].append(i)
        else:
            groups.append((tag, [i]))
    for tag, members in groups:
        _merge(train, tag, [order[i] for i in members], found)
    return {w.known.key for _, _, w in tagged}


def _beside(order: Sequence[_Wish], a: int, b: int) -> bool:
    """Whether nothing that stays stands between two vehicles."""
    return all(w.removed or "reject" in w.tags for w in order[a + 1 : b])


def _merge(train: EditedTrain, tag: str, members: Sequence[_Wish], found: Corrections) -> None:
    names = ", ".join(str(w.known.number) for w in members)
    name = f"train {train.train_id}, vehicle {names}"
    if len(members) < 2:
        found.problems.append(f"{name} is tagged {tag}, but none of its neighbours is; tag all that are one vehicle")
        return
    if any(w.removed or w.tags - {tag, "confirm"} for w in members):
        found.problems.append(f"{name}: tagged {tag} and with another verdict as well; leave one of the two")
        return
    asked = {c for w in members for c in w.classes}
    classes = asked or {w.known.class_name for w in members}
    if len(asked) > 1:
        found.problems.append(f"{name}: one vehicle cannot be {' and '.join(sorted(asked))}; leave one class")
        return
    resolved = [r for c in sorted(classes) if (r := _resolved(c, name, found)) is not None]
    if len(resolved) < len(classes):
        return
    class_name: str | None = resolved[0]
    for other in resolved[1:]:
        class_name = None if class_name is None else default_taxonomy().back_off(class_name, other)
    if class_name is None:
        found.problems.append(f"{name}: {' and '.join(resolved)} cannot be one vehicle; give one of them the class it has")
        return
    places = [w.known.place for w in members]
    found.verdicts.append(_verdict(train, "merge", tuple(places), (_union(places, class_name, train.sign),)))


def _drawn(train: EditedTrain, wishes: Mapping[str, _Wish], merged: set[str], found: Corrections) -> None:
    """Boxes without a vehicle: new vehicles, unless they lie on one that stays."""
    added: list[tuple[Place, str]] = []
    for label in (*train.strip, *train.looks):
        if label.key is not None or label.place is None or "reject" in label.tags:
            continue
        name = f"train {train.train_id}: the box drawn on {label.where} at {label.place.position_px:.0f} px"
        said = next((tag[3:] for tag in label.tags if tag.casefold().startswith("is:")), label.class_name)
        if not said:
            found.problems.append(f"{name} has no class")
            continue
        class_name = _resolved(said, name, found)
        if class_name is None:
            continue
        place = replace(label.place, class_name=class_name)
        near = _nearest(place, wishes.values())
        if near is not None and not near.removed and "reject" not in near.tags:
            now = next(iter(near.classes), near.known.class_name)
            if label in train.looks and (now == class_name or near.known.key in merged):
                continue  # the vehicle's box on one more frame: a label, no vehicle
            stands = f"vehicle {near.known.number} ({now}) stands there"
            found.problems.append(f"{name} is called {class_name}, but {stands}; change its class, or reject it first")
            continue
        same = [(other, where) for other, where in added if _apart_px(other, place) < _CLEAR_BOXES * max(other.width_px, 1.0)]
        if same and same[0][0].class_name != class_name:
            found.problems.append(f"{name} is called {class_name}, and {same[0][0].class_name} on {same[0][1]}; leave one class")
        elif not same:
            added.append((place, label.where))
    found.verdicts += [_verdict(train, "add", (), (place,)) for place, _ in added]


def _nearest(place: Place, wishes: Iterable[_Wish]) -> _Wish | None:
    """The vehicle on which a drawn box lies."""
    near = min(wishes, key=lambda w: _apart_px(w.known.place, place), default=None)
    if near is None or _apart_px(near.known.place, place) > _CLEAR_BOXES * min(near.known.place.width_px, place.width_px):
        return None
    return near


def _apart_px(a: Place, b: Place) -> float:
    # Positions of one train in one review set: measured from the same head.
    return abs(a.position_px - b.position_px)


def _parts(place: Place, parts: int, sign: int) -> tuple[Place, ...]:
    """A vehicle cut into equal ones, from the head on."""
    width_px = place.width_px / parts
    x0, y0, x1, y1 = place.xyxy_px
    found = []
    for i in range(parts):
        along = (i + 0.5) * width_px - place.width_px / 2
        n = i if sign > 0 else parts - 1 - i
        step = (x1 - x0) / parts
        box = (x0 + n * step, y0, x0 + (n + 1) * step, y1)
        found.append(
            replace(
                place,
                column_px=place.column_px + sign * along,
                position_px=place.position_px + along,
                width_px=width_px,
                reach_px=width_px / 2.5,
                xyxy_px=box,
            )
        )
    return tuple(found)


def _union(places: Sequence[Place], class_name: str, sign: int) -> Place:
    """One vehicle from the first one's front to the last one's back, shown where the widest one is shown best."""
    base = max(places, key=lambda p: p.width_px)
    start = min(p.position_px - p.width_px / 2 for p in places)
    end = max(p.position_px + p.width_px / 2 for p in places)
    moved = (start + end) / 2 - base.position_px
    column_px = base.column_px + sign * moved
    width_px = end - start
    top, bottom = min(p.xyxy_px[1] for p in places), max(p.xyxy_px[3] for p in places)
    box = (column_px - width_px / 2, top, column_px + width_px / 2, bottom)
    return replace(
        base, class_name=class_name, column_px=column_px, position_px=(start + end) / 2, width_px=width_px, reach_px=width_px / 2,
        xyxy_px=box,
    )  # fmt: skip


def _verdict(train: EditedTrain, kind: Kind, before: tuple[Place, ...], after: tuple[Place, ...]) -> Verdict:
    return Verdict("", kind, "", "", train.train_id, train.sha256, train.start_s, train.end_s, before, after)


def _resolved(name: str, where: str, found: Corrections) -> str | None:
    try:
        return default_taxonomy().resolve(name)
    except TaxonomyError as error:
        found.problems.append(f"{where}: {error}")
        return None


def _name(train: EditedTrain, known: Known) -> str:
    return f"train {train.train_id}, vehicle {known.number} ({known.class_name})"
