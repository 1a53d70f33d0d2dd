"""What the panel does to the labels of a train, and the picture it shows of them. Works on FiftyOne samples, without its App."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import UsageError
from vision.report.strip import colour_of
from vision.review.corrections import TAGS, is_verdict_tag
from vision.review.dataset import FIELD, STRIP
from vision.taxonomy import default_taxonomy

_ROW_WIDTH_PX = 1500
_SIGNS = {"reject": "X", "confirm": "OK", "merge": "M", "split": "S"}


@dataclass(frozen=True, slots=True)
class Line:
    """A vehicle as the panel lists it.

    Attributes:
        label_id: Id of its label on the strip.
        number: From 1 at the head; 0 for one that a person drew.
        class_name: Its label.
        score: Probability that it exists.
        said: What a person asks for by tags, and what is in force already, in words.
        tags: Its verdict tags.
        confirmed: A verdict is in force.
    """

    label_id: str
    number: int
    class_name: str
    score: float | None
    said: str
    tags: tuple[str, ...]
    confirmed: bool


def class_names() -> list[str]:
    """The classes to choose from, each parent before its leaves."""
    taxonomy = default_taxonomy()
    names: list[str] = []
    for parent in taxonomy.parents:
        names += [parent, *taxonomy.children_of(parent)]
    return list(dict.fromkeys(names))


def train_ids_of(dataset: Any) -> list[str]:
    """The trains of a review set in its order."""
    return [str(train_id) for train_id in dataset.select_group_slices(STRIP).values("train_id")]


def strip_of(dataset: Any, train_id: str) -> Any:
    """The strip's sample of a train."""
    from fiftyone import ViewField  # noqa: PLC0415 - only inside FiftyOne

    return dataset.select_group_slices(STRIP).match(ViewField("train_id") == train_id).first()


def lines_of(sample: Any) -> list[Line]:
    """The vehicles of a train in their order along it."""
    detections = sample[FIELD].detections if sample[FIELD] else []
    known = sorted((d for d in detections if _value(d, "vehicle")), key=lambda d: _value(d, "vehicle"))
    drawn = [d for d in detections if not _value(d, "vehicle")]
    return [_line(detection) for detection in (*known, *drawn)]


def _line(detection: Any) -> Line:
    tags = tuple(sorted(tag for tag in detection.tags or () if is_verdict_tag(tag)))
    said = ", ".join(tags) or (_value(detection, "verdict") or "" if _value(detection, "vehicle") else "drawn")
    return Line(
        label_id=str(detection.id),
        number=int(_value(detection, "vehicle") or 0),
        class_name=detection.label or "",
        score=_value(detection, "score"),
        said=said,
        tags=tags,
        confirmed=bool(_value(detection, "verdict")),
    )


def _value(detection: Any, name: str) -> Any:
    """An attribute of a label; None where it has none, as a drawn one."""
    return getattr(detection, name, None)


def decide(sample: Any, label_id: str, verdict: str, *, class_name: str | None = None) -> None:
    """Put a verdict on a vehicle, in place of what was asked of it before; the same one again takes it back.

    Args:
        sample: The strip's sample; it is saved.
        label_id: Id of the vehicle's label.
        verdict: ``confirm``, ``reject``, ``merge`` (with the next vehicle), ``split``, or ``reclass``.
        class_name: The class, for ``reclass``.

    Raises:
        UsageError: There is no such vehicle or verdict, or nothing to merge with.
    """
    lines = lines_of(sample)
    index = next((i for i, line in enumerate(lines) if line.label_id == label_id), None)
    if index is None:
        raise UsageError("this vehicle is not on the strip any more", hint="reload the page")
    detections = {str(d.id): d for d in sample[FIELD].detections}
    chosen = [detections[label_id]]
    tag = verdict
    if verdict == "merge":
        if index + 1 >= len(lines) or not lines[index + 1].number or not lines[index].number:
            raise UsageError("there is no next vehicle to merge with")
        chosen.append(detections[lines[index + 1].label_id])
        # A name of its own, so that two pairs side by side stay two; a vehicle in a pair draws the next one into it.
        tag = next((t for t in lines[index].tags if t.startswith("merge")), f"merge:{lines[index].number}")
    elif verdict == "reclass":
        tag = f"is:{default_taxonomy().resolve(class_name or '')}"
    elif verdict not in TAGS:
        raise UsageError(f"there is no verdict {verdict!r}", hint=f"give {', '.join(TAGS)} or reclass")
    taken_back = all(tag in (d.tags or ()) for d in chosen)
    for detection in chosen:
        kept = [t for t in detection.tags or () if not is_verdict_tag(t)]
        detection.tags = kept if taken_back else [*kept, tag]
    sample.save()


