"""Passages: when a train is in the picture, which way it goes, how long it is, and its coordinate over time."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vision.config import MotionConfig
from vision.geometry import runs
from vision.motion.abreast import at_its_speed, side_by_side, without
from vision.motion.background import ShotShifts
from vision.motion.boxes import BoxLinks
from vision.motion.fence import through_fence
from vision.motion.jumps import Join, measure_jump
from vision.motion.layers import Layers, first_background, ground_track, separate_layers
from vision.motion.meter import MotionSeries
from vision.motion.path import NEUTRAL_PX, turns_at_once
from vision.types import Direction, Dropped, Passage, Shot

AMBIGUOUS_REGISTRATION = "ambiguous_registration"
GAP_BRIDGED = "gap_bridged"
STANDING = "standing"
BRIEF = "brief"
NO_BACKGROUND = "no_background"
JUMP_CUT = "jump_cut"
TRAINS_ABREAST = "trains_abreast"

_QUIET_FRAMES = 5
_BRIDGE_S = 1.5
_BRIDGE_SPEED_RATIO = 0.75
_BESIDE_FRAMES = 25
_AT_ONCE_VIEWS = 0.05
# An end of the train is noticed late: the picture's outer part counts little in the registration, and it takes two frames to
# see motion.
_HIDDEN_SHARE = 0.05
_LOW_TRUST = 0.15
_TOO_LITTLE = "too_little_motion"
_STILL_VIEWS = 0.05
_THROUGHOUT = 0.8
_FOLLOWS_S = 30.0
_SAME_TRAIN_RATIO = 0.5
_BAND_SHARE = 0.3
_SMALLEST_JUMP_PX = 4.0
_ROWS_FRAMES = 50


def find_passages(
    series: MotionSeries,
    shots: Sequence[Shot],
    config: MotionConfig,
    joins: Sequence[Join] = (),
    links: BoxLinks | None = None,
    *,
    grounded: bool = False,
    one_train: Container[int] = (),
) -> tuple[list[Passage], list[Dropped]]:
    """All trains that pass, shot by shot, in order of time; and what looked like one but was left out.

    Args:
        series: Band shifts of the whole video.
        shots: Its shots.
        config: Smallest duration and advance of a passage.
        joins: Where the picture changed all of a sudden, of the whole video.
        links: Boxes, to find one train that carries them; None to go by the pixels alone.
        grounded: With them, whether what fills the picture's lower part is the ground.
        one_train: Numbers of the shots that are known to show no two trains at once.
    """
    passages: list[Passage] = []
    dropped: list[Dropped] = []
    for shot in shots:
        first, last = shot_frames(series, shot)
        if last - first < 2:
            dropped.append(Dropped("shot", "too_short", at_s=shot.start_s))
            continue
        found = [
            _passages_of(layers, series, shot, config, joins, dropped)
            for layers in _trains_of(series, shot, links, grounded=grounded, one_train=shot.index in one_train)
        ]
        passages += sorted((passage for train in found for passage in _abreast(train, found)), key=lambda p: p.start_s)
    return passages, dropped


def _trains_of(
    series: MotionSeries, shot: Shot, links: BoxLinks | None = None, *, grounded: bool = False, one_train: bool = False
) -> list[Layers]:
    """The layers of a shot, once for each of the trains that run side by side in it."""
    series = _through_fence(series, shot)
    if links is not None:
        return [separate_layers(series, *shot_frames(series, shot), links, grounded=grounded)]
    layers = _layers(series, shot)
    if one_train:
        return [layers]
    pair = side_by_side(series, layers)
    if pair is None:
        return [layers]
    out = []
    for own, other in (pair, pair[::-1]):
        alone = _layers(without(series, layers, own, other), shot)
        out.append(at_its_speed(series, alone, own))
    return out


def _passages_of(
    layers: Layers, series: MotionSeries, shot: Shot, config: MotionConfig, joins: Sequence[Join], dropped: list[Dropped]
) -> list[Passage]:
    """The passages of one train after the other in a shot; what is none is added to ``dropped``."""
    passages = []
    bridged_runs = _runs(layers, series)
    jumps = _follow_jumps(layers, series, joins)
    for start, stop, bridged in bridged_runs:
        passage = _passage(series, layers, shot, start, stop)
        reason = _not_a_train(passage, series, config)
        if reason:
            dropped.append(Dropped("train", reason, at_s=passage.start_s))
            continue
        jumped = {measured for at, measured in jumps if start < at <= stop}
        doubts = ((GAP_BRIDGED, bridged), (JUMP_CUT, bool(jumped)), (AMBIGUOUS_REGISTRATION, False in jumped))
        passages.append(passage.flagged(*(flag for flag, applies in doubts if applies)))
    return _one_lost_between(passages, width_px=series.width_px * series.scale)


def _one_lost_between(passages: Sequence[Passage], *, width_px: float) -> list[Passage]:
    """The passages of a shot, without a claim to have seen a tail and then a head where they may be one train, lost meanwhile.

    Signals keep trains on one track minutes apart: what comes the same way within moments is the same train, behind something.
    """
    out = list(passages)
    for i, (before, after) in enumerate(itertools.pairwise(passages)):
        slower, faster = sorted((before.speed_px_s, after.speed_px_s))
        soon = 0 <= after.start_s - before.end_s < _FOLLOWS_S
        if soon and before.direction == after.direction and slower > _SAME_TRAIN_RATIO * faster:
            # An end that was not seen leaves a view behind it that was.
            out[i] = replace(out[i], tail_seen=False, length_px=out[i].length_px + width_px * before.tail_seen)
            out[i + 1] = replace(after, head_seen=False, length_px=after.length_px + width_px * after.head_seen)
    return out


def _abreast(passages: Sequence[Passage], trains: Sequence[Sequence[Passage]]) -> list[Passage]:
    """The passages of one train, with a flag on those that another one passes beside."""
    others = [passage for train in trains if train is not passages for passage in train]
    return [
        passage.flagged(TRAINS_ABREAST)
        if any(min(passage.end_s, other.end_s) > max(passage.start_s, other.start_s) for other in others)
        else passage
        for passage in passages
    ]


def shot_layers(series: MotionSeries, shot: Shot) -> Layers:
    """How background and train move in a shot, and which bands show them."""
    return _layers(_through_fence(series, shot), shot)


def _through_fence(series: MotionSeries, shot: Shot) -> MotionSeries:
    first, last = shot_frames(series, shot)
    return through_fence(series, first_background(ShotShifts(series, first, last)), first, last)


def _layers(series: MotionSeries, shot: Shot) -> Layers:
    return _with_roles(separate_layers(series, *shot_frames(series, shot)), series)


def standing_passage(series: MotionSeries, shot: Shot) -> Passage:
    """The whole shot in the coordinate of its background: for a standing train, with the camera fixed, panning or walking along.

    Nothing in the motion says that there is a train: the caller must have seen vehicles.
    """
    layers = separate_layers(series, *shot_frames(series, shot))
    return _still(layers, layers.background_px, series, shot)


def ground_passage(series: MotionSeries, shot: Shot) -> list[Passage]:
    """The whole shot in the coordinate of the ground at the picture's foot, for a train that stands while a camera travels along.

    Nothing where the camera does not travel: what stands on the picture may be parked anywhere.
    """
    layers = separate_layers(series, *shot_frames(series, shot))
    ground_px = ground_track(series, *shot_frames(series, shot))
    return [_still(layers, ground_px, series, shot)] if np.ptp(ground_px) > series.width_px else []


def _still(layers: Layers, still_px: NDArray[np.float64], series: MotionSeries, shot: Shot) -> Passage:
    """The whole shot in the coordinate of what does not move against the ground."""
    n = len(still_px)
    whole = replace(
        layers,
        background_px=still_px,
        train_px=still_px,
        present=np.ones(n, bool),
        speed_px=np.zeros(n),
        trust=np.ones(n, np.float32),
    )
    passage = _passage(series, whole, shot, 0, n - 1)
    return replace(
        passage,
        direction="still",
        band_y_px=(0.0, series.rows * series.row_scale),
        head_seen=False,
        tail_seen=False,
        speed_px_s=0.0,
        flags=(STANDING,),
    )


def brief_passage(series: MotionSeries, shot: Shot, config: MotionConfig) -> Passage | None:
    """What moves nearly throughout a shot, but by less than a train must advance to be told from other things.

    A short piece out of the middle of a train's passage looks like that; so does somebody who walks about. The caller must have
    seen vehicles that move with it.

    Args:
        series: Band shifts of the whole video.
        shot: One that no train passes.
        config: Smallest duration and advance of a passage.
    """
    best, farthest_px = None, _STILL_VIEWS * series.width_px * series.scale
    for layers in _trains_of(series, shot) if np.diff(shot_frames(series, shot))[0] >= 2 else ():
        for start, stop, _ in _runs(layers, series):
            passage = _passage(series, layers, shot, start, stop)
            throughout = stop - start + 1 >= _THROUGHOUT * len(layers.present)
            advance_px = float(np.ptp(passage.displacement_px - passage.background_px))
            if throughout and _not_a_train(passage, series, config) == _TOO_LITTLE and advance_px >= farthest_px:
                best, farthest_px = replace(passage.flagged(BRIEF), head_seen=False, tail_seen=False), advance_px
    return best


def counted_after_all(dropped: Sequence[Dropped], passages: Sequence[Passage]) -> list[Dropped]:
    """What was left out, but for what became one of the brief passages."""
    brief = [passage for passage in passages if BRIEF in passage.flags]
    return [
        drop
        for drop in dropped
        if drop.reason != _TOO_LITTLE or not any(p.start_s <= (drop.at_s or 0.0) <= p.end_s for p in brief)
    ]


def shot_frames(series: MotionSeries, shot: Shot) -> tuple[int, int]:
    """First and last frame index of a shot in the series, both inclusive."""
    first = int(np.searchsorted(series.pts_s, shot.start_s - 1e-6))
    last = int(np.searchsorted(series.pts_s, shot.end_s + 1e-6)) - 1
    return first, max(last, first)


def _with_roles(layers: Layers, series: MotionSeries) -> Layers:
    """The layers, exchanged where what was taken for the train lies at the picture's edges and the "background" in its middle.

    It happens when the camera follows the train: the train then stands still on the picture and the landscape runs.
    """
    moving = layers.present & (np.abs(layers.speed_px) > NEUTRAL_PX)
    if not moving.any():
        return layers
    train = layers.band_support[moving].mean(axis=0)
    background = layers.band_background[moving].mean(axis=0)
    bands = len(train)
    outer = np.zeros(bands, bool)
    outer[: max(1, bands // 5)] = outer[-max(1, bands // 10) :] = True
    inner = ~outer
    if train[outer].sum() > 1.5 * background[outer].sum() and background[inner].mean() > 1.5 * train[inner].mean():
        return replace(
            layers,
            background_px=layers.train_px,
            train_px=layers.background_px,
            speed_px=-layers.speed_px,
            band_support=layers.band_background,
            band_background=layers.band_support,
        )
    return layers


def _runs(layers: Layers, series: MotionSeries) -> list[tuple[int, int, bool]]:
    """Runs of frames with a train, (first, last, bridged); short gaps at steady speed (a pillar, a building) are bridged."""
    found: list[tuple[int, int, bool]] = []
    for start, stop in runs(layers.present):
        if found and _bridgeable(layers, series, found[-1][1], start):
            _bridge(layers, found[-1][1], start)
            found[-1] = (found[-1][0], stop - 1, True)
        else:
            found.append((start, stop - 1, False))
    return found


def _bridgeable(layers: Layers, series: MotionSeries, before: int, after: int) -> bool:
    gap_s = series.pts_s[layers.first + after] - series.pts_s[layers.first + before]
    speeds = _speeds_beside(layers, before, after)
    slower, faster = sorted(abs(speed) for speed in speeds)
    same_way = speeds[0] * speeds[1] > 0
    # No train leaves the view and another one comes while the first would go on by a small part of it.
    at_once = gap_s / series.interval_s * faster < _AT_ONCE_VIEWS * series.width_px
    least_ratio = _SAME_TRAIN_RATIO if at_once else _BRIDGE_SPEED_RATIO
    return bool(gap_s <= _BRIDGE_S and same_way and faster > NEUTRAL_PX and slower / faster >= least_ratio)


def _speeds_beside(layers: Layers, before: int, after: int) -> tuple[float, float]:
    """Speed up to a frame and from another one on, pixels a frame: of a second or so, as lost frames are a leap for moments."""
    earlier, later = slice(max(0, before - _BESIDE_FRAMES), before + 1), slice(after, after + _BESIDE_FRAMES + 1)
    first, second = (float(np.median(layers.speed_px[part][layers.present[part]])) for part in (earlier, later))
    return first, second


def _bridge(layers: Layers, before: int, after: int) -> None:
    """Let the train go on through a gap at its speed, in place."""
    speed = sum(_speeds_beside(layers, before, after)) / 2
    gap = np.arange(1, after - before)
    followed = layers.background_px[before + 1 : after] - layers.background_px[before]
    layers.train_px[before + 1 : after] = layers.train_px[before] + followed + speed * gap
    arrived = layers.train_px[before] + layers.background_px[after] - layers.background_px[before] + speed * (after - before)
    layers.train_px[after:] += arrived - layers.train_px[after]
    layers.speed_px[before + 1 : after] = speed
    layers.present[before + 1 : after] = True


def _follow_jumps(layers: Layers, series: MotionSeries, joins: Sequence[Join]) -> list[tuple[int, bool]]:
    """Move the train on where a piece of the video is missing, in place.

    A jump that cannot be measured left nothing in view that was there before: the train is moved on by a whole view.

    Returns:
        For each jump the frame after it, counted within the shot, and whether it was measured.
    """
    jumps: list[tuple[int, bool]] = []
    last = len(layers.present) - 1
    for join in joins:
        after = join.index - layers.first
        if not (1 <= after <= last and layers.present[after - 1 : after + 1].all()):
            continue
        step_px = float(np.median(layers.speed_px[max(0, after - _QUIET_FRAMES) : after]))
        if abs(step_px) <= NEUTRAL_PX:
            continue
        about = slice(max(0, after - _ROWS_FRAMES), after)
        top_px, foot_px = _band_rows(layers.band_support[about], series)
        rows = int(top_px / series.row_scale), int(np.ceil(foot_px / series.row_scale))
        jump = measure_jump(join.before, join.after, expected_px=step_px, rows=rows)
        if jump.plain:
            continue
        # The first frame that was registered against one from after the jump: until then the track is a mere prediction.
        ahead = np.flatnonzero(series.anchor[join.index + 1 : layers.first + last + 1] >= join.index)
        known = min(after + 1 + int(ahead[0]), last) if len(ahead) else last
        relative_px = layers.train_px - layers.background_px
        since_px = float(layers.speed_px[after + 1 : known + 1].sum())
        assumed_px = float(relative_px[known] - relative_px[after - 1]) - since_px
        shift_px = jump.shift_px if jump.shift_px is not None else float(np.copysign(series.width_px, step_px))
        if abs(shift_px - assumed_px) <= _SMALLEST_JUMP_PX:
            continue
        layers.train_px[after:] += shift_px - assumed_px
        jumps.append((after, jump.shift_px is not None))
    return jumps


def _passage(series: MotionSeries, layers: Layers, shot: Shot, start: int, stop: int) -> Passage:
    """The passage of the frames ``start`` to ``stop`` (inclusive, counted within the shot)."""
    frames = slice(start, stop + 1)
    pts_s = series.pts_s[layers.first + start : layers.first + stop + 1]
    scale = series.scale
    displacement_px = layers.train_px[frames] * scale
    background_px = layers.background_px[frames] * scale
    width_px = series.width_px * scale
    speed_px = layers.speed_px[frames]
    moving = np.abs(speed_px) > NEUTRAL_PX
    speed_px_s = float(np.median(np.abs(speed_px[moving]))) * scale / series.interval_s if moving.any() else 0.0
    last_of_shot = len(layers.present) - 1
    head_seen = bool(start >= _QUIET_FRAMES and abs(speed_px[0]) > NEUTRAL_PX)
    tail_seen = bool(last_of_shot - stop >= _QUIET_FRAMES and abs(speed_px[-1]) > NEUTRAL_PX)
    unseen_px = [_HIDDEN_SHARE * width_px + abs(float(speed)) * scale for speed in speed_px[[0, -1]]]
    covered_px = (
        width_px
        + float(np.ptp(displacement_px))
        - sum(width_px - unseen for seen, unseen in zip((head_seen, tail_seen), unseen_px, strict=True) if seen)
    )
    passage = Passage(
        shot_index=shot.index,
        start_s=float(pts_s[0]),
        end_s=float(pts_s[-1]),
        pts_s=pts_s,
        displacement_px=displacement_px,
        background_px=background_px,
        trust=layers.trust[frames],
        direction=_direction(displacement_px - background_px, width_px),
        view_x_px=(0.0, width_px),
        band_y_px=_band_rows(layers.band_support[frames][moving], series),
        head_seen=head_seen,
        tail_seen=tail_seen,
        speed_px_s=speed_px_s,
        length_px=max(0.0, covered_px),
        flags=_flags(layers, frames, moving, series.interval_s),
    )
    return passage if passage.head_first else replace(passage, head_seen=tail_seen, tail_seen=head_seen)


def _direction(relative_px: NDArray[np.float64], width_px: float) -> Direction:
    advance_px = float(relative_px[-1] - relative_px[0])
    if abs(advance_px) < _STILL_VIEWS * width_px:
        return "still"
    return "right" if advance_px > 0 else "left"


def _band_rows(support: NDArray[np.float32], series: MotionSeries) -> tuple[float, float]:
    """Rows of the full frame that move with the train; the whole picture when that cannot be said."""
    height_px = series.rows * series.row_scale
    if len(support) == 0:
        return 0.0, height_px
    share = (support > 0.1).mean(axis=0)
    with_train = np.flatnonzero(share > _BAND_SHARE)
    if len(with_train) == 0:
        return 0.0, height_px
    half_px = height_px / (support.shape[1] + 1)
    return float(with_train[0] * half_px), float((with_train[-1] + 2) * half_px)


def _flags(layers: Layers, frames: slice, moving: NDArray[np.bool_], interval_s: float) -> tuple[str, ...]:
    flags = []
    trust = layers.trust[frames][moving]
    weak = len(trust) > 0 and (float(trust.mean()) < 0.3 or float((trust < _LOW_TRUST).mean()) > 0.4)
    if weak or turns_at_once(layers.speed_px[frames], interval_s=interval_s):
        flags.append(AMBIGUOUS_REGISTRATION)
    if float(layers.band_background[frames].max(axis=1).mean()) < _LOW_TRUST:
        flags.append(NO_BACKGROUND)
    return tuple(flags)


def _not_a_train(passage: Passage, series: MotionSeries, config: MotionConfig) -> str:
    """Why this is no train, as a short name; empty if it may be one."""
    width_px = series.width_px * series.scale
    relative_px = passage.displacement_px - passage.background_px
    if passage.end_s - passage.start_s < config.min_passage_s:
        return "too_short"
    if float(np.ptp(relative_px)) < config.min_advance_views * width_px:
        return _TOO_LITTLE
    return ""
