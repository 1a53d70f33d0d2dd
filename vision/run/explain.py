"""What there is to show of how a video was counted: gathered from a run, or by looking at a clip; drawn by ``vision.report``.

A clip is observed as a scan does, but nothing is stored. A run gives its stored looks and motion, and where the video is still
there its motion is measured again, for the bands and the coherence that a run does not keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import Config
from vision.count import CountResult
from vision.detect import Detector
from vision.errors import FlatcarError, InputError, TruthError
from vision.motion.layers import Layers
from vision.motion.meter import MotionMeter, MotionSeries
from vision.motion.passages import shot_layers
from vision.motion.strip import LookPicture, Strip, build_strip
from vision.run.counting import count_passages, is_train, result_of
from vision.run.ledger import InputRow, Ledger
from vision.run.observe import observe_video
from vision.run.results import stored_result
from vision.run.scan import detector_of
from vision.run.store import RawVideo, RunFolder, load_raw
from vision.run.strips import load_strip
from vision.run.tables import train_ids
from vision.taxonomy import default_taxonomy
from vision.types import Passage, Shot, VideoResult
from vision.video import ShotSplitter, VideoReader, sha256_of

FRAME_WIDTH_PX = 960
"""Frames are kept no wider than this."""

_NO_TRAIN_S = 120.0
_AFTER_S = 2.0
_NAMED = 5

Picture = NDArray[np.uint8]
Progress = Callable[[float, float | None], None]
"""Called with the seconds of video done and the seconds there are, where known."""


@dataclass(frozen=True, slots=True, repr=False)
class ClipMotion:
    """Motion of the frames that were measured, struct-of-arrays over n frames, full-frame pixels.

    Attributes:
        pts_s: (n,) float64, seconds.
        coherence: (n,) float32 in [0, 1]: how well each frame is an earlier one moved.
        background_px: (n,) float64, displacement of the background since its shot began.
        train_px: (n,) float64, the same for the train; NaN where there is none.
        train_bands: (n, bands) float32 in [0, 1]: how far each band moves with the train.
        background_bands: (n, bands) float32: the same with the background.
        shots: The shots.
    """

    pts_s: NDArray[np.float64]
    coherence: NDArray[np.float32]
    background_px: NDArray[np.float64]
    train_px: NDArray[np.float64]
    train_bands: NDArray[np.float32]
    background_bands: NDArray[np.float32]
    shots: tuple[Shot, ...]

    def __repr__(self) -> str:
        return f"ClipMotion(frames={len(self.pts_s)}, bands={self.train_bands.shape[1]}, shots={len(self.shots)})"

    def frame_at(self, pts_s: float) -> int:
        """Index of the frame nearest in time."""
        after = int(np.searchsorted(self.pts_s, pts_s))
        near = [i for i in (after - 1, after) if 0 <= i < len(self.pts_s)]
        return min(near, key=lambda i: abs(self.pts_s[i] - pts_s))


@dataclass(frozen=True, slots=True, repr=False)
class PassageCase:
    """One passage with everything known of how it was counted.

    Attributes:
        train_id: Its name in the tables; None for vehicles in a still picture that make no train.
        counted: The count with its trace.
        strip: The train as one picture, or None.
        frame: A frame from its middle, (rows, columns, 3) uint8 BGR, at most ``FRAME_WIDTH_PX`` wide; None where there is none.
    """

    train_id: str | None
    counted: CountResult
    strip: Strip | None
    frame: Picture | None

    @property
    def passage(self) -> Passage:
        return self.counted.train.passage


@dataclass(frozen=True, slots=True, repr=False)
class VideoCase:
    """One video, and how it was counted.

    Attributes:
        path: Where the video lies, or lay.
        raw: Looks and passages.
        result: What was counted.
        passages: In order of time.
        min_existence: A place counts from this probability on.
        motion: Motion of the clip; None where it was not measured again.
        frame: Some frame of the video, as in ``PassageCase``.
        watchable: Whether the video is there to be decoded.
        notes: What a person should know, a sentence each.
    """

    path: Path
    raw: RawVideo
    result: VideoResult
    passages: tuple[PassageCase, ...]
    min_existence: float
    motion: ClipMotion | None
    frame: Picture | None
    watchable: bool
    notes: tuple[str, ...] = ()

    @property
    def wh_px(self) -> tuple[int, int]:
        return self.raw.record.width_px, self.raw.record.height_px


def explain_clip(
    path: Path, *, config: Config, detector_factory: Callable[[], Detector] | None = None, progress: Progress | None = None
) -> VideoCase:
    """Observe and count a clip, and keep what shows how; nothing is written.

    Args:
        path: A video file.
        config: All settings.
        detector_factory: Makes the detector; the one of the settings where None.
        progress: Told how far decoding is.

    Raises:
        VideoError: The video cannot be read.
        UsageError: The weights cannot be used.
    """
    if path.suffix.lower() in {".ndjson", ".json", ".csv", ".png", ".jpg", ".html"}:
        raise InputError(f"{path} is no video", hint="give a video, or the folder of a run")
    detector = (detector_factory or (lambda: detector_of(config)))()
    try:
        observed = observe_video(
            path, detector=detector, config=config, progress=None if progress is None else lambda done_s: progress(done_s, None)
        )
    finally:
        detector.close()
    try:
        return case_of(
            observed.raw,
            path=path,
            looked=observed.frames,
            measured=(observed.series, observed.shots),
            duration_s=observed.duration_s,
            config=config,
            watchable=True,
        )
    finally:
        observed.close()


def case_of(
    raw: RawVideo,
    *,
    path: Path,
    looked: Sequence[LookPicture],
    measured: tuple[MotionSeries, Sequence[Shot]],
    duration_s: float | None,
    config: Config,
    watchable: bool,
) -> VideoCase:
    """What was observed, counted, with all that shows how.

    Args:
        raw: Looks and passages.
        path: The video; it need not exist.
        looked: Pictures of the looks.
        measured: Band shifts of every frame, and the shots.
        duration_s: Decoded seconds.
        config: All settings.
        watchable: Whether there is a file to decode again.
    """
    counted = count_passages(raw, config=config, taxonomy=default_taxonomy())
    result = result_of(raw, counted, duration_s=duration_s)
    width_px = raw.record.width_px
    cases = [
        PassageCase(train_id, c, build_strip(c.train.passage, looked, frame_width_px=width_px), frame)
        for train_id, c, frame in zip(
            _names(result, counted), counted, (_kept_frame(looked, c.train.passage) for c in counted), strict=True
        )
    ]
    frame = looked[len(looked) // 2].picture() if looked else None
    motion = _clip_motion(*measured)
    return VideoCase(path, raw, result, tuple(cases), config.count.min_existence, motion, frame, watchable=watchable)


def explain_run(
    run_dir: Path, *, config: Config, video: str | None = None, decode: bool = True, progress: Progress | None = None
) -> VideoCase:
    """What a run knows of one of its videos; the motion is measured again where the video is at hand.

    Args:
        run_dir: A run.
        config: Its settings, see ``vision.run.scan.settings_of``; those of counting may differ.
        video: File name or path of the video, or where it lies now; may be left out where the run has only one.
        decode: False leaves the video alone.
        progress: Told how far decoding is.

    Raises:
        OutputError: It is no run.
        InputError: The video is not in it, not done, or must be chosen.
        TruthError: What is stored is damaged.
    """
    with RunFolder.open(run_dir) as run, Ledger.open(run_dir, create=False) as ledger:
        row, path = _chosen(ledger.rows(), run_dir, video)
        raw = load_raw(run, row.sha256)
        raw = replace(raw, record=replace(raw.record, path=path))
        counted = count_passages(raw, config=config, taxonomy=default_taxonomy())
        result = result_of(raw, counted, duration_s=row.duration_s)
        names = _names(result, counted)
        strips = [None if name is None else load_strip(run, name) for name in names]
        notes = _differences(stored_result(run, row.sha256), result)
    reason = _unwatchable(path, raw)
    if reason:
        notes.append(f"{reason}: drawn from what the run stored, without a film")
    motion: ClipMotion | None = None
    frames: list[Picture | None] = [None] * len(counted)
    frame: Picture | None = None
    if decode and not reason:
        motion, frames, frame = _measured(path, raw, config, progress)
    cases = [
        PassageCase(name, c, None if strip is None else strip[0], picture)
        for name, c, strip, picture in zip(names, counted, strips, frames, strict=True)
    ]
    return VideoCase(
        path, raw, result, tuple(cases), config.count.min_existence, motion, frame, watchable=not reason, notes=tuple(notes)
    )


def _names(result: VideoResult, counted: Sequence[CountResult]) -> list[str | None]:
    """The train id of each passage; None for those that are no train."""
    ids = iter(train_ids(result))
    return [next(ids) if is_train(c) else None for c in counted]


def _kept_frame(looked: Sequence[LookPicture], passage: Passage) -> Picture | None:
    middle_s = (passage.start_s + passage.end_s) / 2
    nearest = min(looked, key=lambda look: abs(look.pts_s - middle_s), default=None)
    return None if nearest is None else nearest.picture()


# ---- Which video of a run -----------------------------------------------------------------------------------------------------


def _chosen(rows: Sequence[InputRow], run_dir: Path, video: str | None) -> tuple[InputRow, Path]:
    """The ledger's row of the video that is asked for, and where it lies."""
    if video is None:
        candidates = [row for row in rows if row.status == "done"] or list(rows)
        if not candidates:
            raise InputError(f"the run {run_dir} holds no video yet", hint="scan one into it")
        if len(candidates) > 1:
            named = ", ".join(row.path.name for row in candidates[:_NAMED]) + (", ..." if len(candidates) > _NAMED else "")
            raise InputError(f"the run {run_dir} holds {len(candidates)} videos", hint=f"choose one with --video: {named}")
        return _finished(candidates[0], rows), candidates[0].path
    found = [row for row in rows if video in {str(row.path), row.path.name}] or [row for row in rows if row.path.stem == video]
    if len(found) > 1:
        places = ", ".join(str(row.path) for row in found[:_NAMED])
        raise InputError(f"the run {run_dir} holds {len(found)} videos named {video}", hint=f"give the path: {places}")
    if found:
        # The name may be given as the place where the video lies now.
        return _finished(found[0], rows), found[0].path if found[0].path.is_file() or not Path(video).is_file() else Path(video)
    if Path(video).is_file():
        sha256 = sha256_of(Path(video))
        same = next((row for row in rows if row.sha256 == sha256), None)
        if same is not None:
            return _finished(same, rows), Path(video)
    named = ", ".join(row.path.name for row in rows[:_NAMED]) + (", ..." if len(rows) > _NAMED else "")
    raise InputError(f"the run {run_dir} has no video {video}", hint=f"it has: {named}" if named else "scan it first")


