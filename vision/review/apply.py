"""A review brought back: labels of the review set become verdicts of the run, and labelled frames to learn from."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from vision.errors import InputError, ReviewError
from vision.report.html import write_report
from vision.review.corrections import EditedTrain, Known, Label, corrections_of
from vision.review.dataset import FIELD, OTHERS, STRIP, check_run, dataset_name, existing, fill, pending, read_state, run_state
from vision.review.items import Notes, frame_path, train_items
from vision.review.labels import StoredBox, StoredFrame, read_frames, read_seen, write_frames, write_seen
from vision.run.along import head_px, sign_of
from vision.run.crops import write_crop
from vision.run.ledger import Ledger
from vision.run.reviewed import Outcome, ReviewedRun, apply_verdicts, rebuild_tables, reviewed_run
from vision.run.store import RunFolder
from vision.run.strips import load_strip
from vision.run.tables import REVIEW_CROPS, crop_name, train_ids
from vision.run.verdicts import Place, Verdict, append_verdicts, as_stored, read_verdicts, verdict_id
from vision.types import Train, Vehicle, VideoResult

_PROJECTED = frozenset({"added"})
"""A vehicle that a person drew on the strip is labelled on the frames at its place; others only where a box showed them."""

_REMADE = frozenset({"merged", "split"})
"""No box of the machine fits such a vehicle: its whole place is left out of what is learned."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A review set that is ready: the data set, what to know of it, and whether it holds decisions that are not applied yet."""

    dataset: Any
    name: str
    notes: tuple[str, ...]
    trains: int
    looks: int
    pending: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a review did.

    Attributes:
        fresh: Verdicts that are new.
        outcomes: What came of each of them.
        before, after: Military vehicles of all trains, before and after.
        page: The report.
        notes: What a person should know.
    """

    fresh: tuple[Verdict, ...]
    outcomes: tuple[Outcome, ...]
    before: int
    after: int
    page: Path
    notes: tuple[str, ...]


def open_review(fo: Any, run_dir: Path, *, name: str | None = None, rebuild: bool = False) -> Opened:
    """Make the review set of a run, or take up the one that is there.

    One with decisions in it that are not applied yet is left as it is; one that is behind its run is filled anew.

    Args:
        fo: FiftyOne.
        run_dir: A run.
        name: Name of the data set; None makes one from the folder's.
        rebuild: Fill it anew in any case.

    Raises:
        OutputError: It is no run, or another process writes to it.
        InputError: The run holds no train, or the name is taken.
        TruthError: What the run stores is damaged.
    """
    RunFolder.open(run_dir).close()
    with RunFolder.create(run_dir) as run:
        (run.path / "review").mkdir(exist_ok=True)
        name = name or dataset_name(run)
        dataset = existing(fo, run, name)
        with Ledger.open(run_dir, create=False) as ledger:
            rows = ledger.rows()
        notes = Notes()
        waiting = sum(row.status in {"queued", "running"} for row in rows)
        if waiting:
            notes.add(f"{waiting} inputs of this run are not scanned yet; scan again, then review again")
        if dataset is not None and not rebuild and (dataset.info.get("flatcar") or {}).get("build"):
            state = read_state(run, name)
            check_run(dataset, run, state)
            open_ = pending(dataset, state)
            if open_ and state["state"] != run_state(run):
                notes.add("the run was counted again since: flatcar review RUN --apply takes up the decisions that wait here")
            if open_ or state["state"] == run_state(run):
                return Opened(dataset, name, tuple(notes.lines), *_sizes(dataset), open_)
        dataset = _fill(fo, run, name, reviewed_run(run, rows).results, notes)
        return Opened(dataset, name, tuple(notes.lines), *_sizes(dataset), False)


def _fill(fo: Any, run: RunFolder, name: str, results: Sequence[VideoResult], notes: Notes) -> Any:
    if not any(result.trains for result in results):
        raise InputError(f"{run.path} holds no train: there is nothing to review", hint="scan videos into it first")
    items = list(train_items(run, results, seen=read_seen(run), stored=read_frames(run), notes=notes))
    return fill(fo, run, name, items, verdicts=len(read_verdicts(run)))


def _sizes(dataset: Any) -> tuple[int, int]:
    counts = dataset.select_group_slices().count_values("kind")
    return counts.get(STRIP, 0), counts.get("look", 0)


def apply_review(fo: Any, run_dir: Path, *, name: str | None = None, who: str | None = None) -> Applied:
    """Turn the corrections of a review set into verdicts of its run, and count anew.

    Nothing is written before everything is known to be sound. Then the table of verdicts gets its lines, whole or not at all, and
    everything else follows from it: a second call finishes what a kill interrupted, and else changes nothing.

    Args:
        fo: FiftyOne.
        run_dir: A run.
        name: Name of the data set, where it was given one.
        who: Name for the table; None takes the name of the user on this machine.

    Raises:
        ReviewError: Corrections contradict each other, or name a class outside the taxonomy; nothing was applied.
        InputError: There is no review set of this run.
        OutputError: It is no run, or another process writes to it.
    """
    RunFolder.open(run_dir).close()
    with RunFolder.create(run_dir) as run:
        name = name or dataset_name(run)
        dataset = existing(fo, run, name)
        if dataset is None:
            raise InputError(f"there is no review set {name}", hint=f"make it with: flatcar review {run_dir}")
        state = read_state(run, name)
        check_run(dataset, run, state)
        with Ledger.open(run_dir, create=False) as ledger:
            rows = ledger.rows()
        before = reviewed_run(run, rows)
        trains, frames = _read_back(dataset, state)
        found = corrections_of(trains)
        if found.problems:
            several = len(found.problems) > 1
            said = f"{len(found.problems)} corrections cannot be applied" if several else "a correction cannot be applied"
            hint = "nothing was applied; correct this in the App, then apply again"
            raise ReviewError(f"{said}: {'; '.join(found.problems)}", hint=hint, problems=tuple(found.problems))
        signed = _signed(found.verdicts, who or _user(), state["verdicts"])
        trial = apply_verdicts(before.machine, (*read_verdicts(run), *signed))
        labelled = _labelled(run, trial, frames, read_frames(run))
        fresh = append_verdicts(run, signed)
        _write_crops(run, trial)
        write_frames(run, labelled)
        after = rebuild_tables(run, rows)
        write_seen(run, _seen(after.results))
        page = write_report(run_dir)
        notes = Notes()
        if fresh or state["state"] != run_state(run) or pending(dataset, state):
            dataset = _fill(fo, run, name, after.results, notes)
            # Frames that only now belong to the set, such as those that show what was added.
            _, frames = _read_back(dataset, read_state(run, name))
            write_frames(run, _labelled(run, after, frames, labelled))
        ids = {verdict.id for verdict in fresh}
        outcomes = tuple(o for o in after.outcomes if o.verdict.id in ids)
        return Applied(fresh, outcomes, _total(before), _total(after), page, tuple(notes.lines))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a name for its user
        return "unknown"


def _signed(verdicts: Iterable[Verdict], who: str, state: int) -> list[Verdict]:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    signed = [as_stored(replace(verdict, who=who, when=when)) for verdict in verdicts]
    return [replace(verdict, id=verdict_id(verdict, state=state)) for verdict in signed]


def _total(run: ReviewedRun) -> int:
    return sum(train.total.count for result in run.results for train in result.trains)


# ---- Reading the review set -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame of the review set as its labels stand: boxes with their vehicle's key, or None."""

    train_id: str
    sha256: str
    pts: int
    pts_s: float
    width_px: int
    height_px: int
    hardness: float
    from_crops: bool
    boxes: tuple[tuple[str | None, str | None, tuple[float, float, float, float]], ...]
    others: tuple[tuple[float, float, float, float], ...]


