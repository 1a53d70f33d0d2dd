"""Why a clip of the counting benchmark was miscounted, as a picture: the clip exists nowhere, so it is drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.config import Config
from vision.errors import OutputError
from vision.report.explain import draw_clip, draw_train
from vision.report.explain_truth import truth_of
from vision.run.explain import case_of
from vision.run.store import atomic_write
from vision.synth.benchmark import looking_name
from vision.synth.clips import Looking, bench_scene, kept_clip, looks_of, raw_video, truth_trains
from vision.synth.drawn import DrawnAssets
from vision.synth.render import Renderer

_JPEG_QUALITY = 65
_WIDEST_PX = 1100
_MOST_TRAINS = 2


@dataclass(frozen=True, slots=True, repr=False)
class _DrawnFrame:
    """A frame of a rendered clip, drawn when it is asked for."""

    pts_s: float
    index: int
    renderer: Renderer

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3) uint8 BGR."""
        return np.asarray(self.renderer.frame(self.index), np.uint8)


def explain_entry(condition: str, seed: int, *, looking: Looking, keep: Path | None = None) -> NDArray[np.uint8]:
    """Draw how a clip of the benchmark was counted with scripted boxes, its first trains below each other.

    Args:
        condition: Which clip.
        seed: Which clip.
        looking: How the scripted detector looks.
        keep: Folder of kept clips, see ``kept_clip``.

    Returns:
        (rows, columns, 3) uint8 BGR.
    """
    config = Config()
    clip = kept_clip(condition, seed, keep, config=config)
    looks = looks_of(clip, looking)
    raw = raw_video(clip, looks, config)
    renderer = Renderer(bench_scene(condition, seed), DrawnAssets())
    times_s = clip.truth.pts_s
    frames = [_DrawnFrame(look.pts_s, int(np.argmin(np.abs(times_s - look.pts_s))), renderer) for look in looks]
    case = case_of(
        raw,
        path=raw.record.path,
        looked=frames,
        measured=(clip.watched.series, clip.watched.shots),
        duration_s=raw.record.duration_s,
        config=config,
        watchable=False,
    )
    truth = truth_of(case, truth_trains(clip))
    trains = [passage for passage in case.passages if passage.train_id is not None]
    drawn = [draw_train(case, passage, truth=truth) for passage in trains[:_MOST_TRAINS]] or [draw_clip(case, truth=truth)]
    width = max(one.picture.shape[1] for one in drawn)
    padded = [
        cv2.copyMakeBorder(
            one.picture, 0, 0, 0, width - one.picture.shape[1], cv2.BORDER_CONSTANT, value=one.picture[-1, -1].tolist()
        )
        for one in drawn
    ]
    return np.asarray(np.vstack(padded), np.uint8)


def explain_failures(
    rows: Sequence[Mapping[str, Any]], looking: Looking, out: Path, *, keep: Path | None = None, most: int = 12
) -> dict[str, str]:
    """A picture for each condition that fails, of its first clip with a wrong total.

    Args:
        rows: Of the benchmark's results, engine alone.
        looking: The way of looking that is judged.
        out: Folder for ``CONDITION-SEED.jpg``; pictures of earlier calls go.
        keep: Folder of kept clips.
        most: No more pictures; conditions with the most wrong trains come first.

    Returns:
        Clip, as the tables call it -> file name.

    Raises:
        OutputError: The folder cannot be written.
    """
    wrong: dict[str, list[int]] = {}
    for row in rows:
        failed = sum(bool(reason) for reason in row["lookings"][looking_name(looking)]["why"])
        wrong.setdefault(str(row["condition"]), []).extend([int(row["seed"])] * failed)
    ranked = sorted((seeds, condition) for condition, seeds in wrong.items() if seeds)
    ranked.sort(key=lambda item: -len(item[0]))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob("*.jpg"):
            old.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in {out}: {error.strerror}") from error
    files = {}
    for seeds, condition in ranked[:most]:
        picture = explain_entry(condition, seeds[0], looking=looking, keep=keep)
        scale = min(1.0, _WIDEST_PX / picture.shape[1])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        file = f"{condition}-{seeds[0]}.jpg"
        atomic_write(out / file, cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())
        files[f"{condition}-{seeds[0]}"] = file
    return files
