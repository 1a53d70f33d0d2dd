"""False alarms where nobody labelled anything: pictures and videos that are known to hold no military vehicle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vision.config import VideoConfig
from vision.detect.objects import LOWEST_SCORE, pool_objects
from vision.errors import FlatcarError, InputError
from vision.learn.evaluation.operating import FalseAlarms
from vision.learn.evaluation.predict import BATCH, Detects, Image, Progress, known_classes, look
from vision.learn.evaluation.worst import thumbnail
from vision.learn.pictures import PICTURE_SUFFIXES, find_pictures, read_picture
from vision.taxonomy import Taxonomy
from vision.types import Detections
from vision.video import VIDEO_SUFFIXES, VideoReader

PICTURES_A_SECOND = 5.0
"""How many frames of a video are looked at: neighbours show the same thing."""


@dataclass(frozen=True)
class FalsePicture:
    """A picture with false military objects.

    Attributes:
        name: File, with the time of a frame.
        score: Score of the surest.
        width_px, height_px: Size of the picture.
        objects: Class, score and box of each.
        thumbnail: A small JPEG as a data URI.
    """

    name: str
    score: float
    width_px: int
    height_px: int
    objects: tuple[tuple[str, float, tuple[float, ...]], ...]
    thumbnail: str


@dataclass(frozen=True)
class Civil:
    """False alarms in one folder.

    Attributes:
        name: Its name.
        videos: How many of the files are videos; their frames are pictures.
        alarms: What was seen there.
        worst: Pictures with the surest false objects, at most one of a file.
        unreadable: File and reason of each that could not be used.
    """

    name: str
    videos: int
    alarms: FalseAlarms
    worst: tuple[FalsePicture, ...]
    unreadable: tuple[tuple[str, str], ...]


def check_civil(folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures and videos below a folder, or the file itself.

    Raises:
        InputError: There is no such folder, or it holds neither.
    """
    if not folder.exists():
        raise InputError(f"no such file or folder: {folder}", hint="check the spelling")
    if folder.is_file():
        pictures = [folder] if folder.suffix.lower() in PICTURE_SUFFIXES else []
        videos = [] if pictures else [folder]
    else:
        pictures = find_pictures(folder)
        videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not pictures and not videos:
        raise InputError(f"{folder} holds neither pictures nor videos", hint="give a folder of civil pictures or clips")
    return pictures, videos


def civil_alarms(
    detector: Detects,
    folder: Path,
    min_score: float,
    tree: Taxonomy,
    *,
    limit: int = 12,
    progress: Progress | None = None,
) -> Civil:
    """Count military objects on everything in a folder.

    Args:
        detector: Gives boxes down to ``LOWEST_SCORE`` at least.
        folder: Pictures and videos, in folders below, too; or one file.
        min_score: Score from which a pooled object counts.
        tree: The class tree.
        limit: How many of the worst pictures to keep.
        progress: Called after each file.

    Raises:
        InputError: There is nothing to look at.
    """
    pictures, videos = check_civil(folder)
    names = known_classes(detector.class_names, tree)
    counts: list[int] = []
    unreadable: list[tuple[str, str]] = []
    worst: dict[Path, FalsePicture] = {}
    for given in _batches(folder, pictures, videos, unreadable, progress):
        for (file, name, image), found in zip(given, look(detector, [image for _, _, image in given]), strict=True):
            pooled = pool_objects(found, names, min_score=max(min_score, LOWEST_SCORE))
            objects = pooled[np.array([tree.is_military(names[c]) for c in pooled.class_id], dtype=bool)]
            counts.append(len(objects))
            if len(objects) and (file not in worst or objects.score[0] > worst[file].score):
                worst[file] = _false_picture(name, image, objects, names)
                _drop_the_least(worst, limit)
    if not counts:
        name, why = unreadable[0]
        raise InputError(f"nothing in {folder} can be read; the first, {name}: {why}")
    ordered = tuple(sorted(worst.values(), key=lambda p: (-p.score, p.name)))
    return Civil(folder.name or str(folder), len(videos), FalseAlarms.of(counts, min_score), ordered, tuple(unreadable))


def _false_picture(name: str, image: Image, objects: Detections, names: Sequence[str]) -> FalsePicture:
    rows = zip(objects.class_id.tolist(), objects.score.tolist(), objects.xyxy_px.tolist(), strict=True)
    seen = tuple((names[c], float(score), tuple(box)) for c, score, box in rows)
    return FalsePicture(name, seen[0][1], image.shape[1], image.shape[0], seen, thumbnail(image))


def _drop_the_least(worst: dict[Path, FalsePicture], limit: int) -> None:
    if len(worst) > limit:
        del worst[min(worst, key=lambda file: worst[file].score)]


def _batches(
    folder: Path, pictures: list[Path], videos: list[Path], unreadable: list[tuple[str, str]], progress: Progress | None
) -> Iterator[list[tuple[Path, str, Image]]]:
    """Files, names and pictures, some at a time; what cannot be read goes into ``unreadable``."""
    given: list[tuple[Path, str, Image]] = []
    for done, path in enumerate((*pictures, *videos), start=1):
        short = path.relative_to(folder).as_posix() if path != folder else path.name
        try:
            for name, image in _images(path, short, is_video=done > len(pictures)):
                given.append((path, name, image))
                if len(given) == BATCH:
                    yield given
                    given = []
        except FlatcarError as error:
            unreadable.append((short, error.message))
        if progress is not None:
            progress(done, len(pictures) + len(videos))
    if given:
        yield given


def _images(path: Path, short: str, *, is_video: bool) -> Iterator[tuple[str, Image]]:
    if not is_video:
        yield short, read_picture(path)
        return
    next_s = 0.0
    with VideoReader(path, VideoConfig()) as reader:
        for frame in reader:
            if frame.pts_s >= next_s - 1e-6:
                yield f"{short} at {frame.pts_s:.2f} s", frame.bgr()
                next_s = frame.pts_s + 1.0 / PICTURES_A_SECOND
