"""How fast what the detector sees goes: a second witness, where several layers move and pixels do not say which is the train.

Two boxes of like width in like rows, in two looks a moment apart, may be one vehicle or two. If they are one, their distance is
the train's way in between; if they are two, it is a distance along the train, which gives another speed for every pair of looks.
So over all pairs of looks the train's speed is what piles up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.motion.speeds import BIN, KNEE_PX, precision, speed_axis, stretched
from vision.types import FloatArray, Look, stacked_boxes

_LINK_S = (0.15, 2.0)
_LOOKS_A_S = 6.0
_SAME_WIDTH = 0.2
_SAME_ROWS = 0.3
_EDGE_SHARE = 0.01
_JITTER_SHARE = 0.03
_LEAST_PAIRS = 3.0
_SLOWEST_PX = 0.12
_AGREED_SHARE = 0.2
_PARKED_SHARE = 0.3
# On the axis of speeds: a heavy train changes its speed by a small part of it a second.
_REACH, _REACH_A_S = 0.08, 0.05
_SAME_SPEED_S = 4.0


@dataclass(frozen=True, slots=True, repr=False)
class BoxLinks:
    """Pairs of boxes that may be one vehicle, struct-of-arrays over m pairs, and how many there might have been.

    Attributes:
        first, second: (m,) which boxes.
        from_s, to_s: (m,) times of the two looks.
        shift_px: (m,) how far the second lies right of the first, full-frame pixels.
        asked: (k,) boxes, each as often as a later look was asked for it.
        asked_from_s, asked_to_s: (k,) times of that box and of that look.
        width_px: Median width of the boxes, full-frame pixels.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    from_s: FloatArray
    to_s: FloatArray
    shift_px: FloatArray
    asked: NDArray[np.int64]
    asked_from_s: FloatArray
    asked_to_s: FloatArray
    width_px: float


def link_boxes(looks: Sequence[Look], *, picture_width_px: float) -> BoxLinks:
    """All pairs of boxes within a moment that may be one vehicle.

    Args:
        looks: In order of time.
        picture_width_px: Of the full frame; a box at its edge is cut and has no middle.
    """
    looks = thinned(looks)
    pts_s = np.array([look.pts_s for look in looks], np.float64)
    xyxy, of = stacked_boxes(looks)
    edge_px = _EDGE_SHARE * picture_width_px
    whole = (xyxy[:, 0] > edge_px) & (xyxy[:, 2] < picture_width_px - edge_px)
    of, xyxy = of[whole], xyxy[whole]
    at_s, wide_px, tall_px = pts_s[of], xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    x_px, y_px = (xyxy[:, 0] + xyxy[:, 2]) / 2, (xyxy[:, 1] + xyxy[:, 3]) / 2
    first, second = [], []
    for lag in range(1, len(of)):
        apart_s = at_s[lag:] - at_s[:-lag]
        if apart_s.min(initial=np.inf) > _LINK_S[1]:
            break
        near = (apart_s >= _LINK_S[0]) & (apart_s <= _LINK_S[1])
        near &= np.abs(wide_px[lag:] - wide_px[:-lag]) < _SAME_WIDTH * wide_px[:-lag]
        near &= np.abs(y_px[lag:] - y_px[:-lag]) < _SAME_ROWS * tall_px[:-lag]
        first.append(np.flatnonzero(near))
        second.append(first[-1] + lag)
    i, j = (np.concatenate([np.zeros(0, np.int64), *side]) for side in (first, second))
    begin, end = (np.searchsorted(pts_s, at_s + reach_s) for reach_s in _LINK_S)
    count = np.maximum(end - begin, 0)
    later = np.concatenate([np.zeros(0, np.int64), *(np.arange(a, b) for a, b in zip(begin, end, strict=True))])
    return BoxLinks(
        first=i,
        second=j,
        from_s=at_s[i],
        to_s=at_s[j],
        shift_px=x_px[j] - x_px[i],
        asked=np.repeat(np.arange(len(of)), count),
        asked_from_s=np.repeat(at_s, count),
        asked_to_s=pts_s[later],
        width_px=float(np.median(wide_px)) if len(of) else 0.0,
    )


