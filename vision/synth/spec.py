"""What a simulated rail scene is made of: plain frozen data, drawn from a seed.

World. Everything on the ground lives on one horizontal line, measured in picture pixels at the track; the fixed camera sees
``[0, width_px]``. A layer of parallax ``f`` moves by ``-f * camera_px`` when the camera has moved right by ``camera_px``. Shake
turns the camera, so it moves every layer alike.

Speed is measured along the train's direction of travel: positive runs head first, negative is a reversal.

Two clocks. The scene's clock says where everything stands; the clip's clock (``pts_s``) says when a frame is shown. They differ
only where somebody edited the clip: cut out a piece, changed the speed, dropped or doubled frames.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WagonKind = Literal["locomotive", "flatcar", "coach", "boxcar", "container", "tankcar"]
Heading = Literal["left", "right"]
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
        start_px: Where the camera stands at t = 0.
    """

    pan_px_s: Knots = field(default_factory=Knots)
    sway_px: float = 0.0
    sway_period_s: float = 6.0
    follow: Knots = field(default_factory=Knots)
    shake_x_px: float = 0.0
    shake_y_px: float = 0.0
    shake_hz: float = 3.0
    parallax: Parallax = field(default_factory=Parallax)
    start_px: float = 0.0


@dataclass(frozen=True, slots=True)
class Lens:
    """How the flat, square-on world gets onto the picture: first the oblique view, then the zoom.

    Attributes:
        far_share: Scale at the far edge of the picture over that at the near edge; 1 for a square-on view.
        foreshortening: Columns over rows of the scale at the near edge; 1 for a square-on view.
        near: Which edge of the picture is near.
        zoom: Magnification over the scene's time, at least 1.
        zoom_centre: Column and row that the zoom keeps, shares of the picture.
    """

    far_share: float = 1.0
    foreshortening: float = 1.0
    near: Heading = "left"
    zoom: Knots = field(default_factory=lambda: Knots(((0.0, 1.0),)))
    zoom_centre: tuple[float, float] = (0.5, 0.6)

    @property
    def oblique(self) -> bool:
        return self.far_share < 1.0 or self.foreshortening < 1.0


@dataclass(frozen=True, slots=True)
class Foreground:
    """Something between the camera and the trains that covers parts of them.

    Attributes:
        kind: ``fence``: pickets and rails; ``trees``: trunks and bushes; ``people``: silhouettes on a platform; ``window``: the
            frame of a train's window, which goes with the camera.
        parallax: How far it moves against the ground at the track when the camera moves; 0 goes with the camera.
        drift_px_s: Own motion on the ground, to the right: people who walk.
        density: How much there is, 1 for the usual.
    """

    kind: Literal["fence", "trees", "people", "window"]
    parallax: float = 1.5
    drift_px_s: float = 0.0
    density: float = 1.0


