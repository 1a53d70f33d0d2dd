"""Frames of a video, one at a time, with trustworthy times and a cheap grey picture.

Time. ``pts_s`` is 0 at the first frame and strictly increases, whatever the file says:

- A first PTS other than 0, negative or positive, is subtracted.
- A missing PTS is rebuilt from the DTS, else from the average rate. AVI has none at all, and FFmpeg passes the decoding order's
  stamps off as PTS, so that they are not even looked at there. Counted as ``no_pts``; the frame is kept.
- A frame at the time of the one before (``duplicate_pts``), before it (``backward_pts``) or far ahead (``jumped_pts``) is
  dropped. When the clock runs on from there for a few frames, a jump ahead is a gap and is believed. Backwards, or in a
  transport stream, it was reset (joined recordings, damage): the frames go on one step after the last (``clock_reset``).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vision.config import VideoConfig
from vision.errors import TooManyCorruptFrames
from vision.types import Dropped, VideoRecord
from vision.video.probe import best_video_stream, nothing_decodable, open_container, probe, stream_duration_s

Grey = NDArray[np.uint8]
Bgr = NDArray[np.uint8]
Plane = NDArray[np.uint8] | NDArray[np.uint16]

_LUMA_8_BIT = {
    *(f"yuv{j}{layout}p" for j in ("", "j") for layout in ("420", "422", "444", "440", "411")),
    *("yuv410p", "yuva420p", "nv12", "nv21", "nv16", "gray"),
}
"""Formats whose first plane is 8-bit luma."""

# Formats whose first plane is 16-bit little-endian luma, and the bits to drop; the p0xx ones keep their bits at the top.
_LUMA_SHIFT = {
    **{f"yuv{layout}p{bits}le": bits - 8 for layout in ("420", "422", "444", "440") for bits in (9, 10, 12, 14, 16)},
    **{f"gray{bits}le": bits - 8 for bits in (9, 10, 12, 14, 16)},
    **{f"p{layout}{bits}le": 8 for layout in ("0", "2", "4") for bits in (10, 12, 16)},
}

_CV_ROTATION = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_RESET_AFTER = 3
"""So many frames in a row that run on from a wrong time are a new clock, not strays."""
_JUMP_S = 30.0
_FALLBACK_STEP_S = 1 / 25


class _Converter:
    """One swscale context for all frames of a reader, as making one is dear. Locked: frames may travel between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reformatter = VideoReformatter()

    def to(self, frame: VideoFrame, *, width_px: int, height_px: int, pixel_format: str, interpolation: str) -> NDArray[np.uint8]:
        with self._lock:
            converted = self._reformatter.reformat(
                frame, width=width_px, height=height_px, format=pixel_format, interpolation=interpolation
            )
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frame:
    """One decoded picture. It owns its memory: it may be kept, at the price of one full-size picture.

    Attributes:
        index: Running number of the frames given out; nobody's identity.
        pts: The file's own stamp in ticks (rebuilt where it has none).
        pts_s: Seconds since the video's first frame, see the module's text.
        time_base: Seconds per tick.
        width_px, height_px: Size of the upright full frame: the video's, even when the stream changes its size midway.
        rotation_deg: Clockwise turn that makes it upright.
    """

    index: int
    pts: int
    pts_s: float
    time_base: Fraction
    width_px: int
    height_px: int
    rotation_deg: int
    _picture: VideoFrame
    _converter: _Converter

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts_s={self.pts_s:.3f}, {self.width_px}x{self.height_px})"

    def luma(self, width_px: int, max_rows: int = 192) -> Grey:
        """The upright picture in grey and small, at hardly any cost: the decoder's own luma plane, averaged over areas.

        Values are the stream's: 16 to 235 in most videos, 0 to 255 where it says so; both are left as they are.

        Args:
            width_px: Columns wanted.
            max_rows: At most so many rows; a taller picture is squeezed, its rows then stand for more pixels than its columns.

        Returns:
            (rows, width_px) uint8, contiguous, the caller's own.
        """
        rows, columns = luma_shape(self.width_px, self.height_px, width_px, max_rows)
        # Shrink first, turn the small picture after.
        stored_rows, stored_columns = (columns, rows) if self.rotation_deg in (90, 270) else (rows, columns)
        small = _shrunk_luma(self._picture, stored_rows, stored_columns, self._converter)
        return np.asarray(cv2.rotate(small, _CV_ROTATION[self.rotation_deg]), np.uint8) if self.rotation_deg else small

    def bgr(self) -> Bgr:
        """The upright full frame, (height_px, width_px, 3) uint8, blue first, 0 to 255 whatever the stream's range."""
        width_px, height_px = self._stored_size_px()
        picture = self._converter.to(
            self._picture, width_px=width_px, height_px=height_px, pixel_format="bgr24", interpolation="BILINEAR"
        )
        return np.asarray(cv2.rotate(picture, _CV_ROTATION[self.rotation_deg]), np.uint8) if self.rotation_deg else picture

    def _stored_size_px(self) -> tuple[int, int]:
        """Width and height before the turn."""
        return (self.height_px, self.width_px) if self.rotation_deg in (90, 270) else (self.width_px, self.height_px)


