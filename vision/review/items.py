"""What a person is shown of a run: per train its strip, and a few whole frames on which all its vehicles are seen.

Frames are taken from the video by their time stamps: FiftyOne counts frames, which in a clip with a changing frame rate says
nothing. Where the video is gone, the frame is put together from the crops that the run keeps.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import VideoConfig
from vision.errors import FlatcarError, TaxonomyError
from vision.review.labels import StoredBox, StoredFrame
from vision.run.along import head_px, sign_of
from vision.run.crops import jpeg
from vision.run.evidence import crops_archive
from vision.run.observe import crop_key
from vision.run.store import RawVideo, RunFolder, atomic_write, load_raw, raw_path
from vision.run.strips import load_strip
from vision.run.tables import strip_path, train_ids
from vision.run.verdicts import Place
from vision.taxonomy import default_taxonomy
from vision.types import FloatArray, Look, Train, Vehicle, VideoRecord, VideoResult
from vision.video import VideoReader, sha256_of

MAX_WIDTH_PX = 16_000
"""Browsers draw no wider pictures: a longer strip is shown shrunk."""

JPEG_QUALITY = 90
_GREY = 114
_NO_BASE = Fraction(1, 1000)
_SAME_ROWS = 0.3

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """A vehicle of a train as the review set shows it.

    Attributes:
        key: Its name in the review set.
        number: From 1 at the head, as the page and the strip show it.
        place: Where it is.
        vehicle: As reported.
        disagreement: Share of its boxes, over all looks, that the detector named otherwise than most of them.
        new: Not there when the run was reviewed last.
    """

    key: str
    number: int
    place: Place
    vehicle: Vehicle
    disagreement: float
    new: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A box on a picture, pixels of it.

    Attributes:
        key: The vehicle's, or empty for a box that belongs to none.
        class_name: As labelled: the vehicle's class, or what the detector named a box without a vehicle.
        xyxy_px: Left, top, right, bottom.
        look_class, look_score: What the detector said in this look; None on the strip.
    """

    key: str
    class_name: str
    xyxy_px: Box
    look_class: str | None = None
    look_score: float | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on disk with its boxes."""

    path: Path
    width_px: int
    height_px: int
    boxes: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class LookItem:
    """One frame.

    Attributes:
        pts, pts_s: Its time.
        displacement_px: ``D`` at that time: a column ``x`` shows the train coordinate ``x - D``.
        picture: The frame.
        from_crops: It was put together from crops.
        whole: A person has looked at every box of it.
    """

    pts: int
    pts_s: float
    displacement_px: float
    picture: Picture
    from_crops: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class StripItem:
    """A strip: column ``c`` shows the train coordinate ``origin_px + c / scale``, row ``r`` the frame's row
    ``top_px + r / scale``.
    """

    picture: Picture
    origin_px: float
    scale: float
    top_px: float


@dataclass(frozen=True, slots=True)
class TrainItem:
    """One train with everything that is shown of it.

    Attributes:
        train_id, result, record, train: Which.
        copies: Other files with the same bytes.
        vehicles: From the head.
        strip: The long picture.
        looks: Frames, in order of time.
        clock: ``(pts, pts_s, D)`` of every look of the train: by it a box drawn on the strip finds its frame.
        head_px, sign: Position 0 in the train coordinate, and the sign of positions along it.
    """

    train_id: str
    result: VideoResult
    record: VideoRecord
    train: Train
    copies: tuple[str, ...]
    vehicles: tuple[Counted, ...]
    strip: StripItem
    looks: tuple[LookItem, ...]
    clock: tuple[tuple[int, float, float], ...]
    head_px: float
    sign: int


@dataclass(slots=True)
class Notes:
    """What a person should know of how the review set was made."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)


