"""Scenes as video files with their truth beside them."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision.errors import OutputError
from vision.synth.cutouts import CutoutAssets, with_lengths
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Assets, Renderer, SceneTruth
from vision.synth.scene import Condition, random_scene
from vision.video.write import write_clip

__all__ = ["Simulated", "simulate", "truth_rows", "write_clip", "write_truth"]


def truth_rows(truth: SceneTruth, *, video: str) -> list[dict[str, object]]:
    """A clip's truth as rows of ``truth.ndjson``: one for each train that shows, with the vehicles that show."""
    rows: list[dict[str, object]] = []
    for train in truth.trains:
        if train.start_s is None or train.end_s is None:
            continue
        seen = train.seen()
        rows.append(
            {
                "video": video,
                "start_s": round(train.start_s, 4),
                "end_s": round(train.end_s, 4),
                "direction": train.heading,
                "vehicles": dict(sorted(Counter(vehicle.class_name for vehicle in seen).items())),
                "list": [
                    {
                        "class": vehicle.class_name,
                        "position_px": round(vehicle.position_px, 2),
                        "width_px": round(vehicle.width_px, 2),
                        "visible_from_s": round(vehicle.visible_from_s or 0.0, 4),
                        "visible_to_s": round(vehicle.visible_to_s or 0.0, 4),
                    }
                    for vehicle in seen
                ],
                "length_px": round(train.length_px, 2),
                "px_per_m": round(train.px_per_m, 4),
                "head_seen": train.head_seen,
                "tail_seen": train.tail_seen,
            }
        )
    return rows


def write_truth(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write rows as NDJSON; the file appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written there is nothing to remove
            part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Simulated:
    """One clip that was written, and its rows of the truth."""

    path: Path
    frames: int
    duration_s: float
    trains: int
    vehicles: int


def simulate(
    out_dir: Path,
    *,
    seed: int,
    count: int = 1,
    condition: Condition = "fixed",
    width_px: int = 1280,
    height_px: int = 720,
    fps: float = 25.0,
    flatcars: int | tuple[int, int] = (4, 12),
    assets: Assets | None = None,
    crf: int = 23,
    threads: int = 0,
    on_clip: Callable[[Simulated], None] | None = None,
) -> list[Simulated]:
    """Write clips named ``CONDITION_SEED.mp4`` and their ``truth.ndjson`` into a folder.

    Args:
        out_dir: Made when missing; an existing ``truth.ndjson`` is replaced.
        seed: Of the first clip; the others count on from it.
        count: How many clips.
        condition: See ``vision.synth.scene.CONDITIONS``.
        width_px: Of the picture.
        height_px: Of the picture.
        fps: Frame rate.
        flatcars: How many, or a range.
        assets: Pictures of vehicles; drawn ones by default.
        crf: Quality of the compression.
        threads: Of the encoder; 0 for all.
        on_clip: Called after each clip.
    """
    assets = assets or DrawnAssets()
    names = set(assets.class_names)
    classes = () if names >= set(DrawnAssets().class_names) else tuple(sorted(names))
    rows: list[dict[str, object]] = []
    done: list[Simulated] = []
    for number in range(seed, seed + count):
        spec = random_scene(
            number, condition=condition, width_px=width_px, height_px=height_px, fps=fps, flatcars=flatcars, classes=classes
        )
        if isinstance(assets, CutoutAssets):
            spec = with_lengths(spec, assets)
        renderer = Renderer(spec, assets)
        path = out_dir / f"{condition}_{number:05d}.mp4"
        write_clip(path, renderer.frames(), fps=fps, crf=crf, threads=threads)
        own = truth_rows(renderer.truth(), video=path.name)
        rows += own
        vehicles = sum(len(train.seen()) for train in renderer.truth().trains)
        done.append(Simulated(path, len(renderer), len(renderer) / fps, len(own), vehicles))
        if on_clip is not None:
            on_clip(done[-1])
    write_truth(out_dir / "truth.ndjson", rows)
    return done
