"""Scenes as video files with their truth beside them: the only module of the simulator that writes video."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vision.errors import OutputError
from vision.synth.cutouts import CutoutAssets, with_lengths
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Assets, Renderer, SceneTruth
from vision.synth.scene import Condition, random_scene

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


def truth_rows(truth: SceneTruth, *, video: str) -> list[dict[str, object]]:
    """A clip's truth as rows of ``truth.ndjson``: one for each train that shows, with the vehicles that show."""
    rows: list[dict[str, object]] = []
    for train in truth.trains:
        if train.start_s is None or train.end_s is None:
            continue
        seen = train.seen()
        rows.append(
            {
                "video": video,
                "start_s": round(train.start_s, 4),
                "end_s": round(train.end_s, 4),
                "direction": train.heading,
                "vehicles": dict(sorted(Counter(vehicle.class_name for vehicle in seen).items())),
                "list": [
                    {
                        "class": vehicle.class_name,
                        "position_px": round(vehicle.position_px, 2),
                        "width_px": round(vehicle.width_px, 2),
                        "visible_from_s": round(vehicle.visible_from_s or 0.0, 4),
                        "visible_to_s": round(vehicle.visible_to_s or 0.0, 4),
                    }
                    for vehicle in seen
                ],
                "length_px": round(train.length_px, 2),
                "px_per_m": round(train.px_per_m, 4),
                "head_seen": train.head_seen,
                "tail_seen": train.tail_seen,
            }
        )
    return rows


def write_truth(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write rows as NDJSON; the file appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written there is nothing to remove
            part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Simulated:
    """One clip that was written, and its rows of the truth."""

    path: Path
    frames: int
    duration_s: float
    trains: int
    vehicles: int


def simulate(
    out_dir: Path,
    *,
    seed: int,
    count: int = 1,
    condition: Condition = "fixed",
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 25.0,
    flatcars: int | tuple[int, int] = (4, 12),
    assets: Assets | None = None,
    crf: int = 23,
    threads: int = 0,
    on_clip: Callable[[Simulated], None] | None = None,
) -> list[Simulated]:
    """Write clips named ``CONDITION_SEED.mp4`` and their ``truth.ndjson`` into a folder.

    Args:
        out_dir: Made when missing; an existing ``truth.ndjson`` is replaced.
        seed: Of the first clip; the others count on from it.
        count: How many clips.
        condition: See ``vision.synth.scene.CONDITIONS``.
        width_px: Of the picture.
        height_px: Of the picture.
        fps: Frame rate.
        flatcars: How many, or a range.
        assets: Pictures of vehicles; drawn ones by default.
        crf: Quality of the compression.
        threads: Of the encoder; 0 for all.
        on_clip: Called after each clip.
    """
    assets = assets or DrawnAssets()
    names = set(assets.class_names)
    classes = () if names >= set(DrawnAssets().class_names) else tuple(sorted(names))
    rows: list[dict[str, object]] = []
    done: list[Simulated] = []
    for number in range(seed, seed + count):
        spec = random_scene(
            number, condition=condition, width_px=width_px, height_px=height_px, fps=fps, flatcars=flatcars, classes=classes
        )
        if isinstance(assets, CutoutAssets):
            spec = with_lengths(spec, assets)
        renderer = Renderer(spec, assets)
        path = out_dir / f"{condition}_{number:05d}.mp4"
        write_clip(path, renderer.frames(), fps=fps, crf=crf, threads=threads)
        own = truth_rows(renderer.truth(), video=path.name)
        rows += own
        vehicles = sum(len(train.seen()) for train in renderer.truth().trains)
        done.append(Simulated(path, len(renderer), len(renderer) / fps, len(own), vehicles))
        if on_clip is not None:
            on_clip(done[-1])
    write_truth(out_dir / "truth.ndjson", rows)
    return done
