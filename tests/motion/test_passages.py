from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.motion.clips import Film, film, measure, passages_of, scene
from tests.motion.test_path import TRAIN_BANDS, Scene
from tests.support.clips import variable_rate
from vision.config import MotionConfig
from vision.motion.passages import GAP_BRIDGED, STANDING, find_passages, standing_passage
from vision.synth.scene import Condition, Knots, Load, SceneSpec, TrainSpec, Wagon, whole_duration_s
from vision.types import Passage, Shot


def found(clip: Film, *, slip_px: float = 6.0) -> Passage:
    """The one passage of a clip, which must follow the truth to ``slip_px`` over a view."""
    (passage,) = passages_of(clip.measured())
    assert passage.direction == clip.truth.trains[0].heading
    assert clip.slip_px(passage) < slip_px
    return passage


@pytest.fixture(scope="module")
def steady() -> Film:
    return film(scene(1, speed_px=5.0))


@pytest.fixture(scope="module")
def slow() -> Film:
    return film(scene(1, flatcars=1, speed_px=1.3))


def test_a_steady_train(steady: Film) -> None:
    passage = found(steady, slip_px=3.0)
    truth = steady.truth.trains[0]
    assert passage.length_px == pytest.approx(truth.length_px, rel=0.06)
    assert passage.speed_px_s == pytest.approx(125.0, rel=0.03)
    assert (passage.head_seen, passage.tail_seen) == (True, True)
    assert (passage.start_s, passage.end_s) == pytest.approx((truth.start_s, truth.end_s), abs=0.4)
    assert passage.flags == ()


@pytest.mark.parametrize(("contrast", "slip_px"), [(1.0, 2.0), (0.5, 5.0), (0.4, 6.0)])
def test_a_slow_train_in_the_grain_of_the_night(slow: Film, contrast: float, slip_px: float) -> None:
    rng = np.random.default_rng(3)
    grain = [rng.normal(0, 8, grey.shape) if contrast < 1 else 0.0 for grey in slow.grey]
    grey = [np.clip(60 + contrast * (g - 60.0) + n, 0, 255).astype(np.uint8) for g, n in zip(slow.grey, grain, strict=True)]
    (passage,) = passages_of(measure(grey, slow.pts_s, slow.spec))
    assert slow.slip_px(passage) < slip_px


@pytest.mark.parametrize("every", [2, 3, 5])
def test_a_slow_train_in_a_file_with_doubled_frames(slow: Film, every: int) -> None:
    """The coordinate follows the train, not the half of its way that a repeat seems to leave."""
    shown = [i - (i % every == every - 1) for i in range(len(slow.grey))]
    (passage,) = passages_of(measure([slow.grey[i] for i in shown], slow.pts_s, slow.spec))
    assert slow.slip_px(passage) < 5.0
    assert passage.flags == ()


@pytest.mark.parametrize(
    ("condition", "seed", "slip_px"),
    [
        ("shake", 1, 4.0),
        ("pan", 1, 5.0),
        ("pan", 3, 5.0),
        ("follow", 1, 10.0),
        ("accelerate", 1, 5.0),
        ("stop", 1, 8.0),
        ("reverse", 2, 12.0),
        ("poles", 1, 5.0),
        ("captions", 1, 5.0),
        ("dark", 1, 8.0),
    ],
)
@pytest.mark.slow
def test_whatever_camera_and_train_do(condition: Condition, seed: int, slip_px: float) -> None:
    found(film(scene(seed, condition=condition)), slip_px=slip_px)


@pytest.mark.slow
def test_a_slow_train_and_a_camera_that_sways_faster() -> None:
    spec = scene(3, flatcars=1, speed_px=1.6)
    camera = replace(spec.camera, sway_px=60.0, sway_period_s=6.0)  # up to 2.5 px a frame, both ways
    passage = found(film(replace(spec, camera=camera)), slip_px=6.0)
    assert passage.speed_px_s == pytest.approx(40.0, rel=0.05)


