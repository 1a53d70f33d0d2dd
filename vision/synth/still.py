"""One still picture of a train: wagons, loads and what stands before them, as sheets over any background.

The wagons are those of the simulator; the vehicles come from whoever has pictures of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from vision.synth.drawn import DECK_M, wagon_picture
from vision.synth.dress import Light, resized, snowed, softened
from vision.synth.layers import Sheet
from vision.synth.paint import Colour, Image, Painter, layered_noise, noise, tinted, weathered
from vision.synth.scene import WAGON_LENGTH_M, Wagon, WagonKind

_WOOD: tuple[Colour, ...] = ((52, 62, 96), (60, 70, 78), (58, 84, 66), (80, 84, 88), (44, 56, 110), (96, 80, 60))
_STAKE: tuple[Colour, ...] = ((70, 92, 120), (60, 66, 72), (84, 110, 140))
_OTHERS: tuple[WagonKind, ...] = ("container", "coach", "boxcar", "tankcar", "locomotive")
_SMALL = frozenset({"uaz", "tigr", "civil_car", "towed_gun", "light_armoured"})
_ABOVE_M, _BELOW_M = 6.1, 0.5
_END_M = 0.7
"""Of a flatcar's ends nothing is loaded on."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera sees the track, square on.

    Attributes:
        width_px, height_px: Of the picture.
        px_per_m: Scale at the train.
        rail_y_px: Row of the rail's top.
    """

    width_px: int
    height_px: int
    px_per_m: float
    rail_y_px: float


class Sprites(Protocol):
    """Who has pictures of vehicles."""

    def sprite(self, rng: np.random.Generator, class_name: str, *, px_per_m: float, light: Light) -> Image | None:
        """A vehicle in this light and scale, standing on the last row, BGRA; None where there is none for that scale."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a train is loaded.

    Attributes:
        odds: Leaf -> how often it comes, relative to the others; empty for a train without vehicles.
        occupied: Share of the flatcars that carry vehicles.
        change: How often one class follows another: military trains carry a unit, one class in a row.
        boards_m: Height of the wagons' sides before the load; 0 for none.
        stakes_m: Height of the stakes; 0 for none.
    """

    odds: Mapping[str, float]
    occupied: float
    change: float
    boards_m: float
    stakes_m: float

    @staticmethod
    def random(rng: np.random.Generator, odds: Mapping[str, float]) -> Loading:
        """A loading as the dice have it; ``odds`` empty gives a train that carries no vehicle."""
        kind = rng.random()
        boards = rng.uniform(0.15, 0.6) if kind < 0.28 else rng.uniform(0.7, 1.5) if kind < 0.36 else 0.0
        stakes = rng.uniform(0.8, 2.3) if rng.random() < 0.22 else 0.0
        return Loading(odds, float(rng.uniform(0.55, 1.0)) if odds else 0.0, float(rng.choice([0.05, 0.35])), boards, stakes)


def train_sheets(
    rng: np.random.Generator, view: View, light: Light, sprites: Sprites, loading: Loading, textures: Sequence[Image]
) -> list[Sheet]:
    """A train from one edge of the picture to the other.

    Args:
        rng: The dice.
        view: Where the track is.
        light: Of the scene.
        sprites: Vehicles.
        loading: What is on the train.
        textures: Pictures that unlabelled cargo is made of; none for plain colours.

    Returns:
        Sheets from the back to the front; the vehicles are numbered from 0.
    """
    painter = _Train(rng, view, light, sprites, loading, textures)
    x_px, first = -float(rng.uniform(0, WAGON_LENGTH_M["flatcar"])) * view.px_per_m, True
    while x_px < view.width_px:
        x_px += painter.add_wagon(x_px, flatcar=first and bool(loading.odds))
        first = False
    return painter.sheets


class _Train:
    """Paints wagon after wagon."""

    def __init__(
        self,
        rng: np.random.Generator,
        view: View,
        light: Light,
        sprites: Sprites,
        loading: Loading,
        textures: Sequence[Image],
    ) -> None:
        self.sheets: list[Sheet] = []
        self._rng, self._view, self._light, self._sprites, self._loading = rng, view, light, sprites, loading
        self._textures = textures
        self._count = 0
        self._wood = _shaded(_WOOD[int(rng.integers(len(_WOOD)))], float(rng.uniform(0.7, 1.3)))
        self._names = sorted(name for name, odds in loading.odds.items() if odds > 0)
        weights = np.array([loading.odds[name] for name in self._names])
        self._odds = weights / weights.sum() if len(weights) else weights
        self._current = self._draw_class() if self._names else ""

    def _draw_class(self) -> str:
        return str(self._rng.choice(self._names, p=self._odds))

    def add_wagon(self, x_px: float, *, flatcar: bool) -> float:
        """One wagon with its load, its left end at ``x_px``; returns its length in pixels."""
        rng, scale = self._rng, self._view.px_per_m
        common = 0.80 if self._names else 0.45
        kind: WagonKind = "flatcar" if flatcar or rng.random() < common else _OTHERS[int(rng.integers(len(_OTHERS)))]
        length_m = WAGON_LENGTH_M[kind] * (float(rng.choice([1.0, 0.92])) if kind == "flatcar" else 1.0)
        self._add_body(kind, length_m, x_px)
        if kind == "flatcar":
            self._load(x_px, length_m)
            self._fence(x_px, length_m)
        return length_m * scale

    def _add_body(self, kind: WagonKind, length_m: float, x_px: float) -> None:
        rng, scale = self._rng, self._view.px_per_m
        ground = round(_ABOVE_M * scale)
        picture = wagon_picture(
            Wagon(kind, length_m, appearance=int(rng.integers(1 << 20))),
            px_per_m=scale,
            width_px=round(length_m * scale) + 2,
            height_px=round((_ABOVE_M + _BELOW_M) * scale),
            origin_x_px=0,
            ground_y_px=ground,
        )
        picture = np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture
        picture = self._light.lit(picture)
        if self._light.snow > 0:
            picture = snowed(picture, rng, depth_px=max(1.0, 0.1 * scale), amount=self._light.snow)
        self.sheets.append(Sheet(picture, round(x_px), round(self._view.rail_y_px - ground)))

    def _load(self, x_px: float, length_m: float) -> None:
        rng, scale = self._rng, self._view.px_per_m
        if rng.random() < self._loading.occupied:
            self._load_vehicles(x_px, length_m)
        elif rng.random() < 0.3:
            for _ in range(int(rng.integers(1, 4))):
                picture = self._light.lit(cargo(rng, self._textures, px_per_m=scale))
                room_px = (length_m - 2 * _END_M) * scale - picture.shape[1]
                if room_px > 0:
                    left = round(x_px + _END_M * scale + float(rng.uniform(0, room_px)))
                    self.sheets.append(Sheet(picture, left, self._deck_px - picture.shape[0]))
        elif not self._names and rng.random() < 0.35:
            self._add_body("container", length_m, x_px)

    @property
    def _deck_px(self) -> int:
        return round(self._view.rail_y_px - DECK_M * self._view.px_per_m)

    def _load_vehicles(self, x_px: float, length_m: float) -> None:
        rng, scale = self._rng, self._view.px_per_m
        if rng.random() < self._loading.change:
            self._current = self._draw_class()
        room_px, used_px = (length_m - 2 * _END_M) * scale, 0.0
        row: list[tuple[str, Image, float]] = []
        for _ in range(3 if self._current in _SMALL else 2 if rng.random() < 0.75 else 1):
            name = self._current if rng.random() < 0.85 else self._draw_class()
            picture = self._sprites.sprite(rng, name, px_per_m=scale, light=self._light)
            if picture is None:
                continue
            gap_px = float(rng.uniform(0.15, 0.8)) * scale
            squeeze = (room_px - used_px - gap_px) / picture.shape[1]
            # A vehicle that hangs over a little is made a little smaller, so that lengths stay right to a quarter.
            if squeeze < 1 and (row or squeeze < 0.75):
                break
            if squeeze < 1:
                picture = resized(picture, int(picture.shape[1] * squeeze), int(picture.shape[0] * squeeze))
            row.append((name, picture, gap_px))
            used_px += picture.shape[1] + gap_px
        left_px = x_px + _END_M * scale + max(0.0, room_px - used_px) * float(rng.uniform(0.2, 0.8))
        for name, picture, gap_px in row:
            self.sheets += standing(
                picture, name, self._count, x_px=round(left_px), ground_y_px=self._deck_px, px_per_m=scale, sink_m=0.03
            )
            self._count += 1
            left_px += picture.shape[1] + gap_px

    def _fence(self, x_px: float, length_m: float) -> None:
        rng, scale = self._rng, self._view.px_per_m
        left = round(x_px + 0.6 * scale)
        if self._loading.boards_m > 0:
            boards = self._light.lit(
                side_boards(rng, px_per_m=scale, length_m=length_m - 1.2, tall_m=self._loading.boards_m, colour=self._wood)
            )
            self.sheets.append(Sheet(boards, left, self._deck_px + round(_LIP_M * scale) - boards.shape[0]))
        if self._loading.stakes_m > 0:
            row = self._light.lit(stakes(rng, px_per_m=scale, length_m=length_m - 1.2, tall_m=self._loading.stakes_m))
            self.sheets.append(Sheet(row, left, self._deck_px + round(0.1 * scale) - row.shape[0]))


def standing(
    picture: Image, class_name: str, number: int, *, x_px: int, ground_y_px: int, px_per_m: float, sink_m: float = 0.0
) -> list[Sheet]:
    """A vehicle with the shade under it, on a row of the picture."""
    height, width = picture.shape[:2]
    shade = contact_shade(width, px_per_m)
    under = Sheet(shade, x_px, ground_y_px - len(shade) // 2, owner=number)
    return [under, Sheet(picture, x_px, ground_y_px - height + round(sink_m * px_per_m), owner=number, class_name=class_name)]


def contact_shade(width_px: int, px_per_m: float) -> Image:
    """The shade where a vehicle touches the ground, BGRA; without it, it floats."""
    shade = np.zeros((max(3, round(0.4 * px_per_m)), width_px, 4), np.uint8)
    third, rim = len(shade) // 3, width_px // 30
    shade[third : -third or None, rim : -rim or None, 3] = 150
    shade[..., 3] = cv2.GaussianBlur(shade[..., 3], (0, 0), max(0.6, 0.07 * px_per_m))
    return shade


_LIP_M = 0.35
"""How far sides hang below the deck."""


def side_boards(rng: np.random.Generator, *, px_per_m: float, length_m: float, tall_m: float, colour: Colour) -> Image:
    """Drop sides or a gondola's wall before the load, from below the deck to ``tall_m`` above it; BGRA."""
    p = _painter(length_m, tall_m + _LIP_M, px_per_m)
    p.box(0, 0, length_m, tall_m + _LIP_M, colour)
    p.box(0, tall_m + _LIP_M - 0.08, length_m, tall_m + _LIP_M, _shaded(colour, 1.25))
    for x in np.arange(0.2, length_m, float(rng.uniform(1.0, 2.0))):
        p.box(float(x), 0, float(x) + 0.1, tall_m + _LIP_M, _shaded(colour, 0.7))
    return weathered(p.result(), rng, grain_px=max(2.0, px_per_m), strength=0.1, dirt=(60, 76, 98))


