"""Rendered clips as the motion meter sees them, and how far its answer is from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.clips import small_scene
from vision.config import MotionConfig, VideoConfig
from vision.motion.jumps import Join, JoinKeeper
from vision.motion.meter import MotionMeter, MotionSeries
from vision.motion.passages import find_passages
from vision.synth.benchmark import slip_px, small_grey
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer, SceneTruth
from vision.synth.scene import Condition, Knots, SceneSpec, whole_duration_s
from vision.types import Passage, Shot
from vision.video import ShotSplitter, VideoReader

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """Small grey pictures with their times, and the truth."""

    pts_s: list[float]
    grey: list[Grey]
    truth: SceneTruth
    spec: SceneSpec

    def measured(self, keep: Iterable[int] | None = None) -> MotionSeries:
        """The series of all frames, or of those kept."""
        chosen = range(len(self.grey)) if keep is None else keep
        return measure([self.grey[i] for i in chosen], [self.pts_s[i] for i in chosen], self.spec)

    def slip_px(self, passage: Passage) -> float:
        return slip_px(passage, self.truth, self.truth.trains[0])


def measure(grey: list[Grey], pts_s: list[float], spec: SceneSpec) -> MotionSeries:
    meter = MotionMeter(frame_width_px=spec.width_px, frame_height_px=spec.height_px, config=MotionConfig())
    for picture, time_s in zip(grey, pts_s, strict=True):
        meter.push(picture, time_s)
    return meter.finish()


def passages_of(series: MotionSeries, joins: Sequence[Join] = ()) -> list[Passage]:
    """The passages of a series that is one shot."""
    shot = Shot(0, float(series.pts_s[0]), float(series.pts_s[-1]))
    return find_passages(series, [shot], MotionConfig(), joins)[0]


def joins_of(grey: Sequence[Grey], pts_s: Sequence[float]) -> tuple[Join, ...]:
    """Where the pictures change all of a sudden, as a scan notes it."""
    splitter, keeper = ShotSplitter(), JoinKeeper()
    for picture, time_s in zip(grey, pts_s, strict=True):
        splitter.push(picture, time_s)
        keeper.push(picture, time_s, splitter.last_change)
    return keeper.joins()


def film(spec: SceneSpec) -> Film:
    renderer = Renderer(spec, DrawnAssets())
    frames = [(pts_s, small_grey(picture, 320)) for pts_s, picture in renderer.frames()]
    return Film([t for t, _ in frames], [g for _, g in frames], renderer.truth(), spec)


def scene(seed: int = 1, *, condition: Condition = "fixed", flatcars: int = 2, speed_px: float | None = None) -> SceneSpec:
    """A small scene; ``speed_px`` sets the train's speed, pixels a frame."""
    spec = small_scene(seed, condition=condition, flatcars=flatcars)
    if speed_px is None or not spec.trains:
        return spec
    train = replace(spec.trains[0], speed_m_s=Knots(((0.0, speed_px * spec.fps / spec.trains[0].px_per_m),)))
    spec = replace(spec, trains=(train,))
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=0.6))


def measure_file(path: Path) -> MotionSeries:
    """The series of a video file, decoded as a scan does it."""
    with VideoReader(path, VideoConfig(max_corrupt_in_a_row=60, threads=1)) as reader:
        record = reader.record
        meter = MotionMeter(frame_width_px=record.width_px, frame_height_px=record.height_px, config=MotionConfig())
        for frame in reader:
            meter.push(frame.luma(320), frame.pts_s)
    return meter.finish()
