"""What a pass does with every frame, but for the detector: motion, shots, bars, and when to look. Knows nothing of files.

A scan feeds it decoded frames, the counting benchmark rendered ones: both then go the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vision.config import Config, MotionConfig
from vision.count.alongside import part_trains, stretched_shots
from vision.motion.jumps import Join, JoinKeeper
from vision.motion.meter import MotionMeter, MotionSeries
from vision.motion.passages import counted_after_all, find_passages
from vision.motion.rows import MovingRows
from vision.run.carried import carriers
from vision.run.looking import LookScheduler, Where
from vision.run.unpassed import unpassed
from vision.types import Dropped, Look, Passage, Shot
from vision.video import ShotSplitter, StaticOverlays

_CUT_COHERENCE = 0.25
_OVERLAY_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True, repr=False)
class Watched:
    """What was seen of a whole video, before any box.

    Attributes:
        series: Band shifts of every frame.
        shots: The shots.
        content_x: For each run of frames between possible cuts: its first time, and the columns of the small picture (first,
            last) that no bar covers.
        joins: Where the picture changed all of a sudden.
    """

    series: MotionSeries
    shots: tuple[Shot, ...]
    content_x: tuple[tuple[float, float, float], ...]
    joins: tuple[Join, ...] = ()

    def passing(self, config: MotionConfig) -> tuple[list[Passage], list[Dropped]]:
        """Passing trains, and what was left out; the same whatever the detector saw."""
        return find_passages(self.series, self.shots, config, self.joins)

    def passages(
        self, looks: Sequence[Look], config: MotionConfig, passing: tuple[list[Passage], list[Dropped]] | None = None
    ) -> tuple[tuple[Passage, ...], tuple[Dropped, ...]]:
        """Passing trains and, where a shot has detections but none passes, brief or standing ones; and what was left out.

        Args:
            looks: What the detector saw.
            config: Settings.
            passing: What ``passing`` gave, for those who ask with several sets of looks.
        """
        moving, dropped = passing or self.passing(config)
        if stretched := stretched_shots(moving, looks):
            moving, dropped = find_passages(self.series, self.shots, config, self.joins, one_train=stretched)
        others = unpassed(self.series, self.shots, moving, looks, config)
        found, dropped = [*moving, *others], list(counted_after_all(dropped, others))
        found, dropped = carriers((found, dropped), self.series, self.shots, looks, config, self.joins)
        found = [replace(passage, view_x_px=self._view_x_px(passage)) for passage in found]
        return tuple(part_trains(found, looks)), (*self._repeats(), *dropped)

    def _view_x_px(self, passage: Passage) -> tuple[float, float]:
        """First and last column of the full frame that the picture fills: what lies behind a side bar is never in view."""
        within = [at for at in self.content_x if at[0] <= passage.start_s + _OVERLAY_INTERVAL_S]
        _, x0, x1 = within[-1]
        return x0 * self.series.scale, x1 * self.series.scale

    def _repeats(self) -> tuple[Dropped, ...]:
        repeated = self.series.repeated
        if not repeated.any():
            return ()
        return (Dropped("frame", "repeats_the_one_before", int(repeated.sum()), float(self.series.pts_s[repeated.argmax()])),)


class Watch:
    """Takes the small pictures of a video one after the other.

    Args:
        config: All settings.
        width_px, height_px: Of the upright full frame.
    """

    def __init__(self, config: Config, *, width_px: int, height_px: int) -> None:
        self._meter = MotionMeter(frame_width_px=width_px, frame_height_px=height_px, config=config.motion)
        self._scheduler = LookScheduler(config.detect, width_px=width_px)
        self._splitter = ShotSplitter()
        self._joins = JoinKeeper()
        self._overlays: list[tuple[float, StaticOverlays]] = []
        self._overlays_last_s = -np.inf
        self._rows = MovingRows()
        self._height_px = height_px
        self._shot = 0

    def push(self, luma: NDArray[np.uint8], pts_s: float) -> bool:
        """Take the next small picture; whether the detector should look at this frame."""
        speed_px_s = self._meter.push(luma, pts_s)
        cut = self._splitter.push(luma, pts_s) and self._meter.last_coherence < _CUT_COHERENCE
        self._joins.push(luma, pts_s, self._splitter.last_change)
        self._rows.push(luma, pts_s, self._meter.last_moving, cut=cut)
        self._shot += cut
        self._push_overlays(luma, pts_s, cut=cut)
        return self._scheduler.due(pts_s, speed_px_s, cut=cut)

    @property
    def where(self) -> Where:
        """Which part of the last frame is worth a look."""
        span = self._rows.span()
        return Where(None if span is None else (span[0] * self._height_px, span[1] * self._height_px), self._shot)

    def _push_overlays(self, luma: NDArray[np.uint8], pts_s: float, *, cut: bool) -> None:
        if cut or not self._overlays:
            self._overlays.append((pts_s, StaticOverlays()))
        elif pts_s - self._overlays_last_s < _OVERLAY_INTERVAL_S:
            return
        self._overlays[-1][1].push(luma)
        self._overlays_last_s = pts_s

    def finish(self) -> Watched:
        """All that was seen."""
        series = self._meter.finish()
        content = [(start_s, overlays.result().content_xyxy) for start_s, overlays in self._overlays]
        return Watched(
            series=series,
            shots=tuple(self._splitter.confirm(coherence=series.coherence)),
            content_x=tuple((start_s, float(x0), float(x1)) for start_s, (x0, _, x1, _) in content),
            joins=self._joins.joins(),
        )
