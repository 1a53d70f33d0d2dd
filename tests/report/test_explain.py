"""Explaining a count: what is drawn stands where it is, and files appear whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clips import small_scene
from tests.support.detectors import ScriptedDetector
from tests.support.films import FilmDetector, film, passing, scene_of, standing
from vision.cli import main
from vision.config import Config, VideoConfig
from vision.errors import FlatcarError, InputError, OutputError
from vision.report import explain_video
from vision.report.explain import draw_clip, draw_train, view_of
from vision.report.explain_canvas import Canvas, bgr_of, round_step, shortened, text_width, wrapped
from vision.report.explain_files import Wish, write_explanation
from vision.report.explain_map import DROPPED, class_colour
from vision.report.explain_truth import truth_of
from vision.report.explain_video import FILM_FPS, FrameMarks, plan_film, write_film
from vision.run.explain import VideoCase, explain_clip, explain_run
from vision.run.ledger import Ledger
from vision.run.scan import scan
from vision.synth.encode import truth_rows, write_truth
from vision.synth.render import SceneTruth
from vision.synth.score import TruthVehicle, read_truth
from vision.types import Detections
from vision.video import VideoReader

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "sample.mp4"
DAY = ROOT / "tests" / "real" / "trainbot" / "day.mp4"
FIVE = ("tank", "bmp", "truck", "btr", "tank")


@dataclass(frozen=True)
class Clip:
    """A simulated clip, who knows it, and what is true of it."""

    path: Path
    detector: FilmDetector
    truth: SceneTruth
    truth_path: Path

    def case(self) -> VideoCase:
        return explain_clip(self.path, config=Config(), detector_factory=self.detector.fresh().factory())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clip]:
    """Clips by name, each made once: ``left``, ``right``, ``pan``, ``standing``, ``none``."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Clip] = {}
    scenes = {
        "left": lambda: passing(*FIVE),
        "right": lambda: passing(*FIVE, heading="right"),
        "pan": lambda: small_scene(4, condition="pan"),
        "standing": lambda: scene_of(standing("tank", "bmp"), duration_s=3.0),
        "none": lambda: scene_of(duration_s=1.0),
    }

    def clip(name: str) -> Clip:
        if name not in made:
            path, detector, (truth,) = film(folder / f"{name}.mp4", scenes[name]())
            write_truth(folder / f"{name}.ndjson", truth_rows(truth, video=path.name))
            made[name] = Clip(path, detector, truth, folder / f"{name}.ndjson")
        return made[name]

    return clip


