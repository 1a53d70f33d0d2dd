"""What people labelled on frames, kept in the run: ``RUN/review/frames.ndjson``, a line per frame, and who was there when.

The table of verdicts says what a train carries; this one says where on a picture, and is what a training set is made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vision.errors import TruthError
from vision.run.store import RunFolder, atomic_write
from vision.run.verdicts import Place

FRAMES = "review/frames.ndjson"
SEEN = "review/seen.json"


@dataclass(frozen=True, slots=True)
class StoredBox:
    """A labelled box: class, pixels of the full frame, and whether it belongs to a vehicle on which a person decided."""

    class_name: str
    xyxy_px: tuple[float, float, float, float]
    decided: bool


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame on which a person looked at boxes.

    Attributes:
        sha256, pts, pts_s: Video and time.
        train_id: The train on it.
        width_px, height_px: Size of the frame.
        boxes: In no order.
        whole: A person decided on every box: it may be learned from.
        hardness: In [0, 1]: how unsure the detector was on it, and how far its looks disagree on these vehicles.
        from_crops: The picture was put together from crops: not to be learned from.
        picture: Path relative to the run folder.
    """

    sha256: str
    pts: int
    pts_s: float
    train_id: str
    width_px: int
    height_px: int
    boxes: tuple[StoredBox, ...]
    whole: bool
    hardness: float
    from_crops: bool
    picture: str


def read_frames(run: RunFolder) -> dict[tuple[str, int], StoredFrame]:
    """The frames that people labelled, by hash and time stamp.

    Raises:
        TruthError: The file is damaged; the message names the line.
    """
    path = run.path / FRAMES
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
                boxes = tuple(StoredBox(b["class_name"], _four(b["xyxy_px"]), bool(b["decided"])) for b in row["boxes"])
                frame = StoredFrame(**{**row, "boxes": boxes})
            except (ValueError, KeyError, TypeError) as error:
                raise TruthError(f"{path}:{number} is no labelled frame: {type(error).__name__}: {error}") from error
            found[frame.sha256, frame.pts] = frame
    return found


def write_frames(run: RunFolder, frames: Mapping[tuple[str, int], StoredFrame]) -> None:
    """Write all labelled frames of a run.

    Raises:
        OutputError: The run folder cannot be written.
    """
    path = run.path / FRAMES
    path.parent.mkdir(exist_ok=True)
    rows = [json.dumps(asdict(frames[key]), allow_nan=False) + "\n" for key in sorted(frames)]
    atomic_write(path, "".join(rows).encode())


def read_seen(run: RunFolder) -> dict[str, list[Place]]:
    """Hash of a video -> the vehicles that were there when the run was reviewed last; empty where it never was.

    Raises:
        TruthError: The file is damaged.
    """
    path = run.path / SEEN
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_bytes())
        return {sha: [Place(**{**row, "xyxy_px": _four(row["xyxy_px"])}) for row in places] for sha, places in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TruthError(f"{path} is damaged: {error}", hint="remove it: all vehicles then count as new") from error


def write_seen(run: RunFolder, seen: Mapping[str, Sequence[Place]]) -> None:
    """Note which vehicles were there at this review."""
    rows = {sha: [asdict(place) for place in places] for sha, places in seen.items()}
    (run.path / SEEN).parent.mkdir(exist_ok=True)
    atomic_write(run.path / SEEN, json.dumps(rows, allow_nan=False).encode())


def _four(values: Any) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in values)
    return x0, y0, x1, y1
