"""The map of a train: along it to the right, time down; what the detector saw when and where, and what was made of it.

Column ``x`` of a drawing shows the train coordinate ``s`` by ``Along``, row ``y`` the time by ``Down``. What of the train is in
the picture at a time is white, the rest grey: a train that passes draws a slanted white ribbon, one that stands a straight one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from vision.count import REASONS
from vision.count.trace import Place
from vision.report.explain_canvas import (
    ALARM,
    DOUBT,
    FAINT,
    INK,
    PANEL,
    PAPER,
    RULE,
    SOFT,
    TRAIN,
    Canvas,
    Colour,
    bgr_of,
    readable_on,
    round_step,
    text_width,
)
from vision.report.explain_truth import TrainTruth
from vision.report.strip import colour_of
from vision.run.explain import PassageCase
from vision.types import FloatArray, Look

DROPPED = {
    "outside_band": ("beside the train: above or below it", (170, 150, 205)),
    "outside_view": ("outside of what the picture shows", (200, 190, 190)),
    "fills_the_view": ("from edge to edge of the picture: a wagon close by", (150, 190, 215)),
    "implausible_size": ("too short or too long for a vehicle", (140, 205, 205)),
    "moves_with_background": ("that stay with the background: parked, or a building", (215, 175, 120)),
    "static_in_picture": ("that stay in the picture: a caption, or dirt on a window", (200, 140, 190)),
    "cut_box_without_vehicle": ("cut by the edge of the picture, with no vehicle to go with", (165, 200, 165)),
    "too_few_looks_agree": ("where too few looks agree on a vehicle", (150, 150, 150)),
    "repeated_look": ("in frames that repeat the one before", (205, 205, 190)),
}
"""Why boxes were left out, in words that go on after "3 boxes", and the colour they are drawn in."""

_UNKNOWN_REASON: tuple[str, Colour] = ("", (150, 150, 150))


@dataclass(frozen=True, slots=True)
class Along:
    """The train coordinate as columns: ``x = x0 + (s - s0_px) * zoom``."""

    s0_px: float
    s1_px: float
    x0: float
    zoom: float

    def x(self, s_px: float) -> float:
        return self.x0 + (s_px - self.s0_px) * self.zoom

    @property
    def x1(self) -> float:
        return self.x(self.s1_px)

    def shows(self, s0_px: float, s1_px: float) -> bool:
        return s1_px > self.s0_px and s0_px < self.s1_px


@dataclass(frozen=True, slots=True)
class Down:
    """Time as rows."""

    t0_s: float
    t1_s: float
    y0: float
    y1: float

    def y(self, pts_s: float) -> float:
        return self.y0 + (pts_s - self.t0_s) / max(self.t1_s - self.t0_s, 1e-9) * (self.y1 - self.y0)


@dataclass(slots=True)
class Marks:
    """Where things were drawn, in pixels of the picture, for whoever wants to know.

    Attributes:
        numbers: ``Vehicle.index`` -> middle of its number.
        places: (place, middle) of the others.
        truth: (middle, missed or not) of true vehicles.
    """

    numbers: dict[int, tuple[float, float]] = field(default_factory=dict)
    places: list[tuple[int, tuple[float, float]]] = field(default_factory=list)
    truth: list[tuple[tuple[float, float], bool]] = field(default_factory=list)


class Box(NamedTuple):
    """A detection along the train: its place is -1 without one, its reason to be left out empty where it was used."""

    pts_s: float
    s0_px: float
    s1_px: float
    score: float
    place: int
    class_name: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class TrainView:
    """All that is drawn of one passage.

    Attributes:
        case: The passage.
        looks: Of the video, as counted.
        class_names: Names behind the detections' classes.
        min_existence: A place counts from this probability on.
        truth: What is true of it, where that is known.
        truth_known: Whether there is a truth for the clip, which may not know this train.
        px_per_m: Scale, where known.
    """

    case: PassageCase
    looks: tuple[Look, ...]
    class_names: tuple[str, ...]
    min_existence: float
    truth: TrainTruth | None = None
    truth_known: bool = False
    px_per_m: float | None = None

    def visible_px(self, pts_s: FloatArray) -> FloatArray:
        """Ends of the part of the train that is in view, (n, 2), train coordinate."""
        passage, trace = self.case.passage, self.case.counted.trace
        ends_px = trace.columns(np.array(passage.view_x_px, np.float64))
        return np.asarray(ends_px[None, :] - passage.displacement_at(pts_s)[:, None], dtype=np.float64)

    def boxes(self) -> Iterator[Box]:
        """Each detection that was laid along the train."""
        counted = self.case.counted
        for look, ends_px, places, why in zip(self.looks, counted.trace.s_px, counted.trace.place_of, counted.why, strict=True):
            for i in np.flatnonzero(np.isfinite(ends_px).all(axis=1)):
                name = self.class_names[int(look.detections.class_id[i])]
                s0_px, s1_px = float(ends_px[i, 0]), float(ends_px[i, 1])
                yield Box(look.pts_s, s0_px, s1_px, float(look.detections.score[i]), int(places[i]), name, REASONS[int(why[i])])

    def looks_counted(self) -> list[float]:
        """Times of the looks that fall into the passage."""
        counted = self.case.counted
        inside = zip(self.looks, counted.why, strict=True)
        passage = self.case.passage
        skipped = {REASONS.index("outside_passage"), REASONS.index("repeated_look")}
        return [
            look.pts_s
            for look, why in inside
            if passage.start_s <= look.pts_s <= passage.end_s and not (len(why) and int(why[0]) in skipped)
        ]

    def span_px(self) -> tuple[float, float]:
        """The part of the train to draw: what the strip shows, and every place and truth; with nothing, all that was in view."""
        trace, strip = self.case.counted.trace, self.case.strip
        ends: list[float] = []
        if strip is not None:
            ends += [strip.origin_px, strip.origin_px + strip.picture.shape[1] / strip.scale]
        for place in trace.places:
            ends += [place.s0_px, place.s1_px]
        for mark in (self.truth.marks if self.truth else None) or ():
            ends += [mark.s_px - mark.width_px / 2, mark.s_px + mark.width_px / 2]
        if strip is None:
            visible = self.visible_px(self.case.passage.pts_s)
            ends += [float(visible.min()), float(visible.max())] if not ends else []
        margin_px = 0.01 * (max(ends) - min(ends))
        return min(ends) - margin_px, max(ends) + margin_px

    def typical_px(self) -> float:
        """Typical length of a vehicle, pixels."""
        widths = [p.s1_px - p.s0_px for p in self.case.counted.trace.places]
        first, last = self.case.passage.view_x_px
        return float(np.median(widths)) if widths else 0.2 * (last - first)

    def breaks_px(self, longest_px: float) -> list[float]:
        """Where to cut the train into rows no longer than ``longest_px``: between vehicles where a gap is near."""
        first, last = self.span_px()
        rows = max(1, math.ceil((last - first) / longest_px - 1e-9))
        taken = [(p.s0_px, p.s1_px) for p in self.case.counted.trace.places]
        breaks = [first]
        for n in range(1, rows):
            wanted = first + (last - first) * n / rows
            reach = 0.08 * (last - first) / rows
            options = sorted(np.linspace(wanted - reach, wanted + reach, 41), key=lambda s: abs(s - wanted))
            free = (s for s in options if not any(a < s < b for a, b in taken))
            breaks.append(float(next(free, wanted)))
        return [*breaks, last]


def class_colour(name: str) -> Colour:
    """The colour of a class."""
    return bgr_of(colour_of(name))


def reason_colour(reason: str) -> Colour:
    """The colour of what was left out for a reason."""
    return DROPPED.get(reason, _UNKNOWN_REASON)[1]


def reason_text(reason: str) -> str:
    """A reason in words."""
    return DROPPED.get(reason, _UNKNOWN_REASON)[0] or reason.replace("_", " ")


def draw_strip(canvas: Canvas, view: TrainView, along: Along, y0: float, y1: float) -> None:
    """The strip between two rows, with the boxes of the counted vehicles."""
    canvas.rect(along.x0, y0, along.x1, y1, PANEL)
    strip = view.case.strip
    if strip is None:
        middle = (along.x0 + along.x1) / 2
        canvas.text(middle, (y0 + y1) / 2 + 4, "no strip: no look fell into this passage", anchor="middle", colour=SOFT)
        return
    columns = strip.picture.shape[1]
    a, b = (int(np.clip(round(strip.column_of(s)), 0, columns)) for s in (along.s0_px, along.s1_px))
    if b > a:
        canvas.paste(
            strip.picture[:, a:b],
            max(along.x0, along.x(strip.origin_px + a / strip.scale)),
            y0,
            min(along.x1, along.x(strip.origin_px + b / strip.scale)),
            y1,
        )
    height_px = strip.picture.shape[0] / strip.scale
    by_vehicle = {p.vehicle: p for p in view.case.counted.trace.places if p.vehicle >= 0}
    for vehicle in view.case.counted.train.vehicles:
        place = by_vehicle[vehicle.index]
        if not along.shows(place.s0_px, place.s1_px):
            continue
        top, bottom = (y0 + np.clip((y - strip.top_px) / height_px, 0, 1) * (y1 - y0) for y in vehicle.xyxy_px[1::2])
        x0, x1 = max(along.x0, along.x(place.s0_px)), min(along.x1, along.x(place.s1_px))
        colour = class_colour(vehicle.class_name)
        canvas.frame(x0, float(top), x1, float(bottom), PAPER, width=3)
        canvas.frame(x0, float(top), x1, float(bottom), colour, width=1.6)


def draw_numbers(canvas: Canvas, view: TrainView, along: Along, y: float, marks: Marks, *, size: float = 13) -> None:
    """Number and class of each counted vehicle at its place, about the row ``y``; a dash of the same colour below."""
    counted = [p for p in view.case.counted.trace.places if p.vehicle >= 0 and along.s0_px <= p.centre_px < along.s1_px]
    extra = view.truth.extra if view.truth else frozenset()
    room = _room([along.x(p.centre_px) for p in counted], along.x1)
    low = False
    for i, place in enumerate(counted):
        x, number, name = along.x(place.centre_px), str(place.vehicle + 1), place.class_name
        half = max(text_width(number, size) / 2 - size * 0.28, 0) + size * 0.68 + 2
        crowded = room[i] < 2 * half
        low = crowded and not low
        at = y + (size * 1.4 if low else 0)
        label = f"EXTRA {name}" if place.vehicle in extra else name
        whole = 2 * half + text_width(label, size) + 6
        left = x if whole > room[i] else x - whole / 2 + half
        canvas.badge(left, at, number, class_colour(name), size=size)
        marks.numbers[place.vehicle] = (x, at)
        if whole <= room[i]:
            canvas.text(left + half + 2, at + size * 0.36, label, size=size, colour=DOUBT if place.vehicle in extra else INK)
        elif place.vehicle in extra:
            canvas.text(x, at - size * 0.9, "EXTRA", size=size * 0.8, colour=DOUBT, anchor="middle", bold=True)


def _room(xs: list[float], end: float) -> list[float]:
    """Width that each label has between its neighbours."""
    out = []
    for i, x in enumerate(xs):
        before = x - xs[i - 1] if i else 1e9
        after = xs[i + 1] - x if i + 1 < len(xs) else 1e9
        out.append(min(before, after, 2 * (end - x) + 30))
    return out


def draw_places(canvas: Canvas, view: TrainView, along: Along, y0: float, y1: float, marks: Marks) -> None:
    """How probable a vehicle is at each place, as a column; what was not counted is grey and says why."""
    foot = y1 - 13
    height = foot - y0
    canvas.rect(along.x0, y0, along.x1, foot, PANEL)
    line = foot - view.min_existence * height
    canvas.dashes(along.x0, line, along.x1, line, FAINT)
    canvas.text(along.x0 - 6, foot + 3, "0", size=10, colour=SOFT, anchor="right")
    canvas.text(along.x0 - 6, y0 + 7, "p 1", size=10, colour=SOFT, anchor="right")
    shown = [(j, p) for j, p in enumerate(view.case.counted.trace.places) if along.s0_px <= p.centre_px < along.s1_px]
    room = _room([along.x(p.centre_px) for _, p in shown], along.x1)
    for (j, place), width in zip(shown, room, strict=True):
        counted = place.vehicle >= 0
        x0, x1 = max(along.x0, along.x(place.s0_px)), min(along.x1, along.x(place.s1_px))
        top = foot - max(place.probability * height, 1.0)
        colour = class_colour(place.class_name) if counted else FAINT
        canvas.rect(x0, top, x1, foot, colour, alpha=0.85 if counted else 1.0)
        middle = along.x(place.centre_px)
        if not counted:
            marks.places.append((j, (middle, foot)))
        text = _place_text(place, x1 - x0, width)
        half = text_width(text, 10.5) / 2
        at = float(np.clip(middle, along.x0 + half, max(along.x0 + half, along.x1 - half)))
        canvas.text(at, y1 - 2, text, size=10.5, colour=SOFT if counted else INK, anchor="middle")
        if not counted and x1 - x0 > 24:
            inside = top > y0 + 16
            at = top - 4 if inside else top + 12
            canvas.text(middle, at, f"{place.probability:.2f}", size=10.5, colour=SOFT if inside else INK, anchor="middle")
        elif counted and place.probability < 0.995 and x1 - x0 > 24:
            on = readable_on(class_colour(place.class_name))
            canvas.text(middle, top + 12, f"{place.probability:.2f}", size=10.5, colour=on, anchor="middle")


def _place_text(place: Place, width: float, room: float) -> str:
    few = f"{place.looks} of {place.opportunities}"
    for text in (f"seen in {few} looks", few, f"{place.looks}"):
        if text_width(text, 10.5) <= max(width, room) - 4:
            return text
    return ""


def draw_truth(canvas: Canvas, view: TrainView, along: Along, y: float, bottom: float, marks: Marks) -> None:
    """True vehicles as ticks about the row ``y``; one that was missed is red and named, with a broken line down to ``bottom``."""
    truth = view.truth
    if truth is None or truth.marks is None:
        return
    canvas.text(along.x0 - 6, y + 4, "truth", size=11, colour=SOFT, anchor="right")
    shown = [m for m in truth.marks if along.s0_px <= m.s_px < along.s1_px]
    room = _room([along.x(m.s_px) for m in shown], along.x1)
    for mark, width in zip(shown, room, strict=True):
        x, half = along.x(mark.s_px), mark.width_px * along.zoom / 2
        missed = mark.vehicle is None
        colour = ALARM if missed else DOUBT if mark.counted_as else TRAIN
        marks.truth.append(((x, y), missed))
        canvas.lines([(x - half, y - 5), (x + half, y - 5)], colour, width=1.5)
        canvas.polygon(np.array([(x, y - 5), (x - 4, y + 2), (x + 4, y + 2)]), colour)
        name = f"MISSED {mark.class_name}" if missed else mark.class_name
        if mark.counted_as and text_width(long := f"{name}, not {mark.counted_as}", 10.5) < width - 4:
            name = long
        if missed:
            canvas.dashes(x, y + 14, x, bottom, ALARM, width=1.5)
        if missed or text_width(name, 10.5) < width - 4:
            middle = min(x, along.x1 - text_width(name, 10.5) / 2)
            halo = PAPER if missed else None
            canvas.text(middle, y + 12, name, size=10.5, colour=colour, anchor="middle", bold=missed, halo=halo)


def draw_map(canvas: Canvas, view: TrainView, along: Along, down: Down, *, numbers: bool = False) -> None:
    """The detections over place and time."""
    canvas.rect(along.x0, down.y0, along.x1, down.y1, PANEL)
    _ribbon(canvas, view, along, down)
    for place in view.case.counted.trace.places:
        if along.shows(place.s0_px, place.s1_px):
            x0, x1 = max(along.x0, along.x(place.s0_px)), min(along.x1, along.x(place.s1_px))
            colour = class_colour(place.class_name) if place.vehicle >= 0 else FAINT
            canvas.rect(x0, down.y0, x1, down.y1, colour, alpha=0.13 if place.vehicle >= 0 else 0.25)
    looks = [t for t in view.looks_counted() if down.t0_s <= t <= down.t1_s]
    gap = (down.y1 - down.y0) / max(len(looks), 1)
    bar = float(np.clip(0.5 * gap, 1.5, 6.0))
    for t in looks:
        a, b = view.visible_px(np.array([t]))[0]
        if along.shows(a, b):
            x0, x1 = max(along.x0, along.x(a)), min(along.x1, along.x(b))
            canvas.lines([(x0, down.y(t)), (x1, down.y(t))], RULE, width=0.5)
    for t, s0, s1, score, _, name, reason in view.boxes():
        if not (along.shows(s0, s1) and down.t0_s <= t <= down.t1_s):
            continue
        x0, x1 = max(along.x0, along.x(s0)), min(along.x1, along.x(s1))
        y = down.y(t)
        if reason:
            canvas.rect(x0, y - bar / 3, x1, y + bar / 3, reason_colour(reason))
        else:
            canvas.rect(x0 + 0.5, y - bar / 2, x1 - 0.5, y + bar / 2, class_colour(name), alpha=0.35 + 0.6 * score)
    _times(canvas, along, down)


def _ribbon(canvas: Canvas, view: TrainView, along: Along, down: Down) -> None:
    """White where the train is in view, clipped to the panel: row by row, as the panel may show only a part of it."""
    rows = np.arange(math.ceil(down.y0 * 2), math.floor(down.y1 * 2)) / 2
    times = down.t0_s + (rows + 0.25 - down.y0) / (down.y1 - down.y0) * (down.t1_s - down.t0_s)
    passage = view.case.passage
    inside = (times >= passage.start_s) & (times <= passage.end_s)
    for y, (a, b) in zip(rows[inside], view.visible_px(times[inside]), strict=True):
        x0, x1 = np.clip([along.x(a), along.x(b)], along.x0, along.x1)
        if x1 > x0:
            canvas.rect(float(x0), float(y), float(x1), float(y) + 0.5, PAPER)


def _times(canvas: Canvas, along: Along, down: Down) -> None:
    step = round_step((down.t1_s - down.t0_s) * 34 / max(down.y1 - down.y0, 1))
    for n in range(math.ceil(down.t0_s / step), math.floor(down.t1_s / step) + 1):
        y = down.y(n * step)
        canvas.lines([(along.x0 - 4, y), (along.x0, y)], SOFT, width=0.6)
        canvas.text(along.x0 - 6, y + 4, f"{n * step:g} s", size=11, colour=SOFT, anchor="right")
    canvas.frame(along.x0, down.y0, along.x1, down.y1, FAINT, width=0.6)


def draw_ruler(canvas: Canvas, view: TrainView, along: Along, y: float) -> None:
    """Distance from the train's head (its left end where the direction is not known)."""
    trace = view.case.counted.trace
    unit_px, unit = (view.px_per_m, "m") if view.px_per_m else (1.0, "px")
    first, last = sorted(trace.sign * (s - trace.head_px) / unit_px for s in (along.s0_px, along.s1_px))
    step = round_step(110 / along.zoom / unit_px)
    for n in range(math.ceil(first / step), math.floor(last / step) + 1):
        x = along.x(trace.head_px + trace.sign * n * step * unit_px)
        canvas.lines([(x, y), (x, y + 4)], SOFT, width=0.6)
        label = f"{n * step:g} {unit}"
        half = text_width(label, 11) / 2
        canvas.text(float(np.clip(x, along.x0 + half, along.x1 - half)), y + 15, label, size=11, colour=SOFT, anchor="middle")
