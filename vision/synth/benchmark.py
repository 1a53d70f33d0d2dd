"""The counting benchmark: pixels in, counts out, no trained model between.

A clip is rendered in memory, shrunk as the decoder does it, and registered by `vision.motion`; the boxes come from
`vision.synth.scripted`, which reads the truth and errs as told: a quarter of the vehicles is missed in three quarters of the
looks, 2 % of all boxes are false, edges jitter. So the figures say how well the *engine* counts, and nothing about a detector.
The train coordinate comes from the pixels alone; the simulator's own motion only places the boxes and scores.

What can be asked. A vehicle that is detected in a quarter of its ``n`` looks is found at most once, so that nothing tells it
from a false box, in ``0.75 ** n + n * 0.25 * 0.75 ** (n - 1)`` of the cases: 24 % at n = 10 looks, 2.4 % at 20, 0.1 % at 32.
So at 2 looks a second it must stay in view for 10 s. The pace ``slow`` is made so: a view of 35 to 45 m, which a vehicle crosses
in 10 to 16 s (2.2 to 4.5 m/s, a military train rolling past a yard). The pace ``line`` is that of `random_scene`, 6 to 15 m/s
in a view of 24 to 42 m: 2 to 7 s in view, 3 to 14 looks at 2 a second, where nobody can be right as often.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import Config
from vision.motion.meter import MotionMeter, MotionSeries
from vision.motion.passages import find_passages
from vision.run.counting import count_video
from vision.run.looking import LookScheduler
from vision.run.store import RawVideo
from vision.run.tables import train_rows, vehicle_rows
from vision.synth.drawn import DrawnAssets
from vision.synth.encode import truth_rows
from vision.synth.render import Assets, Renderer, SceneTruth, TrainTruth
from vision.synth.scene import Condition, Knots, SceneSpec, random_scene, whole_duration_s
from vision.synth.score import Scores, TruthTrain, TruthVehicle, evaluate_counts
from vision.synth.scripted import TICKS_PER_S, ScriptedDetector, scripted_looks
from vision.taxonomy import default_taxonomy
from vision.types import Dropped, Look, Passage, Shot, VideoRecord

FloatArray = NDArray[np.float64]
Pace = Literal["slow", "line"]
Looking = float | Literal["advance"]
"""Looks a second, or ``advance``: when the train has advanced, as a scan looks (`vision.run.looking`)."""

DEVELOPMENT_SEEDS = range(0, 100)
TEST_SEEDS = range(1000, 1100)
"""Used for the final figure only; whoever tunes looks at the others."""
LOOKINGS: tuple[Looking, ...] = (2.0, 5.0, 10.0, "advance")
REQUIRED_EXACT, REQUIRED_WITHIN_ONE = 0.85, 0.97

_VIEW_M = (35.0, 45.0)
_IN_VIEW_S = (10.0, 16.0)
_LEAD_S = 0.8
_MAX_ROWS = 192
_JITTER_SHARE = 2.0 / 640
"""Each edge of a box errs by so much of the picture's width: 2 px of 640, 13 cm of a 40 m view."""


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """What is counted, and how.

    Attributes:
        seeds: A clip with one train for each, under each condition.
        conditions: See `vision.synth.scene.CONDITIONS`.
        lookings: How often the detector looks; all share one rendering and one registration.
        pace: See the module's text.
        width_px, height_px, fps: Of the rendered clips; the default is what motion is measured on anyway.
        flatcars: Fewest and most of a train.
    """

    seeds: Sequence[int] = DEVELOPMENT_SEEDS
    conditions: Sequence[Condition] = ("fixed", "pan")
    lookings: Sequence[Looking] = LOOKINGS
    pace: Pace = "slow"
    width_px: int = 320
    height_px: int = 180
    fps: float = 25.0
    flatcars: tuple[int, int] = (4, 10)


