"""Figures beside figures: detectors trained without a source, and a second detector on the same pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.errors import InputError, UsageError
from vision.learn.evaluation.intervals import Interval, percentile_interval
from vision.learn.evaluation.precision import LEVELS, Matched

_HINT = "give NAME=FILE, FILE being the JSON of flatcar evaluate detect for weights trained without the source NAME"


@dataclass(frozen=True)
class Difference:
    """Two detectors on the same pictures at one level.

    Attributes:
        level: ``leaf``, ``parent`` or ``any``.
        first, second: Their mAP50.
        difference: ``second - first``.
        interval: 95 % interval of the difference: both were measured on the same bootstrap resamples.
    """

    level: str
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None


def differences(first: Sequence[Matched], second: Sequence[Matched], draws: NDArray[np.float64]) -> list[Difference]:
    """Compare two detectors level by level.

    Args:
        first: Matches of the one.
        second: Matches of the other, of the same pictures and levels in the same order.
        draws: (resamples, pictures) bootstrap weights.
    """
    once = np.ones((1, draws.shape[1]))
    found = []
    for a, b in zip(first, second, strict=True):
        values = [m.resampled(once)[0, 0] for m in (a, b)]
        if any(np.isnan(values)):
            found.append(Difference(a.level, None, None, None, None))
            continue
        drawn = b.resampled(draws)[:, 0] - a.resampled(draws)[:, 0]
        found.append(
            Difference(a.level, float(values[0]), float(values[1]), float(values[1] - values[0]), percentile_interval(drawn))
        )
    return found


def parse_without(given: Sequence[str]) -> dict[str, Path]:
    """``NAME=FILE`` pairs.

    Raises:
        UsageError: Not in that form, or a name twice.
    """
    pairs: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--without {text} is not usable", hint=_HINT)
        if name in pairs:
            raise UsageError(f"--without names {name} twice", hint=_HINT)
        pairs[name] = Path(file)
    return pairs


def without_rows(pairs: Mapping[str, Path], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per source: trained without it and measured on it, beside the figures of this evaluation on it.

    Raises:
        InputError: A file is no evaluation, or holds no figures of that source.
    """
    rows = []
    for name, path in pairs.items():
        other = read_evaluation(path)
        part = f"source={name}"
        figures = _of_part(other, part)
        if not figures:
            there = sorted(f["part"].removeprefix("source=") for f in other["figures"] if f["part"].startswith("source="))
            raise InputError(
                f"{path} holds no figures of the source {name!r}, only of {', '.join(dict.fromkeys(there)) or 'none'}", hint=_HINT
            )
        weights = other.get("weights", {}).get("name")
        rows.append({"source": name, "weights": weights, "without": figures, "normal": _of_part(document, part) or None})
    return rows


def read_evaluation(path: Path) -> dict[str, Any]:
    """The JSON of an evaluation.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        for row in raw["figures"]:
            _check_row(row)
        if not isinstance(raw["false_alarms"], dict):
            raise TypeError("its false_alarms are no object")
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}", hint=_HINT) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not the JSON of an evaluation: {error}", hint=_HINT) from error
    return dict(raw)


def _check_row(row: Mapping[str, Any]) -> None:
    if not (isinstance(row["part"], str) and row["level"] in LEVELS):
        raise ValueError(f"a row of its figures is of {row['part']!r} at level {row['level']!r}")
    if not (row["map50"] is None or isinstance(row["map50"], float | int)):
        raise ValueError(f"the mAP50 of {row['part']} is {row['map50']!r}")
    sum((int(c["boxes"]) for c in row["classes"].values()), int(row["pictures"]))


def _of_part(document: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Figures of one slice by level, with its false alarms where the file has them."""
    levels: dict[str, Any] = {row["level"]: row for row in document["figures"] if row["part"] == part}
    if not levels:
        return {}
    first = next(iter(levels.values()))
    found: dict[str, Any] = {
        "pictures": first["pictures"],
        "boxes": sum(c["boxes"] for c in first["classes"].values()),
        "map50": {level: levels.get(level, {}).get("map50") for level in LEVELS},
        "map50_interval": {level: levels.get(level, {}).get("map50_interval") for level in LEVELS},
    }
    slices = document.get("operating_point", {}).get("slices", [])
    found["false_alarms"] = next((s["false_alarms"] for s in slices if s["part"] == part), None)
    return found
