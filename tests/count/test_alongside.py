from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.count.scenes import VIEW_PX, WIDTH_PX, Columns, Running, looks_at, passage_along, running
from vision.count.alongside import part_trains, stretched_shots
from vision.motion.passages import STANDING, TRAINS_ABREAST
from vision.types import FloatArray, Passage

LASTS_S = 46.0
SPEED_PX_S = 52.0


def two(ratio: float, way: int, rng: np.random.Generator, *, foot_px: tuple[float, float] = (220.0, 196.0)) -> list[Running]:
    near = running(way * SPEED_PX_S, 6, rng=rng, lasts_s=LASTS_S, foot_px=foot_px[0])
    far = running(way * SPEED_PX_S * ratio, 5, rng=rng, lasts_s=LASTS_S, enters_s=9.0, foot_px=foot_px[1])
    return [near, far]


def merged(trains: list[Running], over_s: float) -> Passage:
    """One passage for both: it follows the first train, and from a time on the second."""
    pts_s = trains[0].pts_s
    share = np.clip((pts_s - over_s) / 1.5 + 0.5, 0, 1)[1:]
    steps = np.diff(trains[0].moved_px) * (1 - share) + np.diff(trains[1].moved_px) * share
    moved = np.concatenate([[0.0], np.cumsum(steps)])
    first_s = min(train.seen_s()[0] for train in trains) - 0.5
    last_s = max(train.seen_s()[1] for train in trains) + 0.5
    inside = (pts_s >= first_s) & (pts_s <= last_s)
    return passage_along(pts_s[inside], moved[inside])


