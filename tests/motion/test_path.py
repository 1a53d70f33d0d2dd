"""The speed path on made series of band shifts: exact, and without a picture to render."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from vision.motion.layers import Layers, separate_layers
from vision.motion.meter import MotionSeries
from vision.motion.path import NO_TRAIN, _cut_unseen_standing, run_through_unseen_stops, turns_at_once
from vision.motion.speeds import BIN, speed_axis, stretched

BANDS, WIDTH_PX, FPS = 12, 320, 25.0
TRAIN_BANDS, LOWEST = slice(5, 10), slice(9, 12)


@dataclass
class Scene:
    """Band shifts of a fixed camera's frames: the background everywhere, further layers on top.

    Attributes:
        frames: How many.
        layers: Speed of each frame in pixels (NaN where it does not show), bands, response.
        background: The upper bands' shift and all others', pixels a frame.
    """

    frames: int
    layers: list[tuple[np.ndarray, slice, float]] = field(default_factory=list)
    background: tuple[np.ndarray, np.ndarray] | None = None

    def series(self) -> MotionSeries:
        n = self.frames
        at = np.arange(n)
        anchor = np.maximum((at - 1) // 8 * 8, 0)
        shift, response = np.zeros((n, BANDS, 2), np.float32), np.zeros((n, BANDS, 2), np.float32)
        whole_shift, whole_response = np.zeros_like(shift), np.zeros_like(shift)
        whole_response[:, :, 0] = 0.8
        if self.background is not None:
            for bands, speed in ((slice(0, 6), self.background[0]), (slice(6, 12), self.background[1])):
                way = np.cumsum(speed)
                whole_shift[:, bands, 0] = (way - way[anchor])[:, None]
        for rank, (speed, bands, strength) in enumerate(self.layers):
            way = np.cumsum(np.nan_to_num(speed))
            shift[:, bands, rank] = (way - way[anchor])[:, None]
            response[:, bands, rank] = np.where(np.isnan(speed), 0.0, strength)[:, None]
        return MotionSeries(
            pts_s=at / FPS,
            anchor=anchor,
            shift_px=shift,
            response=response,
            whole_shift_px=whole_shift,
            whole_response=whole_response,
            coherence=np.ones(n, np.float32),
            repeated=np.zeros(n, bool),
            width_px=WIDTH_PX,
            rows=180,
            scale=1.0,
            row_scale=1.0,
        )

    def separated(self) -> Layers:
        return separate_layers(self.series(), 0, self.frames - 1)


def steady(frames: int, speed_px: float, first: int, last: int) -> np.ndarray:
    speed = np.full(frames, np.nan)
    speed[first:last] = speed_px
    return speed


def advance(layers: Layers, first: int, last: int) -> float:
    return float(layers.train_px[last] - layers.train_px[first])


def test_a_train_alone() -> None:
    layers = Scene(400, [(steady(400, 1.5, 50, 350), TRAIN_BANDS, 0.6)]).separated()
    assert layers.present[60:340].all()
    assert not layers.present[:40].any()
    assert advance(layers, 80, 320) == pytest.approx(1.5 * 240, rel=0.01)


@pytest.mark.parametrize("walking_px", [0.35, -0.35])
def test_people_who_walk_before_the_train_are_not_it(walking_px: float) -> None:
    """They are seen better than the train, and all the time; but they reach down to the picture's edge, and are slow."""
    people = (np.full(500, walking_px), slice(6, 12), 0.8)
    layers = Scene(500, [people, (steady(500, -1.2, 60, 440), TRAIN_BANDS, 0.4)]).separated()
    assert layers.present[80:420].all()
    assert advance(layers, 100, 400) == pytest.approx(-1.2 * 300, rel=0.02)


