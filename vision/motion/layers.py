"""From band shifts to two tracks: how the background moves, and how the train moves against it.

All frames of a shot are at hand here. The background is found frame by frame (`background`), the train's speed against it as
the best path through the whole shot (`path`), and the train's coordinate from both and what was measured (`smooth`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.motion.background import SAME_AS_BACKGROUND_PX, Background, ShotShifts, find_background, lower_shift
from vision.motion.boxes import BoxLinks, box_speeds
from vision.motion.foreground import foreground_px
from vision.motion.meter import MotionSeries
from vision.motion.painted import unpainted
from vision.motion.path import TrainPath, train_path
from vision.motion.smooth import smoothed_offset
from vision.types import FloatArray

_TELL_APART_PX = 2.0 * SAME_AS_BACKGROUND_PX
_LOST_STEPS = (1, 2)
_LEAP_PX = 3.0
_LEAP_FACTOR = 2.0
_HIDDEN_PX = 1.5


@dataclass(frozen=True, slots=True, repr=False)
class Layers:
    """Tracks of one shot, struct-of-arrays over its n frames, pixels of the small picture.

    Attributes:
        first: Index of the shot's first frame in the series.
        background_px: (n,) float64, how far the background has moved right since the shot began.
        train_px: (n,) float64, the same for the train where there is one; follows the background elsewhere.
        present: (n,) bool, a train is there.
        speed_px: (n,) float64, the train's speed against the background, pixels per typical frame interval; 0 where there is
            none.
        trust: (n,) float32 in [0, 1], support of the train's shift in this frame.
        band_support: (n, bands) float32, response of each band at the train's shift.
        band_background: (n, bands) float32, response of each band at the background's shift.
    """

    first: int
    background_px: NDArray[np.float64]
    train_px: NDArray[np.float64]
    present: NDArray[np.bool_]
    speed_px: NDArray[np.float64]
    trust: NDArray[np.float32]
    band_support: NDArray[np.float32]
    band_background: NDArray[np.float32]


def separate_layers(
    series: MotionSeries, first: int, last: int, links: BoxLinks | None = None, *, grounded: bool = False
) -> Layers:
    """Background and train tracks of the frames ``first`` to ``last`` (inclusive), which must be one shot.

    Args:
        series: Band shifts of the video.
        first: Index of its first frame.
        last: And of its last.
        links: Boxes, to find that layer which carries them; None to go by the pixels alone.
        grounded: Whether what fills the picture's lower part is the ground, however much faster it goes than what is far.
    """
    shot = ShotShifts(series, first, last)
    weight = _background_prior(series.shift_px.shape[1])
    background = first_background(shot)
    cleared = unpainted(shot, background)
    if cleared is not shot:
        shot, background = cleared, find_background(cleared, weight)
    background = _with_foreground(shot, background)
    path = train_path(shot, background)
    if path.any_train:
        # Bands that the train fills say nothing of the background: ask again without them.
        background = _with_foreground(shot, find_background(shot, weight * (1.0 - 0.85 * path.band_share(shot))))
        path = train_path(shot, background)
    if grounded:
        background = _with_foreground(shot, Background(lower_shift(shot), background.far))
    if links is not None:
        boxes = box_speeds(
            links,
            pts_s=series.pts_s[first : last + 1],
            background_px=background_track(shot, background),
            scale=series.scale,
            interval_s=shot.interval_s,
            width_px=shot.width_px,
        )
        path = train_path(shot, background, boxes)
    return _tracks(shot, background, path, between=links is not None)


def ground_track(series: MotionSeries, first: int, last: int) -> NDArray[np.float64]:
    """Where the lower part of the picture is in each frame, (n,) pixels of the small picture, 0 in the first.

    Whatever stands nearer or farther, the ground about the track fills it; but for a train that passes close by.
    """
    shot = ShotShifts(series, first, last)
    low = lower_shift(shot)
    return background_track(shot, Background(low, low))


def _with_foreground(shot: ShotShifts, background: Background) -> Background:
    return replace(background, before=tuple(foreground_px(shot, background)))


def first_background(shot: ShotShifts) -> Background:
    """The background before it is known which bands a train fills."""
    return find_background(shot, _background_prior(shot.shift.shape[1]))


def _background_prior(bands: int) -> NDArray[np.float64]:
    """How likely each band shows background before anything is known: top and foot of the picture rather than its middle."""
    height = (np.arange(bands) + 0.5) / bands
    return np.where(height < 0.3, 1.0, np.where(height > 0.88, 0.7, 0.3))


def background_track(shot: ShotShifts, background: Background) -> FloatArray:
    """Where the near background is in each frame, (n,) pixels of the small picture, 0 in the first."""
    out = np.zeros(len(shot))
    known = shot.measured & background.known()
    for t in range(1, len(shot)):
        if not shot.repeated[t]:
            drift = 0.0 if t < 2 else out[t - 1] - out[t - 2]
            out[t] = out[shot.anchor[t]] + background.near[t] if known[t] else out[t - 1] + drift
        else:
            out[t] = out[t - 1]
    return out


def _tracks(shot: ShotShifts, background: Background, path: TrainPath, *, between: bool = False) -> Layers:
    """Integrate both tracks over the anchors.

    The path's speed predicts where the train is, the peaks beside the prediction say how far it is off, and all frames together
    decide: `smoothed_offset`.
    """
    n, bands, _ = shot.shift.shape
    background_px, train_px = background_track(shot, background), np.zeros(n)
    offset_px = np.full(n, np.nan)
    trust = np.zeros(n, np.float32)
    support = np.zeros((n, bands), np.float32)
    band_background = np.where(background.holds(shot.whole_shift), shot.whole_response, 0.0).max(axis=2).astype(np.float32)
    low, high = background.range_px(_TELL_APART_PX)
    for t in range(1, n):
        a = shot.anchor[t]
        known = shot.measured[t] and not np.isnan(background.near[t])
        if shot.repeated[t]:
            train_px[t] = train_px[t - 1]
            trust[t] = trust[t - 1]
            continue
        moved = background_px[t] - background_px[t - 1]
        train_px[t] = train_px[t - 1] + moved + path.speed_px[t] * shot.step[t]
        if not known or not path.present[t]:
            continue
        predicted = train_px[t] - train_px[a]
        if low[t] < predicted < high[t] and not (between and _is_between(background, t, predicted)):
            # Too soon after the anchor, or it moves as a background layer does, whose peak would be taken for its own.
            trust[t], support[t] = trust[t - 1], path.support[t]
            continue
        leap_px, shift, trust[t], support[t] = _train_shift(shot, t, predicted, _leaps_px(shot, t, path.speed_px[t]))
        if trust[t] > 0:
            train_px[t] += leap_px
            offset_px[t] = shift - predicted - leap_px
    train_px += smoothed_offset(offset_px, trust, shot.anchor)
    return Layers(shot.first, background_px, train_px, path.present, path.speed_px, trust, support, band_background)


def _is_between(background: Background, t: int, shift_px: float) -> bool:
    """Whether a shift is clearly that of a layer neither as near as the ground at the track nor as far as what is farthest."""
    return bool(min(abs(shift_px - background.near[t]), abs(shift_px - background.far[t])) >= 2.0 * _TELL_APART_PX)


def _leaps_px(shot: ShotShifts, t: int, speed_px: float) -> list[tuple[float, float]]:
    """Where the train may be beside its prediction, as a clip's clock lies: (pixels, how far it must beat what comes first)."""
    hidden_px = speed_px * shot.step[t - 1] if shot.repeated[t - 1] else 0.0
    step_px = speed_px * shot.step[t] - hidden_px
    leaps = [(0.0, 1.0)]
    if abs(step_px) > _LEAP_PX:
        # Another multiple of the step, for lost frames, must beat the plain prediction by far: a fence repeats too.
        leaps += [(lost * step_px, _LEAP_FACTOR) for lost in _LOST_STEPS]
    # A doubled frame takes no time of the train's, or it stands for one that was lost.
    return leaps if abs(hidden_px) < _HIDDEN_PX else [*leaps, (-hidden_px, 1.0)]


def _train_shift(
    shot: ShotShifts, t: int, predicted_px: float, leaps_px: list[tuple[float, float]]
) -> tuple[float, float, float, NDArray[np.float32]]:
    """The leap that the peaks speak for, the train's shift since the anchor with it, how sure that is, and what bands say."""
    best = (0.0, predicted_px, 0.0, np.zeros(shot.shift.shape[1], np.float32))
    tolerance = 1.0 + 0.02 * max(abs(leap_px) for leap_px, _ in leaps_px)
    for leap_px, factor in leaps_px:
        close = np.abs(shot.shift[t] - predicted_px - leap_px) < tolerance
        per_band = np.where(close, shot.response[t], 0.0).max(axis=1)
        total = float(per_band.sum())
        if total > (best[2] if factor == 1.0 else max(factor * best[2], 1.0)):
            weight = np.where(close, shot.response[t], 0.0).astype(np.float64) ** 2
            best = (leap_px, float((weight * shot.shift[t]).sum() / weight.sum()), total, per_band.astype(np.float32))
    return best[0], best[1], float(np.clip(best[2] / 1.5, 0.0, 1.0)), best[3]