def strays_px(passage: Passage, train: Running) -> float:
    """How far a passage's coordinate strays from a train's while that shows vehicles."""
    first_s, last_s = train.seen_s()
    t = passage.pts_s[(passage.pts_s >= first_s) & (passage.pts_s <= last_s)]
    return float(np.ptp(passage.displacement_at(t) - np.interp(t, train.pts_s, train.moved_px)))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([0.75, 0.88, 1.1, 1.2, 1.4]),
    way=st.sampled_from([-1, 1]),
    over_s=st.sampled_from([12.0, 22.0, 99.0]),
    looks_per_s=st.sampled_from([2.0, 5.0]),
    rows=st.sampled_from([(220.0, 196.0), (220.0, 208.0)]),
)
def test_two_trains_in_one_passage_are_parted(
    seed: int, ratio: float, way: int, over_s: float, looks_per_s: float, rows: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    trains = two(ratio, way, rng, foot_px=rows)
    passages = part_trains([merged(trains, over_s)], looks_at(trains, rng, looks_per_s=looks_per_s))
    assert len(passages) == 2
    assert all(TRAINS_ABREAST in p.flags and p.direction == ("right" if way > 0 else "left") for p in passages)
    assert passages[0].start_s <= passages[1].start_s
    for passage, train in zip(passages, trains, strict=True):
        first_s, last_s = train.seen_s()
        assert passage.start_s <= first_s + 0.5
        assert passage.end_s >= last_s - 0.5
        assert strays_px(passage, train) < 0.4 * WIDTH_PX


def test_passages_that_follow_their_trains_stay_as_they_are() -> None:
    rng = np.random.default_rng(5)
    trains = two(0.7, 1, rng)
    passages = [passage_along(train.pts_s, train.moved_px, flags=(TRAINS_ABREAST,)) for train in trains]
    parted = part_trains(passages, looks_at(trains, rng))
    assert all(a is b for a, b in zip(parted, passages, strict=True))


def test_pieces_of_two_trains_are_put_together() -> None:
    rng = np.random.default_rng(6)
    trains = two(1.25, -1, rng)
    whole = merged(trains, 99.0)
    pieces = []
    for first_s, last_s in ((0.0, 21.0), (23.0, 60.0)):
        inside = (whole.pts_s >= first_s) & (whole.pts_s <= last_s)
        pieces.append(passage_along(whole.pts_s[inside], whole.displacement_px[inside]))
    parted = part_trains(pieces, looks_at(trains, rng))
    assert len(parted) == 2
    for passage, train in zip(parted, trains, strict=True):
        assert strays_px(passage, train) < 0.2 * WIDTH_PX


def test_two_passages_of_one_train_each_are_left_alone() -> None:
    rng = np.random.default_rng(7)
    first = running(80.0, 3, rng=rng, lasts_s=LASTS_S, enters_s=1.0)
    second = running(60.0, 3, rng=rng, lasts_s=LASTS_S, enters_s=20.0)
    passages = []
    for train in (first, second):
        begin_s, end_s = train.seen_s()
        inside = (train.pts_s >= begin_s) & (train.pts_s <= end_s)
        passages.append(passage_along(train.pts_s[inside], train.moved_px[inside]))
    assert passages[1].start_s > passages[0].end_s
    parted = part_trains(passages, looks_at([first, second], rng))
    assert all(a is b for a, b in zip(parted, passages, strict=True))


def test_two_passages_that_follow_one_train_at_once_are_one() -> None:
    rng = np.random.default_rng(8)
    train = running(50.0, 8, rng=rng, lasts_s=LASTS_S)
    pieces = []
    for first_s, last_s in ((2.0, 22.0), (18.0, 44.0)):
        inside = (train.pts_s >= first_s) & (train.pts_s <= last_s)
        pieces.append(passage_along(train.pts_s[inside], train.moved_px[inside]))
    parted = part_trains(pieces, looks_at([train], rng))
    assert [(p.start_s, p.end_s) for p in parted] == [(2.0, 44.0)]
    assert strays_px(parted[0], train) < 1.0


@pytest.mark.parametrize("one", [True, False])
def test_a_vehicle_that_goes_on_says_whether_two_passages_are_one(one: bool) -> None:
    # The second passage begins beside the first at a wrong speed. Or a train without vehicles ends while the other's are in view.
    rng = np.random.default_rng(8)
    train = running(50.0, 8, rng=rng, lasts_s=LASTS_S)
    wrong_px = np.where(train.pts_s < 22.0, 0.8, 1.0) * np.gradient(train.moved_px, train.pts_s) / 25
    coordinates = (train.moved_px, np.cumsum(wrong_px)) if one else (0.8 * train.moved_px, train.moved_px)
    pieces = []
    for (first_s, last_s), moved_px in zip(((2.0, 22.0), (14.0, 44.0)), coordinates, strict=True):
        inside = (train.pts_s >= first_s) & (train.pts_s <= last_s)
        pieces.append(passage_along(train.pts_s[inside], moved_px[inside]))
    parted = part_trains(pieces, looks_at([train], rng))
    assert len(parted) == (1 if one else 2)


@pytest.mark.parametrize(
    ("from_s", "to_s", "seen"), [(9.0, 44.0, (True, True)), (22.0, 44.0, (False, True)), (9.0, 20.0, (True, False))]
)
@pytest.mark.parametrize("way", [1, -1])
def test_a_train_found_late_claims_no_head(from_s: float, to_s: float, seen: tuple[bool, bool], way: int) -> None:
    rng = np.random.default_rng(4)
    near, far = two(-0.7, way, rng)  # the other way: nothing else mends its passage
    passages = [passage_along(near.pts_s, near.moved_px, flags=(TRAINS_ABREAST,))]
    inside = (far.pts_s >= from_s) & (far.pts_s <= to_s)
    passages.append(passage_along(far.pts_s[inside], far.moved_px[inside], flags=(TRAINS_ABREAST,)))
    looks = [look for look in looks_at([near, far], rng) if look.pts_s <= to_s or seen[1]]
    claims = {round(p.start_s): (p.head_seen, p.tail_seen) for p in part_trains(passages, looks)}
    assert claims[round(from_s)] == seen


def _oblique(k: float) -> Columns:
    def columns(x_px: FloatArray) -> FloatArray:
        u = x_px / VIEW_PX - 0.5
        return np.asarray(VIEW_PX * (0.5 + u * (1 + k / 2) / (1 + k * u)))

    return columns


def _braking(seconds: FloatArray) -> FloatArray:
    return np.clip(60.0 - 5.0 * np.clip(seconds - 8, 0, None), 6.0, None)


SECONDS = np.arange(round(LASTS_S * 25) + 1) / 25


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("speed", "columns", "parked", "slip_share"),
    [
        (50.0, None, (), 0.0),
        (-50.0, None, (100.0, 420.0), 0.0),
        (_braking(SECONDS), None, (), 0.0),
        (50.0, _oblique(0.5), (), 0.0),
        (50.0, _oblique(-0.9), (), 0.0),
        (50.0, None, (), 0.2),
    ],
    ids=["steady", "parked cars", "braking", "oblique", "very oblique", "slipping"],
)
def test_one_train_is_never_two(
    seed: int, speed: float | FloatArray, columns: Columns | None, parked: tuple[float, ...], slip_share: float
) -> None:
    rng = np.random.default_rng(seed)
    train = running(speed, 8, rng=rng, lasts_s=LASTS_S)
    # A registration that slips does so for all vehicles alike.
    slipped = train.moved_px * np.where(SECONDS < 20, 1.0, 1.0 - slip_share)
    passage = passage_along(train.pts_s, slipped)
    parted = part_trains([passage], looks_at([train], rng, columns=columns, parked_px=parked))
    assert len(parted) == 1
    assert parted[0] is passage


