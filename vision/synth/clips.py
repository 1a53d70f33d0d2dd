"""From a seed to a clip that can be counted: rendered in memory, watched as a scan watches it, boxes from the truth.

Rendering and registering take most of the time and depend on nothing that counting decides, so a folder can keep what they gave:
after a change of the counter a benchmark runs in a tenth of the time. What is kept is named by the scene and by the source of all
that it depends on, so a change of the renderer or the motion measurement makes it anew.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import Config, VideoConfig
from vision.run.store import RawVideo, atomic_write
from vision.run.watching import Watch, Watched
from vision.synth.drawn import DrawnAssets
from vision.synth.encode import truth_rows, write_clip
from vision.synth.render import Assets, Renderer, SceneTruth, TrainTruth
from vision.synth.scene import SIZES, SceneSpec, parse_condition, random_scene
from vision.synth.score import TruthTrain, TruthVehicle
from vision.synth.scripted import TICKS_PER_S, ScriptedDetector, scripted_looks
from vision.types import Dropped, Look, Passage, VideoRecord
from vision.video import VideoReader

FloatArray = NDArray[np.float64]
Looking = float | Literal["advance", "full"]
"""Looks a second, ``full`` for every frame, or ``advance``: as a scan looks, when the train has advanced."""

WIDTH_PX, HEIGHT_PX, FPS = 320, 180, 25.0
_FLATCARS = (3, 8)
_LARGE_FLATCARS = (2, 4)
_VIEW_M = (35.0, 45.0)
_IN_VIEW_S = (10.0, 16.0)
_LEAD_S = 0.8
_MAX_ROWS = 192
_JITTER_SHARE = 2.0 / 640
"""Each edge of a box errs by so much of the picture's width: 2 px of 640, 13 cm of a 40 m view."""
_DRAWN_BY = (
    *("backdrop", "changes", "conditions", "consist", "drawn", "edit", "foreground"),
    *("paint", "perspective", "render", "spec", "truth", "weather"),
)
_DEPENDS_ON = (
    *(f"synth/{name}.py" for name in _DRAWN_BY),
    *(f"video/{name}.py" for name in ("decode", "overlays", "shots")),
    *("motion/bands.py", "motion/jumps.py", "motion/meter.py", "run/looking.py", "run/watching.py"),
)
"""What decides the pixels and what is measured on them."""


@dataclass(frozen=True, slots=True, repr=False)
class Clip:
    """One clip after the pass over its pixels: everything but the boxes.

    Attributes:
        condition, seed: Which.
        truth: For the boxes and the score.
        watched: What its pixels say.
        due_s: When a scan would look, seconds.
    """

    condition: str
    seed: int
    truth: SceneTruth
    watched: Watched
    due_s: tuple[float, ...]

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.condition}-{self.seed}"


def bench_scene(condition: str, seed: int) -> SceneSpec:
    """The benchmark's scene: small pictures, short trains, slow enough for a look in four to be enough.

    A vehicle that is detected in a quarter of its ``n`` looks is found at most once, so that nothing tells it from a false box,
    in ``0.75 ** n + n * 0.25 * 0.75 ** (n - 1)`` of the cases: 24 % at n = 10 looks, 2.4 % at 20, 0.1 % at 32. So at 2 looks a
    second it must stay in view for 10 s: a view of 35 to 45 m, which a vehicle crosses in 10 to 16 s (2.2 to 4.5 m/s, a military
    train rolling past a yard).
    """
    rng = np.random.default_rng([seed, 4099])
    large = any(name in SIZES and SIZES[name][0] > 854 for name in parse_condition(condition))
    return random_scene(
        seed,
        condition=condition,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        fps=FPS,
        flatcars=_LARGE_FLATCARS if large else _FLATCARS,
        lead_in_s=_LEAD_S,
        lead_out_s=_LEAD_S,
        view_m=float(rng.uniform(*_VIEW_M)),
        in_view_s=float(rng.uniform(*_IN_VIEW_S)),
    )


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


def _small_pictures(renderer: Renderer, width_px: int) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Time and small grey picture of every frame; through a real file where the scene asks for hard compression."""
    spec = renderer.spec
    if spec.crf is None:
        for pts_s, picture in renderer.frames():
            yield pts_s, small_grey(picture, width_px)
        return
    with tempfile.TemporaryDirectory(prefix="flatcar-clip-") as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, renderer.frames(), fps=spec.fps, crf=spec.crf, threads=1)
        with VideoReader(path, VideoConfig()) as reader:
            for frame in reader:
                yield frame.pts_s, frame.luma(width_px)


def watch(spec: SceneSpec, *, assets: Assets | None = None, config: Config | None = None) -> Clip:
    """Render a scene and watch it, as a scan does with a file.

    Args:
        spec: The scene.
        assets: Pictures of vehicles; drawn ones by default.
        config: Settings; the defaults where None.
    """
    config = config or Config()
    renderer = Renderer(spec, assets or DrawnAssets())
    watching = Watch(config, width_px=spec.width_px, height_px=spec.height_px)
    due_s = tuple(pts_s for pts_s, luma in _small_pictures(renderer, config.motion.width_px) if watching.push(luma, pts_s))
    return Clip(spec.condition, spec.seed, renderer.truth(), watching.finish(), due_s)


@cache
def _source_digest() -> str:
    """Of the code that decides what is kept."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for name in _DEPENDS_ON:
        digest.update(name.encode() + (root / name).read_bytes())
    return digest.hexdigest()