@dataclass(frozen=True, slots=True, repr=False)
class Clip:
    """One clip after the pass over its pixels: everything but the boxes.

    Attributes:
        condition, seed: Which.
        truth: For the boxes and the score.
        series: Band shifts of every frame.
        passages: What the motion says.
        dropped: What it left out.
        due_s: When a scan would look, seconds.
    """

    condition: Condition
    seed: int
    truth: SceneTruth
    series: MotionSeries
    passages: tuple[Passage, ...]
    dropped: tuple[Dropped, ...]
    due_s: tuple[float, ...]

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.condition}-{self.seed}"


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One train under one way of looking; what a failure is named by.

    Attributes:
        condition, seed, looking: Which.
        truth, reported, low, high: Totals and the reported bounds; ``reported`` is 0 where it was not found.
        passages: Passages that the motion found in the clip; one is right.
        misses, doubles: Vehicles without a report and reports without a vehicle, matched along the train.
        slip_px: Largest error of ``D`` over a stretch in which the train crosses the view once, pixels; None without a passage.
        hard_looks: Looks at the hard vehicle that was in view in the fewest; None without hard ones.
        flags: Of the counted train.
    """

    condition: str
    seed: int
    looking: Looking
    truth: int
    reported: int
    low: int
    high: int
    passages: int
    misses: int
    doubles: int
    slip_px: float | None
    hard_looks: int | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the table: one condition under one way of looking.

    Attributes:
        condition, looking: Which.
        scores: Counts against the truth.
        slip_px: Median and 95th percentile over trains of ``TrainRow.slip_px``.
        looks: Mean number of looks for a clip.
    """

    condition: str
    looking: Looking
    scores: Scores
    slip_px: tuple[float, float]
    looks: float

    @property
    def met(self) -> bool:
        """Whether this line meets the requirement."""
        return (self.scores.exact or 0) >= REQUIRED_EXACT and (self.scores.within_one or 0) >= REQUIRED_WITHIN_ONE


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All figures and all trains behind them."""

    settings: BenchmarkSettings
    figures: tuple[Figures, ...]
    rows: tuple[TrainRow, ...]

    def table(self) -> str:
        """For a terminal: a line for each condition and way of looking, then the trains that were not counted exactly."""
        s = self.settings
        lines = [
            f"pace {s.pace}, {len(s.seeds)} seeds from {min(s.seeds)} to {max(s.seeds)}, "
            f"{s.width_px}x{s.height_px} at {s.fps:g} fps",
            f"{'condition':<10}{'looks/s':>8}{'looks':>7}{'trains':>7}{'exact':>8}{'±1':>8}{'MAE':>6}{'covers':>8}{'width':>6}"
            f"{'miss%':>7}{'double%':>8}{'found':>6}{'split':>6}{'invent':>7}{'slip px':>12}",
        ]
        lines += [_line(figures) for figures in self.figures]
        wrong = [row for row in self.rows if row.reported != row.truth or row.passages != 1]
        lines += ["", "not exact (truth -> reported):"] if wrong else []
        lines += [
            f"  {row.condition}-{row.seed} at {_looking(row.looking)}: {row.truth} -> {row.reported} [{row.low}, {row.high}], "
            f"missed {row.misses}, doubled {row.doubles}, passages {row.passages}, "
            f"slip {'-' if row.slip_px is None else format(row.slip_px, '.1f')} px, fewest looks at a hard one {row.hard_looks}"
            + (f", {' '.join(row.flags)}" if row.flags else "")
            for row in wrong
        ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Settings, figures and trains."""
        settings: dict[str, Any] = {name: getattr(self.settings, name) for name in BenchmarkSettings.__dataclass_fields__}
        settings["seeds"] = list(self.settings.seeds)
        figures = []
        for line in self.figures:
            scores = line.scores.to_dict()
            del scores["per_train"], scores["classes"]
            named = {"condition": line.condition, "looking": line.looking, "slip_px": line.slip_px, "looks": line.looks}
            figures.append({**named, **scores, "met": line.met})
        rows = [{name: getattr(row, name) for name in TrainRow.__dataclass_fields__} for row in self.rows]
        return json.dumps({"settings": settings, "figures": figures, "trains": rows}, indent=1)


def _looking(looking: Looking) -> str:
    return looking if isinstance(looking, str) else f"{looking:g}/s"


