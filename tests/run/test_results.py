from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.results import SHA, make_passage, make_result, make_train, make_vehicle
from vision.errors import TruthError
from vision.run.ledger import Ledger
from vision.run.results import load_results, result_from_json, result_to_json, stored_result, write_result
from vision.run.store import PASSAGE_ARRAYS, RunFolder, passage_scalars
from vision.types import Dropped, Interval, VideoResult

NAN = float("nan")


def assert_same(a: VideoResult, b: VideoResult) -> None:
    for name in ("path", "sha256", "status", "reason", "duration_s", "sightings", "dropped"):
        assert getattr(a, name) == getattr(b, name)
    assert len(a.trains) == len(b.trains)
    for s, t in zip(a.trains, b.trains, strict=True):
        for name in ("vehicles", "counts", "total", "wagons", "speed_m_s", "flags"):
            assert getattr(s, name) == getattr(t, name)
        assert passage_scalars(s.passage) == passage_scalars(t.passage)
        for name in PASSAGE_ARRAYS:
            p, q = getattr(s.passage, name), getattr(t.passage, name)
            assert p.dtype == q.dtype
            np.testing.assert_array_equal(p, q)


results = st.builds(
    make_result,
    path=st.sampled_from(["a.mp4", "поезд/b.mp4", "c\udcff.mp4", "<script>.mp4"]),
    reason=st.text(max_size=20),
    duration_s=st.none() | st.floats(0, 1e5),
    sightings=st.integers(0, 99),
    dropped=st.lists(
        st.builds(Dropped, st.just("frame"), st.text(max_size=9), st.integers(1, 9), st.none() | st.floats(0, 9))
    ).map(tuple),
)
trains = st.builds(
    lambda classes, **fields: make_train(*classes, **fields),
    st.lists(st.sampled_from(["tank", "bmp", "car", "truck"]), max_size=5),
    passage=st.builds(make_passage, frames=st.integers(1, 9), speed_px_s=st.floats(0, 1e3), tail_seen=st.booleans()),
    wagons=st.none() | st.just(Interval(20, 19, 22)),
    speed_m_s=st.none() | st.floats(0, 40),
    flags=st.lists(st.text(max_size=9), max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(result=results, found=st.lists(trains, max_size=2))
def test_json_roundtrip(result: VideoResult, found: list[Any]) -> None:
    result = make_result(
        *found, **{name: getattr(result, name) for name in ("path", "reason", "duration_s", "sightings", "dropped")}
    )
    text = json.dumps(result_to_json(result), allow_nan=False)
    assert_same(result_from_json(json.loads(text)), result)


def test_numbers_that_are_not_finite_survive() -> None:
    vehicle = make_vehicle(score=NAN, position_px=float("inf"), xyxy_px=(0.0, NAN, 1.0, float("-inf")))
    passage = make_passage(speed_px_s=float("nan"), displacement_px=np.full(50, np.nan))
    result = make_result(make_train(passage=passage, vehicles=(vehicle,), speed_m_s=NAN), duration_s=float("inf"))
    text = json.dumps(result_to_json(result), allow_nan=False)
    again = result_from_json(json.loads(text))
    assert np.isnan(again.trains[0].passage.displacement_px).all()
    assert repr(again.trains[0].vehicles) == repr(result.trains[0].vehicles)
    assert repr(again.trains[0].speed_m_s) == "nan"
    assert again.duration_s == float("inf")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.update(schema=9), "schema 9"),
        (lambda d: d.pop("trains"), "KeyError: 'trains'"),
        (lambda d: d["trains"][0].pop("total"), "KeyError: 'total'"),
        (lambda d: d["trains"][0]["total"].update(low=99), "not an interval"),
        (lambda d: d["trains"][0]["passage"]["arrays"].update(trust=[1]), "trust has shape"),
        (lambda d: d["trains"][0]["vehicles"][0].update(colour="red"), "colour"),
        (lambda d: d.update(trains=7), "TypeError"),
        (lambda d: d.update(duration_s="long"), "ValueError"),
    ],
)
def test_what_is_not_a_result(spoil: Any, says: str) -> None:
    data = result_to_json(make_result(make_train("tank")))
    spoil(data)
    with pytest.raises(TruthError, match=says):
        result_from_json(data)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"7"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    with RunFolder.create(tmp_path / "run") as run:
        path = write_result(run, make_result())
        path.write_bytes(content)
        with pytest.raises(TruthError, match=path.name):
            stored_result(run, SHA)


def test_results_follow_the_ledger(tmp_path: Path) -> None:
    """Done, failed with a stored result, failed without one, a repost, gone, and still queued."""
    names = ["a", "b", "c", "d", "e", "f"]
    with RunFolder.create(tmp_path / "run") as run, Ledger.open(run.path, create=True) as ledger:
        ledger.plan([Path(f"{name}.mp4") for name in names])
        rows = dict(zip(names, ledger.pending(), strict=True))
        dropped = (Dropped("frame", "corrupt", 61),)
        done = make_result(make_train("tank"), path="a.mp4")
        failed = VideoResult(Path("b.mp4"), "b" * 64, "failed", "too_many_corrupt_frames: 61", 2.0, dropped=dropped)
        broken = VideoResult(Path("c.mp4"), "", "failed", "unreadable: not a video")
        repost = VideoResult(Path("d.mp4"), SHA, "skipped", "duplicate: the same file as a.mp4")
        gone = make_result(path="e.mp4", sha256="e" * 64)
        for result in (done, failed, repost):
            write_result(run, result)
        for name, result in zip(names, (done, failed, broken, repost, gone), strict=False):
            ledger.finish(rows[name], result)
        found = load_results(run, ledger.rows())
        assert [str(r.path) for r in found] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
        for result, expected in zip(found, (done, failed, broken, repost), strict=False):
            assert_same(result, expected)
        assert found[4].status == "failed"
        assert found[4].reason.startswith("result_missing: ")
        stored = stored_result(run, SHA)
        assert stored is not None
        assert_same(stored, done)
        assert stored_result(run, "") is None
        assert stored_result(run, SHA[:16] + "0" * 48) is None
