"""One box for one object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.detect.objects import pool_objects
from vision.types import Detections

NAMES = ("tank", "bmp", "bmd", "btr", "truck", "zeppelin")
HERE, SHIFTED, BESIDE = (10, 10, 60, 40), (12, 10, 62, 40), (70, 10, 120, 40)


def found(*rows: tuple[tuple[int, int, int, int], float, str]) -> Detections:
    return Detections.of([box for box, _, _ in rows], [score for _, score, _ in rows], [NAMES.index(name) for _, _, name in rows])


@pytest.mark.parametrize(
    ("rows", "min_score", "expected"),
    [
        pytest.param([], 0.3, [], id="nothing"),
        pytest.param([(HERE, 0.4, "tank")], 0.3, [("tank", 0.4)], id="one"),
        pytest.param([(HERE, 0.2, "tank")], 0.3, [], id="too low"),
        pytest.param([(HERE, 0.2, "bmp"), (HERE, 0.2, "btr")], 0.3, [("bmp", 0.36)], id="two classes make one sure object"),
        pytest.param([(HERE, 0.2, "tank"), (SHIFTED, 0.2, "tank")], 0.3, [], id="one class twice is no surer"),
        pytest.param([(HERE, 0.4, "tank"), (BESIDE, 0.5, "btr")], 0.3, [("btr", 0.5), ("tank", 0.4)], id="neighbours stay two"),
        pytest.param(
            [(HERE, 0.3, "truck"), (HERE, 0.2, "bmp"), (HERE, 0.2, "bmd")],
            0.3,
            [("bmp", 0.552)],
            id="the parent with the larger sum",
        ),
        pytest.param(
            [(HERE, 0.3, "zeppelin"), (HERE, 0.1, "tank")], 0.3, [("zeppelin", 0.37)], id="a foreign class is its own parent"
        ),
    ],
)
def test_boxes_of_one_object_are_pooled(rows: list, min_score: float, expected: list[tuple[str, float]]) -> None:
    pooled = pool_objects(found(*rows), NAMES, min_score=min_score)
    assert [NAMES[i] for i in pooled.class_id] == [name for name, _ in expected]
    assert pooled.score == pytest.approx([score for _, score in expected], abs=1e-5)


def test_the_box_is_that_of_the_best_score() -> None:
    pooled = pool_objects(found((SHIFTED, 0.3, "tank"), (HERE, 0.5, "bmp")), NAMES, min_score=0.3)
    assert pooled.xyxy_px.tolist() == [list(HERE)]


@given(
    st.lists(
        st.tuples(st.sampled_from([HERE, SHIFTED, BESIDE]), st.floats(0.05, 0.99), st.sampled_from(NAMES)), min_size=1, max_size=8
    ),
    st.randoms(),
)
def test_pooling_depends_on_no_order_and_loses_no_score(rows: list, random: object) -> None:
    rows = [(box, round(score + 0.001 * i, 4), name) for i, (box, score, name) in enumerate(rows)]  # no ties
    pooled = pool_objects(found(*rows), NAMES, min_score=0.0)
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    again = pool_objects(found(*mixed), NAMES, min_score=0.0)
    assert np.allclose(np.sort(pooled.score), np.sort(again.score))
    assert pooled.score.max() >= max(score for _, score, _ in rows) - 1e-6
    assert 1 <= len(pooled) <= 2
