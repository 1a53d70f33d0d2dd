"""One pass over one video: what is looked at, what is kept, how far decoding runs ahead, and how much memory it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support import media
from tests.support.detectors import ScriptedDetector
from tests.support.films import FilmDetector, film, passing, scene_of, standing
from vision.config import Config, DetectConfig
from vision.errors import DetectorError, UnreadableVideo
from vision.run.observe import Observed, PictureSpool, crop_key, observe_video
from vision.types import Detections
from vision.video import VideoReader

CONFIG = Config()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Observed]:
    """Two shots, a train in each, with every look at it."""
    path, detector, _ = film(
        tmp_path_factory.mktemp("film") / "film.mp4", passing("tank", "bmp", seed=6), passing("truck", seed=9)
    )
    return path, observe_video(path, detector=detector, config=CONFIG)


def test_looks_are_frames_of_the_video_in_order(seen: tuple[Path, Observed]) -> None:
    path, observed = seen
    with VideoReader(path, CONFIG.video) as reader:
        stamps = {frame.pts: frame.pts_s for frame in reader}
    looks = observed.raw.looks
    assert 15 < len(looks) < len(stamps) / 4
    assert [look.pts_s for look in looks] == sorted({look.pts_s for look in looks})
    assert all(stamps[look.pts] == look.pts_s for look in looks)
    assert looks[0].pts_s == 0.0


def test_shots_and_passages_belong_together(seen: tuple[Path, Observed]) -> None:
    _, observed = seen
    assert len(observed.shots) == 2
    assert [passage.shot_index for passage in observed.raw.passages] == [0, 1]
    for passage in observed.raw.passages:
        shot = observed.shots[passage.shot_index]
        assert shot.start_s <= passage.start_s < passage.end_s <= shot.end_s
        assert passage.view_x_px == (0.0, 480.0)
    # The cut is looked at within a frame or two, whatever the pause.
    assert any(0 <= look.pts_s - observed.shots[1].start_s < 0.09 for look in observed.raw.looks)


def test_each_look_keeps_its_frame_and_each_detection_its_crop(seen: tuple[Path, Observed]) -> None:
    _, observed = seen
    assert [frame.pts_s for frame in observed.frames] == [look.pts_s for look in observed.raw.looks]
    assert observed.frames[3].picture().shape == (180, 480, 3)
    boxes = 0
    for look in observed.raw.looks:
        for box in look.detections.xyxy_px:
            crop = observed.crops.get(crop_key(look.pts, box))
            assert crop is not None
            picture = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
            # Its box with a margin, as far as the frame goes.
            assert picture.shape[1] >= min(box[2] - box[0], 400) - 1
            boxes += 1
    assert boxes > 15


def test_bars_at_the_sides_are_no_view(tmp_path: Path) -> None:
    import dataclasses

    from vision.synth.scene import Overlay

    spec = dataclasses.replace(
        passing("tank", "bmp"), overlays=(Overlay("bar", (0, 0, 80, 180)), Overlay("bar", (400, 0, 480, 180)))
    )
    path, detector, _ = film(tmp_path / "film.mp4", spec)
    observed = observe_video(path, detector=detector, config=CONFIG)
    (passage,) = observed.raw.passages
    assert passage.view_x_px == pytest.approx((80, 400), abs=6)
    observed.close()


def test_progress_goes_on_to_the_end(tmp_path: Path) -> None:
    path, detector, _ = film(tmp_path / "film.mp4", scene_of(duration_s=4.0))
    told: list[float] = []
    observed = observe_video(path, detector=detector, config=CONFIG, progress=told.append)
    assert told == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.01)
    assert observed.duration_s == pytest.approx(3.96)
    observed.close()


# ---- The thread of the detector ---------------------------------------------------------------------------------------------


def every_frame(**detect: Any) -> Config:
    return Config(detect=DetectConfig(still_interval_s=1e-6, max_looks_s=1000.0, looks_per_view=1e9, **detect))


class Watching(ScriptedDetector):
    """Notes its threads and its batches, and how far decoding has run ahead when it looks."""

    def __init__(self, decoded: list[float], *, slow_s: float = 0.0) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.batches: list[int] = []
        self.ahead: list[int] = []
        self._decoded = decoded
        self._slow_s = slow_s

    def detect(self, images: Sequence[Any]) -> list[Detections]:
        self.threads.add(threading.get_ident())
        self.batches.append(len(images))
        time.sleep(self._slow_s)
        self.ahead.append(len(self._decoded) - sum(self.batches))
        return super().detect(images)


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_decoding_runs_only_a_few_batches_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    path = media.clip(tmp_path / "clip.mp4", frames=60)
    monkeypatch.setattr("vision.run.observe._PROGRESS_EVERY_FRAMES", 1)
    decoded: list[float] = []
    detector = Watching(decoded, slow_s=0.01)
    observed = observe_video(path, detector=detector, config=every_frame(batch=batch), progress=decoded.append)
    assert sum(detector.batches) == 60 == len(observed.raw.looks)
    assert max(detector.batches) == batch
    assert len(detector.threads) == 1
    assert detector.threads != {threading.get_ident()}
    # Batches that wait, the one that is being made, and the one at hand.
    assert max(detector.ahead) <= 4 * batch
    observed.close()


@pytest.mark.parametrize("fail_at", [0, 5, 59])
def test_a_failing_detector_ends_it_and_leaves_no_thread(tmp_path: Path, fail_at: int) -> None:
    path = media.clip(tmp_path / "clip.mp4", frames=60)
    before = threading.active_count()
    with pytest.raises(DetectorError, match=f"fails at picture {fail_at}"):
        observe_video(path, detector=ScriptedDetector(fail_at=fail_at), config=every_frame(), scratch=tmp_path)
    assert threading.active_count() <= before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


# ---- Damaged and short ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("boxes", [0, 3])
def test_a_few_frames_are_enough(tmp_path: Path, frames: int, boxes: int) -> None:
    path = media.clip(tmp_path / "clip.mp4", frames=frames)
    found = Detections.of([[10 + 40 * i, 20, 40 + 40 * i, 60] for i in range(boxes)], [0.9] * boxes, [0] * boxes)
    observed = observe_video(path, detector=ScriptedDetector(lambda _: found), config=every_frame())
    assert len(observed.raw.looks) == frames
    assert [p.direction for p in observed.raw.passages] == (["still"] if boxes else [])
    observed.close()


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("cut.mkv", lambda whole, path: media.cut_short(whole, path, 0.6), "truncated"),
        ("damaged.mkv", lambda whole, path: media.damage(whole, path, first=0.4, last=0.6, every=3), "corrupt"),
    ],
)
def test_damage_is_noted(tmp_path: Path, name: str, make: Any, reason: str) -> None:
    whole = media.clip(tmp_path / "whole.mkv", frames=100)
    observed = observe_video(make(whole, tmp_path / name), detector=FilmDetector(), config=CONFIG)
    assert reason in {drop.reason for drop in observed.raw.dropped}
    assert 0 < observed.duration_s <= 4.0
    observed.close()


def test_what_is_no_video_raises(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(UnreadableVideo):
        observe_video(tmp_path / "a.mp4", detector=FilmDetector(), config=CONFIG)


def test_standing_vehicles_get_a_passage_over_their_shot(tmp_path: Path) -> None:
    path, detector, _ = film(tmp_path / "film.mp4", scene_of(standing("tank", "bmp"), duration_s=2.0))
    observed = observe_video(path, detector=detector, config=CONFIG)
    (passage,) = observed.raw.passages
    assert (passage.direction, "standing" in passage.flags) == ("still", True)
    assert (passage.start_s, passage.end_s) == (observed.shots[0].start_s, observed.shots[0].end_s)
    observed.close()


# ---- The spool --------------------------------------------------------------------------------------------------------------


def test_the_spool_gives_back_what_it_was_given(tmp_path: Path) -> None:
    spool = PictureSpool(tmp_path)
    rng = np.random.default_rng(3)
    data = {f"p{i}": rng.bytes(int(rng.integers(0, 3000))) for i in range(50)}
    for name, content in data.items():
        spool.add(name, content)
        assert spool.get("p0") == data["p0"]  # reading in between does no harm
    spool.add("p1", b"another")
    assert {name: spool.get(name) for name in spool.names()} == data
    assert spool.get("nope") is None
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("box", "key"),
    [((1.2, 2.7, 30.5, 40.0), "7-1_3_30_40"), ((0.0, 0.0, 479.6, 180.0), "7-0_0_480_180"), ((-0.4, 0.0, 9.0, 9.0), "7-0_0_9_9")],
)
def test_names_of_crops(box: tuple[float, float, float, float], key: str) -> None:
    assert crop_key(7, box) == key
    assert crop_key(7, np.array(box, np.float32)) == key


# ---- Memory -----------------------------------------------------------------------------------------------------------------

MEASURE = """
import sys
from pathlib import Path
from tests.support.detectors import ScriptedDetector
from vision.config import Config
from vision.run.observe import observe_video
from vision.types import Detections
boxes = Detections.of([[100, 100, 200, 160], [300, 100, 400, 160]], [0.9, 0.8], [0, 1])
observed = observe_video(Path(sys.argv[1]), detector=ScriptedDetector(lambda _: boxes), config=Config())
# Not ru_maxrss, which begins with the size of the process that started this one.
peak_kb = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak_kb, len(observed.raw.looks))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_in_the_length_of_the_video(tmp_path: Path) -> None:
    train = media.train_picture(4, length_px=24_000, height_px=270)
    background = media.scene(4, 480, 270)
    peaks, looks = {}, {}
    # What is held, without the holes that glibc leaves between large blocks: these go back to the system one by one.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "32768"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    for seconds in (20, 60):
        frames = ((cv2.cvtColor(p, cv2.COLOR_GRAY2BGR)) for p in passing_pictures(background, train, seconds * 25))
        path = media.write_video(tmp_path / f"{seconds}.mp4", frames)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, env=environment, check=True
        )
        peak_kb, looks[seconds] = (int(word) for word in done.stdout.split())
        peaks[seconds] = peak_kb / 1024
    assert looks[60] > 2 * looks[20] > 40
    assert peaks[60] - peaks[20] < 40, peaks


def passing_pictures(background: media.Picture, train: media.Picture, frames: int) -> Any:
    """As ``media.passing``, one after the other."""
    for number in range(frames):
        drawn = background.copy()
        left = round(480 - number * 10.0)
        first, last = max(0, -left), min(train.shape[1], 480 - left)
        drawn[100:200, left + first : left + last] = train[85:185, first:last]
        yield drawn
