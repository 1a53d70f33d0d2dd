"""From a clip or a run to the files that explain it: everything is drawn before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.config import Config, load_config
from vision.detect import Detector
from vision.errors import InputError, OutputError, UsageError
from vision.report.explain import draw_clip, draw_train, png_of, view_of
from vision.report.explain_truth import ClipTruth, truth_of
from vision.report.explain_video import write_film
from vision.run.explain import PassageCase, VideoCase, explain_clip, explain_run
from vision.run.scan import settings_of
from vision.run.store import atomic_write, is_run
from vision.synth.score import read_truth

Progress = Callable[[str, float, float | None], None]
"""Called with what is being done, the seconds of video done, and the seconds there are, where known."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        video: Which video of a run: its name, or where it lies now.
        train: Only this train.
        truth: A truth file.
        film: Whether to make the film.
        longest_s: The film lasts no longer.
    """

    video: str | None = None
    train: str | None = None
    truth: Path | None = None
    film: bool = True
    longest_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, pictures first, and what a person should know besides, a sentence each."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_explanation(
    source: Path,
    out: Path,
    *,
    wish: Wish,
    config_path: Path | None = None,
    flags: dict[str, dict[str, Any]] | None = None,
    detector_factory: Callable[[], Detector] | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write ``<train_id>.png`` for each train and ``<sha256[:8]>.mp4``; a clip without a train gives ``<sha256[:8]>.png``.

    Args:
        source: A video, or the folder of a run.
        out: A folder; made where it is missing. Files of an earlier call give way.
        wish: What is asked for.
        config_path: Settings file; over the run's own settings where the source is a run.
        flags: Settings of the command line.
        detector_factory: Makes the detector for a clip; the one of the settings where None.
        progress: Told how far it is.

    Raises:
        UsageError: The source, the truth or the output cannot be used; nothing is written then.
        VideoError: The video cannot be read.
        TruthError: The truth, or what a run stores, is damaged.
    """
    truth_trains = None if wish.truth is None else read_truth(wish.truth)
    _usable(out)
    config = _settings(source, wish, config_path, flags or {})
    if source.is_dir():
        told = None if progress is None else lambda done_s, of_s: progress("motion", done_s, of_s)
        case = explain_run(source, config=config, video=wish.video, decode=wish.film, progress=told)
    else:
        told = None if progress is None else lambda done_s, of_s: progress("looking", done_s, of_s)
        case = explain_clip(source, config=config, detector_factory=detector_factory, progress=told)
    chosen = _chosen(case, wish.train)
    truth = None if truth_trains is None else truth_of(case, truth_trains)
    notes = list(case.notes)
    if truth is not None and not truth.trains:
        notes.append(f"{wish.truth} has no train for {case.path.name}")
    if not case.result.trains:
        notes.append(f"no train was found in {case.path.name}: the picture shows what moved")
    return _write(case, chosen, truth, out, wish, config, notes, progress)


def _write(
    case: VideoCase,
    chosen: tuple[PassageCase, ...],
    truth: ClipTruth | None,
    out: Path,
    wish: Wish,
    config: Config,
    notes: list[str],
    progress: Progress | None,
) -> Written:
    scale = config.motion.px_per_m
    name = case.raw.record.sha256[:8]
    pictures = {
        f"{passage.train_id or f'{name}-still-{i}'}.png": png_of(draw_train(case, passage, truth=truth, px_per_m=scale).picture)
        for i, passage in enumerate(chosen)
    }
    if not chosen:
        pictures = {f"{name}.png": png_of(draw_clip(case, truth=truth).picture)}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}", hint="give another --out") from error
    files = []
    for file, data in pictures.items():
        atomic_write(out / file, data)
        files.append(out / file)
    if wish.film and case.watchable:
        views = [view_of(case, passage, truth, scale) for passage in chosen]
        told = None if progress is None else lambda done_s, of_s: progress("film", done_s, of_s)
        film = out / f"{wish.train if wish.train is not None else name}.mp4"
        write_film(film, case, views, longest_s=wish.longest_s, video_config=config.video, progress=told)
        files.append(film)
    return Written(tuple(files), tuple(notes))


def _usable(out: Path) -> None:
    """Before minutes of work: nothing but a folder can hold the files, and a run's folder is no place for them."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file, not a folder", hint="give another --out")
    if out.is_dir() and is_run(out):
        raise OutputError(f"{out} is a run, which keeps to its own files", hint="give another --out")


def _settings(source: Path, wish: Wish, config_path: Path | None, flags: dict[str, dict[str, Any]]) -> Config:
    if not source.exists():
        raise InputError(f"there is no {source}", hint="give a video, or the folder of a run")
    if not source.is_dir():
        if wish.video is not None:
            raise UsageError("--video chooses among the videos of a run", hint="leave it out, the source is a video")
        return load_config(config_path, flags)
    if not is_run(source):
        raise InputError(f"{source} is a folder and no run", hint="give a video, or scan the folder first: flatcar scan")
    given = [f"--{name.replace('_', '-')}" for name, value in flags.get("detect", {}).items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: a run has been looked at already", hint="give the video instead to look anew")
    return settings_of(source, config_path, flags)


def _chosen(case: VideoCase, train: str | None) -> tuple[PassageCase, ...]:
    """The passages to explain: the train that is asked for, else all; what stands still and is no train only by itself."""
    if train is None:
        trains = tuple(p for p in case.passages if p.train_id is not None)
        return trains or case.passages
    found = tuple(p for p in case.passages if p.train_id == train)
    if not found:
        names = ", ".join(p.train_id for p in case.passages if p.train_id is not None)
        raise InputError(f"{case.path.name} has no train {train}", hint=f"it has: {names}" if names else "it has none")
    return found
