"""The registered strip of each train as stored: the picture, and beside it where it lies along the train."""

from __future__ import annotations

import json

import cv2
import numpy as np

from vision.errors import TruthError
from vision.motion.strip import Strip
from vision.run.crops import jpeg
from vision.run.store import RunFolder, atomic_write
from vision.run.tables import strip_path

JPEG_QUALITY = 88


def save_strip(run: RunFolder, train_id: str, strip: Strip, *, px_per_m: float | None = None) -> str:
    """Store a strip as ``strips/<train_id>.jpg`` and its place as ``.json``; nothing is drawn on it.

    Args:
        run: The run folder, locked for writing.
        train_id: See ``vision.run.tables.train_ids``.
        strip: As registered.
        px_per_m: Scale at the train, full-frame pixels per metre, where it is known.

    Returns:
        The path of the picture relative to the run folder.

    Raises:
        ValueError: The picture cannot be a JPEG: a side of 0, or of more than 65500 px.
        OutputError: The run folder cannot be written.
    """
    path = run.path / strip_path(train_id)
    path.parent.mkdir(exist_ok=True)
    place = {"origin_px": strip.origin_px, "scale": strip.scale, "top_px": strip.top_px, "px_per_m": px_per_m}
    # The picture last: where it is, its place is too.
    atomic_write(
        path.with_suffix(".json"), json.dumps({name: v if v is None else float(v) for name, v in place.items()}).encode()
    )
    atomic_write(path, jpeg(strip.picture, quality=JPEG_QUALITY))
    return strip_path(train_id)


def load_strip(run: RunFolder, train_id: str) -> tuple[Strip, float | None] | None:
    """A stored strip and its full-frame pixels per metre (None where unknown), or None where no strip is stored.

    Raises:
        TruthError: What is stored is damaged.
    """
    path = run.path / strip_path(train_id)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        place = json.loads(path.with_suffix(".json").read_bytes())
        px_per_m = place.pop("px_per_m")
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if picture is None:
            raise ValueError("not a picture")
        return Strip(np.asarray(picture, np.uint8), **{name: float(v) for name, v in place.items()}), px_per_m
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, cv2.error) as error:
        raise TruthError(f"the strip {path} is damaged: {error}", hint="remove it and scan again") from error
