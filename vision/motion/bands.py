"""Frame-to-frame registration of horizontal bands, the cheap and dense measurement under everything else.

A train, its background and a caption move differently, but each of them moves all its pixels alike. So the small grey picture is cut
into overlapping horizontal bands, and each band is registered alone along x against an earlier frame, the *anchor*.

For a band with rows ``r`` and row spectra ``F_r(f)`` (now) and ``A_r(f)`` (anchor) of the horizontal gradient, the complex coherence is

    gamma(f) = sum_r F_r conj(A_r) / sqrt(sum_r |F_r|^2  sum_r |A_r|^2)

(Carter, Knapp, Nuttall 1973, with rows in the place of time segments). Its inverse transform peaks at the shift that the rows agree on, with
a height near the share of the band that moves so. Unlike plain phase correlation it gives frequencies that carry only noise no weight.
A band that sees two layers has two peaks: the strongest few are kept and sorted out later, with all frames at hand.

The anchor is an older frame as long as everything moves slowly: the same sub-pixel error then counts once for many frames instead of
once for each, so that a slow train does not drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

PEAKS_PER_BAND = 3
_TAPER_SHARE = 0.125
_LOW_PASS_CYCLES_PX = 0.28
_NOISE_FLOOR = 0.02
_PEAK_GAP_PX = 3
_MAX_ROW_SHIFT = 12


@dataclass(frozen=True, slots=True)
class BandPeaks:
    """What one frame's bands say of their shift since the anchor.

    Attributes:
        shift_px: (bands, peaks) float32, pixels of the small picture, positive when the content moved right; strongest peak first.
        response: (bands, peaks) float32, peak height, about 0 for noise and 1 for a perfect match.
        row_shift: Rows by which the picture moved down since the anchor.
    """

    shift_px: NDArray[np.float32]
    response: NDArray[np.float32]
    row_shift: int

    @property
    def coherence(self) -> float:
        """How far this frame is the anchor moved: median over bands of the summed responses, in [0, 1]."""
        return float(np.clip(np.median(self.response.sum(axis=1)), 0.0, 1.0))


class Spectrum:
    """Row spectra of one small grey picture, ready to be compared with another's.

    Args:
        luma: (rows, width) uint8.
        keep: (rows, width) float32 weights in [0, 1], or None: 0 where a caption or a letterbox bar never moves.
    """

    __slots__ = ("columns", "rows", "width_px")

    def __init__(self, luma: NDArray[np.uint8], keep: NDArray[np.float32] | None = None) -> None:
        grey = luma.astype(np.float32)
        gradient = np.zeros_like(grey)
        gradient[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
        if keep is not None:
            gradient *= keep
        self.width_px = grey.shape[1]
        self.rows = fft.rfft(gradient * _taper(self.width_px), axis=1)
        self.columns = _row_profile(grey)


def _taper(width_px: int) -> NDArray[np.float32]:
    """Raised-cosine ends, so that the picture's edges are not a feature that never moves."""
    window = np.ones(width_px, np.float32)
    ramp_px = max(1, int(width_px * _TAPER_SHARE))
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp_px) + 0.5) / ramp_px)).astype(np.float32)
    window[:ramp_px] = ramp
    window[-ramp_px:] = ramp[::-1]
    return window


