"""What is true of a rendered clip: where every train and vehicle is in every frame, and what of it can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.synth.spec import FloatArray, Heading
from vision.types import _shapes

HIDDEN = 0.5
"""A vehicle of which more than this share is covered by something else is not in sight."""


@dataclass(frozen=True, slots=True)
class VehicleTruth:
    """One vehicle of a train.

    Attributes:
        index: Place in the train, 0 at its head.
        class_name: Leaf of the taxonomy.
        appearance: As in the spec.
        s_px: (left, right) in the train coordinate ``s = x - D``, pixels of the flat picture.
        y_px: (top, bottom) rows of the flat picture while nothing shakes.
        position_px, position_m: Centre behind the head.
        width_px: Along the train.
        visible_from_s, visible_to_s: First and last frame that shows at least half of it; None where none does.
    """

    index: int
    class_name: str
    appearance: int
    s_px: tuple[float, float]
    y_px: tuple[float, float]
    position_px: float
    position_m: float
    width_px: float
    visible_from_s: float | None
    visible_to_s: float | None


@dataclass(frozen=True, slots=True, repr=False)
class TrainTruth:
    """One train.

    Attributes:
        heading: Where the head points on the picture.
        start_s, end_s: First and last frame with any of it in the picture; None where it never shows.
        head_seen, tail_seen: Whether that end's coupler was in the picture.
        length_px, length_m, px_per_m: Over couplers, and the scale (of an oblique view: at its near edge).
        s_head_px: The head in the train coordinate.
        displacement_px: (frames,) ``D``: how far it has moved right on the flat picture since its shot's first frame; NaN in the
            frames of other shots.
        vehicles: From the head, seen or not.
        speed_m_s: (frames,) along the heading, on the clip's clock: a clip played twice as fast shows twice the speed.
        hidden: (frames, vehicles) float32: share of each that other trains and the foreground cover; None where nothing can.
    """

    heading: Heading
    start_s: float | None
    end_s: float | None
    head_seen: bool
    tail_seen: bool
    length_px: float
    length_m: float
    px_per_m: float
    s_head_px: float
    displacement_px: FloatArray
    vehicles: tuple[VehicleTruth, ...]
    speed_m_s: FloatArray
    hidden: NDArray[np.float32] | None = None

    __repr__ = _shapes

    @property
    def standing(self) -> bool:
        """Whether it never moves against the ground."""
        return not np.any(np.abs(np.nan_to_num(self.speed_m_s)) > 1e-6)

    def seen(self) -> tuple[VehicleTruth, ...]:
        """The vehicles that at least one frame shows by half."""
        return tuple(vehicle for vehicle in self.vehicles if vehicle.visible_from_s is not None)


@dataclass(frozen=True, slots=True, repr=False)
class FrameBoxes:
    """The vehicles in one frame, in the trains' order, from the head.

    Attributes:
        xyxy_px: (n, 4) float32, cut to the part of the picture that no bar covers.
        fraction: (n,) float32 in (0, 1]: share of each box inside it. Poles and captions are not subtracted.
        train, vehicle: (n,) int32, indices into ``SceneTruth.trains`` and ``TrainTruth.vehicles``.
        hidden: (n,) float32 in [0, 1]: share that other trains, fences, trees, people or a window's frame cover.
    """

    xyxy_px: NDArray[np.float32]
    fraction: NDArray[np.float32]
    train: NDArray[np.int32]
    vehicle: NDArray[np.int32]
    hidden: NDArray[np.float32]

    __repr__ = _shapes


@dataclass(frozen=True, slots=True, repr=False)
class SceneTruth:
    """Everything that is true of a clip.

    Attributes:
        width_px, height_px: Of the picture.
        view_xyxy_px: The part that no bar covers.
        pts_s: (frames,) seconds, the clip's clock.
        background_px: (frames,) how far the ground at the track has moved right on the flat picture since its shot's first frame.
        vertical_px: (frames,) how far everything stands below its place, the shake in y.
        trains: All, in the spec's order, shot after shot.
        to_picture: (frames, 3, 3) from the flat picture to the shown one, for an oblique view or a zoom; None where they are one.
        shot_starts: First frame of every shot.
    """

    width_px: int
    height_px: int
    view_xyxy_px: tuple[float, float, float, float]
    pts_s: FloatArray
    background_px: FloatArray
    vertical_px: FloatArray
    trains: tuple[TrainTruth, ...]
    to_picture: FloatArray | None = None
    shot_starts: tuple[int, ...] = (0,)

    __repr__ = _shapes

    def boxes(self, frame: int) -> FrameBoxes:
        """The vehicles whose box touches the picture in a frame."""
        x0, y0, x1, y1 = self.view_xyxy_px
        rows = []
        for t, train in enumerate(self.trains):
            if not train.vehicles or not np.isfinite(train.displacement_px[frame]):
                continue
            now = slice(frame, frame + 1)
            whole = self.whole_boxes(train, now)[0]
            inside = whole if self.to_picture is None else self._cut_at_the_sides(train, now)
            for v, (left, top, right, bottom) in enumerate(whole.tolist()):
                part = inside[v]
                cut = (max(part[0], x0), max(part[1], y0), min(part[2], x1), min(part[3], y1))
                if cut[2] > cut[0] and cut[3] > cut[1]:
                    share = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((right - left) * (bottom - top))
                    hidden = 0.0 if train.hidden is None else float(train.hidden[frame, v])
                    rows.append((*cut, share, t, v, hidden))
        table = np.array(rows, dtype=np.float64).reshape(-1, 8)
        return FrameBoxes(
            table[:, :4].astype(np.float32),
            table[:, 4].astype(np.float32),
            table[:, 5].astype(np.int32),
            table[:, 6].astype(np.int32),
            table[:, 7].astype(np.float32),
        )

    def _cut_at_the_sides(self, train: TrainTruth, now: slice) -> FloatArray:
        """Boxes (vehicles, 4) around what the picture's side edges leave: in an oblique view less high than the whole."""
        assert self.to_picture is not None
        matrix = self.to_picture[now]
        edges = np.array([[[x, 0.0, x, 0.0] for x in (self.view_xyxy_px[0], self.view_xyxy_px[2])]])
        low, high = np.sort(projected(edges, np.asarray(np.linalg.inv(matrix), dtype=np.float64))[0, :, 0])
        flat = flat_boxes(train.vehicles, train.displacement_px[now], self.vertical_px[now])
        flat[..., 0::2] = np.clip(flat[..., 0::2], low, high)
        return np.asarray(projected(flat, matrix)[0], dtype=np.float64)

    def whole_boxes(self, train: TrainTruth, frames: slice = slice(None)) -> FloatArray:
        """All vehicles of a train on the picture, uncut, (frames, vehicles, 4); NaN in other shots."""
        flat = flat_boxes(train.vehicles, train.displacement_px[frames], self.vertical_px[frames])
        return flat if self.to_picture is None else projected(flat, self.to_picture[frames])

    def shot_of(self, train: TrainTruth) -> slice:
        """The frames of the train's shot."""
        own = np.flatnonzero(np.isfinite(train.displacement_px))
        return slice(int(own[0]), int(own[-1]) + 1) if len(own) else slice(0, 0)


