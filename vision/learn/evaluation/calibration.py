"""Whether a score means what it says: of the objects with a score around 0.7, is a share of 0.7 right?

Objects are put into ten bins of equal width by their score. The expected calibration error is the mean gap between a bin's mean
score and its share of right objects, weighted by how many objects the bin holds:

    ECE = sum over bins b of  n_b / n * | right_b - score_b |

as in Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015, and Guo, Pleiss, Sun,
Weinberger: On calibration of modern neural networks, ICML 2017. All objects from a pooled score of 0.05 on are taken, those below
have no say anywhere. An object is right when it belongs to a true box (``vehicle``), or to one of its own parent (``parent``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.learn.evaluation.operating import Scored
from vision.taxonomy import Taxonomy

BINS = 10
SCORES = ("best", "pooled")
OUTCOMES = ("vehicle", "parent")


@dataclass(frozen=True)
class Bin:
    """Objects whose score lies between ``low`` and ``high``.

    Attributes:
        low, high: Bounds; the upper one belongs to the next bin, but for the last.
        objects: How many.
        score: Their mean score, None without any.
        right: Share of them that is right, None without any.
    """

    low: float
    high: float
    objects: int
    score: float | None
    right: float | None


@dataclass(frozen=True)
class Calibration:
    """One kind of score against one meaning of right.

    Attributes:
        score: ``best``, the highest score of one of the object's boxes, or ``pooled``, the score that a scan uses.
        outcome: ``vehicle``: a vehicle is there; ``parent``: and it is of that parent.
        objects: How many were taken.
        error: Expected calibration error in [0, 1], None without objects.
        bins: The bins, by score.
    """

    score: str
    outcome: str
    objects: int
    error: float | None
    bins: tuple[Bin, ...]


def calibrations(scored: Iterable[Scored], tree: Taxonomy) -> list[Calibration]:
    """Both scores against both outcomes."""
    values: dict[str, list[float]] = {name: [] for name in SCORES}
    right: dict[str, list[bool]] = {name: [] for name in OUTCOMES}
    for picture in scored:
        for o in picture.objects:
            values["best"].append(o.best)
            values["pooled"].append(o.score)
            box = None if o.truth is None else picture.boxes[o.truth]
            right["vehicle"].append(box is not None)
            right["parent"].append(box is not None and tree.parent_of(box.class_name) == tree.parent_of(o.class_name))
    return [_calibration(score, outcome, values[score], right[outcome]) for score in SCORES for outcome in OUTCOMES]


def _calibration(score: str, outcome: str, values: Sequence[float], right: Sequence[bool]) -> Calibration:
    bins = reliability(np.asarray(values, dtype=np.float64), np.asarray(right, dtype=bool))
    return Calibration(score, outcome, len(values), expected_error(bins), bins)


def reliability(scores: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equal width over [0, 1].

    Args:
        scores: (n,) in [0, 1].
        right: (n,).
        bins: How many.
    """
    index = np.minimum((scores * bins).astype(int), bins - 1)
    found = []
    for i in range(bins):
        inside = index == i
        n = int(np.count_nonzero(inside))
        means = (float(scores[inside].mean()), float(right[inside].mean())) if n else (None, None)
        found.append(Bin(i / bins, (i + 1) / bins, n, *means))
    return tuple(found)


def expected_error(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error, see the module's text."""
    total = sum(b.objects for b in bins)
    if not total:
        return None
    return sum(b.objects / total * abs(b.right - b.score) for b in bins if b.right is not None and b.score is not None)