def _read_back(dataset: Any, state: Mapping[str, Any]) -> tuple[list[EditedTrain], list[_Frame]]:
    strips: dict[str, Any] = {}
    looks: dict[str, list[Any]] = {}
    for sample in _flat(dataset):
        if sample.kind == STRIP:
            strips[sample.train_id] = sample
        elif sample.kind == "look":
            looks.setdefault(sample.train_id, []).append(sample)
    trains, frames = [], []
    for train_id, was in state["trains"].items():
        strip = strips.get(train_id)
        if strip is None:
            continue  # its samples were deleted: nothing is said of it, which is no verdict
        mine = sorted(looks.get(train_id, ()), key=lambda s: s.pts)
        known = tuple(Known(k["key"], k["number"], k["place"].class_name, k["place"]) for k in was["known"])
        on_strip = tuple(_strip_label(d, strip, mine, was) for d in _boxes(strip, FIELD))
        on_looks = tuple(_look_label(d, look, was) for look in mine for d in _boxes(look, FIELD))
        span = (was["start_s"], was["end_s"])
        trains.append(EditedTrain(train_id, was["sha256"], *span, was["sign"], known, on_strip, on_looks))
        frames += [_frame(look) for look in mine]
    return trains, frames


@dataclass(frozen=True, slots=True)
class _Box:
    """A label as it is stored; a drawn one has no key."""

    key: str | None
    label: str | None
    tags: tuple[str, ...]
    bounding_box: tuple[float, float, float, float]


