"""Real video files, made with PyAV when a test runs, and small drawn scenes; everything from fixed seeds.

The drawn picture of ``picture(i)`` tells what it is: a red square in its top left corner and a bar whose column is its number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 160, 96
FPS = 25


def picture(index: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Picture:
    """(height_px, width_px, 3) BGR: a grey gradient, a red square at the top left, a white bar at column 8 * index."""
    drawn = np.empty((height_px, width_px, 3), np.uint8)
    drawn[:] = np.linspace(60, 120, height_px, dtype=np.uint8)[:, None, None]
    column = 8 * index % (width_px - 8)
    drawn[height_px // 3 :, column : column + 8] = 230
    drawn[: height_px // 4, : height_px // 4] = (0, 0, 220)
    return drawn


def is_red(patch: Picture) -> bool:
    """Whether most of a BGR patch is clearly red."""
    blue, green, red = np.median(patch.reshape(-1, 3), axis=0)
    return bool(red > 150 and blue < 90 and green < 90)


@dataclass(frozen=True)
class Codec:
    """An encoder with the settings that make it quick."""

    name: str
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        return self.name in av.codecs_available


H264 = Codec("libx264", options={"preset": "ultrafast", "g": "10", "threads": "1"})
H264_B = Codec("libx264", options={"preset": "veryfast", "bf": "2", "b-adapt": "0", "g": "12", "threads": "1"})
H264_444 = Codec("libx264", "yuv444p", {"preset": "ultrafast", "threads": "1"})
H264_FULL_RANGE = Codec("libx264", "yuvj420p", {"preset": "ultrafast", "threads": "1"})
HEVC = Codec("libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:pools=1:bframes=0"})
HEVC_10 = Codec("libx265", "yuv420p10le", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:bframes=0"})
VP9 = Codec("libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "12"})
AV1 = Codec("libsvtav1", options={"preset": "10", "crf": "15", "svtav1-params": "lp=1"})
MPEG4 = Codec("mpeg4", options={"qscale": "3", "flags": "+qscale"})
MPEG4_B = Codec("mpeg4", options={"bf": "2"})
MPEG2 = Codec("mpeg2video")
GIF = Codec("gif", "rgb8")


def write_video(
    path: Path,
    pictures: Iterable[Picture],
    codec: Codec = H264,
    *,
    fps: int = FPS,
    pts_ms: Sequence[int] | None = None,
    rotation_deg: int = 0,
    container_options: dict[str, str] | None = None,
    stream_tags: dict[str, str] | None = None,
) -> Path:
    """Encode pictures into the container that the suffix of ``path`` names.

    Args:
        path: Where to.
        pictures: (h, w, 3) BGR, all of one shape.
        codec: One of the above.
        fps: Frame rate, unless ``pts_ms`` is given.
        pts_ms: Time of each picture in milliseconds: variable frame rate, negative starts.
        rotation_deg: Clockwise turn that a player is told to apply.
        container_options: Of the muxer.
        stream_tags: Metadata of the video stream.
    """
    iterator = iter(pictures)
    first = next(iterator)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec.name, rate=fps, options=dict(codec.options))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = codec.pixel_format
        time_base = Fraction(1, 1000) if pts_ms is not None else Fraction(1, fps)
        stream.codec_context.time_base = time_base
        stream.metadata.update(stream_tags or {})
        if rotation_deg:
            stream.set_display_rotation(-rotation_deg)
        for number, drawn in enumerate([first, *iterator]):
            frame = av.VideoFrame.from_ndarray(drawn, format="bgr24")
            frame.time_base = time_base
            frame.pts = pts_ms[number] if pts_ms is not None else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def clip(path: Path, codec: Codec = H264, *, frames: int = 30, **options: object) -> Path:
    """``write_video`` of ``picture(0)`` to ``picture(frames - 1)``."""
    return write_video(path, (picture(index) for index in range(frames)), codec, **options)  # type: ignore[arg-type]


def write_sound(path: Path) -> Path:
    """A file with a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound_with_cover(path: Path) -> Path:
    """A song with a cover picture, which FFmpeg shows as a video stream."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0, 64, 64), format="bgr24")))
        container.mux(cover.encode(None))
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def damage(source: Path, target: Path, *, first: float, last: float, every: int = 1, seed: int = 1) -> Path:
    """A copy in which the bytes from the fraction ``first`` to ``last`` of the file, every so many, are noise."""
    data = bytearray(source.read_bytes())
    positions = range(int(len(data) * first), int(len(data) * last), every)
    noise = np.random.default_rng(seed).integers(0, 256, len(positions), dtype=np.uint8)
    for position, value in zip(positions, noise, strict=True):
        data[position] = value
    target.write_bytes(data)
    return target


def cut_short(source: Path, target: Path, share: float) -> Path:
    """A copy of the first ``share`` of the file."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def set_mp4_matrix(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    """Overwrite (a, b, c, d) of the display matrix in the track header of an MP4 or MOV: any rotation, also mirrors."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    # Version and flags, times and id (20 bytes in version 0, 32 in version 1), 8 reserved, layer, group, volume, 2 reserved.
    start = header + 4 + (32 if data[header] else 20) + 16
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        struct.pack_into(">i", data, start + offset, round(value * 65536))
    path.write_bytes(data)
    return path