def flat_boxes(vehicles: Sequence[VehicleTruth], shift_px: FloatArray, down_px: FloatArray) -> FloatArray:
    """Vehicles on the flat picture, (frames, vehicles, 4), given how far train and picture have moved in each frame."""
    at_rest = np.array([(v.s_px[0], v.y_px[0], v.s_px[1], v.y_px[1]) for v in vehicles], np.float64).reshape(-1, 4)
    return np.asarray(at_rest[None] + np.stack([shift_px, down_px] * 2, axis=-1)[:, None], dtype=np.float64)


def projected(xyxy: FloatArray, matrix: FloatArray) -> FloatArray:
    """The boxes around boxes (frames, n, 4) seen through perspectives (frames, 3, 3)."""
    corners = np.stack([xyxy[..., [0, 2, 2, 0]], xyxy[..., [1, 1, 3, 3]], np.ones((*xyxy.shape[:2], 4))], axis=-1)
    seen = np.einsum("fij,fncj->fnci", matrix, corners)
    points = seen[..., :2] / seen[..., 2:]
    return np.asarray(np.concatenate([points.min(axis=2), points.max(axis=2)], axis=-1), dtype=np.float64)


def flipped(truth: SceneTruth, *, canvas_width_px: int) -> SceneTruth:
    """The truth of the picture in a mirror.

    Args:
        truth: Of the clip as it was filmed; ``view_xyxy_px`` stays, since channels paint over the mirrored picture.
        canvas_width_px: Of the flat picture.
    """
    matrix = truth.to_picture
    if matrix is not None:
        outer, inner = np.eye(3), np.eye(3)
        outer[0], inner[0] = (-1, 0, truth.width_px), (-1, 0, canvas_width_px)
        matrix = outer @ matrix @ inner
    trains = tuple(
        replace(
            train,
            heading="left" if train.heading == "right" else "right",
            s_head_px=canvas_width_px - train.s_head_px,
            displacement_px=-train.displacement_px,
            vehicles=tuple(replace(v, s_px=(canvas_width_px - v.s_px[1], canvas_width_px - v.s_px[0])) for v in train.vehicles),
        )
        for train in truth.trains
    )
    return replace(truth, background_px=-truth.background_px, trains=trains, to_picture=matrix)


