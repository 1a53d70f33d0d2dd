"""The film that explains a count: the clip with its layers, boxes and vehicles, and below it a map of the train with a cursor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import VideoConfig
from vision.count import REASONS
from vision.report.explain_canvas import (
    ALARM,
    BACKGROUND,
    DOUBT,
    FAINT,
    INK,
    PANEL,
    PAPER,
    SOFT,
    TRAIN,
    Canvas,
    Picture,
    shortened,
    text_width,
)
from vision.report.explain_map import (
    Along,
    Down,
    Marks,
    TrainView,
    class_colour,
    draw_map,
    draw_numbers,
    draw_strip,
    draw_truth,
    reason_colour,
    reason_text,
)
from vision.report.explain_motion import smooth_speed
from vision.report.words import clock
from vision.run.explain import FRAME_WIDTH_PX, ClipMotion, VideoCase
from vision.types import Look
from vision.video import VideoReader
from vision.video.write import write_clip

FILM_FPS = 15.0
_MARGIN_S = 1.0
_SHORT_S = 8.0
_LEAST_WIDTH_PX = 640
_HIGHEST_PX = 720
_HEAD_PX = 30
_STRIP_PX = (36, 84)
_MAP_PX = 120
_NUMBERS_PX = 42
_BOX_LASTS_S = 1.5
_GAUGE_PX = 24
_ARROW_S = 0.25
"""An arrow is as long as its layer moves in this time."""

Progress = Callable[[float, float | None], None]


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """Which frames are shown, and how fast.

    Attributes:
        spans_s: Parts of the clip, (first, last) seconds each, in order.
        pace: Seconds of the clip in one second of the film.
    """

    spans_s: tuple[tuple[float, float], ...]
    pace: float

    @property
    def pace_words(self) -> str:
        return "" if math.isclose(self.pace, 1) else f"x{self.pace:.2g}"

    def film_s(self, pts_s: float) -> float | None:
        """When a moment of the clip is shown; None where it is not."""
        before = 0.0
        for first, last in self.spans_s:
            if first <= pts_s <= last:
                return (before + pts_s - first) / self.pace
            before += last - first
        return None


def plan_film(trains_s: Sequence[tuple[float, float]], duration_s: float, *, longest_s: float) -> FilmPlan:
    """The trains with a second before and after each; all at once faster where that is longer than ``longest_s``.

    Args:
        trains_s: First and last moment of each train; none for the beginning of the clip.
        duration_s: Of the clip.
        longest_s: The film lasts no longer.
    """
    spans: list[tuple[float, float]] = []
    for first, last in sorted(trains_s) or [(0.0, min(duration_s, longest_s))]:
        a, b = max(0.0, first - _MARGIN_S), min(max(duration_s, last), last + _MARGIN_S)
        if spans and a <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(b, spans[-1][1]))
        else:
            spans.append((a, b))
    total_s = sum(b - a for a, b in spans)
    # What is over in a few seconds is shown at half speed, so that an eye can follow.
    pace = max(total_s / longest_s, 0.5 if total_s <= _SHORT_S and 2 * total_s <= longest_s else 1.0)
    return FilmPlan(tuple(spans), pace)


@dataclass(slots=True)
class FrameMarks:
    """Where things were drawn on one frame of the film, pixels.

    Attributes:
        pts_s: Time in the clip.
        scale: Pixels of the film per pixel of the video.
        numbers: ``Vehicle.index`` -> where its number is.
    """

    pts_s: float
    scale: float
    numbers: dict[int, tuple[float, float]] = field(default_factory=dict)


def write_film(
    path: Path,
    case: VideoCase,
    views: Sequence[TrainView],
    *,
    longest_s: float = 60.0,
    video_config: VideoConfig | None = None,
    progress: Progress | None = None,
    on_frame: Callable[[FrameMarks], None] | None = None,
) -> FilmPlan:
    """Write the film of a clip, H.264 in MP4; it appears whole or not at all.

    Args:
        path: Where.
        case: The video; it must be watchable.
        views: The passages to show, in order of time; none shows the clip's beginning.
        longest_s: The film lasts no longer.
        video_config: How to decode.
        progress: Told how far it is.
        on_frame: Told what was drawn where.

    Raises:
        VideoError: The video cannot be decoded.
        OutputError: The film cannot be written.
    """
    duration_s = case.result.duration_s or case.raw.record.duration_s or longest_s
    plan = plan_film([(v.case.passage.start_s, v.case.passage.end_s) for v in views], duration_s, longest_s=longest_s)
    scenes = [_TrainScene(case, view) for view in views]
    layout = _Layout.of(case, scenes)

    def frames() -> Iterator[tuple[float, Picture]]:
        for film_s, pts_s, picture in _sampled(case, plan, video_config or VideoConfig()):
            drawn, marks = _draw(case, scenes, layout, plan, pts_s, picture)
            if progress is not None:
                progress(pts_s, plan.spans_s[-1][1])
            if on_frame is not None:
                on_frame(marks)
            yield film_s, drawn

    write_clip(path, frames(), fps=FILM_FPS, crf=24, preset="veryfast", gop=int(2 * FILM_FPS))
    return plan


def _sampled(case: VideoCase, plan: FilmPlan, config: VideoConfig) -> Iterator[tuple[float, float, Picture]]:
    """(time in the film, time in the clip, full frame), at most ``FILM_FPS`` of them to a second of film."""
    due_s = 0.0
    with VideoReader(case.path, config, record=case.raw.record) as reader:
        for frame in reader:
            if frame.pts_s > plan.spans_s[-1][1]:
                return
            film_s = plan.film_s(frame.pts_s)
            if film_s is not None and film_s >= due_s - 1e-6:
                due_s = max(due_s + 1 / FILM_FPS, film_s + 0.5 / FILM_FPS)
                yield film_s, frame.pts_s, frame.bgr()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes of the film: everything even, as H.264 needs."""

    width: int
    picture_width: int
    picture_height: int
    below: int

    @classmethod
    def of(cls, case: VideoCase, scenes: Sequence[_TrainScene]) -> _Layout:
        width_px, height_px = case.wh_px
        scale = min(FRAME_WIDTH_PX / width_px, 2.0, max(1.0, _LEAST_WIDTH_PX / width_px), _HIGHEST_PX / height_px)
        picture = round(width_px * scale), round(height_px * scale)
        width = max(picture[0] // 2 * 2, _LEAST_WIDTH_PX)
        for scene in scenes:
            scene.lay_out(width)
        below = max((len(scene.ground) for scene in scenes if scene.ground is not None), default=0)
        return cls(width, *picture, below)

    @property
    def height(self) -> int:
        return (_HEAD_PX + self.picture_height + self.below + 1) // 2 * 2

    @property
    def left(self) -> int:
        return (self.width - self.picture_width) // 2


class _TrainScene:
    """One passage in the film: what does not change is drawn once."""

    def __init__(self, case: VideoCase, view: TrainView) -> None:
        self.view = view
        self.ground: Picture | None = None
        self.along: Along | None = None
        self.down: Down | None = None
        passage, trace = view.case.passage, view.case.counted.trace
        self.speed_px_s = smooth_speed(passage.pts_s, passage.displacement_px)
        self.background_px_s = smooth_speed(passage.pts_s, passage.background_px)
        self._looks = [i for i, look in enumerate(case.raw.looks) if passage.start_s <= look.pts_s <= passage.end_s]
        self._look_s = np.array([case.raw.looks[i].pts_s for i in self._looks], np.float64)
        self._offset_px = trace.offset_px[self._looks]
        self.top_px = {v.index: (v.xyxy_px[1], v.xyxy_px[3]) for v in view.case.counted.train.vehicles}

    def holds(self, pts_s: float) -> bool:
        return self.view.case.passage.start_s <= pts_s <= self.view.case.passage.end_s

    def lay_out(self, width: int) -> None:
        """Draw the map that the cursor moves over."""
        view = self.view
        first, last = view.span_px()
        left = 58.0
        zoom = (width - left - 12) / (last - first)
        strip = view.case.strip
        strip_px = strip.picture.shape[0] / strip.scale if strip is not None else 0.0
        strip_height = float(np.clip(strip_px * zoom, *_STRIP_PX))
        truth = 26 if view.truth is not None and view.truth.marks is not None else 0
        height = math.ceil(_NUMBERS_PX + strip_height + truth + _MAP_PX + 16)
        canvas = Canvas(width, height)
        self.along = Along(first, last, left, zoom)
        passage = view.case.passage
        top = _NUMBERS_PX + strip_height + 4
        draw_numbers(canvas, view, self.along, 15, Marks(), size=12)
        draw_strip(canvas, view, self.along, _NUMBERS_PX, _NUMBERS_PX + strip_height)
        self.down = Down(passage.start_s, max(passage.end_s, passage.start_s + 0.1), top + truth, top + truth + _MAP_PX)
        draw_map(canvas, view, self.along, self.down)
        draw_truth(canvas, view, self.along, top + 8, self.down.y1, Marks())
        self.ground = canvas.picture()

    def column(self, s_px: float, pts_s: float) -> float:
        """Column of the video that shows a place of the train at a time; NaN where it is beyond the horizon."""
        view = self.view
        along_px = s_px + self.displacement_px(pts_s)
        return float(view.case.counted.trace.columns.inverse(np.array(along_px)))

    def displacement_px(self, pts_s: float) -> float:
        """Of the train, with what the looks had in common taken out."""
        offset = float(np.interp(pts_s, self._look_s, self._offset_px)) if len(self._looks) else 0.0
        return float(self.view.case.passage.displacement_at(pts_s)) + offset

    def last_look(self, pts_s: float) -> int | None:
        """Index of the look at or before a time, unless it is long ago."""
        n = int(np.searchsorted(self._look_s, pts_s + 1e-6, "right")) - 1
        return self._looks[n] if n >= 0 and pts_s - self._look_s[n] <= _BOX_LASTS_S else None

    def at(self, values: NDArray[np.float64], pts_s: float) -> float:
        return float(np.interp(pts_s, self.view.case.passage.pts_s, values))

    def counted_until(self, pts_s: float) -> int:
        """Vehicles whose middle has come into view so far."""
        passage = self.view.case.passage
        times = passage.pts_s[passage.pts_s <= pts_s + 1e-6]
        if not len(times):
            return 0
        visible = self.view.visible_px(times)
        places = [p.centre_px for p in self.view.case.counted.trace.places if p.vehicle >= 0]
        return sum(bool(((visible[:, 0] <= s) & (s <= visible[:, 1])).any()) for s in places)


def _draw(
    case: VideoCase, scenes: Sequence[_TrainScene], layout: _Layout, plan: FilmPlan, pts_s: float, frame: Picture
) -> tuple[Picture, FrameMarks]:
    scale = layout.picture_width / case.wh_px[0]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    frame = np.asarray(cv2.resize(frame, (layout.picture_width, layout.picture_height), interpolation=how), np.uint8)
    marks = FrameMarks(pts_s, scale)
    now = [scene for scene in scenes if scene.holds(pts_s)]
    tinted = _tinted(frame, case.motion, pts_s, now)
    over = np.full((layout.height, layout.width, 3), 255, np.uint8)
    over[_HEAD_PX : _HEAD_PX + frame.shape[0], : layout.width] = PANEL
    shown = tinted[:, : layout.width]
    over[_HEAD_PX : _HEAD_PX + shown.shape[0], layout.left : layout.left + shown.shape[1]] = shown
    canvas = Canvas(layout.width, layout.height, over=over, zoom=1)
    for scene in now:
        _boxes(canvas, case, scene, layout, scale, pts_s)
        _vehicles(canvas, scene, layout, scale, pts_s, marks)
        _arrows(canvas, case, scene, layout, scale, pts_s)
    if not now:
        _quiet_arrow(canvas, case, layout, scale, pts_s)
    _head(canvas, case, now, plan, pts_s)
    # Below, the last train stays until the next one comes.
    before = [s for s in scenes if s.view.case.passage.end_s <= pts_s]
    for shown_scene in (*now, *before[::-1], *scenes)[:1]:
        _below(canvas, shown_scene, layout, pts_s)
    return canvas.picture(), marks


def _tinted(frame: Picture, motion: ClipMotion | None, pts_s: float, now: Sequence[_TrainScene]) -> Picture:
    """The frame with the rows of the train tinted green and those of the background blue, as strongly as they show it."""
    rows = frame.shape[0]
    train, background = np.zeros(rows), np.zeros(rows)
    if motion is not None and len(motion.pts_s):
        i = motion.frame_at(pts_s)
        train = _by_row(motion.train_bands[max(0, i - 2) : i + 3].mean(axis=0), rows) if now else train
        background = _by_row(motion.background_bands[max(0, i - 2) : i + 3].mean(axis=0), rows)
    out = frame.astype(np.float32)
    for share, colour in ((background, BACKGROUND), (train, TRAIN)):
        alpha = (0.28 * np.clip(share, 0, 1)).astype(np.float32)[:, None, None]
        out = out * (1 - alpha) + np.array(colour, np.float32) * alpha
    width = frame.shape[1]
    for row in range(rows):
        # A gauge at either side: a tint alone is hard to tell on a green picture.
        out[row, : round(_GAUGE_PX * min(1.0, train[row]))] = TRAIN
        out[row, width - round(_GAUGE_PX * min(1.0, background[row])) :] = BACKGROUND
    return np.asarray(np.clip(out + 0.5, 0, 255), np.uint8)


def _by_row(bands: NDArray[np.float32], rows: int) -> NDArray[np.float64]:
    """Bands overlap by half: the value of each row between the middles of the bands."""
    n = len(bands)
    middles = (np.arange(n) + 1.0) / (n + 1) * rows
    return np.asarray(np.interp(np.arange(rows) + 0.5, middles, bands), np.float64)


def _boxes(canvas: Canvas, case: VideoCase, scene: _TrainScene, layout: _Layout, scale: float, pts_s: float) -> None:
    """Boxes of the last look, carried along with the train; thick on the look's own frame."""
    index = scene.last_look(pts_s)
    if index is None:
        return
    look: Look = case.raw.looks[index]
    counted = scene.view.case.counted
    moved_px = scene.displacement_px(pts_s) - scene.displacement_px(look.pts_s)
    fresh = pts_s - look.pts_s < 1 / FILM_FPS
    for box, s_px, class_id, why in zip(
        look.detections.xyxy_px, counted.trace.s_px[index], look.detections.class_id, counted.why[index], strict=True
    ):
        reason = REASONS[int(why)]
        shift = moved_px
        if reason in {"moves_with_background", "static_in_picture", "outside_band"} or not np.isfinite(s_px).all():
            shift = 0.0
        x0, x1 = (layout.left + (float(x) + shift) * scale for x in (box[0], box[2]))
        y0, y1 = (_HEAD_PX + float(y) * scale for y in (box[1], box[3]))
        edges = layout.left, layout.left + layout.picture_width
        if x1 < edges[0] or x0 > edges[1]:
            continue
        x0, x1 = max(x0, edges[0]), min(x1, edges[1])
        colour = reason_colour(reason) if reason else class_colour(case.raw.class_names[int(class_id)])
        canvas.frame(x0, y0, x1, y1, PAPER if fresh else colour, width=4 if fresh else 1)
        canvas.frame(x0, y0, x1, y1, colour, width=2 if fresh else 1)
        if reason:
            words = shortened(reason_text(reason).removeprefix("that "), size=11, width_px=max(x1 - x0, 90))
            canvas.text(x0 + 3, y1 - 5, words, size=11, colour=PAPER, halo=INK)


def _vehicles(canvas: Canvas, scene: _TrainScene, layout: _Layout, scale: float, pts_s: float, marks: FrameMarks) -> None:
    """The number of each counted vehicle where it must be now; a question mark on other places; what the truth has besides."""
    view = scene.view
    for place in view.case.counted.trace.places:
        x = layout.left + scene.column(place.centre_px, pts_s) * scale
        if not layout.left <= x <= layout.left + layout.picture_width:
            continue
        if place.vehicle >= 0:
            top, _ = scene.top_px[place.vehicle]
            y = _HEAD_PX + max(top * scale - 16, 14)
            extra = view.truth is not None and place.vehicle in view.truth.extra
            canvas.badge(x, y, str(place.vehicle + 1), class_colour(place.class_name), size=15)
            marks.numbers[place.vehicle] = (x, y)
            if extra:
                canvas.text(x, y - 14, "EXTRA", size=12, colour=PAPER, anchor="middle", bold=True, halo=DOUBT)
        else:
            y = _HEAD_PX + max(view.case.passage.band_y_px[0] * scale + 14, 14)
            canvas.badge(x, y, f"? {place.probability:.2f}", FAINT, size=12)
    for mark in (view.truth.marks if view.truth else None) or ():
        x = layout.left + scene.column(mark.s_px, pts_s) * scale
        if mark.vehicle is None and layout.left <= x <= layout.left + layout.picture_width:
            y = _HEAD_PX + max(view.case.passage.band_y_px[0] * scale - 8, 14)
            canvas.text(x, y, f"MISSED {mark.class_name}", size=13, colour=PAPER, anchor="middle", bold=True, halo=ALARM)


def _arrows(canvas: Canvas, case: VideoCase, scene: _TrainScene, layout: _Layout, scale: float, pts_s: float) -> None:
    """How train and background move on the picture."""
    train_px_s, background_px_s = scene.at(scene.speed_px_s, pts_s), scene.at(scene.background_px_s, pts_s)
    top, bottom = scene.view.case.passage.band_y_px
    x = layout.left + layout.picture_width / 2
    y_train = _HEAD_PX + min(bottom * scale - 12, layout.picture_height - 12)
    _arrow(canvas, layout, x, y_train, train_px_s * scale, f"train {round(train_px_s):+d} px/s", TRAIN)
    y_back = _HEAD_PX + (top * scale * 0.5 if top * scale > 50 else 22)
    _arrow(canvas, layout, x, y_back, background_px_s * scale, f"background {round(background_px_s):+d} px/s", BACKGROUND)


def _quiet_arrow(canvas: Canvas, case: VideoCase, layout: _Layout, scale: float, pts_s: float) -> None:
    motion = case.motion
    if motion is None or len(motion.pts_s) < 3:
        return
    i = int(np.clip(motion.frame_at(pts_s), 2, len(motion.pts_s) - 3)) if len(motion.pts_s) > 5 else 1
    part = slice(max(0, i - 2), i + 3)
    speed = float(np.ptp(motion.pts_s[part])) and float(
        (motion.background_px[part][-1] - motion.background_px[part][0]) / np.ptp(motion.pts_s[part])
    )
    x = layout.left + layout.picture_width / 2
    _arrow(canvas, layout, x, _HEAD_PX + 30, speed * scale, f"background {round(speed):+d} px/s", BACKGROUND)


def _arrow(canvas: Canvas, layout: _Layout, x: float, y: float, px_s: float, text: str, colour: tuple[int, int, int]) -> None:
    length = float(np.clip(px_s * _ARROW_S, -0.4 * layout.picture_width, 0.4 * layout.picture_width))
    canvas.arrow(x, y, x + length, y, colour, width=3)
    at, anchor = (x + 8, "left") if length < 0 else (x - 8, "right")
    canvas.text(at, y + 5, text, size=13, colour=PAPER, anchor="left" if anchor == "left" else "right", bold=True, halo=colour)


def _head(canvas: Canvas, case: VideoCase, now: Sequence[_TrainScene], plan: FilmPlan, pts_s: float) -> None:
    """Time, and how many were counted so far."""
    canvas.text(12, 20, clock(pts_s), size=16)
    canvas.text(110 + 12, 20, plan.pace_words, size=13, colour=SOFT)
    for scene in now[:1]:
        train = scene.view.case.counted.train
        words = f"{scene.counted_until(pts_s)} of {len(train.vehicles)} counted vehicles have come into view"
        words = words if train.vehicles else "no vehicle was counted"
        if scene.view.truth is not None:
            words += f"; truth {scene.view.truth.total}"
        canvas.text(canvas.width_px - 12, 20, words, size=13, anchor="right")
        at = canvas.width_px - 12 - text_width(words, 13) - 16
        if any("registration" in flag for flag in train.flags):
            canvas.text(at, 20, "registration doubtful", size=13, colour=DOUBT, anchor="right")
    if not now:
        canvas.text(canvas.width_px - 12, 20, "no train", size=13, colour=SOFT, anchor="right")


def _below(canvas: Canvas, scene: _TrainScene, layout: _Layout, pts_s: float) -> None:
    """The map, and what of it is in view now."""
    assert scene.ground is not None
    assert scene.along is not None
    assert scene.down is not None
    top = _HEAD_PX + layout.picture_height
    canvas.paste(scene.ground, 0, top, scene.ground.shape[1], top + scene.ground.shape[0])
    if not scene.holds(pts_s):
        return
    along, down = scene.along, scene.down
    a, b = (float(np.clip(along.x(s), along.x0, along.x1)) for s in scene.view.visible_px(np.array([pts_s]))[0])
    y = top + down.y(pts_s)
    canvas.lines([(along.x0, y), (along.x1, y)], ALARM, width=1)
    canvas.lines([(a, y), (b, y)], ALARM, width=3)
    canvas.frame(a, top + _NUMBERS_PX - 3, b, top + down.y0 - 2, ALARM, width=2)
    canvas.rect(0, y - 8, along.x0 - 1, y + 8, ALARM)
    canvas.text(along.x0 - 5, y + 4, f"{pts_s:.1f} s", size=11, colour=PAPER, anchor="right")
