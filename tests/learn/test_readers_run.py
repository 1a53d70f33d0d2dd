"""Frames of a run as training pictures: the right frames, each vehicle's class on its box, the train as their clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.media import write_video
from tests.support.results import make_passage, make_train, make_vehicle
from vision.config import VideoConfig
from vision.learn.pictures import read_picture
from vision.learn.problems import Problems
from vision.learn.readers_run import traced
from vision.learn.sources import Picture, guess_reader, read_source
from vision.run.ledger import Ledger
from vision.run.results import write_result
from vision.run.store import RawVideo, RunFolder, save_raw
from vision.types import Detections, Look, Train, VideoResult
from vision.video import VideoReader, probe

pytest.importorskip("PIL", reason="Pillow comes with imagehash")

WIDTH_PX, HEIGHT_PX, FRAMES, STEP_PX = 160, 96, 30, 4
TANK_AT_PX, TRUCK_AT_PX = 100, 220  # left ends of the two vehicles when the film begins
BOX_PX = (40, 30)


def box_at(frame: int, left_px: float) -> tuple[float, float, float, float]:
    left = left_px - STEP_PX * frame
    return left, 40.0, left + BOX_PX[0], 40.0 + BOX_PX[1]


def drawn(frame: int) -> np.ndarray:
    """A red and a blue vehicle that run to the left, 4 px a frame."""
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.uint8)
    for left_px, colour in ((TANK_AT_PX, (0, 0, 255)), (TRUCK_AT_PX, (255, 0, 0))):
        x0, y0, x1, y1 = (round(v) for v in box_at(frame, left_px))
        image[y0:y1, max(x0, 0) : max(x1, 0)] = colour
    return image


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return write_video(tmp_path / "clips" / "train.mp4", map(drawn, range(FRAMES)))


@pytest.fixture
def run(film: Path, tmp_path: Path) -> Path:
    """A finished run of the film: a tank seen best in frame 5, a truck in frame 20, and looks at 5, 15 and 20."""
    return make_run(film, tmp_path / "run")


def make_run(film: Path, path: Path, change: Callable[[Train], Train] = lambda train: train) -> Path:
    with VideoReader(film, VideoConfig()) as reader:
        stamps = [(frame.pts, frame.pts_s) for frame in reader]
    pts_s = np.array([s for _, s in stamps])
    passage = make_passage(
        frames=FRAMES, start_s=0.0, pts_s=pts_s, end_s=float(pts_s[-1]), displacement_px=-STEP_PX * np.arange(FRAMES, dtype=float)
    )
    tank = make_vehicle(0, "tank", pts=stamps[5][0], pts_s=stamps[5][1], xyxy_px=box_at(5, TANK_AT_PX))
    truck = make_vehicle(1, "truck", pts=stamps[20][0], pts_s=stamps[20][1], xyxy_px=box_at(20, TRUCK_AT_PX))
    train = change(make_train("tank", "truck", passage=passage, vehicles=(tank, truck)))
    seen = {5: [TANK_AT_PX], 15: [TANK_AT_PX, TRUCK_AT_PX], 20: [TANK_AT_PX, TRUCK_AT_PX]}
    looks = tuple(
        Look(*stamps[i], Detections.of([box_at(i, at) for at in places], [0.9] * len(places), [0] * len(places)))
        for i, places in seen.items()
    )
    record = probe(film)
    with RunFolder.create(path) as folder, Ledger.open(path, create=True) as ledger:
        ledger.begin("d" * 64, "{}", weights_name="default", weights_sha256="ab" * 32, version="0.1.0")
        ledger.plan([film])
        (row,) = ledger.rows()
        save_raw(folder, RawVideo(record, ("bmp",), (passage,), looks))
        result = VideoResult(film, record.sha256, "done", "", record.duration_s, (train,))
        write_result(folder, result)
        ledger.finish(row, result)
    return path


def read(run: Path, **options: object) -> tuple[list[Picture], Problems]:
    problems = Problems()
    work = run.parent / "work"
    return read_source("run", run.parent, {"reader": "run", **options}, problems=problems, work=work), problems


def test_the_frames_that_show_the_vehicles_best(run: Path) -> None:
    assert guess_reader(run) == "run"
    pictures, problems = read(run)
    assert list(problems) == []
    assert len(pictures) == 2
    first, second = sorted(pictures, key=lambda p: int(p.file.rpartition("-")[2].removesuffix(".png")))
    # The look called both "bmp"; each takes the class of its vehicle, found along the train.
    assert [b.leaf for b in first.boxes] == ["tank"]
    assert sorted(b.leaf or "" for b in second.boxes) == ["tank", "truck"]
    assert first.clip == second.clip is not None
    image = read_picture(first.path)
    left, top, right, bottom = (round(v * s) for v, s in zip(first.boxes[0].xyxy, (WIDTH_PX, HEIGHT_PX) * 2, strict=True))
    assert (left, top, right, bottom) == (80, 40, 120, 70)
    blue, _, red = image[top + 4 : bottom - 4, left + 4 : right - 4].reshape(-1, 3).mean(0)
    assert red > 200
    assert blue < 60  # it is that frame, and the box is on the vehicle


def test_a_parent_class_and_a_doubtful_vehicle_are_ignore_regions(film: Path, tmp_path: Path) -> None:
    def change(train: Train) -> Train:
        tank, truck = train.vehicles
        return replace(train, vehicles=(replace(tank, class_name="ifv", parent="ifv"), replace(truck, score=0.3)))

    pictures, problems = read(make_run(film, tmp_path / "run", change))
    assert [[b.leaf for b in p.boxes] for p in pictures] == [[None]]  # the truck's frame is not taken at all
    assert list(problems) == []
    both, _ = read(tmp_path / "run", min_score=0.2)
    assert sorted(len(p.boxes) for p in both) == [1, 2]


@pytest.mark.parametrize("change", ["gone", "altered", "moved"])
def test_a_video_that_is_not_where_it_was(change: str, run: Path, film: Path, tmp_path: Path) -> None:
    if change == "altered":
        data = bytearray(film.read_bytes())
        data[-1] ^= 1
        film.write_bytes(bytes(data))
    elif change == "moved":
        (tmp_path / "archive" / "2024").mkdir(parents=True)
        film.rename(tmp_path / "archive" / "2024" / film.name)
    else:
        film.unlink()
    pictures, problems = read(run)
    (problem,) = problems.errors
    assert pictures == []
    assert problem.kind == "missing_video"
    assert "the video is gone or has changed" in problem.what
    if change == "moved":
        assert len(read(run, videos="archive")[0]) == 2


@pytest.mark.parametrize(
    ("centre_px", "name"),
    [(120.0, "tank"), (109.0, "tank"), (100.0, None), (60.0, None)],
    ids=["at its place", "near it", "too far", "elsewhere"],
)
def test_a_detection_belongs_to_the_vehicle_at_its_place(centre_px: float, name: str | None) -> None:
    train = make_train(
        "tank",
        passage=make_passage(displacement_px=np.linspace(0, -200, 50)),
        vehicles=(make_vehicle(0, "tank", pts_s=1.0, xyxy_px=(200.0, 40.0, 240.0, 70.0)),),
    )
    pts_s = float(train.passage.pts_s[-1])  # the train has moved by -200 px: the tank is about 20 now
    box = (centre_px - 120, 40.0, centre_px - 80, 70.0)
    ((found, xyxy),) = traced(Detections.of([box], [0.9], [0]), pts_s, [train], 0.5)
    assert (found, xyxy) == (name, box)


def test_a_detection_above_the_vehicle_is_another() -> None:
    train = make_train("tank", vehicles=(make_vehicle(0, "tank", pts_s=1.0, xyxy_px=(200.0, 40.0, 240.0, 70.0)),))
    found = traced(Detections.of([(200.0, 0.0, 240.0, 30.0)], [0.9], [0]), 1.0, [train], 0.5)
    assert [name for name, _ in found] == [None]
