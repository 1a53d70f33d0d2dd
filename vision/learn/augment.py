"""What is done to training pictures, so that the model has seen what rail videos suffer from.

    recompress      blocks and smeared colours of a video that was compressed again and again
    track_blur      smear along the track
    low_light       dusk and night, with grain
    snow rain fog   weather
    captions        captions, stickers, watermarks
    low_resolution  shrunk and enlarged
    vertical_crop   a video cut to stand upright
    letterbox       bars that belong to the video
    mirror          left for right

Albumentations' transforms and our own (`vision.learn.rail_transforms`), in the form that Ultralytics' trainer takes as
``augmentations=``. Mirroring is the trainer's own (``fliplr``) and stands here for the preview. A picture gets none or one of
them, rarely a recompression on top: one that nothing is done to is still the best example of most videos.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import cv2

from vision.errors import DependencyError, InputError

KINDS = ("none", "light", "rail")
"""How much is done: nothing; a quarter of the pictures, with what every repost has; half of them, with all there is."""

NAMES = (
    "recompress",
    "track_blur",
    "low_light",
    "snow",
    "rain",
    "fog",
    "captions",
    "low_resolution",
    "vertical_crop",
    "letterbox",
    "mirror",
)

# Share of each among the pictures to which something is done.
_SHARES: Mapping[str, Mapping[str, float]] = {
    "light": {"recompress": 0.4, "low_resolution": 0.2, "track_blur": 0.2, "captions": 0.2},
    "rail": {
        "recompress": 0.2,
        "track_blur": 0.12,
        "low_light": 0.12,
        "snow": 0.1,
        "rain": 0.06,
        "fog": 0.08,
        "captions": 0.12,
        "low_resolution": 0.1,
        "vertical_crop": 0.05,
        "letterbox": 0.05,
    },
}
_TOUCHED = {"light": 0.25, "rail": 0.45}
_RECOMPRESSED_AFTER = {"light": 0.0, "rail": 0.12}


def transforms(kind: str) -> list[Any]:
    """Albumentations' transforms of a kind, for Ultralytics' ``augmentations=``; an empty list for ``none``.

    Args:
        kind: One of `KINDS`.

    Raises:
        InputError: There is no such kind.
        DependencyError: Albumentations is not installed.
    """
    if kind not in KINDS:
        raise InputError(f"no augmentation is called {kind!r}", hint=f"known are {', '.join(KINDS)}")
    if kind == "none":
        return []
    library = import_albumentations()
    some = library.OneOf([transform(name, p=share) for name, share in _SHARES[kind].items()], p=_TOUCHED[kind])
    after = _RECOMPRESSED_AFTER[kind]
    return [some, transform("recompress", p=after)] if after else [some]


def transform(name: str, *, p: float = 1.0) -> Any:
    """One transform by name.

    Args:
        name: One of `NAMES`.
        p: Probability, or its weight in a choice.

    Raises:
        InputError: There is no such transform.
        DependencyError: Albumentations is not installed.
    """
    if name not in NAMES:
        raise InputError(f"no transform is called {name!r}", hint=f"known are {', '.join(NAMES)}")
    library = import_albumentations()
    from vision.learn import rail_transforms as own  # noqa: PLC0415

    smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    made: dict[str, Callable[[], Any]] = {
        "recompress": lambda: own.Recompress(p=p),
        "track_blur": lambda: own.TrackBlur(p=p),
        "low_light": lambda: own.LowLight(p=p),
        "snow": lambda: own.Snowfall(p=p),
        "rain": lambda: library.RandomRain(slant_range=(-12, 12), brightness_coefficient=0.85, blur_value=3, p=p),
        "fog": lambda: own.Haze(p=p),
        "captions": lambda: own.Captions(p=p),
        "low_resolution": lambda: library.Downscale(scale_range=(0.25, 0.6), interpolation_pair=smooth, p=p),
        "vertical_crop": lambda: own.VerticalCrop(p=p),
        "letterbox": lambda: own.LetterboxBars(p=p),
        "mirror": lambda: library.HorizontalFlip(p=p),
    }
    return made[name]()


def import_albumentations() -> ModuleType:
    """Albumentations, imported so that it asks no server for its newest version.

    Raises:
        DependencyError: It is not installed.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    try:
        import albumentations  # noqa: PLC0415

        from vision.learn import rail_transforms  # noqa: F401, PLC0415  (a checkpoint's transforms are found by their class)
    except ImportError as error:
        raise DependencyError(f"augmentation needs the train extra: {error}", hint='pip install "flatcar[train]"') from error
    return albumentations  # type: ignore[no-any-return]
