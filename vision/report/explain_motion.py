"""The motion of a clip over time: displacement, speed, trust, and when the detector looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vision.report.explain_canvas import (
    BACKGROUND,
    DOUBT,
    FAINT,
    INK,
    PAPER,
    RULE,
    SOFT,
    TRAIN,
    Canvas,
    Colour,
    round_step,
    text_width,
)
from vision.report.explain_sheet import LEFT_PX, RIGHT_PX, WIDTH_PX, Block, title
from vision.run.explain import PassageCase, VideoCase

LEFT_OUT = {
    "repeats_the_one_before": "frames repeat the one before",
    "corrupt": "frames were corrupt",
    "not_decoded": "frames were swallowed by the decoder",
    "too_short": "too short",
    "too_little_motion": "moved too little",
}
"""Why frames, shots and trains were left out, in words."""

_GAP_PX = 22


def motion_block(case: VideoCase, passage: PassageCase | None) -> Block:
    """Displacement, speed and trust over the time of the clip."""
    first, last = _clip_span(case)
    heights = (150.0, 80.0, 64.0)
    heading = title("Motion over time", "of the train (green) and the background (blue), in pixels of the video to the right")

    def draw(canvas: Canvas, y: float) -> None:
        heading.draw(canvas, y)
        top = y + heading.height_px + 36
        x = _Axis(first, last, LEFT_PX, WIDTH_PX - RIGHT_PX)
        bottom = top + sum(heights) + 2 * _GAP_PX + 18
        _passage_spans(canvas, case, passage, x, top - 36, bottom)
        _displacement(canvas, case, x, top, top + heights[0])
        top += heights[0] + _GAP_PX
        _speed(canvas, case, x, top, top + heights[1])
        top += heights[1] + _GAP_PX
        _trust(canvas, case, x, top, top + heights[2])
        _look_ticks(canvas, case, x, top + heights[2] + 4, top + heights[2] + 18)
        _time_ticks(canvas, x, top + heights[2] + 20)

    return Block(heading.height_px + 36 + sum(heights) + 2 * _GAP_PX + 42, draw)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values as places on the sheet."""

    first: float
    last: float
    at0: float
    at1: float

    def __call__(self, value: float | NDArray[np.float64]) -> NDArray[np.float64]:
        share = (np.asarray(value, np.float64) - self.first) / max(self.last - self.first, 1e-9)
        return np.asarray(self.at0 + share * (self.at1 - self.at0), np.float64)


def _clip_span(case: VideoCase) -> tuple[float, float]:
    times = [t for p in case.passages for t in (p.passage.start_s, p.passage.end_s)]
    times += [look.pts_s for look in case.raw.looks[:: max(1, len(case.raw.looks) - 1)]]
    if case.motion is not None and len(case.motion.pts_s):
        times += [float(case.motion.pts_s[0]), float(case.motion.pts_s[-1])]
    times += [0.0, case.result.duration_s or 0.0]
    return min(times), max(*times, min(times) + 1.0)


def _passage_spans(canvas: Canvas, case: VideoCase, chosen: PassageCase | None, x: _Axis, top: float, bottom: float) -> None:
    for number, p in enumerate(case.passages, start=1):
        a, b = float(x(p.passage.start_s)), float(x(p.passage.end_s))
        here = p is chosen
        canvas.rect(a, top, b, bottom, TRAIN, alpha=0.12 if here else 0.05)
        canvas.rect(a, top, max(b, a + 1), top + 2, TRAIN if here else FAINT)
        name = f"train {p.train_id}" if p.train_id else f"passage {number}, no train"
        if text_width(name, 11.5) < b - a:
            canvas.text((a + b) / 2, top + 13, name, size=11.5, colour=TRAIN if here else SOFT, anchor="middle", bold=here)
    for shot in (case.motion.shots if case.motion else ())[1:]:
        at = float(x(shot.start_s))
        canvas.dashes(at, top, at, bottom, INK)
        canvas.text(at + 3, bottom - 22, "cut", size=11, colour=INK)
    for drop in case.result.dropped:
        if drop.what == "train" and drop.at_s is not None:
            at = float(x(drop.at_s))
            canvas.lines([(at, top), (at, bottom)], DOUBT, width=0.8)
            words = f"no train: {LEFT_OUT.get(drop.reason, drop.reason)}"
            anchor: Literal["left", "right"] = "left" if at < WIDTH_PX / 2 else "right"
            canvas.text(at + (4 if anchor == "left" else -4), top + 28, words, size=11, colour=DOUBT, anchor=anchor)


def _panel(canvas: Canvas, x: _Axis, y: _Axis) -> None:
    canvas.frame(x.at0, y.at1, x.at1, y.at0, FAINT, width=0.6)
    step = round_step((y.last - y.first) * 30 / abs(y.at1 - y.at0))
    for n in range(math.ceil(y.first / step), math.floor(y.last / step) + 1):
        at = float(y(n * step))
        canvas.lines([(x.at0, at), (x.at1, at)], FAINT if n == 0 else RULE, width=0.6)
        canvas.text(x.at0 - 6, at + 4, f"{n * step:g}", size=11, colour=SOFT, anchor="right")


def _label(canvas: Canvas, x: _Axis, y: _Axis, text: str) -> None:
    canvas.text(x.at0, y.at1 - 5, text, size=11.5, colour=SOFT)