def stakes(rng: np.random.Generator, *, px_per_m: float, length_m: float, tall_m: float) -> Image:
    """A row of stakes before the load; BGRA, with nothing between them."""
    p = _painter(length_m, tall_m, px_per_m)
    colour = _STAKE[int(rng.integers(len(_STAKE)))]
    thick = float(rng.uniform(0.07, 0.16))
    for x in np.arange(0.3, length_m - 0.2, float(rng.uniform(1.4, 3.2))):
        p.box(float(x), 0, float(x) + thick, tall_m * float(rng.uniform(0.9, 1.0)), colour)
    return p.result()


def cargo(rng: np.random.Generator, textures: Sequence[Image], *, px_per_m: float) -> Image:
    """A load that is no vehicle: a box, a heap or a row of crates, with the surface of a photograph or of paint; BGRA.

    It has the soft edges of a cut-out: what is set in is not for that reason a vehicle.
    """
    width, height = max(6, round(rng.uniform(1.5, 7) * px_per_m)), max(5, round(rng.uniform(0.6, 2.4) * px_per_m))
    alpha = np.zeros((height, width), np.uint8)
    kind = rng.random()
    if kind < 0.45:
        alpha[1:, 1:-1] = 255
    elif kind < 0.75:
        rim = 0.25 + 0.75 * np.linspace(-1, 1, width) ** 2 + 0.08 * noise(rng, 2, width, grain_px=max(2.0, width / 8))[0]
        alpha[np.arange(height)[:, None] >= height * rim[None]] = 255
    else:
        ends = np.linspace(0, width, int(rng.integers(3, 6))).astype(int)
        for left, right in itertools.pairwise(ends):
            alpha[round(height * rng.uniform(0, 0.5)) :, left + 1 : right - 1] = 255
    if textures and rng.random() < 0.5:
        texture = textures[int(rng.integers(len(textures)))]
        rows, columns = max(1, texture.shape[0] // 3), max(1, texture.shape[1] // 3)
        y, x = int(rng.integers(texture.shape[0] - rows + 1)), int(rng.integers(texture.shape[1] - columns + 1))
        colour = cv2.resize(texture[y : y + rows, x : x + columns], (width, height), interpolation=cv2.INTER_AREA)
        colour = np.clip(colour * rng.uniform(0.5, 1.0), 0, 255).astype(np.uint8)
    else:
        blue, green, red = (int(v) for v in rng.integers(40, 150, 3))
        colour = tinted((blue, green, red), layered_noise(rng, height, width, grain_px=max(2.0, width / 5)), 0.18)
    return softened(np.dstack([colour, alpha]), 0.7)


def pole(rng: np.random.Generator, *, width_px: int, height_px: int, light: Light) -> Image:
    """A mast before the train, as high as the picture, a little out of focus; BGRA."""
    picture = np.zeros((height_px, width_px + 4, 4), np.uint8)
    picture[:, 2:-2, 3] = 255
    colour = np.array([1, 1.02, 1.04]) * rng.integers(30, 130) + rng.normal(0, 5, 3)
    round_ = 1.1 - 0.5 * np.linspace(-1, 1, width_px + 4) ** 2
    stains = 1 + 0.08 * noise(rng, height_px, width_px + 4, grain_px=8)
    shaded = colour * (round_[None] * stains)[..., None] * min(1.0, light.gain)
    picture[..., :3] = np.clip(shaded, 0, 255)
    return softened(picture, float(rng.uniform(0.5, 1.6)))


def bushes(rng: np.random.Generator, *, width_px: int, height_px: int, light: Light) -> Image:
    """Grass and bushes along the lower edge, before the train; BGRA."""
    crest = 0.5 + 0.25 * noise(rng, 2, width_px, grain_px=60)[0] + 0.15 * noise(rng, 2, width_px, grain_px=5)[0]
    alpha = (np.arange(height_px)[:, None] >= height_px * crest[None]).astype(np.uint8) * 255
    green = (int(rng.integers(20, 60)), int(rng.integers(50, 100)), int(rng.integers(40, 90)))
    leaves = tinted(green, layered_noise(rng, height_px, width_px, grain_px=10), 0.35)
    return softened(light.lit(np.dstack([leaves, alpha])), 1.0)


def front_sheets(rng: np.random.Generator, view: View, light: Light) -> list[Sheet]:
    """Poles and bushes that may stand before the train; none, as often as not."""
    sheets = []
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            wide = int(np.exp(rng.uniform(np.log(3), np.log(30))))
            picture = pole(rng, width_px=wide, height_px=view.height_px, light=light)
            sheets.append(Sheet(picture, int(rng.integers(-5, view.width_px)), 0, moves=False))
    if rng.random() < 0.15:
        tall = max(4, round(float(rng.uniform(0.06, 0.2)) * view.height_px))
        picture = bushes(rng, width_px=view.width_px, height_px=tall, light=light)
        sheets.append(Sheet(picture, 0, view.height_px - tall, moves=False))
    return sheets


def _painter(length_m: float, height_m: float, px_per_m: float) -> Painter:
    width, height = max(2, round(length_m * px_per_m)), max(2, round(height_m * px_per_m))
    return Painter(width_px=width, height_px=height, px_per_m=px_per_m, origin_x_px=0, ground_y_px=height)


def _shaded(colour: Colour, factor: float) -> Colour:
    b, g, r = (min(255, round(channel * factor)) for channel in colour)
    return b, g, r
