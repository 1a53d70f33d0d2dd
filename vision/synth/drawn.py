"""Vehicles and wagons drawn from polygons, so that tests and benchmarks need no photographs.

Every vehicle is drawn in metres with its front at x = 0 and its rear at its nominal length, standing on y = 0.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vision.synth.paint import Colour, Image, Painter, noise, over, weathered
from vision.synth.scene import VEHICLE_LENGTH_M, Wagon

_PALETTE: tuple[Colour, ...] = (
    (52, 82, 72),
    (60, 92, 88),
    (44, 66, 58),
    (92, 128, 138),
    (70, 100, 104),
    (58, 74, 70),
)
_RUBBER: Colour = (34, 34, 36)
_STEEL: Colour = (78, 82, 86)
_GLASS: Colour = (96, 88, 72)
_CANVAS: tuple[Colour, ...] = ((66, 92, 92), (84, 110, 112), (58, 78, 70), (98, 104, 108))

DECK_M = 1.3
"""Height of a flatcar's deck over the rail."""

_Draw = Callable[[Painter, Colour, np.random.Generator], None]


def _shade(colour: Colour, factor: float) -> Colour:
    b, g, r = (min(255, max(0, round(channel * factor))) for channel in colour)
    return b, g, r


def _track(p: Painter, x0: float, x1: float, height: float, wheels: int, colour: Colour) -> None:
    """A track with its road wheels between two columns, sprocket and idler raised."""
    p.polygon(
        [(x0, height * 0.6), (x0 + 0.35, height), (x1 - 0.35, height), (x1, height * 0.6), (x1 - 0.7, 0), (x0 + 0.7, 0)], _RUBBER
    )
    radius = min(0.36, (x1 - x0 - 1.4) / wheels / 2 * 0.92)
    for x in np.linspace(x0 + 0.75, x1 - 0.75, wheels):
        p.wheel(float(x), radius, _shade(_RUBBER, 1.5), _shade(colour, 0.9), y_m=radius + 0.05)
    for x in (x0 + 0.38, x1 - 0.38):
        p.wheel(x, 0.27, _STEEL, _shade(colour, 0.7), y_m=height * 0.62)


def _boxes(p: Painter, rng: np.random.Generator, x0: float, x1: float, y: float, colour: Colour) -> None:
    """Stowage: what makes two vehicles of one type differ."""
    for _ in range(int(rng.integers(1, 4))):
        x = float(rng.uniform(x0, max(x0 + 0.1, x1 - 0.9)))
        tone = _shade(colour, float(rng.uniform(0.6, 1.35)))
        p.box(x, y, x + float(rng.uniform(0.4, 0.9)), y + float(rng.uniform(0.12, 0.3)), tone)


def _tank(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 2.3, 9.2, 1.05, 6, c)
    p.polygon([(2.2, 0.95), (3.4, 1.45), (9.0, 1.45), (9.15, 0.85), (2.4, 0.75)], c)
    p.box(2.5, 0.7, 9.1, 1.02, _shade(c, 0.8))
    p.bar(0.05, 1.85, 4.9, 1.8, 0.2, _shade(c, 0.75))
    p.bar(2.0, 1.87, 2.7, 1.86, 0.3, _shade(c, 0.7))
    p.polygon([(4.4, 1.45), (4.5, 1.9), (5.2, 2.25), (7.2, 2.25), (7.9, 2.0), (8.1, 1.45)], _shade(c, 1.1))
    p.box(5.9, 2.25, 6.6, 2.5, _shade(c, 0.9))
    _boxes(p, rng, 7.0, 9.0, 1.45, c)
    _boxes(p, rng, 4.7, 7.0, 1.7, _shade(c, 1.05))


def _bmp(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 0.25, 6.5, 0.85, 6, c)
    p.polygon([(0.0, 1.15), (1.9, 1.62), (6.6, 1.62), (6.7, 0.75), (0.35, 0.72)], c)
    p.polygon([(2.9, 1.62), (3.15, 2.05), (4.4, 2.05), (4.75, 1.62)], _shade(c, 1.12))
    p.bar(1.1, 1.9, 3.3, 1.85, 0.11, _shade(c, 0.6))
    _boxes(p, rng, 4.8, 6.5, 1.62, c)