def _line(figures: Figures) -> str:
    s = figures.scores

    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}%"

    def plain(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    return (
        f"{figures.condition:<10}{_looking(figures.looking):>8}{figures.looks:>7.0f}{s.trains:>7}{share(s.exact):>8}{share(s.within_one):>8}"
        f"{plain(s.mae, 2):>6}{share(s.coverage):>8}{plain(s.mean_interval, 1):>6}{plain(s.misses_per_100, 2):>7}"
        f"{plain(s.doubles_per_100, 2):>8}{s.found:>6}{s.split:>6}{s.invented:>7}"
        f"{figures.slip_px[0]:>6.1f} ..{figures.slip_px[1]:>5.1f}" + ("  met" if figures.met else "")
    )


# From a seed to a clip.


def benchmark_scene(seed: int, condition: Condition, settings: BenchmarkSettings) -> SceneSpec:
    """The scene of a seed: `random_scene`'s, with its train slowed down and shown from further off at the pace ``slow``."""
    spec = random_scene(
        seed,
        condition=condition,
        width_px=settings.width_px,
        height_px=settings.height_px,
        fps=settings.fps,
        flatcars=settings.flatcars,
        lead_in_s=_LEAD_S,
        lead_out_s=_LEAD_S,
    )
    if settings.pace == "line" or not spec.trains:
        return spec
    rng = np.random.default_rng([seed, 4099])
    view_m, in_view_s = rng.uniform(*_VIEW_M), rng.uniform(*_IN_VIEW_S)
    train = replace(
        spec.trains[0], px_per_m=settings.width_px / float(view_m), speed_m_s=Knots(((0.0, float(view_m / in_view_s)),))
    )
    spec = replace(spec, trains=(train, *spec.trains[1:]))
    return replace(spec, duration_s=whole_duration_s(spec, lead_out_s=_LEAD_S))


def small_grey(picture: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    """A rendered frame as the decoder gives it to the motion meter.

    Args:
        picture: (height, width, 3) uint8 BGR.
        width_px: Columns wanted.

    Returns:
        (rows, width_px) uint8, at most 192 rows.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    rows = min(_MAX_ROWS, round(grey.shape[0] * width_px / grey.shape[1]))
    return np.asarray(cv2.resize(grey, (width_px, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def watch(spec: SceneSpec, *, assets: Assets | None = None, config: Config | None = None) -> Clip:
    """Render a scene and measure its motion, as a scan does with a file.

    Args:
        spec: The scene.
        assets: Pictures of vehicles; drawn ones by default.
        config: Settings; the defaults where None.
    """
    config = config or Config()
    renderer = Renderer(spec, assets or DrawnAssets())
    meter = MotionMeter(frame_width_px=spec.width_px, frame_height_px=spec.height_px, config=config.motion)
    scheduler = LookScheduler(config.detect, width_px=spec.width_px)
    due_s = []
    for pts_s, picture in renderer.frames():
        speed_px_s = meter.push(small_grey(picture, config.motion.width_px), pts_s)
        if scheduler.due(pts_s, speed_px_s):
            due_s.append(pts_s)
    series = meter.finish()
    return registered(spec, renderer.truth(), series, tuple(due_s), config)


def registered(spec: SceneSpec, truth: SceneTruth, series: MotionSeries, due_s: tuple[float, ...], config: Config) -> Clip:
    """The clip of a series of band shifts: passages of its one shot."""
    shot = Shot(0, float(series.pts_s[0]), float(series.pts_s[-1]))
    passages, dropped = find_passages(series, [shot], config.motion)
    condition: Condition = spec.condition
    return Clip(condition, spec.seed, truth, series, tuple(passages), tuple(dropped), due_s)


# From a clip to a count.


def _detector(clip: Clip) -> ScriptedDetector:
    return ScriptedDetector(clip.truth, jitter_px=_JITTER_SHARE * clip.truth.width_px, seed=clip.seed)


def looks_of(clip: Clip, looking: Looking) -> list[Look]:
    """What the scripted detector sees in a clip, in order of time."""
    if isinstance(looking, str):
        detector = _detector(clip)
        return [Look(round(pts_s * TICKS_PER_S), pts_s, detector.for_time(pts_s)) for pts_s in clip.due_s]
    jitter_px = _JITTER_SHARE * clip.truth.width_px
    return scripted_looks(clip.truth, looks_per_s=looking, jitter_px=jitter_px, seed=clip.seed)


def raw_video(clip: Clip, looking: Looking) -> RawVideo:
    """A clip as if it had been observed from a file."""
    truth = clip.truth
    duration_s = float(truth.pts_s[-1] - truth.pts_s[0])
    record = VideoRecord(
        path=Path(f"{clip.name}.mp4"),
        sha256=f"{clip.seed:08x}".ljust(64, "0"),
        size_bytes=0,
        container="memory",
        codec="raw",
        width_px=truth.width_px,
        height_px=truth.height_px,
        rotation_deg=0,
        time_base=Fraction(1, TICKS_PER_S),
        fps=None,
        duration_s=duration_s,
    )
    return RawVideo(record, _detector(clip).class_names, clip.passages, tuple(looks_of(clip, looking)), clip.dropped)


def slip_px(passage: Passage, truth: SceneTruth, train: TrainTruth) -> float:
    """How far the train coordinate goes wrong while the train crosses the view once, at worst, full-frame pixels.

    That is the error that decides whether two looks at a vehicle fall together: the largest ``|e(t') - e(t)|`` of
    ``e = D - D_true`` over times between which the train advances by at most one view against the background.
    """
    inside = (passage.pts_s >= (train.start_s or 0.0)) & (passage.pts_s <= (train.end_s or 0.0))
    if not inside.any():
        return float("inf")
    t_s = passage.pts_s[inside]
    error = passage.displacement_px[inside] - np.interp(t_s, truth.pts_s, train.displacement_px)
    advance = np.abs(np.interp(t_s, truth.pts_s, train.displacement_px - truth.background_px))
    advance = np.maximum.accumulate(advance - advance[0])
    until = np.searchsorted(advance, advance + truth.width_px, side="right")
    return max(float(np.ptp(error[i:j])) for i, j in enumerate(until))


def _hard_looks(clip: Clip, looks: Sequence[Look]) -> int | None:
    """Looks at the hard vehicle that was seen by half in the fewest."""
    hard = _detector(clip).hard
    shown = [clip.truth.boxes(int(np.argmin(np.abs(clip.truth.pts_s - look.pts_s)))) for look in looks]
    counts = [
        sum(bool(((boxes.train == t) & (boxes.vehicle == v) & (boxes.fraction >= 0.5)).any()) for boxes in shown)
        for t, flags in enumerate(hard)
        for v in np.flatnonzero(flags)
    ]
    return min(counts) if counts else None


def _truth_trains(clip: Clip) -> list[TruthTrain]:
    trains = []
    for row in truth_rows(clip.truth, video=f"{clip.name}.mp4"):
        listed: Any = row["list"]
        vehicles = tuple(TruthVehicle(v["class"], v["position_px"], v["width_px"]) for v in listed)
        trains.append(
            TruthTrain(
                str(row["video"]),
                float(row["start_s"]),  # type: ignore[arg-type]
                float(row["end_s"]),  # type: ignore[arg-type]
                row["vehicles"],  # type: ignore[arg-type]
                vehicles,
                str(row["direction"]),
            )
        )
    return trains


def count_clips(clips: Sequence[Clip], looking: Looking, *, config: Config | None = None) -> tuple[Figures, list[TrainRow]]:
    """Count clips of one condition under one way of looking, and score them.

    Args:
        clips: At least one.
        looking: How often the detector looks.
        config: Settings; the defaults where None.
    """
    config, taxonomy = config or Config(), default_taxonomy()
    raws = [raw_video(clip, looking) for clip in clips]
    results = [count_video(raw, duration_s=raw.record.duration_s, config=config, taxonomy=taxonomy) for raw in raws]
    parents = {leaf: taxonomy.parent_of(leaf) for leaf in taxonomy.leaves}
    truth = [_truth_trains(clip) for clip in clips]
    scores = evaluate_counts(
        [train for trains in truth for train in trains], train_rows(results), vehicle_rows(results), parents=parents
    )
    rows: list[TrainRow] = []
    per_train = iter(scores.per_train)
    for clip, raw, result, trains in zip(clips, raws, results, truth, strict=True):
        hard_looks = _hard_looks(clip, raw.looks)
        slips = [min((slip_px(p, clip.truth, t) for p in clip.passages), default=None) for t in clip.truth.trains]
        flags = tuple(sorted({flag for train in result.trains for flag in train.flags}))
        for _, slip in zip(trains, slips, strict=False):
            s = next(per_train)
            rows.append(
                TrainRow(
                    clip.condition,
                    clip.seed,
                    looking,
                    s.truth,
                    s.reported,
                    s.low,
                    s.high,
                    len(clip.passages),
                    s.misses or 0,
                    s.doubles or 0,
                    slip,
                    hard_looks,
                    flags,
                )
            )
    slipped = [row.slip_px for row in rows if row.slip_px is not None]
    spread = (float(np.median(slipped)), float(np.percentile(slipped, 95))) if slipped else (0.0, 0.0)
    looks = float(np.mean([len(raw.looks) for raw in raws]))
    return Figures(clips[0].condition, looking, scores, spread, looks), rows


def watch_all(settings: BenchmarkSettings, condition: Condition, *, config: Config | None = None) -> Iterator[Clip]:
    """The clips of one condition, in the seeds' order."""
    for seed in settings.seeds:
        yield watch(benchmark_scene(seed, condition, settings), config=config)


def run_benchmark(
    settings: BenchmarkSettings | None = None, *, config: Config | None = None, progress: Callable[[str], None] | None = None
) -> Benchmark:
    """Render, register, count and score.

    Args:
        settings: What; the first form's development list by default.
        config: Settings of motion, looking and counting; the defaults where None.
        progress: Called with the name of each clip after its pixels were seen.
    """
    settings = settings or BenchmarkSettings()
    figures: list[Figures] = []
    rows: list[TrainRow] = []
    for condition in settings.conditions:
        clips = []
        for clip in watch_all(settings, condition, config=config):
            clips.append(clip)
            if progress is not None:
                progress(clip.name)
        for looking in settings.lookings:
            line, trains = count_clips(clips, looking, config=config)
            figures.append(line)
            rows += trains
    return Benchmark(settings, tuple(figures), tuple(rows))
