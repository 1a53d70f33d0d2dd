"""Where the camera run breaks: candidates from the picture, confirmed with motion.

A cut replaces the whole picture between one frame and the next. So does, nearly, a train that enters close by, a flash, a pole
rushing past. Pictures alone cannot tell them apart for sure; registration can: after a cut the frame before does not register
onto this one, anywhere. Hence two steps: a detector proposes, generously, and ``ShotSplitter.confirm`` decides with what motion
knows, or, where nothing is known, by asking a cut to stand out from the frames after it, too.

Not found: slow fades and dissolves; and a jump within one fixed camera's recording, where the background stays: `motion.jumps`
looks for those.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.types import Shot

Grey = NDArray[np.uint8]
_Grid = NDArray[np.float32]


@runtime_checkable
class ShotDetector(Protocol):
    """Looks at the frames of one video in order and proposes cuts. One object serves one video."""

    def push(self, luma: Grey, pts_s: float) -> bool:
        """Whether this frame begins a new shot, as far as the pictures up to it can tell; never the first frame.

        Args:
            luma: (rows, columns) uint8, the same shape for all frames of a video.
            pts_s: Its time, seconds, greater than that of the frame before.
        """
        ...


class LumaShots:
    """Own detector: most of the picture's columns change their pattern, and suddenly so.

    The picture is averaged into a grid of 24 by 16 blocks. Between two frames the change of a block is its difference less the
    median difference of all blocks: what only gets brighter does not count. A column's change is the mean over its blocks, and
    the frame's is that of its least changed fifth of columns: a train enters from one side and leaves the other columns
    alone. Blocks that are black in both frames (bars at the sides) are left out.
    It is a candidate when it exceeds both ``floor`` and ``ratio`` times the second largest change of the last second: the more
    the camera shakes or the closer the train passes, the more it takes; and a cut just before does not hide this one.

    Args:
        floor: Smallest change that can be a cut, grey levels.
        ratio: How far it must stand above the last second's.
    """

    def __init__(self, *, floor: float = 5.0, ratio: float = 1.8) -> None:
        self._floor = floor
        self._ratio = ratio
        self._last: _Grid | None = None
        self._recent: deque[tuple[float, float]] = deque()

    def push(self, luma: Grey, pts_s: float) -> bool:
        grid = _grid(luma)
        last, self._last = self._last, grid
        return last is not None and self.judge(change_of(last, grid), pts_s)

    def judge(self, change: float, pts_s: float) -> bool:
        """``push`` for a caller that worked out the frame's ``change_of`` itself; the first frame has none and is not judged."""
        while self._recent and self._recent[0][0] < pts_s - 1.0:
            self._recent.popleft()
        usual = _second_largest([value for _, value in self._recent])
        self._recent.append((pts_s, change))
        return change > max(self._floor, self._ratio * usual)


