"""Measure a detector on the labelled pictures of a built set: ``flatcar evaluate detect``.

Three levels are measured: every class on its own (leaf); a class mistaken for another of the same parent being right
(parent), which is what a count falls back on; and any vehicle at all (any), which is what a count of vehicles needs. Average
precision is COCO's, computed by pycocotools, over all scores; recall, precision, confusion and false alarms are those of the
objects that a scan would report. The parts lie in `vision.learn.evaluation`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision import __version__
from vision.config import load_config
from vision.detect import Detector, build_detector
from vision.errors import UsageError
from vision.learn.evaluation.beside import differences, without_rows
from vision.learn.evaluation.calibration import calibrations
from vision.learn.evaluation.civil import Civil, check_civil, civil_alarms
from vision.learn.evaluation.intervals import COVERAGE, RESAMPLES
from vision.learn.evaluation.operating import (
    MATCH_IOU,
    FalseAlarms,
    Scored,
    class_scores,
    confusion,
    false_alarms,
    score_pictures,
    slice_scores,
)
from vision.learn.evaluation.precision import (
    LEVELS,
    SIZES,
    Figures,
    Matched,
    evaluate,
    match,
    merge_same_object,
    picture_draws,
    pycocotools,
    slice_figures,
)
from vision.learn.evaluation.predict import MIN_SCORE, Predictions, Progress, known_classes, predict, predict_all
from vision.learn.evaluation.truth import Truth
from vision.learn.evaluation.worst import WorstPicture, worst_pictures
from vision.learn.manifest import read_summary
from vision.run.store import clean_text
from vision.taxonomy import Taxonomy, default_taxonomy

__all__ = [
    "MIN_SCORE",
    "Evaluation",
    "FalseAlarms",
    "Figures",
    "Request",
    "Truth",
    "evaluate",
    "evaluate_detector",
    "known_classes",
    "merge_same_object",
    "predict",
]

SCHEMA = 2
WORST = 24
BY = ("source", "view")

Watch = Callable[[str], Progress | None]
"""Given what begins ("default", "civil pictures"), gives something to call with the pictures done and of all."""


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        data: ``data.yaml`` of a built set, or its folder.
        weights: A name from the registry, or a file.
        backend: ``auto``, ``openvino`` or ``ultralytics``.
        device: As for a scan.
        split: Which side of the set.
        min_score: Operating point; None takes that of a scan.
        worst: How many of the worst pictures to keep.
        civil: Folders of pictures and videos without military vehicles.
        without: Source -> JSON of the evaluation of weights trained without it.
        compare: Second weights, measured on the same pictures.
        resamples: Bootstrap resamples; 0 leaves the intervals out.
    """

    data: Path
    weights: str = "default"
    backend: str = "auto"
    device: str = "auto"
    split: str = "valid"
    min_score: float | None = None
    worst: int = WORST
    civil: Sequence[Path] = ()
    without: Mapping[str, Path] = field(default_factory=dict)
    compare: str | None = None
    resamples: int = RESAMPLES

    @property
    def operating_score(self) -> float:
        return load_config().detect.min_score if self.min_score is None else self.min_score


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        document: Everything as plain data, as it is written as JSON.
        truth: The pictures that could be read.
        worst: The worst pictures, for drawing.
        civil: Folders of civil material, for drawing.
        scored: Every picture's objects against its truth.
    """

    document: dict[str, Any]
    truth: Truth
    worst: Sequence[WorstPicture]
    civil: Sequence[Civil] = ()
    scored: Sequence[Scored] = ()

    def json(self) -> str:
        """The document as text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"


def evaluate_detector(request: Request, *, watch: Watch | None = None, detector: Detector | None = None) -> Evaluation:
    """Measure a detector.

    Args:
        request: What to measure.
        watch: Told what begins, see `Watch`.
        detector: Use this one instead of building the one that ``request.weights`` names; it is to give boxes down to
            ``MIN_SCORE``, and is closed in the end.

    Raises:
        InputError: No truth, no usable picture, a folder that is not there, or a file that is no evaluation.
        WeightsError: The weights cannot be used, or name classes that the taxonomy does not know.
        DependencyError: pycocotools or what the weights need is not installed.
    """
    if not 0 < request.operating_score <= 1:
        raise UsageError(f"the operating score must lie above 0 and be at most 1, got {request.operating_score:g}")
    pycocotools()  # to be missed now, not after minutes
    tell = watch or (lambda _: None)
    tree = default_taxonomy()
    truth = Truth.load(request.data, split=request.split)
    for folder in request.civil:
        check_civil(folder)
    without_rows(request.without, {"figures": []})  # says before the work what is wrong with the files
    detector = detector or _detector(request, request.weights)
    second = _detector(request, request.compare) if request.compare else None
    try:
        found = predict_all(detector, truth, tree, weights=detector.name, progress=tell(detector.name))
        score, limit = request.operating_score, request.worst
        civil = [civil_alarms(detector, f, score, tree, limit=limit, progress=tell(f.name)) for f in request.civil]
        other = predict_all(second, found.truth, tree, weights=second.name, progress=tell(second.name)) if second else None
    finally:
        detector.close()
        if second:
            second.close()
    matched = [match(found.truth, found.whole, found.class_names, level, tree) for level in LEVELS]
    scored = score_pictures(found.truth, found.looked, found.class_names)
    worst = worst_pictures(scored, request.operating_score, tree, limit=request.worst)
    document = {
        "schema": SCHEMA,
        "flatcar": __version__,
        "weights": _about_weights(detector),
        "data": _about_data(request, truth, found),
        **_figures(found.truth, matched, request),
        **_operating(scored, request.operating_score, tree),
        "calibration": [asdict(c) for c in calibrations(scored, tree)],
        "worst": [_worst_row(w) for w in worst],
        "civil": [_civil_row(c) for c in civil],
        "civil_total": _civil_total(civil, request.operating_score),
    }
    document["without"] = without_rows(request.without, document)
    document["compare"] = _compare(request, second, other, matched, tree) if second and other else None
    return Evaluation(_plain(document), found.truth, worst, civil, scored)