def _row_profile(grey: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Spectra down the columns of a narrow version: enough to see the camera's up and down."""
    narrow = cv2.resize(grey, (40, grey.shape[0]), interpolation=cv2.INTER_AREA)
    gradient = np.diff(narrow, axis=0)
    return np.asarray(fft.rfft(gradient, axis=0))


def _row_shift(now: NDArray[np.complex64], anchor: NDArray[np.complex64], rows: int) -> int:
    """Whole rows by which the picture moved down, 0 when in doubt."""
    cross = (now * np.conj(anchor)).sum(axis=1)
    power = np.sqrt((np.abs(now) ** 2).sum(axis=1) * (np.abs(anchor) ** 2).sum(axis=1))
    curve = fft.irfft(cross / (power + _NOISE_FLOOR * (power.mean() + 1e-6)), n=rows - 1)
    near = np.concatenate([curve[-_MAX_ROW_SHIFT:], curve[: _MAX_ROW_SHIFT + 1]])
    best = int(near.argmax())
    return best - _MAX_ROW_SHIFT if near[best] > 1.3 * near[_MAX_ROW_SHIFT] else 0


def register_bands(now: Spectrum, anchor: Spectrum, *, bands: int) -> BandPeaks:
    """Register every band of a frame against the anchor frame.

    Args:
        now, anchor: Spectra of two pictures of the same size.
        bands: Number of bands; neighbours overlap by half.

    Returns:
        The strongest peaks of each band, shifts with sub-pixel precision within half the picture's width.
    """
    width_px = now.width_px
    rows = now.rows.shape[0]
    row_shift = _row_shift(now.columns, anchor.columns, rows)
    lo_now, lo_anchor = max(row_shift, 0), max(-row_shift, 0)
    used = rows - abs(row_shift)
    current, before = now.rows[lo_now : lo_now + used], anchor.rows[lo_anchor : lo_anchor + used]
    edges = np.linspace(0, used, bands + 2).astype(int)[:-1]
    cross = _halves_to_bands(np.add.reduceat(current * np.conj(before), edges, axis=0))
    power_now = _halves_to_bands(np.add.reduceat(_power(current), edges, axis=0))
    power_before = _halves_to_bands(np.add.reduceat(_power(before), edges, axis=0))
    power = np.sqrt(power_now * power_before)
    floor = _NOISE_FLOOR * power.mean(axis=1, keepdims=True) + 1e-3 * power.mean() + 1e-6
    frequency = np.arange(cross.shape[1], dtype=np.float32) / width_px
    low_pass = np.exp(-0.5 * (frequency / _LOW_PASS_CYCLES_PX) ** 2).astype(np.float32)
    low_pass[0] = 0.0
    curves = fft.irfft(cross / (power + floor) * low_pass, n=width_px, axis=1) * (width_px / (2.0 * low_pass.sum()))
    return _peaks(curves.astype(np.float32), row_shift)


def _power(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    return spectra.real**2 + spectra.imag**2


def _halves_to_bands(halves: NDArray[np.generic]) -> NDArray[np.generic]:
    """Sums over half-bands to sums over bands that overlap by half: (bands + 1, n) -> (bands, n)."""
    return halves[:-1] + halves[1:]  # type: ignore[operator,no-any-return]


def _peaks(curves: NDArray[np.float32], row_shift: int) -> BandPeaks:
    """The highest local maxima of each curve, refined by a parabola through three points."""
    bands, width_px = curves.shape
    left, right = np.roll(curves, 1, axis=1), np.roll(curves, -1, axis=1)
    height = np.where((curves >= left) & (curves > right), curves, -1.0)
    shift = np.zeros((bands, PEAKS_PER_BAND), np.float32)
    response = np.zeros((bands, PEAKS_PER_BAND), np.float32)
    index = np.arange(bands)
    for rank in range(PEAKS_PER_BAND):
        best = height.argmax(axis=1)
        top = curves[index, best]
        below, above = left[index, best], right[index, best]
        bend = below - 2.0 * top + above
        offset = np.where(bend < 0, 0.5 * (below - above) / np.where(bend < 0, bend, 1.0), 0.0)
        position = best + np.clip(offset, -0.5, 0.5)
        shift[:, rank] = np.where(position > width_px / 2, position - width_px, position)
        response[:, rank] = np.clip(np.where(height[index, best] > 0, top, 0.0), 0.0, 1.0)
        for step in range(-_PEAK_GAP_PX, _PEAK_GAP_PX + 1):
            height[index, (best + step) % width_px] = -1.0
    return BandPeaks(shift, response, row_shift)