_VALUES = (
    "kind", "train_id", "sha256", "start_s", "pts", "pts_s", "displacement_px", "origin_px", "scale", "top_px", "clock",
    "hardness", "from_crops",
)  # fmt: skip


def _flat(dataset: Any) -> Iterator[Any]:
    """All samples, as plain values: FiftyOne's own objects take milliseconds each."""
    if not dataset.group_slices:
        return
    view = dataset.select_group_slices()
    parts = [f"{FIELD}.detections.{part}" for part in ("key", "label", "tags", "bounding_box")]
    paths = [*_VALUES, "metadata.width", "metadata.height", *parts, f"{OTHERS}.detections.bounding_box"]
    for row in zip(*view.values(paths), strict=True):
        values = dict(zip(_VALUES, row, strict=False))
        width_px, height_px, keys, labels, tags, boxes, others = row[len(_VALUES) :]
        known = [
            _Box(key or None, label, tuple(tag or ()), tuple(box))
            for key, label, tag, box in zip(keys or (), labels or (), tags or (), boxes or (), strict=True)
        ]
        loose = [_Box(None, None, (), tuple(box)) for box in others or ()]
        yield SimpleNamespace(**values, size=(float(width_px), float(height_px)), boxes={FIELD: known, OTHERS: loose})


def _boxes(sample: Any, field: str) -> list[_Box]:
    boxes: list[_Box] = sample.boxes[field]
    return boxes


def _size(sample: Any) -> tuple[float, float]:
    size: tuple[float, float] = sample.size
    return size


def _xyxy_px(detection: _Box, sample: Any) -> tuple[float, float, float, float]:
    width_px, height_px = _size(sample)
    x, y, w, h = detection.bounding_box
    return x * width_px, y * height_px, (x + w) * width_px, (y + h) * height_px


def _strip_label(detection: _Box, strip: Any, looks: Sequence[Any], was: Mapping[str, Any]) -> Label:
    key = detection.key
    place = None
    if key is None:
        left, top, right, bottom = _xyxy_px(detection, strip)
        s_px = strip.origin_px + (left + right) / 2 / strip.scale
        width_px = max((right - left) / strip.scale, 1.0)
        rows = strip.top_px + top / strip.scale, strip.top_px + bottom / strip.scale
        place = _place(s_px, width_px, rows, _moment(s_px, width_px, strip, looks), was)
    return Label(key, detection.label, frozenset(detection.tags or ()), place, "the strip")


def _moment(s_px: float, width_px: float, strip: Any, looks: Sequence[Any]) -> tuple[int, float, float]:
    """The time at which a place of the train is shown best: on a frame of the review set near its middle, else at any look."""
    shown = [(look.pts, look.pts_s, look.displacement_px, _size(look)[0]) for look in looks]
    if shown:
        pts, pts_s, d_px, frame_px = min(shown, key=lambda m: abs(s_px + m[2] - m[3] / 2))
        if width_px / 2 <= s_px + d_px <= frame_px - width_px / 2:
            return pts, pts_s, d_px
    middle_px = shown[0][3] / 2 if shown else 0.0
    clock = [(int(pts), float(pts_s), float(d_px)) for pts, pts_s, d_px in strip.clock or ()]
    if not clock:
        return 0, float(strip.start_s), 0.0
    return min(clock, key=lambda m: abs(s_px + m[2] - middle_px))


