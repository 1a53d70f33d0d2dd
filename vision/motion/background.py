"""How the background moves: frame by frame, as a hand shakes without a law; and as a range of layers, as far things move less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from vision.motion.meter import MotionSeries
from vision.types import FloatArray

SAME_AS_BACKGROUND_PX = 0.9
LAYER_RESPONSE = 0.15
"""A layer that fills so much of a band counts as seen there."""
_PARALLAX_MIN_PX = 0.7
_PARALLAX_MIN_FRAMES = 8
_PARALLAX_RANGE = (0.8, 3.0)
_CLEAR_PAN_PX = 3.0
_CLEAR_FRAMES = 25
_RESCUE_RESPONSE = 0.3
_RESCUE_FITS = 0.6
_LOWER_PART = 0.55
_THROWN_VIEWS = 0.1
_THROWN = 0.5


class ShotShifts:
    """The peaks of one shot with what depends on time alone."""

    def __init__(self, series: MotionSeries, first: int, last: int) -> None:
        self.first = first
        self.width_px = series.width_px
        self.shift = series.shift_px[first : last + 1]
        self.response = series.response[first : last + 1]
        self.whole_shift = series.whole_shift_px[first : last + 1]
        self.whole_response = series.whole_response[first : last + 1]
        self.anchor = np.maximum(series.anchor[first : last + 1] - first, 0)
        n = last - first + 1
        pts_s = series.pts_s[first : last + 1]
        self.interval_s = max(series.interval_s, 1e-3)
        self.age = (pts_s - pts_s[self.anchor]) / self.interval_s
        # Since the last frame that was no repeat: what a frozen picture hid comes with the next one.
        shown = np.maximum.accumulate(np.where(series.repeated[first : last + 1], 0, np.arange(n)))
        self.step = (pts_s - pts_s[np.concatenate([[0], shown[:-1]])]) / self.interval_s
        inside = series.anchor[first : last + 1] >= first
        self.measured = inside & (self.anchor < np.arange(n)) & ~series.repeated[first : last + 1]
        self.repeated = series.repeated[first : last + 1]
        self.painted = False  # something is on the picture, see `painted`

    def __len__(self) -> int:
        return len(self.age)


@dataclass(frozen=True, slots=True)
class Background:
    """Shift of the background since each frame's anchor, (n,) pixels each; NaN where nothing was measured.

    A camera that pans or travels sees far things move less than near ones, so the background is a range of shifts.

    Attributes:
        near: Of the ground about the track.
        far: Of what stands at the top of the picture; equal to ``near`` when the camera is fixed.
        before: Of layers between the camera and the train, see `vision.motion.foreground`.
    """

    near: FloatArray
    far: FloatArray
    before: tuple[FloatArray, ...] = ()

    def known(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.near), dtype=bool)

    def range_px(self, margin_px: float) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest shift of any of its layers, (n,) each, ``margin_px`` further apart on both sides."""
        return np.minimum(self.near, self.far) - margin_px, np.maximum(self.near, self.far) + margin_px

    def at_an_end(self, shift_px: NDArray[np.floating], margin_px: float, frames: slice = slice(None)) -> NDArray[np.bool_]:
        """Which of the shifts, (frames, ...), are the nearest layer's or the farthest one's, not one's between them."""
        near, far = (layer[frames].reshape(-1, *[1] * (shift_px.ndim - 1)) for layer in (self.near, self.far))
        return np.asarray((np.abs(shift_px - near) < margin_px) | (np.abs(shift_px - far) < margin_px), dtype=bool)

    def stands_before(self, shift_px: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the shifts, (n, bands, peaks), are those of a layer between the camera and the train."""
        out = np.zeros(shift_px.shape, bool)
        for layer_px in self.before:
            out |= np.abs(shift_px - layer_px[:, None, None]) < SAME_AS_BACKGROUND_PX
        return out

    def holds(self, shift_px: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the shifts, (n, bands, peaks), are the background's."""
        low, high = self.range_px(SAME_AS_BACKGROUND_PX)
        return np.asarray((shift_px > low[:, None, None]) & (shift_px < high[:, None, None]), dtype=bool)


def find_background(shot: ShotShifts, weight: FloatArray) -> Background:
    """How the background has moved since each frame's anchor, from the bands as they are."""
    bands = len(weight)
    upper = np.arange(bands) < bands / 2
    far = _voted(shot, np.where(upper, weight, 0.15 * weight))
    near = _voted(shot, np.where(upper, 0.0, weight), near=far)
    near, far = _parallax(shot, far, near)
    return Background(near, _farthest(shot, near, far))


def lower_shift(shot: ShotShifts) -> FloatArray:
    """Shift since each frame's anchor that the bands of the picture's lower part agree on, (n,); NaN where none was measured."""
    bands = shot.whole_shift.shape[1]
    return _voted(shot, (np.arange(bands) >= _LOWER_PART * bands).astype(np.float64))


def _farthest(shot: ShotShifts, near: FloatArray, far: FloatArray) -> FloatArray:
    """The far background, moved out to the farthest layer (hills behind trees) that the upper bands show.

    A layer keeps its ratio to the near background whatever the camera does; a train does not.
    """
    clear = shot.measured & (np.abs(near) > _CLEAR_PAN_PX)
    if clear.sum() < _CLEAR_FRAMES:
        return far
    upper = slice(0, shot.whole_shift.shape[1] // 2)
    moved = near[clear][:, None, None]
    shift, response = shot.whole_shift[clear, upper], shot.whole_response[clear, upper]
    for ratio in np.arange(0.1, 1.0, 0.05):
        here = np.abs(shift - ratio * moved) < np.minimum(SAME_AS_BACKGROUND_PX, 0.1 * np.abs(moved))
        if np.where(here, response, 0.0).max(axis=2).mean(axis=0).max() > LAYER_RESPONSE:
            return np.asarray(np.where(np.abs(ratio * near) < np.abs(far), ratio * near, far), dtype=np.float64)
    return far


def _voted(shot: ShotShifts, weight: FloatArray, near: FloatArray | None = None) -> FloatArray:
    """The shift that the weighted bands agree on, frame by frame; a shift like the one before is preferred."""
    out = np.full(len(shot), np.nan)
    speed = 0.0
    for t in np.flatnonzero(shot.measured):
        shift, votes = shot.whole_shift[t].ravel(), (shot.whole_response[t] * weight[:, None]).ravel()
        agree = np.abs(shift[:, None] - shift[None, :]) < SAME_AS_BACKGROUND_PX
        expected = speed * shot.age[t] if near is None or np.isnan(near[t]) else near[t]
        likely = 1.0 + 0.6 * np.exp(-0.5 * ((shift - expected) / 2.0) ** 2)
        # No hand throws the picture so far aside within a frame that is also found where it was.
        likely = np.where(np.abs(shift - expected) > _THROWN_VIEWS * shot.width_px, _THROWN * likely, likely)
        members = agree[int(((agree @ votes) * likely).argmax())]
        total = votes[members].sum()
        if total > 0:
            out[t] = float((votes[members] * shift[members]).sum() / total)
            speed = out[t] / shot.age[t]
    return out


def _parallax(shot: ShotShifts, far: FloatArray, near: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The near background, where it is the far one times a constant: else it is the train at the picture's foot; and the far.

    Where the two do not fit, the far one may be the wrong one (a window's frame, a watermark): it is, where the upper bands also
    show what fits the near one.
    """
    moving = (np.abs(far) > _PARALLAX_MIN_PX) & ~np.isnan(near)
    ratio = float(np.median(near[moving] / far[moving])) if moving.sum() >= _PARALLAX_MIN_FRAMES else 0.0
    law = _PARALLAX_RANGE[0] <= ratio <= _PARALLAX_RANGE[1]
    ratio = ratio if law else 1.0
    expected = ratio * far
    fits = np.abs(near - expected) < SAME_AS_BACKGROUND_PX + 0.15 * np.abs(expected)
    if not law or fits[moving].mean() < _RESCUE_FITS:
        return np.where(fits, near, expected), far
    # A travelling camera moves its layers in proportion, a shaking hand moves all alike.
    apart = np.interp(np.arange(len(shot)), np.flatnonzero(fits), ((near - far) / np.maximum(shot.age, 1e-3))[fits])
    apart = median_filter(apart, size=2 * round(1.0 / shot.interval_s) + 1, mode="nearest")
    rescued = np.zeros(len(shot), bool)
    for other in (near - apart * shot.age, near / ratio):
        supported = ~fits & ~rescued & (_upper_response(shot, other) > _RESCUE_RESPONSE)
        far = np.where(supported, other, far)
        rescued |= supported
    return np.where(fits | rescued, near, expected), far


def _upper_response(shot: ShotShifts, shift_px: FloatArray) -> NDArray[np.float32]:
    """The strongest response of the upper bands as they are beside a shift, (n,)."""
    upper = slice(0, shot.whole_shift.shape[1] // 2)
    beside = np.abs(shot.whole_shift[:, upper] - shift_px[:, None, None]) < SAME_AS_BACKGROUND_PX
    return np.asarray(np.where(beside, shot.whole_response[:, upper], 0.0).max(axis=(1, 2)))
