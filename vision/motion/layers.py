"""From band shifts to two tracks: how the background moves, and how the train moves against it.

All frames of a shot are at hand here, so that the train's speed can be decided by the whole passage instead of frame by
frame. The background is taken per frame (a hand shakes without a law); the train's speed *against the background* obeys
inertia, whatever the camera does, and is found as the best path through (time, speed) by dynamic programming (Viterbi 1967)
with a state "no train".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.motion.meter import MotionSeries

NO_TRAIN = -1
_SPEED_KNEE_PX = 0.8  # below it the speed axis is linear, above logarithmic
_BIN = 0.025  # step of the speed axis: 2.5 % of the speed
_SHIFT_PRECISION_PX = 0.45
_SAME_AS_BACKGROUND_PX = 0.9
_NEUTRAL_PX = 0.12
_WEAKEST_RESPONSE = 0.04
_PARALLAX_MIN_PX = 0.7
_PARALLAX_MIN_FRAMES = 8
_PARALLAX_RANGE = (0.8, 3.0)
_EMISSION_THRESHOLD = 0.2
_EMISSION_CAP = 2.5
_FENCE_SHARE = 0.6
_CLEAR_PAN_PX = 3.0
_CLEAR_FRAMES = 25
_LAYER_RESPONSE = 0.15
_HIDDEN_COST = 0.02
_TELL_APART_PX = 2.0 * _SAME_AS_BACKGROUND_PX
_NEUTRAL_COST = 0.002
_BIRTH_COST = 6.0
_STEP_COST = 0.03
_STEP_GROWTH = 0.7
_MAX_STEP = 5
_EXTEND_EVIDENCE = 0.08
_EXTEND_CAP = 0.5
_CHUNK_FRAMES = 1024
_MULTIPLES = (1.0, 2.0, 3.0)


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


def _speed_axis(width_px: int) -> NDArray[np.float64]:
    """Centres of the speed bins on the stretched axis ``z = asinh(speed / knee)``."""
    top = float(np.arcsinh(width_px / 2 / _SPEED_KNEE_PX))
    half = int(top / _BIN)
    return np.asarray(np.arange(-half, half + 1) * _BIN, dtype=np.float64)


def separate_layers(series: MotionSeries, first: int, last: int) -> Layers:
    """Background and train tracks of the frames ``first`` to ``last`` (inclusive), which must be one shot."""
    shot = _ShotShifts(series, first, last)
    weight = _background_prior(series.shift_px.shape[1])
    background = shot.background(weight)
    path = shot.train_path(background)
    if path.any_train:
        # Bands that the train fills say nothing of the background: ask again without them.
        background = shot.background(weight * (1.0 - 0.85 * path.band_share(shot)))
        path = shot.train_path(background)
    return shot.tracks(background, path)


def _background_prior(bands: int) -> NDArray[np.float64]:
    """How likely each band shows background before anything is known: top and foot of the picture rather than its middle."""
    height = (np.arange(bands) + 0.5) / bands
    return np.where(height < 0.3, 1.0, np.where(height > 0.88, 0.7, 0.3))


@dataclass(frozen=True, slots=True)
class _Background:
    """Shift of the background since each frame's anchor, (n,) pixels each; NaN where nothing was measured.

    A camera that pans or travels sees far things move less than near ones, so the background is a range of shifts.

    Attributes:
        near: Of the ground about the track.
        far: Of what stands at the top of the picture; equal to ``near`` when the camera is fixed.
    """

    near: NDArray[np.float64]
    far: NDArray[np.float64]

    def known(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.near), dtype=bool)

    def range_px(self, margin_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest shift of any of its layers, (n,) each, ``margin_px`` further apart on both sides."""
        return np.minimum(self.near, self.far) - margin_px, np.maximum(self.near, self.far) + margin_px

    def holds(self, shift_px: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the shifts, (n, bands, peaks), are the background's."""
        low, high = self.range_px(_SAME_AS_BACKGROUND_PX)
        return np.asarray((shift_px > low[:, None, None]) & (shift_px < high[:, None, None]), dtype=bool)


@dataclass(frozen=True, slots=True)
class _Path:
    """Speed of the train against the background per frame, px per interval, and whether there is a train."""

    speed_px: NDArray[np.float64]
    present: NDArray[np.bool_]
    support: NDArray[np.float32]

    @property
    def any_train(self) -> bool:
        return bool(self.present.any())

    def band_share(self, shot: _ShotShifts) -> NDArray[np.float64]:
        """Per band, the share of the train's frames in which it moved with the train."""
        moving = self.present & (np.abs(self.speed_px) > _NEUTRAL_PX) & shot.measured
        if not moving.any():
            return np.zeros(self.support.shape[1])
        return np.asarray((self.support[moving] > 0.12).mean(axis=0), dtype=np.float64)


class _ShotShifts:
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
        self.step = np.diff(pts_s, prepend=pts_s[:1]) / self.interval_s
        inside = series.anchor[first : last + 1] >= first
        self.measured = inside & (self.anchor < np.arange(n)) & ~series.repeated[first : last + 1]
        self.repeated = series.repeated[first : last + 1]

    def __len__(self) -> int:
        return len(self.age)

    def background(self, weight: NDArray[np.float64]) -> _Background:
        """How the background has moved since each frame's anchor, from the bands as they are."""
        bands = len(weight)
        upper = np.arange(bands) < bands / 2
        far = self._voted(np.where(upper, weight, 0.15 * weight))
        near = self._voted(np.where(upper, 0.0, weight), near=far)
        near = self._parallax(far, near)
        return _Background(near, self._farthest(near, far))

    def _farthest(self, near: NDArray[np.float64], far: NDArray[np.float64]) -> NDArray[np.float64]:
        """The far background, moved out to the farthest layer (hills behind trees) that the upper bands show.

        A layer keeps its ratio to the near background whatever the camera does; a train does not.
        """
        clear = self.measured & (np.abs(near) > _CLEAR_PAN_PX)
        if clear.sum() < _CLEAR_FRAMES:
            return far
        upper = slice(0, self.whole_shift.shape[1] // 2)
        moved = near[clear][:, None, None]
        shift, response = self.whole_shift[clear, upper], self.whole_response[clear, upper]
        for ratio in np.arange(0.1, 1.0, 0.05):
            here = np.abs(shift - ratio * moved) < np.minimum(_SAME_AS_BACKGROUND_PX, 0.1 * np.abs(moved))
            if np.where(here, response, 0.0).max(axis=2).mean(axis=0).max() > _LAYER_RESPONSE:
                return np.asarray(np.where(np.abs(ratio * near) < np.abs(far), ratio * near, far), dtype=np.float64)
        return far

    def _voted(self, weight: NDArray[np.float64], near: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The shift that the weighted bands agree on, frame by frame; a shift like the one before is preferred."""
        out = np.full(len(self), np.nan)
        speed = 0.0
        for t in np.flatnonzero(self.measured):
            shift, votes = self.whole_shift[t].ravel(), (self.whole_response[t] * weight[:, None]).ravel()
            agree = np.abs(shift[:, None] - shift[None, :]) < _SAME_AS_BACKGROUND_PX
            expected = speed * self.age[t] if near is None or np.isnan(near[t]) else near[t]
            likely = 1.0 + 0.6 * np.exp(-0.5 * ((shift - expected) / 2.0) ** 2)
            members = agree[int(((agree @ votes) * likely).argmax())]
            total = votes[members].sum()
            if total > 0:
                out[t] = float((votes[members] * shift[members]).sum() / total)
                speed = out[t] / self.age[t]
        return out

    @staticmethod
    def _parallax(far: NDArray[np.float64], near: NDArray[np.float64]) -> NDArray[np.float64]:
        """The near background, where it is the far one times a constant: else it is the train at the picture's foot."""
        moving = (np.abs(far) > _PARALLAX_MIN_PX) & ~np.isnan(near)
        ratio = float(np.median(near[moving] / far[moving])) if moving.sum() >= _PARALLAX_MIN_FRAMES else 1.0
        ratio = ratio if _PARALLAX_RANGE[0] <= ratio <= _PARALLAX_RANGE[1] else 1.0
        expected = ratio * far
        fits = np.abs(near - expected) < _SAME_AS_BACKGROUND_PX + 0.15 * np.abs(expected)
        return np.where(fits, near, expected)

    def emissions(self, background: _Background, axis: NDArray[np.float64]) -> NDArray[np.float16]:
        """Evidence for each speed in each frame, (n, speeds): responses of bands that do not move with the background.

        Half precision: it is the largest thing kept of a long shot.
        """
        evidence = np.zeros((len(self), len(axis)), np.float16)
        row = np.zeros(len(axis), np.float32)
        half = len(axis) // 2
        steps = np.arange(-8, 9)
        with_background = background.holds(self.shift)
        background_share = np.where(with_background, self.response, 0.0).max(axis=2)
        # A band full of background that repeats (a fence) has side peaks that are no second layer; a half full one may have one.
        fence = np.clip((background_share - _FENCE_SHARE) / (1.0 - _FENCE_SHARE), 0, 1)
        response = np.where(with_background, 0.0, self.response * (1.0 - fence)[:, :, None])
        response = np.where(self._ghosts(), 0.0, response)
        for t in np.flatnonzero(self.measured & background.known()):
            strong = response[t] > _WEAKEST_RESPONSE
            speed = (self.shift[t][strong] - background.near[t]) / self.age[t]
            sigma = np.maximum(_SHIFT_PRECISION_PX / self.age[t] / np.hypot(speed, _SPEED_KNEE_PX), _BIN)
            centre = np.round(np.arcsinh(speed / _SPEED_KNEE_PX) / _BIN).astype(int) + half
            reach = centre[:, None] + steps[None, :]
            value = response[t][strong][:, None] * np.exp(-0.5 * (steps[None, :] * _BIN / sigma[:, None]) ** 2)
            inside = (reach >= 0) & (reach < len(axis))
            row[:] = 0.0
            np.add.at(row, reach[inside], value[inside].astype(np.float32))
            evidence[t] = np.minimum(row, _EMISSION_CAP)
        return evidence

    def scores(
        self, evidence: NDArray[np.float16], background: _Background, speeds: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float32]]:
        """Gain of each speed over "no train", frame after frame in chunks of (frames, speeds)."""
        neutral = np.abs(speeds) < _NEUTRAL_PX
        low_px, high_px = background.range_px(_SAME_AS_BACKGROUND_PX)
        for begin in range(0, len(self), _CHUNK_FRAMES):
            part = slice(begin, begin + _CHUNK_FRAMES)
            score = evidence[part].astype(np.float32) - np.float32(_EMISSION_THRESHOLD)
            score[~self.measured[part]] = 0.0
            score[:, neutral] = np.maximum(score[:, neutral], -_NEUTRAL_COST)
            # What moves like a background layer cannot be seen: no evidence for a train, and none against it.
            shift_px = background.near[part, None] + speeds * self.age[part, None]
            hidden = (shift_px > low_px[part, None]) & (shift_px < high_px[part, None])
            yield np.where(hidden, np.maximum(score, np.float32(-_HIDDEN_COST)), score)

    def _ghosts(self) -> NDArray[np.bool_]:
        """Peaks at 0 that only taking the mean off both frames has made: the bands as they are lack them."""
        same = np.abs(self.shift[:, :, :, None] - self.whole_shift[:, :, None, :]) < _SAME_AS_BACKGROUND_PX
        real = (same & (self.whole_response[:, :, None, :] > 0.5 * self.response[:, :, :, None])).any(axis=3)
        return np.asarray((np.abs(self.shift) < _SAME_AS_BACKGROUND_PX) & ~real, dtype=bool)

    def train_path(self, background: _Background) -> _Path:
        """The best path through (time, speed), and which bands follow it."""
        axis = _speed_axis(self.width_px)
        speeds = _SPEED_KNEE_PX * np.sinh(axis)
        evidence = self.emissions(background, axis)
        states = _viterbi(self.scores(evidence, background, speeds), shape=evidence.shape)
        self._extend_ends(states, evidence)
        present = states != NO_TRAIN
        speed_px = np.where(present, speeds[np.maximum(states, 0)], 0.0)
        speed_px[np.abs(speed_px) < _NEUTRAL_PX] = 0.0  # standing: the bins about 0 are not told apart by any evidence
        target = background.near + speed_px * self.age
        close = np.abs(self.shift - target[:, None, None]) < 1.0 + 0.03 * np.abs(speed_px * self.age)[:, None, None]
        support = np.where(close & present[:, None, None], self.response, 0.0).max(axis=2)
        return _Path(speed_px, present, support.astype(np.float32))

    def _extend_ends(self, states: NDArray[np.int64], evidence: NDArray[np.float16]) -> None:
        """Carry each run of states out to where the train still covers only a little of the picture (hysteresis), in place.

        A path is born once its evidence clearly beats "no train"; by then the train's end has come some way into the picture.
        With the speed known, far weaker evidence says so: out to where the sum of its excess over noise is largest (Page's
        cumulative sum, 1954). Runs that begin or end standing still are left alone.
        """
        n = len(states)
        present = np.concatenate([[False], states != NO_TRAIN, [False]])
        edges = np.flatnonzero(np.diff(present.astype(np.int8)))
        half = evidence.shape[1] // 2
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            for at, direction in ((int(start), -1), (int(stop) - 1, 1)):
                state = int(states[at])
                if abs(state - half) * _BIN < np.arcsinh(_NEUTRAL_PX / _SPEED_KNEE_PX):
                    continue
                outward = np.arange(at + direction, n if direction > 0 else -1, direction)
                taken = np.flatnonzero(states[outward] != NO_TRAIN)
                outward = outward[: taken[0]] if len(taken) else outward
                seen = np.minimum(evidence[outward, max(state - 3, 0) : state + 4].max(axis=1, initial=0.0), _EXTEND_CAP)
                gain = np.cumsum(np.where(self.measured[outward], seen - _EXTEND_EVIDENCE, 0.0))
                if len(gain) and gain.max() > 0:
                    states[outward[: int(gain.argmax()) + 1]] = state

    def tracks(self, background: _Background, path: _Path) -> Layers:
        """Integrate both tracks over the anchors."""
        n, bands, _ = self.shift.shape
        background_px, train_px = np.zeros(n), np.zeros(n)
        trust = np.zeros(n, np.float32)
        support = np.zeros((n, bands), np.float32)
        band_background = np.where(background.holds(self.whole_shift), self.whole_response, 0.0).max(axis=2).astype(np.float32)
        low, high = background.range_px(_TELL_APART_PX)
        for t in range(1, n):
            a = self.anchor[t]
            known = self.measured[t] and not np.isnan(background.near[t])
            if self.repeated[t]:
                background_px[t], train_px[t] = background_px[t - 1], train_px[t - 1]
                trust[t] = trust[t - 1]
                continue
            drift = 0.0 if t < 2 else background_px[t - 1] - background_px[t - 2]
            background_px[t] = background_px[a] + background.near[t] if known else background_px[t - 1] + drift
            moved = background_px[t] - background_px[t - 1]
            train_px[t] = train_px[t - 1] + moved + path.speed_px[t] * self.step[t]
            if not known:
                continue
            if path.present[t]:
                predicted = train_px[t] - train_px[a]
                if low[t] < predicted < high[t]:
                    # Too soon after the anchor, or it moves as a background layer does, whose peak would be taken for its own.
                    trust[t], support[t] = trust[t - 1], path.support[t]
                    continue
                shift, trust[t], support[t] = self._train_shift(t, predicted, path.speed_px[t] * self.step[t])
                train_px[t] = train_px[a] + shift
        return Layers(self.first, background_px, train_px, path.present, path.speed_px, trust, support, band_background)

    def _train_shift(self, t: int, predicted_px: float, step_px: float) -> tuple[float, float, NDArray[np.float32]]:
        """The train's shift since the anchor near the predicted one; multiples of the step stand for dropped frames."""
        best: tuple[float, float, NDArray[np.float32]] = (predicted_px, 0.0, np.zeros(self.shift.shape[1], np.float32))
        tolerance = 1.0 + 0.04 * abs(step_px)
        for multiple in _MULTIPLES if abs(step_px) > 3.0 else _MULTIPLES[:1]:
            target = predicted_px + (multiple - 1.0) * step_px
            close = np.abs(self.shift[t] - target) < tolerance
            per_band = np.where(close, self.response[t], 0.0).max(axis=1)
            total = float(per_band.sum())
            # Another multiple must beat the plain prediction by far: a fence repeats too.
            if total > (best[1] if multiple == 1.0 else max(2.0 * best[1], 1.0)):
                weight = np.where(close, self.response[t], 0.0).astype(np.float64) ** 2
                best = (float((weight * self.shift[t]).sum() / weight.sum()), total, per_band.astype(np.float32))
        return best[0], float(np.clip(best[1] / 1.5, 0.0, 1.0)), best[2]


def _viterbi(chunks: Iterable[NDArray[np.float32]], *, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Best state per frame: a speed bin, or NO_TRAIN; speeds change by a few bins a frame at most.

    Args:
        chunks: In order of time, (frames, speeds) each: gain of being at a speed in a frame over there being no train (which
            scores 0).
        shape: Frames and speeds in all.
    """
    n, bins = shape
    scores = itertools.chain.from_iterable(chunks)
    steps = np.arange(-_MAX_STEP, _MAX_STEP + 1)
    # Inertia: one bin a frame is the precision, several are a jerk that no train makes.
    cost = (_STEP_COST * np.abs(steps) * (1.0 + _STEP_GROWTH * (np.abs(steps) - 1))).astype(np.float32)
    at = next(scores) - np.float32(_BIRTH_COST)
    none = np.float32(0.0)
    came_by = np.zeros((n, bins), np.int8)
    died_from = np.full(n, NO_TRAIN, np.int64)
    born = np.int8(127)
    padded = np.full(bins + 2 * _MAX_STEP, -np.inf, np.float32)
    for t, score in enumerate(scores, start=1):
        padded[_MAX_STEP:-_MAX_STEP] = at
        options = np.stack([padded[_MAX_STEP + s : _MAX_STEP + s + bins] for s in steps]) - cost[:, None]
        choice = options.argmax(axis=0)
        value = options[choice, np.arange(bins)]
        birth = none - np.float32(_BIRTH_COST)
        came_by[t] = np.where(birth > value, born, steps[choice].astype(np.int8))
        ended = int(at.argmax())
        if at[ended] > none:
            died_from[t], none = ended, at[ended]
        at = np.maximum(value, birth) + score
    states = np.full(n, NO_TRAIN, np.int64)
    state = int(at.argmax()) if at.max() > none else NO_TRAIN
    for t in range(n - 1, -1, -1):
        states[t] = state
        if t == 0:
            break
        if state == NO_TRAIN:
            state = int(died_from[t])
        elif came_by[t, state] == born:
            state = NO_TRAIN
        else:
            state += int(came_by[t, state])
    return states
