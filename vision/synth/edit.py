"""What happens to a clip after it was filmed: each edit says which moment of the scene every frame of the clip shows, and when.

An edit takes and gives ``(scene_s, pts_s)``, two arrays of one length: the scene's time of each frame, and when it is shown. So
edits stack, and the truth, which is asked by frame, follows them exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vision.synth.spec import SceneSpec

FloatArray = NDArray[np.float64]
Clock = tuple[FloatArray, FloatArray]


def clock_of(spec: SceneSpec) -> Clock:
    """The clip as it is now."""
    return spec.frame_times_s(), spec.shown_s()


def with_clock(spec: SceneSpec, clock: Clock) -> SceneSpec:
    """The scene shown by another clock.

    Raises:
        ValueError: No frame is left, or the clip's times do not increase.
    """
    scene_s, pts_s = clock
    if not len(scene_s) or np.any(np.diff(pts_s) <= 0):
        raise ValueError("an edited clip needs frames, one after the other")
    return replace(spec, times_s=tuple(scene_s.tolist()), pts_s=tuple((pts_s - pts_s[0]).tolist()))


def jumped(clock: Clock, cuts_s: list[tuple[float, float]], *, fps: float) -> Clock:
    """Pieces of the clip cut out; what follows closes up.

    Args:
        clock: The clip.
        cuts_s: (from, to) on the clip's clock.
        fps: One frame's time stays between what is left and what follows.
    """
    scene_s, pts_s = clock
    keep = np.ones(len(pts_s), dtype=bool)
    for start_s, end_s in cuts_s:
        keep &= ~((pts_s >= start_s) & (pts_s < end_s))
    index = np.flatnonzero(keep)
    steps = np.diff(pts_s[index], prepend=pts_s[index[:1]])
    steps[np.diff(index, prepend=index[:1]) > 1] = 1 / fps
    return scene_s[index], np.cumsum(steps)


def sped(clock: Clock, pieces: list[tuple[float, float]], *, fps: float) -> Clock:
    """The clip played faster or slower, at the same frame rate: frames are left out or shown again, none is blended.

    Args:
        clock: The clip.
        pieces: (from, rate): from that time of the old clip on it is played that many times as fast; the first from its start.
        fps: Of the new clip.
    """
    scene_s, pts_s = clock
    starts = np.array([max(start_s, pts_s[0]) for start_s, _ in pieces] + [pts_s[-1] + 1 / fps])
    rates = np.array([rate for _, rate in pieces])
    new_starts = np.concatenate([[0.0], np.cumsum(np.diff(starts) / rates)])
    new_pts_s = np.arange(max(1, int(new_starts[-1] * fps))) / fps
    # Half a frame of grace: the clip's own times fall on the grid but for rounding.
    index = np.searchsorted(pts_s, np.interp(new_pts_s, new_starts, starts) + 1e-6, side="right") - 1
    return scene_s[np.clip(index, 0, len(scene_s) - 1)], new_pts_s


def doubled(clock: Clock, repeat: NDArray[np.bool_]) -> Clock:
    """Frames that show the picture before once more. The first frame cannot; ``repeat`` has one entry for each frame."""
    scene_s, pts_s = clock
    index = np.maximum.accumulate(np.where(repeat, 0, np.arange(len(scene_s))))
    return scene_s[index], pts_s


def dropped(clock: Clock, drop: NDArray[np.bool_], *, closed_up: bool, fps: float) -> Clock:
    """Frames left out; the others keep their times, or close up as if nothing were missing (``drop`` has one entry a frame)."""
    scene_s, pts_s = clock
    index = np.flatnonzero(~drop)
    return scene_s[index], np.arange(len(index)) / fps if closed_up else pts_s[index]


def variable_rate(spec: SceneSpec, rng: np.random.Generator) -> Clock:
    """What a telephone records: the rate changes with the light every few seconds, and single frames come early or late."""
    end_s = float(spec.frame_times_s()[-1])
    times: list[float] = [0.0]
    rate, until_s = spec.fps, 0.0
    while times[-1] < end_s:
        if times[-1] >= until_s:
            rate, until_s = spec.fps * float(rng.uniform(0.5, 1.2)), times[-1] + float(rng.uniform(1.5, 4.0))
        times.append(times[-1] + float(rng.uniform(0.75, 1.25)) / rate)
    scene_s = np.array(times[:-1] or [0.0])
    return scene_s, scene_s.copy()
