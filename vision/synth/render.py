"""From a scene's description to frames and exact truth.

The train is painted once into a long strip and sampled at fractional columns, so its motion on the picture is exact to
a hundredth of a pixel. A strip's column ``u`` covers ``[u, u + 1)``, as a picture's does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.backdrop import Layer, blend, far_layer, ground_layer, shifted, tree_layer
from vision.synth.drawn import DECK_M, wagon_picture
from vision.synth.paint import Image, over
from vision.synth.scene import Heading, Load, Overlay, SceneSpec, TrainSpec
from vision.types import _shapes

FloatArray = NDArray[np.float64]

_ABOVE_RAIL_M = 6.4
_BELOW_RAIL_M = 0.5
_PAD_PX = 2


class Assets(Protocol):
    """Where pictures of vehicles come from."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes it has pictures of."""

    def sprite(self, class_name: str, *, length_px: float, appearance: int) -> Image:
        """A vehicle, front at the left, standing on the last row: (h, w, 4) BGRA, straight alpha, ``w`` about ``length_px``."""


@dataclass(frozen=True, slots=True)
class VehicleTruth:
    """One vehicle of a train.

    Attributes:
        index: Place in the train, 0 at its head.
        class_name: Leaf of the taxonomy.
        appearance: As in the spec.
        s_px: (left, right) in the train coordinate ``s = x - D``, pixels.
        y_px: (top, bottom) rows while nothing shakes.
        position_px, position_m: Centre behind the head.
        width_px: Along the train.
        visible_from_s, visible_to_s: First and last frame that shows at least half of it; None where none does.
    """

    index: int
    class_name: str
    appearance: int
    s_px: tuple[float, float]
    y_px: tuple[float, float]
    position_px: float
    position_m: float
    width_px: float
    visible_from_s: float | None
    visible_to_s: float | None


@dataclass(frozen=True, slots=True, repr=False)
class TrainTruth:
    """One train.

    Attributes:
        heading: Where the head points.
        start_s, end_s: First and last frame with any of it in the picture; None where it never shows.
        head_seen, tail_seen: Whether that end's coupler was in the picture.
        length_px, length_m, px_per_m: Over couplers, and the scale.
        s_head_px: The head in the train coordinate.
        displacement_px: (frames,) ``D``: how far it has moved right on the picture since frame 0.
        vehicles: From the head, seen or not.
    """

    heading: Heading
    start_s: float | None
    end_s: float | None
    head_seen: bool
    tail_seen: bool
    length_px: float
    length_m: float
    px_per_m: float
    s_head_px: float
    displacement_px: FloatArray
    vehicles: tuple[VehicleTruth, ...]

    __repr__ = _shapes

    def seen(self) -> tuple[VehicleTruth, ...]:
        """The vehicles that at least one frame shows by half."""
        return tuple(vehicle for vehicle in self.vehicles if vehicle.visible_from_s is not None)


@dataclass(frozen=True, slots=True, repr=False)
class FrameBoxes:
    """The vehicles in one frame, in the trains' order, from the head.

    Attributes:
        xyxy_px: (n, 4) float32, cut to the part of the picture that no bar covers.
        fraction: (n,) float32 in (0, 1]: share of each box inside it. Poles and captions are not subtracted.
        train, vehicle: (n,) int32, indices into ``SceneTruth.trains`` and ``TrainTruth.vehicles``.
    """

    xyxy_px: NDArray[np.float32]
    fraction: NDArray[np.float32]
    train: NDArray[np.int32]
    vehicle: NDArray[np.int32]

    __repr__ = _shapes


@dataclass(frozen=True, slots=True, repr=False)
class SceneTruth:
    """Everything that is true of a clip.

    Attributes:
        width_px, height_px: Of the picture.
        view_xyxy_px: The part that no bar covers.
        pts_s: (frames,) seconds.
        background_px: (frames,) how far the ground has moved right on the picture since frame 0.
        vertical_px: (frames,) how far everything stands below its place, the shake in y.
        trains: All, in the spec's order.
    """

    width_px: int
    height_px: int
    view_xyxy_px: tuple[float, float, float, float]
    pts_s: FloatArray
    background_px: FloatArray
    vertical_px: FloatArray
    trains: tuple[TrainTruth, ...]

    __repr__ = _shapes

    def boxes(self, frame: int) -> FrameBoxes:
        """The vehicles whose box touches the picture in a frame."""
        x0, y0, x1, y1 = self.view_xyxy_px
        rows = []
        for t, train in enumerate(self.trains):
            shift = float(train.displacement_px[frame])
            drop = float(self.vertical_px[frame])
            for v, vehicle in enumerate(train.vehicles):
                left, right = vehicle.s_px[0] + shift, vehicle.s_px[1] + shift
                top, bottom = vehicle.y_px[0] + drop, vehicle.y_px[1] + drop
                cut = (max(left, x0), max(top, y0), min(right, x1), min(bottom, y1))
                if cut[2] > cut[0] and cut[3] > cut[1]:
                    share = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((right - left) * (bottom - top))
                    rows.append((*cut, share, t, v))
        table = np.array(rows, dtype=np.float64).reshape(-1, 7)
        return FrameBoxes(
            table[:, :4].astype(np.float32),
            table[:, 4].astype(np.float32),
            table[:, 5].astype(np.int32),
            table[:, 6].astype(np.int32),
        )


