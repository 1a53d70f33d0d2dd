"""What everybody else does with the same boxes: trackers that count identities or crossings, and the fullest frame.

The trackers are those of the package ``trackers`` with its settings, but for the score from which a box may begin a track, which
is put where a detector's boxes begin, and the time between looks, which they are told. BoT-SORT compensates the camera's motion;
it is told the exact motion of the ground instead of having to measure it.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.errors import DependencyError
from vision.synth.render import SceneTruth
from vision.synth.score import NOT_MILITARY
from vision.types import Look

FloatArray = NDArray[np.float64]
BASELINES = ("bytetrack ids", "bytetrack line", "botsort ids", "botsort line", "frame maximum")
_BEGIN_SCORE = 0.45


def baseline_totals(looks: Sequence[Look], truth: SceneTruth, class_names: Sequence[str]) -> dict[str, int]:
    """Vehicles (cars not counted) that each baseline reports for a clip.

    Args:
        looks: In order of time.
        truth: For the exact motion of the ground, and the picture's width.
        class_names: What the boxes' classes are.

    Raises:
        DependencyError: The package ``trackers`` is not there.
    """
    totals = {}
    for name, make in _makers(looks, truth).items():
        tracks = _tracks(make(), looks)
        kept = [track for track in tracks if _class_of(track, class_names) not in NOT_MILITARY]
        totals[f"{name} ids"] = len(kept)
        totals[f"{name} line"] = sum(_crosses(track, truth.width_px / 2) for track in kept)
    totals["frame maximum"] = frame_maximum(looks, class_names)
    return totals


def frame_maximum(looks: Sequence[Look], class_names: Sequence[str]) -> int:
    """Most boxes in one look, cars not counted."""
    cars = [i for i, name in enumerate(class_names) if name in NOT_MILITARY]
    return max((int((~np.isin(look.detections.class_id, cars)).sum()) for look in looks), default=0)


_Track = list[tuple[float, int]]
"""(column of the centre, class) for each box of a track, in order of time."""


def _makers(looks: Sequence[Look], truth: SceneTruth) -> dict[str, Callable[[], Any]]:
    try:
        from trackers import BoTSORTTracker, ByteTrackTracker  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("the tracker baselines need the package trackers", hint="pip install 'flatcar[bench]'") from error
    gaps_s = np.diff([look.pts_s for look in looks])
    rate = float(1 / np.median(gaps_s)) if len(gaps_s) else 25.0
    shared = {"frame_rate": rate, "track_activation_threshold": _BEGIN_SCORE, "high_conf_det_threshold": _BEGIN_SCORE}

    def botsort() -> Any:
        tracker = BoTSORTTracker(**shared)
        tracker.cmc = _KnownMotion(looks, truth)
        return tracker

    return {"bytetrack": lambda: ByteTrackTracker(**shared), "botsort": botsort}


class _KnownMotion:
    """Stands in for a measured camera motion: the ground's true one, from look to look."""

    def __init__(self, looks: Sequence[Look], truth: SceneTruth) -> None:
        frames = [int(np.argmin(np.abs(truth.pts_s - look.pts_s))) for look in looks]
        steps = (_step(truth, before, now) for before, now in itertools.pairwise(frames))
        self._steps = iter([np.eye(2, 3, dtype=np.float32), *steps])

    def estimate(self, frame: object, boxes: object = None) -> NDArray[np.float32]:
        """(2, 3) from the picture of the look before to this one's."""
        del frame, boxes
        return next(self._steps)


def _step(truth: SceneTruth, before: int, now: int) -> NDArray[np.float32]:
    moved = np.eye(3)
    moved[0, 2] = truth.background_px[now] - truth.background_px[before]
    moved[1, 2] = truth.vertical_px[now] - truth.vertical_px[before]
    if truth.to_picture is not None:
        moved = truth.to_picture[now] @ moved @ np.linalg.inv(truth.to_picture[before])
        moved = moved / moved[2, 2]
    return np.asarray(moved[:2], dtype=np.float32)


def _tracks(tracker: Any, looks: Sequence[Look]) -> list[_Track]:
    """The boxes of every identity that the tracker is sure of."""
    import supervision  # noqa: PLC0415

    tracks: dict[int, _Track] = defaultdict(list)
    # BoT-SORT compensates only where there is a picture; its motion is known, so any will do.
    blank = np.zeros((2, 2, 3), np.uint8)
    for look in looks:
        found = look.detections
        boxes = supervision.Detections(
            xyxy=np.asarray(found.xyxy_px, dtype=np.float32),
            confidence=np.asarray(found.score, dtype=np.float32),
            class_id=np.asarray(found.class_id, dtype=int),
        )
        frame = blank if hasattr(tracker, "cmc") else None
        seen = tracker.update(boxes, frame, timestamp=look.pts_s)
        for box, identity, own in zip(seen.xyxy, seen.tracker_id, seen.class_id, strict=True):
            if identity >= 0:
                tracks[int(identity)].append((float(box[0] + box[2]) / 2, int(own)))
    return list(tracks.values())


def _class_of(track: _Track, class_names: Sequence[str]) -> str:
    return class_names[Counter(own for _, own in track).most_common(1)[0][0]]


def _crosses(track: _Track, column_px: float) -> bool:
    """Whether it begins on one side of the column and ends on the other."""
    return (track[0][0] < column_px) != (track[-1][0] < column_px)