# --- drawn scenes, small and grey: what the shot detectors and the overlay finder are fed with ---


def scene(seed: int, width_px: int = 320, height_px: int = 180) -> Picture:
    """(height_px, width_px) uint8: a sky, a ground and a few dozen boxes, different for every seed."""
    rng = np.random.default_rng(seed)
    drawn = np.full((height_px, width_px), rng.integers(110, 210), np.uint8)
    horizon = int(height_px * rng.uniform(0.3, 0.6))
    drawn[horizon:] = rng.integers(50, 110)
    for _ in range(40):
        x, y = rng.integers(0, width_px), rng.integers(0, height_px)
        w, h = rng.integers(5, width_px // 4), rng.integers(4, height_px // 4)
        cv2.rectangle(drawn, (int(x), int(y)), (int(x + w), int(y + h)), int(rng.integers(20, 230)), -1)
    return cv2.GaussianBlur(drawn, (0, 0), 1.0)


def train_picture(seed: int, length_px: int = 1600, height_px: int = 180) -> Picture:
    """(height_px, length_px) uint8: wagons with gaps, the picture of a whole train."""
    rng = np.random.default_rng(seed)
    drawn = np.full((height_px, length_px), 60, np.uint8)
    for start in range(0, length_px, 120):
        drawn[height_px // 6 : -height_px // 8, start + 4 : start + 114] = rng.integers(60, 200)
        for _ in range(12):
            x, y = start + int(rng.integers(4, 100)), int(rng.integers(height_px // 6, height_px * 3 // 4))
            drawn[y : y + int(rng.integers(4, 30)), x : x + int(rng.integers(3, 20))] = rng.integers(20, 240)
    return drawn


def passing(background: Picture, train: Picture, *, speed_px: float, rows: tuple[int, int], frames: int) -> list[Picture]:
    """A train that enters at the right with its first frame and runs to the left, ``speed_px`` a frame."""
    width = background.shape[1]
    top, bottom = rows
    body = cv2.resize(train, (train.shape[1], bottom - top), interpolation=cv2.INTER_AREA)
    made = []
    for number in range(frames):
        drawn = background.copy()
        left = round(width - number * speed_px)
        first, last = max(0, -left), min(body.shape[1], width - left)
        if last > first:
            drawn[top:bottom, left + first : left + last] = body[:, first:last]
        made.append(drawn)
    return made


def with_noise(pictures: Iterable[Picture], sigma: float, seed: int = 0) -> list[Picture]:
    """Sensor noise on every picture."""
    rng = np.random.default_rng(seed)
    return [np.clip(drawn + rng.normal(0, sigma, drawn.shape), 0, 255).astype(np.uint8) for drawn in pictures]


def shaken(pictures: Iterable[Picture], amplitude_px: float, seed: int = 0) -> list[Picture]:
    """A hand-held camera: every picture moved a little, its edges repeated."""
    rng = np.random.default_rng(seed)
    made = []
    for drawn in pictures:
        dx, dy = rng.normal(0, amplitude_px, 2)
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        made.append(cv2.warpAffine(drawn, matrix, drawn.shape[::-1], borderMode=cv2.BORDER_REPLICATE))
    return made


def panned(wide: Picture, *, width_px: int, speed_px: float, frames: int) -> list[Picture]:
    """A camera that turns over a wide picture."""
    return [wide[:, round(number * speed_px) : round(number * speed_px) + width_px].copy() for number in range(frames)]


def mapped(pictures: Iterable[Picture], change: Callable[[Picture], Picture]) -> list[Picture]:
    return [change(drawn) for drawn in pictures]