def train_items(
    run: RunFolder,
    results: Sequence[VideoResult],
    *,
    seen: Mapping[str, Sequence[Place]],
    stored: Mapping[tuple[str, int], StoredFrame],
    notes: Notes,
) -> Iterator[TrainItem]:
    """All trains of a run, with their pictures; frames that are not stored yet are written to ``RUN/review/frames``.

    Args:
        run: The run folder, locked for writing.
        results: With people's verdicts laid over them.
        seen: Hash of a video -> vehicles that were there when it was reviewed last.
        stored: Frames on which people have labelled, by hash and time stamp.
        notes: Told what is amiss.

    Raises:
        TruthError: What the run stores is damaged.
        OutputError: The run folder cannot be written.
    """
    for name in ("frames", "strips", "crops"):
        (run.path / "review" / name).mkdir(parents=True, exist_ok=True)
    done = {result.sha256: result for result in results if result.status == "done"}
    copies: dict[str, list[str]] = {}
    for result in results:
        if result.status == "skipped" and result.sha256 in done:
            copies.setdefault(result.sha256, []).append(result.path.as_posix())
    for result in results:
        if result.status != "done" or not result.trains:
            continue
        if not raw_path(run, result.sha256).is_file():
            notes.add(f"{result.path}: nothing of its looks is stored; only strips are shown")
        yield from _of_video(run, result, tuple(copies.get(result.sha256, ())), seen, stored, notes)


def _of_video(
    run: RunFolder,
    result: VideoResult,
    copies: tuple[str, ...],
    seen: Mapping[str, Sequence[Place]],
    stored: Mapping[tuple[str, int], StoredFrame],
    notes: Notes,
) -> Iterator[TrainItem]:
    raw = load_raw(run, result.sha256) if raw_path(run, result.sha256).is_file() else None
    tables = [_Table.of(train, raw) for train in result.trains]
    wanted = {look.pts for table in tables for look in table.chosen()} if raw else set()
    rebuilt = _write_frames(run, result, raw, wanted, notes) if raw else set()
    for train_id, table in zip(train_ids(result), tables, strict=True):
        counted = _counted(train_id, table, seen.get(result.sha256))
        looks = []
        for look in table.chosen():
            frame = stored.get((result.sha256, look.pts))
            looks.append(_look_item(run, result, raw, table, look, counted, frame, from_crops=look.pts in rebuilt))
        record = raw.record if raw else VideoRecord(result.path, result.sha256, 0, "", "", 0, 0, 0, _NO_BASE, None, None)
        clock = tuple((look.pts, look.pts_s, float(d)) for look, d in zip(table.looks, table.displacement_px, strict=True))
        yield TrainItem(
            train_id=train_id,
            result=result,
            record=record,
            train=table.train,
            copies=copies,
            vehicles=counted,
            strip=_strip_item(run, train_id, table.train, counted, notes),
            looks=tuple(looks),
            clock=clock
            or tuple((v.pts, v.pts_s, float(table.train.passage.displacement_at(v.pts_s))) for v in table.train.vehicles),
            head_px=table.head_px,
            sign=table.sign,
        )


# ---- Which box is which vehicle ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Table:
    """The looks of one train, and which vehicle each of their boxes shows (its place in ``train.vehicles``, or -1)."""

    train: Train
    looks: list[Look]
    displacement_px: FloatArray
    shows: list[NDArray[np.int64]]
    names: tuple[str, ...]
    head_px: float
    sign: int
    s_px: FloatArray
    disagreement: FloatArray
    best: dict[int, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, train: Train, raw: RawVideo | None) -> _Table:
        passage = train.passage
        looks = [look for look in raw.looks if passage.start_s <= look.pts_s <= passage.end_s] if raw else []
        displacement_px = np.asarray(passage.displacement_at(np.array([look.pts_s for look in looks])), np.float64).reshape(-1)
        head, sign = head_px(train), sign_of(train)
        s_px = np.array([head + sign * v.position_px for v in train.vehicles])
        names = tuple(_canonical(name) for name in raw.class_names) if raw else ()
        shows = [_shows(look, d, train, s_px) for look, d in zip(looks, displacement_px, strict=True)]
        table = cls(train, looks, displacement_px, shows, names, head, sign, s_px, np.zeros(len(s_px)))
        table._measure()
        return table

    def _measure(self) -> None:
        """How far the looks disagree on each vehicle, and which look shows it best: whole, surely, near the middle."""
        votes: list[dict[str, int]] = [{} for _ in self.s_px]
        view = self.train.passage.view_x_px
        for place, (look, shows) in enumerate(zip(self.looks, self.shows, strict=True)):
            for item in np.flatnonzero(shows >= 0):
                vehicle = int(shows[item])
                name = self.names[int(look.detections.class_id[item])]
                votes[vehicle][name] = votes[vehicle].get(name, 0) + 1
                x0, _, x1, _ = look.detections.xyxy_px[item]
                inside = x0 > view[0] + 2 and x1 < view[1] - 2
                value = float(look.detections.score[item]) + inside
                if value > self.best.get(vehicle, (0, -1.0))[1]:
                    self.best[vehicle] = (place, value)
        for vehicle, tally in enumerate(votes):
            if tally:
                self.disagreement[vehicle] = 1 - max(tally.values()) / sum(tally.values())

    def chosen(self) -> list[Look]:
        """So few looks that each vehicle is on one that shows it well; those of people's own places too."""
        by_pts = {look.pts: place for place, look in enumerate(self.looks)}
        places: set[int] = set()
        covered: set[int] = set()
        for vehicle, counted in enumerate(self.train.vehicles):
            if vehicle in covered:
                continue
            place = by_pts.get(counted.pts, self.best[vehicle][0] if vehicle in self.best else None)
            if place is None:
                continue
            places.add(place)
            view = self.train.passage.view_x_px
            boxes = self.looks[place].detections.xyxy_px
            whole = (boxes[:, 0] > view[0] + 2) & (boxes[:, 2] < view[1] - 2)
            covered |= {vehicle, *(int(v) for v in self.shows[place][whole] if v >= 0)}
        return [self.looks[place] for place in sorted(places)]


