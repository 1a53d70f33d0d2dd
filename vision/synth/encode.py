"""Scenes as video files with their truth beside them."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vision.errors import OutputError, UsageError
from vision.synth.cutouts import CutoutAssets, with_lengths
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Assets, Renderer, SceneTruth, TrainTruth
from vision.synth.scene import Condition, SceneSpec, random_scene
from vision.video.write import write_clip

__all__ = ["Simulated", "box_rows", "fitted", "simulate", "truth_rows", "write_clip", "write_truth"]


def truth_rows(truth: SceneTruth, *, video: str, condition: str | None = None) -> list[dict[str, object]]:
    """A clip's truth as rows of ``truth.ndjson``: one for each train that shows, with the vehicles that show.

    Args:
        truth: Of the clip.
        video: Its file name.
        condition: Goes into the rows, for figures by condition.
    """
    rows: list[dict[str, object]] = []
    for train in truth.trains:
        if train.start_s is None or train.end_s is None:
            continue
        seen = train.seen()
        rows.append(
            {
                "video": video,
                **({} if condition is None else {"condition": condition}),
                "start_s": round(train.start_s, 4),
                "end_s": round(train.end_s, 4),
                "direction": "still" if train.standing else train.heading,
                "vehicles": dict(sorted(Counter(vehicle.class_name for vehicle in seen).items())),
                "list": [
                    {
                        "class": vehicle.class_name,
                        "position_px": round(vehicle.position_px, 2),
                        "position_m": round(vehicle.position_m, 3),
                        "width_px": round(vehicle.width_px, 2),
                        "visible_from_s": round(vehicle.visible_from_s or 0.0, 4),
                        "visible_to_s": round(vehicle.visible_to_s or 0.0, 4),
                    }
                    for vehicle in seen
                ],
                "heading": train.heading,
                "length_px": round(train.length_px, 2),
                "length_m": round(train.length_m, 2),
                "px_per_m": round(train.px_per_m, 4),
                "head_seen": train.head_seen,
                "tail_seen": train.tail_seen,
                "speed": _speed_profile(truth, train),
            }
        )
    return rows


def _speed_profile(truth: SceneTruth, train: TrainTruth) -> list[list[float]]:
    """``[seconds, metres a second]`` about every half second while the train shows, on the clip's clock."""
    own = np.flatnonzero((truth.pts_s >= (train.start_s or 0.0)) & (truth.pts_s <= (train.end_s or 0.0)))
    own = own[np.isfinite(train.speed_m_s[own])]
    if not len(own):
        return []
    wanted_s = np.arange(truth.pts_s[own[0]], truth.pts_s[own[-1]] + 1e-9, 0.5)
    at = own[np.clip(np.searchsorted(truth.pts_s[own], wanted_s), 0, len(own) - 1)]
    return [[round(float(truth.pts_s[i]), 3), round(float(train.speed_m_s[i]), 3)] for i in at]


def box_rows(truth: SceneTruth, *, video: str) -> Iterator[dict[str, object]]:
    """The boxes of a clip, a row for each frame that shows a vehicle; trains are numbered in the scene's order."""
    for frame, pts_s in enumerate(truth.pts_s):
        boxes = truth.boxes(frame)
        if not len(boxes.fraction):
            continue
        yield {
            "video": video,
            "frame": frame,
            "pts_s": round(float(pts_s), 4),
            "boxes": [
                {
                    "train": int(t),
                    "vehicle": int(v),
                    "class": truth.trains[t].vehicles[v].class_name,
                    "xyxy_px": [round(float(value), 2) for value in xyxy],
                    "fraction": round(float(fraction), 3),
                    "hidden": round(float(hidden), 3),
                }
                for xyxy, fraction, t, v, hidden in zip(
                    boxes.xyxy_px, boxes.fraction, boxes.train, boxes.vehicle, boxes.hidden, strict=True
                )
            ],
        }


def write_truth(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rows as NDJSON; the file appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written there is nothing to remove
            part.unlink(missing_ok=True)


def fitted(spec: SceneSpec, assets: Assets) -> SceneSpec:
    """The scene and its later shots with vehicles as long as their pictures show them, where the pictures are photographs."""
    if not isinstance(assets, CutoutAssets):
        return spec
    return replace(with_lengths(spec, assets), then=tuple(fitted(shot, assets) for shot in spec.then))


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
    boxes: bool = False,
    on_clip: Callable[[Simulated], None] | None = None,
) -> list[Simulated]:
    """Write clips named ``CONDITION_SEED.mp4`` and their ``truth.ndjson`` into a folder.

    Args:
        out_dir: Made when missing; an existing ``truth.ndjson`` is replaced.
        seed: Of the first clip; the others count on from it.
        count: How many clips.
        condition: One of ``vision.synth.scene.CONDITIONS``, or several joined by ``+``.
        width_px: Of the picture.
        height_px: Of the picture.
        fps: Frame rate.
        flatcars: How many, or a range.
        assets: Pictures of vehicles; drawn ones by default.
        crf: Quality of the compression, where the condition does not set it.
        threads: Of the encoder; 0 for all.
        boxes: Write ``boxes.ndjson`` too: the vehicles of every frame.
        on_clip: Called after each clip.

    Raises:
        UsageError: No such condition, or one that needs a class without pictures.
    """
    assets = assets or DrawnAssets()
    names = set(assets.class_names)
    classes = () if names >= set(DrawnAssets().class_names) else tuple(sorted(names))
    rows: list[dict[str, object]] = []
    truths: list[tuple[str, SceneTruth]] = []
    done: list[Simulated] = []
    for number in range(seed, seed + count):
        try:
            spec = random_scene(
                number, condition=condition, width_px=width_px, height_px=height_px, fps=fps, flatcars=flatcars, classes=classes
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        renderer = Renderer(fitted(spec, assets), assets)
        path = out_dir / f"{condition}_{number:05d}.mp4"
        write_clip(path, renderer.frames(), fps=fps, crf=crf if spec.crf is None else spec.crf, threads=threads)
        truth = renderer.truth()
        own = truth_rows(truth, video=path.name, condition=condition)
        rows += own
        if boxes:
            truths.append((path.name, truth))
        vehicles = sum(len(train.seen()) for train in truth.trains)
        duration_s = float(truth.pts_s[-1] - truth.pts_s[0]) + 1 / fps
        done.append(Simulated(path, len(renderer), duration_s, len(own), vehicles))
        if on_clip is not None:
            on_clip(done[-1])
    if boxes:
        write_truth(out_dir / "boxes.ndjson", (row for video, truth in truths for row in box_rows(truth, video=video)))
    write_truth(out_dir / "truth.ndjson", rows)
    return done
