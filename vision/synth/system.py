"""The whole system on rendered clips: photographs of vehicles on drawn flatcars, a file, the real weights, the counter."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision.config import Config
from vision.detect import Detector
from vision.run.observe import observe_video
from vision.run.scan import detector_of
from vision.run.watching import Watched
from vision.synth.benchmark import counted_row
from vision.synth.clips import Clip
from vision.synth.cutouts import CutoutAssets
from vision.synth.drawn import DrawnAssets
from vision.synth.encode import fitted, write_clip
from vision.synth.render import Assets, Renderer
from vision.synth.scene import SceneSpec, parse_condition, random_scene

if TYPE_CHECKING:
    from vision.synth.benchmark import Entry, Job

WIDTH_PX, HEIGHT_PX, FPS = 640, 360, 25.0
_FLATCARS = (3, 6)


def system_scene(entry: Entry, assets: Assets) -> SceneSpec:
    """The scene of an entry at a line's usual pace, with vehicles as their pictures show them."""
    classes = () if set(assets.class_names) >= set(DrawnAssets().class_names) else tuple(assets.class_names)
    spec = random_scene(
        entry.seed,
        condition=entry.condition,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        fps=FPS,
        flatcars=_FLATCARS,
        classes=classes,
    )
    return fitted(spec, assets)


def possible(entries: Sequence[Entry], cutouts: Path | None) -> tuple[list[Entry], list[Entry]]:
    """The entries whose scenes can be drawn with a folder's pictures, and those that need a class that it lacks."""
    names = None if cutouts is None else CutoutAssets(cutouts).class_names
    covered = names is None or "covered_vehicle" in names
    lacking = [entry for entry in entries if not covered and "covered" in parse_condition(entry.condition)]
    return [entry for entry in entries if entry not in lacking], lacking


@cache
def _detector(weights: str) -> tuple[Config, Detector]:
    """One for each process."""
    config = Config()
    config = config.model_copy(update={"detect": config.detect.model_copy(update={"weights": weights})})
    return config, detector_of(config)


def system_row(entry: Entry, job: Job) -> dict[str, Any]:
    """Render a clip into a file, scan it, score it; a row of the results, with the one way of looking that a scan has."""
    config, detector = _detector(job.weights)
    assets: Assets = CutoutAssets(job.cutouts) if job.cutouts is not None else DrawnAssets()
    started = time.process_time()
    spec = system_scene(entry, assets)
    renderer = Renderer(spec, assets)
    with tempfile.TemporaryDirectory(prefix="flatcar-system-") as folder:
        path = Path(folder) / f"{entry.condition}-{entry.seed}.mp4"
        write_clip(path, renderer.frames(), fps=spec.fps, crf=23 if spec.crf is None else spec.crf, threads=1)
        rendered_s = time.process_time() - started
        observed = observe_video(path, detector=detector, config=config, scratch=Path(folder))
        try:
            watched = Watched(observed.series, observed.shots, ())
            clip = Clip(entry.condition, entry.seed, renderer.truth(), watched, tuple(look.pts_s for look in observed.raw.looks))
            row = counted_row(clip, observed.raw, config, baselines=job.baselines)
        finally:
            observed.close()
    seconds = {"watched_s": round(rendered_s, 2), "counted_s": round(time.process_time() - started - rendered_s, 2)}
    return {"mode": "system", **asdict(entry), "frames": len(renderer), **seconds, "lookings": {"scan": row}}
