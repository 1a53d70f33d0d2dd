"""Results in words: what the page and the terminal say in the same way."""

from __future__ import annotations

import math
import unicodedata

from vision.errors import TaxonomyError
from vision.taxonomy import default_taxonomy
from vision.types import Direction, Interval, Train

FLAGS = {
    "ambiguous_registration": "Neighbours look so alike that the motion may have slipped by one vehicle; the bounds are wider.",
    "few_looks": "Half of the vehicles were in view in fewer than three looks: they had few chances to be seen.",
    "head_not_seen": "The train's head never passed through the picture: what lies before is not counted.",
    "tail_not_seen": "The train's tail never passed through the picture: what lies behind is not counted.",
    "overlapping_vehicles": "Two counted vehicles overlap: one of them may be counted twice.",
    "foreign_classes": "The detector named a class that the taxonomy does not know; it is not in the total.",
    "no_looks": "The detector never looked at this passage: nothing counted means nothing known.",
    "gap_bridged": "The train's motion was lost for a moment and carried on from before and after.",
    "jump_cut": "A piece of the video is missing while the train passes: what passed then and was gone after is not counted.",
    "trains_abreast": "Another train passes at the same time: what it hides throughout is not counted.",
    "standing": "The train stands still in this shot: only the part in the picture is counted.",
    "brief": "The train moves by less than half a picture in this shot: only the part in the picture is counted.",
    "verdict_without_vehicle": "A person's verdict speaks of a vehicle that the machine does not count now; see the verdicts.",
    "no_background": "The background's motion could not be measured, so the direction rests on the train alone.",
}
"""What each flag means; a flag that is not here is shown by its name."""

REASONS = {
    "unreadable": "not a video, empty, or its header is broken",
    "no_video_stream": "it holds no video stream",
    "too_many_corrupt_frames": "too many corrupt frames in a row",
    "detector": "the model could not be run on a picture",
    "duplicate": "the same file as another input",
    "result_missing": "its stored result is gone from the run folder",
}

_DIRECTIONS = {
    "left": "moves left in the picture",
    "right": "moves right in the picture",
    "still": "stands still",
    "unknown": "direction unknown",
}


def flag_words(flag: str) -> str:
    """A flag as a sentence."""
    return FLAGS.get(flag, flag.replace("_", " "))


def reason_words(reason: str) -> str:
    """A reason, ``name`` or ``name: sentence``, for a person."""
    name, _, sentence = reason.partition(":")
    return sentence.strip() or REASONS.get(name.strip(), name.strip().replace("_", " "))


def direction_words(direction: Direction) -> str:
    """Which way the train moves."""
    return _DIRECTIONS[direction]


def origin_words(direction: Direction) -> str:
    """Where positions along the train and the numbers of its vehicles begin."""
    return "head" if direction in {"left", "right"} else "left end"


def interval_words(interval: Interval) -> str:
    """``19``, or ``19 (18 to 21)``."""
    if interval.low == interval.high:
        return str(interval.count)
    return f"{interval.count} ({interval.low} to {interval.high})"


def complete(train: Train) -> bool:
    """Whether the whole train passed through the picture."""
    return bool(train.passage.head_seen and train.passage.tail_seen)


def completeness_words(train: Train) -> str:
    """``head and tail seen``, or ``head seen, tail not seen: at least 19``; the number is the total's lower bound."""
    head, tail = train.passage.head_seen, train.passage.tail_seen
    if head and tail:
        return "head and tail seen"
    ends = "head seen, tail not seen" if head else "head not seen, tail seen" if tail else "neither head nor tail seen"
    return f"{ends}: at least {train.total.low}"


def reviewed_words(train: Train) -> str:
    """``2 verdicts of people are in these numbers; the machine alone counted 19``; empty where nobody reviewed the train."""
    if train.reviewed is None:
        return ""
    n = train.reviewed.verdicts
    verdicts = "1 verdict of a person is" if n == 1 else f"{n} verdicts of people are"
    return f"{verdicts} in these numbers; the machine alone counted {train.reviewed.machine_count}"


def reviewed_short(train: Train) -> str:
    """``2 verdicts, machine 19``; empty where nobody reviewed the train."""
    return "" if train.reviewed is None else f"{train.reviewed.verdicts} verdicts, machine {train.reviewed.machine_count}"


def class_words(class_name: str) -> str:
    """The English name of a class; an unknown one by itself."""
    return default_taxonomy().names_en.get(class_name, class_name)


def parent_of(class_name: str) -> str | None:
    """The parent of a class, or None where the taxonomy does not know it."""
    try:
        return default_taxonomy().parent_of(class_name)
    except TaxonomyError:
        return None


def clock(seconds: float | None) -> str:
    """``mm:ss.mmm`` on the video's clock, ``h:mm:ss.mmm`` from an hour on: as ffmpeg takes it."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    sign, ms = ("-" if seconds < 0 else ""), round(abs(seconds) * 1000)
    hours = f"{ms // 3_600_000}:" if ms >= 3_600_000 else ""
    return f"{sign}{hours}{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def percent(share: float) -> str:
    """A probability in whole percent; never 100 % for what is less."""
    if not math.isfinite(share):
        return "unknown"
    return "over 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def metres_per_px(train: Train) -> float | None:
    """Scale at the train, from its speed in both units; None where it is not known."""
    speed_px_s = train.passage.speed_px_s
    if train.speed_m_s is None or not speed_px_s > 0 or not math.isfinite(train.speed_m_s / speed_px_s):
        return None
    return train.speed_m_s / speed_px_s or None


def speed_words(train: Train) -> str:
    """``8.3 m/s (30 km/h)``, or pixels a second where the scale is not known."""
    if train.speed_m_s is None or not math.isfinite(train.speed_m_s):
        return f"{train.passage.speed_px_s:.0f} px/s (scale unknown)"
    return f"{train.speed_m_s:.1f} m/s ({3.6 * train.speed_m_s:.0f} km/h)"


def length_words(train: Train) -> str:
    """What passed, in metres or pixels; ``at least`` unless both ends were seen."""
    scale = metres_per_px(train)
    length = f"{train.passage.length_px * scale:.0f} m" if scale else f"{train.passage.length_px:.0f} px (scale unknown)"
    return length if complete(train) else f"at least {length}"


def position_words(train: Train, position_px: float) -> str:
    """A place along the train."""
    scale = metres_per_px(train)
    return f"{position_px * scale:.1f} m" if scale else f"{position_px:.0f} px"


def printable(text: str) -> str:
    """Text without control characters, by which a file name could steer a terminal or turn a line around: codes instead."""
    return "".join(c if unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else c.encode("unicode_escape").decode() for c in text)