def identical(pitch_px: float, *, speed_px: float) -> SceneSpec:
    """Empty flatcars that all look the same, so far apart."""
    scale = pitch_px / 14.62
    load = Load("bmp", 7.31, 6.7, appearance=5)
    wagons = tuple(Wagon("flatcar", 14.62, (load,), appearance=3) for _ in range(14))
    train = TrainSpec(wagons, "right", scale, 140.0, Knots(((0.0, speed_px * 25 / scale),)), 0.6)
    spec = replace(scene(2), trains=(train,))
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=0.6))


@pytest.mark.parametrize("speed_px", [12.0, 34.0])
def test_identical_wagons_do_not_alias(speed_px: float) -> None:
    """Beyond half a pitch a frame (30 px) the nearest match is a wagon further on, running the other way."""
    passage = found(film(identical(60.0, speed_px=speed_px)), slip_px=8.0)
    assert passage.speed_px_s == pytest.approx(speed_px * 25, rel=0.03)


@pytest.mark.parametrize(("drop_every", "slip_px"), [(7, 4.0), (3, 5.0)])
def test_dropped_frames(steady: Film, drop_every: int, slip_px: float) -> None:
    kept = [i for i in range(len(steady.grey)) if i % drop_every]
    (passage,) = passages_of(steady.measured(kept))
    assert steady.slip_px(passage) < slip_px


def test_dropped_frames_whose_times_lie(steady: Film) -> None:
    """A recorder that lost frames and stamped the others evenly: the train seems to jump."""
    kept = [i for i in range(len(steady.grey)) if i % 10 != 5]
    series = measure([steady.grey[i] for i in kept], [n / 25 for n in range(len(kept))], steady.spec)
    (passage,) = passages_of(series)
    true = steady.truth.trains[0].displacement_px[kept][np.searchsorted(series.pts_s, passage.pts_s)]
    error = passage.displacement_px - true
    assert np.ptp(error) < 8.0


def test_doubled_frames(steady: Film) -> None:
    chosen = [i for i in range(len(steady.grey)) for _ in range(2 if i % 5 == 0 else 1)]
    series = measure([steady.grey[i] for i in chosen], [n / 25 for n in range(len(chosen))], steady.spec)
    (passage,) = passages_of(series)
    true = steady.truth.trains[0].displacement_px[chosen][np.searchsorted(series.pts_s, passage.pts_s)]
    assert np.ptp(passage.displacement_px - true) < 0.03 * np.ptp(true)


def test_variable_frame_rate() -> None:
    found(film(variable_rate(scene(4, speed_px=5.0))), slip_px=5.0)


def test_two_trains_are_two_passages() -> None:
    first = scene(1, flatcars=1, speed_px=6.0)
    second = replace(
        first.trains[0], heading="left" if first.trains[0].heading == "right" else "right", entry_s=first.duration_s + 1
    )
    spec = replace(first, trains=(first.trains[0], second))
    clip = film(replace(spec, duration_s=whole_duration_s(spec, lead_out_s=0.6)))
    passages = passages_of(clip.measured())
    assert [p.direction for p in passages] == [t.heading for t in clip.truth.trains]
    for passage, truth in zip(passages, clip.truth.trains, strict=True):
        assert (passage.start_s, passage.end_s) == pytest.approx((truth.start_s, truth.end_s), abs=0.5)


@pytest.mark.parametrize("condition", ["fixed", "pan", "shake"])
@pytest.mark.parametrize("seed", [11, 12])
def test_no_train_no_passage(condition: Condition, seed: int) -> None:
    spec = replace(scene(seed, condition=condition), trains=(), duration_s=6.0)
    assert passages_of(film(spec).measured()) == []


def test_a_clip_that_begins_and_ends_within_the_train(steady: Film) -> None:
    truth = steady.truth.trains[0]
    inside = [i for i, t in enumerate(steady.pts_s) if truth.start_s + 1.2 < t < truth.end_s - 1.2]  # type: ignore[operator]
    (passage,) = passages_of(steady.measured(inside))
    assert (passage.head_seen, passage.tail_seen) == (False, False)