def kept_clip(condition: str, seed: int, folder: Path | None, *, config: Config | None = None) -> Clip:
    """The clip of a benchmark's seed, from the folder if it was kept there, else made and kept.

    The folder holds Python pickles: give one that only you write to.

    Args:
        condition: Which.
        seed: Which.
        folder: Where to keep clips; None keeps none.
        config: Settings; the defaults where None.
    """
    config = config or Config()
    spec = bench_scene(condition, seed)
    if folder is None:
        return watch(spec, config=config)
    asked = repr((spec, config.motion, config.detect, _source_digest()))
    path = folder / f"{condition}-{seed}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.clip"
    try:
        clip = pickle.loads(zlib.decompress(path.read_bytes()))
        if isinstance(clip, Clip):
            return clip
    except (OSError, zlib.error, pickle.UnpicklingError, AttributeError, EOFError, ImportError, TypeError):
        pass  # not kept, or by another version: it is made anew
    clip = watch(spec, config=config)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{condition}-{seed}-*.clip"):
        old.unlink(missing_ok=True)
    atomic_write(path, zlib.compress(pickle.dumps(clip), 1))
    return clip


# Boxes.


def detector_of(clip: Clip) -> ScriptedDetector:
    """The scripted detector of a clip: 25 % of the vehicles are missed in 75 % of the looks, 2 % of the boxes are false."""
    return ScriptedDetector(clip.truth, jitter_px=_JITTER_SHARE * clip.truth.width_px, seed=clip.seed)


def looks_of(clip: Clip, looking: Looking) -> list[Look]:
    """What the scripted detector sees in a clip, in order of time."""
    if looking in {"advance", "full"}:
        detector = detector_of(clip)
        times = clip.due_s if looking == "advance" else clip.truth.pts_s
        return [Look(round(float(pts_s) * TICKS_PER_S), float(pts_s), detector.for_time(float(pts_s))) for pts_s in times]
    jitter_px = _JITTER_SHARE * clip.truth.width_px
    return scripted_looks(clip.truth, looks_per_s=float(looking), jitter_px=jitter_px, seed=clip.seed)


Passing = tuple[list[Passage], list[Dropped]]


def raw_video(clip: Clip, looks: Sequence[Look], config: Config, passing: Passing | None = None) -> RawVideo:
    """A clip as if it had been observed from a file.

    Args:
        clip: Which.
        looks: What the detector saw.
        config: Settings of the motion.
        passing: What `Watched.passing` gave, for those who ask with several sets of looks.
    """
    truth = clip.truth
    record = VideoRecord(
        path=Path(f"{clip.name}.mp4"),
        sha256=hashlib.sha256(clip.name.encode()).hexdigest(),
        size_bytes=0,
        container="memory",
        codec="raw",
        width_px=truth.width_px,
        height_px=truth.height_px,
        rotation_deg=0,
        time_base=Fraction(1, TICKS_PER_S),
        fps=None,
        duration_s=float(truth.pts_s[-1] - truth.pts_s[0]),
    )
    passages, dropped = clip.watched.passages(looks, config.motion, passing)
    return RawVideo(record, detector_of(clip).class_names, passages, tuple(looks), dropped)


def truth_trains(clip: Clip) -> list[TruthTrain]:
    """The truth as the scorer takes it."""
    trains = []
    for row in truth_rows(clip.truth, video=f"{clip.name}.mp4", condition=clip.condition):
        listed: list[dict[str, float]] = row["list"]  # type: ignore[assignment]
        vehicles = tuple(TruthVehicle(str(v["class"]), v["position_px"], v["width_px"]) for v in listed)
        trains.append(
            TruthTrain(
                str(row["video"]),
                float(row["start_s"]),  # type: ignore[arg-type]
                float(row["end_s"]),  # type: ignore[arg-type]
                row["vehicles"],  # type: ignore[arg-type]
                vehicles,
                str(row["direction"]),
                float(row["length_px"]),  # type: ignore[arg-type]
                clip.condition,
                (bool(row["head_seen"]), bool(row["tail_seen"])),
            )
        )
    return trains


def slip_px(passage: Passage, truth: SceneTruth, train: TrainTruth, during_s: tuple[float, float] = (-np.inf, np.inf)) -> float:
    """How far the train coordinate goes wrong while the train crosses the view once, at worst, full-frame pixels.

    That is the error that decides whether two looks at a vehicle fall together: the largest ``|e(t') - e(t)|`` of
    ``e = D - D_true`` over times between which the train advances by at most one view against the background. Where a perspective
    or a zoom leaves the scale open, ``D_true`` is first scaled to fit.

    Args:
        passage: What was measured.
        truth: Of the clip.
        train: The one that it should be.
        during_s: Only these seconds of it: those with vehicles, say.
    """
    first_s, last_s = max(train.start_s or 0.0, during_s[0]), min(train.end_s or 0.0, during_s[1])
    inside = (passage.pts_s >= first_s) & (passage.pts_s <= last_s)
    own = np.isfinite(train.displacement_px)
    if not inside.any() or not own.any():
        return float("inf")
    t_s, times_s = passage.pts_s[inside], truth.pts_s[own]
    true_px = np.interp(t_s, times_s, train.displacement_px[own])
    measured_px = passage.displacement_px[inside]
    if truth.to_picture is not None and np.ptp(true_px) > 0:
        true_px = true_px * np.polyfit(true_px, measured_px, 1)[0]
    error = measured_px - true_px
    advance = np.abs(np.interp(t_s, times_s, (train.displacement_px - truth.background_px)[own]))
    if train.standing:
        advance = np.abs(np.interp(t_s, times_s, train.displacement_px[own]))
    advance = np.maximum.accumulate(np.abs(advance - advance[0]))
    until = np.searchsorted(advance, advance + truth.width_px, side="right")
    return max(float(np.ptp(error[i:j])) for i, j in enumerate(until))
