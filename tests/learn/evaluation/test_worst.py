"""Which pictures are the worst, and what is said of them."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from tests.support.evaluations import BMD, BMP, LEAVES, TANK, TRUCK, A, B, C, D, Row, found, truth_of
from vision.learn.evaluation.operating import score_pictures
from vision.learn.evaluation.worst import DEAREST, WorstPicture, thumbnail, worst_pictures
from vision.taxonomy import default_taxonomy

Pictures = list[tuple[list[tuple[list[int], int]], list[Row]]]


def worst(*pictures: tuple[list[tuple[list[int], int]], list[Row]], limit: int = 9) -> list[WorstPicture]:
    truth = truth_of(*(boxes for boxes, _ in pictures))
    scored = score_pictures(truth, [found(*rows) for _, rows in pictures], LEAVES)
    return worst_pictures(scored, 0.3, default_taxonomy(), limit=limit)


def test_the_order_and_the_words() -> None:
    found_ = worst(
        ([(A, TANK)], [(A, 0.9, TANK)]),  # right: not in the list
        ([(A, BMP)], [(A, 0.9, BMD)]),  # right at parent level
        ([(A, BMP)], [(A, 0.8, TANK)]),  # sure and wrong
        ([], [(D, 0.4, TANK)]),  # false, not sure
        ([(A, TRUCK), (B, TRUCK)], []),  # two missed
    )
    assert [(w.picture.row["id"], [m.words() for m in w.mistakes]) for w in found_] == [
        (5, ["truck missed", "truck missed"]),
        (3, ["bmp taken for tank 0.80"]),
        (4, ["tank 0.40 on no true box"]),
    ]
    assert [w.loss for w in found_] == [
        pytest.approx(2 * DEAREST),
        pytest.approx(-np.log(0.2), abs=1e-3),
        pytest.approx(-np.log(0.6), abs=1e-3),
    ]


def test_only_the_three_dearest_count() -> None:
    crowd = worst(([(A, TANK), (B, TANK), (C, TANK), (D, TANK)], []))[0]
    assert crowd.loss == pytest.approx(3 * DEAREST)
    assert len(crowd.mistakes) == 4


def test_a_sure_mistake_costs_no_more_than_a_miss() -> None:
    assert worst(([], [(A, 0.999999, TANK)]))[0].loss == pytest.approx(DEAREST)


def test_the_list_ends() -> None:
    pictures: Pictures = [([(A, TANK)], [])] * 5
    assert len(worst(*pictures, limit=3)) == 3
    assert worst(*pictures, limit=0) == []


def test_thumbnails_are_small_jpegs() -> None:
    kind, _, data = thumbnail(np.full((600, 1200, 3), 90, np.uint8)).partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 480, 3)