def test_each_shot_has_its_own_passage(steady: Film) -> None:
    series = steady.measured()
    middle = len(series) // 2
    times = series.pts_s
    shots = [Shot(0, float(times[0]), float(times[middle])), Shot(1, float(times[middle + 1]), float(times[-1]))]
    passages, _ = find_passages(series, shots, MotionConfig())
    assert [p.shot_index for p in passages] == [0, 1]
    assert [(p.head_seen, p.tail_seen) for p in passages] == [(True, False), (False, True)]


def test_a_shot_too_short_is_named(steady: Film) -> None:
    series = steady.measured(range(3))
    _, dropped = find_passages(series, [Shot(0, 0.0, 0.0)], MotionConfig())
    assert [(d.what, d.reason) for d in dropped] == [("shot", "too_short")]


@pytest.mark.parametrize(
    ("second_px", "gap_frames", "claimed"),
    [(1.5, 200, False), (1.0, 200, False), (-1.5, 200, True), (0.6, 200, True), (1.5, 800, True)],
)
def test_a_train_that_comes_again_at_once_was_lost_meanwhile(second_px: float, gap_frames: int, claimed: bool) -> None:
    """No signal lets another one follow so soon: neither the first one's tail nor the second one's head was seen."""
    last = 340 + gap_frames + 300
    speed_px = np.full(last + 40, np.nan)
    speed_px[40:340], speed_px[340 + gap_frames : last] = 1.5, second_px
    series = Scene(last + 40, [(speed_px, TRAIN_BANDS, 0.6)]).series()
    first, second = passages_of(series)
    assert (first.head_seen, first.tail_seen) == (True, claimed)
    assert (second.head_seen, second.tail_seen) == (claimed, True)


def test_a_gap_between_leaps_is_bridged_at_the_speed_beside_them() -> None:
    """Frames are lost where the train is: it seems faster for moments on both sides."""
    speed_px = np.full(700, np.nan)
    speed_px[40:660] = 1.0
    speed_px[300:330] = np.nan
    speed_px[[296, 333]] += 4.0
    (passage,) = passages_of(Scene(700, [(speed_px, TRAIN_BANDS, 0.6)]).series())
    assert passage.flags == (GAP_BRIDGED,)
    assert (passage.head_seen, passage.tail_seen) == (True, True)


def test_a_standing_passage_follows_the_camera() -> None:
    spec = replace(scene(5, condition="pan"), trains=(), duration_s=4.0)
    clip = film(spec)
    series = clip.measured()
    passage = standing_passage(series, Shot(0, float(series.pts_s[0]), float(series.pts_s[-1])))
    assert passage.flags == (STANDING,)
    assert passage.direction == "still"
    assert np.ptp(passage.displacement_px - clip.truth.background_px) < 4.0


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
@pytest.mark.slow
def test_a_mirror_mirrors_the_motion(seed: int) -> None:
    clip = film(scene(seed, flatcars=1, speed_px=6.0))
    mirrored = [np.ascontiguousarray(grey[:, ::-1]) for grey in clip.grey]
    (passage,), (other,) = passages_of(clip.measured()), passages_of(measure(mirrored, clip.pts_s, clip.spec))
    assert {passage.direction, other.direction} == {"left", "right"}
    common = np.intersect1d(passage.pts_s, other.pts_s)
    mismatch = passage.displacement_at(common) + other.displacement_at(common)
    assert np.ptp(mismatch) < 2.0
    assert other.length_px == pytest.approx(passage.length_px, rel=0.03)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), every=st.sampled_from([2, 3]))
@pytest.mark.slow
def test_another_frame_rate_gives_the_same_coordinate(seed: int, every: int) -> None:
    clip = film(scene(seed, flatcars=1, speed_px=4.0))
    (passage,) = passages_of(clip.measured())
    (other,) = passages_of(clip.measured(range(0, len(clip.grey), every)))
    common = np.intersect1d(passage.pts_s, other.pts_s)
    assert np.ptp(passage.displacement_at(common) - other.displacement_at(common)) < 5.0
    assert other.speed_px_s == pytest.approx(passage.speed_px_s, rel=0.05)
