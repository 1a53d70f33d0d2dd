"""From a scene's description to frames and exact truth.

The train is painted once into a long strip and sampled at fractional columns, so its motion on the picture is exact to
a hundredth of a pixel. A strip's column ``u`` covers ``[u, u + 1)``, as a picture's does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.backdrop import Layer, blend, far_layer, ground_layer, shifted, tree_layer
from vision.synth.drawn import DECK_M, wagon_picture
from vision.synth.foreground import Cover, foreground_layer
from vision.synth.paint import Image, over
from vision.synth.perspective import Perspective
from vision.synth.spec import Load, Overlay, SceneSpec, TrainSpec
from vision.synth.truth import (
    FrameBoxes,
    SceneTruth,
    TrainTruth,
    VehicleTruth,
    flat_boxes,
    flipped,
    in_sequence,
    in_sight,
)
from vision.synth.weather import Falling, lamp_layer, snowed

__all__ = ["Assets", "FrameBoxes", "Renderer", "SceneTruth", "TrainTruth", "VehicleTruth"]

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
        spec: The scene, with the shots that follow it.
        assets: Where pictures of vehicles come from.
    """

    def __init__(self, spec: SceneSpec, assets: Assets) -> None:
        self.spec = spec
        self._scene_s = spec.frame_times_s()
        self._pts_s = spec.shown_s()
        # The same moment of the scene shown again is the same picture, to the grain.
        _, first, place = np.unique(self._scene_s, return_index=True, return_inverse=True)
        self._same_as = first[place]
        self._camera_px = spec.camera_x_px(self._scene_s)
        self._shake_x_px, self._shake_y_px = spec.shake_px(self._scene_s)
        self._strips = tuple(_paint_train(train, assets) for train in spec.trains)
        self._head_px = tuple(spec.head_x_px(train, self._scene_s) for train in spec.trains)
        # What is further off is drawn first; among trains as far off as each other, in the spec's order.
        self._far_first = tuple(sorted(range(len(spec.trains)), key=lambda t: spec.trains[t].rail_y_px))
        self._view = Perspective(spec, self._scene_s)
        rng = np.random.default_rng([spec.seed, 11])
        margin = int(np.ceil(np.max(np.abs(self._shake_y_px), initial=0.0))) + 3
        self._layers = _backdrop_layers(spec, rng, margin_px=margin)
        self._lamps = _lamps(spec, margin_px=margin) if spec.light.lamps > 0 else None
        self._backdrop: tuple[tuple[float, float, float], Image] | None = None
        self._pole_pictures = {width: _pole(width, spec.canvas_wh_px[1]) for width in {pole.width_px for pole in spec.poles}}
        self._standing = tuple(foreground_layer(spec, item, k, margin_px=margin) for k, item in enumerate(spec.foreground))
        self._standing_px = tuple(item.shift_px(self._camera_px, self._shake_x_px, self._scene_s) for item in self._standing)
        falling = {"seed": spec.seed, "width_px": spec.width_px, "height_px": spec.height_px}
        self._falling = Falling(spec.weather, **falling) if spec.weather else None
        self._noise = _noise_field(spec, rng) if spec.light.noise > 0 else None
        levels = (np.arange(256) - 128.0) * spec.light.contrast + 128 + spec.light.brightness
        self._levels = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        self._painted = [_overlay(overlay) for overlay in spec.overlays]
        self._later = tuple(Renderer(shot, assets) for shot in spec.then)
        self._shots = (self, *self._later)
        self._first = np.cumsum([0, len(self._pts_s), *(len(shot) for shot in self._later)])
        self._all_pts_s = self._joined_s()

    def _joined_s(self) -> FloatArray:
        """Times of the frames of all shots, each shot a frame's time after the one before."""
        parts = [self._pts_s]
        for shot in self._later:
            parts.append(shot.pts_s - shot.pts_s[0] + parts[-1][-1] + 1 / self.spec.fps)
        return np.concatenate(parts)

    def __len__(self) -> int:
        return len(self._all_pts_s)

    @property
    def pts_s(self) -> FloatArray:
        """Time of every frame on the clip's clock, shape (frames,), seconds."""
        return self._all_pts_s

    def frames(self) -> Iterator[tuple[float, Image]]:
        """Every frame with its time, in order."""
        for index, pts_s in enumerate(self._all_pts_s):
            yield float(pts_s), self.frame(index)

    def frame(self, index: int) -> Image:
        """One frame, (height_px, width_px, 3) uint8 BGR."""
        if index < 0:
            index += len(self)
        if index >= len(self._pts_s):
            shot = int(np.searchsorted(self._first, index, side="right")) - 1
            return self._shots[shot].frame(index - int(self._first[shot]))
        index = int(self._same_as[index])
        picture = self._draw_backdrop(index)
        for t in self._far_first:
            strip, train, head_px = self._strips[t], self.spec.trains[t], self._head_px[t]
            left_px, top_px = self._strip_corner_px(t, index)
            self._draw_strip(picture, strip, left_px, top_px, self._smear_px(train, head_px, index))
        self._draw_poles(picture, index)
        if self._lamps is not None:
            self._light_up(picture, self._lamps, index)
        picture = self._view.seen(picture, index)
        for standing, shift_px in zip(self._standing, self._standing_px, strict=True):
            draw_layer(picture, standing.layer, float(shift_px[index]), float(self._shake_y_px[index]))
        picture = self._view.zoomed(picture, index)
        if self._falling is not None:
            self._falling.draw(picture, float(self._scene_s[index]))
        return self._finish(picture, index)

    def _strip_corner_px(self, t: int, index: int | slice) -> tuple[Any, Any]:
        """Where the upper left corner of a train's strip lies on the flat picture."""
        strip, train = self._strips[t], self.spec.trains[t]
        left_px = self._head_px[t][index] - (strip.length_px if train.heading == "right" else 0)
        return left_px, train.rail_y_px - strip.rail_row + self._shake_y_px[index]

    def _smear_px(self, train: TrainSpec, head_px: FloatArray, index: int) -> int:
        """Length of the train's motion blur in this frame, whole odd pixels."""
        if self.spec.light.exposure_s <= 0 or len(head_px) < 2:
            return 1
        if self.spec.pts_s is not None:
            # Frames side by side may be moments far apart.
            around_s = self._scene_s[index] + np.array([-0.02, 0.02])
            speed_px_s = abs(float(np.diff(self.spec.head_x_px(train, around_s))[0])) / 0.04
        else:
            a, b = max(0, index - 1), min(len(head_px) - 1, index + 1)
            speed_px_s = abs(float(head_px[b] - head_px[a])) / float(self._pts_s[b] - self._pts_s[a])
        return 2 * int(speed_px_s * self.spec.light.exposure_s / 2) + 1

    def _draw_backdrop(self, index: int) -> Image:
        key = (float(self._camera_px[index]), float(self._shake_x_px[index]), float(self._shake_y_px[index]))
        if self._backdrop is None or self._backdrop[0] != key:
            camera, shake_x, shake_y = key
            width, height = self.spec.canvas_wh_px
            picture = np.zeros((height, width, 3), np.uint8)
            parallax = self.spec.camera.parallax
            for layer, share in zip(self._layers, (parallax.hills, parallax.trees, 1.0), strict=True):
                draw_layer(picture, layer, share * camera - shake_x, shake_y)
            self._backdrop = (key, picture)
        return self._backdrop[1].copy()

    def _draw_strip(self, picture: Image, strip: _Strip, left_px: float, top_px: float, smear_px: int) -> None:
        height, width = picture.shape[:2]
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
        height, width = picture.shape[:2]
        shift = float(self._shake_x_px[index] - self.spec.camera.parallax.poles * self._camera_px[index])
        for pole in self.spec.poles:
            colour, inverse = self._pole_pictures[pole.width_px]
            left = pole.x_px - pole.width_px / 2 + shift - _PAD_PX
            x0, x1 = max(0, int(np.ceil(left))), min(width, int(np.floor(left + colour.shape[1] - 1)))
            if x1 > x0:
                window = (x0 - left, 0.0, x1 - x0, height)
                blend(picture[:, x0:x1], shifted(colour, *window), shifted(inverse, *window))

    def _light_up(self, picture: Image, lamps: Layer, index: int) -> None:
        """Leave of the day what the lamps on the ground give."""
        gain = np.zeros_like(picture)
        draw_layer(gain, lamps, float(self._camera_px[index] - self._shake_x_px[index]), float(self._shake_y_px[index]))
        cv2.multiply(picture, gain, picture, scale=1 / 255)

    def _finish(self, picture: Image, index: int) -> Image:
        light = self.spec.light
        if light.contrast != 1.0 or light.brightness != 0.0:
            picture = np.asarray(cv2.LUT(picture, self._levels), dtype=np.uint8)
        if light.blur_px > 0:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), light.blur_px), dtype=np.uint8)
        if self._noise is not None:
            self._add_noise(picture, index)
        if self.spec.mirrored:
            picture = np.ascontiguousarray(picture[:, ::-1])
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
        parts = []
        for shot, first in zip(self._shots, self._first[:-1], strict=True):
            parts.append(shot._own_truth(self._all_pts_s[first : first + len(shot._pts_s)]))
        return parts[0] if len(parts) == 1 else in_sequence(parts)

    def _own_truth(self, pts_s: FloatArray) -> SceneTruth:
        """Of this shot alone, its frames shown at the given times."""
        spec = self.spec
        camera, shake = self._camera_px, self._shake_x_px
        truth = SceneTruth(
            width_px=spec.width_px,
            height_px=spec.height_px,
            view_xyxy_px=spec.view_xyxy_px(),
            pts_s=pts_s,
            background_px=np.asarray((shake - shake[0]) - (camera - camera[0]), dtype=np.float64),
            vertical_px=self._shake_y_px,
            trains=tuple(self._train_truth(t, pts_s) for t in range(len(spec.trains))),
            to_picture=self._view.matrices(),
        )
        truth = replace(truth, trains=tuple(self._with_hidden(truth, t) for t in range(len(spec.trains))))
        if spec.mirrored:
            truth = flipped(truth, canvas_width_px=spec.canvas_wh_px[0])
        rails = [train.rail_y_px for train in spec.trains]
        return replace(truth, trains=tuple(in_sight(truth, t, rail) for t, rail in zip(truth.trains, rails, strict=True)))

    def _train_truth(self, t: int, pts_s: FloatArray) -> TrainTruth:
        """A train on the flat picture; what of it is in sight comes later."""
        train, strip, head_px = self.spec.trains[t], self._strips[t], self._head_px[t]
        head0 = float(head_px[0])
        strip_left = head0 - (strip.length_px if train.heading == "right" else 0)
        vehicles: list[VehicleTruth] = []
        loads = [load for wagon in train.wagons for load in wagon.loads]
        for load, (u0, v0, u1, v1) in zip(loads, strip.vehicle_uvuv, strict=True):
            left, right = strip_left + u0, strip_left + u1
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
                    visible_from_s=None,
                    visible_to_s=None,
                )
            )
        vehicles.sort(key=lambda vehicle: vehicle.position_px)
        return TrainTruth(
            heading=train.heading,
            start_s=None,
            end_s=None,
            head_seen=False,
            tail_seen=False,
            length_px=train.length_m * train.px_per_m,
            length_m=train.length_m,
            px_per_m=train.px_per_m,
            s_head_px=head0,
            displacement_px=head_px - head0,
            vehicles=tuple(vehicles),
            speed_m_s=train.speed_m_s.at(self._scene_s) * _rate(self._scene_s, pts_s),
        )

    def _with_hidden(self, truth: SceneTruth, t: int) -> TrainTruth:
        """The train with what nearer trains and the foreground cover of its vehicles; before any mirror."""
        train, place = truth.trains[t], self._far_first.index(t)
        nearer = self._far_first[place + 1 :]
        if not train.vehicles or not (nearer or self._standing):
            return train
        flat = flat_boxes(train.vehicles, train.displacement_px, truth.vertical_px)
        open_share = np.ones(flat.shape[:2])
        for other in nearer:
            left_px, top_px = self._strip_corner_px(other, slice(None))
            corner = np.stack([left_px - _PAD_PX, np.broadcast_to(top_px - _PAD_PX, left_px.shape)] * 2, axis=-1)
            open_share *= 1 - Cover.of(255 - self._strips[other].inverse[..., 0]).share(flat - corner[:, None])
        seen = self._view.seen_boxes(flat)
        for standing, shift_px in zip(self._standing, self._standing_px, strict=True):
            open_share *= 1 - standing.covered(seen, shift_px, self._shake_y_px, width_px=self.spec.width_px)
        return replace(train, hidden=np.asarray(1 - open_share, dtype=np.float32))


