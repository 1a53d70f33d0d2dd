"""From a reviewed run to labelled pictures: a YOLO folder, each picture with the train it comes from. Needs no FiftyOne.

A frame is taken where a person decided on one of its boxes at least. Boxes on which nobody decided are painted over: they are
neither vehicles nor background to learn from. What was rejected stays: it is background, and hard.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from vision.errors import InputError, OutputError
from vision.review.labels import StoredBox, StoredFrame, read_frames
from vision.run.store import RunFolder
from vision.taxonomy import default_taxonomy

JPEG_QUALITY = 92
_GREY = 114  # the trainer's own padding colour: it has seen that it means "nothing"
_HASH_SIDE = 16
_SAME_BITS = 12  # of 240: two frames that differ by less show nearly the same
_SAME_DISTANCE = 0.1  # Brain: euclidean distance of brightness patterns of unit length
_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: frames, boxes on them, trains they are of, frames left out as nearly the same, and what to know."""

    frames: int
    boxes: int
    trains: int
    similar: int
    notes: tuple[str, ...]


def export_verified(
    run_dir: Path, out: Path, *, limit: int | None = None, keep_similar: bool = False, fo: Any | None = None
) -> Exported:
    """Write the reviewed frames of a run as a labelled set, the hardest first in its list.

    Under ``out``: ``images/<video>/*.jpg``, ``labels/<video>/*.txt`` (YOLO), ``data.yaml`` (class names), ``groups.tsv`` (what
    each picture is of, and how hard) and ``description.yaml``, with which ``flatcar dataset build --data`` reads it: pictures of
    one video stay on one side of the split.

    Args:
        run_dir: A run whose review was applied.
        out: A folder that does not exist or is empty; it appears whole or not at all.
        limit: At most so many frames, the hardest.
        keep_similar: Keep near-duplicates of harder frames.
        fo: FiftyOne: its Brain then finds the near-duplicates; None takes a hash of each picture.

    Raises:
        InputError: The run has no reviewed frames.
        OutputError: ``out`` holds something, or cannot be written.
    """
    run = RunFolder.open(run_dir)
    notes: list[str] = []
    frames = sorted(_usable(run, notes), key=lambda f: (-f.hardness, f.sha256, f.pts))
    if not frames:
        hint = f"decide on vehicles with flatcar review {run_dir}, then flatcar review {run_dir} --apply"
        raise InputError(f"no frame of {run_dir} was reviewed", hint=hint)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is there already", hint="give an empty or new folder as --out")
    chosen = frames if keep_similar else _dissimilar(run, frames, fo)
    similar = len(frames) - len(chosen)
    chosen = chosen[:limit] if limit else chosen
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
            made = Path(folder) / "set"
            boxes = _write(run, made, chosen)
            with contextlib.suppress(OSError):
                out.rmdir()
            shutil.move(made, out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return Exported(len(chosen), boxes, len({f.train_id for f in chosen}), similar, tuple(notes))


def _usable(run: RunFolder, notes: list[str]) -> Iterator[StoredFrame]:
    for frame in read_frames(run).values():
        if frame.from_crops:
            notes.append(f"{frame.picture} was put together from crops: left out")
        elif not (run.path / frame.picture).is_file():
            notes.append(f"{frame.picture} is gone: left out; flatcar review makes it again from the video")
        elif any(box.decided and _leaf(box.class_name) is not None for box in frame.boxes):
            yield frame


def _leaf(name: str) -> str | None:
    """The class to learn as, or None for a parent of several leaves: it says too little."""
    taxonomy = default_taxonomy()
    if name in taxonomy.leaves:
        return name
    leaves = taxonomy.children_of(name) if name in taxonomy.parents else ()
    return leaves[0] if len(leaves) == 1 else None


# ---- Near-duplicates -----------------------------------------------------------------------------------------------------------


def _dissimilar(run: RunFolder, frames: Sequence[StoredFrame], fo: Any | None) -> list[StoredFrame]:
    """The frames without those that show nearly the same as a harder one; in the order given, the hardest first."""
    pictures = [cv2.imread(str(run.path / frame.picture), cv2.IMREAD_GRAYSCALE) for frame in frames]
    small = [np.zeros((_HASH_SIDE, _HASH_SIDE), np.float32) if p is None else _small(np.asarray(p, np.uint8)) for p in pictures]
    near = _near_by_hash(small) if fo is None else near_by_brain(fo, [run.path / f.picture for f in frames], small)
    kept: list[int] = []
    for i, frame in enumerate(frames):
        if not any(j in near[i] and _same_boxes(frame, frames[j]) for j in kept):
            kept.append(i)
    return [frames[i] for i in kept]


def _small(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(grey, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _near_by_hash(small: Sequence[NDArray[np.float32]]) -> list[set[int]]:
    """For each picture the others that look nearly the same, by their difference hashes."""
    bits = np.array([np.diff(picture, axis=1).ravel() > 0 for picture in small])
    return [
        set(np.flatnonzero(np.count_nonzero(bits != mine, axis=1) <= _SAME_BITS).tolist()) - {i} for i, mine in enumerate(bits)
    ]


def near_by_brain(fo: Any, paths: Sequence[Path], small: Sequence[NDArray[np.float32]]) -> list[set[int]]:
    """The same by FiftyOne Brain, on the pictures' brightness as its embedding.

    Args:
        fo: FiftyOne.
        paths: The pictures.
        small: Each shrunk to a few pixels, all of one size.
    """
    import fiftyone.brain as fob  # noqa: PLC0415

    if len(paths) < 2:
        return [set() for _ in paths]
    flat = np.array([(picture - picture.mean()).ravel() for picture in small])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    dataset = fo.Dataset()
    try:
        ids = dataset.add_samples([fo.Sample(filepath=str(path.resolve())) for path in paths], progress=False)
        number = {sample_id: i for i, sample_id in enumerate(ids)}
        index = fob.compute_near_duplicates(dataset, embeddings=flat, threshold=_SAME_DISTANCE, progress=False)
        near: list[set[int]] = [set() for _ in paths]
        for sample_id, others in index.neighbors_map.items():
            for other_id, _ in others:
                near[number[sample_id]].add(number[other_id])
                near[number[other_id]].add(number[sample_id])
        # All that are near one picture are near each other for our purpose: the boxes decide.
        for group in [{i, *others} for i, others in enumerate(near) if others]:
            for i in group:
                near[i] |= group - {i}
        return near
    finally:
        dataset.delete()


def _same_boxes(a: StoredFrame, b: StoredFrame) -> bool:
    """A camera that stands still sees the same picture with other vehicles: those are no duplicates."""
    if a.sha256 == b.sha256 and a.pts == b.pts:
        return True
    first, second = ([box for box in f.boxes if box.decided] for f in (a, b))
    if sorted(x.class_name for x in first) != sorted(x.class_name for x in second):
        return False
    order = [sorted(boxes, key=lambda x: (x.class_name, x.xyxy_px)) for boxes in (first, second)]
    size = np.array([a.width_px, a.height_px, a.width_px, a.height_px], float)
    apart = [np.abs(np.subtract(x.xyxy_px, y.xyxy_px)) / size for x, y in zip(*order, strict=True)]
    return bool(not apart or np.max(apart) < 0.03)


# ---- Files ---------------------------------------------------------------------------------------------------------------------


def _write(run: RunFolder, out: Path, frames: Sequence[StoredFrame]) -> int:
    leaves = default_taxonomy().leaves
    rows: list[dict[str, Any]] = []
    total = 0
    for rank, frame in enumerate(frames, 1):
        name = f"{frame.sha256[:8]}-{frame.pts}"
        picture = out / "images" / frame.sha256[:16] / f"{name}.jpg"
        labels = out / "labels" / frame.sha256[:16] / f"{name}.txt"
        picture.parent.mkdir(parents=True, exist_ok=True)
        labels.parent.mkdir(parents=True, exist_ok=True)
        image = cv2.imread(str(run.path / frame.picture), cv2.IMREAD_COLOR)
        if image is None:
            raise OutputError(f"{run.path / frame.picture} is damaged", hint="remove it and review the run again")
        good = [box for box in frame.boxes if box.decided and _leaf(box.class_name) is not None]
        painted = paint_undecided(np.asarray(image, np.uint8), frame.boxes)
        cv2.imwrite(str(picture), painted, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        labels.write_text("".join(_yolo_line(box, frame, leaves) for box in good), encoding="utf-8")
        total += len(good)
        rows.append(
            {
                "picture": picture.relative_to(out).as_posix(),
                "group": frame.sha256[:16],
                "sha256": frame.sha256,
                "train_id": frame.train_id,
                "pts_s": round(frame.pts_s, 6),
                "rank": rank,
                "hardness": round(frame.hardness, 4),
                "boxes": len(good),
            }
        )
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    (out / "groups.tsv").write_text(text.getvalue(), encoding="utf-8")
    (out / "data.yaml").write_text(yaml.safe_dump({"names": dict(enumerate(leaves))}, sort_keys=False), encoding="utf-8")
    slug = re.sub(r"[^\w.-]+", "_", run.path.resolve().name) or "run"
    source = {
        "reader": "yolo",
        "folder": ".",
        "licence": "as the videos it was taken from",
        "clip": "images/([0-9a-f]+)/",
        "note": "Frames of a run, reviewed by people. Pictures of one video stay on one side of the split.",
    }
    document = {"name": slug, "sources": {slug: source}}
    (out / "description.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    (out / "run.json").write_text(json.dumps({"run": slug, "frames": len(frames), "boxes": total}) + "\n", encoding="utf-8")
    return total


def paint_undecided(image: NDArray[np.uint8], boxes: Sequence[StoredBox]) -> NDArray[np.uint8]:
    """Paint grey what is under a box on which nobody decided, but nothing of the decided ones.

    Args:
        image: (height, width, 3) uint8.
        boxes: All boxes of the picture.

    Returns:
        A painted copy.
    """
    keep = np.zeros(image.shape[:2], bool)
    learned = [box for box in boxes if box.decided and _leaf(box.class_name) is not None]
    for box in learned:
        keep[_pixels(box, image.shape)] = True
    painted = image.copy()
    for box in boxes:
        area = _pixels(box, image.shape)
        if box not in learned and keep[area].size and keep[area].mean() < _COVERED:
            painted[area][~keep[area]] = _GREY
    return painted


def _pixels(box: StoredBox, shape: tuple[int, ...]) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box.xyxy_px
    height, width = shape[:2]
    return slice(max(0, int(y0)), min(height, int(np.ceil(y1)))), slice(max(0, int(x0)), min(width, int(np.ceil(x1))))


def _yolo_line(box: StoredBox, frame: StoredFrame, leaves: Sequence[str]) -> str:
    x0, y0, x1, y1 = box.xyxy_px
    x0, x1 = (min(max(v / frame.width_px, 0.0), 1.0) for v in (x0, x1))
    y0, y1 = (min(max(v / frame.height_px, 0.0), 1.0) for v in (y0, y1))
    leaf = _leaf(box.class_name)
    assert leaf is not None
    numbers = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    return f"{leaves.index(leaf)} " + " ".join(f"{v:.6f}" for v in numbers) + "\n"
