"""Figures put beside figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluations import LEAVES, PERFECT, TANK, A, B, found, small_truth
from vision.errors import InputError, UsageError
from vision.learn.evaluation.beside import differences, parse_without, read_evaluation, without_rows
from vision.learn.evaluation.precision import LEVELS, match, picture_draws
from vision.taxonomy import default_taxonomy
from vision.types import Detections


def evaluation(**parts: float) -> dict[str, Any]:
    rows = [
        {"level": level, "part": f"source={name}", "pictures": 7, "classes": {"tank": {"boxes": 9}}, "map50": value}
        for name, value in parts.items()
        for level in ("parent", "leaf")
    ]
    return {"figures": rows, "false_alarms": {}}


@pytest.mark.parametrize("text", ["a", "=x", "a=", ""])
def test_without_needs_a_name_and_a_file(text: str) -> None:
    with pytest.raises(UsageError, match="give NAME=FILE"):
        parse_without([text])


def test_without_pairs() -> None:
    assert parse_without(["a=x.json", "b=y=z.json"]) == {"a": Path("x.json"), "b": Path("y=z.json")}
    with pytest.raises(UsageError, match="names a twice"):
        parse_without(["a=x", "a=y"])


def test_rows_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "without.json"
    path.write_text(json.dumps({**evaluation(yard=0.4), "weights": {"name": "w"}}), encoding="utf-8")
    (row,) = without_rows({"yard": path}, evaluation(yard=0.6, other=0.1))
    assert (row["source"], row["weights"]) == ("yard", "w")
    assert row["without"]["map50"] == {"parent": 0.4, "leaf": 0.4, "any": None}
    assert row["normal"]["map50"] == {"parent": 0.6, "leaf": 0.6, "any": None}
    assert row["without"]["boxes"] == 9
    # An evaluation of a set without that source has nothing to put beside.
    assert without_rows({"yard": path}, evaluation(other=0.1))[0]["normal"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not the JSON of an evaluation"),
        ("[]", "is not the JSON of an evaluation"),
        ('{"figures": [{}]}', "is not the JSON of an evaluation"),
        (json.dumps({**evaluation(yard=0.1), "false_alarms": []}), "false_alarms are no object"),
        (json.dumps(evaluation(yard="good")), "the mAP50 of source=yard is 'good'"),  # type: ignore[arg-type]
        (json.dumps(evaluation(yard=0.1)).replace("leaf", "twig"), "of 'source=yard' at level 'twig'"),
        (json.dumps(evaluation(yard=0.1)).replace('"boxes": 9', '"boxes": []'), "is not the JSON of an evaluation"),
        (json.dumps(evaluation(yard=0.1)).replace('{"tank": {"boxes": 9}}', "[]"), "is not the JSON of an evaluation"),
        (json.dumps(evaluation(other=0.1)), "no figures of the source 'yard', only of other"),
        (json.dumps(evaluation()), "only of none"),
    ],
)
def test_what_is_no_evaluation(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        without_rows({"yard": path}, evaluation(yard=1.0))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        read_evaluation(tmp_path / "none.json")


def test_differences_are_paired() -> None:
    pytest.importorskip("pycocotools")
    truth, tree = small_truth(), default_taxonomy()
    worse = (found((A, 0.9, TANK), (B, 0.5, TANK)), *PERFECT[1:])
    one, other = ([match(truth, d, LEAVES, level, tree, sizes=False) for level in LEVELS] for d in (PERFECT, worse))
    draws = picture_draws(truth, 100)
    parent, leaf, whole = differences(one, other, draws)
    assert (parent.first, parent.second, parent.difference) == (pytest.approx(1), pytest.approx(0.5), pytest.approx(-0.5))
    assert parent.interval is not None
    assert parent.interval[0] <= -0.5 <= parent.interval[1] <= 0
    assert leaf.difference == pytest.approx(-0.5)
    # A tank is a vehicle, too: not the least difference, in no draw.
    assert (whole.difference, whole.interval) == (pytest.approx(0), pytest.approx((0, 0)))
    same = differences(one, one, draws)
    assert [d.interval for d in same] == [pytest.approx((0, 0))] * 3


def test_no_boxes_no_difference() -> None:
    pytest.importorskip("pycocotools")
    truth = small_truth().only([3])
    matched = [match(truth, [Detections.empty()], LEAVES, "parent", default_taxonomy(), sizes=False)]
    (row,) = differences(matched, matched, picture_draws(truth, 10))
    assert (row.first, row.difference, row.interval) == (None, None, None)