def _shows(look: Look, displacement_px: float, train: Train, s_px: FloatArray) -> NDArray[np.int64]:
    """For each box of a look the vehicle at its place along the train, or -1."""
    boxes = look.detections.xyxy_px.astype(np.float64)
    if not len(boxes) or not len(s_px):
        return np.full(len(boxes), -1, np.int64)
    apart = np.abs((boxes[:, :1] + boxes[:, 2:3]) / 2 - displacement_px - s_px[None])
    widths = np.array([v.width_px for v in train.vehicles])
    rows = np.array([[v.xyxy_px[1], v.xyxy_px[3]] for v in train.vehicles])
    both = np.minimum(boxes[:, 3:4], rows[None, :, 1]) - np.maximum(boxes[:, 1:2], rows[None, :, 0])
    least = np.minimum(boxes[:, 3:4] - boxes[:, 1:2], rows[None, :, 1] - rows[None, :, 0])
    apart = np.where((apart <= widths[None] / 2) & (both >= _SAME_ROWS * least), apart, np.inf)
    nearest = np.argmin(apart, axis=1)
    # One box per vehicle and look: of several the nearest.
    order = np.argsort(apart[np.arange(len(boxes)), nearest])
    shows = np.full(len(boxes), -1, np.int64)
    taken: set[int] = set()
    for item in order:
        vehicle = int(nearest[item])
        if np.isfinite(apart[item, vehicle]) and vehicle not in taken:
            shows[item] = vehicle
            taken.add(vehicle)
    return shows


def _counted(train_id: str, table: _Table, seen: Sequence[Place] | None) -> tuple[Counted, ...]:
    train = table.train
    seen_s = [p.column_px - float(train.passage.displacement_at(p.pts_s)) for p in seen or ()]
    found = []
    for i, vehicle in enumerate(train.vehicles):
        s_px = float(table.s_px[i])
        # Half of what lies between it and its nearest neighbour: so that one is never taken for the other.
        gap_px = min((abs(s_px - other) for j, other in enumerate(table.s_px) if j != i), default=float("inf"))
        reach_px = max(min(vehicle.width_px, gap_px) / 2, 1.0)
        column_px = s_px + float(train.passage.displacement_at(vehicle.pts_s))
        place = Place(
            class_name=vehicle.class_name,
            column_px=column_px,
            pts=vehicle.pts,
            pts_s=vehicle.pts_s,
            width_px=vehicle.width_px,
            reach_px=reach_px,
            position_px=vehicle.position_px,
            xyxy_px=vehicle.xyxy_px,
        )
        new = all(abs(s_px - other) > reach_px for other in seen_s)
        found.append(Counted(f"{train_id}#{vehicle.index}", vehicle.index + 1, place, vehicle, float(table.disagreement[i]), new))
    return tuple(found)


def _canonical(name: str) -> str:
    try:
        return default_taxonomy().resolve(name)
    except TaxonomyError:
        return name


# ---- Pictures ---------------------------------------------------------------------------------------------------------------


