"""The data that travels through the house, checked once when it is made.

    Path -> VideoRecord -> Frame -> Motion + Looks -> Passage -> Vehicle -> Train -> VideoResult

Time is ``pts_s``, seconds from the stream's start. Boxes are ``xyxy_px``, float32, of the upright full frame. Arrays
travel as struct-of-arrays; a ``repr`` shows shapes, not contents. This module imports numpy only.

Train coordinate. Let ``D(t)`` be ``displacement_px``: how far the train's picture has moved to the *right* on the screen
since the shot began, in full-frame pixels (negative when it moves left). A point of the train that is at column ``x`` at time
``t`` has the constant coordinate ``s = x - D(t)``. ``s`` grows to the right on the picture, whatever the train does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Direction = Literal["left", "right", "still", "unknown"]
Status = Literal["done", "failed", "skipped"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _shapes(value: object) -> str:
    """``Name(field=float32(3, 4), other=1)``: the form in which arrays are shown."""
    parts = []
    for name in value.__dataclass_fields__:  # type: ignore[attr-defined]
        item = getattr(value, name)
        parts.append(f"{name}={item.dtype}{item.shape}" if isinstance(item, np.ndarray) else f"{name}={item!r}")
    return f"{type(value).__name__}({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """What is known of a video file without decoding it all.

    Attributes:
        path: Where it lies.
        sha256: Hash of the whole file, hexadecimal: the video's identity.
        size_bytes: File size.
        container, codec: FFmpeg's short names, such as ``mov,mp4,m4a,3gp,3g2,mj2`` and ``h264``.
        width_px, height_px: Size of the upright picture, rotation flag applied.
        rotation_deg: Clockwise rotation that was applied to make it upright: 0, 90, 180 or 270.
        time_base: Seconds per PTS tick.
        fps: Average frame rate that the container claims, or None.
        duration_s: Duration that the container claims, or None.
    """

    path: Path
    sha256: str
    size_bytes: int
    container: str
    codec: str
    width_px: int
    height_px: int
    rotation_deg: int
    time_base: Fraction
    fps: float | None
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Shot:
    """An unbroken camera run: ``[start_s, end_s]`` on the video's clock, both ends inclusive frames."""

    index: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, repr=False)
class Detections:
    """Boxes of one picture.

    Attributes:
        xyxy_px: (n, 4) float32, pixels of that picture.
        score: (n,) float32, in [0, 1].
        class_id: (n,) int32, index into the detector's ``class_names``.
    """

    xyxy_px: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.xyxy_px)
        _require(self.xyxy_px.shape == (n, 4), f"xyxy_px has shape {self.xyxy_px.shape}, expected ({n}, 4)")
        _require(self.score.shape == (n,), f"score has shape {self.score.shape}, expected ({n},)")
        _require(self.class_id.shape == (n,), f"class_id has shape {self.class_id.shape}, expected ({n},)")

    __repr__ = _shapes

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Detections:
        """The detections that a slice, a mask or an index array selects, as with a numpy array."""
        return Detections(self.xyxy_px[index], self.score[index], self.class_id[index])

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))

    @classmethod
    def of(cls, xyxy_px: object, score: object, class_id: object) -> Detections:
        """Detections from anything array-like, cast to the right types."""
        return cls(
            np.asarray(xyxy_px, dtype=np.float32).reshape(-1, 4),
            np.asarray(score, dtype=np.float32).reshape(-1),
            np.asarray(class_id, dtype=np.int32).reshape(-1),
        )

    def shifted(self, *, x_px: float, y_px: float) -> Detections:
        """The same boxes moved, as when a picture was cut out of a larger one at (x_px, y_px)."""
        offset = np.array([x_px, y_px, x_px, y_px], dtype=np.float32)
        return Detections(self.xyxy_px + offset, self.score, self.class_id)


@dataclass(frozen=True, slots=True)
class Look:
    """One run of the detector on one frame.

    Attributes:
        pts, pts_s: The frame's time stamp, in ticks and in seconds.
        detections: Boxes on the upright full frame.
    """

    pts: int
    pts_s: float
    detections: Detections


def stacked_boxes(looks: Sequence[Look]) -> tuple[FloatArray, NDArray[np.int64]]:
    """All boxes of some looks, (n, 4) full-frame pixels x0 y0 x1 y1, and the number of the look that each comes from, (n,)."""
    xyxy_px = np.concatenate([np.zeros((0, 4)), *(look.detections.xyxy_px.astype(np.float64) for look in looks)])
    return xyxy_px, np.repeat(np.arange(len(looks)), [len(look.detections) for look in looks])


_HARDLY = 0.1
"""A train that goes by less than this share of the view hardly moves on the picture."""


