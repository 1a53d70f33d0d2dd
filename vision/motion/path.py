"""How fast a train goes against the background, if there is one: the best path through (time, speed).

The speed obeys inertia, whatever the camera does, so the path is found by dynamic programming (Viterbi 1967) with a state "no
train". All frames of a shot are at hand, so that it is decided by the whole passage instead of frame by frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from vision.geometry import runs
from vision.motion.background import LAYER_RESPONSE, SAME_AS_BACKGROUND_PX, Background, ShotShifts
from vision.motion.boxes import BoxSpeeds
from vision.motion.painted import lasting
from vision.motion.speeds import BIN, precision, speed_at, speed_axis, stretched
from vision.types import FloatArray

NO_TRAIN = -1
NEUTRAL_PX = 0.12
"""A slower train stands, for all that can be seen."""
_SHIFT_PRECISION_PX = 0.45
_WEAKEST_RESPONSE = 0.04
_EMISSION_THRESHOLD = 0.2
_EMISSION_CAP = 2.5
_WITHOUT_BOXES = 0.2
_LASTING_THRESHOLD = 0.12
_FENCE_SHARE = 0.6
_HIDDEN_COST = 0.02
_HIGHEST_BANDS = 2
_LASTING_SHARE = 0.2
_LASTING_LOW_SHARE = 0.06
_LESS_LOW = 0.4
_SAME_SPEED_BINS = 3
_NEUTRAL_COST = 0.002
_BIRTH_COST = 6.0
_STEP_COST = 0.03
_STEP_GROWTH = 0.7
_MAX_STEP = 5
_EXTEND_EVIDENCE = 0.08
_EXTEND_CAP = 0.5
_UNSEEN_AT_ONCE = 5
_CHUNK_FRAMES = 1024
_BRAKE_S = 1.2
_UNSEEN_STOP_S = 4.0
_NEAR_END_S = 6.0
_AT_SPEED, _CREEPS = 0.8, 0.35
_HIDDEN_SHARE = 0.5
_SAME_SPEED_RATIO = 0.75
_STEADY_RATIO = 0.85
_GAP_VIEWS = 0.5
_TURN_PX = 0.25


@dataclass(frozen=True, slots=True)
class TrainPath:
    """Speed of the train against the background per frame, px per interval, and whether there is a train."""

    speed_px: FloatArray
    present: NDArray[np.bool_]
    support: NDArray[np.float32]

    @property
    def any_train(self) -> bool:
        return bool(self.present.any())

    def band_share(self, shot: ShotShifts) -> FloatArray:
        """Per band, the share of the train's frames in which it moved with the train."""
        moving = self.present & (np.abs(self.speed_px) > NEUTRAL_PX) & shot.measured
        if not moving.any():
            return np.zeros(self.support.shape[1])
        return np.asarray((self.support[moving] > 0.12).mean(axis=0), dtype=np.float64)


def _emissions(shot: ShotShifts, background: Background, axis: FloatArray, boxes: BoxSpeeds | None = None) -> NDArray[np.float16]:
    """Evidence for each speed in each frame, (n, speeds): responses of bands that do not move with the background.

    Half precision: it is the largest thing kept of a long shot.
    """
    evidence = np.zeros((len(shot), len(axis)), np.float16)
    half = len(axis) // 2
    steps = np.arange(-8, 9)
    with_background = background.holds(shot.shift)
    if boxes is not None:
        relative_px = (shot.shift - background.near[:, None, None]) / np.maximum(shot.age, 1e-3)[:, None, None]
        with_background &= ~boxes.agree(relative_px) | background.at_an_end(shot.shift, SAME_AS_BACKGROUND_PX)
    background_share = np.where(with_background, shot.response, 0.0).max(axis=2)
    # A band full of background that repeats (a fence) has side peaks that are no second layer; a half full one may have one.
    fence = np.clip((background_share - _FENCE_SHARE) / (1.0 - _FENCE_SHARE), 0, 1)
    response = np.where(with_background, 0.0, shot.response * (1.0 - fence)[:, :, None])
    response = np.where(_ghosts(shot), 0.0, response)
    response = np.where(background.stands_before(shot.shift), 0.0, response)
    response = np.where(_before_the_train(shot, background, response), 0.0, response)
    outer = np.zeros(response.shape[1:], bool)
    outer[:_HIGHEST_BANDS] = outer[-1:] = True
    rows = np.zeros((2, len(axis)), np.float32)
    for t in np.flatnonzero(shot.measured & background.known()):
        strong = response[t] > _WEAKEST_RESPONSE
        speed = (shot.shift[t][strong] - background.near[t]) / shot.age[t]
        sigma = precision(speed, _SHIFT_PRECISION_PX / shot.age[t])
        centre = np.round(stretched(speed) / BIN).astype(int) + half
        reach = centre[:, None] + steps[None, :]
        value = response[t][strong][:, None] * np.exp(-0.5 * (steps[None, :] * BIN / sigma[:, None]) ** 2)
        inside = (reach >= 0) & (reach < len(axis))
        rows[:] = 0.0
        where = np.broadcast_to(outer[strong].astype(np.int64)[:, None], reach.shape)
        np.add.at(rows, (where[inside], reach[inside]), value[inside].astype(np.float32))
        # A train shows in the middle of the picture; what shows at its edges alone is a window's frame or the sky.
        evidence[t] = np.minimum(rows[0] + np.minimum(rows[1], rows[0]), _EMISSION_CAP)
    return lasting(evidence) if shot.painted else evidence