def test_a_train_that_reaches_the_lower_edge_alone_is_a_train() -> None:
    layers = Scene(300, [(steady(300, 0.5, 40, 260), slice(4, 12), 0.7)]).separated()
    assert layers.present[60:240].all()
    assert advance(layers, 80, 220) == pytest.approx(0.5 * 140, rel=0.03)


@pytest.mark.parametrize(("gap_frames", "closed"), [(60, True), (160, False)])
def test_a_train_that_vanishes_for_moments_runs_on(gap_frames: int, closed: bool) -> None:
    """Smooth wagons: nothing to be seen of them. For longer than some seconds nobody knows what went on."""
    speed = steady(600, 1.5, 40, 560)
    speed[300 : 300 + gap_frames] = np.nan
    layers = Scene(600, [(speed, TRAIN_BANDS, 0.6)]).separated()
    assert layers.present[300 : 300 + gap_frames].all() == closed
    if closed:
        assert advance(layers, 250, 450) == pytest.approx(1.5 * 200, rel=0.02)


def test_a_windows_frame_does_not_stop_the_ground() -> None:
    """Filmed from a train: now and then the frame at the top (0 px) is taken for the far background, a shaking hand beside it."""
    rng = np.random.default_rng(1)
    shake = 0.3 * np.sin(np.arange(500) / 5.0)
    series = Scene(500, [(steady(500, 1.9, 60, 440) + shake, TRAIN_BANDS, 0.5)], background=(0.4 + shake, 1.0 + shake)).series()
    framed = rng.random(500) < 0.1
    series.whole_shift_px[:, 0:5, 1] = np.cumsum(shake)[:, None] - np.cumsum(shake)[series.anchor][:, None]
    series.whole_response[framed, 0:4, 0] = 0.35
    series.whole_response[framed, 0:4, 1] = 0.9
    layers = separate_layers(series, 0, 499)
    moved = layers.background_px[480] - layers.background_px[20]
    assert moved == pytest.approx(460.0 + shake[21:481].sum(), rel=0.03)
    assert advance(layers, 100, 400) == pytest.approx(1.9 * 300 + shake[101:401].sum(), rel=0.03)


def table(*parts: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(frames, speed) for speed, frames in parts])


@pytest.mark.parametrize(
    ("speed_px", "expected_px"),
    [
        pytest.param(table((1.0, 100), (0.0, 50), (1.0, 100)), table((1.0, 250)), id="back at its speed at once: it ran on"),
        pytest.param(
            np.concatenate(
                [table((1.0, 50)), np.linspace(1, 0, 100), table((0.0, 50)), np.linspace(0, 1, 100), table((1.0, 50))]
            ),
            None,
            id="it braked for seconds: a stop",
        ),
        pytest.param(table((1.0, 100), (0.0, 200), (1.0, 100)), None, id="it stood for long"),
        pytest.param(table((1.0, 100), (0.0, 50), (-1.0, 100)), None, id="it turned back"),
        pytest.param(table((1.0, 100), (0.0, 50), (2.0, 100)), None, id="another speed"),
        pytest.param(table((0.0, 50), (1.0, 100)), None, id="it stood at first"),
        pytest.param(np.zeros(10), None, id="it only stands"),
    ],
)
def test_stops_that_nobody_saw(speed_px: np.ndarray, expected_px: np.ndarray | None) -> None:
    given = speed_px.copy()
    run_through_unseen_stops(given, np.ones(len(given), bool), interval_s=1 / FPS)
    assert given == pytest.approx(speed_px if expected_px is None else expected_px)


def test_what_moves_at_the_pictures_edge_alone_is_no_train() -> None:
    """A window's frame stands on the picture while the ground runs."""
    frame = (np.zeros(300), slice(0, 2), 0.9)
    layers = Scene(300, [frame], background=(np.full(300, 1.0), np.full(300, 1.0))).separated()
    assert not layers.present.any()


