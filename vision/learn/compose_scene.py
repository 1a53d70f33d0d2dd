"""One composed training picture: a train before a background, or vehicles set into a photograph that has some already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vision.errors import InputError
from vision.learn.compose_material import Backgrounds, PxBox, Vehicles, Window
from vision.synth.backdrop import ground_layer
from vision.synth.drawn import DrawnAssets
from vision.synth.dress import Light, harmonised, lab_statistics
from vision.synth.exposure import exposed
from vision.synth.layers import Sheet, aslant, compose
from vision.synth.paint import Image, layered_noise, noise
from vision.synth.render import Renderer
from vision.synth.scene import WAGON_LENGTH_M, Knots, Look2D, SceneSpec, TrainSpec, Wagon
from vision.synth.still import Loading, View, front_sheets, standing, train_sheets

NEGATIVE_EVERY = 4
"""Each so-maniest picture shows a train without any vehicle."""

ON_TRAINS: Mapping[str, float] = {
    "tank": 4.0,
    "bmp": 4.0,
    "bmd": 3.0,
    "btr": 4.5,
    "mtlb": 3.5,
    "brdm": 3.0,
    "tigr": 4.0,
    "light_armoured": 3.5,
    "sp_gun": 3.5,
    "towed_gun": 2.0,
    "mlrs": 3.0,
    "sam": 4.0,
    "truck": 4.5,
    "uaz": 3.0,
    "civil_car": 1.0,
    "covered_vehicle": 5.0,
}
"""How often a class stands on a train: common loads, and rare classes nearly as often."""

ON_GROUND: Mapping[str, float] = {
    "bmd": 3.0,
    "btr": 2.5,
    "mtlb": 1.5,
    "brdm": 3.0,
    "tigr": 4.0,
    "light_armoured": 4.0,
    "sp_gun": 1.5,
    "towed_gun": 2.0,
    "mlrs": 3.0,
    "sam": 4.0,
    "uaz": 3.0,
    "civil_car": 1.5,
    "covered_vehicle": 3.0,
}
"""How often a class is set into a photograph: those of which there is little."""

_HEIGHTS_PX = (360, 368, 384)
_SNOW = np.array((228, 222, 218), np.float32)
_TYPICAL_M = 7.0
_NARROW_PX, _WIDE_PX = 55, 490
"""Of a vehicle of typical length, on a picture 640 px wide."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed picture.

    Attributes:
        picture: (h, w, 3) BGR.
        boxes: Leaf and box (left, top, right, bottom) of the visible part of each vehicle, pixels.
        made_of: The photographs that it was made of, ``source/file``.
        licences: Their terms.
    """

    picture: Image
    boxes: tuple[tuple[str, PxBox], ...]
    made_of: tuple[str, ...]
    licences: tuple[str, ...]


class Composer:
    """Composes pictures by number: the same seed and number give the same picture.

    Args:
        vehicles: Cut-outs.
        backgrounds: Windows of photographs.
        seed: Of all dice.
        width_px: Of the pictures.
    """

    def __init__(self, vehicles: Vehicles, backgrounds: Backgrounds, *, seed: int = 0, width_px: int = 640) -> None:
        self._vehicles, self._backgrounds, self._seed, self._width_px = vehicles, backgrounds, seed, width_px
        names = vehicles.class_names
        self._on_trains = {name: odds for name, odds in ON_TRAINS.items() if name in names}
        self._on_ground = {name: odds for name, odds in ON_GROUND.items() if name in names} or self._on_trains
        if not self._on_trains:
            raise InputError("no cut-out is of a class that trains carry")

    def picture(self, number: int) -> Composed:
        """The picture of a number; every fourth, from 0, is a train that carries nothing the detector looks for."""
        rng = np.random.default_rng([self._seed, number])
        height_px = round(int(rng.choice(_HEIGHTS_PX)) * self._width_px / 640)
        self._vehicles.used.clear()
        if number % NEGATIVE_EVERY == 0:
            return self._train(rng, height_px, {})
        window = self._backgrounds.peopled(rng, width_px=self._width_px, height_px=height_px) if rng.random() < 0.25 else None
        if window is not None:
            return self._ground(rng, window)
        return self._train(rng, height_px, self._on_trains)

    def _train(self, rng: np.random.Generator, height_px: int, odds: Mapping[str, float]) -> Composed:
        view = _view(rng, self._width_px, height_px)
        window = self._backgrounds.empty(rng, width_px=view.width_px, height_px=view.height_px) if rng.random() < 0.66 else None
        back = _drawn(rng, view) if window is None else _with_bed(rng, view, window.picture)
        snow = float(rng.uniform(0.5, 1)) if rng.random() < 0.2 else 0.0
        light = Light.of(back, rng, snow=snow)
        back = _snow_on_ground(rng, view, back, light) if snow else back
        textures = self._backgrounds.textures(rng, count=1)
        sheets = train_sheets(rng, view, light, self._vehicles, Loading.random(rng, odds), textures)
        sheets += front_sheets(rng, view, light)
        smear_px = 1
        if rng.random() < 0.4:
            smear_px = 2 * int(rng.integers(1, max(2, min(8, int(view.px_per_m * _TYPICAL_M / 12))))) + 1
        matrix = None
        if rng.random() < 0.3:
            turn = float(rng.uniform(0.05, 0.35)) * float(rng.choice([-1, 1]))
            matrix = aslant(view.width_px, view.height_px, turn=turn)
        picture, seen = compose(back, sheets, smear_px=smear_px, matrix=matrix)
        boxes = [(vehicle.class_name, tuple(map(float, vehicle.xyxy_px))) for vehicle in seen]
        return self._finished(rng, picture, boxes, window)

    def _ground(self, rng: np.random.Generator, window: Window) -> Composed:
        height, width = window.picture.shape[:2]
        light = Light.of(window.picture, rng)
        names, weights = list(self._on_ground), np.array(list(self._on_ground.values()))
        near_px_m = float(np.exp(rng.uniform(np.log(8), np.log(50)))) * width / 640
        taken = [box for _, box in window.boxes]
        sheets: list[Sheet] = []
        for number in range(int(rng.integers(1, 4))):
            for _ in range(12):
                # What stands lower stands nearer.
                foot = float(rng.uniform(0.62, 0.97)) * height
                px_per_m = near_px_m * (0.6 + 0.8 * (foot / height - 0.5) / 0.5)
                name = str(rng.choice(names, p=weights / weights.sum()))
                picture = self._vehicles.sprite(rng, name, px_per_m=px_per_m, light=light)
                if picture is None:
                    continue
                h, w = picture.shape[:2]
                x = float(rng.uniform(-0.15 * w, width - 0.85 * w))
                box = (x, foot - h, x + w, foot)
                if foot < h or any(_overlap(box, other) for other in taken):
                    continue
                taken.append(box)
                sheets += standing(picture, name, number, x_px=round(x), ground_y_px=round(foot), px_per_m=px_per_m)
                break
        picture, seen = compose(window.picture, sheets)
        boxes = [(vehicle.class_name, tuple(map(float, vehicle.xyxy_px))) for vehicle in seen]
        return self._finished(rng, picture, [*boxes, *window.boxes], window)

    def _finished(
        self, rng: np.random.Generator, picture: Image, boxes: list[tuple[str, tuple[float, ...]]], window: Window | None
    ) -> Composed:
        used = {(c.source, c.source_file): c.licence for c in self._vehicles.used}
        if window is not None:
            used[window.source.source, window.source.file] = window.source.licence
        return Composed(
            exposed(picture, rng),
            tuple((name, (box[0], box[1], box[2], box[3])) for name, box in boxes),
            tuple(sorted(f"{source}/{file}" for source, file in used)),
            tuple(sorted({licence for licence in used.values() if licence})),
        )


def _overlap(a: PxBox, b: PxBox) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _view(rng: np.random.Generator, width_px: int, height_px: int) -> View:
    """Somewhere between a far train and one that hardly fits; the rail may lie below the picture."""
    near = float(np.exp(rng.uniform(np.log(_NARROW_PX), np.log(_WIDE_PX)))) / _TYPICAL_M * width_px / 640
    low, high = 0.62 * height_px, min(1.06 * height_px, 0.98 * height_px + 0.5 * near)
    rail = float(rng.uniform(low, high))
    if rail < 4.2 * near:  # what stands on the deck would be cut off
        rail = float(np.clip(rng.uniform(3.6, 4.8) * near, low, 1.05 * height_px))
    return View(width_px, height_px, near, rail)


def _landscape(rng: np.random.Generator, view: View) -> SceneSpec:
    """The simulator's scene with this track, and no train: it has not come yet."""
    horizon = float(np.clip(view.rail_y_px - rng.uniform(0.3, 2.2) * view.px_per_m, 0.3 * view.height_px, 0.92 * view.height_px))
    flatcar = Wagon("flatcar", WAGON_LENGTH_M["flatcar"])
    train = TrainSpec((flatcar,), "left", view.px_per_m, view.rail_y_px, Knots(((0.0, 10.0),)), 1e4)
    return SceneSpec(
        seed=int(rng.integers(1 << 30)),
        width_px=view.width_px,
        height_px=view.height_px,
        fps=25.0,
        duration_s=0.04,
        trains=(train,),
        horizon_px=horizon,
        light=Look2D(noise=0.0),
    )


