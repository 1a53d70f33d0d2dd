from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from tests.support.fake_runs import draw_train
from tests.support.results import make_passage, make_train
from vision.errors import TruthError
from vision.motion.strip import Strip
from vision.report.strip import _Along, _Place, _round_step, _row_breaks, colour_of, draw_strip, mark_strip
from vision.run.store import RunFolder
from vision.run.strips import load_strip, save_strip

TRAIN = "3f5a3f5a-0-0"


def strip_of(picture: np.ndarray) -> Strip:
    return Strip(picture, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_vehicles_are_placed_where_they_are(direction: Literal["left", "right"], scale: float) -> None:
    strip, train, columns = draw_train(6, direction=direction)
    strip = dataclasses.replace(strip, scale=scale)
    along = _Along.of(strip, train, None)
    assert along.head_at == direction
    for vehicle, x in zip(train.vehicles, columns, strict=True):
        place = _Place.of(vehicle, along)
        assert (place.left + place.right) / 2 == pytest.approx(x * scale, abs=1)
        assert along.position_px(along.column(vehicle.position_px)) == pytest.approx(vehicle.position_px)
    # One box cut off at the picture's edge does not shift the others.
    x0, y0, x1, y1 = train.vehicles[0].xyxy_px
    cut = dataclasses.replace(train.vehicles[0], xyxy_px=(x0 + 80, y0, x1, y1))
    again = _Along.of(strip, dataclasses.replace(train, vehicles=(cut, *train.vehicles[1:])), None)
    assert again.head_column == pytest.approx(along.head_column, abs=1)


def test_a_vehicle_is_framed_in_its_colour() -> None:
    strip, train, columns = draw_train(3)
    drawing = draw_strip(strip, train)
    zoom = 220 / 180
    value = int(colour_of("tank")[1:], 16)
    wanted = (value & 255, value >> 8 & 255, value >> 16)
    edge = round(12 + (columns[0] - 85) * zoom)
    near = drawing[:, edge - 3 : edge + 4].reshape(-1, 3)
    assert (near == wanted).all(axis=1).sum() > 100


@pytest.mark.parametrize(
    ("shape", "vehicles"),
    [((180, 400), 0), ((20, 30), 0), ((900, 1200), 0), ((1, 1), 0), ((180, 40000), 0), ((180, 4600), 14)],
)
@pytest.mark.parametrize("px_per_m", [None, 20.0, 0.01])
def test_any_strip_is_drawn(shape: tuple[int, int], vehicles: int, px_per_m: float | None) -> None:
    train = draw_train(vehicles)[1] if vehicles else make_train()
    drawing = draw_strip(strip_of(np.full((*shape, 3), 90, np.uint8)), train, px_per_m=px_per_m)
    assert drawing.dtype == np.uint8
    assert drawing.shape[1] <= 1600 + 24
    assert drawing.shape[0] < 65_000


@pytest.mark.parametrize("direction", ["still", "unknown", "left", "right"])
@pytest.mark.parametrize("head_seen", [True, False])
def test_a_train_without_vehicles_has_a_ruler_too(direction: str, head_seen: bool) -> None:
    train = make_train(passage=make_passage(direction=direction, head_seen=head_seen))
    assert draw_strip(strip_of(np.full((100, 700, 3), 90, np.uint8)), train).shape[0] > 220


@pytest.mark.parametrize("picture", [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32)])
def test_not_a_strip(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a strip is"):
        draw_strip(strip_of(picture), make_train())


def test_rows_are_cut_between_vehicles() -> None:
    strip, train, _ = draw_train(14)
    along = _Along.of(strip, train, None)
    places = [_Place.of(vehicle, along) for vehicle in train.vehicles]
    breaks = _row_breaks(places, length=4600, longest=1300)
    assert breaks[0] == 0
    assert breaks[-1] == 4600
    for a, b in pairwise(breaks):
        assert 0 < b - a <= 1300
    for cut in breaks[1:-1]:
        assert not any(p.left <= cut <= p.right for p in places)


@pytest.mark.parametrize(("at_least", "step"), [(0.7, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (90, 100), (0.03, 0.05)])
def test_round_step(at_least: float, step: float) -> None:
    assert _round_step(at_least) == pytest.approx(step)


def test_unknown_class_is_grey() -> None:
    assert colour_of("zeppelin") == "#555555"


def test_a_strip_is_stored_and_marked(tmp_path: Path) -> None:
    strip, train, _ = draw_train(3)
    with RunFolder.create(tmp_path / "run") as run:
        assert mark_strip(run, TRAIN, train) is None
        assert save_strip(run, TRAIN, strip, px_per_m=20.0) == f"strips/{TRAIN}.jpg"
        loaded = load_strip(run, TRAIN)
        assert loaded is not None
        assert loaded[1] == 20.0
        assert loaded[0].picture.shape == strip.picture.shape
        assert (loaded[0].origin_px, loaded[0].scale, loaded[0].top_px) == (strip.origin_px, strip.scale, strip.top_px)
        path = mark_strip(run, TRAIN, train)
        assert path is not None
        assert cv2.imread(str(path)).shape == draw_strip(strip, train).shape


@pytest.mark.parametrize(
    ("name", "content"),
    [(".jpg", b""), (".jpg", b"text"), (".json", b"{"), (".json", b"{}"), (".json", b"[]"), (".json", b'{"scale": "x"}')],
)
def test_a_damaged_strip_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    strip, train, _ = draw_train(3)
    with RunFolder.create(tmp_path / "run") as run:
        save_strip(run, TRAIN, strip)
        (run.path / "strips" / f"{TRAIN}{name}").write_bytes(content)
        with pytest.raises(TruthError, match=f"{TRAIN}.*is damaged"):
            mark_strip(run, TRAIN, train)
