"""Frame-to-frame registration of horizontal bands, the cheap and dense measurement under everything else.

A train, its background and a caption move differently, but each of them moves all its pixels alike. So the small grey picture
is cut into overlapping horizontal bands, and each band is registered alone along x against an earlier frame, the *anchor*.

For a band with rows ``r`` and row spectra ``F_r(f)`` (now) and ``A_r(f)`` (anchor) of the horizontal gradient, the complex
coherence is

    gamma(f) = sum_r F_r conj(A_r) / sqrt(sum_r |F_r|^2  sum_r |A_r|^2)

(Carter, Knapp, Nuttall 1973, with rows in the place of time segments). Its inverse transform peaks at the shift that the rows
agree on, with a height near the share of the band that moves so. Unlike plain phase correlation it gives frequencies that
carry only noise no weight. A band that sees two layers has two peaks: the strongest two are kept and sorted out later, with
all frames at hand.

In a fixed shot the background fills most of a band that holds an empty flatcar. So every band is registered twice: as it is,
which tells how the camera moves, and with the running mean of the spectra taken off, which leaves what moves on the picture
(the transform is linear: a mean of spectra is the spectrum of the mean picture). The second also frees the train from
captions and poles.

The anchor is an older frame as long as everything moves slowly: the same sub-pixel error then counts once for many frames
    instead of
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
_ROW_MATCH = 0.08
_PROFILE_COLUMNS = 32
_THREE = np.arange(3)
_NEAR = np.arange(-_PEAK_GAP_PX, _PEAK_GAP_PX + 1)


@dataclass(frozen=True, slots=True)
class BandPeaks:
    """What one frame's bands say of their shift since the anchor: as they are, or without what stands still.

    Attributes:
        shift_px: (bands, peaks) float32, pixels of the small picture, positive when the content moved right; strongest peak
            first.
        response: (bands, peaks) float32, peak height, about 0 for noise and 1 for a perfect match.
        row_shift: Rows by which the picture moved down since the anchor.
    """

    shift_px: NDArray[np.float32]
    response: NDArray[np.float32]
    row_shift: int

    @property
    def coherence(self) -> float:
        """How far this frame is the anchor moved: median over bands of the summed responses, in [0, 1]."""
        per_band: list[float] = sorted(self.response.sum(axis=1).tolist())
        return min(per_band[len(per_band) // 2], 1.0)


class Spectrum:
    """Row spectra of one small grey picture, ready to be compared with another's.

    Args:
        luma: (rows, width) uint8.

    Attributes:
        rows: (rows, frequencies) complex64, spectra of the horizontal gradient, low frequencies only.
        columns: Spectra down the columns, for the camera's up and down; column_power is their summed power.
        power: (rows, frequencies) float32, power of ``rows``.
        width_px: Columns of the picture.
    """

    __slots__ = ("column_power", "columns", "power", "rows", "width_px")

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        grey = luma.astype(np.float32)
        self.width_px = grey.shape[1]
        gradient = np.zeros_like(grey)
        np.subtract(grey[:, 2:], grey[:, :-2], out=gradient[:, 1:-1])
        gradient *= _taper(self.width_px)
        self.rows = np.ascontiguousarray(fft.rfft(gradient, axis=1)[:, : _kept_frequencies(self.width_px)])
        self.power = _power(self.rows)
        self.columns = _row_profile(grey)
        self.column_power = _power(self.columns).sum(axis=0)


@cache
def _kept_frequencies(width_px: int) -> int:
    return int(width_px * _HIGHEST_CYCLES_PX) + 1


@cache
def _low_pass(width_px: int) -> NDArray[np.float32]:
    """Weight of each kept frequency; the sharpest detail is mostly noise and compression."""
    frequency = np.arange(_kept_frequencies(width_px), dtype=np.float32) / width_px
    weight = np.exp(-0.5 * (frequency / _LOW_PASS_CYCLES_PX) ** 2).astype(np.float32)
    weight[0] = 0.0
    # Scaled so that a perfect match has height 1 after the inverse transform.
    return np.asarray(weight * (width_px / (2.0 * weight.sum())), dtype=np.float32)


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
    """Spectra down the columns of a narrow version, (columns, frequencies): enough to see the camera's up and down."""
    narrow = np.ascontiguousarray(cv2.resize(grey, (_PROFILE_COLUMNS, grey.shape[0]), interpolation=cv2.INTER_AREA).T)
    gradient = np.diff(narrow, axis=1)
    return np.asarray(fft.rfft(gradient, n=_profile_length(grey.shape[0]), axis=1))


@cache
def _profile_length(rows: int) -> int:
    """A length that transforms fast, with room for the largest shift so that the ends do not meet."""
    return int(fft.next_fast_len(rows - 1 + _MAX_ROW_SHIFT, real=True))