def _look_label(detection: _Box, look: Any, was: Mapping[str, Any]) -> Label:
    key = detection.key
    place = None
    if key is None:
        left, top, right, bottom = _xyxy_px(detection, look)
        moment = (look.pts, look.pts_s, look.displacement_px)
        place = _place((left + right) / 2 - look.displacement_px, max(right - left, 1.0), (top, bottom), moment, was)
    return Label(key, detection.label, frozenset(detection.tags or ()), place, f"the frame at {look.pts_s:.2f} s")


def _place(
    s_px: float, width_px: float, rows_px: tuple[float, float], moment: tuple[int, float, float], was: Mapping[str, Any]
) -> Place:
    pts, pts_s, displacement_px = moment
    column_px = s_px + displacement_px
    position_px = was["sign"] * (s_px - was["head_px"])
    others = [abs(k["place"].position_px - position_px) for k in was["known"]]
    reach_px = max(1.0, min(width_px, *others) / 2 if others else width_px / 2)
    box = (column_px - width_px / 2, rows_px[0], column_px + width_px / 2, rows_px[1])
    return Place("", column_px, pts, pts_s, width_px, reach_px, position_px, box)


def _frame(look: Any) -> _Frame:
    width_px, height_px = _size(look)
    return _Frame(
        look.train_id,
        look.sha256,
        look.pts,
        look.pts_s,
        int(width_px),
        int(height_px),
        float(look.hardness or 0.0),
        bool(look.from_crops),
        tuple((d.key, d.label, _xyxy_px(d, look)) for d in _boxes(look, FIELD) if "reject" not in (d.tags or ())),
        tuple(_xyxy_px(d, look) for d in _boxes(look, OTHERS)),
    )


# ---- What is to be learned from ---------------------------------------------------------------------------------------------


def _labelled(
    run: RunFolder, reviewed: ReviewedRun, frames: Iterable[_Frame], before: Mapping[tuple[str, int], StoredFrame]
) -> dict[tuple[str, int], StoredFrame]:
    """Every frame with a box on which a person decided: decided boxes with their class, the others to be ignored."""
    trains = {
        (result.sha256, train_id): train
        for result in reviewed.results
        for train_id, train in zip(train_ids(result), result.trains, strict=True)
    }
    rejected: dict[str, list[Place]] = {}
    for outcome in reviewed.outcomes:
        if outcome.verdict.kind == "reject":
            rejected.setdefault(outcome.verdict.sha256, []).extend(outcome.verdict.before)
    found = dict(before)
    for frame in frames:
        train = trains.get((frame.sha256, frame.train_id))
        if train is None:
            continue
        boxes, whole = _boxes_of(frame, train, rejected.get(frame.sha256, ()))
        if any(box.decided for box in boxes):
            picture = frame_path(run, frame.sha256, frame.pts).relative_to(run.path).as_posix()
            found[frame.sha256, frame.pts] = StoredFrame(
                frame.sha256, frame.pts, frame.pts_s, frame.train_id, frame.width_px, frame.height_px, boxes, whole,
                was.hardness if (was := before.get((frame.sha256, frame.pts))) else frame.hardness, frame.from_crops, picture,
            )  # fmt: skip
        else:
            found.pop((frame.sha256, frame.pts), None)
    return found