def _finished(row: InputRow, rows: Sequence[InputRow]) -> InputRow:
    if row.status in {"queued", "running"}:
        raise InputError(f"{row.path.name} is not finished in this run ({row.status})", hint="wait for the scan, or scan again")
    if row.status == "skipped":  # a repost: its original was counted
        original = next((other for other in rows if other.status == "done" and other.sha256 == row.sha256), None)
        if original is not None:
            return original
    if row.status != "done":
        raise InputError(f"{row.path.name} was not counted: {row.sentence or row.reason}", hint="there is nothing to explain")
    return row


def _unwatchable(path: Path, raw: RawVideo) -> str:
    """Why the video cannot be decoded again; empty where it can."""
    try:
        if not path.is_file():
            return f"{path} is not there any more (--video takes its new place)"
        if path.stat().st_size != raw.record.size_bytes or sha256_of(path) != raw.record.sha256:
            return f"{path} is another file than the one that was scanned"
    except (OSError, FlatcarError) as error:
        return f"{path} cannot be read: {error}"
    return ""


def _differences(before: VideoResult | None, now: VideoResult) -> list[str]:
    if before is None:
        return []
    totals = [[train.total.count for train in result.trains] for result in (before, now)]
    if totals[0] == totals[1]:
        return []
    shown = [", ".join(map(str, t)) or "no train" for t in totals]
    return [f"the run's tables say {shown[0]}, here it is {shown[1]}: made with other settings or another version"]


