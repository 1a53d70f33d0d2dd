"""A detector's evaluation in FiftyOne: truth and objects on each picture, with matches, false alarms and misses as views."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision.errors import InputError
from vision.review.dataset import colours
from vision.taxonomy import default_taxonomy

if TYPE_CHECKING:
    from vision.learn.evaluation.operating import Scored

TRUTH, PREDICTIONS, KEY = "truth", "predictions", "eval"
IOU = 0.5

VIEWS = (
    ("matches", "objects on a box of the truth, by the right name"),
    ("false positives", "objects where the truth has none"),
    ("false negatives", "boxes of the truth that were missed"),
    ("wrong class", "objects on a box of the truth, by another name"),
)
"""Saved views: name and what they show."""


def evaluation_name(root: Path, weights: str) -> str:
    """The name of the data set for weights on a built set."""
    digest = hashlib.sha256(f"{root.resolve()}\0{weights}".encode()).hexdigest()[:8]
    return f"flatcar-evaluation-{root.resolve().name}-{digest}"


def load_evaluation(
    fo: Any, root: Path, scored: Sequence[Scored], *, name: str, min_score: float, about: str = "", replace: bool = True
) -> Any:
    """Make a data set of an evaluation: ground truth, predictions, and who belongs to whom, as FiftyOne matches them.

    Args:
        fo: FiftyOne.
        root: Folder that the pictures' file names are relative to.
        scored: Pictures with their true boxes and pooled objects; what lies on ignore regions is left out there already.
        name: Name of the data set.
        min_score: Operating point: objects below are left out.
        about: What was measured, for the data set's description.
        replace: An earlier evaluation of that name gives way; anything else of that name stays, and is an error.

    Returns:
        The data set, persistent.

    Raises:
        InputError: There is no picture, or the name is taken by something else.
    """
    if not scored:
        raise InputError("the evaluation has no picture")
    if fo.dataset_exists(name):
        if not (replace and fo.load_dataset(name).info.get("flatcar_evaluation")):
            raise InputError(f"a data set {name} is already there and is no evaluation", hint="rename it, or give another name")
        fo.delete_dataset(name)
    dataset = fo.Dataset(name, persistent=True)
    dataset.info["flatcar_evaluation"] = {"min_score": min_score, "about": about}
    dataset.description = about
    dataset.add_samples(_samples(fo, root, scored, min_score), num_samples=len(scored), progress=False)
    dataset.default_classes = list(default_taxonomy().leaves)
    paths = (TRUTH, PREDICTIONS)
    fields = [{"path": path, "colorByAttribute": "label", "valueColors": colours(), "fieldColor": None} for path in paths]
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", fields=fields)
    dataset.save()
    # Of any class: a box by another name is a confusion, and no false alarm beside a miss.
    dataset.evaluate_detections(
        PREDICTIONS, gt_field=TRUTH, eval_key=KEY, method="coco", iou=IOU, classwise=False, progress=False
    )
    _views(fo, dataset)
    return dataset


def _samples(fo: Any, root: Path, scored: Iterable[Scored], min_score: float) -> Iterator[Any]:
    for picture in scored:
        row = picture.row
        size = (float(row["width"]), float(row["height"]))
        truth = [_detection(fo, box.xyxy_px, size, box.class_name, size_class=box.size) for box in picture.boxes]
        seen = [
            _detection(fo, o.xyxy_px, size, o.class_name, confidence=o.score, best_score=o.best) for o in picture.above(min_score)
        ]
        ignored = [_detection(fo, xyxy_px, size, "ignored") for xyxy_px in picture.ignored]
        yield fo.Sample(
            filepath=str((root / str(row["file_name"])).resolve()),
            metadata=fo.ImageMetadata(width=int(size[0]), height=int(size[1])),
            source=str(row.get("source", "unknown")),
            view=str(row.get("view", "unknown")),
            scene=str(row.get("group", "")),
            truth=fo.Detections(detections=truth),
            predictions=fo.Detections(detections=seen),
            ignored=fo.Detections(detections=ignored),
        )


def _detection(fo: Any, xyxy_px: Sequence[float], size: tuple[float, float], name: str, **fields: Any) -> Any:
    x0, y0, x1, y1 = xyxy_px
    box = [x0 / size[0], y0 / size[1], (x1 - x0) / size[0], (y1 - y0) / size[1]]
    return fo.Detection(label=name, bounding_box=box, **fields)


def _views(fo: Any, dataset: Any) -> None:
    field = fo.ViewField
    alone = field(f"{KEY}_id") == ""  # FiftyOne pairs what overlaps whatever its class, and counts another class as wrong twice
    certain = field(f"{PREDICTIONS}.detections.confidence").max()
    made = {
        "matches": dataset.filter_labels(PREDICTIONS, field(KEY) == "tp"),
        "false positives": dataset.filter_labels(PREDICTIONS, (field(KEY) == "fp") & alone).sort_by(certain, reverse=True),
        "false negatives": dataset.filter_labels(TRUTH, (field(KEY) == "fn") & alone),
        "wrong class": dataset.filter_labels(PREDICTIONS, (field(KEY) == "fp") & ~alone),
    }
    for name, about in VIEWS:
        dataset.save_view(name, made[name], description=about, overwrite=True)
