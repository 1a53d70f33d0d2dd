"""When to look, and at which parts of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vision.config import DetectConfig
from vision.detect.base import fitted_hw
from vision.geometry import Boxes, area_px2
from vision.types import Detections

_STILL_VIEWS_S = 0.01
_LONGEST_STILL_FACTOR = 8.0
_TALLER_THAN_INPUT = 1.35
_TILE_OVERLAP = 0.25
_WHOLE_EVERY = 6
_WORTHWHILE = 2 / 3
_FOUND_MARGIN = 0.03
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


def tiles_for(
    width_px: int, height_px: int, input_hw: tuple[int, int], rows_px: tuple[float, float] | None = None
) -> tuple[Tile, ...]:
    """Tiles of a frame for a detector with the given input size.

    A wide frame is one tile, and so is a small one. A tall one (a telephone held upright) would lose most of its pixels in a
    wide input, so it is cut into overlapping tiles of the input's shape.

    Args:
        width_px: Of the upright frame.
        height_px: Of the upright frame.
        input_hw: Height and width of the detector's input, pixels.
        rows_px: Only these rows, and what else of the frame the input has room for; all rows where None.
    """
    tile_px = width_px * input_hw[0] / input_hw[1]
    first_px, last_px = (0.0, float(height_px)) if rows_px is None else _with_room(rows_px, width_px, height_px, input_hw)
    asked_px = last_px - first_px
    if asked_px <= max(_TALLER_THAN_INPUT * tile_px, input_hw[0]):
        return (Tile(round(first_px), round(last_px)),)
    count = int(np.ceil((asked_px - tile_px * _TILE_OVERLAP) / (tile_px * (1.0 - _TILE_OVERLAP))))
    starts = np.linspace(first_px, last_px - tile_px, count)
    return tuple(Tile(round(start), min(height_px, round(start + tile_px))) for start in starts)


def _with_room(rows_px: tuple[float, float], width_px: int, height_px: int, input_hw: tuple[int, int]) -> tuple[float, float]:
    """Rows widened to what the lowest input that holds them has room for: seeing more of the frame costs nothing there."""
    first_px, last_px = rows_px
    rows = max(1, round(last_px - first_px))
    scale = min(input_hw[1] / width_px, input_hw[0] / rows)
    fitted = fitted_hw((rows, width_px), input_hw)[0]
    wanted_px = min(float(height_px), max(fitted / scale, last_px - first_px))
    first_px = min(max(0.0, (first_px + last_px - wanted_px) / 2.0), height_px - wanted_px)
    return first_px, first_px + wanted_px


@dataclass(frozen=True, slots=True)
class Where:
    """Which part of a frame is worth a look.

    Attributes:
        rows_px: First and last row of the full frame between which something moves; None where that is not known.
        shot: Running number of the shot, as far as cuts are known by then.
    """

    rows_px: tuple[float, float] | None
    shot: int


class RowChooser:
    """Says for each look which tiles of the frame the detector is shown.

    Where only some rows move the others are left out if that saves a third of the cost or more; it keeps out what stands beside
    the line, too. Motion may miss something, in the dark for one: so the first look of a shot and every sixth after it are at
    the whole frame, and what they find outside the rows widens them until the shot ends.

    Args:
        width_px, height_px: Of the upright frame.
        input_hw: Height and width of the detector's input, pixels.
        rows: ``moving`` or ``all``.
    """

    def __init__(self, *, width_px: int, height_px: int, input_hw: tuple[int, int], rows: Literal["moving", "all"]) -> None:
        self._size = width_px, height_px
        self._input_hw = input_hw
        self._rows = rows
        self._whole = tiles_for(width_px, height_px, input_hw)
        self._shot = -1
        self._since_whole = 0
        self._found_px = (np.inf, -np.inf)

    @property
    def most_tiles(self) -> int:
        """Tiles of a whole frame."""
        return len(self._whole)

    def tiles(self, where: Where) -> tuple[Tile, ...]:
        """The tiles of the next look."""
        if where.shot != self._shot:
            self._shot, self._since_whole, self._found_px = where.shot, _WHOLE_EVERY, (np.inf, -np.inf)
        self._since_whole += 1
        if self._rows == "all" or where.rows_px is None or self._since_whole >= _WHOLE_EVERY:
            self._since_whole = 0
            return self._whole
        rows_px = min(where.rows_px[0], self._found_px[0]), max(where.rows_px[1], self._found_px[1])
        part = tiles_for(*self._size, self._input_hw, rows_px)
        return part if self._cost(part) <= _WORTHWHILE * self._cost(self._whole) else self._whole

    def _cost(self, tiles: Sequence[Tile]) -> int:
        """Rows of the inputs that a look takes: a detector's time goes with them."""
        return sum(fitted_hw((max(1, tile.y1_px - tile.y0_px), self._size[0]), self._input_hw)[0] for tile in tiles)

    def found(self, where: Where, xyxy_px: Boxes) -> None:
        """Take note of what a look found, on the full frame."""
        if where.shot == self._shot and len(xyxy_px):
            height_px = self._size[1]
            top_px, bottom_px = float(xyxy_px[:, 1].min()), float(xyxy_px[:, 3].max())
            self._found_px = (
                min(self._found_px[0], max(0.0, top_px - _FOUND_MARGIN * height_px)),
                max(self._found_px[1], min(height_px, bottom_px + _FOUND_MARGIN * height_px)),
            )


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