def _bmd(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 0.2, 5.7, 0.8, 5, c)
    p.polygon([(0.0, 1.0), (1.3, 1.45), (5.8, 1.45), (5.9, 0.7), (0.25, 0.68)], c)
    p.polygon([(2.0, 1.45), (2.2, 1.95), (3.7, 1.95), (4.0, 1.45)], _shade(c, 1.12))
    p.bar(0.3, 1.78, 2.4, 1.74, 0.12, _shade(c, 0.6))
    _boxes(p, rng, 4.0, 5.7, 1.45, c)


def _mtlb(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 0.2, 6.3, 0.82, 6, c)
    p.polygon([(0.0, 0.95), (0.5, 1.35), (1.1, 1.72), (6.35, 1.72), (6.45, 0.75), (0.2, 0.7)], c)
    p.polygon([(1.2, 1.72), (1.35, 2.0), (2.0, 2.0), (2.15, 1.72)], _shade(c, 1.1))
    p.box(0.75, 1.4, 1.35, 1.58, _GLASS)
    _boxes(p, rng, 2.6, 6.2, 1.72, c)


def _sp_gun(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 1.2, 8.2, 1.0, 6, c)
    p.polygon([(1.1, 0.95), (2.1, 1.55), (8.2, 1.55), (8.4, 0.8), (1.3, 0.75)], c)
    p.polygon([(3.9, 1.55), (4.1, 2.5), (5.0, 2.95), (7.6, 2.95), (8.0, 1.55)], _shade(c, 1.1))
    p.bar(0.05, 2.3, 4.4, 2.2, 0.24, _shade(c, 0.7))
    p.box(0.0, 2.13, 0.45, 2.47, _shade(c, 0.6))
    p.box(5.6, 2.95, 6.3, 3.15, _shade(c, 0.9))
    _boxes(p, rng, 6.0, 8.0, 1.9, c)