def thinned(looks: Sequence[Look]) -> list[Look]:
    """At most ``_LOOKS_A_S`` looks a second."""
    kept: list[Look] = []
    for look in looks:
        if not kept or look.pts_s - kept[-1].pts_s > 0.9 / _LOOKS_A_S:
            kept.append(look)
    return kept


@dataclass(frozen=True, slots=True, repr=False)
class BoxSpeeds:
    """Share of the boxes that go at each speed against the background.

    Attributes:
        share: (n, speeds) float16 in [0, 1]; 0 about standing still, which anything in the background does as well.
        place: (n,) on the axis of speeds, the one that most boxes had where they were last or next seen; NaN where they never
            agreed.
        apart_s: (n,) how long ago that was, or how soon it will be, seconds.
    """

    share: NDArray[np.float16]
    place: FloatArray
    apart_s: FloatArray

    def agree(self, speed_px: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of the speeds against the background, (n, ...), the train has as the boxes say, or had a moment ago."""
        place, apart_s = (values.reshape(-1, *[1] * (speed_px.ndim - 1)) for values in (self.place, self.apart_s))
        with np.errstate(invalid="ignore"):
            alike = np.abs(np.arcsinh(speed_px / KNEE_PX) - place) < _REACH
        return np.asarray(alike & (apart_s < _SAME_SPEED_S), dtype=np.bool_)

    def possible(self, part: slice, axis: FloatArray) -> NDArray[np.float32]:
        """How far each speed may be the train's in some frames, (frames, speeds) in [0, 1].

        Where boxes show, only theirs may; where none do, those that a train reaches in the time since they did.
        """
        beside = np.minimum(self.share[part].astype(np.float32) / _AGREED_SHARE, 1.0)
        reach = _REACH + _REACH_A_S * self.apart_s[part, None]
        off = np.abs(axis[None, :] - self.place[part, None]) / reach
        reached = np.where(np.isnan(off), 1.0, np.clip(3.0 - 2.0 * off, 0.0, 1.0)).astype(np.float32)
        return np.where((self.apart_s[part] == 0.0)[:, None], np.maximum(beside, np.isnan(off)), reached)


def box_speeds(
    links: BoxLinks, *, pts_s: FloatArray, background_px: FloatArray, scale: float, interval_s: float, width_px: int
) -> BoxSpeeds:
    """What pairs of boxes say of the train's speed in each frame.

    Args:
        links: Of the video.
        pts_s: (n,) times of a shot's frames.
        background_px: (n,) where the background is, pixels of the small picture.
        scale: Full-frame pixels per pixel of the small picture.
        interval_s: Typical time between frames.
        width_px: Of the small picture.
    """
    axis = speed_axis(width_px)
    part = _between(links, float(pts_s[0]) - 1e-6, float(pts_s[-1]) + 1e-6)
    steps = np.maximum((part.to_s - part.from_s) / interval_s, 1e-3)
    moved_px = np.interp(part.to_s, pts_s, background_px) - np.interp(part.from_s, pts_s, background_px)
    way_px = part.shift_px / scale - moved_px
    jitter_px = _JITTER_SHARE * part.width_px / scale
    parked = _parked(part, np.abs(way_px) < 3.0 * jitter_px)
    goes = (
        ~parked[part.first] & ~parked[part.second] & (np.abs(way_px) > 3.0 * jitter_px) & (np.abs(way_px / steps) > _SLOWEST_PX)
    )
    found = _piled_up(pts_s, part.from_s[goes], part.to_s[goes], way_px[goes] / steps[goes], jitter_px / steps[goes], axis)
    asks = ~parked[part.asked]
    asked = _lasting(pts_s, part.asked_from_s[asks], part.asked_to_s[asks])
    found = np.clip(found / np.maximum(asked, _LEAST_PAIRS)[:, None], 0.0, 1.0)
    place, apart_s = _nearest(pts_s, found, axis)
    return BoxSpeeds(np.asarray(found, dtype=np.float16), place, apart_s)


def _between(links: BoxLinks, start_s: float, end_s: float) -> BoxLinks:
    """The links within some time."""
    pairs = (links.from_s >= start_s) & (links.to_s <= end_s)
    asks = (links.asked_from_s >= start_s) & (links.asked_to_s <= end_s)
    return replace(
        links,
        **{name: getattr(links, name)[pairs] for name in ("first", "second", "from_s", "to_s", "shift_px")},
        **{name: getattr(links, name)[asks] for name in ("asked", "asked_from_s", "asked_to_s")},
    )


def _parked(links: BoxLinks, still: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which boxes stand in the background, by box: those that most looks beside theirs found where they were."""
    boxes = 1 + max((int(ids.max(initial=-1)) for ids in (links.first, links.second, links.asked)), default=-1)
    there = np.bincount(links.first[still], minlength=boxes) + np.bincount(links.second[still], minlength=boxes)
    return np.asarray(there > _PARKED_SHARE * _looks_beside(links, boxes), dtype=bool)


def _looks_beside(links: BoxLinks, boxes: int) -> NDArray[np.int64]:
    """How many looks were asked for each box, those before it as well as those after."""
    return np.maximum(2 * np.bincount(links.asked, minlength=boxes), 1)


def _piled_up(
    pts_s: FloatArray, from_s: FloatArray, to_s: FloatArray, speed_px: FloatArray, error_px: FloatArray, axis: FloatArray
) -> FloatArray:
    """How many pairs go at each speed in each frame, (n, speeds)."""
    n, half = len(pts_s), len(axis) // 2
    place = np.round(stretched(speed_px) / BIN).astype(np.int64)
    inside = np.abs(place) < half
    wide = np.ceil(precision(speed_px, error_px) / BIN)
    begin, end = (np.searchsorted(pts_s, at_s[inside] - 1e-6) for at_s in (from_s, to_s))
    found = np.zeros((n + 1, len(axis)), np.float32)
    for off in range(-4, 5):
        at = np.clip(place[inside] + half + off, 0, len(axis) - 1)
        weight = np.exp(-0.5 * (off / wide[inside]) ** 2)
        np.add.at(found, (begin, at), weight)
        np.add.at(found, (end, at), -weight)
    return np.asarray(np.cumsum(found, axis=0)[:n], dtype=np.float64)


def _lasting(pts_s: FloatArray, from_s: FloatArray, to_s: FloatArray) -> FloatArray:
    """How many of some stretches of time hold each frame, (n,)."""
    count = np.zeros(len(pts_s) + 1)
    np.add.at(count, np.searchsorted(pts_s, from_s - 1e-6), 1.0)
    np.add.at(count, np.searchsorted(pts_s, to_s - 1e-6), -1.0)
    return np.asarray(np.cumsum(count)[:-1])


def _nearest(pts_s: FloatArray, found: FloatArray, axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each frame the speed on which most boxes agreed when they last did or next will, and how far in time that is."""
    n = len(pts_s)
    agreed = np.flatnonzero(found.max(axis=1) > _AGREED_SHARE)
    if len(agreed) == 0:
        return np.full(n, np.nan), np.zeros(n)
    after = np.minimum(np.searchsorted(agreed, np.arange(n)), len(agreed) - 1)
    before = np.maximum(after - 1, 0)
    ahead_s, ago_s = np.abs(pts_s[agreed[after]] - pts_s), np.abs(pts_s - pts_s[agreed[before]])
    nearest = agreed[np.where(ahead_s < ago_s, after, before)]
    return np.asarray(axis[found.argmax(axis=1)][nearest]), np.minimum(ahead_s, ago_s)
