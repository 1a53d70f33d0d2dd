"""A whole run folder without a video: drawn strips and crops, and a ledger with every way an input can end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.results import make_passage, make_train, make_vehicle
from vision.motion.strip import Strip
from vision.run.crops import write_crop
from vision.run.ledger import Ledger
from vision.run.results import load_results, write_result
from vision.run.store import RunFolder
from vision.run.strips import save_strip
from vision.run.tables import crop_name, train_ids, write_tables
from vision.types import Dropped, Train, VideoResult

CONFIG = '{"detect":{"weights":"default","min_score":0.25},"count":{"interval":0.9}}'
CLASSES = ("tank", "bmp", "btr", "truck", "covered_vehicle", "uaz", "ifv")
PITCH_PX = 300.0
FIRST_PX = 250.0
TOP_PX = 100.0


def draw_train(
    vehicles: int, *, direction: Literal["left", "right"] = "left", start_s: float = 1.0, rows: int = 180, seed: int = 0
) -> tuple[Strip, Train, NDArray[np.uint8]]:
    """Flatcars with coloured blocks on them, ``PITCH_PX`` apart: the strip, the train counted on it, and its picture's centres.

    Returns:
        The strip, the train, and (vehicles,) columns at which the blocks stand.
    """
    rng = np.random.default_rng(seed)
    length = round(vehicles * PITCH_PX) + 400
    picture = np.full((rows, length, 3), (200, 190, 170), np.uint8)
    picture[rows // 2 :] = (90, 110, 100)
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    sign = 1 if direction == "left" else -1
    passage = make_passage(
        frames=200,
        start_s=start_s,
        direction=direction,
        displacement_px=-sign * 200.0 * np.arange(200) / 25,
        tail_seen=vehicles < 6,
        length_px=float(length),
    )
    origin_px = 640.0 if direction == "left" else -float(length)
    found, columns = [], []
    for i in range(vehicles):
        position_px = FIRST_PX + i * PITCH_PX
        x = round(position_px if sign > 0 else length - position_px)
        colour = [int(v) for v in rng.integers(40, 110, 3)]
        cv2.rectangle(picture, (x - 140, rows - 40), (x + 140, rows - 28), (40, 40, 50), -1)
        cv2.rectangle(picture, (x - 80, rows - 95), (x + 80, rows - 42), colour, -1)
        cv2.rectangle(picture, (x - 30, rows - 120), (x + 30, rows - 95), colour, -1)
        pts_s = float(passage.pts_s[7 * i % 200])
        on_screen = origin_px + x + float(passage.displacement_at(pts_s))
        columns.append(x)
        found.append(
            make_vehicle(
                i,
                CLASSES[i // 2 % len(CLASSES)],
                position_px=position_px,
                width_px=170.0,
                pts=round(pts_s * 12800),
                pts_s=pts_s,
                xyxy_px=(on_screen - 85, TOP_PX + rows - 125, on_screen + 85, TOP_PX + rows - 40),
                score=max(0.4, 0.999 - 0.02 * i),
                looks=max(2, 8 - i % 5),
            )
        )
    flags = ("ambiguous_registration", "tail_not_seen", "seen_by_night") if vehicles >= 6 else ()
    train = make_train(*(v.class_name for v in found), passage=passage, vehicles=tuple(found), flags=flags)
    return Strip(picture, origin_px, 1.0, TOP_PX), train, np.array(columns)


def make_run(path: Path, *, large: int = 14, small: int = 3) -> RunFolder:
    """Two trains in one video, none in another, and inputs that failed, were skipped, or still wait. The folder is not locked."""
    with RunFolder.create(path) as run, Ledger.open(path, create=True) as ledger:
        ledger.begin("d" * 64, CONFIG, weights_name="default", weights_sha256="ab" * 32, version="0.1.0")
        names = ["clips/эшелон 1.mp4", "clips/<script>alert(1)</script>.mp4", "clips/notes.mp4", "clips/again.mp4", "z/later.mp4"]
        ledger.plan([Path(name) for name in names])
        row = dict(zip(names, ledger.rows(), strict=True))
        sha = "3f5a" * 16
        strip, first, columns = draw_train(large)
        second_strip, second, second_columns = draw_train(small, direction="right", start_s=75.0, seed=1)
        second = dataclasses.replace(second, speed_m_s=10.0)
        done = VideoResult(
            Path(names[0]), sha, "done", "", 131.4, (first, second), 4,
            (Dropped("detection", "outside_band", 17, 2.5), Dropped("frame", "corrupt", 1, 0.0)),
        )  # fmt: skip
        shots = ((strip, first, columns, None), (second_strip, second, second_columns, 20.0))
        for train_id, (picture, train, places, px_per_m) in zip(train_ids(done), shots, strict=True):
            save_strip(run, train_id, picture, px_per_m=px_per_m)
            for vehicle, x in zip(train.vehicles, places, strict=True):
                box = (x - 85.0, 180.0 - 125, x + 85.0, 180.0 - 40)
                write_crop(run, picture.picture, box, crop_name(sha, vehicle))
        nothing = VideoResult(Path(names[1]), "b1" * 32, "done", "", 12.0)
        failed = VideoResult(Path(names[2]), "c2" * 32, "failed", "unreadable: its header is broken <moov>")
        repost = VideoResult(Path(names[3]), sha, "skipped", "duplicate: the same file as clips/эшелон 1.mp4")
        for result in (done, nothing, failed, repost):
            write_result(run, result)
            ledger.finish(row[result.path.as_posix()], result)
        write_tables(run, load_results(run, ledger.rows()))
    return RunFolder.open(path)