def _range(values: Sequence[NDArray[np.float64]], least: float) -> tuple[float, float]:
    finite = np.concatenate([np.zeros(1), *(v[np.isfinite(v)] for v in values)])
    low, high = float(finite.min()), float(finite.max())
    more = max(least - (high - low), 0.08 * (high - low)) / 2
    return low - more, high + more


Curve = tuple[NDArray[np.float64], NDArray[np.float64], Colour]


def _curves(case: VideoCase) -> list[Curve]:
    """(times, displacement, colour): of the clip where it was measured, else of the passages as stored; the passages' trains."""
    curves: list[Curve] = []
    motion = case.motion
    if motion is not None:
        curves.append((motion.pts_s, _broken(motion.background_px, motion.pts_s, [s.start_s for s in motion.shots]), BACKGROUND))
    for p in case.passages:
        passage = p.passage
        if motion is None:
            curves.append((passage.pts_s, passage.background_px, BACKGROUND))
        if passage.direction != "still" or not np.allclose(passage.displacement_px, passage.background_px):
            curves.append((passage.pts_s, passage.displacement_px, TRAIN))
    return curves


def _broken(values: NDArray[np.float64], pts_s: NDArray[np.float64], starts_s: Sequence[float]) -> NDArray[np.float64]:
    """A curve that ends at each cut."""
    out = values.copy()
    out[np.isin(pts_s, starts_s[1:])] = np.nan
    return out


def _displacement(canvas: Canvas, case: VideoCase, x: _Axis, top: float, bottom: float) -> None:
    curves = _curves(case)
    y = _Axis(*_range([values for _, values, _ in curves], 40.0), bottom, top)
    _panel(canvas, x, y)
    for times, values, colour in curves:
        canvas.lines(np.stack([x(times), y(values)], axis=1), colour, width=1.6)
    _label(canvas, x, y, "displacement, px")


def _speed(canvas: Canvas, case: VideoCase, x: _Axis, top: float, bottom: float) -> None:
    """Slopes of the displacements: a stop is 0, a slip of the registration is a spike."""
    curves = [(times, smooth_speed(times, values), colour) for times, values, colour in _curves(case) if len(times) > 2]
    bounds = [np.nanquantile(v, [0.005, 0.995]) for _, v, _ in curves if np.isfinite(v).any()]
    y = _Axis(*_range([np.asarray(b, np.float64) for b in bounds], 20.0), bottom, top)
    _panel(canvas, x, y)
    for times, values, colour in curves:
        canvas.lines(np.stack([x(times), np.clip(y(values), top, bottom)], axis=1), colour, width=1.2)
    _label(canvas, x, y, "speed, px/s")


def smooth_speed(pts_s: NDArray[np.float64], displacement_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Speed at each frame, (n,) px/s, over five frames."""
    reach = min(2, len(pts_s) - 1)
    i = np.arange(len(pts_s))
    a, b = np.maximum(i - reach, 0), np.minimum(i + reach, len(pts_s) - 1)
    return np.asarray((displacement_px[b] - displacement_px[a]) / np.maximum(pts_s[b] - pts_s[a], 1e-6), np.float64)


def _trust(canvas: Canvas, case: VideoCase, x: _Axis, top: float, bottom: float) -> None:
    y = _Axis(0.0, 1.0, bottom, top)
    canvas.rect(x.at0, top, x.at1, bottom, PAPER)
    for p in case.passages:
        passage = p.passage
        line = np.stack([x(passage.pts_s), y(np.clip(passage.trust.astype(np.float64), 0, 1))], axis=1)
        below = np.array([(line[-1, 0], bottom), (line[0, 0], bottom)])
        canvas.polygon(np.concatenate([line, below]), _mixed(TRAIN, 0.35))
    if case.motion is not None:
        coherence = case.motion.coherence.astype(np.float64)
        canvas.lines(np.stack([x(case.motion.pts_s), y(np.clip(coherence, 0, 1))], axis=1), SOFT, width=0.9)
    words = "trust in the train's motion (green)" + (", likeness of frames once moved (grey)" if case.motion is not None else "")
    _panel(canvas, x, y)
    _label(canvas, x, y, words)


def _mixed(colour: Colour, share: float) -> Colour:
    """A colour thinned with white."""
    b, g, r = (round(255 * (1 - share) + c * share) for c in colour)
    return b, g, r


def _look_ticks(canvas: Canvas, case: VideoCase, x: _Axis, top: float, bottom: float) -> None:
    canvas.text(x.at0 - 6, bottom - 1, "looks", size=11, colour=SOFT, anchor="right")
    for look in case.raw.looks:
        at = float(x(look.pts_s))
        found = len(look.detections) > 0
        canvas.lines([(at, top if found else top + 8), (at, bottom)], INK if found else FAINT, width=0.8)


def _time_ticks(canvas: Canvas, x: _Axis, y: float) -> None:
    step = round_step((x.last - x.first) * 80 / (x.at1 - x.at0))
    for n in range(math.ceil(x.first / step), math.floor(x.last / step) + 1):
        at = float(x(n * step))
        canvas.lines([(at, y), (at, y + 4)], SOFT, width=0.6)
        canvas.text(at, y + 16, f"{n * step:g} s", size=11, colour=SOFT, anchor="middle")
