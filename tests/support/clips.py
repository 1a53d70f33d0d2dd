"""Small clips and scenes that tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vision.synth.drawn import DrawnAssets
from vision.synth.encode import write_clip
from vision.synth.render import Renderer, SceneTruth
from vision.synth.scene import Condition, SceneSpec, random_scene


def small_scene(seed: int = 1, *, condition: Condition = "fixed", flatcars: int = 3, fps: float = 25.0) -> SceneSpec:
    """A quick scene: 320 x 180, few wagons."""
    return random_scene(
        seed, condition=condition, width_px=320, height_px=180, fps=fps, flatcars=flatcars, lead_in_s=0.6, lead_out_s=0.6
    )


def variable_rate(spec: SceneSpec, *, slow_fps: float = 12.5) -> SceneSpec:
    """The scene with full frame rate in its first half and a slower one in its second."""
    times = [t for t in spec.frame_times_s().tolist() if t < spec.duration_s / 2]
    while times[-1] + 1 / slow_fps < spec.duration_s:
        times.append(times[-1] + 1 / slow_fps)
    return replace(spec, times_s=tuple(times))


def write_scene(path: Path, spec: SceneSpec, *, crf: int = 23, bframes: int | None = None) -> SceneTruth:
    """Write a scene with drawn vehicles; returns its truth."""
    renderer = Renderer(spec, DrawnAssets())
    write_clip(path, renderer.frames(), fps=spec.fps, crf=crf, preset="ultrafast", bframes=bframes, threads=1)
    return renderer.truth()