def clear(sample: Any, label_id: str) -> None:
    """Take back what is asked of a vehicle; one that a person drew goes."""
    detections = sample[FIELD].detections
    for detection in list(detections):
        if str(detection.id) == label_id:
            detection.tags = [t for t in detection.tags or () if not is_verdict_tag(t)]
            if not _value(detection, "vehicle"):
                detections.remove(detection)
    sample.save()


def add_vehicle(sample: Any, class_name: str, *, after: int) -> None:
    """Draw a vehicle on the strip behind another one, between it and the next; its box can be moved in the App.

    Args:
        sample: The strip's sample; it is saved.
        class_name: Its class.
        after: Number of the vehicle before it; 0: before the first.

    Raises:
        UsageError: There is no such vehicle.
    """
    from fiftyone import Detection, Detections  # noqa: PLC0415 - only inside FiftyOne

    name = default_taxonomy().resolve(class_name)
    labels = sample[FIELD] or Detections()
    known = sorted((d for d in labels.detections if _value(d, "vehicle")), key=lambda d: _value(d, "vehicle"))
    if not 0 <= after <= len(known):
        raise UsageError(f"there is no vehicle {after}", hint=f"give 0 to {len(known)}")
    boxes = [d.bounding_box for d in known]
    if not boxes:
        box = [0.45, 0.3, 0.1, 0.4]
    else:
        # On the strip the head may be at either end: behind the last vehicle goes on as the vehicles before it did.
        step = (boxes[-1][0] - boxes[0][0]) / max(len(boxes) - 1, 1) or boxes[0][2] * 1.5
        near = boxes[after - 1] if after else boxes[0]
        if 0 < after < len(boxes):
            centre = (_centre(boxes[after - 1]) + _centre(boxes[after])) / 2
        else:
            centre = _centre(near) + (step if after else -step)
        box = [min(max(centre - near[2] / 2, 0.0), 1 - near[2]), near[1], near[2], near[3]]
    labels.detections.append(Detection(label=name, bounding_box=box))
    sample[FIELD] = labels
    sample.save()


def _centre(box: Sequence[float]) -> float:
    return float(box[0] + box[2] / 2)


# ---- The picture --------------------------------------------------------------------------------------------------------------


def picture_uri(sample: Any) -> str:
    """The strip with its vehicles, their numbers and what is asked of them, in rows; a data URI."""
    strip = _read(sample.filepath)
    height, width = strip.shape[:2]
    canvas = strip.copy()
    for line, detection in zip(lines_of(sample), _ordered(sample), strict=True):
        x, y, w, h = detection.bounding_box
        box = (round(x * width), round(y * height), round((x + w) * width), round((y + h) * height))
        _mark(canvas, box, line)
    rows = [canvas[:, start : start + _ROW_WIDTH_PX] for start in range(0, width, _ROW_WIDTH_PX)]
    page = np.full((sum(len(row) + 6 for row in rows), min(width, _ROW_WIDTH_PX), 3), 40, np.uint8)
    top = 0
    for row in rows:
        page[top : top + len(row), : row.shape[1]] = row
        top += len(row) + 6
    _, data = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _ordered(sample: Any) -> list[Any]:
    by_id = {str(d.id): d for d in (sample[FIELD].detections if sample[FIELD] else ())}
    return [by_id[line.label_id] for line in lines_of(sample)]


@lru_cache(maxsize=8)
def _read(path: str) -> NDArray[np.uint8]:
    data = np.zeros(0, np.uint8)
    with contextlib.suppress(OSError):
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    return np.full((120, 800, 3), 90, np.uint8) if picture is None else np.asarray(picture, np.uint8)


def _mark(canvas: NDArray[np.uint8], box: tuple[int, int, int, int], line: Line) -> None:
    x0, y0, x1, y1 = box
    code = int(colour_of(line.tags[0][3:] if line.said.startswith("is:") else line.class_name)[1:], 16)
    colour = (code & 255, code >> 8 & 255, code >> 16)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), (255, 255, 255), 4)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 2)
    if "reject" in line.tags:
        cv2.line(canvas, (x0, y0), (x1, y1), (40, 40, 230), 3, cv2.LINE_AA)
        cv2.line(canvas, (x0, y1), (x1, y0), (40, 40, 230), 3, cv2.LINE_AA)
    sign = next((s for tag, s in _SIGNS.items() if any(t.startswith(tag) for t in line.tags)), "*" if line.confirmed else "")
    text = f"{line.number or '+'} {line.class_name} {sign}".strip()
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    cv2.rectangle(canvas, (x0, y0 - height - 8), (x0 + width + 4, y0 - 2), (255, 255, 255), -1)
    cv2.putText(canvas, text, (x0 + 2, y0 - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
