"""Sheets laid over a background, and what is seen of each vehicle in the end.

What is visible of a vehicle is its alpha times what the sheets above it leave over, smeared and warped as the picture is, so that
a box fits the pixels that really show the vehicle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.paint import Image

FloatImage = NDArray[np.float32]
Matrix = NDArray[np.float64]

SEEN_ALPHA = 0.4
"""A pixel shows a vehicle when this share of it is the vehicle's."""


@dataclass(frozen=True, slots=True, repr=False)
class Sheet:
    """Something to lay over what is there.

    Attributes:
        picture: (h, w, 4) BGRA, straight alpha.
        x_px, y_px: Its top left corner; it may lie outside the picture.
        owner: Number of the vehicle it goes away with (itself, or its shadow); None stays.
        class_name: Of the vehicle that it shows; None where it shows none.
        moves: Whether it moves with the train and is smeared with it.
    """

    picture: Image
    x_px: int
    y_px: int
    owner: int | None = None
    class_name: str | None = None
    moves: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """A vehicle in the finished picture.

    Attributes:
        owner: Its number.
        class_name: Leaf of the taxonomy.
        xyxy_px: Box of its visible pixels, whole numbers.
        share: How much of it is seen, 0 to 1; the rest is hidden or outside the picture.
        mask: (h, w) float32, its share in every pixel.
    """

    owner: int
    class_name: str
    xyxy_px: tuple[int, int, int, int]
    share: float
    mask: FloatImage


def compose(
    background: Image,
    sheets: Sequence[Sheet],
    *,
    smear_px: int = 1,
    matrix: Matrix | None = None,
    least_seen: float = 0.3,
    least_px: int = 5,
) -> tuple[Image, list[Seen]]:
    """Lay all sheets over a background, from the back to the front.

    A vehicle of which too little is seen is taken out, with its shadow: the picture shows what is behind it instead.

    Args:
        background: (h, w, 3) BGR.
        sheets: What to lay over it.
        smear_px: Length of the motion blur of what moves, along the rows; odd.
        matrix: (3, 3) perspective of the finished picture, source to result; None leaves it.
        least_seen: A vehicle that shows less of its area than this share is taken out.
        least_px: And one whose box is shorter on a side.

    Returns:
        The picture (h, w, 3) BGR and its vehicles, in the order of their numbers.
    """
    inside = _inside(background.shape[:2], matrix)
    gone: set[int] = set()
    while True:
        kept = [sheet for sheet in sheets if sheet.owner is None or sheet.owner not in gone]
        picture, masks = _lay(background, kept, smear_px)
        found: list[Seen] = []
        for sheet in kept:
            if sheet.class_name is None or sheet.owner is None:
                continue
            mask = masks[sheet.owner]
            share = float((mask * inside).sum()) / max(1e-6, float(sheet.picture[..., 3].sum()) / 255)
            mask = mask if matrix is None else _warped(mask, matrix)
            box = box_of(mask)
            if box is None or share < least_seen or min(box[2] - box[0], box[3] - box[1]) < least_px:
                gone.add(sheet.owner)
            else:
                found.append(Seen(sheet.owner, sheet.class_name, box, min(1.0, share), mask))
        # Taking one out may bring another to light, never hide one: a few rounds end it.
        if len(found) == sum(sheet.class_name is not None for sheet in kept):
            found.sort(key=lambda seen: seen.owner)
            return picture if matrix is None else np.asarray(_warped(picture, matrix), np.uint8), found


def box_of(mask: FloatImage) -> tuple[int, int, int, int] | None:
    """The tightest box round all pixels of at least ``SEEN_ALPHA``, or None where there is none."""
    solid = mask >= SEEN_ALPHA
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def aslant(width_px: int, height_px: int, *, turn: float) -> Matrix:
    """The perspective of a camera that looks along the train a little: the picture is magnified towards one side.

    Args:
        width_px: Of the picture; the result is filled by it.
        height_px: Of the picture.
        turn: How much less high the window is that fills the left (positive) or the right (negative) edge, a share below 1.
    """
    near = height_px * abs(turn) / 2
    left, right = (near, 0.0) if turn > 0 else (0.0, near)
    window = [[0, left], [width_px, right], [width_px, height_px - right], [0, height_px - left]]
    whole = [[0, 0], [width_px, 0], [width_px, height_px], [0, height_px]]
    return np.asarray(cv2.getPerspectiveTransform(np.array(window, np.float32), np.array(whole, np.float32)), np.float64)