def _btr(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    p.polygon([(0.0, 1.2), (0.9, 1.6), (1.5, 2.05), (7.1, 2.05), (7.65, 1.45), (7.4, 0.75), (0.7, 0.7)], c)
    p.polygon([(0.1, 1.2), (7.6, 1.4), (7.4, 0.75), (0.7, 0.7)], _shade(c, 0.85))
    for x in (1.25, 2.6, 4.75, 6.1):
        p.wheel(x, 0.56, _RUBBER, _shade(c, 0.8))
    p.polygon([(2.3, 2.05), (2.5, 2.4), (3.4, 2.4), (3.7, 2.05)], _shade(c, 1.12))
    p.bar(0.8, 2.3, 2.6, 2.25, 0.1, _shade(c, 0.6))
    p.box(1.2, 1.7, 1.6, 1.85, _GLASS)
    _boxes(p, rng, 4.2, 7.0, 2.05, c)


def _brdm(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    p.polygon([(0.0, 1.15), (1.1, 1.65), (1.7, 1.95), (4.2, 1.95), (5.7, 1.4), (5.6, 0.7), (0.5, 0.7)], c)
    for x in (1.2, 4.3):
        p.wheel(x, 0.56, _RUBBER, _shade(c, 0.8))
    p.polygon([(2.2, 1.95), (2.4, 2.3), (3.1, 2.3), (3.3, 1.95)], _shade(c, 1.12))
    p.bar(1.0, 2.2, 2.5, 2.15, 0.1, _shade(c, 0.6))
    _boxes(p, rng, 3.3, 4.4, 1.7, c)


def _four_wheels(length: float, height: float, hood: float) -> _Draw:
    def draw(p: Painter, c: Colour, rng: np.random.Generator) -> None:
        p.polygon([(0.0, 0.55), (0.05, 1.05), (hood, 1.2), (hood + 0.35, height), (length - 0.15, height), (length, 0.55)], c)
        p.polygon(
            [(hood + 0.12, 1.25), (hood + 0.42, height - 0.15), (length * 0.55, height - 0.15), (length * 0.55, 1.25)], _GLASS
        )
        p.polygon(
            [(length * 0.58, 1.25), (length * 0.58, height - 0.15), (length - 0.4, height - 0.15), (length - 0.3, 1.25)], _GLASS
        )
        radius = 0.2 + 0.09 * height
        for x in (length * 0.2, length * 0.8):
            p.wheel(x, radius, _RUBBER, _STEEL)
        if rng.random() < 0.5:
            _boxes(p, rng, hood + 0.5, length - 0.3, height, c)

    return draw


def _truck_chassis(p: Painter, c: Colour, length: float = 7.4) -> None:
    p.box(0.3, 0.75, length - 0.1, 1.05, _shade(_STEEL, 0.6))
    p.polygon([(0.0, 0.7), (0.05, 1.55), (0.35, 1.75), (0.45, 2.6), (1.9, 2.65), (1.95, 0.7)], c)
    p.polygon([(0.6, 1.75), (0.65, 2.4), (1.4, 2.4), (1.4, 1.75)], _GLASS)
    for x in (1.2, length - 2.6, length - 1.25):
        p.wheel(x, 0.58, _RUBBER, _shade(c, 0.7))


def _truck(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _truck_chassis(p, c)
    if rng.random() < 0.65:
        canvas = _CANVAS[int(rng.integers(len(_CANVAS)))]
        p.polygon([(2.15, 1.1), (2.15, 2.75), (2.5, 2.95), (7.1, 2.95), (7.4, 2.75), (7.4, 1.1)], canvas)
        for x in np.linspace(2.9, 6.8, 5):
            p.bar(float(x), 1.5, float(x), 2.9, 0.05, _shade(canvas, 0.75))
        p.box(2.15, 1.1, 7.4, 1.6, _shade(c, 0.9))
    else:
        p.box(2.15, 1.1, 7.4, 1.85, _shade(c, 0.95))
        for x in np.linspace(2.9, 6.8, 6):
            p.bar(float(x), 1.1, float(x), 1.85, 0.07, _shade(c, 0.7))
        _boxes(p, rng, 2.4, 7.0, 1.85, c)


def _mlrs(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _truck_chassis(p, c, 7.35)
    p.box(4.6, 1.05, 6.6, 1.7, _shade(c, 0.8))
    p.polygon([(2.4, 2.0), (2.4, 2.8), (7.3, 2.65), (7.3, 1.85)], _shade(c, 1.1))
    for y in (1.15, 1.35, 1.55, 1.75):
        p.bar(2.4, y + 0.95, 7.3, y + 0.8, 0.05, _shade(c, 0.6))
    _boxes(p, rng, 2.0, 4.0, 1.05, c)


def _sam(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    _track(p, 0.2, 7.3, 0.95, 6, c)
    p.polygon([(0.0, 1.0), (0.8, 1.6), (7.4, 1.6), (7.5, 0.8), (0.3, 0.75)], c)
    p.box(2.9, 1.6, 5.0, 2.3, _shade(c, 1.1))
    for y in (2.45, 2.8):
        p.bar(1.3, y, 5.6, y + 0.1, 0.24, (150, 156, 160))
    p.disc(5.3, 2.9, 0.55, _shade(c, 0.9))
    _boxes(p, rng, 5.6, 7.2, 1.6, c)


def _towed_gun(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    p.bar(0.05, 1.35, 3.6, 1.25, 0.2, _shade(c, 0.8))
    p.box(0.0, 1.2, 0.35, 1.5, _shade(c, 0.7))
    p.polygon([(2.6, 0.6), (2.5, 1.95), (2.75, 1.95), (2.95, 0.6)], c)
    p.bar(2.5, 1.3, 4.4, 1.2, 0.42, _shade(c, 0.9))
    p.bar(3.0, 0.8, 6.35, 0.3, 0.2, _shade(c, 0.75))
    p.wheel(3.0, 0.55, _RUBBER, _shade(c, 0.8))
    p.box(6.0, 0.0, 6.4, 0.4, _STEEL)
    if rng.random() < 0.5:
        p.box(3.6, 0.95, 4.6, 1.25, _shade(c, 1.2))


def _covered(p: Painter, c: Colour, rng: np.random.Generator) -> None:
    canvas = _shade(_CANVAS[int(rng.integers(len(_CANVAS)))], float(rng.uniform(0.85, 1.2)))
    x = np.linspace(0.15, 6.45, 12)
    y = 1.7 + 0.35 * np.sin(np.linspace(0.3, 2.9, 12)) + rng.uniform(-0.1, 0.1, 12)
    y[4:8] += float(rng.uniform(0.2, 0.6))
    top = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    p.polygon([(0.0, 0.0), *top, (6.6, 0.0)], canvas)
    for a, b in top[1:-1:2]:
        p.bar(a, b, a + float(rng.uniform(-0.3, 0.3)), 0.05, 0.07, _shade(canvas, 0.7))
    p.bar(0.05, 0.6, 6.55, 0.65, 0.05, (150, 160, 170))


_VEHICLES: dict[str, _Draw] = {
    "tank": _tank,
    "bmp": _bmp,
    "bmd": _bmd,
    "btr": _btr,
    "mtlb": _mtlb,
    "brdm": _brdm,
    "tigr": _four_wheels(5.4, 2.15, 1.35),
    "light_armoured": _four_wheels(5.2, 2.4, 0.9),
    "sp_gun": _sp_gun,
    "towed_gun": _towed_gun,
    "mlrs": _mlrs,
    "sam": _sam,
    "truck": _truck,
    "uaz": _four_wheels(4.0, 1.95, 0.95),
    "civil_car": _four_wheels(4.3, 1.45, 1.2),
    "covered_vehicle": _covered,
}


class DrawnAssets:
    """Vehicles drawn from polygons, every leaf of the taxonomy; the same call gives the same picture.

    Args:
        flat: Class -> one colour: the vehicle becomes a rectangle of that colour, for tests that look for it in the pixels.
    """

    def __init__(self, *, flat: dict[str, Colour] | None = None) -> None:
        self._flat = flat or {}
        self._cache: dict[tuple[str, int, int], Image] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(_VEHICLES)

    def sprite(self, class_name: str, *, length_px: float, appearance: int) -> Image:
        """The vehicle, front at the left, standing on the last row: (h, w, 4) BGRA, straight alpha, cut to its alpha.

        Args:
            class_name: One of ``class_names``.
            length_px: Over all; the result's width differs by a pixel at most.
            appearance: Colour, dirt and details.
        """
        key = (class_name, round(length_px * 8), appearance)
        if key not in self._cache:
            self._cache[key] = self._draw(class_name, length_px, appearance)
        return self._cache[key]

    def _draw(self, class_name: str, length_px: float, appearance: int) -> Image:
        if class_name in self._flat:
            width, height = max(1, round(length_px)), max(1, round(length_px / 3))
            return np.full((height, width, 4), (*self._flat[class_name], 255), np.uint8)
        nominal_m = VEHICLE_LENGTH_M[class_name]
        px_per_m = length_px / nominal_m
        rng = np.random.default_rng([appearance, list(_VEHICLES).index(class_name)])
        colour = _shade(_PALETTE[int(rng.integers(len(_PALETTE)))], float(rng.uniform(0.9, 1.3)))
        if class_name == "civil_car":
            colour = ((180, 180, 178), (60, 50, 140), (150, 110, 70), (60, 60, 64))[int(rng.integers(4))]
        width, height = int(np.ceil(length_px)) + 2, int(np.ceil(3.5 * px_per_m)) + 1
        painter = Painter(width_px=width, height_px=height, px_per_m=px_per_m, origin_x_px=1, ground_y_px=height)
        _VEHICLES[class_name](painter, colour, rng)
        if rng.random() < 0.6 and class_name not in {"towed_gun", "civil_car", "covered_vehicle"}:
            painter.text(nominal_m * 0.55, 1.1, 0.32, str(int(rng.integers(100, 999))), (210, 215, 215))
        picture = painter.result()
        if rng.random() < 0.4 and class_name != "civil_car":
            picture = _camouflaged(picture, rng, grain_px=px_per_m * 1.2)
        return cropped(weathered(picture, rng, grain_px=px_per_m * 0.9, strength=0.10))


def _camouflaged(picture: Image, rng: np.random.Generator, *, grain_px: float) -> Image:
    """Patches of a second paint, where the picture is not rubber or glass."""
    patches = noise(rng, *picture.shape[:2], grain_px=grain_px) > 0.4
    light = picture[..., :3].max(axis=2) > 55
    out = picture.copy()
    factor = np.array((0.75, 0.72, 0.65) if rng.random() < 0.5 else (1.2, 1.3, 1.4), np.float32)
    out[..., :3] = np.where((patches & light)[..., None], np.clip(picture[..., :3] * factor, 0, 255), picture[..., :3]).astype(
        np.uint8
    )
    return out


def cropped(picture: Image, *, least_alpha: int = 64) -> Image:
    """A BGRA picture cut to the rows and columns whose alpha reaches ``least_alpha`` somewhere."""
    rows = np.flatnonzero((picture[..., 3] >= least_alpha).any(axis=1))
    columns = np.flatnonzero((picture[..., 3] >= least_alpha).any(axis=0))
    if not len(rows):
        return picture[:1, :1]
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


# Wagons: x runs from the leading coupler, y from the rail's top.


def _bogies(p: Painter, length_m: float) -> None:
    for middle in (length_m * 0.18, length_m * 0.82):
        p.box(middle - 1.25, 0.45, middle + 1.25, 0.85, (42, 46, 50))
        p.polygon([(middle - 0.6, 0.3), (middle - 0.4, 0.75), (middle + 0.4, 0.75), (middle + 0.6, 0.3)], (36, 38, 42))
        for x in (middle - 0.92, middle + 0.92):
            p.wheel(x, 0.47, (40, 42, 48), (58, 60, 66))


def _couplers(p: Painter, length_m: float) -> None:
    p.box(0.0, 0.95, 0.65, 1.15, (36, 38, 40))
    p.box(length_m - 0.65, 0.95, length_m, 1.15, (36, 38, 40))


def _flatcar(p: Painter, wagon: Wagon, rng: np.random.Generator) -> None:
    length = wagon.length_m
    colour = _shade(((52, 62, 96), (58, 74, 80), (44, 56, 110), (70, 72, 74))[int(rng.integers(4))], float(rng.uniform(0.8, 1.2)))
    x0, x1 = 0.6, length - 0.6
    p.polygon([(x0, 1.0), (x0, DECK_M), (x1, DECK_M), (x1, 1.0), (length * 0.7, 0.72), (length * 0.3, 0.72)], colour)
    p.box(x0, DECK_M - 0.09, x1, DECK_M, (74, 96, 112))
    for x in np.linspace(x0 + 0.4, x1 - 0.4, 13):
        p.box(float(x), 0.95, float(x) + 0.09, DECK_M - 0.1, _shade(colour, 0.75))
    p.text(length * 0.42, 0.87, 0.3, f"{int(rng.integers(10_000_000, 99_999_999))}", (205, 210, 212))


def _body(p: Painter, wagon: Wagon, rng: np.random.Generator) -> None:
    """A closed wagon: coach, boxcar, container wagon."""
    length = wagon.length_m
    if wagon.kind == "coach":
        colour, top = ((92, 92, 60), (120, 84, 66), (76, 110, 60))[int(rng.integers(3))], 4.1
    elif wagon.kind == "boxcar":
        colour, top = ((50, 62, 106), (58, 80, 92))[int(rng.integers(2))], 4.3
    else:
        colour, top = ((140, 86, 44), (50, 60, 150), (70, 120, 70))[int(rng.integers(3))], 3.9
    x0, x1 = 0.55, length - 0.55
    base = 1.05 if wagon.kind != "container" else DECK_M
    p.box(x0, 0.9, x1, base + 0.1, (48, 50, 54))
    p.box(x0, base, x1, top, colour)
    if wagon.kind != "container":
        p.polygon([(x0, top), (x0 + 0.6, top + 0.3), (x1 - 0.6, top + 0.3), (x1, top)], _shade(colour, 0.6))
    if wagon.kind == "coach":
        p.box(x0, 2.0, x1, 2.2, _shade(colour, 1.3))
        for x in np.linspace(2.4, length - 3.4, 11):
            p.box(float(x), 2.35, float(x) + 1.0, 3.25, _GLASS)
        for x in (0.9, length - 1.6):
            p.box(x, 1.3, x + 0.7, 3.5, _shade(colour, 0.8))
    else:
        for x in np.arange(x0 + 0.5, x1, 0.75):
            p.box(float(x), base + 0.05, float(x) + 0.1, top - 0.05, _shade(colour, 0.82))
        if wagon.kind == "boxcar":
            p.box(length / 2 - 1.3, base, length / 2 + 1.3, top - 0.2, _shade(colour, 1.2))
    p.text(length * 0.6, base + 0.5, 0.4, f"{int(rng.integers(10_000_000, 99_999_999))}", (215, 218, 220))


def _locomotive(p: Painter, wagon: Wagon, rng: np.random.Generator) -> None:
    length = wagon.length_m
    colour = ((60, 110, 50), (50, 50, 170), (130, 90, 40))[int(rng.integers(3))]
    p.box(0.5, 0.7, length - 0.5, 1.5, (50, 50, 54))
    p.polygon([(0.4, 1.4), (0.6, 3.0), (1.1, 4.3), (length - 0.6, 4.3), (length - 0.4, 1.4)], colour)
    p.polygon([(0.75, 3.0), (1.15, 4.0), (1.5, 4.0), (1.5, 3.0)], _GLASS)
    p.box(2.0, 2.9, 2.8, 3.9, _GLASS)
    p.box(0.45, 2.2, length - 0.45, 2.5, _shade(colour, 1.7))
    for x in np.linspace(4.5, length - 2.0, 8):
        p.box(float(x), 2.7, float(x) + 0.8, 3.8, _shade(colour, 0.7))
    for x in np.linspace(length * 0.3, length * 0.7, 3):
        p.box(float(x), 4.3, float(x) + 1.0, 4.6, _shade(colour, 0.6))
    p.text(length * 0.3, 1.7, 0.4, f"TEM-{int(rng.integers(100, 9999))}", (225, 225, 225))


def _tankcar(p: Painter, wagon: Wagon, rng: np.random.Generator) -> None:
    length = wagon.length_m
    colour = ((60, 62, 66), (150, 150, 146), (60, 90, 130))[int(rng.integers(3))]
    p.box(0.5, 0.95, length - 0.5, 1.2, (46, 48, 52))
    x0, x1 = 0.7, length - 0.7
    p.polygon(
        [(x0, 1.9), (x0 + 0.3, 1.25), (x1 - 0.3, 1.25), (x1, 1.9), (x1, 3.3), (x1 - 0.4, 4.0), (x0 + 0.4, 4.0), (x0, 3.3)], colour
    )
    p.polygon([(x0 + 0.1, 3.4), (x0 + 0.4, 3.85), (x1 - 0.4, 3.85), (x1 - 0.1, 3.4)], _shade(colour, 1.25))
    p.box(length / 2 - 0.6, 3.95, length / 2 + 0.6, 4.35, _shade(colour, 0.8))
    p.text(length * 0.55, 2.4, 0.45, f"{int(rng.integers(10_000_000, 99_999_999))}", (215, 218, 220))


def wagon_picture(
    wagon: Wagon, *, px_per_m: float, width_px: int, height_px: int, origin_x_px: float, ground_y_px: float
) -> Image:
    """A wagon without its loads, leading end at the left: (height, width, 4) BGRA, straight alpha.

    Args:
        wagon: Which.
        px_per_m: Scale.
        width_px: Of the picture.
        height_px: Of the picture.
        origin_x_px: Column of the leading coupler's face; may be fractional.
        ground_y_px: Row of the rail's top.
    """
    rng = np.random.default_rng([wagon.appearance, len(wagon.kind)])
    painter = Painter(width_px=width_px, height_px=height_px, px_per_m=px_per_m, origin_x_px=origin_x_px, ground_y_px=ground_y_px)
    _couplers(painter, wagon.length_m)
    _bogies(painter, wagon.length_m)
    draw = {"flatcar": _flatcar, "locomotive": _locomotive, "tankcar": _tankcar}.get(wagon.kind, _body)
    draw(painter, wagon, rng)
    picture = weathered(painter.result(), rng, grain_px=px_per_m * 1.1, strength=0.09, dirt=(60, 76, 98))
    # The shade under the wagon: it travels with the train.
    shade = np.zeros_like(picture)
    top, bottom = round(ground_y_px - 0.75 * px_per_m), min(height_px, round(ground_y_px + 0.25 * px_per_m))
    left, right = max(0, round(origin_x_px + 0.5 * px_per_m)), round(origin_x_px + (wagon.length_m - 0.5) * px_per_m)
    shade[max(0, top) : bottom, left : max(left, right), 3] = 120
    shade[..., 3] = cv2.GaussianBlur(shade[..., 3], (0, 0), max(0.5, px_per_m * 0.12))
    over(shade, picture, 0, 0)
    return shade