@dataclass(frozen=True, slots=True)
class _Strip:
    """A painted train: premultiplied colour and 255 - alpha, padded by ``_PAD_PX`` on all sides; vehicles as (u0, v0, u1, v1)."""

    colour: Image
    inverse: Image
    rail_row: int
    length_px: int
    vehicle_uvuv: tuple[tuple[int, int, int, int], ...]


def _paint_train(train: TrainSpec, assets: Assets) -> _Strip:
    scale = train.px_per_m
    length = int(np.ceil(train.length_m * scale))
    rail_row = int(np.ceil(_ABOVE_RAIL_M * scale))
    height = rail_row + int(np.ceil(_BELOW_RAIL_M * scale))
    strip = np.zeros((height, length, 4), np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    start = 0.0
    for wagon in train.wagons:
        end = start + wagon.length_m * scale
        # In a train that heads right the head is at the strip's right end; only a locomotive has a front to turn.
        left = start if train.heading == "left" else length - end
        column = int(np.floor(left))
        turn = train.heading == "right" and wagon.kind == "locomotive"
        width = int(np.ceil(end - start)) + 2
        picture = wagon_picture(
            wagon, px_per_m=scale, width_px=width, height_px=height, origin_x_px=left - column, ground_y_px=rail_row
        )
        over(strip, picture[:, ::-1] if turn else picture, column, 0)
        for load in wagon.loads:
            boxes.append(_paint_load(strip, assets, train, load_u=start + load.centre_m * scale, load=load, rail_row=rail_row))
        start = end
    alpha = strip[..., 3:]
    premultiplied = np.round(strip[..., :3].astype(np.float32) * (alpha / np.float32(255))).astype(np.uint8)
    pad = ((_PAD_PX, _PAD_PX), (_PAD_PX, _PAD_PX), (0, 0))
    inverse = np.pad(np.repeat(255 - alpha, 3, axis=2), pad, constant_values=255)
    return _Strip(np.pad(premultiplied, pad), inverse, rail_row, length, tuple(boxes))


def _paint_load(
    strip: Image, assets: Assets, train: TrainSpec, *, load_u: float, load: Load, rail_row: int
) -> tuple[int, int, int, int]:
    """Put one vehicle onto the strip with its contact shadow; returns the box that it covers on it."""
    scale = train.px_per_m
    picture = assets.sprite(load.class_name, length_px=load.length_m * scale, appearance=load.appearance)
    height, width = picture.shape[:2]
    if (train.heading == "right") == (load.facing == "head"):
        picture = picture[:, ::-1]
    u0 = round(load_u - width / 2)
    if train.heading == "right":
        u0 = strip.shape[1] - u0 - width
    deck = round(rail_row - DECK_M * scale)
    v0 = deck - height
    shade = np.zeros((max(3, round(0.35 * scale)), width, 4), np.uint8)
    shade[len(shade) // 3 : -len(shade) // 3 or None, width // 30 : -(width // 30) or None, 3] = 150
    shade[..., 3] = cv2.GaussianBlur(shade[..., 3], (0, 0), max(0.5, 0.06 * scale))
    over(strip, shade, u0, deck - len(shade) // 2)
    over(strip, np.ascontiguousarray(picture), u0, v0)
    return u0, v0, u0 + width, deck


class Renderer:
    """Draws a scene's frames; every call for the same frame gives the same pixels.

    Args:
        spec: The scene.
        assets: Where pictures of vehicles come from.
    """

    def __init__(self, spec: SceneSpec, assets: Assets) -> None:
        self.spec = spec
        self._pts_s = spec.frame_times_s()
        self._camera_px = spec.camera_x_px(self._pts_s)
        self._shake_x_px, self._shake_y_px = spec.shake_px(self._pts_s)
        self._strips = tuple(_paint_train(train, assets) for train in spec.trains)
        self._head_px = tuple(spec.head_x_px(train, self._pts_s) for train in spec.trains)
        rng = np.random.default_rng([spec.seed, 11])
        margin = int(np.ceil(np.max(np.abs(self._shake_y_px), initial=0.0))) + 3
        first = spec.trains[0] if spec.trains else None
        self._far = far_layer(spec, rng, margin_px=margin)
        self._trees = tree_layer(spec, rng, margin_px=margin)
        self._ground = ground_layer(
            spec,
            rng,
            margin_px=margin,
            rail_y_px=first.rail_y_px if first else 0.75 * spec.height_px,
            px_per_m=first.px_per_m if first else spec.width_px * 0.03,
        )
        self._backdrop: tuple[tuple[float, float, float], Image] | None = None
        self._pole_pictures = {width: _pole(width, spec.height_px) for width in {pole.width_px for pole in spec.poles}}
        self._noise = _noise_field(spec, rng) if spec.light.noise > 0 else None
        levels = (np.arange(256) - 128.0) * spec.light.contrast + 128 + spec.light.brightness
        self._levels = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        self._painted = [_overlay(overlay) for overlay in spec.overlays]

    def __len__(self) -> int:
        return len(self._pts_s)

    @property
    def pts_s(self) -> FloatArray:
        """Time of every frame, shape (frames,), seconds."""
        return self._pts_s

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Every frame with its time, in order."""
        for index, pts_s in enumerate(self._pts_s):
            yield float(pts_s), self.frame(index)

    def frame(self, index: int) -> Image:
        """One frame, (height_px, width_px, 3) uint8 BGR."""
        picture = self._draw_backdrop(index)
        for strip, train, head_px in zip(self._strips, self.spec.trains, self._head_px, strict=True):
            left_px = float(head_px[index]) - (strip.length_px if train.heading == "right" else 0)
            top_px = train.rail_y_px - strip.rail_row + float(self._shake_y_px[index])
            self._draw_strip(picture, strip, left_px, top_px, self._smear_px(head_px, index))
        self._draw_poles(picture, index)
        return self._finish(picture, index)

    def _smear_px(self, head_px: FloatArray, index: int) -> int:
        """Length of the train's motion blur in this frame, whole odd pixels."""
        if self.spec.light.exposure_s <= 0 or len(head_px) < 2:
            return 1
        a, b = max(0, index - 1), min(len(head_px) - 1, index + 1)
        speed_px_s = abs(float(head_px[b] - head_px[a])) / float(self._pts_s[b] - self._pts_s[a])
        return 2 * int(speed_px_s * self.spec.light.exposure_s / 2) + 1

    def _draw_backdrop(self, index: int) -> Image:
        spec = self.spec
        key = (float(self._camera_px[index]), float(self._shake_x_px[index]), float(self._shake_y_px[index]))
        if self._backdrop is None or self._backdrop[0] != key:
            camera, shake_x, shake_y = key
            picture = np.zeros((spec.height_px, spec.width_px, 3), np.uint8)
            parallax = spec.camera.parallax
            self._draw_layer(picture, self._far, parallax.hills * camera - shake_x, shake_y)
            self._draw_layer(picture, self._trees, parallax.trees * camera - shake_x, shake_y)
            self._draw_layer(picture, self._ground, camera - shake_x, shake_y)
            self._backdrop = (key, picture)
        return self._backdrop[1].copy()

    def _draw_layer(self, picture: Image, layer: Layer, x_px: float, down_px: float) -> None:
        top_px = layer.top_px + down_px
        y0, y1 = max(0, int(np.ceil(top_px))), min(self.spec.height_px, int(np.floor(top_px + layer.colour.shape[0] - 1)))
        if y1 <= y0:
            return
        window = (x_px % layer.period_px, y0 - top_px, self.spec.width_px, y1 - y0)
        colour = shifted(layer.colour, *window)
        if layer.inverse is None:
            picture[y0:y1] = colour
        else:
            blend(picture[y0:y1], colour, shifted(layer.inverse, *window))

    def _draw_strip(self, picture: Image, strip: _Strip, left_px: float, top_px: float, smear_px: int) -> None:
        height, width = self.spec.height_px, self.spec.width_px
        left_px, top_px = left_px - _PAD_PX, top_px - _PAD_PX
        x0, x1 = max(0, int(np.ceil(left_px))), min(width, int(np.floor(left_px + strip.colour.shape[1] - 1)))
        y0, y1 = max(0, int(np.ceil(top_px))), min(height, int(np.floor(top_px + strip.colour.shape[0] - 1)))
        if x1 <= x0 or y1 <= y0:
            return
        window = (x0 - left_px, y0 - top_px, x1 - x0, y1 - y0)
        colour, inverse = shifted(strip.colour, *window), shifted(strip.inverse, *window)
        if smear_px > 1:
            colour = cv2.blur(colour, (smear_px, 1), borderType=cv2.BORDER_REPLICATE)
            inverse = cv2.blur(inverse, (smear_px, 1), borderType=cv2.BORDER_REPLICATE)
        blend(picture[y0:y1, x0:x1], colour, inverse)

    def _draw_poles(self, picture: Image, index: int) -> None:
        shift = float(self._shake_x_px[index] - self.spec.camera.parallax.poles * self._camera_px[index])
        for pole in self.spec.poles:
            colour, inverse = self._pole_pictures[pole.width_px]
            left = pole.x_px - pole.width_px / 2 + shift - _PAD_PX
            x0, x1 = max(0, int(np.ceil(left))), min(self.spec.width_px, int(np.floor(left + colour.shape[1] - 1)))
            if x1 > x0:
                window = (x0 - left, 0.0, x1 - x0, self.spec.height_px)
                blend(picture[:, x0:x1], shifted(colour, *window), shifted(inverse, *window))

    def _finish(self, picture: Image, index: int) -> Image:
        light = self.spec.light
        if light.contrast != 1.0 or light.brightness != 0.0:
            picture = np.asarray(cv2.LUT(picture, self._levels), dtype=np.uint8)
        if light.blur_px > 0:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), light.blur_px), dtype=np.uint8)
        if self._noise is not None:
            self._add_noise(picture, index)
        for (x0, y0, x1, y1), colour, inverse in self._painted:
            blend(picture[y0:y1, x0:x1], colour, inverse)
        return picture

    def _add_noise(self, picture: Image, index: int) -> None:
        """Sensor noise: a window of a large field, turned at random, so that no two frames share its grain."""
        assert self._noise is not None
        height, width = picture.shape[:2]
        rng = np.random.default_rng([self.spec.seed, 12, index])
        y, x = int(rng.integers(height)), int(rng.integers(width))
        turn_y, turn_x = (1 if rng.random() < 0.5 else -1), (1 if rng.random() < 0.5 else -1)
        brighter, darker = (
            np.ascontiguousarray(field[y : y + height, x : x + width][::turn_y, ::turn_x]) for field in self._noise
        )
        cv2.add(picture, brighter, picture)
        cv2.subtract(picture, darker, picture)

    def truth(self) -> SceneTruth:
        """What is true of the whole clip, from the painted strips: boxes fit the drawn pixels."""
        spec = self.spec
        camera, shake = self._camera_px, self._shake_x_px
        return SceneTruth(
            width_px=spec.width_px,
            height_px=spec.height_px,
            view_xyxy_px=spec.view_xyxy_px(),
            pts_s=self._pts_s,
            background_px=np.asarray((shake - shake[0]) - (camera - camera[0]), dtype=np.float64),
            vertical_px=self._shake_y_px,
            trains=tuple(
                self._train_truth(train, strip, head)
                for train, strip, head in zip(spec.trains, self._strips, self._head_px, strict=True)
            ),
        )

    def _train_truth(self, train: TrainSpec, strip: _Strip, head_px: FloatArray) -> TrainTruth:
        view_x0, _, view_x1, _ = self.spec.view_xyxy_px()
        length_px = train.length_m * train.px_per_m
        sign = 1 if train.heading == "right" else -1
        head0 = float(head_px[0])
        tail_px = head_px - sign * length_px
        inside = np.flatnonzero((np.maximum(head_px, tail_px) > view_x0) & (np.minimum(head_px, tail_px) < view_x1))
        strip_left = head0 - (strip.length_px if sign > 0 else 0)
        vehicles: list[VehicleTruth] = []
        loads = [load for wagon in train.wagons for load in wagon.loads]
        moved = head_px - head0
        for load, (u0, v0, u1, v1) in zip(loads, strip.vehicle_uvuv, strict=True):
            left, right = strip_left + u0, strip_left + u1
            shown = np.minimum(right + moved, view_x1) - np.maximum(left + moved, view_x0)
            half = np.flatnonzero(shown >= (right - left) / 2)
            position = abs((left + right) / 2 - head0)
            vehicles.append(
                VehicleTruth(
                    index=len(vehicles),
                    class_name=load.class_name,
                    appearance=load.appearance,
                    s_px=(left, right),
                    y_px=(train.rail_y_px - strip.rail_row + v0, train.rail_y_px - strip.rail_row + v1),
                    position_px=position,
                    position_m=position / train.px_per_m,
                    width_px=right - left,
                    visible_from_s=float(self._pts_s[half[0]]) if len(half) else None,
                    visible_to_s=float(self._pts_s[half[-1]]) if len(half) else None,
                )
            )
        vehicles.sort(key=lambda vehicle: vehicle.position_px)
        return TrainTruth(
            heading=train.heading,
            start_s=float(self._pts_s[inside[0]]) if len(inside) else None,
            end_s=float(self._pts_s[inside[-1]]) if len(inside) else None,
            head_seen=bool(np.any((head_px >= view_x0) & (head_px <= view_x1))),
            tail_seen=bool(np.any((tail_px >= view_x0) & (tail_px <= view_x1))),
            length_px=length_px,
            length_m=train.length_m,
            px_per_m=train.px_per_m,
            s_head_px=head0,
            displacement_px=moved,
            vehicles=tuple(vehicles),
        )


