"""One pass over one video: motion on every frame, the detector where the train has advanced; nothing is counted here.

Decoding runs ahead on one thread, motion on the calling one, the detector and the saving of pictures on a third. At most a few
frames wait between them, so that memory is flat in the length of the video.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import Config, DetectConfig
from vision.detect.base import Detector
from vision.detect.objects import pool_objects
from vision.geometry import Boxes
from vision.motion.meter import MotionSeries
from vision.run.ahead import ahead
from vision.run.crops import JPEG_QUALITY, cut, jpeg
from vision.run.looking import RowChooser, Where, merge_tiles
from vision.run.store import RawVideo
from vision.run.watching import Watch
from vision.types import Look, Shot, VideoRecord
from vision.video import Frame, VideoReader

_WAITING_BATCHES = 2
_STRIP_FRAME_WIDTH_PX = 640
_STRIP_JPEG_QUALITY = 88
_PROGRESS_EVERY_FRAMES = 25

Progress = Callable[[float], None]
"""Called with the seconds of video done so far."""


class PictureSpool:
    """JPEG pictures in one temporary file, so that memory stays flat; they go when it is closed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by close)
        self._end = 0
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, name: str, data: bytes) -> None:
        """Keep a picture under a name; the first one of a name stays."""
        if name not in self._places:
            self._file.seek(self._end)
            self._file.write(data)
            self._places[name] = (self._end, len(data))
            self._end += len(data)

    def get(self, name: str) -> bytes | None:
        """The bytes of a picture, or None where there is none of that name."""
        if name not in self._places:
            return None
        start, size = self._places[name]
        self._file.seek(start)
        return self._file.read(size)

    def names(self) -> Iterator[str]:
        return iter(self._places)

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class LookFrame:
    """The shrunken frame of one look, kept in a spool; what `vision.motion.strip` builds the strip from."""

    pts_s: float
    name: str
    spool: PictureSpool

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3) uint8 BGR."""
        data = self.spool.get(self.name)
        assert data is not None, f"no picture {self.name} was kept"
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)


@dataclass(frozen=True, slots=True, repr=False)
class Observed:
    """What one pass gave.

    Attributes:
        raw: Looks, passages and what was dropped: all that counting needs.
        series: Band shifts of every frame.
        shots: The shots.
        duration_s: From the first to the last decoded frame.
        frames: Shrunken frames of the looks, in order of time.
        crops: JPEG crops of all detections, by ``crop_key``.
    """

    raw: RawVideo
    series: MotionSeries
    shots: tuple[Shot, ...]
    duration_s: float
    frames: tuple[LookFrame, ...]
    crops: PictureSpool

    def close(self) -> None:
        self.crops.close()


def crop_key(pts: int, xyxy_px: tuple[float, ...] | NDArray[np.float32]) -> str:
    """Name under which the crop of a detection is kept: its frame and its box to the pixel."""
    return f"{pts}-" + "_".join(str(round(float(v))) for v in xyxy_px)


def observe_video(
    path: Path,
    *,
    record: VideoRecord | None = None,
    detector: Detector,
    config: Config,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Observed:
    """Decode a video once and note everything that counting needs.

    Args:
        path: The video.
        record: What `vision.video.probe` said of it, where that was asked already.
        detector: Looks at frames; called on another thread.
        config: All settings.
        scratch: Folder for temporary pictures; the system's own where None.
        progress: Called every second of video or so.

    Raises:
        VideoError: The video cannot be read, or was given up.
        DetectorError: The model failed.
    """
    spool = PictureSpool(scratch)
    try:
        with VideoReader(path, config.video, record=record) as reader:
            return _observe(reader, detector, config, spool, progress)
    except BaseException:
        spool.close()
        raise


def _observe(reader: VideoReader, detector: Detector, config: Config, spool: PictureSpool, progress: Progress | None) -> Observed:
    record = reader.record
    watch = Watch(config, width_px=record.width_px, height_px=record.height_px)
    frames = ahead(reader, lambda frame: frame.luma(config.motion.width_px))
    with _LookQueue(detector, record, config.detect, spool) as queue, closing(frames):
        for count, (frame, luma) in enumerate(frames):
            if watch.push(luma, frame.pts_s):
                queue.look_at(frame, watch.where)
            if progress is not None and count % _PROGRESS_EVERY_FRAMES == 0:
                progress(frame.pts_s)
        looks = queue.finish()
    watched = watch.finish()
    passages, dropped = watched.passages(looks, config.motion)
    return Observed(
        raw=RawVideo(record, detector.class_names, passages, tuple(looks), (*reader.dropped, *dropped)),
        series=watched.series,
        shots=watched.shots,
        duration_s=reader.decoded_s,
        frames=tuple(LookFrame(look.pts_s, f"frame-{look.pts}", spool) for look in looks),
        crops=spool,
    )


class _LookQueue:
    """Hands frames to the detector on another thread, in batches, and collects the looks in order."""

    def __init__(self, detector: Detector, record: VideoRecord, config: DetectConfig, spool: PictureSpool) -> None:
        self._detector = detector
        self._min_score = config.min_score
        self._chooser = RowChooser(
            width_px=record.width_px, height_px=record.height_px, input_hw=detector.input_hw, rows=config.rows
        )
        self._batch = max(1, config.batch // self._chooser.most_tiles)
        self._spool = spool
        self._waiting: list[tuple[Frame, Where]] = []
        self._running: deque[Future[list[Look]]] = deque()
        self._looks: list[Look] = []
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flatcar-look")

    def __enter__(self) -> _LookQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def look_at(self, frame: Frame, where: Where) -> None:
        """Take a frame; blocks while too many wait."""
        self._waiting.append((frame, where))
        if len(self._waiting) >= self._batch:
            self._submit()
        while len(self._running) > _WAITING_BATCHES:
            self._looks.extend(self._running.popleft().result())

    def finish(self) -> list[Look]:
        """All looks, in order of time."""
        self._submit()
        while self._running:
            self._looks.extend(self._running.popleft().result())
        return self._looks

    def _submit(self) -> None:
        if self._waiting:
            self._running.append(self._worker.submit(self._run, self._waiting))
            self._waiting = []

    def _run(self, frames: list[tuple[Frame, Where]]) -> list[Look]:
        pictures = [frame.bgr() for frame, _ in frames]
        tiles = [self._chooser.tiles(where) for _, where in frames]
        parts = [picture[t.y0_px : t.y1_px] for picture, own in zip(pictures, tiles, strict=True) for t in own]
        found = iter(self._detector.detect(parts))
        looks = []
        for (frame, where), picture, own in zip(frames, pictures, tiles, strict=True):
            detections = merge_tiles(own, [next(found) for _ in own])
            detections = pool_objects(detections, self._detector.class_names, min_score=self._min_score)
            self._chooser.found(where, detections.xyxy_px)
            self._keep(frame, picture, detections.xyxy_px)
            looks.append(Look(frame.pts, frame.pts_s, detections))
        return looks

    def _keep(self, frame: Frame, picture: NDArray[np.uint8], xyxy_px: Boxes) -> None:
        """Keep the shrunken frame for the strip, and a crop of each detection."""
        scale = min(1.0, _STRIP_FRAME_WIDTH_PX / picture.shape[1])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1 else picture
        self._spool.add(f"frame-{frame.pts}", jpeg(small, quality=_STRIP_JPEG_QUALITY))
        for box in xyxy_px:
            crop = cut(picture, (float(box[0]), float(box[1]), float(box[2]), float(box[3])))
            if crop is not None:
                self._spool.add(crop_key(frame.pts, box), jpeg(crop, quality=JPEG_QUALITY))
