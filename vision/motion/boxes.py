"""How fast what the detector sees goes: a second witness, where several layers move and pixels do not say which is the train.

Two boxes of like width in like rows, in two looks a moment apart, may be one vehicle or two. If they are one, their distance is
the train's way in between; if they are two, it is a distance along the train, which gives another speed for every pair of looks.
So over all pairs of looks the train's speed is what piles up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.motion.speeds import BIN, precision, speed_axis, stretched
from vision.types import FloatArray, Look

_LINK_S = (0.15, 2.0)
_LOOKS_A_S = 6.0
_SAME_WIDTH = 0.2
_SAME_ROWS = 0.3
_EDGE_SHARE = 0.01
_JITTER_SHARE = 0.03
_LEAST_PAIRS = 3.0
_SLOWEST_PX = 0.12


@dataclass(frozen=True, slots=True, repr=False)
class BoxLinks:
    """Pairs of boxes that may be one vehicle, struct-of-arrays over m pairs, and how many there might have been.

    Attributes:
        from_s, to_s: (m,) times of the two looks.
        shift_px: (m,) how far the second lies right of the first, full-frame pixels.
        asked_from_s, asked_to_s: (k,) times of a box and of a later look that was asked for it.
        width_px: Median width of the boxes, full-frame pixels.
    """

    from_s: FloatArray
    to_s: FloatArray
    shift_px: FloatArray
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
    sizes = [len(look.detections) for look in looks]
    of = np.repeat(np.arange(len(looks)), sizes)
    xyxy = np.concatenate([np.zeros((0, 4)), *(look.detections.xyxy_px.astype(np.float64) for look in looks)])
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
        at_s[i], at_s[j], x_px[j] - x_px[i], np.repeat(at_s, count), pts_s[later], float(np.median(wide_px)) if len(of) else 0.0
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
        share: (n, speeds) float32 in [0, 1]; 0 about standing still, which anything in the background does as well.
        known: (n,) bool: enough boxes to say something.
    """

    share: NDArray[np.float32]
    known: NDArray[np.bool_]


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
    n, half = len(pts_s), len(axis) // 2
    inside = (links.from_s >= pts_s[0] - 1e-6) & (links.to_s <= pts_s[-1] + 1e-6)
    from_s, to_s = links.from_s[inside], links.to_s[inside]
    steps = np.maximum((to_s - from_s) / interval_s, 1e-3)
    moved_px = np.interp(to_s, pts_s, background_px) - np.interp(from_s, pts_s, background_px)
    speed = (links.shift_px[inside] / scale - moved_px) / steps
    place = np.round(stretched(speed) / BIN).astype(np.int64)
    wide = np.ceil(precision(speed, _JITTER_SHARE * links.width_px / scale / steps) / BIN)
    good = (np.abs(place) < half) & (np.abs(speed) > _SLOWEST_PX)
    found = np.zeros((n + 1, len(axis)), np.float32)
    begin, end = np.searchsorted(pts_s, from_s[good] - 1e-6), np.searchsorted(pts_s, to_s[good] - 1e-6)
    for off in range(-4, 5):
        at = np.clip(place[good] + half + off, 0, len(axis) - 1)
        weight = np.exp(-0.5 * (off / np.maximum(wide[good], 1.0)) ** 2)
        np.add.at(found, (begin, at), weight)
        np.add.at(found, (end, at), -weight)
    found = np.cumsum(found, axis=0)[:n]
    asked = np.zeros(n + 1)
    ours = (links.asked_from_s >= pts_s[0] - 1e-6) & (links.asked_to_s <= pts_s[-1] + 1e-6)
    np.add.at(asked, np.searchsorted(pts_s, links.asked_from_s[ours] - 1e-6), 1.0)
    np.add.at(asked, np.searchsorted(pts_s, links.asked_to_s[ours] - 1e-6), -1.0)
    asked = np.cumsum(asked)[:n]
    known = asked >= _LEAST_PAIRS
    share = np.where(known[:, None], found / np.maximum(asked, 1.0)[:, None], 0.0)
    return BoxSpeeds(np.asarray(np.clip(share, 0.0, 1.0), dtype=np.float32), known)
