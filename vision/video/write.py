"""Frames out as a video file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vision.errors import OutputError

_TIME_BASE = Fraction(1, 90_000)


def write_clip(
    path: Path,
    frames: Iterable[tuple[float, NDArray[np.uint8]]],
    *,
    fps: float,
    codec: str = "libx264",
    crf: int = 23,
    preset: str = "veryfast",
    gop: int | None = None,
    bframes: int | None = None,
    threads: int = 0,
) -> None:
    """Write frames as H.264 yuv420p, with each frame's own time stamp; the file appears whole or not at all.

    Args:
        path: Where; the suffix names the container (``.mp4``, ``.mkv``, ...).
        frames: (time in seconds, (height, width, 3) uint8 BGR), times increasing: constant or variable rate. An odd size loses
            its last row or column, as 4:2:0 needs.
        fps: Nominal rate: how long the last frame stays, and what players are told.
        codec: FFmpeg's encoder.
        crf: Quality, 0 to 51, lower is better.
        preset: Speed of the encoder.
        gop: Frames between key frames; None leaves it to the encoder.
        bframes: B-frames in a row; None leaves it to the encoder.
        threads: 0 for as many as the machine has. One thread gives the same bytes on every machine.

    Raises:
        OutputError: No frame was given, or the file cannot be written.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    options = {"crf": str(crf), "preset": preset}
    if codec == "libx264":
        # Else now and then the same pictures give other bytes.
        options["x264-params"] = "cpu-independent=1"
    if bframes is not None:
        options["bf"] = str(bframes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(part), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
            if not isinstance(stream, av.VideoStream):
                raise OutputError(f"{codec} does not encode pictures")
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = _TIME_BASE
            stream.thread_count = threads
            if gop is not None:
                stream.gop_size = gop
            count = 0
            for pts_s, picture in frames:
                height, width = (side // 2 * 2 for side in picture.shape[:2])
                if count == 0:
                    stream.width, stream.height = width, height
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="bgr24")
                frame.pts, frame.time_base = round(pts_s / _TIME_BASE), _TIME_BASE
                container.mux(stream.encode(frame))
                count += 1
            if count == 0:
                raise OutputError(f"no frames to write into {path}")
            container.mux(stream.encode(None))
        os.replace(part, path)  # noqa: PTH105
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written there is nothing to remove
            part.unlink(missing_ok=True)
