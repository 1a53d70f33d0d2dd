"""What a simulated rail scene is made of: plain frozen data, drawn from a seed.

World. Everything on the ground lives on one horizontal line, measured in picture pixels at the track; the fixed camera sees
``[0, width_px]``. A layer of parallax ``f`` moves by ``-f * camera_px`` when the camera has moved right by ``camera_px``. Shake
turns the camera, so it moves every layer alike.

Speed is measured along the train's direction of travel: positive runs head first, negative is a reversal.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WagonKind = Literal["locomotive", "flatcar", "coach", "boxcar", "container", "tankcar"]
Heading = Literal["left", "right"]
Condition = Literal[
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
]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

WAGON_LENGTH_M: dict[WagonKind, float] = {
    "flatcar": 14.62,
    "locomotive": 17.0,
    "coach": 24.54,
    "boxcar": 14.73,
    "container": 14.62,
    "tankcar": 12.02,
}
"""Lengths over couplers; the flatcar's is that of the common four-axle 13-401."""

VEHICLE_LENGTH_M: dict[str, float] = {
    "tank": 9.2,
    "bmp": 6.7,
    "bmd": 5.9,
    "btr": 7.65,
    "mtlb": 6.45,
    "brdm": 5.75,
    "tigr": 5.4,
    "light_armoured": 5.2,
    "sp_gun": 8.4,
    "towed_gun": 6.4,
    "mlrs": 7.35,
    "sam": 7.5,
    "truck": 7.4,
    "uaz": 4.0,
    "civil_car": 4.3,
    "covered_vehicle": 6.6,
}
"""Typical lengths of the vehicles that are drawn, over all with the gun, metres. The keys are the taxonomy's leaves."""


@dataclass(frozen=True, slots=True)
class Load:
    """A vehicle on a wagon.

    Attributes:
        class_name: A leaf of the taxonomy.
        centre_m: Its centre, metres behind the wagon's leading coupler.
        length_m: Over all, with the gun.
        appearance: The same number gives the same picture; different numbers vary colour, dirt and details.
        facing: Whether its front looks to the train's head or tail.
    """

    class_name: str
    centre_m: float
    length_m: float
    appearance: int = 0
    facing: Literal["head", "tail"] = "head"


@dataclass(frozen=True, slots=True)
class Wagon:
    """One wagon or locomotive with its loads, in order from its leading end; ``length_m`` is over couplers."""

    kind: WagonKind
    length_m: float
    loads: tuple[Load, ...] = ()
    appearance: int = 0


