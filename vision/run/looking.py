"""When to look, and at which parts of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.config import DetectConfig
from vision.geometry import area_px2
from vision.types import Detections

_STILL_VIEWS_S = 0.01
_LONGEST_STILL_FACTOR = 8.0
_TALLER_THAN_INPUT = 1.35
_TILE_OVERLAP = 0.25
_SAME_OBJECT_SHARE = 0.6
_EDGE_PX = 2.0


class LookScheduler:
    """Says for each frame whether the detector is to look: after a share of the picture's width, not by the clock.

    The cost so grows with the length of the train. A standing train costs a few looks: the pause doubles while nothing moves.

    Args:
        config: Looks per view, longest pauses.
        width_px: Width of the upright full frame.
    """

    def __init__(self, config: DetectConfig, *, width_px: int) -> None:
        self._config = config
        self._width_px = width_px
        self._last_look_s: float | None = None
        self._last_frame_s = 0.0
        self._advance_px = 0.0
        self._still_factor = 1.0

    def due(self, pts_s: float, speed_px_s: float, *, cut: bool = False) -> bool:
        """Whether to look at the frame at ``pts_s``, given how fast something moves and whether a new shot seems to begin."""
        if self._last_look_s is None or cut:
            self._still_factor = 1.0
            return self._look(pts_s)
        self._advance_px += speed_px_s * (pts_s - self._last_frame_s)
        self._last_frame_s = pts_s
        waited_s = pts_s - self._last_look_s
        if speed_px_s > _STILL_VIEWS_S * self._width_px:
            self._still_factor = 1.0
        elif waited_s >= self._config.still_interval_s * self._still_factor:
            self._still_factor = min(2.0 * self._still_factor, _LONGEST_STILL_FACTOR)
            return self._look(pts_s)
        if self._advance_px >= self._width_px / self._config.looks_per_view and waited_s >= 1.0 / self._config.max_looks_s - 1e-6:
            return self._look(pts_s)
        return False

    def _look(self, pts_s: float) -> bool:
        self._last_look_s = self._last_frame_s = pts_s
        self._advance_px = 0.0
        return True


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the frame that goes to the detector as a picture of its own: rows ``y0_px`` to ``y1_px``, all columns."""

    y0_px: int
    y1_px: int


def tiles_for(width_px: int, height_px: int, input_hw: tuple[int, int]) -> tuple[Tile, ...]:
    """Tiles of a frame for a detector with the given input size.

    A wide frame is one tile, and so is a small one. A tall one (a telephone held upright) would lose most of its pixels in a
    wide input, so it is cut into overlapping tiles of the input's shape.
    """
    tile_px = width_px * input_hw[0] / input_hw[1]
    if height_px <= max(_TALLER_THAN_INPUT * tile_px, input_hw[0]):
        return (Tile(0, height_px),)
    count = int(np.ceil((height_px - tile_px * _TILE_OVERLAP) / (tile_px * (1.0 - _TILE_OVERLAP))))
    starts = np.linspace(0, height_px - tile_px, count)
    return tuple(Tile(round(start), min(height_px, round(start + tile_px))) for start in starts)


def merge_tiles(tiles: Sequence[Tile], found: Sequence[Detections]) -> Detections:
    """Detections of all tiles on the full frame; an object seen by two tiles is kept once.

    A box that a tile's edge cuts gives way to one that none cuts, whatever their scores: two cut ends of one vehicle would else
    both outlive the whole. Among the others the higher score stays.
    """
    moved = [d.shifted(x_px=0.0, y_px=float(tile.y0_px)) for tile, d in zip(tiles, found, strict=True)]
    everything = Detections(
        np.concatenate([d.xyxy_px for d in moved]),
        np.concatenate([d.score for d in moved]),
        np.concatenate([d.class_id for d in moved]),
    )
    if len(tiles) == 1:
        return everything
    order = np.lexsort((-everything.score, _at_inner_edge(tiles, found)))
    kept: list[int] = []
    for i in order:
        if not any(_overlap_share(everything.xyxy_px[i], everything.xyxy_px[k]) > _SAME_OBJECT_SHARE for k in kept):
            kept.append(int(i))
    return everything[np.array(kept, dtype=np.int64)]


def _at_inner_edge(tiles: Sequence[Tile], found: Sequence[Detections]) -> NDArray[np.bool_]:
    """For all detections, whether they end where their tile ends and the frame goes on."""
    last_px = max(tile.y1_px for tile in tiles)
    parts = []
    for tile, detections in zip(tiles, found, strict=True):
        top_px, bottom_px = detections.xyxy_px[:, 1], detections.xyxy_px[:, 3]
        cut_above = (top_px <= _EDGE_PX) & (tile.y0_px > 0)
        cut_below = (bottom_px >= tile.y1_px - tile.y0_px - _EDGE_PX) & (tile.y1_px < last_px)
        parts.append(cut_above | cut_below)
    return np.concatenate(parts)


def _overlap_share(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Intersection over the smaller of two boxes: an object cut by a tile's edge lies within the whole one."""
    top_left, bottom_right = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    size = np.clip(bottom_right - top_left, 0, None)
    smaller = float(min(area_px2(first[None])[0], area_px2(second[None])[0]))
    return float(size[0] * size[1]) / smaller if smaller > 0 else 0.0
