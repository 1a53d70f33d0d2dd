import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.synth.drawn import DrawnAssets
from vision.synth.edit import clock_of, doubled, dropped, jumped, sped, variable_rate, with_clock
from vision.synth.render import Renderer
from vision.synth.scene import random_scene

FPS = 25.0
PLAIN = (np.arange(250) / FPS, np.arange(250) / FPS)
SPEC = random_scene(4, condition="fixed", width_px=160, height_px=90, flatcars=2)


@given(cuts=st.lists(st.tuples(st.floats(0.5, 9), st.floats(0, 2)), max_size=3))
def test_a_jump_takes_out_what_it_says_and_closes_up(cuts: list[tuple[float, float]]) -> None:
    spans = [(start, start + long) for start, long in cuts]
    scene_s, pts_s = jumped(PLAIN, spans, fps=FPS)
    gone = [t for t in PLAIN[0] if any(a <= t < b for a, b in spans)]
    assert sorted([*scene_s, *gone]) == pytest.approx(PLAIN[0])
    assert np.diff(pts_s) == pytest.approx(1 / FPS)


@given(at_s=st.floats(1, 9), rate=st.floats(0.3, 4))
def test_speed_maps_times_piece_by_piece(at_s: float, rate: float) -> None:
    scene_s, pts_s = sped(PLAIN, [(0.0, 1.0), (at_s, rate)], fps=FPS)
    expected = np.where(pts_s < at_s, pts_s, at_s + (pts_s - at_s) * rate)
    assert set(scene_s) <= set(PLAIN[0])
    assert np.all(np.diff(scene_s) >= 0)
    assert np.all(np.abs(scene_s - expected) <= 1 / FPS + 1e-5)
    assert pts_s[-1] == pytest.approx(at_s + (10.0 - at_s) / rate, abs=2 / FPS + 1e-9)  # two frames, to the last bit


@given(repeat=st.lists(st.booleans(), min_size=250, max_size=250))
def test_a_doubled_frame_shows_the_last_fresh_one(repeat: list[bool]) -> None:
    scene_s, pts_s = doubled(PLAIN, np.array(repeat))
    assert np.array_equal(pts_s, PLAIN[1])
    for i in range(1, 250):
        assert scene_s[i] == (scene_s[i - 1] if repeat[i] else PLAIN[0][i])


@given(drop=st.lists(st.booleans(), min_size=250, max_size=250).filter(lambda drop: not all(drop)), closed_up=st.booleans())
def test_dropped_frames_are_gone_with_or_without_a_gap(drop: list[bool], closed_up: bool) -> None:
    scene_s, pts_s = dropped(PLAIN, np.array(drop), closed_up=closed_up, fps=FPS)
    kept = PLAIN[0][~np.array(drop)]
    assert np.array_equal(scene_s, kept)
    assert pts_s == pytest.approx(np.arange(len(kept)) / FPS if closed_up else kept)


def test_a_variable_rate_shows_every_moment_when_it_was() -> None:
    scene_s, pts_s = variable_rate(SPEC, np.random.default_rng(3))
    assert np.array_equal(scene_s, pts_s)
    gaps = np.diff(pts_s)
    assert gaps.min() > 0.5 / FPS
    assert gaps.max() < 3 / FPS
    assert gaps.std() > 0.1 / FPS


def test_a_clip_without_frames_or_with_turned_time_is_refused() -> None:
    with pytest.raises(ValueError, match="one after the other"):
        with_clock(SPEC, (np.zeros(0), np.zeros(0)))
    with pytest.raises(ValueError, match="one after the other"):
        with_clock(SPEC, (np.zeros(2), np.zeros(2)))


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_the_truth_of_an_edited_clip_is_the_old_truth_at_the_mapped_times(data: st.DataObject) -> None:
    clock = clock_of(SPEC)
    start_s = data.draw(st.floats(1, 6))
    edited_clock = jumped(clock, [(start_s, start_s + data.draw(st.floats(0.2, 4)))], fps=FPS)
    edited_clock = sped(edited_clock, [(0.0, data.draw(st.sampled_from([0.5, 1.0, 2.0])))], fps=FPS)
    spec = with_clock(SPEC, edited_clock)
    old, new = (Renderer(s, DrawnAssets()).truth() for s in (SPEC, spec))
    for was, now in zip(old.trains[0].vehicles, new.trains[0].vehicles, strict=True):
        assert was.position_px == pytest.approx(now.position_px)
        scene_s = np.array(spec.times_s)
        shown = (scene_s >= was.visible_from_s - 1e-9) & (scene_s <= was.visible_to_s + 1e-9)
        assert (now.visible_from_s is not None) == shown.any()
        if shown.any():
            assert now.visible_from_s == pytest.approx(new.pts_s[np.argmax(shown)])


def test_a_frame_shown_twice_is_the_same_picture_to_the_grain() -> None:
    repeat = np.zeros(len(SPEC.frame_times_s()), bool)
    repeat[41] = True
    renderer = Renderer(with_clock(SPEC, doubled(clock_of(SPEC), repeat)), DrawnAssets())
    assert np.array_equal(renderer.frame(40), renderer.frame(41))
    assert not np.array_equal(renderer.frame(41), renderer.frame(42))