@pytest.mark.parametrize(
    ("speed_px", "expected"),
    [
        pytest.param(table((1.0, 100), (-1.0, 100)), True, id="from one layer to another"),
        pytest.param(table((1.0, 100), (0.0, 15), (-0.5, 100)), True, id="over a moment of standing"),
        pytest.param(np.linspace(1.0, -1.0, 200), False, id="a reversal of eight seconds"),
        pytest.param(table((1.0, 100), (0.0, 60), (-1.0, 100)), False, id="a stop between"),
        pytest.param(table((0.1, 100), (-0.1, 100)), False, id="too slow to tell"),
        pytest.param(table((1.0, 100), (2.5, 100)), False, id="the same way"),
        pytest.param(np.ones(3), False, id="short"),
    ],
)
def test_no_train_turns_at_once(speed_px: np.ndarray, expected: bool) -> None:
    assert turns_at_once(speed_px, interval_s=1 / FPS) == expected
    assert turns_at_once(-speed_px, interval_s=1 / FPS) == expected
    assert turns_at_once(speed_px[::-1], interval_s=1 / FPS) == expected


@pytest.mark.parametrize("thrown_px", [97.0, -60.0])
def test_noise_that_repeats_does_not_throw_the_picture_aside(thrown_px: float) -> None:
    """Frames whose grain is that of the one before, moved: they match there, too, and a little better than where they are."""
    series = Scene(300, [(steady(300, 1.2, 40, 260), TRAIN_BANDS, 0.5)]).series()
    for frame in (81, 161):
        series.whole_shift_px[frame, :, 1] = series.whole_shift_px[frame, :, 0]
        series.whole_response[frame, :, 1] = 0.35
        series.whole_shift_px[frame, :, 0] = thrown_px
        series.whole_response[frame, :, 0] = 0.45
    layers = separate_layers(series, 0, 299)
    assert np.abs(layers.background_px).max() < 1


def test_a_whip_pan_is_followed() -> None:
    """The picture is found nowhere else, and it gathers speed over some frames."""
    pan = np.concatenate([np.zeros(100), np.linspace(0, 14, 12), np.full(10, 14.0), np.linspace(14, 0, 12), np.zeros(100)])
    layers = Scene(len(pan), background=(pan, pan)).separated()
    assert layers.background_px[-1] == pytest.approx(pan.sum(), rel=0.02)


CREEP = np.where(np.arange(80) % 10 < 5, 0.1, -0.1)


@pytest.mark.parametrize(
    ("speed_px", "expected"),
    [
        pytest.param(np.concatenate([CREEP, table((1.0, 300))]), slice(80, 380), id="creeps, then is at speed at once"),
        pytest.param(np.concatenate([table((1.0, 300)), CREEP]), slice(0, 300), id="at speed, then creeps at once"),
        pytest.param(np.concatenate([np.linspace(0, 1, 150), table((1.0, 300))]), slice(0, 450), id="gathers speed"),
        pytest.param(np.concatenate([table((1.0, 300)), np.linspace(1, 0, 100), CREEP]), slice(0, 480), id="brakes and stands"),
        pytest.param(table((0.45, 80), (1.5, 300)), slice(0, 380), id="goes, and not slowly"),
        pytest.param(table((0.1, 200)), slice(0, 200), id="creeps all the time"),
    ],
)
def test_what_creeps_before_it_runs_was_not_there(speed_px: np.ndarray, expected: slice) -> None:
    """A shaking hand leaves a little of its motion, and the path takes it for a train that hardly moves."""
    axis = speed_axis(WIDTH_PX)
    states = np.round(stretched(speed_px) / BIN).astype(np.int64) + len(axis) // 2
    n = len(states)
    shot = SimpleNamespace(width_px=WIDTH_PX, interval_s=1 / FPS, age=np.full(n, 4.0))
    _cut_unseen_standing(shot, states)  # type: ignore[arg-type]
    kept = np.zeros(n, bool)
    kept[expected] = True
    assert np.count_nonzero((states != NO_TRAIN) != kept) <= 8
