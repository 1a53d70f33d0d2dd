"""Pictures with boxes, and the files behind them.

A picture is always taken upright: a rotation that its EXIF data asks for is applied, as every viewer and the trainer do.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vision.errors import DependencyError, InputError

Image = npt.NDArray[np.uint8]
View = Literal["ground", "high", "unknown"]

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

# Bytes; file systems allow 255, and a suffix is to come. A quarter of it in letters fits whatever the script.
_LONGEST_NAME = 220

UPRIGHT = 1
"""EXIF orientation of a picture that is stored as it is to be seen."""

_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Box:
    """One box of a picture, in fractions of its width and height.

    Attributes:
        leaf: Class of the taxonomy, or None for an ignore region.
        cxcywh: Centre x, centre y, width, height, each 0 to 1.
        view: Seen from the ground or from high (a drone).
        model: Intact and named for sure: the vehicle may be cut out and set into composed pictures.
    """

    leaf: str | None
    cxcywh: tuple[float, float, float, float]
    view: View = "unknown"
    model: bool = True

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, in fractions, cut to the picture."""
        cx, cy, w, h = self.cxcywh
        return max(cx - w / 2, 0.0), max(cy - h / 2, 0.0), min(cx + w / 2, 1.0), min(cy + h / 2, 1.0)


@dataclass(frozen=True)
class Picture:
    """One picture of a collection.

    Attributes:
        source: Name of the collection.
        file: Path inside the collection, with forward slashes: the picture's identity with ``source``.
        path: Where it lies on this machine.
        boxes: Its boxes; empty for a picture without any vehicle.
        published: Side the collection's author put it on (``train`` or ``valid``), or None.
        view: View of the picture as a whole.
        clip: What it was taken from (a clip, a train), or None: pictures of one clip stay on one side.
        licence: Terms it may be used under, as the description states them.
    """

    source: str
    file: str
    path: Path
    boxes: tuple[Box, ...] = ()
    published: str | None = None
    view: View = "unknown"
    clip: str | None = None
    licence: str = ""

    @property
    def name(self) -> str:
        """A flat file name without suffix, unique over all collections; a very long one ends in a hash."""
        name = f"{self.source}__{Path(self.file).with_suffix('').as_posix().replace('/', '__')}"
        if len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME:
            return name
        return f"{name[: _LONGEST_NAME // 4]}__{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True)
class PictureHead:
    """What a picture's first bytes say.

    Attributes:
        width_px, height_px: Size as seen, upright.
        orientation: EXIF orientation, 1 to 8; 1 is upright as stored.
    """

    width_px: int
    height_px: int
    orientation: int = UPRIGHT

    @property
    def stored_px(self) -> tuple[int, int]:
        """Width and height of the stored pixels: swapped where the picture is turned by a quarter."""
        upright = (self.width_px, self.height_px)
        return upright if self.orientation < 5 else upright[::-1]


def picture_head(path: Path) -> PictureHead:
    """Size and orientation of a picture, without decoding it.

    Raises:
        InputError: It is missing, empty or no picture.
        DependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image as Pillow  # noqa: PLC0415
        from PIL import UnidentifiedImageError  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("reading the size of pictures needs Pillow", hint="install flatcar[train]") from error
    try:
        with _quiet_about_size(), Pillow.open(path) as image:
            width_px, height_px = image.size
            orientation = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    except (UnidentifiedImageError, ImportError) as error:
        # Ultralytics puts an opener of its own in Pillow's place, which asks for a missing library where a picture is none.
        raise InputError(f"cannot read the picture {path}: {_why_unreadable(path)}") from error
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise InputError(f"cannot read the picture {path}: {_why_unreadable(path, error)}") from error
    if not isinstance(orientation, int) or not UPRIGHT <= orientation <= 8:
        orientation = UPRIGHT
    return PictureHead(*((width_px, height_px) if orientation < 5 else (height_px, width_px)), orientation)


def read_picture(path: Path, *, reduced: bool = False) -> Image:
    """A picture, upright, H x W x 3, uint8, BGR.

    Args:
        path: The file.
        reduced: At a quarter of its size, which a JPEG decodes faster.

    Raises:
        InputError: It is missing, empty or cannot be decoded; the message says which.
    """
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        # Not imread: that cannot open every file name on every system.
        image = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_4 if reduced else cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise InputError(f"cannot read the picture {path}: {_why_unreadable(path, error)}") from error
    except cv2.error as error:
        raise InputError(f"cannot read the picture {path}: {_why_unreadable(path)}") from error
    if image is None:
        raise InputError(f"cannot read the picture {path}: {_why_unreadable(path)}")
    return np.asarray(image, dtype=np.uint8)


def check_whole(path: Path) -> None:
    """Find out whether a picture is cut off: OpenCV fills what is missing with grey and says nothing.

    Without Pillow nothing is checked.

    Raises:
        InputError: It is.
    """
    try:
        from PIL import Image as Pillow  # noqa: PLC0415
    except ImportError:
        return
    try:
        with _quiet_about_size(), Pillow.open(path) as image:
            image.draft("L", (1, 1))  # a JPEG is read to its end, but only an eighth of it computed
            image.load()
    except (OSError, SyntaxError, ValueError, ImportError, Pillow.DecompressionBombError) as error:
        why = "it is cut off" if "truncated" in str(error) else _why_unreadable(path, error)
        raise InputError(f"cannot read the picture {path}: {why}") from error


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted; hidden ones are passed over."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


@contextmanager
def _quiet_about_size() -> Iterator[None]:
    """Pillow warns of large pictures, in several lines; really absurd ones it refuses, and that is noted as an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*decompression bomb.*")
        yield


def _why_unreadable(path: Path, error: Exception | None = None) -> str:
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, or no picture"