def _as_boxes_go(evidence: NDArray[np.float16], boxes: BoxSpeeds, axis: FloatArray) -> NDArray[np.float16]:
    """The evidence, (n, speeds), with that of the boxes added, and less of what moves as none of them."""
    out = evidence.copy()
    for begin in range(0, len(out), _CHUNK_FRAMES):
        part = slice(begin, begin + _CHUNK_FRAMES)
        kept = _WITHOUT_BOXES + (1.0 - _WITHOUT_BOXES) * boxes.possible(part, axis)
        out[part] = np.minimum(evidence[part] * kept + boxes.share[part], _EMISSION_CAP)
    return out


def _before_the_train(shot: ShotShifts, background: Background, response: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Peaks of what walks between the camera and the train, (n, bands, peaks): people on a platform.

    They reach down to the picture's lower edge and are slow (to a camera that travels, anything may be). So where a layer that
    holds for a good part of the shot reaches that edge, and another, at least twice as fast, does not, the first is no train.
    """
    speed = (shot.shift - background.near[:, None, None]) / np.maximum(shot.age, 1e-3)[:, None, None]
    usable = (response > LAYER_RESPONSE) & (shot.measured & background.known())[:, None, None]
    axis = speed_axis(shot.width_px)
    bins = np.clip(np.round(stretched(np.where(usable, speed, 0.0)) / BIN), -len(axis), len(axis)).astype(int)
    bins += len(axis)
    lowest = shot.shift.shape[1] - 1
    low = _lasting(shot, bins[:, lowest:], usable[:, lowest:])
    seen = _lasting(shot, bins[:, :lowest], usable[:, :lowest])
    speeds = np.abs(speed_at((np.arange(len(seen)) - len(axis)) * BIN))
    slow = np.where(speeds > NEUTRAL_PX, low, 0.0)
    who = int(slow.argmax())
    walking = float(speeds[who])
    others = (seen > _LASTING_SHARE) & (low * seen[who] < _LESS_LOW * low[who] * seen) & (speeds > 2.0 * walking)
    seen_moving = (background.near / np.maximum(shot.age, 1e-3))[shot.measured & background.known()]
    travels = len(seen_moving) > 0 and abs(float(np.mean(seen_moving))) > NEUTRAL_PX
    if travels or slow[who] < _LASTING_LOW_SHARE or not others.any():
        return np.zeros(response.shape, bool)
    return np.asarray(np.abs(speed) < 1.5 * walking, dtype=bool)


def _lasting(shot: ShotShifts, bins: NDArray[np.int64], usable: NDArray[np.bool_]) -> FloatArray:
    """For each speed, the share of the shot's measured frames in which a usable peak lies within two bins of it."""
    length = 2 * len(speed_axis(shot.width_px)) + 1
    seen = np.zeros((len(bins), length), bool)
    for near in range(-_SAME_SPEED_BINS, _SAME_SPEED_BINS + 1):
        frame, at = np.nonzero(usable)[0], bins[usable] + near
        inside = (at >= 0) & (at < length)
        seen[frame[inside], at[inside]] = True
    return np.asarray(seen.sum(axis=0) / max(int(shot.measured.sum()), 1), dtype=np.float64)


def _scores(
    shot: ShotShifts,
    evidence: NDArray[np.float16],
    background: Background,
    speeds: FloatArray,
    boxes: BoxSpeeds | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Gain of each speed over "no train", frame after frame in chunks of (frames, speeds)."""
    neutral = np.abs(speeds) < NEUTRAL_PX
    low_px, high_px = background.range_px(SAME_AS_BACKGROUND_PX)
    for begin in range(0, len(shot), _CHUNK_FRAMES):
        part = slice(begin, begin + _CHUNK_FRAMES)
        score = evidence[part].astype(np.float32) - np.float32(_LASTING_THRESHOLD if shot.painted else _EMISSION_THRESHOLD)
        score[~shot.measured[part]] = 0.0
        score[:, neutral] = np.maximum(score[:, neutral], -_NEUTRAL_COST)
        # What moves like a background layer cannot be seen: no evidence for a train, and none against it.
        shift_px = background.near[part, None] + speeds * shot.age[part, None]
        hidden = (shift_px > low_px[part, None]) & (shift_px < high_px[part, None])
        if boxes is not None:
            agreed = boxes.agree(np.broadcast_to(speeds, (len(shot), len(speeds))))[part]
            hidden &= ~agreed | background.at_an_end(shift_px, SAME_AS_BACKGROUND_PX, part)
        for layer_px in background.before:
            hidden |= np.abs(shift_px - layer_px[part, None]) < SAME_AS_BACKGROUND_PX
        yield np.where(hidden, np.maximum(score, np.float32(-_HIDDEN_COST)), score)


def _ghosts(shot: ShotShifts) -> NDArray[np.bool_]:
    """Peaks at 0 that only taking the mean off both frames has made: the bands as they are lack them."""
    same = np.abs(shot.shift[:, :, :, None] - shot.whole_shift[:, :, None, :]) < SAME_AS_BACKGROUND_PX
    real = (same & (shot.whole_response[:, :, None, :] > 0.5 * shot.response[:, :, :, None])).any(axis=3)
    return np.asarray((np.abs(shot.shift) < SAME_AS_BACKGROUND_PX) & ~real, dtype=bool)


def train_path(shot: ShotShifts, background: Background, boxes: BoxSpeeds | None = None) -> TrainPath:
    """The best path through (time, speed), and which bands follow it.

    Args:
        shot: The shot's peaks.
        background: How it moves.
        boxes: What the detector's boxes say of the speed, where pixels alone do not say which layer is the train.
    """
    axis = speed_axis(shot.width_px)
    speeds = speed_at(axis)
    evidence = _emissions(shot, background, axis, boxes)
    if boxes is not None:
        evidence = _as_boxes_go(evidence, boxes, axis)
    states = _viterbi(_scores(shot, evidence, background, speeds, boxes), shape=evidence.shape)
    _cut_unseen_standing(shot, states)
    _extend_ends(shot, states, evidence)
    _reach_shots_ends(states, still=len(axis) // 2)
    _close_gaps(shot, states)
    present = states != NO_TRAIN
    speed_px = np.where(present, speeds[np.maximum(states, 0)], 0.0)
    speed_px[np.abs(speed_px) < NEUTRAL_PX] = 0.0  # standing: the bins about 0 are not told apart by any evidence
    run_through_unseen_stops(speed_px, present, interval_s=shot.interval_s)
    target = background.near + speed_px * shot.age
    close = np.abs(shot.shift - target[:, None, None]) < 1.0 + 0.03 * np.abs(speed_px * shot.age)[:, None, None]
    support = np.where(close & present[:, None, None], shot.response, 0.0).max(axis=2)
    return TrainPath(speed_px, present, support.astype(np.float32))


def _cut_unseen_standing(shot: ShotShifts, states: NDArray[np.int64]) -> None:
    """Take away from each run's ends where it stands, or creeps, before it is at speed at once, in place.

    What is as slow as that hides in the background, so nothing says that it was there; and a train takes seconds to gather speed.
    """
    half = len(speed_axis(shot.width_px)) // 2
    about = max(1, round(_BRAKE_S / shot.interval_s))
    smooth = 2 * round(0.2 / shot.interval_s) + 1
    for start, stop in runs(states != NO_TRAIN):
        for order in (slice(None), slice(None, None, -1)):
            run, age = states[start:stop][order], shot.age[start:stop][order]
            speed = median_filter(speed_at((run - half) * BIN), size=smooth, mode="nearest")
            near = speed[: round(_NEAR_END_S / shot.interval_s)]
            fast = float(near[np.abs(near).argmax()])
            share = near / fast if abs(fast) > NEUTRAL_PX else np.ones(len(near))
            at_speed = int((share > _AT_SPEED).argmax())
            slow = np.flatnonzero(share[:at_speed] < _CREEPS)
            if len(slow) == 0 or at_speed - slow[-1] > about or len(run) < at_speed + 2 * about:
                continue
            creeping = slice(0, slow[-1] + 1)
            hidden = np.abs(speed[creeping]) * age[creeping] < 1.5 * SAME_AS_BACKGROUND_PX
            if hidden.mean() > _HIDDEN_SHARE:
                run[creeping] = NO_TRAIN


def _extend_ends(shot: ShotShifts, states: NDArray[np.int64], evidence: NDArray[np.float16]) -> None:
    """Carry each run of states out to where the train still covers only a little of the picture (hysteresis), in place.

    A path is born once its evidence clearly beats "no train"; by then the train's end has come some way into the picture.
    With the speed known, far weaker evidence says so: out to where the sum of its excess over noise is largest (Page's
    cumulative sum, 1954). Runs that begin or end standing still are left alone.
    """
    n = len(states)
    half = evidence.shape[1] // 2
    for start, stop in runs(states != NO_TRAIN):
        for at, direction in ((start, -1), (stop - 1, 1)):
            state = int(states[at])
            if abs(state - half) * BIN < float(stretched(NEUTRAL_PX)):
                continue
            outward = np.arange(at + direction, n if direction > 0 else -1, direction)
            taken = np.flatnonzero(states[outward] != NO_TRAIN)
            outward = outward[: taken[0]] if len(taken) else outward
            seen = np.minimum(evidence[outward, max(state - 3, 0) : state + 4].max(axis=1, initial=0.0), _EXTEND_CAP)
            gain = np.cumsum(np.where(shot.measured[outward], seen - _EXTEND_EVIDENCE, 0.0))
            if len(gain) and gain.max() > 0:
                states[outward[: int(gain.argmax()) + 1]] = state


def _reach_shots_ends(states: NDArray[np.int64], *, still: int) -> None:
    """Let a train that moves moments after a shot begins be there from its first frame, and likewise at its end, in place.

    It takes some frames to see motion. Should an end of the train pass in them, it is not claimed to be seen anyhow.
    """
    neutral = float(stretched(NEUTRAL_PX)) / BIN
    for start, stop in runs(states != NO_TRAIN):
        for at, reach in ((start, slice(0, start)), (stop - 1, slice(stop, len(states)))):
            hidden = reach.stop - reach.start
            if 0 < hidden < _UNSEEN_AT_ONCE and abs(int(states[at]) - still) > neutral:
                states[reach] = states[at]


def _close_gaps(shot: ShotShifts, states: NDArray[np.int64]) -> None:
    """Let a train that vanishes and comes back at its speed run on meanwhile, in place: smooth wagons, people before them.

    No train follows another at its speed by less than a part of the view.
    """
    speeds = speed_at(speed_axis(shot.width_px))
    for (_, gone), (back, _) in itertools.pairwise(runs(states != NO_TRAIN)):
        before, after = int(states[gone - 1]), int(states[back])
        slower, faster = sorted((abs(float(speeds[before])), abs(float(speeds[after]))))
        steady = speeds[before] * speeds[after] > 0 and slower > NEUTRAL_PX and slower > _STEADY_RATIO * faster
        frames = float(shot.step[gone : back + 1].sum())
        if steady and frames * shot.interval_s < _UNSEEN_STOP_S and frames * faster < _GAP_VIEWS * shot.width_px:
            states[gone:back] = np.round(np.linspace(before, after, back - gone)).astype(np.int64)


def run_through_unseen_stops(speed_px: FloatArray, present: NDArray[np.bool_], *, interval_s: float) -> None:
    """Let a train run on that seems to stop and start again within moments, in place.

    A wagon's smooth side behind a fence shows no motion, and what shows none may stand. But a train brakes for seconds: one that
    is back at its speed at once was never slower.

    Args:
        speed_px: (n,) pixels an interval.
        present: (n,) whether there is a train.
        interval_s: Between frames.
    """
    brake = max(1, round(_BRAKE_S / interval_s))
    for start, stop in runs(present & (speed_px == 0.0)):
        before, after = start - brake, stop + brake - 1
        if before < 0 or after >= len(speed_px) or not present[before : after + 1].all():
            continue
        came, left = float(speed_px[before]), float(speed_px[after])
        slower, faster = sorted((abs(came), abs(left)))
        if (
            came * left > 0
            and slower > NEUTRAL_PX
            and slower >= _SAME_SPEED_RATIO * faster
            and (stop - start) * interval_s < _UNSEEN_STOP_S
        ):
            steady = max(1, round(0.5 / interval_s))
            # At full speed until the brakes would have to be on: else it is seen to slow down.
            earlier, later = speed_px[max(0, before - steady)], speed_px[min(len(speed_px) - 1, after + steady)]
            if min(abs(earlier), abs(later)) > 0 and max(abs(earlier - came), abs(later - left)) < 0.25 * faster:
                speed_px[before : after + 1] = np.linspace(came, left, after + 1 - before)


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


def turns_at_once(speed_px: FloatArray, *, interval_s: float) -> bool:
    """Whether a path goes over from one way to the other faster than any train turns: two layers, taken for one.

    Args:
        speed_px: (n,) of one passage, pixels an interval.
        interval_s: Between frames.
    """
    reach = max(1, round(_BRAKE_S / interval_s))
    if len(speed_px) <= reach:
        return False
    before, after = speed_px[:-reach], speed_px[reach:]
    fast = np.minimum(np.abs(before), np.abs(after)) > _TURN_PX
    return bool(((before * after < 0) & fast).any())
