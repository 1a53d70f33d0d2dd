"""Trains as scripted boxes: places along each train, how it moves, and what a detector would see of it; no pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vision.types import Detections, FloatArray, Look, Passage

VIEW_PX = 640.0
WIDTH_PX, HEIGHT_PX = 100.0, 40.0

Columns = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Running:
    """A train.

    Attributes:
        pts_s: (n,) frames.
        moved_px: (n,) how far it has moved right.
        place_px: (vehicles,) left ends at the first frame.
        foot_px: Lower edge of its boxes.
    """

    pts_s: FloatArray
    moved_px: FloatArray
    place_px: FloatArray
    foot_px: float = 220.0

    def left_px(self, pts_s: float) -> FloatArray:
        return self.place_px + float(np.interp(pts_s, self.pts_s, self.moved_px))

    def seen_s(self, view_px: float = VIEW_PX) -> tuple[float, float]:
        """First and last frame with any of its vehicles in view."""
        left = self.place_px[:, None] + self.moved_px[None]
        shown = np.flatnonzero(((left > -WIDTH_PX) & (left < view_px)).any(axis=0))
        return float(self.pts_s[shown[0]]), float(self.pts_s[shown[-1]])


def running(
    speed_px_s: float | FloatArray,
    vehicles: int,
    *,
    rng: np.random.Generator,
    lasts_s: float,
    enters_s: float = 2.0,
    foot_px: float = 220.0,
) -> Running:
    """A train whose first vehicle comes into view at a time, its vehicles a wagon's length apart or several."""
    pts_s = np.arange(round(lasts_s * 25) + 1) / 25
    speed = np.broadcast_to(np.asarray(speed_px_s, np.float64), pts_s.shape)
    moved = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(pts_s))])
    way = 1.0 if moved[-1] > 0 else -1.0
    behind = np.concatenate([[0.0], np.cumsum(rng.uniform(1.3, 1.9, vehicles - 1))]) * WIDTH_PX
    first = (-WIDTH_PX if way > 0 else VIEW_PX) - float(np.interp(enters_s, pts_s, moved))
    return Running(pts_s, moved, first - way * behind, foot_px)


def looks_at(
    trains: Sequence[Running],
    rng: np.random.Generator,
    *,
    looks_per_s: float = 5.0,
    parked_px: Sequence[float] = (),
    found: float = 0.9,
    columns: Columns | None = None,
    jitter_px: float = 2.0,
) -> list[Look]:
    """What a detector sees of them: edges err, vehicles are missed, what stands before another hides it.

    Args:
        trains: From the nearest to the farthest.
        rng: Its dice.
        looks_per_s: How often it looks.
        parked_px: Left ends of cars that stand.
        found: Share of the boxes that are found.
        columns: From columns square on to those of the picture.
        jitter_px: How far an edge errs.
    """
    looks = []
    for pts_s in np.arange(0.0, trains[0].pts_s[-1] + 1e-9, 1 / looks_per_s):
        boxes: list[FloatArray] = []
        seen: list[FloatArray] = []
        parts = [(train.left_px(float(pts_s)), train.foot_px) for train in trains] + [(np.array(parked_px), 250.0)]
        for left, foot_px in parts:
            for x0 in left:
                ends = np.array([x0, x0 + WIDTH_PX])
                ends = np.clip(ends if columns is None else columns(ends), 0, VIEW_PX)
                box = np.array([ends[0], foot_px - HEIGHT_PX, ends[1], foot_px])
                hidden = any(_covered(box, other) > 0.6 for other in boxes)
                boxes.append(box)
                if ends[1] - ends[0] >= 0.4 * WIDTH_PX and not hidden and rng.random() < found:
                    seen.append(np.clip(box + rng.normal(0, jitter_px, 4), 0, VIEW_PX))
        n = len(seen)
        looks.append(
            Look(round(pts_s * 1000), float(pts_s), Detections.of(np.array(seen).reshape(-1, 4), np.full(n, 0.8), np.zeros(n)))
        )
    return looks


def _covered(box: FloatArray, other: FloatArray) -> float:
    """Share of a box that another covers."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    return float(max(wide, 0) * max(tall, 0) / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9))


def passage_along(pts_s: FloatArray, moved_px: FloatArray, *, flags: tuple[str, ...] = ()) -> Passage:
    """A passage with this train coordinate, before a camera that stands."""
    speed_px_s = float(np.median(np.abs(np.diff(moved_px) / np.diff(pts_s))))
    return Passage(
        0, float(pts_s[0]), float(pts_s[-1]), pts_s, moved_px, np.zeros(len(pts_s)), np.ones(len(pts_s), np.float32),
        "right" if moved_px[-1] > moved_px[0] else "left", (0.0, VIEW_PX), (0.0, 360.0), True, True, speed_px_s, 1000.0, flags,
    )  # fmt: skip
