"""Small pictures of single vehicles, the evidence behind a row."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.run.store import RunFolder, atomic_write

JPEG_QUALITY = 85
PADDING = 0.15
LONGEST_SIDE_PX = 400

# The beginning is that of the video's hash: by it a forced scan knows its own pictures, see vision.run.store.
_NAME = re.compile(r"[0-9a-f]{8}-[\w.-]+")


def write_crop(
    run: RunFolder, bgr: NDArray[np.uint8], xyxy_px: tuple[float, float, float, float], name: str, *, folder: str = "crops"
) -> str | None:
    """Cut a vehicle out of its frame with some room around it, and store it as a JPEG.

    Args:
        run: The run folder, locked for writing.
        bgr: (height, width, 3) uint8, the upright full frame.
        xyxy_px: The box on it; it may reach over the edge.
        name: File name without suffix, see ``vision.run.tables.crop_name``.
        folder: Where in the run.

    Returns:
        The path relative to the run folder, or None where no pixel of the box lies in the picture.

    Raises:
        ValueError: The picture or the name has not the expected form.
        OutputError: The run folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name for a crop: {name!r}")
    crop = cut(bgr, xyxy_px)
    if crop is None:
        return None
    (run.path / folder).mkdir(parents=True, exist_ok=True)
    atomic_write(run.path / folder / f"{name}.jpg", jpeg(crop, quality=JPEG_QUALITY))
    return f"{folder}/{name}.jpg"


def cut(bgr: NDArray[np.uint8], xyxy_px: tuple[float, float, float, float]) -> NDArray[np.uint8] | None:
    """The part of a picture inside a box padded by 15 % of its size on each side, at most 400 px long; None where nothing is.

    Raises:
        ValueError: ``bgr`` is not (height, width, 3) uint8.
    """
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise ValueError(f"a picture is (height, width, 3) uint8, not {bgr.dtype}{bgr.shape}")
    height_px, width_px = bgr.shape[:2]
    x0, y0, x1, y1 = xyxy_px
    # Also false for NaN.
    if not (min(x1, width_px) > max(x0, 0) and min(y1, height_px) > max(y0, 0)):
        return None
    pad_x, pad_y = PADDING * (x1 - x0), PADDING * (y1 - y0)
    left, top = max(0, int(np.floor(x0 - pad_x))), max(0, int(np.floor(y0 - pad_y)))
    right, bottom = int(np.ceil(min(width_px, x1 + pad_x))), int(np.ceil(min(height_px, y1 + pad_y)))
    part = bgr[top:bottom, left:right]
    scale = LONGEST_SIDE_PX / max(part.shape[:2])
    if scale < 1:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return part


def jpeg(bgr: NDArray[np.uint8], *, quality: int) -> bytes:
    """A picture, (height, width, 3) uint8, as the bytes of a JPEG file.

    Raises:
        ValueError: It cannot be encoded: JPEG holds at most 65500 px a side.
    """
    try:
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise ValueError(f"cannot encode a picture of shape {bgr.shape}: {error}") from error
    if not done:
        raise ValueError(f"cannot encode a picture of shape {bgr.shape}")
    return bytes(data.tobytes())