def _strip_item(run: RunFolder, train_id: str, train: Train, counted: Sequence[Counted], notes: Notes) -> StripItem:
    stored = load_strip(run, train_id)
    if stored is None:
        notes.add(f"{train_id}: no strip is stored; its vehicles are shown on an empty one")
        return _blank_strip(run, train_id, train, counted)
    strip, _ = stored
    height_px, width_px = strip.picture.shape[:2]
    path, scale = run.path / strip_path(train_id), strip.scale
    if width_px > MAX_WIDTH_PX:
        factor = MAX_WIDTH_PX / width_px
        path = run.path / "review" / "strips" / f"{train_id}.jpg"
        small = cv2.resize(strip.picture, (MAX_WIDTH_PX, max(1, round(height_px * factor))), interpolation=cv2.INTER_AREA)
        atomic_write(path, jpeg(np.asarray(small, np.uint8), quality=JPEG_QUALITY))
        height_px, width_px, scale = small.shape[0], MAX_WIDTH_PX, scale * factor
    boxes = _strip_boxes(train, counted, strip.origin_px, scale, strip.top_px)
    return StripItem(Picture(path, width_px, height_px, boxes), strip.origin_px, scale, strip.top_px)


def _strip_boxes(train: Train, counted: Sequence[Counted], origin_px: float, scale: float, top_px: float) -> tuple[Seen, ...]:
    boxes = []
    for c in counted:
        s_px = c.place.column_px - float(train.passage.displacement_at(c.place.pts_s))
        left, right = ((s_px + side * c.place.width_px / 2 - origin_px) * scale for side in (-1, 1))
        top, bottom = ((y_px - top_px) * scale for y_px in (c.place.xyxy_px[1], c.place.xyxy_px[3]))
        boxes.append(Seen(c.key, c.vehicle.class_name, (left, top, right, bottom)))
    return tuple(boxes)


def _blank_strip(run: RunFolder, train_id: str, train: Train, counted: Sequence[Counted]) -> StripItem:
    edges = [c.place.column_px - float(train.passage.displacement_at(c.place.pts_s)) for c in counted] or [0.0]
    top_px, bottom_px = train.passage.band_y_px
    origin_px, end_px = min(edges) - 300, max(edges) + 300
    scale = min(1.0, MAX_WIDTH_PX / (end_px - origin_px))
    shape = (max(40, round((bottom_px - top_px) * scale)), round((end_px - origin_px) * scale), 3)
    path = run.path / "review" / "strips" / f"{train_id}.jpg"
    atomic_write(path, jpeg(np.full(shape, _GREY, np.uint8), quality=JPEG_QUALITY))
    boxes = _strip_boxes(train, counted, origin_px, scale, top_px)
    return StripItem(Picture(path, shape[1], shape[0], boxes), origin_px, scale, top_px)


def _look_item(
    run: RunFolder,
    result: VideoResult,
    raw: RawVideo | None,
    table: _Table,
    look: Look,
    counted: Sequence[Counted],
    frame: StoredFrame | None,
    *,
    from_crops: bool,
) -> LookItem:
    assert raw is not None
    index = next(i for i, other in enumerate(table.looks) if other.pts == look.pts)
    displacement_px = float(table.displacement_px[index])
    boxes = []
    for item, vehicle in enumerate(table.shows[index]):
        name = table.names[int(look.detections.class_id[item])]
        x0, y0, x1, y1 = (float(v) for v in look.detections.xyxy_px[item])
        key, shown = (counted[vehicle].key, counted[vehicle].vehicle.class_name) if vehicle >= 0 else ("", name)
        boxes.append(Seen(key, shown, (x0, y0, x1, y1), name, float(look.detections.score[item])))
    if frame is not None:
        boxes = _by_person(frame.boxes, boxes, counted, displacement_px, table)
    picture = Picture(frame_path(run, result.sha256, look.pts), raw.record.width_px, raw.record.height_px, tuple(boxes))
    return LookItem(look.pts, look.pts_s, displacement_px, picture, from_crops, frame is not None and frame.whole)