def _warped(picture: NDArray[np.generic], matrix: Matrix) -> FloatImage:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _inside(shape: tuple[int, ...], matrix: Matrix | None) -> FloatImage:
    """1 for the pixels that the perspective keeps in the picture, (h, w)."""
    height, width = shape[:2]
    kept = np.ones((height, width), np.float32)
    if matrix is None:
        return kept
    return np.asarray(cv2.warpPerspective(kept, matrix, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP))


def _lay(background: Image, sheets: Sequence[Sheet], smear_px: int) -> tuple[Image, dict[int, FloatImage]]:
    """The picture, and for every vehicle its share in each pixel, before any perspective."""
    height, width = background.shape[:2]
    train = np.zeros((height, width, 4), np.float32)  # premultiplied; what moves is smeared as one
    masks: dict[int, FloatImage] = {}
    for sheet in sheets:
        if not sheet.moves:
            continue
        window = _window(sheet, width, height)
        if window is not None:
            rows, columns, colour, alpha = window
            train[rows, columns] *= 1 - alpha
            train[rows, columns, :3] += colour * alpha
            train[rows, columns, 3:] += alpha
            _cover(masks, rows, columns, alpha)
        if sheet.class_name is not None and sheet.owner is not None:
            masks[sheet.owner] = _alone(window, height, width)
    if smear_px > 1:
        # What leaves the picture at its edge is smeared in from nothing: the rim of a few pixels counts for less, as it should.
        train = np.asarray(cv2.blur(train, (smear_px, 1), borderType=cv2.BORDER_REPLICATE), np.float32)
        masks = {n: np.asarray(cv2.blur(m, (smear_px, 1), borderType=cv2.BORDER_REPLICATE)) for n, m in masks.items()}
    picture = background * (1 - train[..., 3:]) + train[..., :3]
    for sheet in sheets:
        window = None if sheet.moves else _window(sheet, width, height)
        if window is not None:
            rows, columns, colour, alpha = window
            picture[rows, columns] = picture[rows, columns] * (1 - alpha) + colour * alpha
            _cover(masks, rows, columns, alpha)
        if not sheet.moves and sheet.class_name is not None and sheet.owner is not None:
            masks[sheet.owner] = _alone(window, height, width)
    return np.clip(picture, 0, 255).astype(np.uint8), masks


Window = tuple[slice, slice, Image, FloatImage]


def _window(sheet: Sheet, width: int, height: int) -> Window | None:
    """Where a sheet meets the picture: rows, columns, its colours and its alpha (0 to 1) there."""
    h, w = sheet.picture.shape[:2]
    x0, y0, x1, y1 = max(0, sheet.x_px), max(0, sheet.y_px), min(width, sheet.x_px + w), min(height, sheet.y_px + h)
    if x1 <= x0 or y1 <= y0:
        return None
    part = sheet.picture[y0 - sheet.y_px : y1 - sheet.y_px, x0 - sheet.x_px : x1 - sheet.x_px]
    return slice(y0, y1), slice(x0, x1), part[..., :3], part[..., 3:].astype(np.float32) / np.float32(255)


def _cover(masks: dict[int, FloatImage], rows: slice, columns: slice, alpha: FloatImage) -> None:
    for mask in masks.values():
        mask[rows, columns] *= 1 - alpha[..., 0]


def _alone(window: Window | None, height: int, width: int) -> FloatImage:
    mask = np.zeros((height, width), np.float32)
    if window is not None:
        rows, columns, _, alpha = window
        mask[rows, columns] = alpha[..., 0]
    return mask
