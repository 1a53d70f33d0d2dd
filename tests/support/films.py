"""Simulated clips and a detector that knows them by their pixels: scans of real files whose counts are exactly known."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.config import VideoConfig
from vision.detect.base import Detector, Picture, check_picture
from vision.errors import DetectorError
from vision.run.store import TABLE_FORMATS, TABLES
from vision.synth.drawn import DrawnAssets
from vision.synth.encode import write_clip
from vision.synth.render import Renderer, SceneTruth
from vision.synth.scene import Heading, Knots, Load, SceneSpec, TrainSpec, Wagon
from vision.synth.scripted import ScriptedDetector
from vision.types import Detections
from vision.video import VideoReader

TimedFrame = tuple[float, NDArray[np.uint8]]
CLASSES = tuple(ScriptedDetector(SceneTruth(64, 64, (0, 0, 64, 64), np.zeros(1), np.zeros(1), np.zeros(1), ())).class_names)
PX_PER_M = 8.0
FLATCAR_M = 14.62


# ---- Scenes -----------------------------------------------------------------------------------------------------------------


def train(
    *classes: str,
    heading: Heading = "left",
    speed_m_s: float = 15.0,
    entry_s: float = 0.6,
    locomotive: bool = True,
) -> TrainSpec:
    """A locomotive and a flatcar for each class, with one vehicle in its middle."""
    wagons = [Wagon("locomotive", 17.0, appearance=3)] if locomotive else []
    for number, name in enumerate(classes):
        wagons.append(Wagon("flatcar", FLATCAR_M, (Load(name, FLATCAR_M / 2, 7.0, appearance=10 + number),), appearance=number))
    return TrainSpec(tuple(wagons), heading, PX_PER_M, 130.0, Knots(((0.0, speed_m_s),)), entry_s)


def standing(*classes: str) -> TrainSpec:
    """A train that has come to rest well inside the picture before the video begins."""
    way_m = 12.0 + FLATCAR_M * len(classes)
    speed = Knots(((-10.0, 10.0), (-0.2, 10.0), (-0.1, 0.0)))
    still = TrainSpec(train(*classes, locomotive=False).wagons, "left", PX_PER_M, 130.0, speed, -0.15)
    # Integrals are exact, so it comes to rest where the way says: go back in time until it has gone so far.
    return replace(still, entry_s=-0.15 - way_m / 10.0)


def scene_of(*trains: TrainSpec, duration_s: float, seed: int = 5, fps: float = 25.0) -> SceneSpec:
    """480 x 180, a fixed camera."""
    return SceneSpec(seed, 480, 180, fps, duration_s, trains, horizon_px=85.0)


def passing(*classes: str, seed: int = 5, fps: float = 25.0, **how: object) -> SceneSpec:
    """One train that passes wholly."""
    spec = train(*classes, **how)  # type: ignore[arg-type]
    duration_s = spec.entry_s + (spec.length_m + 480 / PX_PER_M) / float(spec.speed_m_s.at(0.0)) + 0.6
    return scene_of(spec, duration_s=duration_s, seed=seed, fps=fps)


def frames_of(spec: SceneSpec, *, start_s: float = 0.0) -> tuple[Iterator[TimedFrame], SceneTruth]:
    """Frames with their times, and the truth; times begin at ``start_s``."""
    renderer = Renderer(spec, DrawnAssets())
    return ((start_s + t, picture) for t, picture in renderer.frames()), renderer.truth()


def write(path: Path, frames: Iterable[TimedFrame], *, fps: float = 25.0) -> Path:
    write_clip(path, frames, fps=fps, preset="ultrafast", crf=20, threads=1)
    return path


# ---- The detector -----------------------------------------------------------------------------------------------------------


class FilmDetector:
    """Knows every frame of the films it was shown, by its pixels, and gives the true boxes; it has never seen other pictures.

    A picture may be any rows of a frame, all columns wide: it is known by some of its rows.

    Args:
        input_hw: Of the model that it plays; tall frames come in tiles, and where only some rows move the others are left out.
        kill_at: SIGKILL to its own process before it looks at this picture, counted from 0.
        fail_on: Pictures of these films raise DetectorError.
        slow_s: Seconds that a look takes.

    Attributes:
        looks: How many pictures it was given.
        closed: Whether ``close`` was called.
    """

    name = "film"
    weights_sha256 = "f1" * 32

    def __init__(
        self,
        *,
        input_hw: tuple[int, int] = (384, 640),
        kill_at: int | None = None,
        fail_on: Sequence[Path] = (),
        slow_s: float = 0.0,
    ) -> None:
        self.class_names = CLASSES
        self.input_hw = input_hw
        self.looks = 0
        self.closed = False
        self.kill_at = kill_at
        self.slow_s = slow_s
        self._fail_on = {str(path) for path in fail_on}
        self._frames: list[tuple[Detections, str]] = []
        self._rows: dict[int, list[tuple[int, int]]] = {}
        """By the hash of a row: the frames it is in, and where."""

    def show(self, path: Path, *cast: tuple[float, SceneTruth], mirror: bool = False) -> FilmDetector:
        """Learn a film: (from when on, the truth of that part), in order of time."""
        parts = [(start_s, ScriptedDetector(t, miss_hard_share=0, false_rate=0, jitter_px=0.7)) for start_s, t in cast]
        with VideoReader(path, VideoConfig()) as reader:
            for frame in reader:
                start_s, script = max((p for p in parts if p[0] <= frame.pts_s + 1e-6), key=lambda p: p[0])
                found = script.for_time(frame.pts_s - start_s)
                for y, row in enumerate(frame.bgr()):
                    self._rows.setdefault(_print(row), []).append((len(self._frames), y))
                self._frames.append((_mirrored(found, frame.width_px) if mirror else found, str(path)))
        return self

    def detect(self, images: Sequence[Picture]) -> list[Detections]:
        return [self._look(image) for image in images]

    def _look(self, image: Picture) -> Detections:
        check_picture(image)
        assert not self.closed, "used after it was closed"
        if self.looks == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.looks += 1
        time.sleep(self.slow_s)
        known = self._find(image)
        if known is None:
            return Detections.empty()
        index, y0_px = known
        found, film = self._frames[index]
        if film in self._fail_on:
            raise DetectorError("the model ran out of memory", hint="use a smaller batch")
        part = found.shifted(x_px=0.0, y_px=-float(y0_px))
        xyxy_px = part.xyxy_px.copy()
        xyxy_px[:, [1, 3]] = np.clip(xyxy_px[:, [1, 3]], 0, len(image))
        shown = xyxy_px[:, 3] - xyxy_px[:, 1] > 0.3 * (part.xyxy_px[:, 3] - part.xyxy_px[:, 1])
        return Detections(xyxy_px, part.score, part.class_id)[shown]

    def _find(self, image: Picture) -> tuple[int, int] | None:
        """The last frame that holds the picture, and the row at which it begins there."""
        places: set[tuple[int, int]] | None = None
        for y in range(0, len(image), 3):
            of_row = {(index, at - y) for index, at in self._rows.get(_print(image[y]), [])}
            places = of_row if places is None else places & of_row
            if not places:
                return None
        return max(places) if places else None

    def close(self) -> None:
        self.closed = True

    def save(self, path: Path) -> Path:
        """What it has learnt, for another process."""
        path.write_bytes(pickle.dumps((self._frames, self._rows)))
        return path

    @classmethod
    def load(cls, path: Path, *, kill_at: int | None = None, slow_s: float = 0.0) -> FilmDetector:
        detector = cls(kill_at=kill_at, slow_s=slow_s)
        detector._frames, detector._rows = pickle.loads(path.read_bytes())  # written by the test itself
        return detector

    def learn(self, other: FilmDetector) -> None:
        """Know all films that another one knows, too."""
        before = len(self._frames)
        self._frames += other._frames
        for row, places in other._rows.items():
            self._rows.setdefault(row, []).extend((before + index, y) for index, y in places)

    def fresh(self, **how: object) -> FilmDetector:
        """Another one that has learnt the same."""
        other = FilmDetector(input_hw=self.input_hw, **how)  # type: ignore[arg-type]
        other._frames, other._rows = self._frames, self._rows
        return other

    def factory(self) -> Callable[[], Detector]:
        return lambda: self


def _print(row: NDArray[np.uint8]) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "big")


def _mirrored(found: Detections, width_px: int) -> Detections:
    xyxy_px = found.xyxy_px.copy()
    xyxy_px[:, [0, 2]] = width_px - found.xyxy_px[:, [2, 0]]
    return Detections(xyxy_px, found.score, found.class_id)


def film(path: Path, *specs: SceneSpec, detector: FilmDetector | None = None) -> tuple[Path, FilmDetector, list[SceneTruth]]:
    """Scenes one after the other, with cuts between them, as one file; and a detector that knows it."""
    detector = detector or FilmDetector()
    frames: list[Iterator[TimedFrame]] = []
    cast: list[tuple[float, SceneTruth]] = []
    start_s = 0.0
    for spec in specs:
        own, truth = frames_of(spec, start_s=start_s)
        frames.append(own)
        cast.append((start_s, truth))
        start_s += len(truth.pts_s) / spec.fps
    write(path, (frame for part in frames for frame in part), fps=specs[0].fps)
    detector.show(path, *cast)
    return path, detector, [truth for _, truth in cast]


# ---- What a run holds -------------------------------------------------------------------------------------------------------


def table_bytes(run: Path) -> dict[str, bytes]:
    """All tables of a run, byte for byte."""
    return {f"{t}.{f}": (run / f"{t}.{f}").read_bytes() for t in TABLES for f in TABLE_FORMATS}


def evidence_bytes(run: Path) -> dict[str, bytes]:
    """All pictures of a run, byte for byte."""
    files = (path for folder in ("strips", "crops") for path in sorted((run / folder).iterdir()))
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}