def _detector(request: Request, weights: str) -> Detector:
    settings = {"weights": weights, "backend": request.backend, "device": request.device, "min_score": MIN_SCORE}
    return build_detector(load_config(None, {"detect": settings}).detect)


def _about_weights(detector: Detector) -> dict[str, Any]:
    return {"name": detector.name, "sha256": detector.weights_sha256, "input_hw": list(detector.input_hw)}


def _about_data(request: Request, truth: Truth, found: Predictions) -> dict[str, Any]:
    """The set, as far as needed to tell whether two evaluations saw the same."""
    used = found.truth
    return {
        "path": str(request.data),
        "split": request.split,
        "digest": read_summary(truth.root).get("digest"),
        "truth_sha256": hashlib.sha256((truth.root / "truth.json").read_bytes()).hexdigest(),
        "pictures": len(used.images),
        "boxes": len(used.annotations),
        "ignored": len(used.ignored),
        "without_vehicle": len(used.images) - len(used.busy()),
        "unreadable": [list(row) for row in found.unreadable],
    }


def _figures(truth: Truth, matched: Sequence[Matched], request: Request) -> dict[str, Any]:
    draws = picture_draws(truth, request.resamples) if request.resamples else None
    figures = slice_figures(truth, matched, by=BY, sizes=True, draws=draws)
    curves: dict[str, Any] = {"recall": [i / 100 for i in range(101)]}
    for level in matched:
        curves[level.level] = {name: precision.tolist() for name, precision in level.curves().items()}
    return {
        "coverage": COVERAGE,
        "resamples": request.resamples,
        "size_bounds": {name: list(bounds) for name, bounds in SIZES.items() if name != "all"},
        "figures": [{**asdict(f), "map50": f.map50, "map": f.map} for f in figures],
        "curves": curves,
    }


def _operating(scored: Sequence[Scored], min_score: float, tree: Taxonomy) -> dict[str, Any]:
    empty = [p for p in scored if not p.boxes and not p.ignored]
    return {
        "false_alarms": asdict(false_alarms(empty, min_score, tree)),
        "operating_point": {
            "min_score": min_score,
            "match_iou": MATCH_IOU,
            "slices": [asdict(s) for s in slice_scores(scored, min_score, tree, by=BY)],
            "classes": {
                level: {name: asdict(c) for name, c in class_scores(scored, min_score, level, tree).items()} for level in LEVELS
            },
        },
        "confusion": {level: asdict(confusion(scored, min_score, level, tree)) for level in ("parent", "leaf")},
    }


def _worst_row(worst: WorstPicture) -> dict[str, Any]:
    row = worst.picture.row
    return {
        "file_name": row["file_name"],
        "source": row["source"],
        "view": row["view"],
        "loss": worst.loss,
        "mistakes": [asdict(m) for m in worst.mistakes],
    }


def _civil_row(civil: Civil) -> dict[str, Any]:
    worst = [
        {"file": p.name, "objects": [{"class": c, "score": s, "xyxy_px": list(box)} for c, s, box in p.objects]}
        for p in civil.worst
    ]
    unreadable = [list(row) for row in civil.unreadable]
    return {"name": civil.name, "videos": civil.videos, **asdict(civil.alarms), "worst": worst, "unreadable": unreadable}


def _civil_total(civil: Sequence[Civil], min_score: float) -> dict[str, Any]:
    """All civil folders together."""
    alarms = [c.alarms for c in civil]
    sums = (sum(a.pictures for a in alarms), sum(a.detections for a in alarms), sum(a.pictures_hit for a in alarms))
    return asdict(FalseAlarms.summed(*sums, min_score))


def _compare(
    request: Request, second: Detector, other: Predictions, matched: Sequence[Matched], tree: Taxonomy
) -> dict[str, Any]:
    """A second detector on the same pictures."""
    truth = other.truth
    theirs = [match(truth, other.whole, other.class_names, level, tree, sizes=False) for level in LEVELS]
    scored = score_pictures(truth, other.looked, other.class_names)
    empty = [p for p in scored if not p.boxes and not p.ignored]
    return {
        "weights": _about_weights(second),
        "differences": [asdict(d) for d in differences(matched, theirs, picture_draws(truth, request.resamples or RESAMPLES))],
        "classes": {name: asdict(c) for name, c in class_scores(scored, request.operating_score, "parent", tree).items()},
        "false_alarms": asdict(false_alarms(empty, request.operating_score, tree)),
    }


def _plain(value: Any) -> Any:
    """Six digits are more than any figure here is worth; names may hold bytes that are no text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
