"""What weather, canvas and light do to pictures of vehicles: colours that fit the scene, tarpaulins, snow, dirt.

Pictures are (h, w, 4) uint8 BGRA with straight alpha; a vehicle stands on the last row.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.paint import Colour, Image, layered_noise, noise, weathered

FloatImage = NDArray[np.float32]

_CANVAS: tuple[Colour, ...] = (
    (58, 82, 78),
    (76, 100, 98),
    (52, 70, 62),
    (96, 104, 106),
    (48, 52, 54),
    (84, 112, 128),
    (70, 88, 112),
    (122, 116, 104),
)
"""Green, olive, grey, black, sand, brown and faded blue."""

_MUD: tuple[Colour, ...] = ((70, 90, 105), (60, 74, 88), (110, 118, 124))
_SNOW = np.array((232, 226, 222), np.float32)
_PAINT_GREY = 92.0
"""Mean L (8-bit Lab) of army paint on an overcast day."""


@dataclass(frozen=True, slots=True, repr=False)
class Light:
    """The light of a scene, taken from its background.

    Attributes:
        mean: (3,) L, a, b that a vehicle has in this light, 8-bit Lab.
        contrast: Deviation of a vehicle's L.
        gain: How much brighter or darker than by day what was painted for the day is.
        cast: (2,) how far a and b move.
        snow: Cover, 0 to 1.
    """

    mean: FloatImage
    contrast: float
    gain: float
    cast: FloatImage
    snow: float = 0.0

    @staticmethod
    def of(background: Image, rng: np.random.Generator, *, snow: float = 0.0) -> Light:
        """The light of a picture (h, w, 3) BGR, with some play."""
        mean, _ = lab_statistics(background)
        level = float(np.clip(0.45 * mean[0] + 0.55 * _PAINT_GREY + rng.normal(0, 9), 40, 150))
        colour = 128 + 0.5 * (mean[1:] - 128)
        return Light(
            mean=np.array([level, *colour], np.float32),
            contrast=40 * float(rng.uniform(0.8, 1.15)),
            gain=float(np.clip(level / 100, 0.5, 1.35)),
            cast=np.clip(0.35 * (mean[1:] - 128), -5, 6).astype(np.float32),
            snow=snow,
        )

    def lit(self, picture: Image) -> Image:
        """A picture painted for the day (a wagon) in this light; alpha stays."""
        lab = _lab(picture)
        lab[..., 0] *= np.float32(self.gain)
        lab[..., 1:] += self.cast
        return _with_lab(picture, lab)


def lab_statistics(picture: Image, weight: NDArray[np.bool_] | None = None) -> tuple[FloatImage, FloatImage]:
    """Mean and deviation of L, a, b (8-bit Lab), each of shape (3,).

    Args:
        picture: BGR or BGRA.
        weight: (h, w), which pixels count; None for all.
    """
    # A grid of some thousand pixels says as much as all of them.
    step = max(1, int(np.sqrt(picture.shape[0] * picture.shape[1] / 8192)))
    lab = _lab(picture[::step, ::step]).reshape(-1, 3)
    if weight is not None and weight[::step, ::step].any():
        lab = lab[weight[::step, ::step].ravel()]
    return lab.mean(axis=0), lab.std(axis=0)


def harmonised(picture: Image, mean: FloatImage, contrast: float, *, share: float) -> Image:
    """Move a picture's colours towards those of a scene, after Reinhard: mean and contrast in Lab; alpha stays.

    Args:
        picture: BGRA.
        mean: (3,) L, a, b to move to.
        contrast: Deviation of L to move to.
        share: 0 leaves the colours, 1 takes the scene's, but no more than its cast.
    """
    solid = picture[..., 3] > 128
    if not solid.any():
        return picture
    own_mean, own_deviation = lab_statistics(picture, solid)
    lab = _lab(picture)
    # Paint keeps its hue: the cast moves by a few units, the brightness by as much as is asked for.
    move = np.clip(mean - own_mean, (-60, -7, -9), (60, 7, 9)).astype(np.float32) * np.float32(share)
    stretch = np.clip(contrast / max(1.0, float(own_deviation[0])), 0.75, 1.3) ** share
    lab[..., 0] = (lab[..., 0] - own_mean[0]) * np.float32(stretch) + own_mean[0]
    return _with_lab(picture, lab + move)


def varied(picture: Image, rng: np.random.Generator) -> Image:
    """The same vehicle on another day: brightness, hue and saturation drawn anew; alpha stays."""
    hsv = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_BGR2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.normal(0, 5)) % 180
    hsv[..., 1] *= rng.uniform(0.55, 1.25)
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** np.float32(rng.uniform(0.8, 1.3))
    return np.dstack([cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR), picture[..., 3]])


def resized(picture: Image, width_px: int, height_px: int) -> Image:
    """The picture at another size; colour is weighed by alpha, so that what lay behind an edge does not bleed in."""
    way = cv2.INTER_AREA if width_px < picture.shape[1] else cv2.INTER_LINEAR
    return _unmultiplied(cv2.resize(_multiplied(picture), (max(1, width_px), max(1, height_px)), interpolation=way))


def softened(picture: Image, sigma_px: float) -> Image:
    """The picture out of focus, edges and all."""
    return picture if sigma_px <= 0 else _unmultiplied(cv2.GaussianBlur(_multiplied(picture), (0, 0), sigma_px))


def dirtied(picture: Image, rng: np.random.Generator, *, strength: float) -> Image:
    """Blotches, and road dirt that thickens towards the bottom; ``strength`` 0 to 1."""
    if strength <= 0 or min(picture.shape[:2]) < 4:
        return picture
    mud = _MUD[int(rng.integers(len(_MUD)))]
    dirty = weathered(picture, rng, grain_px=max(3.0, picture.shape[1] / 6), strength=0.06, dirt=mud)
    return np.asarray(cv2.addWeighted(dirty, strength, picture, 1 - strength, 0), dtype=np.uint8)


def snowed(picture: Image, rng: np.random.Generator, *, depth_px: float, amount: float = 1.0) -> Image:
    """Snow on what faces up: a cap along the upper outline, and patches where a bright ledge lies over a dark side.

    Args:
        picture: BGRA; alpha stays.
        rng: Where the patches lie.
        depth_px: Thickness of the cap.
        amount: 0 to 1.
    """
    alpha = picture[..., 3].astype(np.float32) / 255
    height, width = alpha.shape
    step = max(1, min(round(depth_px), height - 1))
    if height < 3 or amount <= 0:
        return picture
    above = np.vstack([np.zeros((step, width), np.float32), alpha[:-step]])
    grey = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_BGR2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), 1)
    lower = np.vstack([np.repeat(grey[:1], min(2 * step, height), axis=0), grey])[:height]
    ledge = np.clip((grey - lower) / 40, 0, 1) * np.linspace(1, 0.2, height, dtype=np.float32)[:, None]
    patches = 0.75 + 0.35 * layered_noise(rng, height, width, grain_px=max(2.0, width / 10), octaves=3)
    share = np.clip((np.clip(alpha - above, 0, 1) + 0.6 * ledge) * patches * amount, 0, 0.95)
    share = cv2.GaussianBlur(share, (0, 0), 0.7)[..., None]
    colour = picture[..., :3].astype(np.float32) * (1 - share) + _SNOW * share
    return np.dstack([np.clip(colour, 0, 255).astype(np.uint8), picture[..., 3]])


def draped(picture: Image, rng: np.random.Generator) -> Image:
    """Hide a vehicle under a tarpaulin that hangs over its outline; wheels may show below the hem.

    Args:
        picture: BGRA, at least some 100 px wide for its folds to be seen.
        rng: Colour, hem and folds.

    Returns:
        BGRA, wider on both sides and higher by a small margin, standing on the last row.
    """
    pad = max(2, picture.shape[1] // 40)
    source = np.pad(picture, ((pad, 0), (pad, pad), (0, 0)))
    tent = _tent((source[..., 3] > 100).astype(np.uint8), rng)
    rows, columns = tent.shape
    hem = rows * (1 - rng.uniform(0.0, 0.3)) + 0.02 * rows * noise(rng, 2, columns, grain_px=max(3.0, columns / 9))[0]
    cloth = ((tent > 0) & (np.arange(rows)[:, None] <= hem[None])).astype(np.float32)
    alpha = cv2.GaussianBlur(cloth, (0, 0), 0.8)[..., None]
    under = source[..., 3:].astype(np.float32) / 255
    # Below the hem the vehicle's own feet stand in the canvas' shade.
    feet = source[..., :3].astype(np.float32) * np.float32(0.6)
    whole = alpha + under * (1 - alpha)
    mixed = (_cloth(source, tent, rng) * alpha + feet * under * (1 - alpha)) / np.maximum(whole, 1e-3)
    return np.asarray(np.clip(np.dstack([mixed, whole * 255]), 0, 255), dtype=np.uint8)


def _tent(solid: Image, rng: np.random.Generator) -> Image:
    """The outline of canvas over a vehicle (h, w), 0 or 1: hollows along the top are bridged, thin barrels stay out."""
    rows, columns = solid.shape
    thin = max(3, round(0.07 * rows)) | 1
    body = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((thin, thin), np.uint8))
    body = body if body.any() else solid
    inside = np.flatnonzero(body.any(axis=0))
    if not len(inside):
        return solid
    top = np.full(columns, rows, np.float32)
    top[inside] = body[:, inside].argmax(axis=0)
    # Canvas spans the hollows between high points: rows count downwards, so that an opening lifts them.
    span = max(3, round(columns * rng.uniform(0.06, 0.22))) | 1
    taut = cv2.morphologyEx(top[None], cv2.MORPH_OPEN, np.ones((1, span), np.uint8))
    taut = cv2.GaussianBlur(taut, (0, 0), max(1.0, span / 5))[0]
    tent: Image = (np.arange(rows)[:, None] >= np.minimum(taut, top)[None] - 1).astype(np.uint8)
    tent[:, : inside[0]] = 0
    tent[:, inside[-1] + 1 :] = 0
    return tent


def _cloth(source: Image, tent: Image, rng: np.random.Generator) -> FloatImage:
    """Canvas with folds, lit from above, that follows what lies under it; (h, w, 3) float BGR."""
    rows, columns = tent.shape
    base = np.array(_CANVAS[int(rng.integers(len(_CANVAS)))], np.float32) * np.float32(rng.uniform(0.75, 1.25))
    # Folds hang: long down the cloth, narrow along it, somewhat aslant.
    across = max(3.0, columns * rng.uniform(0.02, 0.06))
    folds = cv2.resize(layered_noise(rng, max(4, rows // 6), columns, grain_px=across, octaves=3), (columns, rows))
    slant = float(rng.uniform(-0.6, 0.6))
    lean = np.array([[1, slant, -slant * rows / 2], [0, 1, 0]], np.float32)
    folds = cv2.warpAffine(folds, lean, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    creases = np.abs(layered_noise(rng, rows, columns, grain_px=max(4.0, columns / 8), octaves=3))
    depth = cv2.distanceTransform(np.pad(tent, ((1, 0), (1, 1))), cv2.DIST_L2, 3)[1:, 1:-1]
    crown = np.exp(-depth / max(2.0, 0.10 * rows))
    solid = source[..., 3] >= 100
    grey = cv2.cvtColor(np.ascontiguousarray(source[..., :3]), cv2.COLOR_BGR2GRAY).astype(np.float32)
    grey[~solid] = float(grey[solid].mean()) if solid.any() else 90.0
    shape = cv2.GaussianBlur(grey, (0, 0), max(1.5, 0.03 * columns))
    shape = (shape - shape.mean()) / max(8.0, float(shape.std()))
    down = np.linspace(0.14, -0.18, rows, dtype=np.float32)[:, None]
    light = 1 + down + 0.22 * crown + 0.10 * folds - 0.09 * np.exp(-((creases / 0.12) ** 2)) + 0.10 * shape
    grain = 1 + 0.025 * rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(base[None, None] * (light * grain)[..., None], dtype=np.float32)


def _lab(picture: Image) -> FloatImage:
    bgr = np.ascontiguousarray(picture[..., :3])
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB), dtype=np.float32)


def _with_lab(picture: Image, lab: FloatImage) -> Image:
    bgr = cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR)
    return np.asarray(np.dstack([bgr, picture[..., 3:]]) if picture.shape[2] == 4 else bgr, dtype=np.uint8)


def _multiplied(picture: Image) -> FloatImage:
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.dstack([picture[..., :3] * alpha, alpha])


def _unmultiplied(stacked: FloatImage) -> Image:
    colour = stacked[..., :3] / np.maximum(stacked[..., 3:], 1e-3)
    return np.asarray(np.clip(np.dstack([colour, stacked[..., 3:] * 255]), 0, 255), dtype=np.uint8)
