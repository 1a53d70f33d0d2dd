"""Trains by script: what a detector and a registration would have said of a train whose vehicles are known. No pixels.

All numbers come from one seed. Positions are those of the train coordinate: with ``direction="right"`` the head is the
largest ``s``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from vision.config import CountConfig
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Look, Passage

CLASS_NAMES = default_taxonomy().leaves
FLATCAR_M = 14.62


@dataclass(frozen=True)
class Script:
    """How a train, a camera and a detector behave.

    Lengths in metres or pixels as named; shares in [0, 1].
    """

    vehicles: int = 10
    seed: int = 0
    direction: str = "right"
    px_per_m: float = 30.0
    view_px: int = 1280
    height_px: int = 720
    in_view_s: float = 10.0  # how long a vehicle is wholly in view
    looks_s: float = 2.0
    fps: float = 25.0
    widths_m: tuple[float, float] = (5.5, 8.5)
    two_per_car: float = 0.4  # share of cars with two vehicles end to end
    empty_cars: float = 0.1
    hard: float = 0.25  # share of vehicles that are mostly missed
    hard_rate: float = 0.25  # detection rates
    easy_rate: float = 0.97
    false: float = 0.02  # false boxes per true one
    shake_px: float = 6.0  # common to a look, not registered
    box_noise: float = 0.05  # of the width, each edge
    drift_px: float = 3.0  # random walk of the registration over one view
    doubles: float = 0.03  # second box on a vehicle
    merged: float = 0.01  # one box over two neighbours
    class_flicker: float = 0.15
    classes: tuple[str, ...] = ("tank", "bmp", "btr", "mtlb", "truck", "sp_gun")
    oblique: float = 0.0  # the train's far end is smaller: speed over the view runs from (1 - oblique) to (1 + oblique), roughly
    scale_error: float = 0.0  # the registration's displacement is too large by this share
    lead_px: float = 200.0  # empty train before the first and after the last vehicle


@dataclass(frozen=True)
class Scene:
    """A scripted train: what the counter is given, and the truth."""

    script: Script
    passage: Passage
    looks: list[Look]
    s0_px: np.ndarray
    s1_px: np.ndarray
    classes: list[str]
    hard: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def wh_px(self) -> tuple[int, int]:
        return self.script.view_px, self.script.height_px

    def kwargs(self) -> dict[str, object]:
        """The keyword arguments of ``count_train``."""
        return {
            "class_names": CLASS_NAMES,
            "picture_wh_px": self.wh_px,
            "taxonomy": default_taxonomy(),
            "config": CountConfig(),
        }


def passage_of(
    pts_s, displacement_px, *, view_px=1280, height_px=720, direction="right", background_px=None, **changes
) -> Passage:
    """A passage from a displacement, filled in with what follows from it."""
    pts_s = np.asarray(pts_s, dtype=np.float64)
    displacement_px = np.asarray(displacement_px, dtype=np.float64)
    background_px = np.zeros_like(displacement_px) if background_px is None else np.asarray(background_px, dtype=np.float64)
    span_s = max(float(pts_s[-1] - pts_s[0]), 1e-9)
    passage = Passage(
        shot_index=0,
        start_s=float(pts_s[0]),
        end_s=float(pts_s[-1]),
        pts_s=pts_s,
        displacement_px=displacement_px,
        background_px=background_px,
        trust=np.ones(len(pts_s), np.float32),
        direction=direction,
        view_x_px=(0.0, float(view_px)),
        band_y_px=(0.35 * height_px, 0.75 * height_px),
        head_seen=True,
        tail_seen=True,
        speed_px_s=float(abs(displacement_px[-1] - displacement_px[0]) / span_s),
        length_px=float(np.ptp(displacement_px)),
    )
    return replace(passage, **changes)


def layout(script: Script, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the vehicles from the head backwards, pixels from the head: (n,), (n,)."""
    start, end = [], []
    car_m = 0.0
    while len(start) < script.vehicles:
        car_m += FLATCAR_M
        if rng.random() < script.empty_cars:
            continue
        low, high = script.widths_m
        if rng.random() < script.two_per_car and script.vehicles - len(start) >= 2:
            widths = rng.uniform(low, min(high, FLATCAR_M / 2 - 0.3), size=2)
            gap = rng.uniform(0.2, 0.5)
        else:
            widths, gap = rng.uniform(low, high, size=1), 0.0
        at = car_m + (FLATCAR_M - widths.sum() - gap * (len(widths) - 1)) / 2
        for width in widths:
            start.append(at)
            end.append(at + width)
            at += width + gap
    scale = script.px_per_m
    return np.array(start) * scale - FLATCAR_M * scale + script.lead_px, np.array(
        end
    ) * scale - FLATCAR_M * scale + script.lead_px


