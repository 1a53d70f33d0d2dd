"""Measure a detector on the validation pictures of a built set.

    python -m vision.learn.evaluate --data BUILT/data.yaml --weights flatcar-n-v1

Three levels are measured: every class on its own (leaf); a class mistaken for another of the same parent being right
(parent), which is what a count falls back on; and any vehicle at all (any), which is what a count of vehicles needs.
Average precision is COCO's, computed by pycocotools. Ignore regions are its crowd boxes, given to every class: a
detection that lies in one to at least half of its own area counts neither way.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vision.config import DetectConfig
from vision.detect import build_detector
from vision.errors import DependencyError, FlatcarError, InputError
from vision.taxonomy import Taxonomy, default_taxonomy
from vision.types import Detections

Image = npt.NDArray[np.uint8]
LEVELS = ("parent", "leaf", "any")

# The model may give one object two leaves, each with nearly the same box. Under one parent that is one detection.
SAME_OBJECT_IOU = 0.8
BATCH = 16

# Average precision needs the whole curve: detections far below any score a scan would use.
MIN_SCORE = 0.001


class Detects(Protocol):
    """What can be measured: anything that finds boxes in pictures."""

    @property
    def class_names(self) -> Sequence[str]:
        """Name of each class index."""
        ...

    def detect(self, images: Sequence[Image]) -> Sequence[Detections]:
        """Detections of each picture, H x W x 3, uint8, BGR."""
        ...


@dataclass(frozen=True)
class Truth:
    """Ground truth of a built set.

    Attributes:
        root: Folder the file names are relative to.
        leaves: Name of each category.
        images: Rows with ``id``, ``file_name``, ``width``, ``height``, ``source``, ``view``.
        annotations: Rows with ``image_id``, ``category_id``, ``bbox`` (left, top, width, height, pixels).
        ignored: Rows with ``image_id``, ``bbox``: regions that count neither way.
    """

    root: Path
    leaves: tuple[str, ...]
    images: tuple[Mapping[str, Any], ...]
    annotations: tuple[Mapping[str, Any], ...]
    ignored: tuple[Mapping[str, Any], ...]

    @classmethod
    def load(cls, data: Path) -> Truth:
        """Read the truth beside a built set's ``data.yaml`` (or in the folder itself).

        Raises:
            InputError: There is none, or it is not in that form.
        """
        path = (data if data.is_dir() else data.parent) / "truth.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            leaves = tuple(c["name"] for c in sorted(raw["categories"], key=lambda c: c["id"]))
            return cls(path.parent, leaves, tuple(raw["images"]), tuple(raw["annotations"]), tuple(raw["ignored"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"no ground truth in {path}: {error}", hint="build the set with vision.learn.build") from error


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
        part: ``all``, ``source=…`` or ``view=…``.
        pictures: How many pictures.
        classes: Class -> its figures.
    """

    level: str
    part: str
    pictures: int
    classes: Mapping[str, ClassFigures]

    @property
    def map50(self) -> float | None:
        """Mean of ``ap50`` over the classes that have boxes here."""
        return _mean(c.ap50 for c in self.classes.values())

    @property
    def map(self) -> float | None:
        """Mean of ``ap`` over the classes that have boxes here."""
        return _mean(c.ap for c in self.classes.values())


@dataclass(frozen=True)
class FalseAlarms:
    """What the detector sees where nothing is.

    Attributes:
        pictures: Pictures without any vehicle.
        score: Score from which a detection counts.
        detections: Detections of military classes on them.
        pictures_hit: Pictures with at least one.
    """

    pictures: int
    score: float
    detections: int
    pictures_hit: int


def predict(detector: Detects, truth: Truth, *, batch: int = BATCH) -> list[Detections]:
    """Run a detector over the validation pictures.

    Args:
        detector: Anything with ``detect``.
        truth: The pictures.
        batch: Pictures a call.

    Returns:
        Detections, a picture each, in the order of ``truth.images``.

    Raises:
        InputError: A picture cannot be read.
    """
    found: list[Detections] = []
    for start in range(0, len(truth.images), batch):
        images = [_read(truth.root / row["file_name"]) for row in truth.images[start : start + batch]]
        found += detector.detect(images)
    return found


