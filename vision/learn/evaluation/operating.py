"""What a scan would report of single pictures: objects at the operating point, class by class, and where nothing is.

The operating point is ``detect.min_score``, a threshold on the score of pooled objects (`vision.detect.objects`). An object
belongs to the free true box it overlaps most, to at least IoU 0.5, whatever the classes; objects with higher scores choose first.
What belongs to none and lies in an ignore region to at least half of its area counts neither way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.detect.objects import LOWEST_SCORE, pool_objects
from vision.geometry import Boxes, area_px2, iou_matrix
from vision.learn.evaluation.intervals import Interval, poisson_rate, wilson
from vision.learn.evaluation.precision import SIZES
from vision.learn.evaluation.truth import Truth
from vision.taxonomy import Taxonomy
from vision.types import Detections

MATCH_IOU = 0.5
IGNORED_SHARE = 0.5

MISSED = "missed"
BACKGROUND = "background"

_ALONE, _IGNORED = -1, -2


@dataclass(frozen=True)
class SeenObject:
    """One pooled object.

    Attributes:
        xyxy_px: Its box.
        class_name: Leaf.
        score: Pooled score.
        best: The highest score of one of its boxes.
        truth: Index into ``Scored.boxes``, or None where it belongs to none.
    """

    xyxy_px: tuple[float, float, float, float]
    class_name: str
    score: float
    best: float
    truth: int | None


@dataclass(frozen=True)
class TrueBox:
    """One box of the truth.

    Attributes:
        xyxy_px: The box.
        class_name: Leaf.
        size: ``small``, ``medium`` or ``large``.
    """

    xyxy_px: tuple[float, float, float, float]
    class_name: str
    size: str


@dataclass(frozen=True)
class Scored:
    """One picture's objects against its truth.

    Attributes:
        row: The picture's row in the truth.
        boxes: True boxes.
        objects: Objects by descending score, those on ignore regions left out.
        ignored: Ignore regions.
    """

    row: Mapping[str, Any]
    boxes: tuple[TrueBox, ...]
    objects: tuple[SeenObject, ...]
    ignored: tuple[tuple[float, float, float, float], ...] = ()

    def above(self, min_score: float) -> list[SeenObject]:
        """Objects with at least this pooled score. As better ones choose first, the others do not change to what these belong."""
        return [o for o in self.objects if o.score >= min_score]


def score_pictures(truth: Truth, looked: Sequence[Detections], class_names: tuple[str, ...]) -> list[Scored]:
    """Pool each picture's boxes into objects, down to ``LOWEST_SCORE``, and match them to the truth.

    Args:
        truth: Ground truth.
        looked: Boxes of each picture before pooling, in its order.
        class_names: Name of each ``class_id``.
    """
    boxes, ignored = defaultdict(list), defaultdict(list)
    for row in truth.annotations:
        boxes[row["image_id"]].append(row)
    for row in truth.ignored:
        ignored[row["image_id"]].append(row)
    scored = []
    for image, found in zip(truth.images, looked, strict=True):
        here = [_true_box(row, truth.leaves, image) for row in boxes[image["id"]]]
        regions = [_xyxy(row["bbox"]) for row in ignored[image["id"]]]
        pooled = pool_objects(found, class_names, min_score=LOWEST_SCORE)
        belongs = belonging(pooled.xyxy_px, _array([b.xyxy_px for b in here]), _array(regions))
        best = best_scores(pooled, found)
        objects = tuple(
            SeenObject(_four(box), class_names[class_id], score, own, None if to == _ALONE else to)
            for box, class_id, score, own, to in zip(
                pooled.xyxy_px.tolist(), pooled.class_id.tolist(), pooled.score.tolist(), best.tolist(), belongs, strict=True
            )
            if to != _IGNORED
        )
        scored.append(Scored(image, tuple(here), objects, tuple(regions)))
    return scored


def belonging(objects: Boxes, boxes: Boxes, ignored: Boxes) -> list[int]:
    """To which true box each object belongs.

    Args:
        objects: (n, 4) by descending score.
        boxes: (m, 4) true boxes.
        ignored: (k, 4) ignore regions.

    Returns:
        An index into ``boxes`` each, no index twice; -1 for none, -2 for an object on an ignore region.
    """
    overlap = iou_matrix(objects, boxes)
    free = np.ones(len(boxes), bool)
    covered = _covered_share(objects, ignored)
    belongs = []
    for i in range(len(objects)):
        candidates = np.where(free & (overlap[i] >= MATCH_IOU), overlap[i], -1.0)
        if len(boxes) and candidates.max() > 0:
            best = int(candidates.argmax())
            free[best] = False
            belongs.append(best)
        else:
            belongs.append(_IGNORED if covered[i] >= IGNORED_SHARE else _ALONE)
    return belongs


def best_scores(pooled: Detections, found: Detections) -> NDArray[np.float32]:
    """The highest single score of each pooled object: its box is that of the box with that score."""
    if not len(pooled):
        return np.zeros(0, np.float32)
    same = (pooled.xyxy_px[:, None, :] == found.xyxy_px[None, :, :]).all(axis=2)
    return np.asarray(np.where(same, found.score[None, :], 0).max(axis=1), dtype=np.float32)


@dataclass(frozen=True)
class ClassScore:
    """A class at the operating point.

    Attributes:
        boxes: How many the truth has.
        found: How many of them an object of this class belongs to.
        other: How many an object of another class belongs to.
        missed: How many no object belongs to.
        objects: Objects of this class.
        recall, precision: ``found`` of ``boxes`` and of ``objects``, None without any.
        recall_interval, precision_interval: Wilson's intervals of 95 %.
    """

    boxes: int
    found: int
    other: int
    missed: int
    objects: int
    recall: float | None
    precision: float | None
    recall_interval: Interval | None
    precision_interval: Interval | None

    @classmethod
    def of(cls, boxes: int, found: int, other: int, objects: int) -> ClassScore:
        return cls(
            boxes,
            found,
            other,
            boxes - found - other,
            objects,
            found / boxes if boxes else None,
            found / objects if objects else None,
            wilson(found, boxes),
            wilson(found, objects),
        )


def class_scores(scored: Iterable[Scored], min_score: float, level: str, tree: Taxonomy) -> dict[str, ClassScore]:
    """Recall and precision of each class of a level (``parent``, ``leaf`` or ``any``) that occurs."""
    boxes, found, other, objects = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for picture in scored:
        boxes.update(named(b.class_name, level, tree) for b in picture.boxes)
        for o in picture.above(min_score):
            name = named(o.class_name, level, tree)
            objects[name] += 1
            if o.truth is not None:
                true_name = named(picture.boxes[o.truth].class_name, level, tree)
                (found if true_name == name else other)[true_name] += 1
    return {n: ClassScore.of(boxes[n], found[n], other[n], objects[n]) for n in class_order(level, tree, {*boxes, *objects})}


def class_order(level: str, tree: Taxonomy, names: Iterable[str]) -> list[str]:
    """Names in the order of tables."""
    present = set(names)
    known = {"parent": tree.parents, "leaf": (*tree.leaves, *(p for p in tree.parents if p not in tree.leaves)), "any": ("any",)}
    return [n for n in known[level] if n in present]


def named(class_name: str, level: str, tree: Taxonomy) -> str:
    """How a class is called at a level."""
    if level == "any":
        return "any"
    return tree.parent_of(class_name) if level == "parent" else tree.resolve(class_name)


@dataclass(frozen=True)
class Confusion:
    """What was taken for what.

    Attributes:
        level: ``parent`` or ``leaf``.
        rows: True classes, the last one ``background``.
        columns: Classes reported, the last one ``missed``.
        counts: For each row and column how often.
        shares: The counts as shares of their row; those of the background as shares of all false objects.
    """

    level: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]


def confusion(scored: Iterable[Scored], min_score: float, level: str, tree: Taxonomy) -> Confusion:
    """The confusion table at the operating point."""
    pairs: Counter[tuple[str, str]] = Counter()
    for picture in scored:
        seen = {o.truth: o for o in picture.above(min_score) if o.truth is not None}
        for i, box in enumerate(picture.boxes):
            pairs[named(box.class_name, level, tree), named(seen[i].class_name, level, tree) if i in seen else MISSED] += 1
        for o in picture.above(min_score):
            if o.truth is None:
                pairs[BACKGROUND, named(o.class_name, level, tree)] += 1
    names = class_order(level, tree, {n for pair in pairs for n in pair})
    true = {row for row, _ in pairs}
    rows = (*(n for n in names if n in true), BACKGROUND)
    columns = (*names, MISSED)
    counts = tuple(tuple(pairs[row, column] for column in columns) for row in rows)
    shares = tuple(tuple(n / max(1, sum(row)) for n in row) for row in counts)
    return Confusion(level, rows, columns, counts, shares)


@dataclass(frozen=True)
class FalseAlarms:
    """Military vehicles that the detector sees where there are none.

    Attributes:
        pictures: Pictures looked at.
        score: Score from which an object counts.
        detections: Objects of military classes that belong to no military vehicle.
        pictures_hit: Pictures with at least one.
        per_picture: ``detections`` a picture, None without pictures.
        per_picture_interval: Exact Poisson interval of 95 %.
        share_hit: Share of the pictures with at least one.
        share_hit_interval: Wilson's interval of 95 %.
    """

    pictures: int
    score: float
    detections: int
    pictures_hit: int
    per_picture: float | None
    per_picture_interval: Interval | None
    share_hit: float | None
    share_hit_interval: Interval | None

    @classmethod
    def of(cls, counts: Sequence[int], score: float) -> FalseAlarms:
        """From the number of false objects on each picture."""
        return cls.summed(len(counts), sum(counts), sum(n > 0 for n in counts), score)

    @classmethod
    def summed(cls, pictures: int, detections: int, hit: int, score: float) -> FalseAlarms:
        """From the numbers of pictures, of false objects, and of pictures with at least one."""
        rate, share = (detections / pictures, hit / pictures) if pictures else (None, None)
        return cls(pictures, score, detections, hit, rate, poisson_rate(detections, pictures), share, wilson(hit, pictures))


def false_alarms(scored: Iterable[Scored], min_score: float, tree: Taxonomy) -> FalseAlarms:
    """Count military objects that belong to no box, or to one of a class that is not military."""
    return FalseAlarms.of([len(false_military(picture, min_score, tree)) for picture in scored], min_score)


def false_military(picture: Scored, min_score: float, tree: Taxonomy) -> list[SeenObject]:
    """Objects of military classes that belong to no military vehicle."""
    return [
        o
        for o in picture.above(min_score)
        if tree.is_military(o.class_name) and (o.truth is None or not tree.is_military(picture.boxes[o.truth].class_name))
    ]


@dataclass(frozen=True)
class SliceScore:
    """Part of the pictures, or of the boxes, at the operating point.

    Attributes:
        part: ``all``, ``source=…``, ``view=…`` or ``size=…``.
        boxes: How many the truth has.
        found: How many an object belongs to, whatever its class.
        named: How many of them have the right parent.
        found_interval, named_interval: Wilson's intervals of 95 % of their shares of ``boxes``.
        false_alarms: False military objects on these pictures; None for a size.
    """

    part: str
    boxes: int
    found: int
    named: int
    found_interval: Interval | None
    named_interval: Interval | None
    false_alarms: FalseAlarms | None


def slice_scores(scored: Sequence[Scored], min_score: float, tree: Taxonomy, *, by: Sequence[str]) -> list[SliceScore]:
    """The operating point on all pictures, by columns of the truth, and by size of box."""
    parts: dict[str, list[Scored]] = {"all": list(scored)}
    for column in by:
        for picture in scored:
            parts.setdefault(f"{column}={picture.row[column]}", []).append(picture)
    slices = [_slice(part, pictures, min_score, tree, None) for part, pictures in parts.items()]
    return slices + [_slice(f"size={size}", scored, min_score, tree, size) for size in SIZES if size != "all"]


def _slice(part: str, pictures: Sequence[Scored], min_score: float, tree: Taxonomy, size: str | None) -> SliceScore:
    boxes = found = right = 0
    for picture in pictures:
        seen = {o.truth: o for o in picture.above(min_score) if o.truth is not None}
        for i, box in enumerate(picture.boxes):
            if size in {None, box.size}:
                boxes += 1
                found += i in seen
                right += i in seen and tree.parent_of(seen[i].class_name) == tree.parent_of(box.class_name)
    alarms = None if size else false_alarms(pictures, min_score, tree)
    return SliceScore(part, boxes, found, right, wilson(found, boxes), wilson(right, boxes), alarms)


def _true_box(row: Mapping[str, Any], leaves: Sequence[str], image: Mapping[str, Any]) -> TrueBox:
    share = row["bbox"][2] * row["bbox"][3] / (image["width"] * image["height"])
    size = next(name for name, (_, high) in SIZES.items() if name != "all" and share <= high)
    return TrueBox(_xyxy(row["bbox"]), leaves[row["category_id"]], size)


def _xyxy(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, width, height = (float(v) for v in bbox)
    return left, top, left + width, top + height


def _four(values: Sequence[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = values
    return x0, y0, x1, y1


def _array(boxes: Sequence[tuple[float, float, float, float]]) -> Boxes:
    return np.asarray(boxes, dtype=np.float32).reshape(-1, 4)


def _covered_share(objects: Boxes, regions: Boxes) -> NDArray[np.float32]:
    """Largest share of each object that lies in one of the regions, (n,)."""
    if not len(regions):
        return np.zeros(len(objects), np.float32)
    top_left = np.maximum(objects[:, None, :2], regions[None, :, :2])
    bottom_right = np.minimum(objects[:, None, 2:], regions[None, :, 2:])
    size = np.clip(bottom_right - top_left, 0, None)
    area = np.maximum(area_px2(objects), 1e-9)
    return np.asarray((size[..., 0] * size[..., 1]).max(axis=1) / area, dtype=np.float32)