def _noise_field(spec: SceneSpec, rng: np.random.Generator) -> tuple[Image, Image]:
    """What noise adds and what it takes away, each (2 * height, 2 * width, 3)."""
    field = rng.standard_normal((2 * spec.height_px, 2 * spec.width_px, 3), dtype=np.float32) * np.float32(spec.light.noise)
    levels = np.clip(np.round(field), -127, 127).astype(np.int16)
    return np.maximum(levels, 0).astype(np.uint8), np.maximum(-levels, 0).astype(np.uint8)


def _pole(width_px: float, height_px: int) -> tuple[Image, Image]:
    """A concrete mast with a round shade: premultiplied colour and 255 - alpha, (height + 1, width + padding, 3)."""
    columns = int(np.ceil(width_px)) + 2 * _PAD_PX
    x = np.arange(columns) - _PAD_PX
    alpha = np.clip(np.minimum(x + 1, width_px - x), 0, 1)
    across = np.clip((x + 0.5) / width_px, 0, 1)
    light = 70 + 110 * np.sin(np.pi * np.clip(across * 0.8 + 0.1, 0, 1))
    rng = np.random.default_rng(5)
    stains = 1 + 0.05 * cv2.resize(rng.standard_normal((max(2, height_px // 8), 3)), (columns, height_px + 1))
    colour = np.clip(stains * (light * alpha)[None], 0, 255).astype(np.uint8)
    inverse = np.repeat(np.round((1 - alpha) * 255).astype(np.uint8)[None], height_px + 1, axis=0)
    return np.repeat(colour[..., None], 3, axis=2), np.repeat(inverse[..., None], 3, axis=2)


def _overlay(overlay: Overlay) -> tuple[tuple[int, int, int, int], Image, Image]:
    """Where, premultiplied colour and 255 - alpha of what a channel painted."""
    x0, y0, x1, y1 = overlay.xyxy_px
    shape = (y1 - y0, x1 - x0, 3)
    colour: NDArray[np.floating] = np.zeros(shape, np.float32)
    alpha: NDArray[np.floating] = np.zeros(shape, np.float32)
    if overlay.kind == "bar":
        alpha[:] = 1.0
    else:
        text = np.zeros(shape[:2], np.uint8)
        thick = max(1, shape[0] // 22)
        (wide, tall), _ = cv2.getTextSize(overlay.text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, thick)
        scale = min(0.9 * shape[1] / max(1, wide), 0.5 * shape[0] / max(1, tall))
        at = (round((shape[1] - wide * scale) / 2), round((shape[0] + tall * scale) / 2))
        cv2.putText(text, overlay.text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
        ink = (text.astype(np.float32) / 255)[..., None]
        if overlay.kind == "caption":
            alpha[:] = 0.85
            colour[:] = np.array((60, 20, 20), np.float32) * 0.85
            alpha = np.maximum(alpha, ink)
            colour = colour * (1 - ink) + 245 * ink
        else:
            alpha = np.repeat(0.5 * ink, 3, axis=2)
            colour = 255 * alpha
    return (x0, y0, x1, y1), np.clip(colour, 0, 255).astype(np.uint8), np.round((1 - alpha) * 255).astype(np.uint8)
