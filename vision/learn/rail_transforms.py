"""Transforms for what rail videos suffer from, where Albumentations has none, or one that is too slow for two cores.

All take and give pictures of (height, width, 3) uint8, BGR, and keep their size: they stand at the end of the trainer's
pipeline. They draw from Albumentations' own generators, so one seed gives one result; their arguments are plain numbers, so a
checkpoint can name them and the pipeline be made anew from it.

Imports Albumentations: loaded only where pictures are augmented (`vision.learn.augment` does it).
"""

from __future__ import annotations

import functools
import importlib.util
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812  (its documentation's own name for it)
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
"""(n, 4 and more): left, top, right, bottom as shares of the picture, then Albumentations' own columns."""

GREY = 114  # around a picture that does not fill the model's input: vision.detect.base.PAD_GREY
LEAST_VISIBLE = 0.2  # a box of which less than this share stays in the picture is dropped
LEAST_SIDE_PX = 3.0  # and so is what is left of it, when that is thinner
MOST_COVERED = 0.6  # a box of which more than this share lies under captions is dropped
LETTERS = "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЭЮЯабвгдежзиклмнопрстухцчшыюяABCDEFGHKLMNOPRSTUVabcdefghiklmnoprstu0123456789"


class Recompress(A.ImageOnlyTransform):  # type: ignore[misc]
    """Lossy compression, once or twice, of a picture that may have been smaller: blocks of 8 to 20 pixels, smeared colours.

    Args:
        quality: Range of JPEG's quality.
        scale: Range of the scale at which it is compressed: at 0.5 a block is 16 pixels, as a video's.
        p: Probability.
    """

    def __init__(self, quality: tuple[int, int] = (8, 40), scale: tuple[float, float] = (0.4, 1.0), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.quality, self.scale = quality, scale

    def get_params(self) -> dict[str, Any]:
        """Quality of each pass, and the scale."""
        passes = self.py_random.choice((1, 1, 2))
        return {"qualities": [self.py_random.randint(*self.quality) for _ in range(passes)], "at": _between(self, self.scale)}

    def apply(self, img: Picture, qualities: list[int], at: float, **_: Any) -> Picture:
        """See the class."""
        height, width = img.shape[:2]
        small = cv2.resize(img, (max(8, round(width * at)), max(8, round(height * at))), interpolation=cv2.INTER_AREA)
        for quality in qualities:
            small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        return _picture(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


class TrackBlur(A.ImageOnlyTransform):  # type: ignore[misc]
    """What an open shutter makes of a train that passes, or of a camera that pans: everything smeared along the track.

    Args:
        length_px: Range of the smear.
        p: Probability.
    """

    def __init__(self, length_px: tuple[int, int] = (4, 18), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.length_px = length_px

    def get_params(self) -> dict[str, Any]:
        """The smear's length."""
        return {"smear_px": self.py_random.randint(*self.length_px)}

    def apply(self, img: Picture, smear_px: int, **_: Any) -> Picture:
        """See the class."""
        return _picture(cv2.blur(img, (smear_px, 1)))


class LowLight(A.ImageOnlyTransform):  # type: ignore[misc]
    """Dusk and night: dark, flat, with the sensor's grain, which is the stronger the darker it is.

    Args:
        brightness: Range of what is left of the light.
        p: Probability.
    """

    def __init__(self, brightness: tuple[float, float] = (0.15, 0.6), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.brightness = brightness

    def get_params(self) -> dict[str, Any]:
        """Brightness, lift of the blacks, grain and its seed."""
        gain = _between(self, self.brightness)
        grain = self.py_random.uniform(0.3, 1.0) * 12 * (1 - gain)
        return {"gain": gain, "lift": self.py_random.uniform(0, 12), "grain": grain, "seed": _seed(self)}

    def apply(self, img: Picture, gain: float, lift: float, grain: float, seed: int, **_: Any) -> Picture:
        """See the class."""
        table = np.clip(np.arange(256) * gain + lift, 0, 255)
        noise = np.random.default_rng(seed).standard_normal(img.shape[:2], dtype=np.float32) * np.float32(grain)
        return _add_grey(_picture(cv2.LUT(img, table.astype(np.uint8))), noise)


class Snowfall(A.ImageOnlyTransform):  # type: ignore[misc]
    """Flakes in front of everything, slanted by the wind, and the contrast they take.

    Args:
        flakes: Range of their number in a picture of 640 x 384 pixels.
        p: Probability.
    """

    def __init__(self, flakes: tuple[int, int] = (80, 500), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.flakes = flakes

    def get_params(self) -> dict[str, Any]:
        """Number of flakes, wind in pixels, haze and a seed."""
        return {
            "count": self.py_random.randint(*self.flakes),
            "wind_px": self.py_random.uniform(-6, 6),
            "haze": self.py_random.uniform(0.0, 0.35),
            "seed": _seed(self),
        }

    def apply(self, img: Picture, count: int, wind_px: float, haze: float, seed: int, **_: Any) -> Picture:
        """See the class."""
        height, width = img.shape[:2]
        lot = np.random.default_rng(seed)
        number = max(1, round(count * height * width / (640 * 384)))
        left, top = lot.uniform(0, width, number), lot.uniform(0, height, number)
        size = lot.exponential(1.0, number) + 0.6  # most are far away
        layer = np.zeros((height, width), np.uint8)
        for x, y, s in zip(left.tolist(), top.tolist(), size.tolist(), strict=True):
            tip = round(x + wind_px * s / 2), round(y + 2 * s)
            cv2.line(layer, (round(x), round(y)), tip, min(255, round(120 + 60 * s)), max(1, round(s)), cv2.LINE_AA)
        layer = cv2.blur(layer, (3, 3))
        hazy = cv2.convertScaleAbs(img, alpha=1 - haze, beta=200 * haze)
        return _picture(cv2.add(hazy, cv2.merge([layer] * 3)))


class Haze(A.ImageOnlyTransform):  # type: ignore[misc]
    """Fog: the picture fades into grey, unevenly, and more so at the top, which is farther away.

    Args:
        density: Range of the share of grey, at the densest place.
        p: Probability.
    """

    def __init__(self, density: tuple[float, float] = (0.35, 0.8), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.density = density

    def get_params(self) -> dict[str, Any]:
        """Density, grey level and a seed."""
        return {"dense": _between(self, self.density), "grey": self.py_random.uniform(150, 225), "seed": _seed(self)}

    def apply(self, img: Picture, dense: float, grey: float, seed: int, **_: Any) -> Picture:
        """See the class."""
        height, width = img.shape[:2]
        patches = np.random.default_rng(seed).uniform(0.6, 1.0, (4, 6)).astype(np.float32)
        fog = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(dense)
        fog = np.clip(fog * np.linspace(1.1, 0.7, height, dtype=np.float32)[:, None], 0, 0.95)
        shown = cv2.multiply(img, cv2.merge([1 - fog] * 3), dtype=cv2.CV_8U)
        return _add_grey(_picture(shown), fog * np.float32(grey))


@dataclass(frozen=True)
class _Mark:
    """Something laid over the picture: a patch with its opacity."""

    left_px: int
    top_px: int
    patch: Picture
    opacity: npt.NDArray[np.float32]

    @property
    def hides(self) -> bool:
        """Whether nothing behind it can be made out."""
        return bool(self.opacity.mean() > 0.6)


class Captions(A.DualTransform):  # type: ignore[misc]
    """Captions, stickers and watermarks: words in two alphabets, on a bar or not, and plain coloured shapes.

    A box that comes to lie mostly under something opaque is dropped.

    Args:
        marks: Range of their number.
        p: Probability.
    """

    def __init__(self, marks: tuple[int, int] = (1, 3), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.marks = marks

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """What is laid over the picture."""
        height, width = params["shape"][:2]
        draws = (_caption, _watermark, _sticker)
        lot = self.py_random
        drawn = [lot.choices(draws, weights=(3, 2, 1))[0](lot, height, width) for _ in range(lot.randint(*self.marks))]
        return {"drawn": drawn}

    def apply(self, img: Picture, drawn: list[_Mark], **_: Any) -> Picture:
        """See the class."""
        out = img.copy()
        for mark in drawn:
            rows, columns = slice(mark.top_px, mark.top_px + mark.patch.shape[0]), slice(mark.left_px, None)
            under = out[rows, columns][:, : mark.patch.shape[1]]
            seen = mark.opacity[: under.shape[0], : under.shape[1], None]
            patch = mark.patch[: under.shape[0], : under.shape[1]]
            under[:] = (under + (patch - under.astype(np.float32)) * seen).astype(np.uint8)
        return out

    def apply_to_bboxes(self, bboxes: Boxes, drawn: list[_Mark], **params: Any) -> Boxes:
        """The boxes that are not mostly covered."""
        height, width = params["shape"][:2]
        covered = np.zeros(len(bboxes), np.float32)
        for mark in (m for m in drawn if m.hides):
            bottom, right = mark.top_px + mark.patch.shape[0], mark.left_px + mark.patch.shape[1]
            area = np.array([mark.left_px / width, mark.top_px / height, right / width, bottom / height], np.float32)
            covered += _shared(bboxes, area)
        return bboxes[covered <= MOST_COVERED]

    def apply_to_keypoints(self, keypoints: Any, **_: Any) -> Any:
        """They stay."""
        return keypoints


class _Window(A.DualTransform):  # type: ignore[misc]
    """The picture, scaled and shifted, seen through a window; something else around it."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """``window_px``: left, top, right, bottom; ``move``: scale, and shift right and down in pixels; ``around``."""
        height, width = params["shape"][:2]
        share_w, share_h, zoom, off_x, off_y, around = self.draw(height / width)
        window_w, window_h = max(8, round(width * share_w)), max(8, round(height * share_h))
        left, top = (width - window_w) // 2, (height - window_h) // 2
        zoom = max(zoom, window_w / width, window_h / height)  # no gaps inside the window
        shift_x = left - off_x * (width * zoom - window_w)
        shift_y = top - off_y * (height * zoom - window_h)
        window = (left, top, left + window_w, top + window_h)
        return {"window_px": window, "move": (zoom, shift_x, shift_y), "around": around}

    def draw(self, height_per_width: float) -> tuple[float, float, float, float, float, str]:
        """Window's width and height as shares, zoom, what part is seen (0 to 1, right and down), what is around."""
        raise NotImplementedError

    def apply(self, img: Picture, window_px: tuple[int, ...], move: tuple[float, ...], around: str, **_: Any) -> Picture:
        """See the class."""
        height, width = img.shape[:2]
        left, top, right, bottom = window_px
        zoom, shift_x, shift_y = move
        # Pixel centres: column 0 of the picture spans 0 to zoom.
        centre = (zoom - 1) / 2
        matrix = np.array([[zoom, 0, shift_x - left + centre], [0, zoom, shift_y - top + centre]], np.float64)
        flags = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        inside = cv2.warpAffine(img, matrix, (right - left, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if around == "blurred":
            small = cv2.blur(cv2.resize(img, (width // 16, height // 16), interpolation=cv2.INTER_AREA), (3, 3))
            out = cv2.convertScaleAbs(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), alpha=0.7)
        else:
            out = np.full_like(img, GREY if around == "grey" else 0)
        out[top:bottom, left:right] = inside
        return _picture(out)

    def apply_to_bboxes(self, bboxes: Boxes, window_px: tuple[int, ...], move: tuple[float, ...], **params: Any) -> Boxes:
        """The boxes moved along and cut to the window; what is hardly in it is dropped."""
        height, width = params["shape"][:2]
        zoom, shift_x, shift_y = move
        size, shift = np.array([width, height] * 2, np.float32), np.array([shift_x, shift_y] * 2, np.float32)
        moved = bboxes.copy()
        whole = bboxes[:, :4] * size * zoom + shift
        window = np.array(window_px, np.float32)
        cut = np.concatenate([np.maximum(whole[:, :2], window[:2]), np.minimum(whole[:, 2:], window[2:])], axis=1)
        sides = cut[:, 2:] - cut[:, :2]
        area = np.maximum((whole[:, 2:] - whole[:, :2]).prod(axis=1), 1e-6)
        kept = (sides > LEAST_SIDE_PX).all(axis=1) & (sides.prod(axis=1) >= LEAST_VISIBLE * area)
        moved[:, :4] = np.clip(cut / size, 0, 1)
        return np.asarray(moved[kept], dtype=np.float32)

    def apply_to_keypoints(self, keypoints: Any, move: tuple[float, ...], **_: Any) -> Any:
        """The points moved along."""
        zoom, shift_x, shift_y = move
        moved = keypoints.copy()
        moved[:, :2] = keypoints[:, :2] * zoom + np.array([shift_x, shift_y])
        return moved


class VerticalCrop(_Window):
    """A video cut to stand upright, as the detector gets to see it: in the middle, with grey beside it.

    Args:
        aspect: Range of its width by its height.
        zoom: Range by which it is enlarged.
        p: Probability.
    """

    def __init__(self, aspect: tuple[float, float] = (0.56, 0.8), zoom: tuple[float, float] = (1.0, 1.4), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.aspect, self.zoom = aspect, zoom

    def draw(self, height_per_width: float) -> tuple[float, float, float, float, float, str]:
        """See `_Window.draw`."""
        width = min(1.0, _between(self, self.aspect) * height_per_width)
        return width, 1.0, _between(self, self.zoom), self.py_random.random(), self.py_random.random(), "grey"


class LetterboxBars(_Window):
    """Bars that belong to the video: above and below, at the sides, or all around; black, or a blurred copy.

    Args:
        window: Range of the share of the width or height that is left.
        p: Probability.
    """

    def __init__(self, window: tuple[float, float] = (0.55, 0.9), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.window = window

    def draw(self, height_per_width: float) -> tuple[float, float, float, float, float, str]:
        """See `_Window.draw`."""
        lot = self.py_random
        share = _between(self, self.window)
        width, height = lot.choice(((1.0, share), (share, 1.0), (share, share)))
        zoom = lot.uniform(max(width, height), 1.0)
        return width, height, zoom, 0.5, 0.5, lot.choice(("black", "blurred"))


def _between(transform: Any, bounds: tuple[float, float]) -> float:
    return float(transform.py_random.uniform(*bounds))


def _seed(transform: Any) -> int:
    return int(transform.py_random.getrandbits(32))


def _picture(array: Any) -> Picture:
    return np.asarray(array, dtype=np.uint8)


def _add_grey(img: Picture, field: npt.NDArray[np.float32]) -> Picture:
    """The picture plus a field of (height, width), cut to 0 to 255."""
    return _picture(cv2.add(img, cv2.merge([field] * 3), dtype=cv2.CV_8U))


def _shared(bboxes: Boxes, area: Boxes) -> npt.NDArray[np.float32]:
    """Share of each box that lies in an area."""
    sides = np.minimum(bboxes[:, 2:4], area[2:]) - np.maximum(bboxes[:, :2], area[:2])
    own = np.maximum((bboxes[:, 2:4] - bboxes[:, :2]).prod(axis=1), 1e-12)
    return np.asarray(np.maximum(sides, 0).prod(axis=1) / own, dtype=np.float32)


@functools.lru_cache(maxsize=32)
def _font(size_px: int) -> Any:
    """DejaVu Sans, which knows both alphabets: Matplotlib, which Ultralytics needs, brings it."""
    found = importlib.util.find_spec("matplotlib")
    path = Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf" if found and found.origin else None
    return ImageFont.truetype(str(path), size_px) if path and path.is_file() else ImageFont.load_default(size_px)


def _text(lot: random.Random, size_px: int, words: int) -> npt.NDArray[np.float32]:
    """Words as a mask of 0 to 1, (height, width)."""
    text = " ".join("".join(lot.choices(LETTERS, k=lot.randint(2, 9))) for _ in range(words))
    font = _font(size_px)
    left, top, right, bottom = (math.floor(v) for v in font.getbbox(text))
    mask = Image.new("L", (max(1, right - left + 1), max(1, bottom - top + 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font, fill=255)
    return np.asarray(mask, dtype=np.float32) / np.float32(255)


def _colour(lot: random.Random) -> tuple[int, int, int]:
    plain = ((255, 255, 255), (0, 0, 0), (0, 220, 255), (40, 40, 230))
    return lot.choice(plain) if lot.random() < 0.7 else (lot.randrange(256), lot.randrange(256), lot.randrange(256))


def _filled(opacity: npt.NDArray[np.float32], colour: tuple[int, int, int]) -> Picture:
    return np.full((*opacity.shape, 3), colour, dtype=np.uint8)


def _caption(lot: random.Random, height: int, width: int) -> _Mark:
    """Opaque words, mostly at the upper or lower edge, on a bar or with nothing behind them."""
    mask = _text(lot, max(8, round(height * lot.uniform(0.035, 0.1))), lot.randint(1, 4))
    colour, patch = _colour(lot), None
    if lot.random() < 0.5:
        mask = np.pad(mask, 4)
        bar = np.array(_colour(lot), np.float32)
        patch = _picture(bar + (np.array(colour, np.float32) - bar) * mask[..., None])
        mask = np.maximum(mask, np.float32(lot.uniform(0.7, 1.0)))
    low, high = (0.0, 0.2) if lot.random() < 0.4 else (0.75, 1.0)
    top = round((height - mask.shape[0]) * lot.uniform(low, high))
    left = round(lot.uniform(0, max(0, width - mask.shape[1])))
    return _Mark(max(0, left), max(0, top), _filled(mask, colour) if patch is None else patch, mask)


def _watermark(lot: random.Random, height: int, width: int) -> _Mark:
    """Words that can be seen through, anywhere."""
    mask = _text(lot, max(8, round(height * lot.uniform(0.05, 0.16))), lot.randint(1, 2)) * np.float32(lot.uniform(0.15, 0.5))
    left, top = lot.uniform(0, max(0, width - mask.shape[1])), lot.uniform(0, max(0, height - mask.shape[0]))
    return _Mark(round(left), round(top), _filled(mask, (255, 255, 255) if lot.random() < 0.8 else (0, 0, 0)), mask)


def _sticker(lot: random.Random, height: int, width: int) -> _Mark:
    """A coloured disc or rounded sign with a letter on it."""
    side = max(12, round(height * lot.uniform(0.08, 0.2)))
    wide = side if lot.random() < 0.6 else round(side * lot.uniform(1.5, 3))
    mask, patch = np.zeros((side, wide), np.uint8), np.full((side, wide, 3), _colour(lot), np.uint8)
    radius = side // 2 - 1
    for x in (side // 2, wide - side // 2 - 1):
        cv2.circle(mask, (x, side // 2), radius, 255, -1, cv2.LINE_AA)
    if wide > side:
        cv2.rectangle(mask, (side // 2, side // 2 - radius), (wide - side // 2 - 1, side // 2 + radius), 255, -1)
    letter = _text(lot, max(8, side // 2), 1)[: side - 4, : wide - 4]
    y, x = (side - letter.shape[0]) // 2, (wide - letter.shape[1]) // 2
    place = patch[y : y + letter.shape[0], x : x + letter.shape[1]]
    place[:] = _picture(place + (np.array(_colour(lot), np.float32) - place) * letter[..., None])
    left, top = lot.uniform(0, max(0, width - wide)), lot.uniform(0, max(0, height - side))
    return _Mark(round(left), round(top), patch, mask.astype(np.float32) / np.float32(255))