def evaluate(
    truth: Truth,
    detections: Sequence[Detections],
    class_names: Sequence[str],
    taxonomy: Taxonomy | None = None,
    *,
    by: Sequence[str] = ("source", "view"),
) -> list[Figures]:
    """Measure detections against the truth.

    Args:
        truth: Ground truth.
        detections: A picture each, in its order.
        class_names: Leaf name of each ``class_id``.
        taxonomy: The class tree; None takes the project's.
        by: Columns of ``truth.images`` to measure separately by.

    Returns:
        Figures of each level over all pictures, then of each slice.
    """
    tree = taxonomy or default_taxonomy()
    slices: dict[str, list[int]] = {"all": [row["id"] for row in truth.images]}
    for column in by:
        for row in truth.images:
            slices.setdefault(f"{column}={row[column]}", []).append(row["id"])
    figures = []
    for level in LEVELS:
        classes, name_of = _classes(level, tree)
        measure = _measure(truth, detections, class_names, classes, name_of, merge=level != "leaf")
        figures += [measure(level, part, image_ids) for part, image_ids in slices.items()]
    order = {part: i for i, part in enumerate(slices)}
    return sorted(figures, key=lambda f: (order[f.part], LEVELS.index(f.level)))


def false_alarms(
    truth: Truth,
    detections: Sequence[Detections],
    class_names: Sequence[str],
    taxonomy: Taxonomy | None = None,
    *,
    score: float = 0.25,
) -> FalseAlarms:
    """Count military detections on pictures that have neither boxes nor ignore regions."""
    tree = taxonomy or default_taxonomy()
    military = np.array([tree.is_military(n) for n in class_names])
    busy = {row["image_id"] for row in (*truth.annotations, *truth.ignored)}
    empty = [d for row, d in zip(truth.images, detections, strict=True) if row["id"] not in busy]
    hits = [int(np.count_nonzero(military[d.class_id] & (d.score >= score))) for d in empty]
    return FalseAlarms(len(empty), score, sum(hits), sum(h > 0 for h in hits))


def _classes(level: str, tree: Taxonomy) -> tuple[Sequence[str], Callable[[str], str]]:
    """Class names of a level, and how a leaf is named in it."""
    if level == "leaf":
        return tree.leaves, tree.resolve
    if level == "parent":
        return tree.parents, tree.parent_of
    return ("any",), lambda _: "any"