@pytest.fixture(scope="module")
def run(clips: Callable[[str], Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the clips ``left`` and ``none``."""
    folder = tmp_path_factory.mktemp("run")
    detector = FilmDetector()
    for name in ("left", "none"):
        detector.learn(clips(name).detector)
    scan([clips("left").path, clips("none").path], folder / "run", config=Config(), detector_factory=detector.factory())
    return folder / "run"


def flatcar(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# ---- Places -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["left", "right", "pan"])
def test_numbers_in_the_film_follow_the_true_vehicles(clips: Callable[[str], Clip], name: str, tmp_path: Path) -> None:
    clip = clips(name)
    case = clip.case()
    (passage,) = case.passages
    assert len(passage.counted.train.vehicles) == len(clip.truth.trains[0].vehicles)
    seen: list[FrameMarks] = []
    views = [view_of(case, passage, None, None)]
    plan = write_film(tmp_path / "film.mp4", case, views, longest_s=6.0, on_frame=seen.append)
    offsets_px = []
    for marks in seen:
        boxes = clip.truth.boxes(int(np.argmin(np.abs(clip.truth.pts_s - marks.pts_s))))
        left_px = (640 - case.wh_px[0] * marks.scale) / 2
        for vehicle, box, fraction in zip(boxes.vehicle, boxes.xyxy_px, boxes.fraction, strict=True):
            if fraction > 0.99 and passage.passage.start_s <= marks.pts_s <= passage.passage.end_s:
                x = (marks.numbers[int(vehicle)][0] - left_px) / marks.scale
                offsets_px.append(x - (box[0] + box[2]) / 2)
    assert len(offsets_px) > 60
    assert np.abs(offsets_px).max() < 6  # of the video's 480 or 320 columns
    frames = list(av.open(str(tmp_path / "film.mp4")).decode(video=0))
    assert len(frames) == len(seen)
    assert frames[-1].time == pytest.approx(plan.film_s(seen[-1].pts_s), abs=0.02)
    assert (frames[0].width % 2, frames[0].height % 2) == (0, 0)


@pytest.mark.parametrize("name", ["left", "right"])
def test_numbers_in_the_picture_stand_on_the_true_places_in_their_colour(clips: Callable[[str], Clip], name: str) -> None:
    clip = clips(name)
    case = clip.case()
    (passage,) = case.passages
    truth = truth_of(case, read_truth(clip.truth_path))
    drawn = draw_train(case, passage, truth=truth)
    numbers = drawn.marks.numbers
    assert sorted(numbers) == list(range(5))
    columns = [numbers[i][0] for i in range(5)]
    assert columns == sorted(columns, reverse=name == "right")
    true_columns = [x for (x, _), missed in drawn.marks.truth if not missed]
    assert sorted(columns) == pytest.approx(true_columns, abs=4)
    # Distances are the train's own: the same scale between all of them.
    true_px = np.array([v.position_px for v in clip.truth.trains[0].vehicles])
    zoom, rest = np.polyfit(true_px, columns, 1)
    assert np.abs(true_px * zoom + rest - columns).max() < 5
    for vehicle in passage.counted.train.vehicles:
        x, y = (round(v) for v in numbers[vehicle.index])
        near = drawn.picture[y - 12 : y + 13, x - 60 : x + 60].reshape(-1, 3).astype(int)
        assert (np.abs(near - class_colour(vehicle.class_name)).max(axis=1) < 8).sum() > 30


def test_each_probability_and_each_box_has_its_place(clips: Callable[[str], Clip]) -> None:
    case = clips("left").case()
    (passage,) = case.passages
    view = view_of(case, passage, None, None)
    first, last = view.span_px()
    boxes = list(view.boxes())
    assert boxes
    for box in boxes:
        assert first <= box.s0_px < box.s1_px <= last
        place = passage.counted.trace.places[box.place] if box.place >= 0 else None
        if not box.reason:
            assert place is not None
            assert place.vehicle >= 0
            assert place.s0_px < (box.s0_px + box.s1_px) / 2 < place.s1_px
    breaks = view.breaks_px((last - first) / 3)
    assert breaks[0] == first
    assert breaks[-1] == last
    assert not any(p.s0_px < cut < p.s1_px for p in passage.counted.trace.places for cut in breaks[1:-1])


def test_what_was_missed_and_what_is_extra_is_marked_where_it_is(clips: Callable[[str], Clip]) -> None:
    clip = clips("left")
    case = clip.case()
    (train,) = read_truth(clip.truth_path)
    assert train.listed is not None
    # The fourth is none, and one more stands between the first two.
    between_px = 0.7 * train.listed[0].position_px + 0.3 * train.listed[1].position_px
    listed = (*train.listed[:3], train.listed[4], TruthVehicle("sam", between_px, 50.0))
    truth = truth_of(case, [replace(train, listed=listed)])
    (passage,) = case.passages
    of = truth.of[str(passage.train_id)]
    assert of.extra == {3}
    assert (of.misses, of.wrong_class) == (1, 0)
    assert of.marks is not None
    places = {p.vehicle: p.centre_px for p in passage.counted.trace.places}
    (missed,) = (mark for mark in of.marks if mark.vehicle is None)
    assert missed.class_name == "sam"
    assert missed.s_px == pytest.approx(0.7 * places[0] + 0.3 * places[1], abs=4)
    drawn = draw_train(case, passage, truth=truth)
    assert [flag for _, flag in drawn.marks.truth].count(True) == 1
    ((x, _),) = (at for at, flag in drawn.marks.truth if flag)
    assert x == pytest.approx(0.7 * drawn.marks.numbers[0][0] + 0.3 * drawn.marks.numbers[1][0], abs=4)


def test_a_wrong_class_is_named_and_its_parent_is_none(clips: Callable[[str], Clip]) -> None:
    case = clips("left").case()
    (train,) = read_truth(clips("left").truth_path)
    assert train.listed is not None
    listed = (TruthVehicle("sam", train.listed[0].position_px, train.listed[0].width_px), *train.listed[1:])
    (of,) = truth_of(case, [replace(train, listed=listed)]).of.values()
    assert [(m.class_name, m.counted_as) for m in of.marks or () if m.counted_as] == [("sam", "tank")]


@pytest.mark.parametrize("truth_case", ["another video", "no list", "another time"])
def test_truth_that_says_little(clips: Callable[[str], Clip], truth_case: str) -> None:
    case = clips("left").case()
    (train,) = read_truth(clips("left").truth_path)
    other = {
        "another video": replace(train, video="other.mp4"),
        "no list": replace(train, listed=None),
        "another time": replace(train, start_s=900.0, end_s=901.0),
    }[truth_case]
    truth = truth_of(case, [other])
    assert (truth.trains, len(truth.of), len(truth.missed)) == {
        "another video": (0, 0, 0),
        "no list": (1, 1, 0),
        "another time": (1, 0, 1),
    }[truth_case]
    assert all(of.marks is None for of in truth.of.values())
    assert draw_train(case, case.passages[0], truth=truth).picture.shape[1] == 1600


# ---- The film's plan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trains_s", "duration_s", "longest_s", "spans_s", "pace"),
    [
        ([(5.0, 15.0)], 30.0, 60.0, ((4.0, 16.0),), 1.0),
        ([(0.5, 2.5)], 30.0, 60.0, ((0.0, 3.5),), 0.5),  # short: at half speed
        ([(5.0, 15.0), (16.5, 20.0)], 20.5, 60.0, ((4.0, 20.5),), 1.0),
        ([(40.0, 50.0), (5.0, 15.0)], 90.0, 60.0, ((4.0, 16.0), (39.0, 51.0)), 1.0),
        ([(10.0, 610.0)], 700.0, 60.0, ((9.0, 611.0),), 602 / 60),  # long: faster
        ([], 300.0, 60.0, ((0.0, 61.0),), 61 / 60),
        ([], 3.0, 60.0, ((0.0, 3.0),), 0.5),
        ([(1.0, 9.0)], 9.0, 8.0, ((0.0, 9.0),), 9 / 8),
    ],
)
def test_plan(trains_s, duration_s, longest_s, spans_s, pace) -> None:
    plan = plan_film(trains_s, duration_s, longest_s=longest_s)
    assert plan.spans_s == spans_s
    assert plan.pace == pytest.approx(pace)


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0.1, 100)), max_size=5),
    st.floats(1, 120),
    st.lists(st.floats(0, 700), min_size=2, max_size=9),
)
def test_no_film_is_longer_than_allowed_and_its_time_never_runs_back(trains, longest_s, moments) -> None:
    trains_s = [(a, a + length) for a, length in trains]
    plan = plan_film(trains_s, 700.0, longest_s=longest_s)
    shown = [plan.film_s(t) for t in sorted(moments)]
    times = [t for t in shown if t is not None]
    assert times == sorted(times)
    assert all(0 <= t <= longest_s + 1e-6 for t in times)
    for first, last in trains_s:
        assert plan.film_s(first) is not None
        assert plan.film_s(last) is not None


def test_a_film_is_no_longer_than_asked(clips: Callable[[str], Clip], tmp_path: Path) -> None:
    clip = clips("left")
    out = tmp_path / "out"
    wish = Wish(longest_s=2.0)
    written = write_explanation(clip.path, out, wish=wish, detector_factory=clip.detector.fresh().factory())
    (video,) = (path for path in written.files if path.suffix == ".mp4")
    frames = list(av.open(str(video)).decode(video=0))
    assert frames[-1].time <= 2.0
    assert len(frames) <= 2.0 * FILM_FPS + 1


# ---- Clips and runs ---------------------------------------------------------------------------------------------------------


def test_a_run_is_explained_as_its_clip_is(clips: Callable[[str], Clip], run: Path) -> None:
    fresh, stored = clips("left").case(), explain_run(run, config=Config(), video="left.mp4")
    assert [p.train_id for p in stored.passages] == [p.train_id for p in fresh.passages]
    assert stored.passages[0].counted.trace.places == fresh.passages[0].counted.trace.places
    assert stored.motion is not None
    assert fresh.motion is not None
    np.testing.assert_allclose(stored.motion.background_px, fresh.motion.background_px[: len(stored.motion.pts_s)], atol=1e-6)
    assert stored.passages[0].frame is not None
    # Without decoding the same picture, but for the bands and the coherence.
    only = explain_run(run, config=Config(), video="left.mp4", decode=False)
    assert only.motion is None
    assert draw_train(only, only.passages[0]).marks == draw_train(stored, stored.passages[0]).marks


def test_the_command_on_a_run(run: Path, clips: Callable[[str], Clip], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = flatcar("explain", run, "--video", "left", "--truth", clips("left").truth_path, "--out", out, "--no-video")
    assert (result.exit_code, result.stderr) == (0, "")
    (picture,) = out.iterdir()
    assert result.stdout == f"{picture}\n"
    assert cv2.imread(str(picture)).shape[1] == 1600
    assert not list(run.glob("**/*explain*"))


def test_a_clip_without_a_train_still_has_a_picture(run: Path, tmp_path: Path) -> None:
    result = flatcar("explain", run, "--video", "none.mp4", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "no train was found in none.mp4" in result.stderr
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".mp4", ".png"]


def test_a_standing_train_is_explained_in_its_own_coordinate(clips: Callable[[str], Clip], tmp_path: Path) -> None:
    case = clips("standing").case()
    (passage,) = case.passages
    assert passage.passage.direction == "still"
    truth = truth_of(case, read_truth(clips("standing").truth_path))
    drawn = draw_train(case, passage, truth=truth)
    assert len(drawn.marks.numbers) == 2
    assert [missed for _, missed in drawn.marks.truth] == [False, False]


def test_a_video_that_moved_gives_pictures_and_says_so(run: Path, clips: Callable[[str], Clip], tmp_path: Path) -> None:
    path = clips("left").path
    away = path.rename(tmp_path / "away.mp4")
    try:
        result = flatcar("explain", run, "--video", "left.mp4", "--out", tmp_path / "out")
        assert result.exit_code == 0
        assert result.stderr.count("\n") == 1
        assert "is not there any more" in result.stderr
        assert [p.suffix for p in (tmp_path / "out").iterdir()] == [".png"]
        # Another file in its place is not taken for it.
        shutil.copy(clips("none").path, path)
        assert "another file" in explain_run(run, config=Config(), video="left.mp4").notes[0]
        path.unlink()
        # Told where it lies now, it is found by its content.
        case = explain_run(run, config=Config(), video=str(away))
        assert case.watchable
        assert case.notes == ()
    finally:
        path.unlink(missing_ok=True)
        away.rename(path)


def test_a_run_counted_otherwise_says_so(run: Path) -> None:
    strict = Config.model_validate({"count": {"min_existence": 1.0}})
    case = explain_run(run, config=strict, video="left.mp4", decode=False)
    assert any("the run's tables say 5, here it is 0" in note for note in case.notes)
    assert len(case.passages[0].counted.trace.places) == 5
    drawn = draw_train(case, case.passages[0])
    assert (len(drawn.marks.numbers), len(drawn.marks.places)) == (0, 5)


def test_a_run_being_written_is_named(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    with Ledger.open(copy, create=True) as ledger:
        ledger.mark_running(next(row for row in ledger.rows() if row.path.name == "left.mp4"))
    with pytest.raises(InputError, match=r"left\.mp4 is not finished in this run \(running\); wait"):
        explain_run(copy, config=Config(), video="left.mp4")
    explain_run(copy, config=Config(), video="none.mp4", decode=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("nowhere", "there is no nowhere"),
        ("folder", "is a folder and no run"),
        ("text.txt", "text.txt"),
        ("table.ndjson", "is no video"),
        ("run", "choose one with --video: left.mp4, none.mp4"),
        ("run --video other", "has no video other; it has: left.mp4, none.mp4"),
        ("run --video left --train 1", "has no train 1; it has: "),
        ("run --video none --train 1", "has no train 1; it has none"),
        ("run --video left --weights x", "--weights: a run has been looked at already"),
        ("run --video left --truth nowhere", "cannot read nowhere"),
        ("run --video left --truth bad.ndjson", "bad.ndjson:1: not JSON"),
        ("run --video left --config bad.toml", "bad.toml is not valid TOML"),
        ("clip.mp4 --video left", "--video chooses among the videos of a run"),
        ("clip.mp4 --weights nowhere.xml", "nowhere.xml"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Path,
    clips: Callable[[str], Clip],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("text.txt", "table.ndjson", "bad.ndjson", "bad.toml"):
        (tmp_path / name).write_text("nonsense {\n")
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "clip.mp4").symlink_to(clips("left").path)
    result = flatcar("explain", *arguments.split(), "--out", "out")
    assert result.exit_code in {1, 2}
    assert result.stderr.startswith("flatcar: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "run"])
def test_an_output_that_cannot_be_is_refused_before_anything_is_decoded(
    run: Path, clips: Callable[[str], Clip], tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").touch()
    detector = clips("left").detector.fresh()
    where = run if out == "run" else tmp_path / "file"
    with pytest.raises(OutputError, match="give another --out"):
        write_explanation(clips("left").path, where, wish=Wish(), detector_factory=detector.factory())
    assert detector.looks == 0


def test_a_film_that_fails_leaves_no_half_of_it(
    clips: Callable[[str], Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, drawn = explain_video._draw, []

    def break_down(*arguments: object, **more: object) -> object:
        drawn.append(1)
        if len(drawn) == 20:
            raise OSError(28, "No space left on device")
        return draw(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(explain_video, "_draw", break_down)
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="No space left"):
        write_explanation(clips("left").path, out, wish=Wish(), detector_factory=clips("left").detector.fresh().factory())
    # The picture was finished; of the film nothing is there.
    assert [path.suffix for path in out.iterdir()] == [".png"]


def test_a_detector_that_fails_leaves_nothing(clips: Callable[[str], Clip], tmp_path: Path) -> None:
    path = clips("left").path
    with pytest.raises(FlatcarError, match="out of memory"):
        write_explanation(path, tmp_path / "out", wish=Wish(), detector_factory=_failing(clips("left")).factory())
    assert not (tmp_path / "out").exists()


def _failing(clip: Clip) -> FilmDetector:
    return clip.detector.fresh(fail_on=[clip.path])


# ---- Real clips -------------------------------------------------------------------------------------------------------------


def test_a_real_train_with_boxes_that_are_left_out() -> None:
    """A box at a fixed place of the picture does not go with the train, and is named so."""
    detector = ScriptedDetector(lambda _: Detections.of([[120.0, 130.0, 180.0, 170.0]], [0.9], [0]))
    case = explain_clip(DAY, config=Config(), detector_factory=lambda: detector)
    (passage,) = case.passages
    view = view_of(case, passage, None, None)
    reasons = [box.reason for box in view.boxes()]
    assert set(reasons) <= DROPPED.keys() | {""}
    assert reasons.count("moves_with_background") > 0.9 * len(reasons) > 30
    assert draw_train(case, passage).picture.shape[1] == 1600
    assert case.motion is not None
    with VideoReader(DAY, VideoConfig()) as reader:
        assert len(case.motion.pts_s) == sum(1 for _ in reader)
    middle = case.motion.frame_at((passage.passage.start_s + passage.passage.end_s) / 2)
    # The train fills the middle of the picture, the wall behind it the top.
    assert case.motion.train_bands[middle - 5 : middle + 5].mean(axis=0).argmax() in range(3, 11)
    assert case.motion.background_bands[middle - 5 : middle + 5, 0].mean() > 0.3


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "weights" / "registry.toml").is_file(), reason="there are no weights in this checkout")
def test_the_sample_with_the_shipped_weights(tmp_path: Path) -> None:
    truth = ROOT / "samples" / "truth.ndjson"
    result = flatcar("explain", SAMPLE, "--truth", truth, "--out", tmp_path / "out", "--seconds", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    files = {path.suffix: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {".png", ".mp4"}
    assert files[".png"].stat().st_size < 4_000_000
    frames = list(av.open(str(files[".mp4"])).decode(video=0))
    assert frames[0].width == 960
    assert json.loads(truth.read_text().splitlines()[0])["list"]


# ---- Drawing ----------------------------------------------------------------------------------------------------------------


def test_a_clip_without_anything_can_be_drawn(clips: Callable[[str], Clip]) -> None:
    case = clips("none").case()
    assert case.passages == ()
    bare = replace(case, motion=None, frame=None, raw=replace(case.raw, looks=()))
    for each in (case, bare):
        assert draw_clip(each).picture.shape[1] == 1600


@given(
    st.text(max_size=12),
    *(st.floats(-1e6, 1e6) for _ in range(4)),
)
def test_nothing_that_is_drawn_far_outside_or_strangely_named_breaks_the_sheet(text, x0, y0, x1, y1) -> None:
    canvas = Canvas(60, 40)
    canvas.rect(x0, y0, x1, y1, bgr_of("#123456"), alpha=0.5)
    canvas.lines([(x0, y0), (float("nan"), 0.0), (x1, y1)], bgr_of("#123456"))
    canvas.arrow(20, 20, float(np.clip(x1, -500, 500)), 20, bgr_of("#ff0000"))
    canvas.text(float(np.clip(x0, -900, 900)), 20, text)
    canvas.badge(30, 20, text, bgr_of("#ff8800"))
    assert canvas.picture().shape == (40, 60, 3)


@pytest.mark.parametrize(("at_least", "step"), [(1, 1), (1.2, 2), (3, 5), (7, 10), (0.03, 0.05), (120, 200)])
def test_steps_are_round(at_least: float, step: float) -> None:
    assert round_step(at_least) == pytest.approx(step)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=80), st.floats(30, 400))
def test_texts_are_made_to_fit(text: str, width_px: float) -> None:
    assert text_width(shortened(text, size=13, width_px=width_px), 13) <= max(width_px, text_width(text[:1], 13))
    lines = wrapped(f"{text} and more words besides", size=13, width_px=width_px)
    assert " ".join(lines) == " ".join(f"{text} and more words besides".split())
    assert all(" " not in line or text_width(line, 13) <= width_px for line in lines)