def in_sequence(parts: Sequence[SceneTruth]) -> SceneTruth:
    """The truth of shots shown one after the other; each part's times are the whole clip's already."""
    frames = [len(part.pts_s) for part in parts]
    starts = np.concatenate([[0], np.cumsum(frames)])
    trains = []
    for part, start in zip(parts, starts[:-1], strict=True):
        around = (int(start), int(starts[-1] - start - len(part.pts_s)))
        for train in part.trains:
            hidden = None if train.hidden is None else np.pad(train.hidden, (around, (0, 0)))
            displacement_px, speed_m_s = (
                np.pad(values, around, constant_values=np.nan) for values in (train.displacement_px, train.speed_m_s)
            )
            trains.append(replace(train, displacement_px=displacement_px, speed_m_s=speed_m_s, hidden=hidden))
    matrices = None
    if any(part.to_picture is not None for part in parts):
        plain = [np.tile(np.eye(3), (n, 1, 1)) for n in frames]
        matrices = np.concatenate(
            [p if part.to_picture is None else part.to_picture for part, p in zip(parts, plain, strict=True)]
        )
    return replace(
        parts[0],
        pts_s=np.concatenate([part.pts_s for part in parts]),
        background_px=np.concatenate([part.background_px for part in parts]),
        vertical_px=np.concatenate([part.vertical_px for part in parts]),
        trains=tuple(trains),
        to_picture=matrices,
        shot_starts=tuple(int(start) for start in starts[:-1]),
    )


def in_sight(truth: SceneTruth, train: TrainTruth, rail_y_px: float) -> TrainTruth:
    """The train with what of it can be seen, and when, on the picture as it is shown."""
    x0, _, x1, _ = truth.view_xyxy_px
    head_px = train.s_head_px + train.displacement_px
    tail_px = head_px + train.length_px * (-1 if train.heading == "right" else 1)
    if truth.to_picture is not None:
        row = np.full_like(head_px, rail_y_px)
        ends = np.stack([np.stack([x, row, x, row], axis=-1) for x in (head_px, tail_px)], axis=1)
        head_px, tail_px = projected(ends, truth.to_picture)[..., 0].T
    pts_s = truth.pts_s
    # A hair's breadth, so that rounding in a perspective does not decide.
    inside = np.flatnonzero((np.maximum(head_px, tail_px) > x0 + 1e-6) & (np.minimum(head_px, tail_px) < x1 - 1e-6))
    whole = truth.whole_boxes(train)
    shown = np.minimum(whole[..., 2], x1) - np.maximum(whole[..., 0], x0) >= (whole[..., 2] - whole[..., 0]) / 2
    if train.hidden is not None:
        shown &= train.hidden <= HIDDEN
    vehicles = []
    for vehicle, column in zip(train.vehicles, shown.T, strict=True):
        half = np.flatnonzero(column)
        span = (float(pts_s[half[0]]), float(pts_s[half[-1]])) if len(half) else (None, None)
        vehicles.append(replace(vehicle, visible_from_s=span[0], visible_to_s=span[1]))
    return replace(
        train,
        start_s=float(pts_s[inside[0]]) if len(inside) else None,
        end_s=float(pts_s[inside[-1]]) if len(inside) else None,
        head_seen=bool(np.any((head_px >= x0) & (head_px <= x1))),
        tail_seen=bool(np.any((tail_px >= x0) & (tail_px <= x1))),
        vehicles=tuple(vehicles),
    )