def luma_shape(picture_width_px: int, picture_height_px: int, width_px: int, max_rows: int = 192) -> tuple[int, int]:
    """Shape (rows, columns) of ``Frame.luma`` for an upright picture of the given size."""
    rows = round(picture_height_px * width_px / picture_width_px)
    return max(1, min(rows, max_rows)), width_px


class VideoReader:
    """The frames of one video in order; memory stays flat however long it is.

        with VideoReader(path, config) as reader:
            for frame in reader:
                ...

    Damage is skipped and counted, and the video given up after ``config.max_corrupt_in_a_row``. It can be iterated once.

    Args:
        path: The file.
        config: Decoder threads and the patience with damage.
        record: What ``probe(path)`` gave, where that was done already: saves hashing the file again.

    Attributes:
        record: What the file says of itself.
        decoded_s: Seconds from the first to the last frame given out so far.

    Raises:
        UnreadableVideo, NoVideoStream: From the constructor.
        TooManyCorruptFrames: While iterating.
    """

    def __init__(self, path: Path, config: VideoConfig, *, record: VideoRecord | None = None) -> None:
        self._config = config
        self.record = record or probe(path)
        self.decoded_s = 0.0
        self._path = path
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first_at_s: dict[tuple[str, str], float] = {}
        self._corrupt_in_a_row = 0
        self._container = open_container(path)
        try:
            self._stream = _prepared(best_video_stream(self._container, path), self._container, self._config.threads)
        except Exception:
            self._container.close()
            raise
        self._clock = _Clock(self._stream, self._container.format.name)
        self._frames = self._iterate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Close the file; frames that were kept stay valid."""
        self._frames.close()
        self._container.close()

    @property
    def dropped(self) -> list[Dropped]:
        """What was left out so far: reason, count, and when it happened first.

        Frames: ``corrupt``, ``not_decoded`` (swallowed by the decoder without a word, as after a lost key frame),
        ``duplicate_pts``, ``backward_pts``, ``jumped_pts``. Time stamps only, the frame was kept (``what`` is ``pts``):
        ``no_pts``, ``clock_reset``. The rest of the video: ``truncated``.
        """
        keys = sorted(self._counts)
        return [Dropped(what, reason, self._counts[what, reason], self._first_at_s[what, reason]) for what, reason in keys]

    def _iterate(self) -> Generator[Frame, None, None]:
        index = 0
        converter = _Converter()
        record = self.record
        for picture in self._pictures():
            stamp, oddities = self._clock.stamp(picture)
            for what, reason in oddities:
                self._count(what, reason)
            if stamp is None:
                continue
            pts, self.decoded_s = stamp
            yield Frame(
                index=index,
                pts=pts,
                pts_s=self.decoded_s,
                time_base=self._clock.time_base,
                width_px=record.width_px,
                height_px=record.height_px,
                rotation_deg=record.rotation_deg,
                _picture=picture,
                _converter=converter,
            )
            index += 1
        self._note_truncation(index)

    def _pictures(self) -> Iterator[VideoFrame]:
        """Decoded pictures in the order of presentation, the damaged ones counted and left out."""
        cut_off = False
        awaited = 0
        for packet in self._packets():
            # A half packet is damage in the middle of a file, and the file's torn edge at its end.
            cut_off = packet.is_corrupt if packet.size else cut_off
            awaited += bool(packet.size) and not packet.is_discard
            try:
                pictures = packet.decode()
            except av.error.FFmpegError as error:
                if isinstance(error, av.error.EOFError):
                    break
                awaited -= 1
                self._corrupt()
                continue
            awaited -= len(pictures)
            for picture in pictures:
                if picture.is_corrupt:
                    self._corrupt()
                else:
                    self._corrupt_in_a_row = 0
                    yield picture
        if awaited > 0:
            self._count("frame", "not_decoded", awaited)
        if cut_off:
            self._count("video", "truncated")

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError:
            # The container itself breaks off: nothing can be read beyond.
            self._count("video", "truncated")
        except IndexError:
            # PyAV's last flush, after damage has made the container announce streams midway: our stream is through.
            pass

    def _corrupt(self) -> None:
        self._count("frame", "corrupt")
        self._corrupt_in_a_row += 1
        if self._corrupt_in_a_row >= self._config.max_corrupt_in_a_row:
            raise TooManyCorruptFrames(
                f"{self._path} was given up at {self.decoded_s:.1f} s after {self._corrupt_in_a_row} corrupt frames in a row",
                hint="get another copy, or raise video.max_corrupt_in_a_row",
            )

    def _note_truncation(self, frames: int) -> None:
        if not frames:
            raise nothing_decodable(self._path)
        claimed_s = stream_duration_s(self._stream)
        # The last frame stands for one step; half a second is more than containers round by.
        if claimed_s is not None and claimed_s - self.decoded_s > max(0.5, 3 * self._clock.step_s):
            self._count("video", "truncated")

    def _count(self, what: str, reason: str, count: int = 1) -> None:
        key = (what, reason)
        self._counts[key] = 1 if what == "video" else self._counts[key] + count
        self._first_at_s.setdefault(key, self.decoded_s)


class _Clock:
    """Gives each picture a time that increases from 0."""

    def __init__(self, stream: VideoStream, container_name: str) -> None:
        self.time_base = Fraction(stream.time_base or Fraction(1, 90_000))
        rate = stream.average_rate or stream.guessed_rate
        self.step_s = float(1 / rate) if rate else _FALLBACK_STEP_S
        self._step = max(1, round(self.step_s / self.time_base))
        self._jump = max(round(_JUMP_S / self.time_base), 100 * self._step)
        names = container_name.split(",")
        self._has_pts = "avi" not in names
        self._may_reset = "mpegts" in names or "mpeg" in names
        self._zero: int | None = None
        self._last = 0
        self._strays: list[int] = []

    def stamp(self, picture: VideoFrame) -> tuple[tuple[int, float] | None, list[tuple[str, str]]]:
        """``(pts, pts_s)`` or None to drop the picture, and what was odd about it as (what, reason)."""
        pts = picture.pts if self._has_pts else None
        oddities = []
        if pts is None:
            oddities.append(("pts", "no_pts"))
            pts = picture.dts
            if self._zero is not None and (pts is None or pts <= self._last):
                pts = self._last + self._step
            pts = pts or 0
        if self._zero is None:
            self._zero = pts
        elif pts == self._last and not self._strays:
            return None, [*oddities, ("frame", "duplicate_pts")]
        elif not self._last < pts <= self._last + self._jump:
            runs_on = self._strays and self._strays[-1] < pts <= self._strays[-1] + self._jump
            self._strays = [*self._strays, pts] if runs_on else [pts]
            if len(self._strays) < _RESET_AFTER:
                return None, [*oddities, ("frame", "backward_pts" if pts <= self._last else "jumped_pts")]
            if pts <= self._last or self._may_reset:
                oddities.append(("pts", "clock_reset"))
                self._zero -= self._last + self._step - pts
        self._strays = []
        self._last = pts
        return (pts, float((pts - self._zero) * self.time_base)), oddities


def _prepared(stream: VideoStream, container: InputContainer, threads: int) -> VideoStream:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    stream.codec_context.thread_count = threads
    stream.thread_type = "AUTO"
    return stream


def _shrunk_luma(picture: VideoFrame, rows: int, columns: int, converter: _Converter) -> Grey:
    name = picture.format.name
    if name in _LUMA_8_BIT:
        return np.asarray(_shrunk(_plane(picture, np.uint8), rows, columns), np.uint8)
    if name in _LUMA_SHIFT:
        return np.asarray(_shrunk(_plane(picture, np.uint16), rows, columns) >> _LUMA_SHIFT[name], np.uint8)
    return converter.to(picture, width_px=columns, height_px=rows, pixel_format="gray", interpolation="AREA")


def _shrunk(plane: Plane, rows: int, columns: int) -> Plane:
    """Averaged over areas. OpenCV is fast at halving: 1280x720 to 320x180 takes 0.04 ms by two halvings, 0.28 ms at once."""
    height, width = plane.shape
    while height % 2 == width % 2 == 0 and height >= 2 * rows and width >= 2 * columns:
        height, width = height // 2, width // 2
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) == (rows, columns):
        return plane.copy()  # never a view of the decoder's memory
    smaller: Plane = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)
    return smaller


def _plane(picture: VideoFrame, dtype: type[np.uint8] | type[np.uint16]) -> Plane:
    """The first plane as a view without its padding; it keeps the picture alive."""
    plane = picture.planes[0]
    item_bytes = np.dtype(dtype).itemsize
    line_bytes = plane.line_size
    first = 0 if line_bytes > 0 else -line_bytes * (plane.height - 1)
    return np.ndarray(
        (plane.height, plane.width), dtype, buffer=memoryview(plane), offset=first, strides=(line_bytes, item_bytes)
    )
