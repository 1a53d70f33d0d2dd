"""False alarms where nobody labelled anything: pictures and videos that are known to hold no military vehicle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vision.config import VideoConfig
from vision.detect.objects import LOWEST_SCORE, pool_objects
from vision.errors import FlatcarError, InputError
from vision.learn.evaluation.operating import FalseAlarms
from vision.learn.evaluation.predict import BATCH, Detects, Image, Progress, known_classes, look
from vision.learn.pictures import PICTURE_SUFFIXES, find_pictures, read_picture
from vision.taxonomy import Taxonomy
from vision.video import VIDEO_SUFFIXES, VideoReader

PICTURES_A_SECOND = 5.0
"""How many frames of a video are looked at: neighbours show the same thing."""


@dataclass(frozen=True)
class Civil:
    """False alarms in one folder.

    Attributes:
        name: Its name.
        videos: How many of the files are videos; their frames are pictures.
        alarms: What was seen there.
        worst: File (with the time of a frame) and score of the surest false object, None without any.
        unreadable: File and reason of each that could not be used.
    """

    name: str
    videos: int
    alarms: FalseAlarms
    worst: tuple[str, float] | None
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


def civil_alarms(detector: Detects, folder: Path, min_score: float, tree: Taxonomy, *, progress: Progress | None = None) -> Civil:
    """Count military objects on everything in a folder.

    Args:
        detector: Gives boxes down to ``LOWEST_SCORE`` at least.
        folder: Pictures and videos, in folders below, too; or one file.
        min_score: Score from which a pooled object counts.
        tree: The class tree.
        progress: Called after each file.

    Raises:
        InputError: There is nothing to look at.
    """
    pictures, videos = check_civil(folder)
    names = known_classes(detector.class_names, tree)
    counts: list[int] = []
    unreadable: list[tuple[str, str]] = []
    worst: tuple[str, float] | None = None
    for label, images in _batches(folder, pictures, videos, unreadable, progress):
        for name, found in zip(label, look(detector, images), strict=True):
            objects = pool_objects(found, names, min_score=max(min_score, LOWEST_SCORE))
            scores = [float(s) for s, c in zip(objects.score, objects.class_id, strict=True) if tree.is_military(names[c])]
            counts.append(len(scores))
            if scores and (worst is None or max(scores) > worst[1]):
                worst = name, max(scores)
    if not counts:
        name, why = unreadable[0]
        raise InputError(f"nothing in {folder} can be read; the first, {name}: {why}")
    return Civil(folder.name or str(folder), len(videos), FalseAlarms.of(counts, min_score), worst, tuple(unreadable))


def _batches(
    folder: Path, pictures: list[Path], videos: list[Path], unreadable: list[tuple[str, str]], progress: Progress | None
) -> Iterator[tuple[list[str], list[Image]]]:
    """Names and pictures, some at a time; what cannot be read goes into ``unreadable``."""
    names: list[str] = []
    images: list[Image] = []
    for done, path in enumerate((*pictures, *videos), start=1):
        short = path.relative_to(folder).as_posix() if path != folder else path.name
        try:
            for name, image in _images(path, short, is_video=path in videos):
                names.append(name)
                images.append(image)
                if len(images) == BATCH:
                    yield names, images
                    names, images = [], []
        except FlatcarError as error:
            unreadable.append((short, error.message))
        if progress is not None:
            progress(done, len(pictures) + len(videos))
    if images:
        yield names, images


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
