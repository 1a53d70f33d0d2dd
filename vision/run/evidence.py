"""The pictures behind the numbers: strips of trains and crops of vehicles, written once per video."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

from vision.errors import TruthError
from vision.motion.strip import build_strip
from vision.run.observe import Observed, crop_key
from vision.run.store import RunFolder, atomic_write
from vision.run.strips import save_strip
from vision.run.tables import crop_name, train_ids
from vision.types import Train, VideoResult


def crops_archive(run: RunFolder, sha256: str) -> Path:
    """Where all crops of a video lie, also of detections that are no vehicle's best look now but may be after counting again."""
    return run.path / "raw" / f"{sha256[:16]}.zip"


def write_evidence(run: RunFolder, observed: Observed, result: VideoResult, *, px_per_m: float | None = None) -> None:
    """Write the strips of a video's trains, all its crops as one archive, and each vehicle's crop as a file.

    Args:
        run: The run folder, locked for writing.
        observed: Looks, pictures and crops of the video.
        result: What was counted in it.
        px_per_m: Scale at the train, full-frame pixels per metre, where it is known.

    Raises:
        OutputError: The run folder cannot be written.
    """
    _write_archive(run, observed, result.sha256)
    for train_id, train in zip(train_ids(result), result.trains, strict=True):
        strip = build_strip(train.passage, observed.frames, frame_width_px=observed.raw.record.width_px)
        if strip is not None:
            save_strip(run, train_id, strip, px_per_m=px_per_m)
    write_crops(run, result)


def _write_archive(run: RunFolder, observed: Observed, sha256: str) -> None:
    """All crops in one zip: thousands of small files would be slow to copy."""

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in observed.crops.names():
                if not name.startswith("frame-"):
                    archive.writestr(zipfile.ZipInfo(f"{name}.jpg"), observed.crops.get(name) or b"")

    atomic_write(crops_archive(run, sha256), write)


def write_crops(run: RunFolder, result: VideoResult) -> None:
    """Write the crop of each vehicle's best look, out of the video's archive.

    Raises:
        TruthError: The archive is damaged.
        OutputError: The run folder cannot be written.
    """
    path = crops_archive(run, result.sha256)
    if not path.is_file():
        return
    folder = run.path / "crops"
    folder.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive:
            kept = set(archive.namelist())
            for train in result.trains:
                _write_crops_of(archive, kept, train, folder, result.sha256)
    except zipfile.BadZipFile as error:
        raise TruthError(f"{path} is damaged: {error}", hint="remove it, or scan the video again") from error


def _write_crops_of(archive: zipfile.ZipFile, kept: set[str], train: Train, folder: Path, sha256: str) -> None:
    for vehicle in train.vehicles:
        name = f"{crop_key(vehicle.pts, vehicle.xyxy_px)}.jpg"
        target = folder / f"{crop_name(sha256, vehicle)}.jpg"
        if name in kept and not target.is_file():
            atomic_write(target, archive.read(name))