def _boxes_of(frame: _Frame, train: Train, rejected: Sequence[Place]) -> tuple[tuple[StoredBox, ...], bool]:
    displacement_px = float(train.passage.displacement_at(frame.pts_s))
    head, sign = head_px(train), sign_of(train)
    columns = {v.index: head + sign * v.position_px + displacement_px for v in train.vehicles}
    boxes: list[StoredBox] = []
    shown: set[int] = set()
    for _, _, xyxy_px in frame.boxes:
        middle_px = (xyxy_px[0] + xyxy_px[2]) / 2
        near = min(train.vehicles, key=lambda v: abs(columns[v.index] - middle_px), default=None)
        if near is None or abs(columns[near.index] - middle_px) > near.width_px / 2:
            continue  # rejected: background, and to be learned as such
        # A box around one of two halves, or around both, says nothing of either.
        decided = bool(near.verdict) and near.verdict not in _REMADE
        boxes.append(StoredBox(near.class_name, _rounded(xyxy_px), decided))
        shown.add(near.index)
    for vehicle in train.vehicles:
        half_px = vehicle.width_px / 2
        left, right = columns[vehicle.index] - half_px, columns[vehicle.index] + half_px
        if right <= 0 or left >= frame.width_px or (vehicle.index in shown and vehicle.verdict not in _REMADE):
            continue
        inside = left >= 0 and right <= frame.width_px
        box = (max(left, 0.0), vehicle.xyxy_px[1], min(right, float(frame.width_px)), vehicle.xyxy_px[3])
        boxes.append(StoredBox(vehicle.class_name, _rounded(box), inside and vehicle.verdict in _PROJECTED))
    empty = [(p.column_px - float(train.passage.displacement_at(p.pts_s)) + displacement_px, p.width_px) for p in rejected]
    for xyxy_px in frame.others:
        middle_px = (xyxy_px[0] + xyxy_px[2]) / 2
        if not any(abs(middle_px - column_px) <= width_px / 2 for column_px, width_px in empty):
            boxes.append(StoredBox("", _rounded(xyxy_px), False))
    whole = bool(boxes) and all(box.decided for box in boxes)
    return tuple(boxes), whole


def _rounded(xyxy_px: tuple[float, ...]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(v, 1) for v in xyxy_px)
    return x0, y0, x1, y1


def _seen(results: Iterable[VideoResult]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for result in results:
        for train in result.trains:
            head, sign = head_px(train), sign_of(train)
            for vehicle in train.vehicles:
                column_px = head + sign * vehicle.position_px + float(train.passage.displacement_at(vehicle.pts_s))
                place = Place(
                    vehicle.class_name, column_px, vehicle.pts, vehicle.pts_s, vehicle.width_px, vehicle.width_px / 2,
                    vehicle.position_px, vehicle.xyxy_px,
                )  # fmt: skip
                found.setdefault(result.sha256, []).append(place)
    return found


# ---- Crops of what people added ---------------------------------------------------------------------------------------------


def _write_crops(run: RunFolder, reviewed: ReviewedRun) -> None:
    """A crop for each vehicle by a person that has none: from its frame, else from the strip."""
    for result in reviewed.results:
        for train_id, train in zip(train_ids(result), result.trains, strict=True):
            for vehicle in train.vehicles:
                name = crop_name(result.sha256, vehicle)
                there = (run.path / folder / f"{name}.jpg" for folder in ("crops", REVIEW_CROPS))
                if vehicle.verdict and not any(path.is_file() for path in there):
                    _write_crop(run, result, train_id, train, vehicle, name)


def _write_crop(run: RunFolder, result: VideoResult, train_id: str, train: Train, vehicle: Vehicle, name: str) -> None:
    frame = frame_path(run, result.sha256, vehicle.pts)
    picture = cv2.imread(str(frame), cv2.IMREAD_COLOR) if frame.is_file() else None
    box = vehicle.xyxy_px
    if picture is None:
        stored = load_strip(run, train_id)
        if stored is None:
            return
        strip, _ = stored
        s_px = head_px(train) + sign_of(train) * vehicle.position_px
        left, right = (strip.column_of(s_px + side * vehicle.width_px / 2) for side in (-1, 1))
        top, bottom = ((y - strip.top_px) * strip.scale for y in (vehicle.xyxy_px[1], vehicle.xyxy_px[3]))
        picture, box = strip.picture, (left, top, right, bottom)
    write_crop(run, np.asarray(picture, np.uint8), box, name, folder=REVIEW_CROPS)
