"""Average precision by leaf, by parent and of any vehicle; of slices of the pictures; with bootstrap intervals.

Detections are matched to the truth by pycocotools, COCO's own code, once for each level. Everything else is summed from those
matches: the figure of a slice gives its pictures the weight 1 and the others 0, a bootstrap resample draws the weights.

Ignore regions are COCO's crowd boxes, given to every class: a detection that lies in one to at least half of its own area counts
neither way.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.errors import DependencyError
from vision.geometry import iou_matrix
from vision.learn.evaluation.intervals import Interval, percentile_interval, resample_weights
from vision.learn.evaluation.truth import Truth
from vision.taxonomy import Taxonomy, default_taxonomy
from vision.types import Detections

LEVELS = ("parent", "leaf", "any")

# The model may give one object two leaves, each with nearly the same box. Under one parent that is one detection.
SAME_OBJECT_IOU = 0.8

SIZES: Mapping[str, tuple[float, float]] = {"all": (0.0, 1e10), "small": (0.0, 0.01), "medium": (0.01, 0.1), "large": (0.1, 1e10)}
"""Sizes of a box as shares of its picture's area: a small one covers less than 1 %, a large one more than 10 %."""

_RECALLS = np.linspace(0.0, 1.0, 101)
_TINY = float(np.spacing(1))
_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB an array


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class.

    Attributes:
        boxes: How many the truth has.
        ap50: Average precision at IoU 0.5, or None without boxes.
        ap: Mean over IoU 0.5 to 0.95, or None without boxes.
    """

    boxes: int
    ap50: float | None
    ap: float | None


@dataclass(frozen=True)
class Figures:
    """Figures of one level on one slice of the pictures.

    Attributes:
        level: ``leaf``, ``parent`` or ``any``.
        part: ``all``, ``source=…``, ``view=…`` or ``size=…``.
        pictures: How many pictures; of a size, those with a box of it.
        classes: Class -> its figures.
        map50_interval: 95 % bootstrap interval of ``map50``, or None where it was not asked for or too few resamples have one.
        map_interval: The same of ``map``.
    """

    level: str
    part: str
    pictures: int
    classes: Mapping[str, ClassFigures]
    map50_interval: Interval | None = None
    map_interval: Interval | None = None

    @property
    def map50(self) -> float | None:
        """Mean of ``ap50`` over the classes that have boxes here."""
        return _mean(c.ap50 for c in self.classes.values())

    @property
    def map(self) -> float | None:
        """Mean of ``ap`` over the classes that have boxes here."""
        return _mean(c.ap for c in self.classes.values())

    @property
    def boxes(self) -> int:
        """Boxes of all classes."""
        return sum(c.boxes for c in self.classes.values())


@dataclass(frozen=True)
class _Matches:
    """One class's detections of one size, by descending score, with what pycocotools made of them.

    Attributes:
        image: (n,) index of the picture.
        score: (n,).
        right: (10, n) at each IoU, whether it is a true detection.
        wrong: (10, n) whether it is a false one; neither for what is ignored.
        boxes: (pictures,) true boxes of each picture.
    """

    image: NDArray[np.int64]
    score: NDArray[np.float64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    boxes: NDArray[np.int64]

    def average_precision(self, weights: NDArray[np.float64], ious: Sequence[int]) -> NDArray[np.float64]:
        """COCO's average precision with weighted pictures.

        Args:
            weights: (r, pictures) how often each picture counts.
            ious: Which of the ten IoU thresholds.

        Returns:
            (r, len(ious)); NaN where no box has weight.
        """
        counted = (weights.max(axis=0) > 0)[self.image]
        rows = max(1, _CELLS // max(1, int(counted.sum())))
        parts = [self._average_precision(weights[i : i + rows], counted, ious) for i in range(0, len(weights), rows)]
        return np.concatenate(parts)

    def _average_precision(
        self, weights: NDArray[np.float64], counted: NDArray[np.bool_], ious: Sequence[int]
    ) -> NDArray[np.float64]:
        boxes = weights @ self.boxes
        of_image = weights[:, self.image[counted]]
        found = np.full((len(weights), len(ious)), np.nan)
        for column, iou in enumerate(ious):
            right = np.cumsum(of_image * self.right[iou, counted], axis=1)
            wrong = np.cumsum(of_image * self.wrong[iou, counted], axis=1)
            for row in np.flatnonzero(boxes > 0):
                found[row, column] = _interpolated(right[row], wrong[row], float(boxes[row])).mean()
        return found

    def curve(self) -> NDArray[np.float64]:
        """Interpolated precision at recall 0, 0.01, ..., 1 and IoU 0.5: (101,)."""
        total = float(self.boxes.sum())
        return _interpolated(np.cumsum(self.right[0], dtype=float), np.cumsum(self.wrong[0], dtype=float), total)


def _interpolated(right: NDArray[np.float64], wrong: NDArray[np.float64], boxes: float) -> NDArray[np.float64]:
    """Highest precision at each of 101 recalls or beyond it, from running counts."""
    recall = right / boxes
    precision = right / (right + wrong + _TINY)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    return np.append(precision, 0.0)[place]


@dataclass(frozen=True)
class Matched:
    """One level's detections matched to the truth.

    Attributes:
        level: ``leaf``, ``parent`` or ``any``.
        classes: Class names.
        image_ids: Pictures, in the order that ``_Matches.image`` indexes.
    """

    level: str
    classes: tuple[str, ...]
    image_ids: tuple[Any, ...]
    _by: Mapping[tuple[str, str], _Matches] = field(repr=False)

    def figures(
        self,
        part: str,
        image_ids: Iterable[Any],
        *,
        size: str = "all",
        draws: NDArray[np.float64] | None = None,
        whole: bool = False,
    ) -> Figures:
        """Figures of some pictures.

        Args:
            part: Name of the slice.
            image_ids: Its pictures.
            size: Boxes of this size alone, one of ``SIZES``.
            draws: (resamples, pictures) bootstrap weights of all pictures; None measures no interval.
            whole: Measure the interval of mAP50-95, too (ten times the work).
        """
        inside = set(image_ids)
        mask = np.array([i in inside for i in self.image_ids], dtype=np.float64)
        classes = {}
        for name in self.classes:
            matches = self._by[name, size]
            values = matches.average_precision(mask[None], range(10))[0]
            count = int(mask @ matches.boxes)
            classes[name] = ClassFigures(count, float(values[0]), float(values.mean())) if count else ClassFigures(0, None, None)
        pictures = len(inside)
        if size != "all":
            pictures = int(np.count_nonzero(mask * sum(self._by[name, size].boxes for name in self.classes)))
        intervals: list[Interval | None] = [None, None]
        if draws is not None and any(c.boxes for c in classes.values()):
            resampled = self.resampled(draws * mask, size=size, ious=range(10) if whole else (0,))
            intervals[0] = percentile_interval(resampled[:, 0])
            intervals[1] = percentile_interval(resampled.mean(axis=1)) if whole else None
        return Figures(self.level, part, pictures, classes, *intervals)

    def resampled(self, weights: NDArray[np.float64], *, size: str = "all", ious: Sequence[int] = (0,)) -> NDArray[np.float64]:
        """Mean average precision over the classes with boxes, for each row of weights: (r, len(ious)); NaN without any."""
        values = np.stack([self._by[name, size].average_precision(weights, ious) for name in self.classes])
        present = ~np.isnan(values)
        number = present.sum(axis=0)
        return np.asarray(np.where(number > 0, np.where(present, values, 0).sum(axis=0) / np.maximum(number, 1), np.nan))

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """Precision at recall 0, 0.01, ..., 1 and IoU 0.5 of each class that has boxes."""
        return {n: self._by[n, "all"].curve() for n in self.classes if self._by[n, "all"].boxes.any()}


def match(
    truth: Truth, detections: Sequence[Detections], class_names: Sequence[str], level: str, tree: Taxonomy, *, sizes: bool = True
) -> Matched:
    """Match a detector's boxes to the truth at one level.

    Args:
        truth: Ground truth.
        detections: A picture each, in its order.
        class_names: Name of each ``class_id``, in the taxonomy. A parent that is no leaf is never right at leaf level.
        level: One of ``LEVELS``.
        tree: The class tree.
        sizes: Match every size of ``SIZES``, not only all together (four times the work).

    Raises:
        DependencyError: pycocotools is not installed.
    """
    classes, name_of = _classes(level, tree)
    index = {name: i for i, name in enumerate(classes)}
    found_index = np.array([index.get(name_of(name), -1) for name in class_names], dtype=np.int32)
    coco, coco_eval = pycocotools()
    names = tuple(SIZES) if sizes else ("all",)
    with _quiet():
        expected, given = coco(), coco()
        common = {
            "images": [{"id": i} for i in range(1, len(truth.images) + 1)],
            "categories": [{"id": i, "name": name} for name, i in index.items()],
        }
        expected.dataset = {
            **common,
            "annotations": _true_rows(truth, [index[name_of(leaf)] for leaf in truth.leaves], len(classes)),
        }
        given.dataset = {**common, "annotations": _found_rows(truth, detections, found_index, merge=level != "leaf")}
        expected.createIndex()
        given.createIndex()
        run = coco_eval(expected, given, "bbox")
        run.params.areaRng, run.params.areaRngLbl = [list(SIZES[n]) for n in names], list(names)
        run.evaluate()
    pictures = len(truth.images)
    by = {}
    for c, class_name in enumerate(classes):
        for s, size in enumerate(names):
            start = (c * len(names) + s) * pictures
            by[class_name, size] = _collect(run.evalImgs[start : start + pictures], len(run.params.iouThrs))
    return Matched(level, tuple(classes), tuple(row["id"] for row in truth.images), by)


def evaluate(
    truth: Truth,
    detections: Sequence[Detections],
    class_names: Sequence[str],
    taxonomy: Taxonomy | None = None,
    *,
    by: Sequence[str] = ("source", "view"),
    sizes: bool = False,
    resamples: int = 0,
) -> list[Figures]:
    """Measure detections against the truth.

    Args:
        truth: Ground truth.
        detections: A picture each, in its order.
        class_names: Leaf name of each ``class_id``.
        taxonomy: The class tree; None takes the project's.
        by: Columns of ``truth.images`` to measure separately by.
        sizes: Measure small, medium and large boxes separately, too.
        resamples: Bootstrap resamples for the intervals; 0 leaves them out.

    Returns:
        Figures of each level over all pictures, then of each slice.
    """
    tree = taxonomy or default_taxonomy()
    matched = [match(truth, detections, class_names, level, tree, sizes=sizes) for level in LEVELS]
    return slice_figures(truth, matched, by=by, sizes=sizes, draws=picture_draws(truth, resamples) if resamples else None)


def picture_draws(truth: Truth, resamples: int) -> NDArray[np.float64]:
    """Bootstrap weights of the pictures, (resamples, pictures): scenes are drawn where the truth knows them."""
    return resample_weights([row.get("group", ("picture", row["id"])) for row in truth.images], resamples=resamples)


def slice_figures(
    truth: Truth, matched: Sequence[Matched], *, by: Sequence[str], sizes: bool, draws: NDArray[np.float64] | None
) -> list[Figures]:
    """Figures of all pictures, of each source, view, ... and of each size, each at every level."""
    everything = [row["id"] for row in truth.images]
    slices: dict[str, list[Any]] = {}
    for column in by:
        for row in truth.images:
            slices.setdefault(f"{column}={row[column]}", []).append(row["id"])
    figures = [m.figures("all", everything, draws=draws, whole=True) for m in matched]
    figures += [m.figures(part, image_ids, draws=draws) for part, image_ids in slices.items() for m in matched]
    if sizes:
        figures += [m.figures(f"size={s}", everything, size=s, draws=draws) for s in SIZES if s != "all" for m in matched]
    return figures


def _classes(level: str, tree: Taxonomy) -> tuple[Sequence[str], Callable[[str], str]]:
    """Class names of a level, and how a leaf is named in it."""
    if level == "leaf":
        return tree.leaves, tree.resolve
    if level == "parent":
        return tree.parents, tree.parent_of
    return ("any",), lambda _: "any"


def _true_rows(truth: Truth, class_of: Sequence[int], classes: int) -> list[dict[str, Any]]:
    """COCO annotations; the area is the share of the picture's, in which sizes are told."""
    place = {row["id"]: (i, row["width"] * row["height"]) for i, row in enumerate(truth.images, start=1)}
    boxes = [(r["image_id"], class_of[r["category_id"]], r["bbox"], 0) for r in truth.annotations]
    boxes += [(r["image_id"], i, r["bbox"], 1) for r in truth.ignored for i in range(classes)]
    rows = []
    for number, (image_id, class_id, bbox, crowd) in enumerate(boxes, start=1):
        image, area = place[image_id]
        share = bbox[2] * bbox[3] / area
        rows.append({"id": number, "image_id": image, "category_id": class_id, "bbox": bbox, "area": share, "iscrowd": crowd})
    return rows


