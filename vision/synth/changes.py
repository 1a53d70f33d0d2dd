"""What each condition does to a scene: functions from scene to scene, in the order in which a mix applies them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vision.synth import consist as trains
from vision.synth import edit
from vision.synth.consist import random_consist
from vision.synth.spec import Foreground, Heading, Knots, Lens, Overlay, Parallax, Pole, SceneSpec, Weather

LINE_SPEED_M_S = 10.5
"""Middle of the speeds at the usual pace; changes of speed scale with the train's own against it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What changes need to know beside the scene.

    Attributes:
        lead_in_s, lead_out_s: Empty track before and after the train.
        pace: The train's speed against the usual; 1 where it was drawn as usual.
        another: Draws a further scene under the same conditions without cuts, for a shot that follows.
        classes: Vehicle classes to draw from; empty for the usual mix.
    """

    lead_in_s: float
    lead_out_s: float
    pace: float
    another: Callable[[int], SceneSpec]
    classes: tuple[str, ...] = ()


Change = Callable[[SceneSpec, np.random.Generator, Timing], SceneSpec]


def whole_duration_s(spec: SceneSpec, *, lead_out_s: float, longest_s: float = 900.0) -> float:
    """When the last train has left the picture for good, plus ``lead_out_s``, seconds; ``longest_s`` if it never does."""
    t_s = np.arange(0.0, longest_s, 0.04)
    gone_s, wide_px = 0.0, spec.canvas_wh_px[0]
    for train in spec.trains:
        head_px = train.head_world_px(t_s, width_px=wide_px) - spec.camera_x_px(t_s)
        tail_px = head_px + train.length_m * train.px_per_m * (-1.0 if train.heading == "right" else 1.0)
        inside = (np.maximum(head_px, tail_px) > 0) & (np.minimum(head_px, tail_px) < wide_px)
        last = np.flatnonzero(inside)
        if len(last) and last[-1] == len(t_s) - 1:
            return longest_s
        gone_s = max(gone_s, float(t_s[last[-1]]) if len(last) else 0.0)
    return gone_s + lead_out_s


def timed(spec: SceneSpec, lead_out_s: float) -> SceneSpec:
    """The spec with a duration that lets the whole train pass."""
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=lead_out_s))


def with_train(spec: SceneSpec, **changes: object) -> SceneSpec:
    """The scene with its first train changed."""
    return replace(spec, trains=(replace(spec.trains[0], **changes), *spec.trains[1:]))  # type: ignore[arg-type]


def _shake(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    rms_px = spec.width_px / 1280 * float(rng.uniform(2.0, 6.0))
    return replace(spec, camera=replace(spec.camera, shake_x_px=rms_px, shake_y_px=rms_px * float(rng.uniform(0.4, 0.9))))


def _pan(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    # A turning camera sees little parallax; a walking one more. The sway keeps the track in view at both ends.
    sway_px = spec.width_px * float(rng.uniform(0.1, 0.3)) * (1 if rng.random() < 0.5 else -1)
    far = float(rng.uniform(0.3, 1.0))
    parallax = Parallax(hills=far, trees=min(1.0, far + 0.3), poles=float(rng.uniform(1.0, 1.6)))
    camera = replace(spec.camera, sway_px=sway_px, sway_period_s=float(rng.uniform(5.0, 12.0)), parallax=parallax)
    return timed(replace(spec, camera=camera), timing.lead_out_s)


def _follow(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    share = float(rng.uniform(0.4, 0.8))
    spec = _slower(spec, timing, 1 / (1 - share))
    # Nothing to follow until the head is well inside; then the camera lets the train slide past.
    start_s = spec.trains[0].entry_s + 1.5
    follow = Knots(((start_s, 0.0), (start_s + 1.0, share)))
    parallax = Parallax(hills=0.9, trees=0.95, poles=1.05)
    return timed(replace(spec, camera=replace(spec.camera, follow=follow, parallax=parallax)), timing.lead_out_s)


def _stop(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    brake_s, stand_s, go_s = float(rng.uniform(4, 8)), float(rng.uniform(2, 5)), float(rng.uniform(4, 8))
    at_s = train.entry_s + float(rng.uniform(1.0, 3.0))
    points = ((at_s, speed), (at_s + brake_s, 0.0), (at_s + brake_s + stand_s, 0.0), (at_s + brake_s + stand_s + go_s, speed))
    return timed(with_train(spec, speed_m_s=Knots(points)), timing.lead_out_s)


def _reverse(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    at_s = train.entry_s + float(rng.uniform(2.0, 4.0))
    back = -float(rng.uniform(1.0, 3.0)) * timing.pace
    points = ((at_s, speed), (at_s + 4, back), (at_s + 7, back), (at_s + 12, speed))
    return timed(with_train(spec, speed_m_s=Knots(points)), timing.lead_out_s)


def _accelerate(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    train = spec.trains[0]
    slow, fast = float(rng.uniform(3, 5)) * timing.pace, float(rng.uniform(14, 20)) * timing.pace
    points = ((train.entry_s, slow), (train.entry_s + float(rng.uniform(8, 20)), fast))
    return timed(with_train(spec, speed_m_s=Knots(points)), timing.lead_out_s)


def _poles(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    pitch_px = spec.width_px * float(rng.uniform(0.25, 0.5))
    width_px = spec.width_px * float(rng.uniform(0.008, 0.03))
    start_px = -2 * spec.width_px + float(rng.uniform(0, pitch_px))
    count = int((4 * spec.width_px + spec.canvas_wh_px[0]) / pitch_px)
    jitter = rng.uniform(-0.1, 0.1, count) * pitch_px
    return replace(spec, poles=tuple(Pole(start_px + i * pitch_px + float(jitter[i]), width_px) for i in range(count)))


def _captions(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    w, h = spec.width_px, spec.height_px
    top = int(h * float(rng.uniform(0.78, 0.86)))
    caption = Overlay("caption", (int(w * 0.08), top, int(w * 0.92), top + h // 10), "VIDEO FROM THE SCENE  12:45")
    mark = Overlay("watermark", (int(w * 0.6), int(h * 0.45), int(w * 0.95), int(h * 0.58)), "@rail_channel")
    return replace(spec, overlays=(*spec.overlays, caption, mark))


def _letterbox(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    w, h = spec.width_px, spec.height_px
    if rng.random() < 0.5:
        bar = int(h * float(rng.uniform(0.06, 0.12)))
        bars = ((0, 0, w, bar), (0, h - bar, w, h))
    else:
        bar = int(w * float(rng.uniform(0.1, 0.25)))
        bars = ((0, 0, bar, h), (w - bar, 0, w, h))
    return replace(spec, overlays=(*spec.overlays, *(Overlay("bar", xyxy) for xyxy in bars)))


def _dark(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    light = replace(spec.light, contrast=float(rng.uniform(0.25, 0.4)), brightness=float(rng.uniform(-70, -50)), noise=6.0)
    return replace(spec, light=light)


def _partial(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    # The video starts, or ends, or both, in the middle of the train.
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    if speed == 0:  # whoever walks along a standing train stops before its end
        return replace(spec, duration_s=max(1.0, spec.duration_s * float(rng.uniform(0.55, 0.85))))
    passing_s = train.length_m / speed
    cut = int(rng.integers(3))
    if cut in {0, 2}:
        shift_s = train.entry_s + (train.length_m * float(rng.uniform(0.1, 0.3)) + spec.canvas_wh_px[0] / train.px_per_m) / speed
        spec = timed(with_train(spec, entry_s=train.entry_s - shift_s), timing.lead_out_s)
    if cut in {1, 2}:
        end_s = spec.trains[0].entry_s + passing_s * float(rng.uniform(0.55, 0.85))
        spec = replace(spec, duration_s=max(1.0, min(spec.duration_s, end_s)))
    return spec


def _empty(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    return replace(spec, trains=(), duration_s=float(rng.uniform(4, 8)))


# What the train is made of.


def _made(change: Callable[[trains.Wagons, np.random.Generator], trains.Wagons]) -> Change:
    """A condition from a change of the wagons."""

    def apply(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
        return timed(with_train(spec, wagons=change(spec.trains[0].wagons, rng)), timing.lead_out_s)

    return apply


def _pairs(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    return with_train(spec, wagons=trains.pairs(spec.trains[0].wagons, rng, timing.classes))


def _covered(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    if timing.classes and "covered_vehicle" not in timing.classes:
        raise ValueError("the condition covered needs pictures of the class covered_vehicle")
    return with_train(spec, wagons=trains.covered(spec.trains[0].wagons, rng))


# Two trains.


def _second_train(spec: SceneSpec, rng: np.random.Generator, timing: Timing, *, same_way: bool) -> SceneSpec:
    """Another train on the far track, in the picture for part of the time together with the first."""
    near = spec.trains[0]
    flatcars = sum(wagon.kind == "flatcar" for wagon in near.wagons)
    way: Heading = near.heading if same_way else ("left" if near.heading == "right" else "right")
    scale = near.px_per_m * float(rng.uniform(0.85, 0.95))
    # Unlike speeds, so that what hides behind the near train comes out again.
    speed = float(near.speed_m_s.at(0.0)) * float(rng.choice([rng.uniform(0.6, 0.8), rng.uniform(1.25, 1.5)]))
    passing_s = near.length_m / float(near.speed_m_s.at(0.0))
    far = replace(
        near,
        wagons=random_consist(rng, flatcars=max(2, flatcars), classes=timing.classes),
        heading=way,
        px_per_m=scale,
        rail_y_px=near.rail_y_px - near.px_per_m * float(rng.uniform(1.2, 2.0)),
        speed_m_s=Knots(((0.0, speed),)),
        entry_s=near.entry_s + passing_s * float(rng.uniform(0.1, 0.6)),
    )
    return timed(replace(spec, trains=(near, far)), timing.lead_out_s)


def _two_same(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    return _second_train(spec, rng, timing, same_way=True)


def _two_opposite(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    return _second_train(spec, rng, timing, same_way=False)


# A camera that travels.


def _travelling(spec: SceneSpec, timing: Timing, *, camera_px_s: float, train_m_s: float, parallax: Parallax) -> SceneSpec:
    """Camera and train each at an even speed; they meet when the lead-in is over, whichever end comes first."""
    train = replace(spec.trains[0], speed_m_s=Knots(((0.0, train_m_s),)), entry_s=timing.lead_in_s)
    length_px, wide_px = train.length_m * train.px_per_m, spec.canvas_wh_px[0]
    head_px = 0.0 if train.heading == "right" else float(wide_px)
    left_px, right_px = (head_px - length_px, head_px) if train.heading == "right" else (head_px, head_px + length_px)
    train_px_s = train_m_s * train.px_per_m * (1 if train.heading == "right" else -1)
    # On the picture the train moves right: then its right end enters at the left edge.
    meets_px = right_px if train_px_s > camera_px_s else left_px - wide_px
    camera = replace(
        spec.camera,
        pan_px_s=Knots(((0.0, camera_px_s),)),
        start_px=meets_px - camera_px_s * timing.lead_in_s,
        parallax=parallax,
    )
    return timed(replace(spec, trains=(train, *spec.trains[1:]), camera=camera), timing.lead_out_s)


def _walk(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    # At walking pace from one end to the other; the hand goes up and down with the steps.
    way = 1 if rng.random() < 0.5 else -1
    camera_px_s = way * float(rng.uniform(1.4, 2.2)) * spec.trains[0].px_per_m
    bob_px = spec.width_px / 1280 * float(rng.uniform(1.5, 3.5))
    parallax = Parallax(hills=0.02, trees=float(rng.uniform(0.2, 0.4)), poles=float(rng.uniform(1.5, 2.0)))
    spec = _travelling(spec, timing, camera_px_s=camera_px_s, train_m_s=0.0, parallax=parallax)
    return replace(spec, camera=replace(spec.camera, shake_x_px=0.6 * bob_px, shake_y_px=bob_px, shake_hz=2.0))


def _window(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    """From a train on the next track: the other stands, comes the other way, or runs the same way at another speed."""
    speed = float(spec.trains[0].speed_m_s.at(0.0))
    kind = int(rng.integers(3))
    other_m_s = (0.0, speed * float(rng.uniform(0.4, 0.7)), speed * float(rng.uniform(0.7, 1.1)))[kind]
    own_m_s = speed * float(rng.uniform(0.8, 1.2)) if kind < 2 else other_m_s + speed * float(rng.choice([-1, 1]))
    heads_right = spec.trains[0].heading == "right"
    ahead = (heads_right if kind != 1 else not heads_right) or (kind == 0 and rng.random() < 0.5)
    camera_px_s = own_m_s * spec.trains[0].px_per_m * (1 if ahead else -1)
    parallax = Parallax(hills=0.03, trees=float(rng.uniform(0.2, 0.5)), poles=1.0)
    spec = _travelling(spec, timing, camera_px_s=camera_px_s, train_m_s=other_m_s, parallax=parallax)
    rms_px = spec.width_px / 1280 * float(rng.uniform(1.0, 3.0))
    camera = replace(spec.camera, shake_x_px=rms_px, shake_y_px=rms_px)
    return replace(spec, camera=camera, foreground=(*spec.foreground, Foreground("window", parallax=0.0)))


def _against(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    share = float(rng.uniform(0.3, 0.6))
    spec = _slower(spec, timing, 1 / (1 + share))
    start_s = spec.trains[0].entry_s
    camera = replace(spec.camera, follow=Knots(((start_s, 0.0), (start_s + 1.0, -share))), parallax=Parallax(0.9, 0.95, 1.05))
    return timed(replace(spec, camera=camera), timing.lead_out_s)


def _slower(spec: SceneSpec, timing: Timing, factor: float) -> SceneSpec:
    """Where the time in view was asked for, a camera that goes along must not change it: the train runs at another speed."""
    if timing.pace == 1.0:
        return spec
    return with_train(spec, speed_m_s=spec.trains[0].speed_m_s.scaled(factor))


def _zoom(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    at_s = spec.trains[0].entry_s + (spec.duration_s - spec.trains[0].entry_s) * float(rng.uniform(0.15, 0.35))
    points, level = [(at_s, 1.0)], 1.0
    for _turn in range(int(rng.integers(1, 3))):
        level = float(rng.uniform(1.35, 1.9)) if level == 1.0 else 1.0
        points.append((points[-1][0] + float(rng.uniform(1.5, 4.0)), level))
        points.append((points[-1][0] + float(rng.uniform(2.0, 6.0)), level))
    lens = replace(spec.lens or Lens(), zoom=Knots(tuple(points)), zoom_centre=(float(rng.uniform(0.4, 0.6)), 0.62))
    return replace(spec, lens=lens)


def _oblique(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    share, foreshortening = float(rng.uniform(0.45, 0.7)), float(rng.uniform(0.7, 0.9))
    near: Heading = "left" if rng.random() < 0.5 else "right"
    lens = replace(spec.lens or Lens(), far_share=share, foreshortening=foreshortening, near=near)
    # The near end fills more of the picture than a square-on train would, the far end less.
    grown = 1 / math.sqrt(share * foreshortening)
    wider = replace(spec, lens=lens, trains=tuple(replace(t, px_per_m=t.px_per_m * grown) for t in spec.trains))
    return timed(wider, timing.lead_out_s)


# What stands between.


def _before(kind: str, spec: SceneSpec, rng: np.random.Generator) -> SceneSpec:
    near = float(rng.uniform(1.2, 1.8))
    density = float(rng.uniform(0.7, 1.3))
    items: tuple[Foreground, ...]
    if kind == "platform":
        walk_px_s = spec.width_px * float(rng.uniform(0.01, 0.03)) * (1 if rng.random() < 0.5 else -1)
        items = (Foreground("people", near, 0.0, 0.6 * density), Foreground("people", near, walk_px_s, 0.4 * density))
    elif kind == "trees":
        items = (Foreground("trees", near, 0.0, density),)
    else:
        items = (Foreground("fence", near, 0.0, density),)
    return replace(spec, foreground=(*spec.foreground, *items))


def _fence(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    return _before("fence", spec, rng)


def _trees(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    return _before("trees", spec, rng)


def _platform(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    return _before("platform", spec, rng)


# Light and weather.


def _night(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    light = replace(
        spec.light,
        contrast=float(rng.uniform(0.7, 0.9)),
        brightness=float(rng.uniform(-30, -15)),
        noise=float(rng.uniform(5.0, 8.0)),
        exposure_s=float(rng.uniform(1 / 60, 1 / 30)),
        lamps=float(rng.uniform(0.5, 0.9)),
    )
    return replace(spec, light=light)


def _snow(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    wind = float(rng.uniform(-0.6, 0.6))
    weather = Weather("snow", density=float(rng.uniform(80, 250)), wind=wind, cover=float(rng.uniform(0.5, 0.85)))
    light = replace(spec.light, contrast=spec.light.contrast * float(rng.uniform(0.6, 0.8)), brightness=float(rng.uniform(0, 20)))
    return replace(spec, weather=weather, light=light)


def _rain(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    weather = Weather("rain", density=float(rng.uniform(60, 160)), wind=float(rng.uniform(-0.3, 0.3)))
    light = replace(
        spec.light,
        contrast=spec.light.contrast * float(rng.uniform(0.5, 0.7)),
        brightness=float(rng.uniform(-25, 0)),
        blur_px=spec.light.blur_px + float(rng.uniform(0.3, 0.8)),
    )
    return replace(spec, weather=weather, light=light)


def _low_contrast(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    light = replace(
        spec.light,
        contrast=float(rng.uniform(0.18, 0.3)),
        brightness=float(rng.uniform(10, 45)),
        blur_px=spec.light.blur_px + 0.3,
    )
    return replace(spec, light=light)


# What the channel did.


def _watermark(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    """Half-transparent text right across the vehicles, and a small mark in a corner."""
    w, h = spec.width_px, spec.height_px
    left, top = int(w * float(rng.uniform(0.1, 0.3))), int(h * float(rng.uniform(0.45, 0.58)))
    across = Overlay("watermark", (left, top, left + int(w * 0.55), top + int(h * 0.16)), "t.me/rail_channel")
    corner = Overlay("watermark", (int(w * 0.78), int(h * 0.03), int(w * 0.98), int(h * 0.11)), "RAIL 24")
    return replace(spec, overlays=(*spec.overlays, across, corner))


def _mirrored(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    del rng
    return replace(spec, mirrored=not spec.mirrored)


def _compressed(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    # Beyond 37 a small picture's moving parts freeze for seconds: no clip that anybody published looks like that.
    return replace(spec, crf=int(rng.integers(31, 38)))


def _cuts(spec: SceneSpec, rng: np.random.Generator, timing: Timing) -> SceneSpec:
    """Two trains at two places, one after the other; now and then the first is cut short, or an empty track lies between."""
    if rng.random() < 0.5:
        spec = replace(spec, duration_s=max(2.0, spec.duration_s * float(rng.uniform(0.55, 0.8))))
    shots = [timing.another(spec.seed + 7_000_003)]
    if rng.random() < 0.4:
        shots.insert(0, replace(timing.another(spec.seed + 9_000_011), trains=(), duration_s=float(rng.uniform(1.5, 3.0))))
    # What the channel painted lies over the whole clip.
    return replace(spec, then=tuple(replace(shot, overlays=spec.overlays) for shot in shots))


def _jump_cuts(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    """One or two pieces cut out while the train passes, each shorter than a vehicle's way across the picture."""
    clock = edit.clock_of(spec)
    start_s, end_s = float(clock[1][0]), float(clock[1][-1])
    if not spec.trains:
        return spec
    train = spec.trains[0]
    speed_px_s = max(0.3, abs(float(train.speed_m_s.at(train.entry_s + 1.0)))) * train.px_per_m
    across_s = spec.canvas_wh_px[0] / speed_px_s
    cuts = []
    for low, high in ((0.25, 0.45), (0.55, 0.7))[: int(rng.integers(1, 3))]:
        at_s = start_s + (end_s - start_s) * float(rng.uniform(low, high))
        cuts.append((at_s, at_s + min(across_s * float(rng.uniform(0.1, 0.7)), 0.15 * (end_s - start_s))))
    return edit.with_clock(spec, edit.jumped(clock, cuts, fps=spec.fps))


