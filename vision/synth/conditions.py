"""Scenes drawn from a seed under named conditions: each is one difficulty, and they can be mixed (``shake+snow+poles``).

Mixed ones are applied in the order of `vision.synth.changes.CHANGES`: what the train is made of, how it runs, how the camera
moves and sees, what stands between, light and weather, what the channel painted, what an editor cut.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vision.synth.changes import CHANGES, LINE_SPEED_M_S, ORDER, Timing, timed, whole_duration_s, with_train
from vision.synth.consist import random_consist
from vision.synth.spec import Knots, Look2D, SceneSpec, TrainSpec

__all__ = ["CONDITIONS", "FIRST_CONDITIONS", "SIZES", "Condition", "parse_condition", "random_scene", "whole_duration_s"]

Condition = str
"""A name of ``CONDITIONS``, or several joined by ``+``."""

FIRST_CONDITIONS = (
    "fixed",
    "shake",
    "pan",
    "follow",
    "stop",
    "reverse",
    "accelerate",
    "poles",
    "captions",
    "letterbox",
    "vertical",
    "dark",
    "lookalike",
    "partial",
    "empty",
    "mixed",
)
"""Alone, these draw base and change from one stream of dice, as they always did: their clips stay what they were."""

SIZES: dict[str, tuple[int, int]] = {
    "240p": (426, 240),
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
}

CONDITIONS: tuple[Condition, ...] = (
    *FIRST_CONDITIONS,
    "against",
    "walk",
    "window",
    "zoom",
    "oblique",
    "two-same",
    "two-opposite",
    "fence",
    "trees",
    "platform",
    "night",
    "snow",
    "rain",
    "low-contrast",
    "watermark",
    "mirrored",
    "cuts",
    "jump-cuts",
    "speed-change",
    "dropped",
    "doubled",
    "vfr",
    *SIZES,
    "compressed",
    "pairs",
    "gaps",
    "covered",
    "loco-first",
    "loco-middle",
    "loco-last",
    "coaches",
    "containers",
    "tankcars",
    "civil",
)

_MIX_OF = ("stop", "accelerate", "reverse", "shake", "pan", "follow", "poles", "captions", "letterbox", "dark", "partial")


def parse_condition(text: str) -> tuple[Condition, ...]:
    """The names of a mix, in the order in which they are applied, each once.

    Raises:
        ValueError: With the unknown name and those there are.
    """
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in CONDITIONS:
            raise ValueError(f"unknown condition {name!r}; there are {', '.join(CONDITIONS)}")
    if "mixed" in names and len(set(names)) > 1:
        raise ValueError("the condition mixed draws a mix of its own and stands alone")
    return tuple(sorted(set(names), key=lambda name: ORDER.get(name, -1)))


def random_scene(
    seed: int,
    *,
    condition: Condition = "fixed",
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 25.0,
    flatcars: int | tuple[int, int] = (4, 12),
    lead_in_s: float = 1.0,
    lead_out_s: float = 1.0,
    classes: tuple[str, ...] = (),
    view_m: float | None = None,
    in_view_s: float | None = None,
) -> SceneSpec:
    """A scene drawn from a seed under one condition or a mix of them.

    Args:
        seed: The same seed and arguments give the same scene. But for ``FIRST_CONDITIONS``, which keep dice of their own, the
            scene below a condition is that of ``fixed`` with the same seed.
        condition: What is difficult about it, one of ``CONDITIONS`` or several joined by ``+``; ``mixed`` draws three.
        width_px: Of the picture; a condition that names a size (``480p``) has its own.
        height_px: Of the picture; ``vertical`` swaps the two when they lie the wrong way.
        fps: Frame rate.
        flatcars: How many, or a range to draw from (both ends included).
        lead_in_s: Empty track before the train.
        lead_out_s: And after it.
        classes: Vehicle classes to draw from; empty for the usual mix.
        view_m: Metres that the longer side of the picture shows, instead of a drawn scale.
        in_view_s: How long a vehicle takes to cross that, instead of a drawn speed; goes with ``view_m``.

    Raises:
        ValueError: There is no such condition.
    """
    names = parse_condition(condition)
    alone = names[0] if len(names) == 1 and names[0] in FIRST_CONDITIONS else None
    rng = np.random.default_rng([seed, CONDITIONS.index(alone) if alone else 0])
    width_px, height_px = next((SIZES[name] for name in names if name in SIZES), (width_px, height_px))
    if "vertical" in names and width_px > height_px:
        width_px, height_px = height_px, width_px
    count = flatcars if isinstance(flatcars, int) else int(rng.integers(flatcars[0], flatcars[1] + 1))
    spec = _base(
        rng, seed, (width_px, height_px), fps, count, look_alike=alone == "lookalike", classes=classes, lead_in_s=lead_in_s
    )
    pace = 1.0
    if view_m is not None and in_view_s is not None:
        pace = view_m / in_view_s / LINE_SPEED_M_S
        speed_m_s = Knots(((0.0, view_m / in_view_s),))
        spec = with_train(spec, px_per_m=max(width_px, height_px) / view_m, speed_m_s=speed_m_s)
    spec = replace(timed(spec, lead_out_s), condition=condition)

    def another(other: int) -> SceneSpec:
        left = "+".join(name for name in names if name not in {"cuts", "mixed"}) or "fixed"
        return random_scene(
            other,
            condition=left,
            width_px=width_px,
            height_px=height_px,
            fps=fps,
            flatcars=flatcars,
            lead_in_s=lead_in_s,
            lead_out_s=lead_out_s,
            classes=classes,
            view_m=view_m,
            in_view_s=in_view_s,
        )

    timing = Timing(lead_in_s, lead_out_s, pace, another, classes)
    if alone == "mixed":
        for i in sorted(rng.choice(len(_MIX_OF), size=3, replace=False)):
            spec = CHANGES[_MIX_OF[i]](spec, rng, timing)
        return spec
    for name in names:
        if name in CHANGES and not (alone and name == "lookalike"):
            own = rng if alone else np.random.default_rng([seed, 977, CONDITIONS.index(name)])
            spec = CHANGES[name](spec, own, timing)
    return spec


def _base(
    rng: np.random.Generator,
    seed: int,
    size_px: tuple[int, int],
    fps: float,
    flatcars: int,
    *,
    look_alike: bool,
    classes: tuple[str, ...],
    lead_in_s: float,
) -> SceneSpec:
    """A train at even speed before a fixed camera, by day."""
    width_px, height_px = size_px
    # The train fills between a fifth and two fifths of a wide picture's height.
    px_per_m = min(width_px, height_px * 16 / 9) * float(rng.uniform(0.024, 0.042))
    speed_m_s = float(rng.uniform(6.0, 15.0))
    train = TrainSpec(
        wagons=random_consist(rng, flatcars=flatcars, look_alike=look_alike, classes=classes),
        heading="left" if rng.random() < 0.5 else "right",
        px_per_m=px_per_m,
        rail_y_px=height_px * float(rng.uniform(0.68, 0.80)),
        speed_m_s=Knots(((0.0, speed_m_s),)),
        entry_s=lead_in_s,
    )
    light = Look2D(
        contrast=float(rng.uniform(0.75, 1.0)),
        brightness=float(rng.uniform(-15, 10)),
        noise=float(rng.uniform(1.0, 3.0)),
        blur_px=float(rng.uniform(0.0, 0.6)),
        exposure_s=float(rng.uniform(0.0, 1 / 120)),
    )
    return SceneSpec(
        seed=seed,
        width_px=width_px,
        height_px=height_px,
        fps=fps,
        duration_s=lead_in_s,
        trains=(train,),
        light=light,
        horizon_px=height_px * float(rng.uniform(0.42, 0.55)),
    )