def _found_rows(
    truth: Truth, detections: Sequence[Detections], class_of: NDArray[np.int32], *, merge: bool
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for image, (picture, found) in enumerate(zip(truth.images, detections, strict=True), start=1):
        renamed = Detections(found.xyxy_px, found.score, class_of[found.class_id])
        kept = renamed[renamed.class_id >= 0]
        kept = merge_same_object(kept) if merge else kept
        area = picture["width"] * picture["height"]
        for (x0, y0, x1, y1), score, label in zip(
            kept.xyxy_px.tolist(), kept.score.tolist(), kept.class_id.tolist(), strict=True
        ):
            box = [x0, y0, x1 - x0, y1 - y0]
            row = {"image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3] / area, "score": score}
            rows.append({"id": len(rows) + 1, "iscrowd": 0, **row})
    return rows


def _collect(pictures: Sequence[Mapping[str, Any] | None], ious: int) -> _Matches:
    """What pycocotools says of each picture, put together and sorted by score."""
    boxes = np.zeros(len(pictures), np.int64)
    parts = []
    for i, row in enumerate(pictures):
        if row is not None:
            ignored = np.asarray(row["dtIgnore"], dtype=bool)
            hit = np.asarray(row["dtMatches"]) > 0
            scores = np.asarray(row["dtScores"], dtype=np.float64)
            parts.append((np.full(len(scores), i), scores, hit & ~ignored, ~hit & ~ignored))
            boxes[i] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
    if not parts:
        nothing = np.zeros((ious, 0), bool)
        return _Matches(np.zeros(0, np.int64), np.zeros(0), nothing, nothing, boxes)
    image, score = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    right, wrong = (np.concatenate([p[k].reshape(ious, -1) for p in parts], axis=1) for k in (2, 3))
    order = np.argsort(-score, kind="mergesort")
    return _Matches(image[order], score[order], right[:, order], wrong[:, order], boxes)


def merge_same_object(found: Detections, iou: float = SAME_OBJECT_IOU) -> Detections:
    """Keep the highest score of detections that share a class and a place.

    Args:
        found: Detections of one picture.
        iou: Overlap from which two boxes of one class are the same object.
    """
    order = np.argsort(-found.score, kind="stable")
    same = (iou_matrix(found.xyxy_px, found.xyxy_px) > iou) & (found.class_id[:, None] == found.class_id[None, :])
    kept: list[int] = []
    for i in order:
        if not same[i, kept].any():
            kept.append(int(i))
    return found[np.array(kept, dtype=int)]


def _mean(values: Iterable[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if present else None


def pycocotools() -> tuple[Any, Any]:
    """COCO's own classes.

    Raises:
        DependencyError: They are not installed.
    """
    try:
        from pycocotools.coco import COCO  # noqa: PLC0415
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("measuring a detector needs pycocotools", hint="install flatcar[train]") from error
    return COCO, COCOeval


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pycocotools prints its progress."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
