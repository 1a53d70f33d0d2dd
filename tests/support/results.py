"""Made-up passages, vehicles, trains and results: every field has a plain default, and a test names what it is about."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vision.run.store import RawVideo
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Dropped, Interval, Look, Passage, Train, Vehicle, VideoRecord, VideoResult

SHA = "3f5a" * 16


def make_passage(*, frames: int = 50, fps: float = 25.0, speed_px_s: float = 200.0, **fields: Any) -> Passage:
    """A train that runs to the left at an even speed before a fixed camera."""
    start_s = fields.get("start_s", 1.0)
    pts_s = start_s + np.arange(frames) / fps
    values: dict[str, Any] = {
        "shot_index": 0,
        "start_s": start_s,
        "end_s": float(pts_s[-1]),
        "pts_s": pts_s,
        "displacement_px": -speed_px_s * (pts_s - start_s),
        "background_px": np.zeros(frames),
        "trust": np.full(frames, 0.9, np.float32),
        "direction": "left",
        "view_x_px": (0.0, 640.0),
        "band_y_px": (100.0, 260.0),
        "head_seen": True,
        "tail_seen": True,
        "speed_px_s": speed_px_s,
        "length_px": 2000.0,
    }
    return Passage(**(values | fields))


def make_vehicle(index: int = 0, class_name: str = "tank", **fields: Any) -> Vehicle:
    values: dict[str, Any] = {
        "index": index,
        "class_name": class_name,
        "parent": default_taxonomy().parent_of(class_name),
        "score": 0.97,
        "position_px": 120.0 + 240.0 * index,
        "width_px": 160.0,
        "looks": 7,
        "opportunities": 8,
        "pts": 40 + index,
        "pts_s": 1.6 + 0.04 * index,
        "xyxy_px": (200.0, 120.0, 360.0, 220.0),
    }
    return Vehicle(**(values | fields))


def make_train(*classes: str, passage: Passage | None = None, **fields: Any) -> Train:
    """A train with one vehicle of each class given, in this order, each count within one of its value."""
    vehicles = tuple(make_vehicle(i, name) for i, name in enumerate(classes))
    taxonomy = default_taxonomy()
    counts = {name: Interval(n, max(0, n - 1), n + 1) for name, n in sorted(Counter(classes).items())}
    total = sum(taxonomy.is_military(name) for name in classes)
    values: dict[str, Any] = {
        "passage": passage or make_passage(),
        "vehicles": vehicles,
        "counts": counts,
        "total": Interval(total, max(0, total - 1), total + 1),
    }
    return Train(**(values | fields))


def make_result(*trains: Train, path: str | Path = "clips/a.mp4", sha256: str = SHA, **fields: Any) -> VideoResult:
    values: dict[str, Any] = {"status": "done", "duration_s": 60.0, "trains": trains}
    return VideoResult(Path(path), sha256, **(values | fields))


def make_record(*, path: str | Path = "clips/a.mp4", sha256: str = SHA, **fields: Any) -> VideoRecord:
    values: dict[str, Any] = {
        "size_bytes": 12345,
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "codec": "h264",
        "width_px": 640,
        "height_px": 360,
        "rotation_deg": 0,
        "time_base": Fraction(1, 12800),
        "fps": 25.0,
        "duration_s": 60.0,
    }
    return VideoRecord(Path(path), sha256, **(values | fields))


def make_look(pts: int = 0, *, boxes: int = 2) -> Look:
    xyxy_px = [[10.0 * i, 5.0, 10.0 * i + 8.0, 9.0] for i in range(boxes)]
    return Look(pts, pts / 12800, Detections.of(xyxy_px, [0.9] * boxes, [0] * boxes))


def make_raw(**fields: Any) -> RawVideo:
    values: dict[str, Any] = {
        "record": make_record(),
        "class_names": ("tank", "bmp"),
        "passages": (make_passage(), make_passage(start_s=30.0, direction="right", flags=("ambiguous_registration",))),
        "looks": (make_look(512), make_look(1024, boxes=0), make_look(1536, boxes=3)),
        "dropped": (Dropped("frame", "corrupt", 2, 3.5),),
    }
    return RawVideo(**(values | fields))