def _measure(
    truth: Truth,
    detections: Sequence[Detections],
    class_names: Sequence[str],
    classes: Sequence[str],
    name_of: Callable[[str], str],
    *,
    merge: bool,
) -> Callable[[str, str, Sequence[int]], Figures]:
    coco, coco_eval = _pycocotools()
    index = {name: i for i, name in enumerate(classes)}
    truth_index = [index[name_of(leaf)] for leaf in truth.leaves]
    found_index = np.array([index[name_of(name)] for name in class_names], dtype=np.int32)
    boxes = [(r["image_id"], truth_index[r["category_id"]], r["bbox"], 0) for r in truth.annotations]
    boxes += [(r["image_id"], i, r["bbox"], 1) for r in truth.ignored for i in range(len(classes))]
    rows: list[dict[str, Any]] = []
    for image, found in zip(truth.images, detections, strict=True):
        renamed = Detections(found.xyxy_px, found.score, found_index[found.class_id])
        kept = merge_same_object(renamed) if merge else renamed
        for (x0, y0, x1, y1), score, label in zip(
            kept.xyxy_px.tolist(), kept.score.tolist(), kept.class_id.tolist(), strict=True
        ):
            rows.append({"image_id": image["id"], "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    with _quiet():
        expected = coco()
        expected.dataset = {
            "images": [dict(i) for i in truth.images],
            "categories": [{"id": i, "name": name} for name, i in index.items()],
            "annotations": [
                {"id": n, "image_id": im, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": crowd}
                for n, (im, c, b, crowd) in enumerate(boxes, start=1)
            ],
        }
        expected.createIndex()
        # loadRes refuses an empty list; a detector that finds nothing has an average precision of zero.
        given = expected.loadRes(
            rows or [{"image_id": truth.images[0]["id"], "category_id": 0, "bbox": [0, 0, 0, 0], "score": 0.0}]
        )

    def measure(level: str, part: str, image_ids: Sequence[int]) -> Figures:
        with _quiet():
            run = coco_eval(expected, given, "bbox")
            run.params.imgIds = list(image_ids)
            run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
            run.evaluate()
            run.accumulate()
        precision = run.eval["precision"][:, :, :, 0, -1]  # IoU x recall x class
        inside = set(image_ids)
        count = np.bincount([c for im, c, _, crowd in boxes if im in inside and not crowd], minlength=len(classes))
        figures = {name: _class_figures(int(count[i]), precision[:, :, i]) for name, i in index.items()}
        return Figures(level, part, len(image_ids), figures)

    return measure


def merge_same_object(found: Detections, iou: float = SAME_OBJECT_IOU) -> Detections:
    """Keep the highest score of detections that share a class and a place.

    Args:
        found: Detections of one picture.
        iou: Overlap from which two boxes of one class are the same object.
    """
    order = np.argsort(-found.score, kind="stable")
    left, top, right, bottom = found.xyxy_px.T
    area = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    kept: list[int] = []
    for i in order:
        k = np.array([j for j in kept if found.class_id[j] == found.class_id[i]], dtype=int)
        width = np.minimum(right[k], right[i]) - np.maximum(left[k], left[i])
        height = np.minimum(bottom[k], bottom[i]) - np.maximum(top[k], top[i])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        if not np.any(shared > iou * (area[k] + area[i] - shared)):
            kept.append(int(i))
    return found[np.array(kept, dtype=int)]


def _class_figures(boxes: int, precision: npt.NDArray[np.float64]) -> ClassFigures:
    if not boxes:
        return ClassFigures(0, None, None)
    return ClassFigures(boxes, float(precision[0].mean()), float(precision.mean()))


def _mean(values: Iterable[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if present else None


def _pycocotools() -> tuple[Any, Any]:
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


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"cannot read the picture {path}")
    return np.asarray(image, dtype=np.uint8)


def table(figures: Sequence[Figures], alarms: FalseAlarms) -> str:
    """The figures as text: one line a level and slice, then the classes over all pictures."""
    lines = [f"{'level':8} {'pictures of':26} {'pictures':>8} {'boxes':>6} {'mAP50':>6} {'mAP50-95':>8}"]
    for f in figures:
        boxes = sum(c.boxes for c in f.classes.values())
        lines.append(f"{f.level:8} {f.part:26} {f.pictures:8d} {boxes:6d} {_figure(f.map50):>6} {_figure(f.map):>8}")
    lines += ["", f"{'level':8} {'class':26} {'':8} {'boxes':>6} {'AP50':>6} {'AP50-95':>8}"]
    for f in figures:
        if f.part == "all" and f.level != "any":
            for name, c in f.classes.items():
                lines.append(f"{f.level:8} {name:26} {'':8} {c.boxes:6d} {_figure(c.ap50):>6} {_figure(c.ap):>8}")
    lines += [
        "",
        f"{alarms.pictures} pictures without a vehicle: {alarms.detections} military detections with a score of "
        f"{alarms.score:g} or more, on {alarms.pictures_hit} of them",
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def document(figures: Sequence[Figures], alarms: FalseAlarms) -> dict[str, Any]:
    """The figures as plain data, for JSON."""
    rows = [{**asdict(f), "map50": f.map50, "map": f.map} for f in figures]
    return {"figures": rows, "false_alarms": asdict(alarms)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure weights from the command line."""
    parser = argparse.ArgumentParser(prog="python -m vision.learn.evaluate", description="Measure a detector.")
    parser.add_argument("--data", type=Path, required=True, help="data.yaml of a built set, or its folder")
    parser.add_argument("--weights", default="default", help="a name from the registry, or a file")
    parser.add_argument("--backend", default="auto", choices=("auto", "openvino", "ultralytics"))
    parser.add_argument("--score", type=float, default=0.25, help="score from which a false alarm counts (0.25)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args(argv)
    try:
        truth = Truth.load(args.data)
        settings = {"weights": args.weights, "backend": args.backend, "min_score": MIN_SCORE}
        detector = build_detector(DetectConfig.model_validate(settings))
        try:
            detections = predict(detector, truth)
        finally:
            detector.close()
        figures = evaluate(truth, detections, detector.class_names)
        alarms = false_alarms(truth, detections, detector.class_names, score=args.score)
    except FlatcarError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if args.json:
        args.json.write_text(json.dumps(document(figures, alarms), indent=1) + "\n", encoding="utf-8")
    print(table(figures, alarms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
