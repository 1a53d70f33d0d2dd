"""Two trains at once: told apart by their speeds.

One path through (time, speed) follows one train and, where another shows more of itself, slides over to that one. So before it
is believed, the speeds at which anything moves are gathered over about a second, where two trains are two ridges as long as their
speeds differ; both ridges are followed together, which costs less than any that change places; and each train is then measured
alone, with what moves like the other one taken out.

Only where the camera stands, or shakes: what a moving camera sees at several distances moves at several speeds as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.motion.background import ShotShifts
from vision.motion.layers import Layers
from vision.motion.meter import MotionSeries
from vision.motion.speeds import BIN, speed_at, stretched

_TOP_PX = 40.0
_HOP_FRAMES = 8
_HALF_WINDOW_FRAMES = 14
_OLD_SHARE = 0.5
_STEADY_CAMERA_PX = 0.25
_SAME_AS_BACKGROUND_PX = 1.2
_WEAKEST_RESPONSE = 0.06
_LEAST_STRENGTH = 0.12
_SLOWEST_PX = 0.2
_APART_BINS = 4
_RIDGES = 5
_STEP_COST = 0.04
_BIRTH_COST = 1.5
_SHARED_COST = 0.05
_LEAST_HOPS = 8
_STEADY_BINS = 3
_OWN_SPEED = (0.5, 2.0)
_SAME_SPEED = (0.85, 1.18)
_ENDS = (0.03, 0.97)
_SAME_ENDS = 0.15
_DEEPEST_SHARE = 0.4
_SLOWEST_VIEWS_S = 0.035
_LEAST_TOGETHER = 0.35
_OTHER_SPEED_SHARE = 0.3
_NEAR_RIDGE_FRAMES = 50
_TAKEN_PX = 1.2
_TOLD_APART_PX = 1.2


@dataclass(frozen=True, slots=True)
class Ridge:
    """Speed of one of two trains against the background over the frames of a shot.

    Attributes:
        speed_px: (n,) float64, pixels of the small picture per typical frame interval; NaN where it does not show.
    """

    speed_px: NDArray[np.float64]

    def held(self, frames: int) -> NDArray[np.float64]:
        """(n,) its speed, that of its nearest frame up to so many frames from where it shows; NaN elsewhere."""
        shown = np.flatnonzero(np.isfinite(self.speed_px))
        out = np.full(len(self.speed_px), np.nan)
        if len(shown):
            at = np.arange(len(out))
            after = np.clip(np.searchsorted(shown, at), 0, len(shown) - 1)
            before = np.maximum(after - 1, 0)
            nearest = np.where(np.abs(shown[before] - at) <= np.abs(shown[after] - at), shown[before], shown[after])
            near = np.abs(nearest - at) <= frames
            out[near] = self.speed_px[nearest[near]]
        return out


def side_by_side(series: MotionSeries, layers: Layers) -> tuple[Ridge, Ridge] | None:
    """The speeds of two trains that show at once in a shot, or None where there is one at most.

    Args:
        series: Band shifts of the video.
        layers: Of the shot, for one train.
    """
    if not layers.present.any() or _camera_px(layers) > _STEADY_CAMERA_PX:
        return None
    gathered = _gathered(series, layers)
    peaks = [_ridges_at(evidence) for evidence in gathered]
    both = sum(len(speeds) > 1 for speeds, _ in peaks)
    if both < _LEAST_HOPS:
        return None
    tracks = _cleaned(*_two_tracks(peaks))
    slowest_px = _SLOWEST_VIEWS_S * series.width_px * series.interval_s
    if not _are_trains(*tracks, slowest_px=slowest_px) or _valley(gathered, *tracks) > _DEEPEST_SHARE:
        return None
    if _seen_together(series, layers, *tracks) < _LEAST_TOGETHER:
        return None
    n = len(layers.present)
    first, second = (Ridge(_over_frames(track, n)) for track in tracks)
    return first, second


def _cleaned(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two tracks, (hops,) each, without the hops at quite another speed than their own.

    Such a hop is what a shake leaves, or the other train's: it goes to that one where its own track shows nothing.
    """
    speeds = speed_at(first), speed_at(second)
    usual = [float(np.nanmedian(speed)) if np.isfinite(speed).any() else np.nan for speed in speeds]
    out = []
    for own, other in ((0, 1), (1, 0)):
        track, lent = (first, second)[own], (first, second)[other]
        with np.errstate(invalid="ignore"):
            mine = _within(speeds[own] / usual[own], _OWN_SPEED)
            theirs = ~_within(speeds[other] / usual[other], _OWN_SPEED) & _within(speeds[other] / usual[own], _SAME_SPEED)
        out.append(np.where(mine, track, np.where(theirs, lent, np.nan)))
    return out[0], out[1]