def scripted_scene(script: Script) -> Scene:
    """Play a script."""
    rng = np.random.default_rng(script.seed)
    begin, finish = layout(script, rng)
    classes = [script.classes[i] for i in rng.integers(len(script.classes), size=len(begin))]
    hard = rng.random(len(begin)) < script.hard
    rate = np.where(hard, script.hard_rate, script.easy_rate)

    typical_px = float(np.mean(script.widths_m)) * script.px_per_m
    speed = (script.view_px - typical_px) / script.in_view_s
    length = finish.max() + script.lead_px
    pts_s = np.arange(0, (length + script.view_px) / speed, 1 / script.fps)
    sign = 1.0 if script.direction == "right" else -1.0
    # The head is at s = 0 when it comes in; it enters at the left edge when the train moves right.
    true_d = sign * speed * pts_s + (0.0 if sign > 0 else script.view_px)
    s0, s1 = (-finish, -begin) if sign > 0 else (begin, finish)

    steps = rng.normal(0, script.drift_px / np.sqrt(script.in_view_s * script.fps), size=len(pts_s))
    passage = passage_of(
        pts_s,
        true_d * (1 + script.scale_error) + np.cumsum(steps),
        view_px=script.view_px,
        height_px=script.height_px,
        direction=script.direction,
    )
    step = max(round(script.fps / script.looks_s), 1)
    looks = [_look(script, rng, float(pts_s[i]), float(true_d[i]), s0, s1, classes, rate) for i in range(0, len(pts_s), step)]
    return Scene(script, passage, looks, s0, s1, classes, hard)


def _seen_at(x, script):
    """Columns of a straight train seen obliquely by a pinhole camera; the two edges of the view stay where they are."""
    u, k = np.asarray(x) / script.view_px - 0.5, script.oblique
    # Beyond the view the horizon would come near: go on straight there.
    inner = np.clip(u, -0.75, 0.75)
    return script.view_px * (0.5 + inner * (1 - k * k / 4) / (1 - k * inner) - k / 4 * 0 + (u - inner))


def _look(script, rng, pts_s, displacement_px, s0, s1, classes, rate) -> Look:
    w, h = script.view_px, script.height_px
    shake = rng.normal(0, script.shake_px)
    boxes, scores, ids = [], [], []

    def put(x0, x1, name, score):
        width = x1 - x0
        a = x0 + shake + rng.normal(0, script.box_noise * width)
        b = x1 + shake + rng.normal(0, script.box_noise * width)
        a, b = max(a, 0.0), min(b, float(w))
        if b - a < 0.15 * width:
            return
        tall = 0.3 * h * (1 + rng.normal(0, 0.05))
        bottom = 0.65 * h + rng.normal(0, 4)
        boxes.append([a, bottom - tall, b, bottom])
        scores.append(score)
        ids.append(CLASS_NAMES.index(name))

    x0, x1 = _seen_at(s0 + displacement_px, script), _seen_at(s1 + displacement_px, script)
    shown = np.clip(np.minimum(x1, w) - np.maximum(x0, 0), 0, None) / (x1 - x0)
    order = np.argsort(x0)
    skip = set()
    for n, j in enumerate(order):
        if shown[j] < 0.2 or j in skip or rng.random() > rate[j] * (1.0 if shown[j] > 0.95 else 0.7):
            continue
        name = classes[j] if rng.random() > script.class_flicker else script.classes[rng.integers(len(script.classes))]
        nxt = order[n + 1] if n + 1 < len(order) else None
        if nxt is not None and x0[nxt] - x1[j] < 0.1 * (x1[j] - x0[j]) and rng.random() < script.merged and shown[nxt] > 0.95:
            put(x0[j], x1[nxt], name, rng.uniform(0.3, 0.8))
            skip.add(nxt)
            continue
        put(x0[j], x1[j], name, rng.uniform(0.35, 0.95))
        if rng.random() < script.doubles:
            put(x0[j], x1[j], script.classes[rng.integers(len(script.classes))], rng.uniform(0.25, 0.6))
    for _ in range(rng.poisson(script.false * np.sum(shown > 0.2))):
        width = np.exp(rng.uniform(np.log(60), np.log(500))) * w / 1280
        left = rng.uniform(-width / 2, w - width / 2)
        top, tall = rng.uniform(0.2 * h, 0.6 * h), rng.uniform(0.1 * h, 0.35 * h)
        boxes.append([max(left, 0), top, min(left + width, w), top + tall])
        scores.append(rng.uniform(0.25, 0.7))
        ids.append(int(rng.integers(len(CLASS_NAMES))))
    return Look(pts=round(pts_s * 1000), pts_s=pts_s, detections=Detections.of(boxes, scores, ids))
