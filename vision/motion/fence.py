"""A train between the pickets of a fence: how far it went, where the correlation only says by how many pickets.

A smooth wagon behind pickets has no detail as sharp as the pickets' edges. The band's coherence is then that of the openings, a
comb with a tooth every pitch, times that of the train, a broad hump about its shift: the two highest peaks are the teeth on both
sides of the train's shift, and stand where they stand whatever the train does. Followed as they are, they are layers that leap
with every new anchor. But their heights say where the hump is: it is nearly a triangle as wide as two pitches, so that the mean
of the teeth, by height, is how far the train went.

The tooth at rest is higher than the train makes it: the mean picture that was taken off (see `bands`) lacks the same of both
frames, and that stands still. How much higher the train itself tells, which is as fast soon after an anchor as later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.motion.background import Background, ShotShifts
from vision.motion.meter import MotionSeries
from vision.types import FloatArray

PITCHES_PX = np.arange(4.0, 14.01, 0.25)
"""A comb as wide as the anchor's reach cannot be told from a train."""
_STANDS_PX = 0.5
_STRONG = 0.08
_WEAKEST = 0.03
_AGES = range(2, 11)
_LEAST_PAIRS, _LEAST_AT_AGE, _LEAST_AGES = 100, 8, 4
_MOST_PAIRS = 3000
_FARTHEST_TOOTH = 2
_ON_TOOTH = 0.16
_NEAR_TOOTH = 0.25
_SURE, _LIKELY = 0.5, 0.35
_AS_GOOD = 0.85
_REST_SHARES = np.arange(0.3, 1.01, 0.05)
_USUAL_REST_SHARE = 0.65
_LEAST_CYCLES = 10
_WORTH = 0.5
"""Of two teeth's mean, beside a peak of the train's own that has no fence before it."""


@dataclass(frozen=True, slots=True)
class Comb:
    """A band that is seen through pickets.

    Attributes:
        pitch_px: From one to the next.
        rest_share: Share of the tooth at rest that belongs to what moves.
    """

    pitch_px: float
    rest_share: float


def through_fence(series: MotionSeries, background: Background, first: int, last: int) -> MotionSeries:
    """The series with the teeth of bands behind a fence made one peak each, in one shot; itself where there is no fence.

    Args:
        series: Of the video.
        background: Of the shot.
        first: Its first frame.
        last: Its last frame, inclusive.
    """
    shot = ShotShifts(series, first, last)
    relative_px = shot.shift - background.near[:, None, None]
    combs = find_combs(shot, relative_px, stands=np.abs(background.near) < _STANDS_PX)
    if not combs:
        return series
    shift, response = series.shift_px.copy(), series.response.copy()
    for band, comb in combs.items():
        both = _teeth(relative_px[:, band], shot.response[:, band], comb.pitch_px, _NEAR_TOOTH, _WEAKEST) & shot.measured
        between_px = _between(relative_px[:, band], shot.response[:, band], comb) + background.near
        frames = first + np.flatnonzero(both)
        shift[frames, band, 0] = between_px[both]
        response[frames, band, 0] = _WORTH * np.minimum(shot.response[both, band].sum(axis=1), 1.0)
        response[frames, band, 1] = 0.0
    return replace(series, shift_px=shift, response=response)


def find_combs(shot: ShotShifts, relative_px: NDArray[np.float64], *, stands: NDArray[np.bool_]) -> dict[int, Comb]:
    """The bands behind a fence.

    A layer's shift grows with the time since the anchor. So where two peaks stand at multiples of one pitch however old the
    anchor is, they are teeth. One band must say so surely, others of the same pitch may be less sure.

    Args:
        shot: Its peaks.
        relative_px: (n, bands, 2) shifts against the background.
        stands: (n,) the camera hardly moved since the anchor: a shake makes teeth of its own.

    Returns:
        For each such band its comb.
    """
    bands = shot.shift.shape[1]
    scores = np.stack([_scores(shot, relative_px[:, band], shot.response[:, band], stands) for band in range(bands)])
    if scores.max() < _SURE:
        return {}
    sure = scores[scores.max(axis=1) >= _SURE].mean(axis=0)
    # Every second tooth of a pitch is a tooth of half the pitch.
    pitch = int(np.flatnonzero(sure >= _AS_GOOD * sure.max())[-1])
    pitch += int(sure[max(0, pitch - 2) : pitch + 1].argmax()) - min(2, pitch)
    near = slice(max(0, pitch - 3), pitch + 4)
    combs = {}
    for band in np.flatnonzero(scores[:, near].max(axis=1) >= _LIKELY):
        pitch_px = float(PITCHES_PX[near][scores[band, near].argmax()])
        rest_share = _rest_share(shot, relative_px[:, band], shot.response[:, band], pitch_px)
        combs[int(band)] = Comb(pitch_px, rest_share)
    return combs