@dataclass(frozen=True, slots=True)
class Weather:
    """What falls.

    Attributes:
        kind: Flakes or streaks.
        density: Drops or flakes at once, for a picture of 320x180.
        wind: Sideways over downward speed.
        cover: Share of white on the ground and the trees: lying snow.
    """

    kind: Literal["snow", "rain"]
    density: float = 120.0
    wind: float = 0.2
    cover: float = 0.0


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
        lamps: Brightness of the lamps over the track, 0 for none: round pools of light that stand on the ground.
    """

    contrast: float = 1.0
    brightness: float = 0.0
    blur_px: float = 0.0
    noise: float = 2.0
    exposure_s: float = 0.0
    lamps: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A whole clip: the same spec gives the same pixels.

    Attributes:
        seed: Of everything that the renderer draws at random (textures, shake, noise).
        width_px, height_px: Of the picture.
        fps: Frame rate; the frames' times are ``i / fps`` unless ``times_s`` says otherwise.
        duration_s: Of the scene.
        trains: The camera follows the first; one whose rail lies higher on the picture is further off. None is legal.
        camera, poles, overlays, light, lens, foreground, weather: See there.
        horizon_px: Row where the ground begins behind the track.
        times_s: The scene's time of each frame; any order where somebody edited, increasing else.
        pts_s: When each frame is shown, increasing; the scene's own times where None.
        mirrored: The finished picture is flipped sideways, before the channel painted over it.
        crf: Compression that the clip must go through, H.264's quality; None for the writer's own.
        then: Shots that follow after hard cuts, on the clip's clock one after the other.
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
    lens: Lens | None = None
    foreground: tuple[Foreground, ...] = ()
    weather: Weather | None = None
    pts_s: tuple[float, ...] | None = None
    mirrored: bool = False
    crf: int | None = None
    then: tuple[SceneSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.pts_s is not None and (self.times_s is None or len(self.pts_s) != len(self.times_s)):
            raise ValueError("pts_s goes with a times_s of the same length")
        if any((shot.width_px, shot.height_px) != (self.width_px, self.height_px) for shot in self.then):
            raise ValueError("all shots of a clip have one size")

    @property
    def canvas_wh_px(self) -> tuple[int, int]:
        """Size of the flat picture of the unmoved camera: the picture itself, but for an oblique view, which shows more track."""
        if self.lens is None or not self.lens.oblique:
            return self.width_px, self.height_px
        share = self.lens.far_share
        below_px = (self.height_px - self.horizon_px) / share
        return math.ceil(self.width_px / (share * self.lens.foreshortening)), math.ceil(self.horizon_px + below_px)

    def frame_times_s(self) -> FloatArray:
        """The scene's time of every frame, shape (frames,), seconds; later shots not included."""
        if self.times_s is not None:
            return np.array(self.times_s, dtype=np.float64)
        return np.arange(max(1, round(self.duration_s * self.fps)), dtype=np.float64) / self.fps

    def shown_s(self) -> FloatArray:
        """When every frame is shown, shape (frames,), seconds; later shots not included."""
        return self.frame_times_s() if self.pts_s is None else np.array(self.pts_s, dtype=np.float64)

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
        """Where the camera stands at each time, without shake; ``start_px`` at t = 0, same shape as ``t_s``."""
        camera = self.camera
        path = camera.start_px + camera.pan_px_s.integral(t_s)
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
        """Column of the train's head on the flat picture at each time, shake included, same shape as ``t_s``."""
        world_px = train.head_world_px(t_s, width_px=self.canvas_wh_px[0])
        return np.asarray(world_px - self.camera_x_px(t_s) + self.shake_px(t_s)[0], dtype=np.float64)


def mirrored(spec: SceneSpec) -> SceneSpec:
    """The scene seen in a mirror: trains run the other way and the camera pans the other way; textures are drawn anew."""
    camera = spec.camera
    width = spec.width_px
    lens = spec.lens
    if lens is not None:
        centre = (1 - lens.zoom_centre[0], lens.zoom_centre[1])
        lens = replace(lens, near="left" if lens.near == "right" else "right", zoom_centre=centre)
    return replace(
        spec,
        lens=lens,
        foreground=tuple(replace(item, drift_px_s=-item.drift_px_s) for item in spec.foreground),
        weather=None if spec.weather is None else replace(spec.weather, wind=-spec.weather.wind),
        then=tuple(mirrored(shot) for shot in spec.then),
        trains=tuple(replace(train, heading="left" if train.heading == "right" else "right") for train in spec.trains),
        camera=replace(
            camera,
            pan_px_s=camera.pan_px_s.scaled(-1.0),
            sway_px=-camera.sway_px,
            shake_x_px=-camera.shake_x_px,
            start_px=-camera.start_px,
        ),
        poles=tuple(replace(pole, x_px=spec.canvas_wh_px[0] - pole.x_px) for pole in spec.poles),
        overlays=tuple(
            replace(o, xyxy_px=(width - o.xyxy_px[2], o.xyxy_px[1], width - o.xyxy_px[0], o.xyxy_px[3])) for o in spec.overlays
        ),
    )