def _rate(scene_s: FloatArray, pts_s: FloatArray) -> FloatArray:
    """How fast the scene's clock runs on the clip's, around each frame, shape (frames,)."""
    if len(pts_s) < 2:
        return np.ones(len(pts_s))
    steps = np.diff(scene_s) / np.diff(pts_s)
    # Steps far beyond any speed are cuts and are left out; doubled frames show 0, then 2, and even out over an even number.
    steps = np.where(steps > 6.0, np.nan, steps)
    padded = np.pad(steps, (10, 10), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 20)
    known = np.isfinite(around)
    rate = np.where(known, around, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(rate, dtype=np.float64)


def draw_layer(picture: Image, layer: Layer, x_px: float, down_px: float) -> None:
    """Lay a repeating layer over a picture in place: its column ``x_px`` at the left edge, ``down_px`` below its place."""
    height, width = picture.shape[:2]
    top_px = layer.top_px + down_px
    y0, y1 = max(0, int(np.ceil(top_px))), min(height, int(np.floor(top_px + layer.colour.shape[0] - 1)))
    if y1 <= y0:
        return
    window = (x_px % layer.period_px, y0 - top_px, width, y1 - y0)
    colour = shifted(layer.colour, *window)
    if layer.inverse is None:
        picture[y0:y1] = colour
    else:
        blend(picture[y0:y1], colour, shifted(layer.inverse, *window))


def _flat(spec: SceneSpec) -> SceneSpec:
    """The scene at the size of its flat picture, for those who draw layers."""
    width_px, height_px = spec.canvas_wh_px
    if (width_px, height_px) == (spec.width_px, spec.height_px):
        return spec
    return replace(spec, width_px=width_px, height_px=height_px, lens=None, then=())


def _nearest(spec: SceneSpec) -> tuple[float, float]:
    """Rail row and scale of the first train, or of where one would run."""
    if spec.trains:
        return spec.trains[0].rail_y_px, spec.trains[0].px_per_m
    return 0.75 * spec.height_px, spec.width_px * 0.03


def _backdrop_layers(spec: SceneSpec, rng: np.random.Generator, *, margin_px: int) -> tuple[Layer, Layer, Layer]:
    """Hills, trees, and the ground with a track for every train."""
    flat = _flat(spec)
    far, trees = far_layer(flat, rng, margin_px=margin_px), tree_layer(flat, rng, margin_px=margin_px)
    rail_y_px, px_per_m = _nearest(spec)
    ground = ground_layer(flat, rng, margin_px=margin_px, rail_y_px=rail_y_px, px_per_m=px_per_m)
    for train in sorted(spec.trains[1:], key=lambda train: train.rail_y_px):
        own = np.random.default_rng([spec.seed, 17])
        other = ground_layer(flat, own, margin_px=margin_px, rail_y_px=train.rail_y_px, px_per_m=train.px_per_m)
        top = max(0, round(train.rail_y_px - ground.top_px - 0.75 * train.px_per_m))
        bottom = round(min(train.rail_y_px + 1.3 * train.px_per_m, rail_y_px - 0.75 * px_per_m) - ground.top_px)
        ground.colour[top : max(top, bottom)] = other.colour[top : max(top, bottom)]
    cover = spec.weather.cover if spec.weather is not None else 0.0
    return snowed(far, 0.4 * cover), snowed(trees, 0.7 * cover), snowed(ground, cover)


def _lamps(spec: SceneSpec, *, margin_px: int) -> Layer:
    rail_y_px, px_per_m = _nearest(spec)
    rng = np.random.default_rng([spec.seed, 19])
    return lamp_layer(_flat(spec), rng, margin_px=margin_px, rail_y_px=rail_y_px, px_per_m=px_per_m)


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