def _scores(
    shot: ShotShifts, relative_px: NDArray[np.float64], response: NDArray[np.float32], stands: NDArray[np.bool_]
) -> FloatArray:
    """For each pitch how surely a band's pairs of peaks, (n, 2), are two teeth at every age of the anchor, in [0, 1]."""
    age = np.round(shot.age).astype(np.int64)
    use = shot.measured & stands & (age >= _AGES.start) & (age < _AGES.stop) & (response.min(axis=1) > _STRONG)
    pairs = np.flatnonzero(use)
    if len(pairs) < _LEAST_PAIRS:
        return np.zeros(len(PITCHES_PX))
    pairs = pairs[:: -(-len(pairs) // _MOST_PAIRS)]
    ages = [at for at in _AGES if np.count_nonzero(age[pairs] == at) >= _LEAST_AT_AGE]
    if len(ages) < _LEAST_AGES:
        return np.zeros(len(PITCHES_PX))
    out = []
    for pitch_px in PITCHES_PX:
        teeth = _teeth(relative_px[pairs], response[pairs], float(pitch_px), _ON_TOOTH, _STRONG)
        shares = [float(teeth[age[pairs] == at].mean()) for at in ages]
        out.append((min(shares) + float(np.mean(shares))) / 2)
    return np.array(out)


def _teeth(
    relative_px: NDArray[np.float64], response: NDArray[np.float32], pitch_px: float, tolerance: float, weakest: float
) -> NDArray[np.bool_]:
    """(n,) whether both peaks, (n, 2), are teeth, and two different ones."""
    tooth = np.round(relative_px / pitch_px)
    beside = np.abs(relative_px - tooth * pitch_px) < tolerance * pitch_px
    reached = np.abs(tooth).max(axis=1) <= _FARTHEST_TOOTH
    return np.asarray(beside.all(axis=1) & reached & (tooth[:, 0] != tooth[:, 1]) & (response.min(axis=1) > weakest), dtype=bool)


def _between(relative_px: NDArray[np.float64], response: NDArray[np.float32], comb: Comb) -> FloatArray:
    """(n,) mean of two teeth, (n, 2), by their heights."""
    at_rest = np.abs(relative_px) < comb.pitch_px / 2
    weight = np.maximum(np.where(at_rest, comb.rest_share, 1.0) * response, 1e-6)
    return np.asarray((weight * relative_px).sum(axis=1) / weight.sum(axis=1), dtype=np.float64)


def _rest_share(shot: ShotShifts, relative_px: NDArray[np.float64], response: NDArray[np.float32], pitch_px: float) -> float:
    """The share of the tooth at rest with which a train is as fast before it has gone by a pitch as after."""
    teeth = _teeth(relative_px, response, pitch_px, _NEAR_TOOTH, _WEAKEST) & shot.measured & (shot.age >= _AGES.start)
    ratios = []
    for share in _REST_SHARES:
        gone_px = np.abs(_between(relative_px, response, Comb(pitch_px, float(share))))
        speed_px = gone_px / np.maximum(shot.age, 1e-3)
        late = np.flatnonzero(teeth & (gone_px > 0.9 * pitch_px))
        count = np.bincount(shot.anchor[late], minlength=len(shot))
        in_cycle = np.bincount(shot.anchor[late], weights=speed_px[late], minlength=len(shot)) / np.maximum(count, 1)
        early = np.flatnonzero(teeth & (gone_px < 0.8 * pitch_px) & (count[shot.anchor] > 0))
        if len(early) < _LEAST_CYCLES:
            return _USUAL_REST_SHARE
        ratios.append(float(np.median(speed_px[early] / in_cycle[shot.anchor[early]])))
    return float(_REST_SHARES[int(np.abs(np.log(np.maximum(ratios, 1e-3))).argmin())])
