"""Shots that no train passes, though vehicles were seen in them: of a standing train, or of a short piece of a passage."""

from __future__ import annotations

from collections.abc import Sequence

from vision.config import MotionConfig
from vision.count.abreast import moving_with
from vision.motion.meter import MotionSeries
from vision.motion.passages import brief_passage, standing_passage
from vision.types import Look, Passage, Shot


def unpassed(
    series: MotionSeries, shots: Sequence[Shot], passages: Sequence[Passage], looks: Sequence[Look], config: MotionConfig
) -> list[Passage]:
    """A passage for every shot with detections that no train passes; counting says what it is worth.

    Without motion, unless something moves all the time and the detections with it.

    Args:
        series: Band shifts of the video.
        shots: All of it.
        passages: The trains that pass.
        looks: What the detector saw, in order of time.
        config: Settings.
    """
    passing = {passage.shot_index for passage in passages}
    found = []
    for shot in shots:
        within = [look for look in looks if len(look.detections) and shot.start_s <= look.pts_s <= shot.end_s]
        if shot.index in passing or not within:
            continue
        standing, brief = standing_passage(series, shot), brief_passage(series, shot, config)
        found.append(standing if brief is None or not moving_with(brief, standing, within) else brief)
    return found
