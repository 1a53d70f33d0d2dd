"""The picture that explains a count: one for each train, or one that says why there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.errors import OutputError
from vision.report.explain_canvas import (
    ALARM,
    BACKGROUND,
    DOUBT,
    INK,
    PANEL,
    PAPER,
    SOFT,
    TRAIN,
    Canvas,
    Colour,
    Picture,
    shortened,
    text_width,
    wrapped,
)
from vision.report.explain_map import (
    Along,
    Down,
    Marks,
    TrainView,
    class_colour,
    draw_map,
    draw_numbers,
    draw_places,
    draw_ruler,
    draw_strip,
    draw_truth,
    reason_colour,
    reason_text,
)
from vision.report.explain_motion import LEFT_OUT, motion_block
from vision.report.explain_sheet import LEFT_PX, RIGHT_PX, WIDTH_PX, Block, Draw, title
from vision.report.explain_truth import ClipTruth
from vision.report.words import (
    class_words,
    clock,
    completeness_words,
    direction_words,
    flag_words,
    interval_words,
    length_words,
    speed_words,
)
from vision.run.explain import PassageCase, VideoCase
from vision.run.tables import class_order
from vision.types import Dropped

MAX_ROWS = 6
_THUMB_PX = 384
_VEHICLE_PX = 64
_STRIP_PX = (40, 260)


@dataclass(frozen=True, slots=True, repr=False)
class Drawn:
    """A picture, (rows, columns, 3) uint8 BGR, and where things are in it."""

    picture: Picture
    marks: Marks


def view_of(case: VideoCase, passage: PassageCase, truth: ClipTruth | None, px_per_m: float | None) -> TrainView:
    """What is drawn of a passage."""
    of_train = truth.of.get(passage.train_id) if truth is not None and passage.train_id is not None else None
    return TrainView(
        passage,
        case.raw.looks,
        case.raw.class_names,
        case.min_existence,
        truth=of_train,
        truth_known=truth is not None,
        px_per_m=px_per_m,
    )


def draw_train(case: VideoCase, passage: PassageCase, *, truth: ClipTruth | None = None, px_per_m: float | None = None) -> Drawn:
    """Explain the count of one passage.

    Args:
        case: Its video.
        passage: One of the case's passages.
        truth: What is true of the clip, where that is known.
        px_per_m: Scale at the train, full-frame pixels per metre, where it is known.
    """
    view = view_of(case, passage, truth, px_per_m)
    marks = Marks()
    return _sheet([_header(case, view), *_map_blocks(view, marks), motion_block(case, passage)], marks)


def draw_clip(case: VideoCase, *, truth: ClipTruth | None = None) -> Drawn:
    """Explain a clip without a train: its motion, and what was left out."""
    return _sheet([_clip_header(case, truth), motion_block(case, None)], Marks())


def png_of(picture: Picture) -> bytes:
    """A picture as the bytes of a PNG file.

    Raises:
        OutputError: It cannot be encoded.
    """
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 7])
    if not done:
        raise OutputError(f"a picture of {picture.shape[1]} x {picture.shape[0]} pixels cannot be written as PNG")
    return bytes(data.tobytes())


def _sheet(blocks: Sequence[Block], marks: Marks) -> Drawn:
    canvas = Canvas(WIDTH_PX, math.ceil(sum(b.height_px for b in blocks)) + 16)
    y = 0.0
    for block in blocks:
        block.draw(canvas, y)
        y += block.height_px
    return Drawn(canvas.picture(), marks)


# ---- Text -------------------------------------------------------------------------------------------------------------------


class _Lines:
    """Lines of text from the top on; they are laid out first, so that the height is known before anything is drawn."""

    def __init__(self, width_px: float) -> None:
        self.width_px = width_px
        self.height_px = 14.0
        self._draws: list[Draw] = []

    def add(self, text: str, *, size: float = 13, colour: Colour = INK, bold: bool = False, dot: Colour | None = None) -> None:
        indent = 0.0 if dot is None else 18.0
        for n, line in enumerate(wrapped(text, size=size, width_px=self.width_px - indent)):
            self.height_px += size * 1.5
            self._draws.append(self._line(line, self.height_px, size, colour, bold, dot if n == 0 else None, indent))

    def gap(self, px: float = 6) -> None:
        self.height_px += px

    @staticmethod
    def _line(text: str, at: float, size: float, colour: Colour, bold: bool, dot: Colour | None, indent: float) -> Draw:
        def draw(canvas: Canvas, y: float) -> None:
            if dot is not None:
                canvas.rect(RIGHT_PX, y + at - 10, RIGHT_PX + 11, y + at + 1, dot)
            canvas.text(RIGHT_PX + indent, y + at, text, size=size, colour=colour, bold=bold)

        return draw

    def row(self, items: Sequence[tuple[str, Colour]], *, size: float = 14) -> None:
        """Coloured squares with their words, as many to a line as fit."""
        x = 0.0
        self.height_px += size * 1.7
        for text, colour in items:
            width = 18 + text_width(text, size) + 24
            if x and x + width > self.width_px:
                x = 0.0
                self.height_px += size * 1.6
            self._draws.append(self._square(text, RIGHT_PX + x, self.height_px, colour, size))
            x += width

    @staticmethod
    def _square(text: str, x: float, at: float, colour: Colour, size: float) -> Draw:
        def draw(canvas: Canvas, y: float) -> None:
            canvas.rect(x, y + at - 11, x + 12, y + at + 1, colour)
            canvas.text(x + 18, y + at, text, size=size)

        return draw

    def draw(self, canvas: Canvas, y: float) -> None:
        for draw in self._draws:
            draw(canvas, y)


def _header(case: VideoCase, view: TrainView) -> Block:
    train, passage = view.case.counted.train, view.case.passage
    lines = _Lines(WIDTH_PX - _THUMB_PX - 3 * RIGHT_PX)
    if view.case.train_id is None:
        seen = len(train.vehicles)
        noun = "vehicle" if seen == 1 else "vehicles"
        lines.add(f"No train: {seen} {noun} where nothing moves, too few for a train that stands", size=25, bold=True)
    else:
        noun = "vehicle" if train.total.count == train.total.high == 1 else "vehicles"
        lines.add(f"{interval_words(train.total)} military {noun} in train {view.case.train_id}", size=25, bold=True)
    lines.add(shortened(case.path.name, size=14, width_px=500) + _when(passage.start_s, passage.end_s), size=14)
    facts = [direction_words(passage.direction), speed_words(train), length_words(train), completeness_words(train)]
    lines.add(", ".join(facts), colour=SOFT)
    if train.counts:
        counts = [(f"{class_words(c)} {interval_words(train.counts[c])}", class_colour(c)) for c in class_order(train.counts)]
        lines.row(counts)
    _truth_lines(lines, view)
    lines.gap()
    for flag in train.flags:
        lines.add(f"{flag}: {flag_words(flag)}", colour=DOUBT)
    for note in case.notes:
        lines.add(note, colour=ALARM)
    _left_out(lines, view)
    thumb_height = _thumb_height(case)
    height = max(lines.height_px, thumb_height + 64) + 14

    def draw(canvas: Canvas, y: float) -> None:
        lines.draw(canvas, y)
        _thumb(canvas, case, view.case, WIDTH_PX - RIGHT_PX - _THUMB_PX, y + 22)

    return Block(height, draw)


def _when(start_s: float, end_s: float) -> str:
    return f", {clock(start_s)} to {clock(end_s)}"


def _truth_lines(lines: _Lines, view: TrainView) -> None:
    truth = view.truth
    if truth is None:
        if view.truth_known and view.case.train_id is not None:
            lines.gap(3)
            words = "Truth: no train there is this one; it is part of another one, or none"
            lines.add(words, size=15, bold=True, colour=ALARM)
        return
    total = view.case.counted.train.total
    words = f"Truth: {truth.total} military vehicles"
    if truth.marks is not None:
        words += f"; {truth.misses} missed, {len(truth.extra)} extra"
        words += f", {truth.wrong_class} under another class" if truth.wrong_class else ""
    words += "" if total.low <= truth.total <= total.high else "; outside of the bounds"
    right = truth.total == total.count and not truth.misses and not truth.extra
    lines.gap(3)
    lines.add(words, size=15, bold=True, colour=ALARM if not right else DOUBT if truth.wrong_class else TRAIN)


def _left_out(lines: _Lines, view: TrainView) -> None:
    """Detections by what became of them."""
    fates = Counter(box.reason for box in view.boxes())
    looks = len(view.looks_counted())
    used = fates.pop("", 0)
    lines.gap(3)
    lines.add(f"{looks} looks of the detector, {used} boxes on counted vehicles" + (", left out:" if fates else ""), colour=SOFT)
    for reason, count in fates.most_common():
        lines.add(f"{count} {'box' if count == 1 else 'boxes'} {reason_text(reason)}", dot=reason_colour(reason), colour=SOFT)


def _clip_header(case: VideoCase, truth: ClipTruth | None) -> Block:
    lines = _Lines(WIDTH_PX - _THUMB_PX - 3 * RIGHT_PX)
    lines.add("No train was found", size=25, bold=True)
    duration_s = case.result.duration_s
    lines.add(shortened(case.path.name, size=14, width_px=500) + (f", {clock(duration_s)} long" if duration_s else ""), size=14)
    boxes = sum(len(look.detections) for look in case.raw.looks)
    looks = f"{len(case.raw.looks)} looks of the detector found {boxes} vehicles"
    lines.add(f"{looks}; no part of the picture moves like a train", colour=SOFT)
    for drop in case.result.dropped:
        lines.add(_drop_words(drop), colour=SOFT)
    for train in truth.missed if truth else ():
        when = f"from {clock(train.start_s)} to {clock(train.end_s)}"
        lines.add(f"Truth: a train {when} with {train.total} military vehicles was missed", colour=ALARM, bold=True, size=15)
    for note in case.notes:
        lines.add(note, colour=ALARM)

    def draw(canvas: Canvas, y: float) -> None:
        lines.draw(canvas, y)
        _thumb(canvas, case, None, WIDTH_PX - RIGHT_PX - _THUMB_PX, y + 22)

    return Block(max(lines.height_px, _thumb_height(case) + 64) + 14, draw)


def _drop_words(drop: Dropped) -> str:
    when = "" if drop.at_s is None else f" at {clock(drop.at_s)}"
    words = LEFT_OUT.get(drop.reason, drop.reason.replace("_", " "))
    if drop.what == "train":
        return f"something that moved{when} was left out as a train: {words}"
    return f"{drop.count} {words}{when}" if drop.what == "frame" else f"{drop.what}{when} left out: {words}"


# ---- Bands -------------------------------------------------------------------------------------------------------------------


def _thumb_height(case: VideoCase) -> float:
    width_px, height_px = case.wh_px
    return min(_THUMB_PX * height_px / width_px, 420.0)


def _thumb(canvas: Canvas, case: VideoCase, passage: PassageCase | None, x: float, y: float) -> None:
    """The picture with the rows that move with the train and those that move with the background."""
    width_px, height_px = case.wh_px
    height = _thumb_height(case)
    width = height * width_px / height_px
    x += _THUMB_PX - width
    picture = (passage.frame if passage is not None else None) if passage is not None else case.frame
    canvas.rect(x, y, x + width, y + height, PANEL)
    scale = height / height_px
    if picture is not None:
        canvas.paste(picture, x, y, x + width, y + height)
    elif passage is not None and passage.strip is not None:
        _piece_of_strip(canvas, passage, x, y, width, scale)
    else:
        canvas.text(x + width / 2, y + height / 2, "no frame at hand", colour=SOFT, anchor="middle")
    if passage is not None:
        top, bottom = (y + v * scale for v in passage.passage.band_y_px)
        canvas.frame(x, top, x + width, min(bottom, y + height), PAPER, width=3)
        canvas.frame(x, top, x + width, min(bottom, y + height), TRAIN, width=1.6)
    caption = "frame: rows in which boxes are taken for the train's"
    shares = band_shares(case, passage)
    if shares is not None:
        train, background = shares
        rows = len(train) + 1
        for i in range(len(train)):
            top, bottom = y + height * (i + 0.5) / rows, y + height * (i + 1.5) / rows
            canvas.rect(x, top, x + 0.25 * width * float(train[i]), bottom - 1, TRAIN, alpha=0.75)
            canvas.rect(x + width - 0.25 * width * float(background[i]), top, x + width, bottom - 1, BACKGROUND, alpha=0.75)
        canvas.text(x, y + height + 16, "bars: bands that move with the train,", size=11.5, colour=TRAIN)
        canvas.text(x + width, y + height + 16, "with the background", size=11.5, colour=BACKGROUND, anchor="right")
    if passage is not None:
        canvas.text(x, y + height + 32, caption, size=11.5, colour=SOFT)


def _piece_of_strip(canvas: Canvas, passage: PassageCase, x: float, y: float, width: float, scale: float) -> None:
    strip = passage.strip
    assert strip is not None
    columns = min(strip.picture.shape[1], round(width / scale * strip.scale))
    first = (strip.picture.shape[1] - columns) // 2
    piece = strip.picture[:, first : first + columns]
    top = y + strip.top_px * scale
    canvas.paste(piece, x, top, x + columns / strip.scale * scale, top + piece.shape[0] / strip.scale * scale)


def band_shares(case: VideoCase, passage: PassageCase | None) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """How strongly each band moved with the train and with the background, (bands,) each, in [0, 1]; None where not measured."""
    motion = case.motion
    if motion is None:
        return None
    inside = np.ones(len(motion.pts_s), bool)
    if passage is not None:
        inside = (motion.pts_s >= passage.passage.start_s) & (motion.pts_s <= passage.passage.end_s)
    if not inside.any():
        return None
    train, background = (np.asarray(b[inside].mean(axis=0), np.float64) for b in (motion.train_bands, motion.background_bands))
    return np.clip(train, 0, 1), np.clip(background, 0, 1)


# ---- Map -------------------------------------------------------------------------------------------------------------------


def _map_blocks(view: TrainView, marks: Marks) -> list[Block]:
    """The train in rows: numbers, strip, places, truth, map."""
    room = WIDTH_PX - LEFT_PX - RIGHT_PX
    first, last = view.span_px()
    strip = view.case.strip
    strip_px = strip.picture.shape[0] / strip.scale if strip is not None else 0.25 * (last - first)
    one_row = room / (last - first)
    # As many rows as make a vehicle large enough to be seen, as long as the strip does not become too high.
    tallest = _STRIP_PX[1] / strip_px
    rows = min(math.ceil(_VEHICLE_PX / view.typical_px() / one_row - 0.05), math.floor(tallest / one_row), MAX_ROWS)
    zoom = max(1, rows) * one_row if rows > 1 else min(one_row, tallest)
    breaks = view.breaks_px(room / zoom)
    longest = max(b - a for a, b in pairwise(breaks))
    zoom = min(zoom, room / longest)
    strip_height = float(np.clip(strip_px * zoom, *_STRIP_PX)) if strip is not None else 30.0
    blocks = [title("Along the train", _map_legend(view))]
    for a, b in pairwise(breaks):
        blocks.append(_map_row(view, Along(a, b, LEFT_PX, zoom), strip_height, marks))
    return blocks


def _map_legend(view: TrainView) -> str:
    heading = {"left": "its head is on the left", "right": "its head is on the right"}.get(view.case.passage.direction, "")
    words = "strip; probability of a vehicle at each place; time down: white where the train is in view, bars are boxes"
    return f"{words}; {heading}" if heading else words


def _map_row(view: TrainView, along: Along, strip_height: float, marks: Marks) -> Block:
    times = _times_in_view(view, along)
    looks = sum(times[0] <= t <= times[1] for t in view.looks_counted())
    map_height = float(np.clip(6 * looks, 110, 260))
    truth_height = 30 if view.truth is not None and view.truth.marks is not None else 0
    numbers_height, places_height = (40, 52) if view.case.counted.trace.places else (12, 0)
    height = numbers_height + strip_height + places_height + 12 + truth_height + map_height + 34

    def draw(canvas: Canvas, y: float) -> None:
        draw_numbers(canvas, view, along, y + 14, marks, size=12.5)
        top = y + numbers_height
        draw_strip(canvas, view, along, top, top + strip_height)
        top += strip_height + 6
        if places_height:
            draw_places(canvas, view, along, top, top + places_height, marks)
        top += places_height + 6 + truth_height
        down = Down(*times, top, top + map_height)
        draw_map(canvas, view, along, down)
        draw_ruler(canvas, view, along, top + map_height)
        if truth_height:
            draw_truth(canvas, view, along, top - truth_height + 12, top + map_height, marks)

    return Block(height, draw)


def _times_in_view(view: TrainView, along: Along) -> tuple[float, float]:
    """From when to when any of this part of the train is in the picture."""
    passage = view.case.passage
    visible = view.visible_px(passage.pts_s)
    inside = (visible[:, 0] < along.s1_px) & (visible[:, 1] > along.s0_px)
    times = passage.pts_s[inside] if inside.any() else passage.pts_s
    first, last = float(times[0]), float(times[-1])
    return (first, last) if last > first else (first - 0.5, last + 0.5)