@dataclass(frozen=True, slots=True)
class Knots:
    """A quantity over time: straight lines between knots ``(t_s, value)``, held before the first and after the last."""

    points: tuple[tuple[float, float], ...] = ((0.0, 0.0),)

    def __post_init__(self) -> None:
        times = [t for t, _ in self.points]
        if not times or any(later <= earlier for earlier, later in itertools.pairwise(times)):
            raise ValueError(f"knots need increasing times, got {times}")

    def at(self, t_s: FloatArray | float) -> FloatArray:
        """Value at each time, same shape as ``t_s``."""
        times, values = np.array(self.points, dtype=np.float64).T
        return np.asarray(np.interp(t_s, times, values), dtype=np.float64)

    def integral(self, t_s: FloatArray | float, *, since_s: float = 0.0) -> FloatArray:
        """Exact integral from ``since_s`` to each time, same shape as ``t_s``."""
        return self._from_first(np.asarray(t_s, dtype=np.float64)) - self._from_first(np.asarray(since_s, dtype=np.float64))

    def _from_first(self, t_s: FloatArray) -> FloatArray:
        times, values = np.array(self.points, dtype=np.float64).T
        # A trapezoid for each whole segment, then the started one; before the first knot the value is held.
        whole = np.concatenate([[0.0], np.cumsum(np.diff(times) * (values[1:] + values[:-1]) / 2)])
        segment = np.clip(np.searchsorted(times, t_s, side="right") - 1, 0, len(times) - 1)
        rest = t_s - times[segment]
        return np.asarray(whole[segment] + rest * (values[segment] + self.at(t_s)) / 2, dtype=np.float64)

    def scaled(self, factor: float) -> Knots:
        return Knots(tuple((t, v * factor) for t, v in self.points))


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """One train.

    Attributes:
        wagons: From the head.
        heading: Where the head points on the picture.
        px_per_m: Scale of the square-on view at the train.
        rail_y_px: Row of the rail's top.
        speed_m_s: Speed along the heading over the video's clock.
        entry_s: When the head stands on the edge of the unmoved camera's picture; negative: it is inside when the video starts.
    """

    wagons: tuple[Wagon, ...]
    heading: Heading
    px_per_m: float
    rail_y_px: float
    speed_m_s: Knots
    entry_s: float

    @property
    def length_m(self) -> float:
        """Over all couplers, metres."""
        return sum(wagon.length_m for wagon in self.wagons)

    @property
    def vehicles(self) -> int:
        return sum(len(wagon.loads) for wagon in self.wagons)

    def way_m(self, t_s: FloatArray | float) -> FloatArray:
        """How far the head has come past the entering edge of the unmoved camera's picture, same shape as ``t_s``."""
        return self.speed_m_s.integral(t_s, since_s=self.entry_s)

    def head_world_px(self, t_s: FloatArray, *, width_px: int) -> FloatArray:
        """Column of the head in the world (the picture of the unmoved camera), same shape as ``t_s``."""
        way_px = self.way_m(t_s) * self.px_per_m
        return np.asarray(way_px if self.heading == "right" else width_px - way_px, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Parallax:
    """How far the layers move against the ground at the track when the camera pans: 1 for all when it only turns."""

    hills: float = 0.3
    trees: float = 0.7
    poles: float = 1.5


@dataclass(frozen=True, slots=True)
class Camera:
    """How the camera moves.

    Attributes:
        pan_px_s: Pan velocity, positive turns right: the ground moves left.
        sway_px, sway_period_s: A sinusoidal pan on top, amplitude and period.
        follow: Share of the first train's motion that the camera follows, 0 to 1, weighted over time.
        shake_x_px, shake_y_px: RMS of the hand's smooth noise; a negative value mirrors it.
        shake_hz: Where the noise's band ends.
        parallax: Of the layers.
    """

    pan_px_s: Knots = field(default_factory=Knots)
    sway_px: float = 0.0
    sway_period_s: float = 6.0
    follow: Knots = field(default_factory=Knots)
    shake_x_px: float = 0.0
    shake_y_px: float = 0.0
    shake_hz: float = 3.0
    parallax: Parallax = field(default_factory=Parallax)


@dataclass(frozen=True, slots=True)
class Pole:
    """A mast between the camera and the train, at ``x_px`` of the world, ``width_px`` wide."""

    x_px: float
    width_px: float


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the channel painted over the picture: it never moves.

    Attributes:
        kind: ``caption``: text on a box; ``watermark``: half-transparent text; ``bar``: a black letterbox bar.
        xyxy_px: Where, whole pixels.
        text: What it says; unused for a bar.
    """

    kind: Literal["caption", "watermark", "bar"]
    xyxy_px: tuple[int, int, int, int]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Look2D:
    """Light and lens: applied to the whole picture, before overlays.

    Attributes:
        contrast, brightness: ``out = (in - 128) * contrast + 128 + brightness``.
        blur_px: Gaussian sigma; 0 for none.
        noise: Sigma of the sensor's noise, grey levels.
        exposure_s: Shutter time: the train's motion blur.
    """

    contrast: float = 1.0
    brightness: float = 0.0
    blur_px: float = 0.0
    noise: float = 2.0
    exposure_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A whole clip: the same spec gives the same pixels.

    Attributes:
        seed: Of everything that the renderer draws at random (textures, shake, noise).
        width_px, height_px: Of the picture.
        fps: Frame rate; the frames' times are ``i / fps`` unless ``times_s`` says otherwise.
        duration_s: Of the clip.
        trains: In order of time; none is legal.
        camera, poles, overlays, light: See there.
        horizon_px: Row where the ground begins behind the track.
        times_s: Explicit frame times, increasing, for a variable frame rate.
        condition: The name it was drawn under, for tables.
    """

    seed: int
    width_px: int
    height_px: int
    fps: float
    duration_s: float
    trains: tuple[TrainSpec, ...]
    camera: Camera = field(default_factory=Camera)
    poles: tuple[Pole, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    light: Look2D = field(default_factory=Look2D)
    horizon_px: float = 0.0
    times_s: tuple[float, ...] | None = None
    condition: str = "fixed"

    def frame_times_s(self) -> FloatArray:
        """Time of every frame, shape (frames,), seconds."""
        if self.times_s is not None:
            return np.array(self.times_s, dtype=np.float64)
        return np.arange(max(1, round(self.duration_s * self.fps)), dtype=np.float64) / self.fps

    def view_xyxy_px(self) -> tuple[float, float, float, float]:
        """The part of the picture that no bar covers."""
        x0, y0, x1, y1 = 0.0, 0.0, float(self.width_px), float(self.height_px)
        for overlay in self.overlays:
            if overlay.kind != "bar":
                continue
            left, top, right, bottom = overlay.xyxy_px
            if right - left >= self.width_px:
                y0, y1 = (max(y0, bottom), y1) if top <= 0 else (y0, min(y1, top))
            else:
                x0, x1 = (max(x0, right), x1) if left <= 0 else (x0, min(x1, left))
        return x0, y0, x1, y1

    def camera_x_px(self, t_s: FloatArray) -> FloatArray:
        """How far the camera has moved right by each time, without shake; 0 at t = 0, same shape as ``t_s``."""
        camera = self.camera
        path = camera.pan_px_s.integral(t_s)
        path = path + camera.sway_px * np.sin(2 * np.pi * t_s / camera.sway_period_s)
        if self.trains and any(value for _, value in camera.follow.points):
            train = self.trains[0]
            sign = 1.0 if train.heading == "right" else -1.0
            # The product of two piecewise lines; a fine sum is exact to a thousandth of a pixel and still smooth.
            fine = np.arange(0.0, float(np.max(t_s, initial=0.0)) + 0.01, 0.002)
            speed = sign * train.px_per_m * train.speed_m_s.at(fine) * camera.follow.at(fine)
            way = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * 0.002)])
            path = path + np.interp(t_s, fine, way)
        return np.asarray(path, dtype=np.float64)

    def shake_px(self, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far the shake moves the whole picture right and down at each time, two arrays like ``t_s``."""
        camera = self.camera
        rng = np.random.default_rng([self.seed, 71])
        waves = 12
        axes = []
        for rms_px in (camera.shake_x_px, camera.shake_y_px):
            hz = rng.uniform(0.3, 1.0, waves) * camera.shake_hz
            phase = rng.uniform(0, 2 * np.pi, waves)
            # Slow waves swing widest, as a hand does; the sum of squares / 2 is the mean square.
            amplitude = 1.0 / hz
            amplitude *= rms_px / np.sqrt(np.sum(amplitude**2) / 2)
            axes.append(np.sum(amplitude[:, None] * np.sin(2 * np.pi * hz[:, None] * t_s[None] + phase[:, None]), axis=0))
        return axes[0], axes[1]

    def head_x_px(self, train: TrainSpec, t_s: FloatArray) -> FloatArray:
        """Column of the train's head on the picture at each time, shake included, same shape as ``t_s``."""
        world_px = train.head_world_px(t_s, width_px=self.width_px)
        return np.asarray(world_px - self.camera_x_px(t_s) + self.shake_px(t_s)[0], dtype=np.float64)


def mirrored(spec: SceneSpec) -> SceneSpec:
    """The scene seen in a mirror: trains run the other way and the camera pans the other way; textures are drawn anew."""
    camera = spec.camera
    width = spec.width_px
    return replace(
        spec,
        trains=tuple(replace(train, heading="left" if train.heading == "right" else "right") for train in spec.trains),
        camera=replace(camera, pan_px_s=camera.pan_px_s.scaled(-1.0), sway_px=-camera.sway_px, shake_x_px=-camera.shake_x_px),
        poles=tuple(replace(pole, x_px=width - pole.x_px) for pole in spec.poles),
        overlays=tuple(
            replace(o, xyxy_px=(width - o.xyxy_px[2], o.xyxy_px[1], width - o.xyxy_px[0], o.xyxy_px[3])) for o in spec.overlays
        ),
    )


def random_consist(
    rng: np.random.Generator,
    *,
    flatcars: int,
    look_alike: bool = False,
    classes: tuple[str, ...] = (),
    occupied: float = 0.85,
) -> tuple[Wagon, ...]:
    """A military train: a locomotive, perhaps a coach, loaded and empty flatcars, a few other wagons.

    Args:
        rng: Where the dice come from.
        flatcars: How many flatcars.
        look_alike: All vehicles of one class and one appearance.
        classes: Classes to draw from; empty for the usual mix.
        occupied: Share of the flatcars that carry something.
    """
    names = classes or tuple(name for name in VEHICLE_LENGTH_M if name != "civil_car")
    weight = {"tank": 5.0, "bmp": 4.0, "btr": 3.0, "truck": 4.0, "mtlb": 2.0, "covered_vehicle": 1.5}
    odds = np.array([weight.get(name, 1.0) for name in names])
    odds /= odds.sum()
    wagons = [Wagon("locomotive", WAGON_LENGTH_M["locomotive"], appearance=int(rng.integers(1 << 20)))]
    if rng.random() < 0.7:
        wagons.append(Wagon("coach", WAGON_LENGTH_M["coach"], appearance=int(rng.integers(1 << 20))))
    kept = (str(rng.choice(names, p=odds)), int(rng.integers(1 << 20)))
    # Military trains carry a unit: one class in a row, then the next.
    current = str(rng.choice(names, p=odds))
    for _ in range(flatcars):
        if rng.random() < 0.35:
            current = str(rng.choice(names, p=odds))
        name, appearance = kept if look_alike else (current, int(rng.integers(1 << 20)))
        loads = _loads(rng, name, appearance, look_alike) if rng.random() < occupied else ()
        wagons.append(Wagon("flatcar", WAGON_LENGTH_M["flatcar"], loads, appearance=int(rng.integers(1 << 20))))
        if rng.random() < 0.06:
            kind: WagonKind = ("boxcar", "container", "tankcar")[int(rng.integers(3))]
            wagons.append(Wagon(kind, WAGON_LENGTH_M[kind], appearance=int(rng.integers(1 << 20))))
    return tuple(wagons)


def _loads(rng: np.random.Generator, name: str, appearance: int, look_alike: bool) -> tuple[Load, ...]:
    """One or two vehicles that fit on a 13.3 m deck, with a hand's breadth between them and within its ends."""
    deck_m, middle_m = 13.3, WAGON_LENGTH_M["flatcar"] / 2
    length_m = VEHICLE_LENGTH_M[name] * (1.0 if look_alike else float(rng.uniform(0.97, 1.03)))
    facing: Literal["head", "tail"] = "head" if look_alike or rng.random() < 0.8 else "tail"
    other = appearance if look_alike else int(rng.integers(1 << 20))
    fits_two = 2 * length_m + 0.4 <= deck_m
    if fits_two and (look_alike or rng.random() < 0.6):
        apart_m = length_m + (0.6 if look_alike else float(rng.uniform(0.4, max(0.41, deck_m - 2 * length_m))))
        apart_m = min(apart_m, deck_m - length_m)
        return (
            Load(name, middle_m - apart_m / 2, length_m, appearance, facing),
            Load(name, middle_m + apart_m / 2, length_m, other, facing),
        )
    slack_m = max(0.0, (deck_m - length_m) / 2 - 0.3)
    centre_m = middle_m + (0.0 if look_alike else float(rng.uniform(-slack_m, slack_m) * 0.5))
    return (Load(name, centre_m, length_m, appearance, facing),)


def whole_duration_s(spec: SceneSpec, *, lead_out_s: float, longest_s: float = 900.0) -> float:
    """When the last train has left the picture for good, plus ``lead_out_s``, seconds; ``longest_s`` if it never does."""
    t_s = np.arange(0.0, longest_s, 0.04)
    gone_s = 0.0
    for train in spec.trains:
        head_px = train.head_world_px(t_s, width_px=spec.width_px) - spec.camera_x_px(t_s)
        tail_px = head_px + train.length_m * train.px_per_m * (-1.0 if train.heading == "right" else 1.0)
        inside = (np.maximum(head_px, tail_px) > 0) & (np.minimum(head_px, tail_px) < spec.width_px)
        last = np.flatnonzero(inside)
        if len(last) and last[-1] == len(t_s) - 1:
            return longest_s
        gone_s = max(gone_s, float(t_s[last[-1]]) if len(last) else 0.0)
    return gone_s + lead_out_s


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
) -> SceneSpec:
    """A scene drawn from a seed under one condition.

    Args:
        seed: The same seed and arguments give the same scene.
        condition: What is difficult about it, one of ``CONDITIONS``; ``mixed`` puts several together.
        width_px: Of the picture.
        height_px: Of the picture; ``vertical`` swaps the two when they lie the wrong way.
        fps: Frame rate.
        flatcars: How many, or a range to draw from (both ends included).
        lead_in_s: Empty track before the train.
        lead_out_s: And after it.
        classes: Vehicle classes to draw from; empty for the usual mix.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"unknown condition {condition!r}; there are {', '.join(CONDITIONS)}")
    rng = np.random.default_rng([seed, CONDITIONS.index(condition)])
    if condition == "vertical" and width_px > height_px:
        width_px, height_px = height_px, width_px
    count = flatcars if isinstance(flatcars, int) else int(rng.integers(flatcars[0], flatcars[1] + 1))
    # The train fills between a fifth and two fifths of a wide picture's height.
    px_per_m = min(width_px, height_px * 16 / 9) * float(rng.uniform(0.024, 0.042))
    speed_m_s = float(rng.uniform(6.0, 15.0))
    train = TrainSpec(
        wagons=random_consist(rng, flatcars=count, look_alike=condition == "lookalike", classes=classes),
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
    spec = SceneSpec(
        seed=seed,
        width_px=width_px,
        height_px=height_px,
        fps=fps,
        duration_s=lead_in_s + lead_out_s,
        trains=(train,),
        light=light,
        horizon_px=height_px * float(rng.uniform(0.42, 0.55)),
        condition=condition,
    )
    spec = _timed(spec, lead_out_s)
    names: tuple[Condition, ...] = (condition,)
    if condition == "mixed":
        pool = tuple(name for name in _CHANGES if name != "empty")
        names = tuple(pool[i] for i in sorted(rng.choice(len(pool), size=3, replace=False)))
    for name in names:
        if name in _CHANGES:
            spec = _CHANGES[name](spec, rng, lead_out_s)
    return spec


def _timed(spec: SceneSpec, lead_out_s: float) -> SceneSpec:
    """The spec with a duration that lets the whole train pass."""
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=lead_out_s))


def _with_train(spec: SceneSpec, **changes: object) -> SceneSpec:
    return replace(spec, trains=(replace(spec.trains[0], **changes), *spec.trains[1:]))  # type: ignore[arg-type]


def _shake(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    rms_px = spec.width_px / 1280 * float(rng.uniform(2.0, 6.0))
    return replace(spec, camera=replace(spec.camera, shake_x_px=rms_px, shake_y_px=rms_px * float(rng.uniform(0.4, 0.9))))


def _pan(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    # A turning camera sees little parallax; a walking one more. The sway keeps the track in view at both ends.
    sway_px = spec.width_px * float(rng.uniform(0.1, 0.3)) * (1 if rng.random() < 0.5 else -1)
    far = float(rng.uniform(0.3, 1.0))
    parallax = Parallax(hills=far, trees=min(1.0, far + 0.3), poles=float(rng.uniform(1.0, 1.6)))
    camera = replace(spec.camera, sway_px=sway_px, sway_period_s=float(rng.uniform(5.0, 12.0)), parallax=parallax)
    return _timed(replace(spec, camera=camera), lead_out_s)


def _follow(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    share = float(rng.uniform(0.4, 0.8))
    # Nothing to follow until the head is well inside; then the camera lets the train slide past.
    start_s = spec.trains[0].entry_s + 1.5
    follow = Knots(((start_s, 0.0), (start_s + 1.0, share)))
    parallax = Parallax(hills=0.9, trees=0.95, poles=1.05)
    return _timed(replace(spec, camera=replace(spec.camera, follow=follow, parallax=parallax)), lead_out_s)


def _stop(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    brake_s, stand_s, go_s = float(rng.uniform(4, 8)), float(rng.uniform(2, 5)), float(rng.uniform(4, 8))
    at_s = train.entry_s + float(rng.uniform(1.0, 3.0))
    points = ((at_s, speed), (at_s + brake_s, 0.0), (at_s + brake_s + stand_s, 0.0), (at_s + brake_s + stand_s + go_s, speed))
    return _timed(_with_train(spec, speed_m_s=Knots(points)), lead_out_s)


def _reverse(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    at_s = train.entry_s + float(rng.uniform(2.0, 4.0))
    back = -float(rng.uniform(1.0, 3.0))
    points = ((at_s, speed), (at_s + 4, back), (at_s + 7, back), (at_s + 12, speed))
    return _timed(_with_train(spec, speed_m_s=Knots(points)), lead_out_s)


def _accelerate(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    train = spec.trains[0]
    slow, fast = float(rng.uniform(3, 5)), float(rng.uniform(14, 20))
    points = ((train.entry_s, slow), (train.entry_s + float(rng.uniform(8, 20)), fast))
    return _timed(_with_train(spec, speed_m_s=Knots(points)), lead_out_s)


def _poles(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    pitch_px = spec.width_px * float(rng.uniform(0.25, 0.5))
    width_px = spec.width_px * float(rng.uniform(0.008, 0.03))
    start_px = -2 * spec.width_px + float(rng.uniform(0, pitch_px))
    count = int(5 * spec.width_px / pitch_px)
    jitter = rng.uniform(-0.1, 0.1, count) * pitch_px
    return replace(spec, poles=tuple(Pole(start_px + i * pitch_px + float(jitter[i]), width_px) for i in range(count)))


def _captions(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    w, h = spec.width_px, spec.height_px
    top = int(h * float(rng.uniform(0.78, 0.86)))
    caption = Overlay("caption", (int(w * 0.08), top, int(w * 0.92), top + h // 10), "VIDEO FROM THE SCENE  12:45")
    mark = Overlay("watermark", (int(w * 0.6), int(h * 0.45), int(w * 0.95), int(h * 0.58)), "@rail_channel")
    return replace(spec, overlays=(*spec.overlays, caption, mark))


def _letterbox(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    w, h = spec.width_px, spec.height_px
    if rng.random() < 0.5:
        bar = int(h * float(rng.uniform(0.06, 0.12)))
        bars = ((0, 0, w, bar), (0, h - bar, w, h))
    else:
        bar = int(w * float(rng.uniform(0.1, 0.25)))
        bars = ((0, 0, bar, h), (w - bar, 0, w, h))
    return replace(spec, overlays=(*spec.overlays, *(Overlay("bar", xyxy) for xyxy in bars)))


def _dark(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    light = replace(spec.light, contrast=float(rng.uniform(0.25, 0.4)), brightness=float(rng.uniform(-70, -50)), noise=6.0)
    return replace(spec, light=light)


def _partial(spec: SceneSpec, rng: np.random.Generator, lead_out_s: float) -> SceneSpec:
    # The video starts, or ends, or both, in the middle of the train.
    train = spec.trains[0]
    speed = float(train.speed_m_s.at(0.0))
    passing_s = train.length_m / speed
    cut = int(rng.integers(3))
    if cut in {0, 2}:
        shift_s = train.entry_s + (train.length_m * float(rng.uniform(0.1, 0.3)) + spec.width_px / train.px_per_m) / speed
        spec = _timed(_with_train(spec, entry_s=train.entry_s - shift_s), lead_out_s)
    if cut in {1, 2}:
        end_s = spec.trains[0].entry_s + passing_s * float(rng.uniform(0.55, 0.85))
        spec = replace(spec, duration_s=max(1.0, min(spec.duration_s, end_s)))
    return spec


def _empty(spec: SceneSpec, rng: np.random.Generator, _: float) -> SceneSpec:
    return replace(spec, trains=(), duration_s=float(rng.uniform(4, 8)))


_CHANGES: dict[Condition, Callable[[SceneSpec, np.random.Generator, float], SceneSpec]] = {
    # Those that set speed and duration come first: ``mixed`` applies them in this order.
    "stop": _stop,
    "accelerate": _accelerate,
    "reverse": _reverse,
    "shake": _shake,
    "pan": _pan,
    "follow": _follow,
    "poles": _poles,
    "captions": _captions,
    "letterbox": _letterbox,
    "dark": _dark,
    "partial": _partial,
    "empty": _empty,
}
