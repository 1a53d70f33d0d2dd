"""Shots that no train passes: a short piece of a passage, a standing train, and somebody who walks past one."""

import numpy as np
import pytest

from tests.motion.clips import Film, film, scene
from vision.config import MotionConfig
from vision.motion.meter import MotionSeries
from vision.motion.passages import BRIEF, STANDING, counted_after_all, find_passages
from vision.run.unpassed import unpassed
from vision.types import Detections, Dropped, Look, Passage, Shot

CONFIG = MotionConfig()
FIRST, FRAMES = 150, 45
"""A piece out of the middle: the train moves by a quarter of the picture."""


@pytest.fixture(scope="module")
def clip() -> Film:
    return film(scene(1, flatcars=1, speed_px=1.8))


@pytest.fixture(scope="module")
def piece(clip: Film) -> MotionSeries:
    return clip.measured(range(FIRST, FIRST + FRAMES))


def shots_of(series: MotionSeries) -> list[Shot]:
    return [Shot(0, float(series.pts_s[0]), float(series.pts_s[-1]))]


def looks_at(series: MotionSeries, step_px: float, *, boxes: int = 2) -> list[Look]:
    """A look every fifth frame at vehicles that go by so much a frame, starting well inside the picture."""
    out = []
    for k in range(0, len(series), 5):
        x0 = np.array([90.0, 170.0])[:boxes] + step_px * k
        found = Detections.of(np.stack([x0, x0 * 0 + 80, x0 + 50, x0 * 0 + 105], axis=1), [0.9] * boxes, [0] * boxes)
        out.append(Look(k, float(series.pts_s[k]), found))
    return out


def other(series: MotionSeries, looks: list[Look]) -> list[Passage]:
    return unpassed(series, shots_of(series), [], looks, CONFIG)


def test_a_short_piece_of_a_passage_is_no_passing_train_by_itself(piece: MotionSeries) -> None:
    passages, dropped = find_passages(piece, shots_of(piece), CONFIG)
    assert passages == []
    assert [d.reason for d in dropped] == ["too_little_motion"]


def test_with_vehicles_that_move_with_it_it_counts(clip: Film, piece: MotionSeries) -> None:
    displacement_px = clip.truth.trains[0].displacement_px[FIRST : FIRST + FRAMES]
    step_px = float(np.diff(displacement_px).mean())
    (passage,) = other(piece, looks_at(piece, step_px))
    assert passage.flags == (BRIEF,)
    assert passage.direction == clip.truth.trains[0].heading
    assert (passage.head_seen, passage.tail_seen) == (False, False)
    # From the first frame to the last, though it takes some to see motion.
    assert (passage.start_s, passage.end_s) == (float(piece.pts_s[0]), float(piece.pts_s[-1]))
    assert np.ptp(passage.displacement_px) == pytest.approx(np.ptp(displacement_px), abs=2.0)


def test_vehicles_that_stand_while_something_moves_are_a_standing_train(piece: MotionSeries) -> None:
    (passage,) = other(piece, looks_at(piece, 0.0))
    assert STANDING in passage.flags


@pytest.mark.parametrize("passing", [False, True])
def test_no_vehicles_or_a_passing_train_leave_nothing_to_add(piece: MotionSeries, passing: bool) -> None:
    looks = looks_at(piece, 0.0, boxes=2 if passing else 0)
    passages = other(piece, looks_at(piece, 0.0)) if passing else []
    assert unpassed(piece, shots_of(piece), passages, looks, CONFIG) == []


def test_what_counts_after_all_is_not_left_out(piece: MotionSeries) -> None:
    brief = other(piece, looks_at(piece, 1.8)) + other(piece, looks_at(piece, -1.8))
    (passage,) = [p for p in brief if BRIEF in p.flags]
    mine, later = Dropped("train", "too_little_motion", at_s=passage.start_s), Dropped("train", "too_little_motion", at_s=99.0)
    short = Dropped("train", "too_short", at_s=passage.start_s)
    assert counted_after_all([mine, later, short], [passage]) == [later, short]
    assert counted_after_all([mine], []) == [mine]
