"""One contract for both back ends; the default one must know more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import media
from vision.config import VideoConfig
from vision.types import Shot
from vision.video import LumaShots, SceneDetectShots, ShotDetector, ShotSplitter, VideoReader, shots_from_cuts

FPS = 30
DETECTORS: list[Callable[[], ShotDetector]] = [LumaShots, SceneDetectShots]
both = pytest.mark.parametrize("make", DETECTORS)

REAL_CLIPS = Path(__file__).parents[1] / "real" / "trainbot"


def still(seed: int, frames: int = 40) -> list[media.Picture]:
    return [media.scene(seed)] * frames


def cuts_of(pictures: list[media.Picture], detector: ShotDetector, coherence: list[float] | None = None) -> list[int]:
    """Frames that begin the second and later shots."""
    splitter = ShotSplitter(detector)
    for index, drawn in enumerate(pictures):
        splitter.push(drawn, index / FPS)
    return [round(shot.start_s * FPS) for shot in splitter.confirm(coherence=coherence)[1:]]


def train(speed_px: float, rows: tuple[int, int], seed: int = 0) -> list[media.Picture]:
    background = media.scene(seed + 50)
    run = media.passing(background, media.train_picture(seed), speed_px=speed_px, rows=rows, frames=50)
    return media.with_noise([background] * 15 + run, 2)


@both
def test_contract_cuts_between_scenes_are_candidates_at_their_frame(make: Callable[[], ShotDetector]) -> None:
    detector = make()
    assert isinstance(detector, ShotDetector)
    pictures = media.with_noise(still(1) + still(2) + still(3), 3)
    pushed = [detector.push(drawn, index / FPS) for index, drawn in enumerate(pictures)]
    assert all(isinstance(answer, bool) for answer in pushed)
    assert [index for index, answer in enumerate(pushed) if answer] == [40, 80]


@both
@pytest.mark.parametrize("width_px", [64, 160, 320, 641])
def test_contract_any_width(make: Callable[[], ShotDetector], width_px: int) -> None:
    pictures = [media.scene(seed, width_px, 90) for seed in [1] * 10 + [2] * 10]
    assert cuts_of(pictures, make()) == [10]


@both
@pytest.mark.parametrize("speed_px", [3, 12, 40])
def test_contract_a_train_that_enters_is_no_cut(make: Callable[[], ShotDetector], speed_px: float) -> None:
    assert cuts_of(train(speed_px, rows=(60, 150)), make()) == []


@both
def test_contract_a_flash_is_no_cut(make: Callable[[], ShotDetector]) -> None:
    pictures = still(5, 60)
    pictures[30] = np.clip(pictures[30].astype(int) + 90, 0, 255).astype(np.uint8)
    pictures[31] = np.full_like(pictures[31], 250)
    assert cuts_of(media.with_noise(pictures, 2), make()) == []


@both
def test_contract_a_still_picture_is_one_shot(make: Callable[[], ShotDetector]) -> None:
    assert cuts_of(still(1, 30), make()) == []


@both
@pytest.mark.parametrize("grey", [0, 255])
def test_contract_from_and_to_a_plain_picture(make: Callable[[], ShotDetector], grey: int) -> None:
    plain = [np.full((180, 320), grey, np.uint8)] * 20
    assert cuts_of(plain + still(1, 30), make()) == [20]


def test_luma_close_and_fast_trains_are_no_cuts() -> None:
    for speed_px in (40, 80):
        for seed in range(3):
            assert cuts_of(train(speed_px, (10, 175), seed), LumaShots()) == []


def test_luma_finds_cuts_in_the_dark_between_bars_and_under_shake() -> None:
    def dark(drawn: media.Picture) -> media.Picture:
        return (drawn * 0.2 + 16).astype(np.uint8)

    def pillarbox(drawn: media.Picture) -> media.Picture:
        boxed = np.full_like(drawn, 16)
        boxed[:, 110:210] = drawn[:, 110:210]
        return boxed

    pair = still(7) + still(8)
    for pictures in (media.mapped(pair, dark), media.mapped(pair, pillarbox), media.shaken(pair, 2.0)):
        assert cuts_of(media.with_noise(pictures, 2), LumaShots()) == [40]


def test_luma_finds_cuts_between_two_running_trains() -> None:
    first = media.passing(media.scene(50), media.train_picture(1), speed_px=20, rows=(60, 150), frames=40)
    second = media.passing(media.scene(51), media.train_picture(2), speed_px=20, rows=(50, 160), frames=60)[20:]
    assert cuts_of(media.with_noise(first + second, 2), LumaShots()) == [40]


@pytest.mark.parametrize("speed_px", [5, 20, 60])
def test_luma_a_pan_is_no_cut(speed_px: float) -> None:
    wide = np.hstack([media.scene(70 + number) for number in range(14)])
    still_first = [wide[:, :320]] * 15
    assert cuts_of(still_first + media.panned(wide, width_px=320, speed_px=speed_px, frames=50), LumaShots()) == []


def test_coherence_settles_candidates() -> None:
    pictures = media.with_noise(still(1) + still(2) + still(3), 3)
    coherence = [1.0] * len(pictures)
    coherence[40] = 0.1
    assert cuts_of(pictures, LumaShots(), coherence) == [40]
    coherence[80] = 0.2
    assert cuts_of(pictures, LumaShots(), coherence) == [40, 80]


def test_coherence_of_another_length_is_refused() -> None:
    splitter = ShotSplitter()
    splitter.push(media.scene(1), 0.0)
    with pytest.raises(ValueError, match="2 values for 1 frames"):
        splitter.confirm(coherence=[1.0, 1.0])


def test_candidates_given_from_outside_and_very_short_shots() -> None:
    splitter = ShotSplitter(min_shot_s=0.3)
    for index, drawn in enumerate(still(1, 60)):
        splitter.push(drawn, index / FPS)
    shots = splitter.confirm([2, 30, 33, 50], coherence=[0.0] * 60)
    assert [round(shot.start_s * FPS) for shot in shots] == [0, 30, 50]


def test_a_splitter_without_frames_has_no_shots() -> None:
    assert ShotSplitter().confirm() == []


@pytest.mark.parametrize(
    ("pts_s", "cuts", "expected"),
    [
        ([], [], []),
        ([0.0], [], [Shot(0, 0.0, 0.0)]),
        ([0.0, 0.1, 0.2], [], [Shot(0, 0.0, 0.2)]),
        ([0.0, 0.1, 0.2, 0.4], [2, 2], [Shot(0, 0.0, 0.1), Shot(1, 0.2, 0.4)]),
        ([0.0, 0.1, 0.2], [2, 1], [Shot(0, 0.0, 0.0), Shot(1, 0.1, 0.1), Shot(2, 0.2, 0.2)]),
    ],
)
def test_shots_from_cuts(pts_s: list[float], cuts: list[int], expected: list[Shot]) -> None:
    assert shots_from_cuts(pts_s, cuts) == expected


@pytest.mark.parametrize("cuts", [[0], [3], [-1]])
def test_shots_from_cuts_refuses_indices_outside(cuts: list[int]) -> None:
    with pytest.raises(ValueError, match="do not lie in"):
        shots_from_cuts([0.0, 0.1, 0.2], cuts)


@given(st.data())
def test_shots_cover_every_frame_once(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.floats(0.001, 5), min_size=1, max_size=40))
    pts_s = np.cumsum(steps)
    cuts = data.draw(st.lists(st.integers(1, len(steps) - 1))) if len(steps) > 1 else []
    shots = shots_from_cuts(pts_s, cuts)
    assert len(shots) == len(set(cuts)) + 1
    assert [shot.index for shot in shots] == list(range(len(shots)))
    assert all(sum(shot.start_s <= time <= shot.end_s for shot in shots) == 1 for time in pts_s)


@pytest.mark.slow
@both
@pytest.mark.parametrize("name", ["day", "night", "rain", "snow"])
def test_real_passages_are_one_shot(make: Callable[[], ShotDetector], name: str) -> None:
    path = REAL_CLIPS / f"{name}.mp4"
    splitter = ShotSplitter(make())
    with VideoReader(path, VideoConfig(max_corrupt_in_a_row=60, threads=0)) as reader:
        for frame in reader:
            splitter.push(frame.luma(320), frame.pts_s)
    assert len(splitter.confirm()) == 1