def _drawn(rng: np.random.Generator, view: View) -> Image:
    """A landscape with a track, drawn."""
    picture = Renderer(_landscape(rng, view), DrawnAssets()).frame(0)
    return np.clip(picture * rng.uniform(0.7, 1.15) + rng.normal(0, 6, 3), 0, 255).astype(np.uint8)


def _with_bed(rng: np.random.Generator, view: View, picture: Image) -> Image:
    """A photograph with a track before it: mirrored, perhaps out of focus, and mostly with a bed in its own colours."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    if rng.random() < 0.4:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 2))), dtype=np.uint8)
    if rng.random() < 0.25 or view.rail_y_px > height:
        return picture
    mean, deviation = lab_statistics(picture[int(0.6 * height) :])
    crest = view.rail_y_px - float(rng.uniform(0.7, 1.3)) * view.px_per_m
    crest = crest + 0.12 * view.px_per_m * noise(rng, 2, width, grain_px=12)[0]
    # The drawn ground begins above all of the crest.
    spec = replace(_landscape(rng, view), horizon_px=float(max(0, int(crest.min()) - 1)))
    layer = ground_layer(spec, rng, margin_px=0, rail_y_px=view.rail_y_px, px_per_m=view.px_per_m)
    ground = np.full((height, width, 4), 255, np.uint8)
    ground[layer.top_px :, :, :3] = layer.colour[: height - layer.top_px, :width]
    ground = harmonised(ground, mean, float(deviation[0]), share=0.8)
    share = np.clip((np.arange(height)[:, None] - crest[None]) / max(1.5, 0.15 * view.px_per_m), 0, 1)[..., None]
    return np.asarray(picture * (1 - share) + ground[..., :3] * share, dtype=np.uint8)


def _snow_on_ground(rng: np.random.Generator, view: View, picture: Image, light: Light) -> Image:
    rows = np.arange(view.height_px, dtype=np.float32)[:, None]
    patches = np.clip(0.75 + 0.35 * layered_noise(rng, view.height_px, view.width_px, grain_px=30), 0, 0.95)
    near = np.clip((rows - (view.rail_y_px - 1.5 * view.px_per_m)) / (1.2 * view.px_per_m), 0, 1)
    share = (near * patches * light.snow)[..., None]
    white = np.asarray(_SNOW * light.gain**0.3, dtype=np.float32)
    return np.asarray(np.clip(picture * (1 - share) + white * share, 0, 255), dtype=np.uint8)
