"""Streaming front of the motion measurement: frames in, one after the other; a series of band shifts out.

Memory grows by some 500 bytes a frame; pictures are not kept but for the anchor and the frame before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import MotionConfig
from vision.motion.bands import PEAKS_PER_BAND, BandPeaks, Spectrum, register_bands

_ANCHOR_MAX_SHIFT_PX = 16.0
_ANCHOR_MAX_AGE = 10
# Where nothing moves the anchor is renewed sooner: a train that comes in has to be in both pictures to be seen. Not at once: what
# is faint and slow has to part from what stands still before it can be seen, and to one frame it looks like nothing.
_STILL_ANCHOR_MAX_AGE = 5
_STILL_PX = 0.4
_SUPPORTED = 0.2
_LOST_COHERENCE = 0.25
_KEPT_COHERENCE = 0.6
# A doubled frame is the one before but for what the encoder made of it: a small part of what frames change by just then.
_SAME_FRAME_GREY = 0.01
_REPEATED_FRAME_GREY = 0.25
_REPEATED_FRAME_SHARE = 0.2
_CHANGES = 9
_LONGEST_FREEZE = 12
_FIRST_FRAMES = 512
_STATIC_TIME_S = 1.5
_STATIC_KNOWN = 0.15
_LAYER_TOLERANCE_PX = 1.5
_LAYER_SUPPORT = 0.45


@dataclass(frozen=True, slots=True, repr=False)
class MotionSeries:
    """Band shifts of every frame of a video, struct-of-arrays over n frames.

    Attributes:
        pts_s: (n,) float64, seconds.
        anchor: (n,) int64, index of the frame each was registered against; its own index where there was none (first frame,
            repeats).
        shift_px: (n, bands, peaks) float32, of what moves on the picture, pixels of the small picture, positive right.
        response: (n, bands, peaks) float32 in [0, 1].
        whole_shift_px, whole_response: The same for the bands as they are, with what stands still.
        coherence: (n,) float32 in [0, 1]: how well the frame is its anchor moved; 1 for the first frame.
        repeated: (n,) bool: the picture repeats the frame before (a doubled frame).
        width_px: Width of the small picture; full-frame pixels are ``scale`` times larger.
        rows: Height of the small picture, in its rows.
        scale: Full-frame pixels per pixel of the small picture, along x.
        row_scale: Full-frame pixels per row of the small picture.
    """

    pts_s: NDArray[np.float64]
    anchor: NDArray[np.int64]
    shift_px: NDArray[np.float32]
    response: NDArray[np.float32]
    whole_shift_px: NDArray[np.float32]
    whole_response: NDArray[np.float32]
    coherence: NDArray[np.float32]
    repeated: NDArray[np.bool_]
    width_px: int
    rows: int
    scale: float
    row_scale: float

    def __len__(self) -> int:
        return len(self.pts_s)

    def __repr__(self) -> str:
        return f"MotionSeries(frames={len(self)}, bands={self.shift_px.shape[1:]}, width_px={self.width_px})"

    @property
    def interval_s(self) -> float:
        """Typical time between frames, seconds."""
        return float(np.median(np.diff(self.pts_s))) if len(self) > 1 else 1.0 / 25.0


class MotionMeter:
    """Measures band shifts frame by frame and says, roughly and at once, how fast the fastest layer moves.

    Args:
        frame_width_px, frame_height_px: Size of the upright full frame.
        config: Settings.
    """

    def __init__(self, *, frame_width_px: int, frame_height_px: int, config: MotionConfig) -> None:
        self._config = config
        self._frame_wh_px = (frame_width_px, frame_height_px)
        self._rows = 0
        self._width_px = 0
        self._anchor: Spectrum | None = None
        self._anchor_index = 0
        self._before: Spectrum | None = None
        self._before_index = 0
        self._best_coherence = 1.0
        self._repeats = _Repeats()
        self._static: NDArray[np.complex64] | None = None
        self._static_weight = 0.0
        self._pts_s: list[float] = []
        self._anchors: list[int] = []
        self._peaks = np.zeros((_FIRST_FRAMES, 4, config.bands, PEAKS_PER_BAND), np.float32)
        self._coherence: list[float] = []
        self._repeated: list[bool] = []
        self._speeds: deque[float] = deque(maxlen=5)
        self._moving = _no_peaks(config.bands)

    def push(self, luma: NDArray[np.uint8], pts_s: float) -> float:
        """Take the next frame.

        Args:
            luma: (rows, width) uint8, the small upright grey picture; the same size for all frames.
            pts_s: Its time, later than the one before.

        Returns:
            Speed of the fastest layer that at least two bands agree on, full-frame pixels a second, >= 0: good enough to decide
            when to look, not to count with.
        """
        index = len(self._pts_s)
        self._rows, self._width_px = luma.shape
        repeated = self._repeats.push(luma)
        spectrum = self._before if repeated and self._before is not None else Spectrum(luma)
        whole = moving = _no_peaks(self._config.bands)
        anchor_index = index
        if self._anchor is not None and not repeated:
            anchor_index = self._anchor_index
            whole, moving = self._register(spectrum, self._anchor)
            lost = min(_LOST_COHERENCE, _KEPT_COHERENCE * self._best_coherence)
            if whole.coherence < lost and anchor_index < self._before_index and self._before is not None:
                anchor_index = self._before_index
                whole, moving = self._register(spectrum, self._before)
        self._append(pts_s, anchor_index, whole, moving, repeated)
        self._moving = moving
        if not repeated:
            self._learn_static(spectrum, index, lost=anchor_index < index and whole.coherence < _LOST_COHERENCE / 2)
        if self._anchor is None or (not repeated and self._anchor_is_stale(whole, moving, index)):
            self._anchor, self._anchor_index = spectrum, index
        if not repeated:
            self._before, self._before_index = spectrum, index
        return self._speed_now(moving, anchor_index, index)

    def _register(self, spectrum: Spectrum, anchor: Spectrum) -> tuple[BandPeaks, BandPeaks]:
        static = None
        if self._static is not None and self._static_weight > _STATIC_KNOWN:
            static = self._static / np.float32(self._static_weight)
        return register_bands(spectrum, anchor, bands=self._config.bands, static=static)

    def _learn_static(self, spectrum: Spectrum, index: int, *, lost: bool) -> None:
        """Running mean of the spectra; after a cut it starts anew."""
        if self._static is None or lost or self._static.shape != spectrum.rows.shape:
            self._static, self._static_weight = np.zeros_like(spectrum.rows), 0.0
        elapsed_s = self._pts_s[index] - self._pts_s[index - 1] if index else 1.0 / 25.0
        share = np.float32(1.0 - np.exp(-elapsed_s / _STATIC_TIME_S))
        self._static += share * (spectrum.rows - self._static)
        # Weight of the frames seen so far: the mean of a few frames is not yet the mean of a second.
        self._static_weight += float(share) * (1.0 - self._static_weight)

    @property
    def last_moving(self) -> BandPeaks:
        """Band shifts of the last frame without what stands still; no peaks for a repeat."""
        return self._moving

    @property
    def last_coherence(self) -> float:
        """How well the last frame is its anchor moved, in [0, 1]; 1 before there are two."""
        return self._coherence[-1] if self._coherence else 1.0

    def finish(self) -> MotionSeries:
        """The series of all frames pushed so far."""
        shift_px, response, whole_shift_px, whole_response = self._peaks[: len(self._pts_s)].swapaxes(0, 1)
        return MotionSeries(
            pts_s=np.array(self._pts_s, dtype=np.float64),
            anchor=np.array(self._anchors, dtype=np.int64),
            shift_px=shift_px,
            response=response,
            whole_shift_px=whole_shift_px,
            whole_response=whole_response,
            coherence=np.array(self._coherence, dtype=np.float32),
            repeated=np.array(self._repeated, dtype=bool),
            width_px=self._width_px,
            rows=self._rows,
            scale=self._frame_wh_px[0] / max(self._width_px, 1),
            row_scale=self._frame_wh_px[1] / max(self._rows, 1),
        )

    def _append(self, pts_s: float, anchor_index: int, whole: BandPeaks, moving: BandPeaks, repeated: bool) -> None:
        index = len(self._pts_s)
        if index == len(self._peaks):
            # One growing array: small ones for every frame would leave holes all over the memory.
            self._peaks = np.concatenate([self._peaks, np.zeros_like(self._peaks)])
        self._peaks[index] = moving.shift_px, moving.response, whole.shift_px, whole.response
        self._pts_s.append(pts_s)
        self._anchors.append(anchor_index)
        # Nothing was measured in the first frame and in repeats: they hold together with what came before.
        self._coherence.append(1.0 if anchor_index == index else whole.coherence)
        self._repeated.append(repeated)

    def _anchor_is_stale(self, whole: BandPeaks, moving: BandPeaks, index: int) -> bool:
        """A new anchor is due once anything has moved far from it, it is old, or it no longer resembles the frame."""
        age = index - self._anchor_index - sum(self._repeated[self._anchor_index : index])
        self._best_coherence = max(whole.coherence, self._best_coherence if age > 1 else 0.0)
        # Noise alone keeps two frames from being alike: what counts is what is lost beside that.
        if age >= _ANCHOR_MAX_AGE or whole.coherence < min(2 * _LOST_COHERENCE, _KEPT_COHERENCE * self._best_coherence):
            return True
        supported = _SUPPORTED * min(1.0, 2.0 * self._best_coherence)
        moved_px = max(float(np.where(p.response > supported, np.abs(p.shift_px), 0.0).max()) for p in (whole, moving))
        return moved_px > _ANCHOR_MAX_SHIFT_PX or (moved_px < _STILL_PX and age >= _STILL_ANCHOR_MAX_AGE)

    def _speed_now(self, peaks: BandPeaks, anchor_index: int, index: int) -> float:
        if anchor_index < index:
            elapsed_s = max(self._pts_s[index] - self._pts_s[anchor_index], 1e-3)
            self._speeds.append(_fastest_layer_px(peaks) / elapsed_s)
        middle = sorted(self._speeds)[len(self._speeds) // 2] if self._speeds else 0.0
        return middle * self._frame_wh_px[0] / self._width_px


class _Repeats:
    """Tells doubled frames from those that show something new.

    Each picture is compared with the last one that was new, not with the one before: what creeps adds up until it counts.
    """

    def __init__(self) -> None:
        self._shown: NDArray[np.uint8] | None = None
        self._changes_grey: deque[float] = deque(maxlen=_CHANGES)
        self._run = 0

    def push(self, luma: NDArray[np.uint8]) -> bool:
        """Whether the next picture repeats the last new one."""
        change_grey = 255.0 if self._shown is None else _mean_difference(luma, self._shown)
        if change_grey < _SAME_FRAME_GREY:
            return True
        usual_grey = float(np.median(self._changes_grey)) if self._changes_grey else 0.0
        if change_grey < min(_REPEATED_FRAME_GREY, _REPEATED_FRAME_SHARE * usual_grey):
            self._run += 1
            if self._run <= _LONGEST_FREEZE:
                return True
            # No freeze lasts so long: the train has stopped or gone, and little change is usual now.
            self._changes_grey.clear()
        self._run = 0
        self._changes_grey.append(change_grey)
        self._shown = luma
        return False


def _mean_difference(luma: NDArray[np.uint8], before: NDArray[np.uint8]) -> float:
    """Mean absolute difference, grey levels."""
    if luma.shape != before.shape:
        return 255.0
    return float(cv2.norm(luma, before, cv2.NORM_L1)) / luma.size


def _no_peaks(bands: int) -> BandPeaks:
    return BandPeaks(np.zeros((bands, PEAKS_PER_BAND), np.float32), np.zeros((bands, PEAKS_PER_BAND), np.float32), 0)


def _fastest_layer_px(peaks: BandPeaks) -> float:
    """Largest shift that at least two bands agree on, pixels of the small picture."""
    strong = peaks.response > _SUPPORTED / 2
    shift, response = peaks.shift_px[strong], peaks.response[strong]
    if len(shift) == 0:
        return 0.0
    agree = np.abs(shift[:, None] - shift[None, :]) < _LAYER_TOLERANCE_PX
    supported = (agree @ response > _LAYER_SUPPORT) & (agree.sum(axis=1) >= 2)
    return float(np.abs(shift[supported]).max()) if supported.any() else 0.0