@dataclass(frozen=True, slots=True, repr=False)
class Passage:
    """One train passing through the picture within one shot: the train coordinate over time.

    Attributes:
        shot_index: The shot it lies in.
        start_s, end_s: First and last moment at which the train is in the picture.
        pts_s: (n,) float64, increasing: frames of the passage.
        displacement_px: (n,) float64, ``D(t)`` in full-frame pixels, see the module's text.
        background_px: (n,) float64, the same for the background: how far it has moved right (0 for a fixed camera).
        trust: (n,) float32 in [0, 1]: how far the registration of each frame is to be believed.
        direction: Of the train against the background, on the picture.
        view_x_px: Columns (first, last) in which the train can be seen, full-frame pixels.
        band_y_px: Rows (first, last) that move with the train, full-frame pixels.
        head_seen, tail_seen: Whether the train's first and last end passed through the picture.
        speed_px_s: Median speed of the train against the background, full-frame pixels a second, >= 0.
        length_px: Length of what passed, full-frame pixels: a lower bound unless both ends were seen.
        flags: Named doubts, such as ``ambiguous_registration``.
    """

    shot_index: int
    start_s: float
    end_s: float
    pts_s: FloatArray
    displacement_px: FloatArray
    background_px: FloatArray
    trust: NDArray[np.float32]
    direction: Direction
    view_x_px: tuple[float, float]
    band_y_px: tuple[float, float]
    head_seen: bool
    tail_seen: bool
    speed_px_s: float
    length_px: float
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.pts_s)
        _require(n >= 1, "a passage needs at least one frame")
        for name in ("displacement_px", "background_px", "trust"):
            shape = getattr(self, name).shape
            _require(shape == (n,), f"{name} has shape {shape}, expected ({n},)")
        _require(bool(np.all(np.diff(self.pts_s) > 0)), "pts_s must increase")

    __repr__ = _shapes

    def displacement_at(self, pts_s: float | FloatArray) -> FloatArray:
        """``D`` at any time, interpolated between frames and held at the ends; same shape as ``pts_s``, pixels."""
        return np.asarray(np.interp(pts_s, self.pts_s, self.displacement_px), dtype=np.float64)

    def flagged(self, *flags: str) -> Passage:
        """The passage with these flags as well."""
        return replace(self, flags=tuple(dict.fromkeys((*self.flags, *flags))))

    @property
    def head_first(self) -> bool:
        """Whether the head comes into the picture before the tail.

        A camera that goes along faster than the train, or meets it more slowly than the ground, sees it from its tail on.
        """
        if self.direction not in {"left", "right"}:
            return True
        went_px = float(self.displacement_px[-1] - self.displacement_px[0])
        if abs(went_px) < _HARDLY * (self.view_x_px[1] - self.view_x_px[0]):
            return True
        return (went_px > 0) == (self.direction == "right")

    def bounds_px(self, view_px: tuple[float, float] | None = None) -> tuple[float, float]:
        """Between which train coordinates ``s`` it lies: where its ends came in and went out; infinite where one was not seen.

        Args:
            view_px: Columns in which the train can be seen, where they are not ``view_x_px``.
        """
        left_px, right_px = view_px or self.view_x_px
        came_px, went_px = float(self.displacement_at(self.start_s)), float(self.displacement_at(self.end_s))
        if self.direction not in {"left", "right"}:
            return -np.inf, np.inf
        low_seen, high_seen = (self.head_seen, self.tail_seen) if self.direction == "left" else (self.tail_seen, self.head_seen)
        # What goes right on the picture comes in at its left edge, with its end of the highest s, and goes out at the right one.
        goes_right = self.head_first == (self.direction == "right")
        low_px = right_px - (went_px if goes_right else came_px)
        high_px = left_px - (came_px if goes_right else went_px)
        return low_px if low_seen else -np.inf, high_px if high_seen else np.inf


@dataclass(frozen=True, slots=True)
class Interval:
    """A count with its honest bounds: ``low <= count <= high``, vehicles."""

    count: int
    low: int
    high: int

    def __post_init__(self) -> None:
        _require(0 <= self.low <= self.count <= self.high, f"not an interval: {self.low} <= {self.count} <= {self.high}")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle of one train, with the look that shows it best.

    Attributes:
        index: Place in the train, 0 at its head (at its left end when the direction is not known).
        class_name: A leaf of the taxonomy, or a parent where the leaves disagree.
        parent: The parent of ``class_name`` (itself where it is one).
        score: Probability that the vehicle exists, in [0, 1].
        position_px: Centre, pixels from the head along the train.
        width_px: Width along the train.
        looks: In how many looks it was detected.
        opportunities: In how many looks its place was in view.
        pts, pts_s, xyxy_px: Time and box of the best look.
        verdict: What a person said of it: ``confirmed``, ``reclassed``, ``merged``, ``split`` or ``added``; empty where only the
            machine counted it.
    """

    index: int
    class_name: str
    parent: str
    score: float
    position_px: float
    width_px: float
    looks: int
    opportunities: int
    pts: int
    pts_s: float
    xyxy_px: tuple[float, float, float, float]
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What people changed on a train: how many verdicts were given on it, and the total that the machine had counted."""

    verdicts: int
    machine_count: int


@dataclass(frozen=True, slots=True)
class Train:
    """One passage with its vehicles counted.

    Attributes:
        passage: The train coordinate it was counted in.
        vehicles: In order from the head.
        counts: Per class as reported (leaf or parent), sorted by name.
        total: All but cars.
        wagons: None where wagons were not counted.
        speed_m_s: None where the scale is not known.
        flags: The passage's flags and the counter's.
        reviewed: What people changed, or None where nobody did.
    """

    passage: Passage
    vehicles: tuple[Vehicle, ...]
    counts: Mapping[str, Interval]
    total: Interval
    wagons: Interval | None = None
    speed_m_s: float | None = None
    flags: tuple[str, ...] = ()
    reviewed: Reviewed | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that was left out, and why: ``what`` is ``frame``, ``shot``, ``detection``, ``train`` or ``video``."""

    what: str
    reason: str
    count: int = 1
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class VideoResult:
    """Everything that one video gave.

    Attributes:
        path: As it was given.
        sha256: Empty where the file could not even be hashed.
        status, reason: ``reason`` is empty when done, else a short stable name with a sentence behind it.
        duration_s: What was decoded, seconds; None where nothing was.
        trains: In order of time.
        sightings: Vehicles detected in looks where no train passes: seen, but not counted into a train.
        dropped: What was left out.
    """

    path: Path
    sha256: str
    status: Status
    reason: str = ""
    duration_s: float | None = None
    trains: tuple[Train, ...] = ()
    sightings: int = 0
    dropped: tuple[Dropped, ...] = field(default=())