def _by_person(
    labelled: Sequence[StoredBox], machine: Sequence[Seen], counted: Sequence[Counted], displacement_px: float, table: _Table
) -> list[Seen]:
    """The boxes as a person left them, and what the machine saw that belongs to nothing."""
    boxes: list[Seen] = []
    for box in labelled:
        if not box.class_name:
            continue  # it belonged to no vehicle then; the machine's boxes say so themselves
        s_px = (box.xyxy_px[0] + box.xyxy_px[2]) / 2 - displacement_px
        near = min(counted, key=lambda c: abs(float(table.s_px[c.number - 1]) - s_px), default=None)
        if near is not None and abs(float(table.s_px[near.number - 1]) - s_px) <= near.place.width_px / 2:
            boxes.append(Seen(near.key, near.vehicle.class_name, box.xyxy_px))
    return [*boxes, *(box for box in machine if not box.key)]


def frame_path(run: RunFolder, sha256: str, pts: int) -> Path:
    """Where a frame of a video lies as a picture."""
    return run.path / "review" / "frames" / f"{sha256[:16]}-{pts}.jpg"


_FROM_CROPS = ".crops"


def _write_frames(run: RunFolder, result: VideoResult, raw: RawVideo, wanted: set[int], notes: Notes) -> set[int]:
    """Write the frames that are not there yet; return those that are put together from crops."""

    def marker(pts: int) -> Path:
        return frame_path(run, result.sha256, pts).with_suffix(_FROM_CROPS)

    missing = {pts for pts in wanted if not frame_path(run, result.sha256, pts).is_file() or marker(pts).exists()}
    if not missing:
        return set()
    video = find_video(run, result, raw.record)
    written: set[int] = set()
    if video is None:
        notes.add(f"{result.path} is gone or has changed: its frames are put together from the crops that the run keeps")
    else:
        try:
            written = _decode(run, video, raw.record, missing)
        except FlatcarError as error:
            notes.add(f"{result.path}: {error.message}; frames are put together from crops")
        if missing - written:
            notes.add(f"{result.path}: {len(missing - written)} frames could not be decoded; they are put together from crops")
    for pts in written:
        marker(pts).unlink(missing_ok=True)
    looks = {look.pts: look for look in raw.looks}
    for pts in sorted(missing - written):
        picture = _from_crops(run, raw, looks[pts])
        atomic_write(frame_path(run, result.sha256, pts), jpeg(picture, quality=JPEG_QUALITY))
        marker(pts).touch()
    return missing - written


def find_video(run: RunFolder, result: VideoResult, record: VideoRecord) -> Path | None:
    """The video of a result, where it was or beside the run folder, if its content is the same."""
    for path in (result.path, record.path, run.path.parent / result.path):
        try:
            same = path.is_file() and path.stat().st_size == record.size_bytes and sha256_of(path) == result.sha256
        except (OSError, FlatcarError):
            continue
        if same:
            return path
    return None


def _decode(run: RunFolder, video: Path, record: VideoRecord, wanted: set[int]) -> set[int]:
    """Decode the video once, up to the last frame wanted."""
    written: set[int] = set()
    with VideoReader(video, VideoConfig(), record=record) as reader:
        for frame in reader:
            if frame.pts in wanted and frame.pts not in written:
                atomic_write(frame_path(run, record.sha256, frame.pts), jpeg(frame.bgr(), quality=JPEG_QUALITY))
                written.add(frame.pts)
            if len(written) == len(wanted):
                break
    return written


def _from_crops(run: RunFolder, raw: RawVideo, look: Look) -> NDArray[np.uint8]:
    """Grey, with the crop of each detection at its place: a crop shows its box and 15 % around it."""
    width_px, height_px = raw.record.width_px, raw.record.height_px
    canvas = np.full((height_px, width_px, 3), _GREY, np.uint8)
    archive_path = crops_archive(run, raw.record.sha256)
    if not archive_path.is_file():
        return canvas
    with zipfile.ZipFile(archive_path) as archive:
        names = set(archive.namelist())
        for box in look.detections.xyxy_px:
            x0, y0, x1, y1 = (float(v) for v in box)
            name = f"{crop_key(look.pts, (x0, y0, x1, y1))}.jpg"
            if name not in names:
                continue
            crop = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
            pad_x, pad_y = 0.15 * (x1 - x0), 0.15 * (y1 - y0)
            left, top = max(0, int(np.floor(x0 - pad_x))), max(0, int(np.floor(y0 - pad_y)))
            right, bottom = min(width_px, int(np.ceil(x1 + pad_x))), min(height_px, int(np.ceil(y1 + pad_y)))
            if crop is not None and right > left and bottom > top:
                canvas[top:bottom, left:right] = cv2.resize(crop, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return canvas