class SceneDetectShots:
    """PySceneDetect's content detector on the luma alone, fed with the small picture at most 160 pixels wide.

    Args:
        threshold: Mean change of a pixel that makes a cut, grey levels; PySceneDetect's own default.
    """

    def __init__(self, *, threshold: float = 27.0) -> None:
        # A fifth of a second to import, and not the default.
        from scenedetect import FrameTimecode  # noqa: PLC0415
        from scenedetect.detectors import ContentDetector  # noqa: PLC0415

        # Its own minimum length would hold cuts back until later frames; ShotSplitter has one.
        self._detector = ContentDetector(threshold=threshold, min_scene_len=0, luma_only=True)
        self._timecode = FrameTimecode
        self._index = 0

    def push(self, luma: Grey, pts_s: float) -> bool:
        rows, columns = luma.shape
        if columns > 160:
            luma = np.asarray(cv2.resize(luma, (160, max(1, rows * 160 // columns)), interpolation=cv2.INTER_AREA), np.uint8)
        timecode = self._timecode(self._index, fps=25.0)  # without a minimum length only the order matters
        self._index += 1
        return bool(self._detector.process_frame(timecode, cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)))


class ShotSplitter:
    """Collects the candidates of a detector and settles them when the video is through.

    A candidate is withdrawn when the picture from before it is back within a quarter of a second: a flash, a pole or a bird
    before the lens, a frame of damage.

    Args:
        detector: ``LumaShots()`` unless given.
        max_coherence: A candidate onto which the frame before registers better than this is none.
        min_shot_s: A shot shorter than this is joined to the one before.
    """

    _RETURN_S = 0.25
    _AFTER_RATIO = 1.5

    def __init__(self, detector: ShotDetector | None = None, *, max_coherence: float = 0.5, min_shot_s: float = 0.3) -> None:
        self._detector = detector or LumaShots()
        self._max_coherence = max_coherence
        self._min_shot_s = min_shot_s
        self._pts_s: list[float] = []
        self._change: list[float] = []
        self._candidates: list[int] = []
        self._last: _Grid | None = None
        self._before: list[tuple[int, float, _Grid]] = []
        """For candidates of the last quarter second: index, time, the grid before them."""

    @property
    def last_change(self) -> float:
        """``change_of`` the last frame against the one before; 0 for the first."""
        return self._change[-1] if self._change else 0.0

    @property
    def candidates(self) -> list[int]:
        """Frames (running numbers of ``push``) that may begin a shot, ascending, as far as is known now."""
        return list(self._candidates)

    def push(self, luma: Grey, pts_s: float) -> bool:
        """Whether this frame is a candidate for now; see ``ShotDetector.push``."""
        index = len(self._pts_s)
        self._pts_s.append(pts_s)
        grid = _grid(luma)
        change = change_of(self._last, grid) if self._last is not None else 0.0
        self._change.append(change)
        if isinstance(self._detector, LumaShots):
            proposed = self._last is not None and self._detector.judge(change, pts_s)
        else:
            proposed = self._detector.push(luma, pts_s)
        self._before = [item for item in self._before if pts_s - item[1] <= self._RETURN_S]
        for position, (first, _, before) in enumerate(self._before):
            if _looks_like(before, grid):
                self._candidates = [candidate for candidate in self._candidates if candidate < first]
                self._before = self._before[:position]
                proposed = False
                break
        if proposed and self._last is not None:
            self._candidates.append(index)
            self._before.append((index, pts_s, self._last))
        self._last = grid
        return proposed

    def confirm(
        self, candidates: Sequence[int] | None = None, coherence: Sequence[float] | NDArray[np.floating] | None = None
    ) -> list[Shot]:
        """The shots of all frames pushed.

        Args:
            candidates: Running numbers of frames; those collected unless given.
            coherence: For every frame pushed, how well the frame before registers onto it, in [0, 1]; None believes the pictures.

        Raises:
            ValueError: ``coherence`` has another length than there are frames.
        """
        chosen = self.candidates if candidates is None else sorted(candidates)
        if coherence is not None:
            if len(coherence) != len(self._pts_s):
                raise ValueError(f"coherence has {len(coherence)} values for {len(self._pts_s)} frames")
            chosen = [index for index in chosen if coherence[index] <= self._max_coherence]
        else:
            chosen = [index for index in chosen if self._stands_out(index)]
        cuts: list[int] = []
        start_s = self._pts_s[0] if self._pts_s else 0.0
        for index in chosen:
            if self._pts_s[index] - start_s >= self._min_shot_s:
                cuts.append(index)
                start_s = self._pts_s[index]
        return shots_from_cuts(self._pts_s, cuts)

    def _stands_out(self, index: int) -> bool:
        """Whether a frame changes clearly more than those right after it; a passing train keeps changing."""
        last = bisect_right(self._pts_s, self._pts_s[index] + self._RETURN_S)
        return self._change[index] > self._AFTER_RATIO * _second_largest(self._change[index + 1 : last])


def shots_from_cuts(pts_s: Sequence[float] | NDArray[np.floating], cut_indices: Sequence[int]) -> list[Shot]:
    """Shots that cover all frames, given the frames that begin a new one.

    Args:
        pts_s: (n,) times of all frames, seconds, increasing.
        cut_indices: Indices in [1, n), in any order; repeated ones count once.

    Returns:
        One more shot than there are cuts, in order; none without frames.

    Raises:
        ValueError: An index is out of range.
    """
    n = len(pts_s)
    cuts = sorted(set(cut_indices))
    if cuts and not (cuts[0] >= 1 and cuts[-1] < n):
        raise ValueError(f"cut indices {cuts} do not lie in [1, {n})")
    if not n:
        return []
    starts, ends = [0, *cuts], [*cuts, n]
    return [
        Shot(number, float(pts_s[start]), float(pts_s[end - 1]))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


_GRID_ROWS, _GRID_COLUMNS = 16, 24
_BLACK = 24.0
"""Black is 16 in most videos, and not quite even once coded."""


def _grid(luma: Grey) -> _Grid:
    return np.asarray(cv2.resize(luma, (_GRID_COLUMNS, _GRID_ROWS), interpolation=cv2.INTER_AREA), np.float32)


def _second_largest(values: Sequence[float]) -> float:
    return sorted(values)[-2] if len(values) > 1 else 0.0


def _quantile(values: NDArray[np.float32], share: float) -> float:
    """As numpy's, between neighbours in proportion, at a fifth of its cost on a few hundred values."""
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def change_of(before: _Grid, now: _Grid) -> float:
    """Change of pattern that four fifths of the lit columns reach, grey levels; see ``LumaShots``."""
    lit = (before > _BLACK) | (now > _BLACK)
    columns = lit.sum(axis=0)
    if not columns.any():
        return 0.0
    difference = now - before
    changed = np.where(lit, np.abs(difference - _quantile(difference[lit], 0.5)), 0.0)
    per_column = changed.sum(axis=0)[columns > 0] / columns[columns > 0]
    return _quantile(per_column, 0.2)


def _looks_like(before: _Grid, now: _Grid) -> bool:
    """Whether two grids show the same scene, apart from brightness and what moves in less than half of it."""
    lit = (before > _BLACK) | (now > _BLACK)
    if before.std() < 3.0 or not lit.any():
        return False  # a plain picture is like any other
    difference = (now - before)[lit]
    return float(np.median(np.abs(difference - np.median(difference)))) < 2.0