# ---- Motion -------------------------------------------------------------------------------------------------------------------


def _measured(
    path: Path, raw: RawVideo, config: Config, progress: Progress | None
) -> tuple[ClipMotion | None, list[Picture | None], Picture | None]:
    """Motion as far as the last passage, a frame of each passage, and any frame."""
    wanted_s = [(p.start_s + p.end_s) / 2 for p in raw.passages]
    until_s = max((p.end_s for p in raw.passages), default=_NO_TRAIN_S) + _AFTER_S
    frames: list[Picture | None] = [None] * len(wanted_s)
    some: Picture | None = None
    splitter = ShotSplitter()
    record = raw.record
    try:
        with VideoReader(path, config.video, record=record) as reader:
            meter = MotionMeter(frame_width_px=record.width_px, frame_height_px=record.height_px, config=config.motion)
            for frame in reader:
                if frame.pts_s > until_s:
                    break
                luma = frame.luma(config.motion.width_px)
                meter.push(luma, frame.pts_s)
                splitter.push(luma, frame.pts_s)
                for i in [i for i, at_s in enumerate(wanted_s) if frames[i] is None and frame.pts_s >= at_s]:
                    frames[i] = shrunk(frame.bgr())
                if some is None or (frame.index % 50 == 0 and frame.index <= 100):
                    some = shrunk(frame.bgr())
                if progress is not None and frame.index % 25 == 0:
                    progress(frame.pts_s, min(until_s, record.duration_s or until_s))
    except FlatcarError as error:
        raise TruthError(f"{path} was scanned, but cannot be decoded now: {error}", hint="--no-video does without it") from error
    series = meter.finish()
    return _clip_motion(series, splitter.confirm(coherence=series.coherence)), frames, some


def shrunk(bgr: Picture, width_px: int = FRAME_WIDTH_PX) -> Picture:
    """A picture no wider than ``width_px``."""
    scale = width_px / bgr.shape[1]
    if scale >= 1:
        return bgr
    size = (width_px, max(2, round(bgr.shape[0] * scale)))
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _clip_motion(series: MotionSeries, shots: Sequence[Shot]) -> ClipMotion | None:
    """The layers of all shots one after the other; None without frames."""
    parts: list[Layers] = [shot_layers(series, shot) for shot in shots]
    if not parts or sum(len(part.present) for part in parts) != len(series):
        return None
    train_px = [np.where(part.present, part.train_px, np.nan) * series.scale for part in parts]
    return ClipMotion(
        pts_s=series.pts_s,
        coherence=series.coherence,
        background_px=np.concatenate([part.background_px * series.scale for part in parts]),
        train_px=np.concatenate(train_px),
        train_bands=np.concatenate([part.band_support for part in parts]),
        background_bands=np.concatenate([part.band_background for part in parts]),
        shots=tuple(shots),
    )
