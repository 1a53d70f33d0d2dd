"""Frame-to-frame registration of horizontal bands, the cheap and dense measurement under everything else.

A train, its background and a caption move differently, but each of them moves all its pixels alike. So the small grey picture is cut
into overlapping horizontal bands, and each band is registered alone along x against an earlier frame, the *anchor*.

For a band with rows ``r`` and row spectra ``F_r(f)`` (now) and ``A_r(f)`` (anchor) of the horizontal gradient, the complex coherence is

    gamma(f) = sum_r F_r conj(A_r) / sqrt(sum_r |F_r|^2  sum_r |A_r|^2)

(Carter, Knapp, Nuttall 1973, with rows in the place of time segments). Its inverse transform peaks at the shift that the rows agree on, with
a height near the share of the band that moves so. Unlike plain phase correlation it gives frequencies that carry only noise no weight.
A band that sees two layers has two peaks: the strongest two are kept and sorted out later, with all frames at hand.

In a fixed shot the background fills most of a band that holds an empty flatcar. So every band is registered twice: as it is, which tells
how the camera moves, and with the running mean of the spectra taken off, which leaves what moves on the picture (the transform is linear:
a mean of spectra is the spectrum of the mean picture). The second also frees the train from captions and poles.

The anchor is an older frame as long as everything moves slowly: the same sub-pixel error then counts once for many frames instead of
once for each, so that a slow train does not drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

PEAKS_PER_BAND = 2
_TAPER_SHARE = 0.125
_LOW_PASS_CYCLES_PX = 0.22
_HIGHEST_CYCLES_PX = 0.36
_NOISE_FLOOR = 0.02
_ABSOLUTE_FLOOR = 400.0  # power of a row that holds nothing but noise of about one grey level
_PEAK_GAP_PX = 3
_MAX_ROW_SHIFT = 12


@dataclass(frozen=True, slots=True)
class BandPeaks:
    """What one frame's bands say of their shift since the anchor, as they are (``whole``) or without what stands still (``moving``).

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

    Attributes:
        rows: (rows, frequencies) complex64, spectra of the horizontal gradient, low frequencies only.
        columns: Spectra down the columns, for the camera's up and down.
        width_px: Columns of the picture.
    """

    __slots__ = ("columns", "rows", "width_px")

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        grey = luma.astype(np.float32)
        self.width_px = grey.shape[1]
        gradient = np.zeros_like(grey)
        np.subtract(grey[:, 2:], grey[:, :-2], out=gradient[:, 1:-1])
        gradient *= _taper(self.width_px)
        self.rows = fft.rfft(gradient, axis=1)[:, : _kept_frequencies(self.width_px)]
        self.columns = _row_profile(grey)


@cache
def _kept_frequencies(width_px: int) -> int:
    return int(width_px * _HIGHEST_CYCLES_PX) + 1


@cache
def _low_pass(width_px: int) -> NDArray[np.float32]:
    """Weight of each kept frequency; the sharpest detail is mostly noise and compression."""
    frequency = np.arange(_kept_frequencies(width_px), dtype=np.float32) / width_px
    weight = np.exp(-0.5 * (frequency / _LOW_PASS_CYCLES_PX) ** 2).astype(np.float32)
    weight[0] = 0.0
    return np.asarray(weight, dtype=np.float32)


@cache
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


def register_bands(
    now: Spectrum, anchor: Spectrum, *, bands: int, static: NDArray[np.complex64] | None = None
) -> tuple[BandPeaks, BandPeaks]:
    """Register every band of a frame against the anchor frame.

    Args:
        now, anchor: Spectra of two pictures of the same size.
        bands: Number of bands; neighbours overlap by half.
        static: Mean of the row spectra over the last second or so, same shape as ``now.rows``; None where there is none yet.

    Returns:
        The strongest peaks of each band, as it is and without what stands still; shifts with sub-pixel precision within half the
        picture's width. Without ``static`` both are the same.
    """
    rows = now.rows.shape[0]
    row_shift = _row_shift(now.columns, anchor.columns, rows)
    used = rows - abs(row_shift)
    here, there = slice(max(row_shift, 0), max(row_shift, 0) + used), slice(max(-row_shift, 0), max(-row_shift, 0) + used)
    whole = _peaks(_coherence_curves(now.rows[here], anchor.rows[there], bands, now.width_px), row_shift)
    if static is None:
        return whole, whole
    curves = _coherence_curves(now.rows[here] - static[here], anchor.rows[there] - static[there], bands, now.width_px)
    return whole, _peaks(curves, row_shift)


def _coherence_curves(
    current: NDArray[np.complex64], before: NDArray[np.complex64], bands: int, width_px: int
) -> NDArray[np.float32]:
    """Transform of the coherence of each band, (bands, width_px): its height at a shift is the share of the band that moved so."""
    edges = np.linspace(0, len(current), bands + 2).astype(int)[:-1]
    cross = _halves_to_bands(np.add.reduceat(current * np.conj(before), edges, axis=0))
    power = np.sqrt(
        _halves_to_bands(np.add.reduceat(_power(current), edges, axis=0))
        * _halves_to_bands(np.add.reduceat(_power(before), edges, axis=0))
    )
    floor = _NOISE_FLOOR * power.mean(axis=1, keepdims=True) + _ABSOLUTE_FLOOR * len(current) / bands
    low_pass = _low_pass(width_px)
    curves = fft.irfft(cross / (power + floor) * low_pass, n=width_px, axis=1)
    return np.asarray(curves * (width_px / (2.0 * low_pass.sum())), dtype=np.float32)


def _power(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    return spectra.real**2 + spectra.imag**2


def _halves_to_bands(halves: NDArray[np.generic]) -> NDArray[np.generic]:
    """Sums over half-bands to sums over bands that overlap by half: (bands + 1, n) -> (bands, n)."""
    return halves[:-1] + halves[1:]  # type: ignore[operator,no-any-return]


def _peaks(curves: NDArray[np.float32], row_shift: int) -> BandPeaks:
    """The highest local maxima of each curve, refined to a fraction of a pixel."""
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
        # The low-pass makes peaks Gaussian: a parabola through the logarithms then finds their middle without a bias towards whole pixels.
        log_below, log_top, log_above = (np.log(np.maximum(height_, 1e-3)) for height_ in (below, top, above))
        bend = log_below - 2.0 * log_top + log_above
        offset = np.where(bend < 0, 0.5 * (log_below - log_above) / np.where(bend < 0, bend, 1.0), 0.0)
        position = best + np.clip(offset, -0.5, 0.5)
        shift[:, rank] = np.where(position > width_px / 2, position - width_px, position)
        response[:, rank] = np.clip(np.where(height[index, best] > 0, top, 0.0), 0.0, 1.0)
        for step in range(-_PEAK_GAP_PX, _PEAK_GAP_PX + 1):
            height[index, (best + step) % width_px] = -1.0
    return BandPeaks(shift, response, row_shift)
