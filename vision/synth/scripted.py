"""A detector that reads the truth instead of the picture, with errors as asked: the counter's benchmark needs no model.

Some vehicles of a train are hard (dark, half under a tarpaulin) and stay hard while they pass; that is what breaks trackers,
and what independent misses would not show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.errors import DetectorError
from vision.synth.render import SceneTruth
from vision.synth.scene import VEHICLE_LENGTH_M
from vision.synth.truth import HIDDEN
from vision.types import Detections, Look

TICKS_PER_S = 90_000
"""Time base of the looks' ``pts``, as in MPEG streams."""


class ScriptedDetector:
    """Detections of a clip whose truth is known; the same time gives the same detections, whatever was asked before.

    Args:
        truth: Of the clip.
        miss_hard_share: Share of each train's vehicles that are hard, drawn once per train.
        miss_rate: Share of looks in which a hard vehicle is missed.
        miss_easy_rate: The same for all others.
        false_rate: Share of all detections that show nothing real, at random places.
        jitter_px: Deviation of each edge of a box, pixels.
        seed: Of all its dice.
        class_flicker: Share of detections with another class.
        least_fraction: A box shows at least this share of its vehicle; less is not detected, nor what is hidden by half.
        class_names: Names that ``class_id`` indexes; the truth's classes must be among them.
    """

    input_hw = (640, 640)
    name = "scripted"
    weights_sha256 = "0" * 64

    def __init__(
        self,
        truth: SceneTruth,
        *,
        miss_hard_share: float = 0.25,
        miss_rate: float = 0.75,
        miss_easy_rate: float = 0.0,
        false_rate: float = 0.02,
        jitter_px: float = 2.0,
        seed: int = 0,
        class_flicker: float = 0.0,
        least_fraction: float = 0.5,
        class_names: Sequence[str] = tuple(VEHICLE_LENGTH_M),
    ) -> None:
        self._truth = truth
        self._class_names = tuple(class_names)
        self._miss_rate = miss_rate
        self._miss_easy_rate = miss_easy_rate
        self._false_rate = false_rate
        self._jitter_px = jitter_px
        self._seed = seed
        self._class_flicker = class_flicker
        self._least_fraction = least_fraction
        self._hard = tuple(self._draw_hard(t, miss_hard_share) for t in range(len(truth.trains)))
        self._coming: list[float] = []

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that ``Detections.class_id`` indexes."""
        return self._class_names

    @property
    def hard(self) -> tuple[NDArray[np.bool_], ...]:
        """For each train, which of its vehicles are hard."""
        return self._hard

    def _draw_hard(self, train: int, share: float) -> NDArray[np.bool_]:
        count = len(self._truth.trains[train].vehicles)
        rng = np.random.default_rng([self._seed, 21, train])
        hard = np.zeros(count, np.bool_)
        hard[rng.permutation(count)[: round(share * count)]] = True
        return hard

    def for_time(self, pts_s: float) -> Detections:
        """What it sees on the frame nearest to a time, boxes on the full frame."""
        return self.for_frame(int(np.argmin(np.abs(self._truth.pts_s - pts_s))))

    def for_frame(self, frame: int) -> Detections:
        """What it sees on a frame, by its index."""
        rng = np.random.default_rng([self._seed, 22, frame])
        boxes = self._truth.boxes(frame)
        xyxy: list[NDArray[np.float64]] = []
        score: list[float] = []
        class_id: list[int] = []
        for k in range(len(boxes.fraction)):
            hard = bool(self._hard[boxes.train[k]][boxes.vehicle[k]])
            # The dice are thrown for every box, so that one setting does not change the luck of the others.
            missed, flicker, sureness = rng.random(3)
            edges = rng.normal(0, 1, 4) * self._jitter_px
            if missed < (self._miss_rate if hard else self._miss_easy_rate) or boxes.fraction[k] < self._least_fraction:
                continue
            if boxes.hidden[k] > HIDDEN:
                continue
            name = self._truth.trains[boxes.train[k]].vehicles[boxes.vehicle[k]].class_name
            own = self._class_names.index(name)
            if flicker < self._class_flicker and len(self._class_names) > 1:
                own = (own + 1 + int(rng.integers(len(self._class_names) - 1))) % len(self._class_names)
            xyxy.append(boxes.xyxy_px[k] + edges)
            score.append(float(0.45 + 0.5 * sureness - (0.2 if hard else 0.0)))
            class_id.append(own)
        for _ in range(int(rng.poisson(len(xyxy) * self._false_rate / max(1e-9, 1 - self._false_rate)))):
            xyxy.append(self._false_box(rng))
            score.append(float(rng.uniform(0.25, 0.6)))
            class_id.append(int(rng.integers(len(self._class_names))))
        return Detections.of(self._tidy(np.array(xyxy).reshape(-1, 4)), score, class_id)

    def _tidy(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes inside the picture, at least a pixel wide and high."""
        limits = np.array([self._truth.width_px, self._truth.height_px], np.float64)
        top_left = np.clip(np.minimum(xyxy[:, :2], xyxy[:, 2:] - 1), 0, limits - 1)
        bottom_right = np.clip(np.maximum(xyxy[:, 2:], top_left + 1), 1, limits)
        return np.concatenate([top_left, bottom_right], axis=1)

    def _false_box(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A vehicle-sized box anywhere in view."""
        x0, y0, x1, y1 = self._truth.view_xyxy_px
        scale = self._truth.trains[0].px_per_m if self._truth.trains else self._truth.width_px * 0.03
        width, height = rng.uniform(4, 9) * scale, rng.uniform(1.5, 3.0) * scale
        x, y = rng.uniform(x0, max(x0 + 1, x1 - width)), rng.uniform(y0, max(y0 + 1, y1 - height))
        return np.array([x, y, x + width, y + height])

    def coming(self, pts_s: Sequence[float]) -> None:
        """Say which times the next pictures given to ``detect`` show, in order."""
        self._coming.extend(pts_s)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """What it sees on pictures whose times were announced with ``coming``.

        Raises:
            DetectorError: More pictures than announced times.
        """
        if len(images) > len(self._coming):
            raise DetectorError(
                f"the scripted detector got {len(images)} pictures but knows the time of {len(self._coming)}",
                hint="announce their times with coming()",
            )
        times, self._coming = self._coming[: len(images)], self._coming[len(images) :]
        return [self.for_time(pts_s) for pts_s in times]

    def close(self) -> None:
        self._coming.clear()

    def __enter__(self) -> ScriptedDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scripted_looks(
    truth: SceneTruth,
    *,
    looks_per_s: float,
    miss_hard_share: float = 0.25,
    miss_rate: float = 0.75,
    miss_easy_rate: float = 0.0,
    false_rate: float = 0.02,
    jitter_px: float = 2.0,
    seed: int = 0,
    class_flicker: float = 0.0,
    least_fraction: float = 0.5,
    class_names: Sequence[str] = tuple(VEHICLE_LENGTH_M),
) -> list[Look]:
    """Looks at even intervals through the whole clip; the other arguments are ``ScriptedDetector``'s.

    Args:
        truth: Of the clip.
        looks_per_s: How often the detector looks; at most every frame.
        miss_hard_share: See ``ScriptedDetector``.
        miss_rate: See ``ScriptedDetector``.
        miss_easy_rate: See ``ScriptedDetector``.
        false_rate: See ``ScriptedDetector``.
        jitter_px: See ``ScriptedDetector``.
        seed: See ``ScriptedDetector``.
        class_flicker: See ``ScriptedDetector``.
        least_fraction: See ``ScriptedDetector``.
        class_names: See ``ScriptedDetector``.
    """
    detector = ScriptedDetector(
        truth,
        miss_hard_share=miss_hard_share,
        miss_rate=miss_rate,
        miss_easy_rate=miss_easy_rate,
        false_rate=false_rate,
        jitter_px=jitter_px,
        seed=seed,
        class_flicker=class_flicker,
        least_fraction=least_fraction,
        class_names=class_names,
    )
    pts_s = truth.pts_s
    wanted = np.arange(pts_s[0], pts_s[-1] + 1e-9, 1 / looks_per_s)
    frames = np.unique(np.clip(np.searchsorted(pts_s, wanted - 1e-6), 0, len(pts_s) - 1))
    return [Look(round(float(pts_s[i]) * TICKS_PER_S), float(pts_s[i]), detector.for_frame(int(i))) for i in frames]
