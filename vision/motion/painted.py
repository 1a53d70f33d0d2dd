"""What is on the picture and not in it: captions, and the blocks of a coarse encoder; told by a camera that moves.

In a fixed shot they stand like the background and do no harm. Where the camera goes along with a train they are a layer of their
own, which moves against the background like a train. But a camera that follows a train wavers; what keeps its place to a
fraction of a pixel, while the background runs, was put there later.

A coarse encoder moves blocks by whole steps, so that bands also agree with multiples of its blocks, which is a speed at one age
of the anchor only. What moves in the picture shows at every age: `lasting`.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter, rank_filter

from vision.motion.background import SAME_AS_BACKGROUND_PX, Background, ShotShifts
from vision.types import FloatArray

_OLD_FRAMES = 2.5
_CLEARLY_MOVED_PX = 2.0
_WEAKEST_RESPONSE = 0.04
_AT_REST_PX = 0.4
_WAVERS_PX = 1.5
_AT_REST_SHARE = 0.6
_LEAST_FRAMES = 20
_ABOUT_S = 0.5
_SAME_SPEED_BINS = 2
_AMONG_FRAMES, _SHOWN_FRAMES = 13, 4
_PEAK_FACTOR = 2.0
_CHUNK_FRAMES = 1024


def unpainted(shot: ShotShifts, background: Background) -> ShotShifts:
    """The shot without the peaks of what is on the picture; itself where nothing is.

    A frame that an encoder made of the one before, hardly changed, shows nothing but that: it counts as not measured.

    Args:
        shot: Its peaks.
        background: As the bands say at first: in some frames it is what is on the picture.
    """
    moved_px = _camera_px(shot, background)
    painted = _painted(shot, moved_px, shot.shift, shot.response)
    if not painted.any():
        return shot
    cleared = copy(shot)
    cleared.painted = True
    cleared.response = np.where(painted, np.float32(0.0), shot.response)
    # Of the upper bands, which tell of the far background; in the lower ones there may be nothing else but the train.
    upper = np.arange(shot.shift.shape[1])[:, None] < shot.shift.shape[1] / 2
    whole = _painted(shot, moved_px, shot.whole_shift, shot.whole_response)
    cleared.whole_response = np.where(whole & upper, np.float32(0.0), shot.whole_response)
    at_rest = np.abs(background.near) < _AT_REST_PX
    cleared.measured = shot.measured & ~(at_rest & (np.abs(moved_px) > SAME_AS_BACKGROUND_PX))
    return cleared


def _camera_px(shot: ShotShifts, background: Background) -> FloatArray:
    """(n,) how far the background has moved since the anchor, by its speed around; 0 where that is not known."""
    old = np.flatnonzero(shot.measured & background.known() & (shot.age > _OLD_FRAMES))
    if len(old) < _LEAST_FRAMES:
        return np.zeros(len(shot))
    speed_px = np.interp(np.arange(len(shot)), old, background.near[old] / shot.age[old])
    about = 2 * max(1, round(_ABOUT_S / shot.interval_s)) + 1
    return np.asarray(median_filter(speed_px, size=about, mode="nearest") * shot.age, dtype=np.float64)


def _painted(
    shot: ShotShifts, moved_px: FloatArray, shift_px: NDArray[np.float32], response: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(n, bands, peaks) peaks of what stands on the picture while the camera moves, in bands where it does so exactly."""
    moves = shot.measured & (np.abs(moved_px) > _CLEARLY_MOVED_PX) & (shot.age > _OLD_FRAMES)
    size_px, strong = np.abs(shift_px), response > _WEAKEST_RESPONSE
    near, at_rest = (
        np.count_nonzero((strong & (size_px < reach_px))[moves].any(axis=2), axis=0) for reach_px in (_WAVERS_PX, _AT_REST_PX)
    )
    bands = (near >= _LEAST_FRAMES) & (at_rest > _AT_REST_SHARE * near)
    camera_moves = np.abs(moved_px) > SAME_AS_BACKGROUND_PX
    return np.asarray(bands[:, None] & (size_px < SAME_AS_BACKGROUND_PX) & camera_moves[:, None, None], dtype=bool)


def lasting(evidence: NDArray[np.float16]) -> NDArray[np.float16]:
    """Evidence for each speed in each frame, (n, speeds), no more than what some of the frames around show as well."""
    out = np.zeros_like(evidence)
    for begin in range(0, len(evidence), _CHUNK_FRAMES):
        before = min(begin, _AMONG_FRAMES)
        part = evidence[begin - before : begin + _CHUNK_FRAMES + _AMONG_FRAMES].astype(np.float32)
        around = maximum_filter(part, size=(1, 2 * _SAME_SPEED_BINS + 1))
        shown = rank_filter(around, rank=-_SHOWN_FRAMES, size=(_AMONG_FRAMES, 1))
        capped = np.minimum(part, _PEAK_FACTOR * shown)[before : before + _CHUNK_FRAMES]
        out[begin : begin + len(capped)] = capped
    return out
