"""Which of the layers that move in a shot is the train: the one in whose coordinate the vehicles stay.

From pixels alone a train is what moves otherwise than the background. Where the camera travels that may be trees before a
standing train, or people on a platform. But a vehicle keeps its place on its train: so where the boxes do not rest in what was
taken for the train, other coordinates are tried, and the one in which they rest is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vision.config import MotionConfig
from vision.motion.boxes import BoxLinks, link_boxes, thinned
from vision.motion.jumps import Join
from vision.motion.meter import MotionSeries
from vision.motion.passages import TRAINS_ABREAST, find_passages, ground_passage, standing_passage
from vision.run.rejoined import rejoined
from vision.types import Dropped, FloatArray, Look, Passage, Shot, stacked_boxes

_WELL_AT_REST = 0.85
_BETTER = 0.1
_STANDS_VIEWS = 0.1
_PILE_S = 4.0
_OWN_TO_BEST = 0.75
_SIMPLER = 0.05
_LEAST_BOXES = 10
_BLOCK_LOOKS = 300
_FEWEST_LOOKS = 5
_SAME_END_SHARE = 0.15
_SAME_ROWS_SHARE = 0.3

Found = tuple[list[Passage], list[Dropped]]


def carriers(
    found: Found, series: MotionSeries, shots: Sequence[Shot], looks: Sequence[Look], config: MotionConfig, joins: Sequence[Join]
) -> Found:
    """The passages, with those of a shot exchanged where the boxes rest better in another layer; and what was left out.

    Args:
        found: Passages by pixels alone, standing ones among them, and what was left out.
        series: Band shifts of the video.
        shots: Its shots.
        looks: What the detector saw.
        config: Settings.
        joins: Where the picture changed all of a sudden.
    """
    passages, dropped = list(found[0]), list(found[1])
    for shot in shots:
        own = [passage for passage in passages if passage.shot_index == shot.index]
        theirs = [look for look in looks if shot.start_s - 1e-6 <= look.pts_s <= shot.end_s + 1e-6]
        if sum(len(look.detections) for look in theirs) < _LEAST_BOXES or any(TRAINS_ABREAST in p.flags for p in own):
            continue
        other = _where_they_rest(series, shot, theirs, config, joins, own)
        if other is not None:
            left_out = [drop for drop in dropped if not _of_a_train_in(drop, shot)]
            passages = [passage for passage in passages if passage.shot_index != shot.index] + other[0]
            dropped = left_out + other[1]
    passages = rejoined(passages, series, looks, joins)
    return sorted(passages, key=lambda passage: passage.start_s), dropped


def _where_they_rest(
    series: MotionSeries,
    shot: Shot,
    looks: Sequence[Look],
    config: MotionConfig,
    joins: Sequence[Join],
    own: Sequence[Passage],
) -> Found | None:
    """The passages of a shot in whose coordinates its boxes rest by far better than in its own; None where there are none."""
    rest = at_rest(own, looks)
    if rest >= _WELL_AT_REST:
        return None
    links = link_boxes(looks, picture_width_px=series.width_px * series.scale)
    if _camera_stands(own) and _agree(links, own):
        return None
    # What stands on the picture is the background, or bars and captions that were painted over one that moves.
    unpainted = replace(series, whole_shift_px=series.shift_px, whole_response=series.response)
    # What rests on the ground stands: no need for a train that runs as fast as the trees behind it seem to.
    ground = cache(lambda: ground_passage(series, shot))
    attempts: tuple[Callable[[], Found], ...] = (
        lambda: (ground(), []),
        lambda: find_passages(series, [shot], config, joins, links, grounded=True),
        lambda: find_passages(series, [shot], config, joins, links),
        lambda: find_passages(unpainted, [shot], config, joins, links),
    )
    if _camera_stands(own) or not ground():
        # They may be parked before a camera that stays where it is, though the train fills the picture's foot.
        rest = max(rest, at_rest([standing_passage(series, shot)], looks))
    best = None
    margin = _BETTER
    for attempt in attempts:
        if rest >= _WELL_AT_REST:
            break
        found = attempt()
        theirs = at_rest(found[0], looks)
        if theirs > rest + margin:
            best, rest, margin = found, theirs, _SIMPLER
    return best


def _of_a_train_in(drop: Dropped, shot: Shot) -> bool:
    return drop.what == "train" and drop.at_s is not None and shot.start_s - 1e-6 <= drop.at_s <= shot.end_s + 1e-6


def _camera_stands(passages: Sequence[Passage]) -> bool:
    """Whether the background hardly moves while trains pass."""
    sways_px = [float(np.ptp(passage.background_px)) for passage in passages]
    views_px = [passage.view_x_px[1] - passage.view_x_px[0] for passage in passages]
    return len(passages) > 0 and all(sway < _STANDS_VIEWS * view for sway, view in zip(sways_px, views_px, strict=True))


def _agree(links: BoxLinks, passages: Sequence[Passage]) -> bool:
    """Whether pairs of boxes pile up at no other speed than that of the passages: then no other layer carries the vehicles.

    Boxes that a detector finds in one look of three rest badly in any coordinate. But in each few seconds the speeds that pairs
    of them have against the train pile up at one place, about 0 if the coordinate is theirs. Before a camera that stands this
    saves trying other layers; where it travels, they are worth trying all the same.
    """
    tolerance_px = _SAME_END_SHARE * links.width_px
    way_px = np.zeros(len(links.from_s))
    for passage in passages:
        inside = (links.from_s >= passage.start_s - 1e-6) & (links.to_s <= passage.end_s + 1e-6)
        way_px[inside] = (passage.displacement_at(links.to_s) - passage.displacement_at(links.from_s))[inside]
    apart_s = links.to_s - links.from_s
    block = np.floor(links.from_s / _PILE_S).astype(np.int64)
    place = np.round((links.shift_px - way_px) / apart_s / max(tolerance_px, 1e-6)).astype(np.int64)
    own = best = 0
    for number in np.unique(block):
        of = place[block == number]
        places, counts = np.unique(of, return_counts=True)
        # Neighbouring places together: a pile lies across their border as often as not.
        piles = np.array([counts[np.abs(places - at) <= 1].sum() for at in places])
        best += int(piles.max())
        own += int((np.abs(of) <= 1).sum())
    return best > 0 and own >= _OWN_TO_BEST * best


def at_rest(passages: Sequence[Passage], looks: Sequence[Look]) -> float:
    """How well the boxes rest in passages' coordinates: mean share of the looks that found each again in its place, in [0, 1].

    A box outside all passages rests nowhere and counts 0; one in several counts where it rests best.

    Args:
        passages: Of one shot.
        looks: Of that shot, in order of time.
    """
    looks = thinned(looks)
    rates = []
    for begin in range(0, len(looks), _BLOCK_LOOKS):
        block = looks[begin : begin + _BLOCK_LOOKS]
        boxes, of = stacked_boxes(block)
        pts_s = np.array([look.pts_s for look in block])
        rate = np.zeros(len(boxes))
        for passage in passages:
            rate = np.maximum(rate, _found_again(boxes, of, pts_s, passage))
        rates.append(rate)
    every = np.concatenate([np.zeros(0), *rates])
    return float(every.mean()) if len(every) else 0.0


def _found_again(boxes: FloatArray, of: NDArray[np.int64], pts_s: FloatArray, passage: Passage) -> FloatArray:
    """For each of boxes (n, 4) the share of the looks (m,) with its place in view that saw a box there; 0 outside the passage."""
    during = (pts_s >= passage.start_s - 1e-6) & (pts_s <= passage.end_s + 1e-6)
    inside = during[of]
    rate = np.zeros(len(boxes))
    if not inside.any():
        return rate
    shift_px = passage.displacement_at(pts_s)
    first_px, last_px = passage.view_x_px
    wide_px, tall_px = np.median(boxes[:, 2] - boxes[:, 0]), np.median(boxes[:, 3] - boxes[:, 1])
    ends = boxes[:, [0, 2]]
    # An end at the edge of the view is none.
    edge_px = 0.01 * (last_px - first_px)
    place_px = np.where((ends > first_px + edge_px) & (ends < last_px - edge_px), ends - shift_px[of][:, None], np.nan)
    row_px = (boxes[:, 1] + boxes[:, 3]) / 2
    k = np.flatnonzero(inside)
    with np.errstate(invalid="ignore"):
        same = (np.abs(place_px[k][:, None] - place_px[k][None]) < _SAME_END_SHARE * wide_px).any(axis=2)
    same &= np.abs(row_px[k][:, None] - row_px[k][None]) < _SAME_ROWS_SHARE * tall_px
    same &= of[k][:, None] != of[k][None]
    at_px = (ends[k].mean(axis=1) - shift_px[of[k]])[:, None] + shift_px[during][None]
    in_view = ((at_px > first_px) & (at_px < last_px)).sum(axis=1) - 1
    rate[k] = np.minimum(same.sum(axis=1) / np.maximum(in_view, _FEWEST_LOOKS), 1.0)
    return rate