def _within(ratio: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((ratio > bounds[0]) & (ratio < bounds[1]), dtype=bool)


def _are_trains(first: NDArray[np.float64], second: NDArray[np.float64], *, slowest_px: float) -> bool:
    """Whether two tracks, (hops,) each, are two trains rather than one that changes its speed or is seen in perspective."""
    shown = np.isfinite(first), np.isfinite(second)
    if not shown[0].any() or not shown[1].any():
        return False
    if min(float(np.median(np.abs(speed_at(t[s])))) for t, s in zip((first, second), shown, strict=True)) < slowest_px:
        return False  # people
    # While a train brakes or starts, a second's worth of its speeds is no sharp ridge.
    apart = np.abs(first - second) >= _APART_BINS * BIN
    at_once = apart & _steady(first) & _steady(second)
    if np.count_nonzero(at_once) < _LEAST_HOPS:
        return False
    ends = [np.quantile(np.flatnonzero(s), _ENDS) for s in shown]
    longest = max(ends[0][1], ends[1][1]) - min(ends[0][0], ends[1][0]) + 1
    # What comes and goes with the train at a share of its speed is a part of it, nearer or farther.
    return bool(np.abs(ends[0] - ends[1]).sum() > _SAME_ENDS * longest)


def _valley(gathered: list[NDArray[np.float64]], first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """How much moves at speeds between two tracks, as a share of the weaker one; a train in perspective fills them all."""
    shares = []
    for hop in np.flatnonzero(np.abs(first - second) >= _APART_BINS * BIN):
        evidence = gathered[hop]
        low, high = sorted(round(float(track[hop]) / BIN) + len(evidence) // 2 for track in (first, second))
        weaker = min(evidence[low], evidence[high])
        shares.append(float(evidence[low : high + 1].min() / weaker) if weaker > 0 else 1.0)
    return float(np.median(shares)) if shares else 1.0


def _steady(track: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(hops,) where a track keeps its speed over two hops on both sides."""
    around = np.pad(track, 2, mode="edge")
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(around[4:] - around[:-4]) < _STEADY_BINS * BIN, dtype=bool)


def without(series: MotionSeries, layers: Layers, own: Ridge, other: Ridge) -> MotionSeries:
    """The series with the peaks taken out, in this shot, that move like the other one of two trains.

    Args:
        series: Of the video.
        layers: Of the shot.
        own: The train to keep; where the two cannot be told apart yet (too soon after the anchor) its peaks go as well.
        other: The train to take out.
    """
    shot = _shifts(series, layers)
    moved_px = layers.background_px - layers.background_px[shot.anchor]
    own_px, other_px = (moved_px + ridge.speed_px * shot.age for ridge in (own, other))
    alike = np.abs(own_px - other_px) < _TOLD_APART_PX

    from_other, from_own, from_ground = (np.abs(shot.shift - layer[:, None, None]) for layer in (other_px, own_px, moved_px))
    # Where a train does not show its ridge is NaN, which is below nothing.
    taken = (from_other < _TAKEN_PX + 0.03 * np.abs(other_px)[:, None, None]) & (from_other < from_ground)
    taken &= ~(from_own < from_other) | alike[:, None, None]
    response = series.response.copy()
    response[layers.first : layers.first + len(shot)][taken] = 0.0
    return replace(series, response=response)


def at_its_speed(series: MotionSeries, layers: Layers, own: Ridge) -> Layers:
    """The layers of one of two trains, with the train at its ridge's speed wherever its path says something else.

    With the other train's peaks out, little may be left of it for seconds, and a path without evidence stands (or follows what
    the hand's shake leaves of the ground). The ridge knows the speed, and that there is a train.

    Args:
        series: Of the video.
        layers: Of the shot, for this train alone.
        own: Its speed.
    """
    ridge_px = own.held(_NEAR_RIDGE_FRAMES)
    with np.errstate(invalid="ignore"):
        agrees = layers.present & (np.abs(layers.speed_px - ridge_px) <= _OTHER_SPEED_SHARE * np.abs(ridge_px))
    shown = np.isfinite(own.speed_px)
    speed_px = np.where(agrees, layers.speed_px, np.where(shown, ridge_px, 0.0))
    mended_px = (speed_px - layers.speed_px) * np.where(shown & ~agrees, _shifts(series, layers).step, 0.0)
    return replace(
        layers,
        present=agrees | shown,
        speed_px=speed_px,
        train_px=layers.train_px + np.cumsum(mended_px),
        trust=np.where(shown & ~agrees, 0.0, layers.trust).astype(np.float32),
    )


def _shifts(series: MotionSeries, layers: Layers) -> ShotShifts:
    return ShotShifts(series, layers.first, layers.first + len(layers.present) - 1)


def _camera_px(layers: Layers) -> float:
    """How fast the camera goes on the whole, pixels a frame: a shake comes back, a pan does not."""
    window = min(50, max(1, len(layers.present) - 1))
    moved = np.abs(layers.background_px[window:] - layers.background_px[:-window]) / window
    return float(np.quantile(moved, 0.9)) if len(moved) else 0.0


@dataclass(frozen=True, slots=True)
class _Speeds:
    """What each peak of a shot says of a speed.

    Attributes:
        place: (n, bands, peaks) int64, in bins of the speed axis; the middle one is 0.
        strong: (n, bands, peaks) whether it counts.
        middle: Number of the bin of speed 0.
    """

    place: NDArray[np.int64]
    strong: NDArray[np.bool_]
    middle: int

    @classmethod
    def of(cls, shot: ShotShifts, layers: Layers) -> _Speeds:
        top = int(float(stretched(_TOP_PX)) / BIN)
        relative_px = shot.shift - (layers.background_px - layers.background_px[shot.anchor])[:, None, None]
        strong = (shot.response > _WEAKEST_RESPONSE) & (np.abs(relative_px) > _SAME_AS_BACKGROUND_PX)
        strong &= np.abs(shot.shift) > _SAME_AS_BACKGROUND_PX / 2
        speed_px = relative_px / np.maximum(shot.age, 1e-6)[:, None, None]
        place = np.round(stretched(speed_px) / BIN).astype(np.int64) + top
        strong &= (place >= 0) & (place <= 2 * top) & (np.abs(speed_px) > _SLOWEST_PX)
        return cls(place, strong, top)


def _about(shot: ShotShifts, middle: int) -> NDArray[np.int64]:
    """The frames about one that tell of speeds: measured, with old anchors."""
    about = np.arange(max(0, middle - _HALF_WINDOW_FRAMES), min(len(shot), middle + _HALF_WINDOW_FRAMES + 1))
    about = about[shot.measured[about]]
    return np.asarray(about[shot.age[about] >= _OLD_SHARE * shot.age[about].max(initial=0.0)], dtype=np.int64)


def _gathered(series: MotionSeries, layers: Layers) -> list[NDArray[np.float64]]:
    """Evidence for each speed about every ``_HOP_FRAMES``-th frame: mean response over the frames with old anchors."""
    shot = _shifts(series, layers)
    speeds = _Speeds.of(shot, layers)
    out = []
    for middle in range(0, len(shot), _HOP_FRAMES):
        about = _about(shot, middle)
        evidence = np.zeros(2 * speeds.middle + 1)
        if len(about):
            chosen = speeds.strong[about]
            np.add.at(evidence, speeds.place[about][chosen], shot.response[about][chosen])
            evidence = np.convolve(evidence, (0.4, 0.8, 1.0, 0.8, 0.4), mode="same") / len(about)
        out.append(evidence)
    return out


def _seen_together(series: MotionSeries, layers: Layers, first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """In what share of the frames that show the rarer one of two tracks, (hops,) each, the other one shows as well.

    Trains side by side are seen at once. One train that leaps where frames are lost is seen at one speed, and then at another.
    """
    shot = _shifts(series, layers)
    speeds = _Speeds.of(shot, layers)
    together, alone = 0, 0
    for hop in np.flatnonzero(np.abs(first - second) >= _APART_BINS * BIN):
        about = _about(shot, int(hop) * _HOP_FRAMES)
        shown = [
            (speeds.strong[about] & (np.abs(speeds.place[about] - speeds.middle - track[hop] / BIN) <= _APART_BINS / 2)).any(
                axis=(1, 2)
            )
            for track in (first, second)
        ]
        together += int(np.count_nonzero(shown[0] & shown[1]))
        alone += min(int(np.count_nonzero(one)) for one in shown)
    return together / alone if alone else 0.0


def _ridges_at(evidence: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest maxima, apart from each other: places on the stretched axis and strengths."""
    top = len(evidence) // 2
    left = np.abs(np.arange(-top, top + 1))
    height = np.where(left >= 0, evidence, 0.0).copy()
    places, strengths = [], []
    for _ in range(_RIDGES):
        at = int(height.argmax())
        if height[at] < _LEAST_STRENGTH:
            break
        around = slice(max(0, at - 2), at + 3)
        weight = evidence[around]
        places.append(float((np.arange(around.start, around.start + len(weight)) * weight).sum() / weight.sum() - top) * BIN)
        strengths.append(float(height[at]))
        height[max(0, at - _APART_BINS) : at + _APART_BINS + 1] = 0.0
    return np.array(places), np.array(strengths)


def _two_tracks(peaks: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two tracks through the maxima, (hops,) each with NaN for "not there", that together explain most (Viterbi over pairs)."""
    options = [[(i, j) for i in range(-1, len(s)) for j in range(-1, len(s))] for s, _ in peaks]
    gain, came_from = np.zeros(1), []
    before: list[tuple[float, float]] = [(np.nan, np.nan)]
    pairs_of = []
    for (places, strengths), pairs in zip(peaks, options, strict=True):
        now = [tuple(float(places[k]) if k >= 0 else np.nan for k in pair) for pair in pairs]
        own = np.array([_own(pair, strengths) for pair in pairs])
        step = _steps(np.array(before), np.array(now))
        total = gain[:, None] - step
        came_from.append(total.argmax(axis=0))
        gain = total.max(axis=0) + own
        before = now  # type: ignore[assignment]
        pairs_of.append(np.array(now))
    state = int(gain.argmax())
    out = np.full((2, len(peaks)), np.nan)
    for hop in range(len(peaks) - 1, -1, -1):
        out[:, hop] = pairs_of[hop][state]
        state = int(came_from[hop][state])
    return out[0], out[1]


def _own(pair: tuple[int, int], strengths: NDArray[np.float64]) -> float:
    """What a pair of maxima explains: each counts once."""
    first, second = pair
    total = sum(min(float(strengths[k]), 1.0) - _LEAST_STRENGTH / 2 for k in {first, second} if k >= 0)
    return total - (_SHARED_COST if first == second >= 0 else 0.0)


def _steps(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost of going from each pair to each other one, (pairs before, pairs now)."""
    cost = np.zeros((len(before), len(now)))
    for track in (0, 1):
        a, b = before[:, None, track], now[None, :, track]
        bins = np.abs(b - a) / BIN
        moved = np.where(np.isfinite(a) & np.isfinite(b), _STEP_COST * bins, 0.0)
        cost += moved + np.where(np.isnan(a) != np.isnan(b), _BIRTH_COST / 2, 0.0)
    return cost


def _over_frames(track: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """A track over all frames: between its hops, and half a window beyond its ends."""
    hops = np.flatnonzero(np.isfinite(track))
    out = np.full(frames, np.nan)
    if len(hops) == 0:
        return out
    at = hops * _HOP_FRAMES
    values = np.interp(np.arange(frames), at, speed_at(track[hops]))
    shown = np.zeros(frames, bool)
    for hop in at:
        shown[max(0, hop - _HALF_WINDOW_FRAMES) : hop + _HALF_WINDOW_FRAMES + 1] = True
    out[shown] = values[shown]
    return out
