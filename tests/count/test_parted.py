import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.count.scenes import HEIGHT_PX, WIDTH_PX, looks_at, passage_along, running
from vision.count.coordinate import place_detections, tabulate_looks
from vision.count.parted import Pairs, Scale, pairs_of, two_groups
from vision.count.tracks import Track, linked, rate_of


def pairs_from(rows: list[tuple[int, int, float]]) -> Pairs:
    first, second, weight = (np.array(column) for column in zip(*rows, strict=True))
    none = np.zeros(len(rows))
    return Pairs(first.astype(np.int64), second.astype(np.int64), none, none, none + 1.0, weight.astype(np.float64))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_two_groups_are_found_though_some_pairs_err(data: st.DataObject) -> None:
    n = data.draw(st.integers(4, 14))
    true = np.array(data.draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    rows = [(i, j, 5.0 * true[i] * true[j]) for i in range(n) for j in range(i + 1, n)]
    wrong = set(rng.choice(len(rows), size=len(rows) // 10, replace=False).tolist())
    rows = [(i, j, -0.4 * w if k in wrong else w) for k, (i, j, w) in enumerate(rows)]
    sides, component = two_groups(n, pairs_from(rows))
    assert len(set(component.tolist())) == 1
    assert abs(int((sides * true).sum())) == n


def test_what_is_never_in_view_together_says_nothing_of_each_other() -> None:
    sides, component = two_groups(5, pairs_from([(0, 1, -9.0), (2, 3, 4.0)]))
    assert component[0] == component[1] != component[2] == component[3]
    assert len(set(component.tolist())) == 3
    assert sides[0] != sides[1]
    assert sides[2] == sides[3]


def tracks_of(seed: int, speeds: tuple[float, ...], *, found: float = 0.9) -> list[Track]:
    """Tracks of trains on rows of their own, in the coordinate of the first."""
    rng = np.random.default_rng(seed)
    trains = [
        running(v, 4, rng=rng, lasts_s=40.0, enters_s=3.0 * k, foot_px=220.0 - 30 * k) for k, v in enumerate(speeds, start=1)
    ]
    looks = looks_at(trains, rng, found=found)
    passage = passage_along(trains[0].pts_s, trains[0].moved_px)
    table, _, _ = tabulate_looks(passage, looks, 640)
    return linked(place_detections(table, looks, 640), table, width_px=WIDTH_PX, height_px=HEIGHT_PX)


@pytest.mark.parametrize("found", [1.0, 0.6])
@pytest.mark.parametrize("speeds", [(50.0,), (-70.0,), (50.0, 62.0), (-50.0, -35.0)])
def test_a_track_is_one_vehicle(speeds: tuple[float, ...], found: float) -> None:
    tracks = tracks_of(3, speeds, found=found)
    assert len(tracks) == 4 * len(speeds)
    for track in tracks:
        assert np.ptp(track.foot_px) < 20  # rows of two trains lie 30 px apart
        rate, error = rate_of(track.pts_s, track.place_px, least_px=1.0)
        own = (220.0 - np.median(track.foot_px)) / 30
        expected = speeds[round(float(own)) - 1] - speeds[0]
        assert rate == pytest.approx(expected, abs=max(5 * error, 0.5))


@pytest.mark.parametrize(("speeds", "least", "most"), [((50.0,), 0.0, 7.0), ((50.0, 56.0), -25.0, -5.0)])
def test_pairs_say_whether_distances_last(speeds: tuple[float, ...], least: float, most: float) -> None:
    tracks = tracks_of(5, speeds)
    pairs = pairs_of(tracks, Scale(50.0, WIDTH_PX, 640.0))
    foot = np.array([float(np.median(track.foot_px)) for track in tracks])
    across = np.abs(foot[pairs.first] - foot[pairs.second]) > 15
    asked = across if len(speeds) > 1 else ~across
    asked &= pairs.advance_px > 200
    assert asked.any()
    assert (pairs.weight[asked] >= least).all()
    assert (pairs.weight[asked] <= most).all()


def test_rate_of_shrugs_off_some_boxes_of_another_vehicle() -> None:
    t = np.arange(0, 10, 0.2)
    place = 3.0 * t + np.random.default_rng(1).normal(0, 0.5, len(t))
    place[-4:] += 25.0
    rate, error = rate_of(t, place, least_px=0.5)
    assert rate == pytest.approx(3.0, abs=0.2)
    # ... but is less sure of itself.
    assert error > 2 * rate_of(t[:-4], place[:-4], least_px=0.5)[1]