@pytest.mark.parametrize(("ratio", "columns", "stretched"), [(0.75, None, False), (1.0, _oblique(-0.9), True)])
def test_two_passages_of_a_train_in_perspective_are_disproved(ratio: float, columns: Columns | None, stretched: bool) -> None:
    rng = np.random.default_rng(11)
    trains = two(ratio, 1, rng)[: 1 if stretched else 2]
    speeds = (1.0, ratio if ratio != 1 else 0.6)
    passages = [passage_along(SECONDS, k * trains[0].moved_px, flags=(TRAINS_ABREAST,)) for k in speeds]
    looks = looks_at(trains, rng, columns=columns)
    assert stretched_shots(passages, looks) == (frozenset({0}) if stretched else frozenset())
    assert stretched_shots(passages[:1], looks) == frozenset()


def test_a_lone_lorry_beside_the_train_is_a_doubt_and_no_train() -> None:
    rng = np.random.default_rng(3)
    train = running(50.0, 6, rng=rng, lasts_s=LASTS_S)
    lorry = running(62.0, 1, rng=rng, lasts_s=LASTS_S, enters_s=8.0, foot_px=250.0)
    passage = passage_along(train.pts_s, train.moved_px)
    parted = part_trains([passage], looks_at([train, lorry], rng))
    assert len(parted) == 1
    assert TRAINS_ABREAST in parted[0].flags
    assert np.array_equal(parted[0].displacement_px, passage.displacement_px)


@pytest.mark.parametrize("found", [(0, 1), (0,), (1,)])
def test_a_train_the_other_way_is_none_of_it(found: tuple[int, ...]) -> None:
    rng = np.random.default_rng(9)
    trains = [
        running(50.0, 6, rng=rng, lasts_s=LASTS_S),
        running(-40.0, 6, rng=rng, lasts_s=LASTS_S, enters_s=6.0, foot_px=196.0),
    ]
    passages = [passage_along(train.pts_s, train.moved_px) for train in trains]
    passages = [passages[k] for k in found]
    parted = part_trains(passages, looks_at(trains, rng))
    assert {id(p) for p in parted} == {id(p) for p in passages}


def test_without_boxes_or_motion_nothing_is_said() -> None:
    rng = np.random.default_rng(1)
    trains = two(1.2, 1, rng)
    passage = merged(trains, 99.0)
    assert part_trains([], []) == []
    assert part_trains([passage], []) == [passage]
    standing = replace(passage, direction="still", flags=(STANDING,))
    assert part_trains([standing], looks_at(trains, rng)) == [standing]