def _row_shift(now: Spectrum, anchor: Spectrum) -> int:
    """Whole rows by which the picture moved down, 0 when in doubt."""
    rows = len(now.rows)
    cross = np.einsum("cf,cf->f", now.columns, np.conj(anchor.columns))
    power = np.sqrt(now.column_power * anchor.column_power)
    curve = fft.irfft(cross / (power + _NOISE_FLOOR * (power.mean() + 1e-6)), n=_profile_length(rows))
    near = np.concatenate([curve[-_MAX_ROW_SHIFT:], curve[: _MAX_ROW_SHIFT + 1]])
    best = int(near.argmax())
    # What moved far to the side has left its columns: the curve is then noise of some 0.03, and so would be its highest point.
    sure = near[best] > _ROW_MATCH and near[best] > 1.3 * near[_MAX_ROW_SHIFT]
    return best - _MAX_ROW_SHIFT if sure else 0


def register_bands(
    now: Spectrum, anchor: Spectrum, *, bands: int, static: NDArray[np.complex64] | None = None
) -> tuple[BandPeaks, BandPeaks]:
    """Register every band of a frame against the anchor frame.

    Args:
        now: Spectra of the frame.
        anchor: Spectra of the frame it is compared with, of the same size.
        bands: Number of bands; neighbours overlap by half.
        static: Mean of the row spectra over the last second or so, same shape as ``now.rows``; None where there is none yet.

    Returns:
        The strongest peaks of each band, as it is and without what stands still; shifts with sub-pixel precision within half the
        picture's width. Without ``static`` both are the same.
    """
    rows = now.rows.shape[0]
    row_shift = _row_shift(now, anchor)
    used = rows - abs(row_shift)
    here, there = slice(max(row_shift, 0), max(row_shift, 0) + used), slice(max(-row_shift, 0), max(-row_shift, 0) + used)
    curves = [_coherence_curves(now.rows[here], anchor.rows[there], now.power[here], anchor.power[there], bands, now.width_px)]
    if static is not None:
        current, before = now.rows[here] - static[here], anchor.rows[there] - static[there]
        curves.append(_coherence_curves(current, before, _power(current), _power(before), bands, now.width_px))
    shift, response = _peaks(np.concatenate(curves))
    whole = BandPeaks(shift[:bands], response[:bands], row_shift)
    return whole, BandPeaks(shift[-bands:], response[-bands:], row_shift)


def _coherence_curves(
    current: NDArray[np.complex64],
    before: NDArray[np.complex64],
    current_power: NDArray[np.float32],
    before_power: NDArray[np.float32],
    bands: int,
    width_px: int,
) -> NDArray[np.float32]:
    """Transform of each band's coherence, (bands, width_px): its height at a shift is the share of the band that moved so."""
    rows = len(current)
    terms = (current * np.conj(before)).view(np.float32), current_power, before_power
    # (A matrix product would sum the rows as well, and start threads for nothing.)
    cross, power_now, power_before = (_band_sums(term, bands) for term in terms)
    power = np.sqrt(power_now * power_before)
    floor = _NOISE_FLOOR * power.mean(axis=1, keepdims=True) + _ABSOLUTE_FLOOR * rows / bands
    weighted = cross.view(np.complex64) * (_low_pass(width_px) / (power + floor))
    return np.asarray(fft.irfft(weighted, n=width_px, axis=1), dtype=np.float32)


def _band_sums(values: NDArray[np.float32], bands: int) -> NDArray[np.float32]:
    """(bands, n) sums over the rows of each band."""
    halves = np.add.reduceat(values, _half_bands(len(values), bands), axis=0)
    return np.asarray(halves[:-1] + halves[1:], np.float32)


@cache
def _half_bands(rows: int, bands: int) -> NDArray[np.int64]:
    """First row of each half-band; two neighbouring halves make a band, so that bands overlap by half."""
    return np.linspace(0, rows, bands + 2).astype(np.int64)[:-1]


def _power(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    return spectra.real**2 + spectra.imag**2


def _peaks(curves: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The highest local maxima of each curve, (n, width_px): shifts and heights, (n, peaks), refined to a fraction of a pixel."""
    n, width_px = curves.shape
    around = np.empty((n, width_px + 2), np.float32)
    around[:, 1:-1] = curves
    around[:, 0], around[:, -1] = curves[:, -1], curves[:, 0]
    height = np.where((curves >= around[:, :-2]) & (curves > around[:, 2:]), curves, -1.0)
    shift = np.zeros((n, PEAKS_PER_BAND), np.float32)
    response = np.zeros((n, PEAKS_PER_BAND), np.float32)
    index = np.arange(n)
    for rank in range(PEAKS_PER_BAND):
        best = height.argmax(axis=1)
        found = height[index, best] > 0
        # The low-pass makes peaks Gaussian: a parabola through the logarithms then finds their middle without a bias towards
        # whole pixels.
        low, top, high = np.log(np.maximum(around[index[:, None], best[:, None] + _THREE], 1e-3)).T
        bend = low - 2.0 * top + high
        offset = np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, 1.0), 0.0)
        position = best + np.clip(offset, -0.5, 0.5)
        shift[:, rank] = np.where(position > width_px / 2, position - width_px, position)
        response[:, rank] = np.where(found, np.clip(curves[index, best], 0.0, 1.0), 0.0)
        height[index[:, None], (best[:, None] + _NEAR) % width_px] = -1.0
    return shift, response