def _speed_change(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    clock = edit.clock_of(spec)
    end_s = float(clock[1][-1])
    rates = [(0.0, 1.0), (end_s * float(rng.uniform(0.25, 0.4)), float(rng.choice([0.5, rng.uniform(1.5, 2.5)])))]
    if rng.random() < 0.5:
        rates.append((end_s * float(rng.uniform(0.6, 0.75)), 1.0))
    return edit.with_clock(spec, edit.sped(clock, rates, fps=spec.fps))


def _doubled(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    """A slower recording in a faster file: every few frames the same picture twice, and now and then it freezes for a moment."""
    clock = edit.clock_of(spec)
    count = len(clock[0])
    every = int(rng.integers(2, 6))
    repeat = np.arange(count) % every == every - 1
    for start in np.flatnonzero(rng.random(count) < 0.004):
        repeat[start : start + int(rng.integers(3, 9))] = True
    return edit.with_clock(spec, edit.doubled(clock, repeat))


def _dropped(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    """Bursts of lost frames; the file knows of it (a gap in time) or does not (the train jumps)."""
    clock = edit.clock_of(spec)
    drop = np.zeros(len(clock[0]), dtype=bool)
    for start in np.flatnonzero(rng.random(len(drop)) < 0.03):
        drop[start : start + int(rng.integers(1, 5))] = True
    drop[0] = False
    return edit.with_clock(spec, edit.dropped(clock, drop, closed_up=bool(rng.random() < 0.5), fps=spec.fps))


def _vfr(spec: SceneSpec, rng: np.random.Generator, _: Timing) -> SceneSpec:
    return edit.with_clock(spec, edit.variable_rate(spec, rng))


CHANGES: dict[str, Change] = {
    # The order in which a mix applies them. Speeds come before cameras, which follow them; edits come last.
    "lookalike": _made(trains.look_alike),
    "pairs": _pairs,
    "covered": _covered,
    "gaps": _made(trains.gaps),
    "coaches": _made(trains.with_block("coach")),
    "containers": _made(trains.with_block("container")),
    "tankcars": _made(trains.with_block("tankcar")),
    "civil": _made(trains.civil),
    "loco-first": _made(trains.locomotive_first),
    "loco-middle": _made(trains.locomotive_middle),
    "loco-last": _made(trains.locomotive_last),
    "oblique": _oblique,
    "stop": _stop,
    "accelerate": _accelerate,
    "reverse": _reverse,
    "two-same": _two_same,
    "two-opposite": _two_opposite,
    "walk": _walk,
    "window": _window,
    "shake": _shake,
    "pan": _pan,
    "follow": _follow,
    "against": _against,
    "zoom": _zoom,
    "poles": _poles,
    "fence": _fence,
    "trees": _trees,
    "platform": _platform,
    "captions": _captions,
    "letterbox": _letterbox,
    "watermark": _watermark,
    "dark": _dark,
    "night": _night,
    "snow": _snow,
    "rain": _rain,
    "low-contrast": _low_contrast,
    "mirrored": _mirrored,
    "compressed": _compressed,
    "partial": _partial,
    "empty": _empty,
    "cuts": _cuts,
    "vfr": _vfr,
    "jump-cuts": _jump_cuts,
    "speed-change": _speed_change,
    "doubled": _doubled,
    "dropped": _dropped,
}
ORDER = {name: place for place, name in enumerate(CHANGES)}
