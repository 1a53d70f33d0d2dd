"""Frames of a finished run, labelled with what the run itself believed.

Each vehicle's best look gives a frame. Every detection on that frame is traced to a vehicle along the train and takes its class,
which is pooled over all looks, or a person's verdict where there is one; what belongs to no vehicle is an ignore region. Where
nobody reviewed the run they are labels made by a detector: look through them before learning from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from vision.config import VideoConfig
from vision.errors import FlatcarError, InputError
from vision.geometry import interval_iou, iou
from vision.learn.labels import Source, Xyxy
from vision.learn.pictures import Box, Picture
from vision.run.ledger import Ledger
from vision.run.reviewed import reviewed_run
from vision.run.store import RunFolder, load_raw
from vision.run.tables import train_ids
from vision.taxonomy import default_taxonomy
from vision.types import Detections, Train, Vehicle, VideoRecord, VideoResult
from vision.video import VideoReader, sha256_of

MIN_SCORE = 0.5
_SAME_BOX_IOU = 0.5


def read_run(source: Source) -> list[Picture]:
    """Read the frames that show a run's vehicles best, decoded from the videos by their time stamps.

    The video must still be there, unchanged: where it was scanned, or below the folder that ``videos`` names. Vehicles with an
    existence score below ``min_score`` (0.5) are ignore regions. A train is one clip: its frames stay on one side.

    Raises:
        OutputError: The folder is no run.
        TruthError: Its results are damaged.
    """
    run = RunFolder.open(source.folder)
    with Ledger.open(run.path, create=False) as ledger:
        results = reviewed_run(run, ledger.rows()).results
    pictures = []
    for result in results:
        if result.status == "done" and any(train.vehicles for train in result.trains):
            pictures += list(_of_video(source, run, result))
    return pictures


def _of_video(source: Source, run: RunFolder, result: VideoResult) -> Iterator[Picture]:
    raw = load_raw(run, result.sha256)
    where = f"{source.name}: {result.path.as_posix()}"
    video = _find_video(source, result, raw.record)
    if video is None:
        said = (
            "the video is gone or has changed; a run keeps only crops, and whole frames need it (videos: FOLDER says where it is)"
        )
        source.problems.error("missing_video", where, said)
        return
    least = source.number("min_score", MIN_SCORE)
    looks = {look.pts: look for look in raw.looks}
    wanted: dict[int, tuple[str, list[Train]]] = {}
    for train_id, train in zip(train_ids(result), result.trains, strict=True):
        for vehicle in train.vehicles:
            if vehicle.score >= least:
                wanted.setdefault(vehicle.pts, (train_id, []))[1].append(train)
    labelled = {
        pts: labels_of(pts, looks[pts].detections if pts in looks else Detections.empty(), trains, least)
        for pts, (_, trains) in wanted.items()
    }
    try:
        frames = _decoded(source.work, video, raw.record, set(labelled))
    except FlatcarError as error:
        source.problems.error("missing_video", where, error.message)
        return
    for pts, boxes in sorted(labelled.items()):
        if pts not in frames:
            source.problems.error("missing_picture", where, f"the video has no frame with the time stamp {pts}")
            continue
        yield _picture(source, frames[pts], f"{result.sha256[:8]}-{pts}.png", boxes, raw.record, wanted[pts][0])


def _picture(
    source: Source, path: Path, file: str, labels: Sequence[tuple[str | None, Xyxy]], record: VideoRecord, train_id: str
) -> Picture:
    boxes: list[Box] = []
    for number, (name, (left, top, right, bottom)) in enumerate(labels, 1):
        # A detector's box may reach over the edge: it is no mistake here.
        xyxy = (
            max(left / record.width_px, 0.0),
            max(top / record.height_px, 0.0),
            min(right / record.width_px, 1.0),
            min(bottom / record.height_px, 1.0),
        )
        box = source.box(
            name or source.classes.taxonomy.leaves[0], xyxy, f"{source.name}: {file}: box {number}", (source.name, file)
        )
        if box is not None:
            boxes.append(box if name else Box(None, box.cxcywh, box.view))
    return source.picture(path, file, boxes, clip=train_id)


def labels_of(pts: int, detections: Detections, trains: Sequence[Train], min_score: float) -> list[tuple[str | None, Xyxy]]:
    """All labels of one frame: the vehicles that it shows best by their own boxes, and what else was detected on it.

    Args:
        pts: Its time stamp.
        detections: On it; none where no look was taken there (a person may have drawn a vehicle on any frame).
        trains: The trains with a vehicle that it shows best.
        min_score: Vehicles with a lower score count as none.
    """
    best = [v for t in trains for v in t.vehicles if v.pts == pts and v.score >= min_score]
    own: list[tuple[str | None, Xyxy]] = [(_leaf(v.class_name), v.xyxy_px) for v in best]
    others = traced(detections, best[0].pts_s, trains, min_score)
    return own + [(name, box) for name, box in others if all(iou(box, mine) <= _SAME_BOX_IOU for _, mine in own)]


def traced(detections: Detections, pts_s: float, trains: Sequence[Train], min_score: float) -> list[tuple[str | None, Xyxy]]:
    """The detections of one look with the class of the vehicle each belongs to; None where it belongs to none for sure.

    A vehicle stands at one place of its train: its best look says at which column it was when, and the train's motion how far the
    train has moved since. A parent class (the leaves disagreed) is no class to learn from, and becomes None as well.

    Args:
        detections: Of the look.
        pts_s: Its time.
        trains: The trains in the picture.
        min_score: Vehicles with a lower score count as none.
    """
    vehicles = [(v, t) for t in trains for v in t.vehicles]
    found: list[tuple[str | None, Xyxy]] = []
    for box in detections.xyxy_px.astype(float):
        left, top, right, bottom = box
        name: str | None = None
        nearest_px = np.inf
        for vehicle, train in vehicles:
            apart_px = abs((left + right) / 2 - _column_px(vehicle, train, pts_s))
            if (
                apart_px < min(nearest_px, _reach_px(vehicle))
                and interval_iou(vehicle.xyxy_px[1], vehicle.xyxy_px[3], top, bottom) > _SAME_BOX_IOU
            ):
                nearest_px = apart_px
                name = vehicle.class_name if vehicle.score >= min_score else None
        found.append((_leaf(name), (left, top, right, bottom)))
    return found


def _column_px(vehicle: Vehicle, train: Train, pts_s: float) -> float:
    x0, _, x1, _ = vehicle.xyxy_px
    moved_px = train.passage.displacement_at(pts_s) - train.passage.displacement_at(vehicle.pts_s)
    return float((x0 + x1) / 2 + moved_px)


def _reach_px(vehicle: Vehicle) -> float:
    """How far from its place a detection may lie and still be this vehicle: a third of its width."""
    return (vehicle.xyxy_px[2] - vehicle.xyxy_px[0]) / 3


def _leaf(name: str | None) -> str | None:
    return name if name in default_taxonomy().leaves else None


def _find_video(source: Source, result: VideoResult, record: VideoRecord) -> Path | None:
    """The video of a result: where it was, or a file of its name below ``videos``; only when its content is the same."""
    folder = source.options.get("videos")
    tried = [result.path, record.path, source.folder.parent / result.path]
    if folder is not None:
        root = Path(str(folder))
        root = root if root.is_absolute() else source.folder.parent / root
        if not root.is_dir():
            raise InputError(f"{source.name}: there is no folder of videos {root}")
        tried += sorted(p for p in root.rglob("*") if p.name == result.path.name)
    for path in tried:
        if path.is_file() and path.stat().st_size == record.size_bytes and sha256_of(path) == result.sha256:
            return path
    return None


def _decoded(work: Path, video: Path, record: VideoRecord, wanted: set[int]) -> Mapping[int, Path]:
    """Write the frames with these time stamps as PNG; the video is decoded once, up to the last of them."""
    folder = work / record.sha256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    frames: dict[int, Path] = {}
    with VideoReader(video, VideoConfig(), record=record) as reader:
        for frame in reader:
            if frame.pts in wanted and frame.pts not in frames:
                path = folder / f"{frame.pts}.png"
                done, data = cv2.imencode(".png", frame.bgr(), [cv2.IMWRITE_PNG_COMPRESSION, 1])
                if done:
                    path.write_bytes(data.tobytes())
                    frames[frame.pts] = path
            if len(frames) == len(wanted):
                break
    return frames
