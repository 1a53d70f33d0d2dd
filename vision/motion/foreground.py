"""What stands or walks between a travelling camera and the train: it moves in proportion to the camera, and a train does not.

A camera that goes sideways by ``c`` shifts the ground at the track by ``c``, and people on the platform before it by
``(1 + q) c``: against the ground they go at ``q`` times the camera's speed, plus the pace at which they walk. While the camera
sways, that is to the left and to the right by turns. No train does that, so such peaks are taken out before one is looked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vision.motion.background import SAME_AS_BACKGROUND_PX, Background, ShotShifts
from vision.types import FloatArray

_SMOOTH_S = 0.4
_NEARER = np.arange(0.15, 2.5, 0.05)
_WALK_VIEWS_S = 0.035
_WALKS = 9
_TOLD_APART_PX = 2.0
_LEAST_FRAMES = 40
_WEAKEST_RESPONSE = 0.08
_LEAST_SHARE = 0.12
_ABOVE_CHANCE = 2.0
_MOST = 3


def foreground_px(shot: ShotShifts, background: Background) -> list[FloatArray]:
    """Shifts since each frame's anchor, (n,) each, of the layers that stand between a swaying camera and the train.

    Args:
        shot: The shot's peaks.
        background: How the ground at the track has moved.
    """
    pan_px = _pan_px(shot, background)
    reach_px = np.where(shot.measured & background.known(), _NEARER[-1] * pan_px * shot.age, 0.0)
    if min(np.count_nonzero(reach_px > _TOLD_APART_PX), np.count_nonzero(reach_px < -_TOLD_APART_PX)) < _LEAST_FRAMES:
        return []
    relative_px = shot.shift - background.near[:, None, None]
    response = np.where(shot.response > _WEAKEST_RESPONSE, shot.response, 0.0)
    fastest_px = _WALK_VIEWS_S * shot.width_px * shot.interval_s
    found: list[FloatArray] = []
    usable = shot.measured & background.known()
    while len(found) < _MOST:
        best = (0.0, 0.0, 0.0)
        for walk_px in np.linspace(-fastest_px, fastest_px, _WALKS):
            shares = np.array([_share(shot, relative_px, response, usable, pan_px, float(q), walk_px) for q in _NEARER])
            at = int(shares.argmax())
            if shares[at] > max(best[0], _LEAST_SHARE, _ABOVE_CHANCE * float(np.median(shares))):
                best = (float(shares[at]), float(_NEARER[at]), float(walk_px))
        if best[0] == 0.0:
            break
        layer_px = (best[1] * pan_px + best[2]) * shot.age
        found.append(np.asarray(background.near + layer_px))
        response = np.where(np.abs(relative_px - layer_px[:, None, None]) < SAME_AS_BACKGROUND_PX, 0.0, response)
    return found


def _pan_px(shot: ShotShifts, background: Background) -> FloatArray:
    """How fast the camera goes on the whole, (n,) pixels an interval: without the hand's shake, which turns it."""
    speed_px = background.near / np.maximum(shot.age, 1e-3)
    known = background.known() & shot.measured
    if known.sum() < 2:
        return np.zeros(len(shot))
    filled = np.interp(np.arange(len(shot)), np.flatnonzero(known), speed_px[known])
    return np.asarray(gaussian_filter1d(filled, max(1.0, _SMOOTH_S / shot.interval_s), mode="nearest"), dtype=np.float64)


def _share(
    shot: ShotShifts,
    relative_px: FloatArray,
    response: NDArray[np.float32],
    usable: NDArray[np.bool_],
    pan_px: FloatArray,
    nearer: float,
    walk_px: float,
) -> float:
    """In what share of the frames a layer shows that goes with the camera: of those to the left and to the right the less."""
    layer_px = (nearer * pan_px + walk_px) * shot.age
    shares = []
    for way in (-1.0, 1.0):
        asked = usable & (way * pan_px > 0) & (way * layer_px > _TOLD_APART_PX)
        if np.count_nonzero(asked) < _LEAST_FRAMES:
            return 0.0
        there = np.abs(relative_px[asked] - layer_px[asked, None, None]) < SAME_AS_BACKGROUND_PX / 2
        shares.append(float((there & (response[asked] > 0)).any(axis=(1, 2)).mean()))
    return min(shares)
