"""How a detector is trained: the numbers, their schedules over the training, and what Ultralytics is told.

Schedules run over the *progress* of a training, 0 at its start and 1 at its end, by time where hours are given and by epochs
otherwise. Nobody knows beforehand how many epochs an hour has; a learning rate that follows the clock comes down in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vision.errors import InputError
from vision.learn.augment import KINDS

STRIDE_PX = 32
"""Sides of the input are multiples of this: the coarsest grid of the model."""

MOST_FROZEN = 23
"""Stages before the head in YOLO26; without it nothing would be left to learn."""

MANY_EPOCHS = 100_000
"""Ultralytics wants a number of epochs, also where time ends the training."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        input_hw: Height and width of the training crops, pixels, multiples of 32: those the model is used at.
        hours: When to stop; None leaves it to ``epochs``.
        epochs: When to stop if ``hours`` is None.
        batch: Pictures a step.
        learning_rate: At its highest.
        final_learning_rate: At the end.
        warmup_steps: Steps over which it rises at the start, and after each interruption: the optimiser's memory is coarse then.
        one_to_many: Weight of the loss that assigns each object several boxes, at the start and at the end. The rest is that of
            the end-to-end head, which is the one in use; the first teaches the layers below faster.
        mosaic: Share of the pictures that are put together from four, in [0, 1].
        plain_epochs: Last epochs, without mosaics.
        freeze: So many stages at the model's beginning stay as they are: a step is shorter, and few pictures spoil nothing.
        class_weight: Weight of the class in the loss; that of the box is 7.5.
        zoom: Range by which pictures are scaled.
        augment: What else is done to them, see `vision.learn.augment`.
        workers: Processes that prepare pictures.
        seed: Of all that is drawn by lot.
        without: Sources of the set that are left out.
    """

    input_hw: tuple[int, int] = (384, 640)
    hours: float | None = None
    epochs: int = 20
    batch: int = 16
    learning_rate: float = 0.001
    final_learning_rate: float = 5e-6
    warmup_steps: int = 12
    one_to_many: tuple[float, float] = (0.4, 0.1)
    mosaic: float = 1.0
    plain_epochs: int = 1
    freeze: int = 0
    class_weight: float = 0.5
    zoom: tuple[float, float] = (0.5, 1.4)
    augment: str = "rail"
    workers: int = 1
    seed: int = 0
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Says what is out of range.

        Raises:
            InputError: A number is.
        """
        for name, fits, expected in (
            ("input size", all(s >= STRIDE_PX and s % STRIDE_PX == 0 for s in self.input_hw), "multiples of 32 pixels"),
            ("hours", self.hours is None or (math.isfinite(self.hours) and self.hours > 0), "above 0"),
            ("epochs", self.epochs >= 1, "1 or more"),
            ("batch", self.batch >= 1, "1 or more"),
            ("learning rate", 0 < self.final_learning_rate <= self.learning_rate < 1, "above 0 and below 1"),
            ("mosaic share", 0 <= self.mosaic <= 1, "from 0 to 1"),
            ("number of frozen stages", 0 <= self.freeze <= MOST_FROZEN, f"from 0 to {MOST_FROZEN}"),
            ("class weight", math.isfinite(self.class_weight) and self.class_weight > 0, "above 0"),
            ("workers", self.workers >= 0, "0 or more"),
            ("augment", self.augment in KINDS, " or ".join(KINDS)),
        ):
            if not fits:
                raise InputError(f"cannot train with this {name}", hint=f"it must be {expected}")

    @property
    def length(self) -> str:
        """How long it goes on, in words."""
        return f"{self.epochs} epochs" if self.hours is None else f"{self.hours:g} hours"

    def learning_rate_at(self, progress: float, step: int) -> float:
        """The learning rate: a rise, then half a cosine down.

        Args:
            progress: 0 to 1.
            step: Steps since this process began.
        """
        span = self.learning_rate - self.final_learning_rate
        annealed = self.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return annealed * min(1.0, (step + 1) / max(1, self.warmup_steps))

    def one_to_many_at(self, progress: float) -> float:
        """Weight of the one-to-many loss; that of the other is what is left of 1."""
        first, last = self.one_to_many
        return first + (last - first) * min(1.0, progress)

    def arguments(self) -> dict[str, Any]:
        """As Ultralytics' trainer wants them; the schedules are our own."""
        return {
            "imgsz": max(self.input_hw),
            "epochs": self.epochs if self.hours is None else MANY_EPOCHS,
            "batch": self.batch,
            "nbs": self.batch,  # a step of the optimiser for each batch: there are few batches
            "optimizer": "AdamW",
            "lr0": self.learning_rate,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "warmup_epochs": 0.0,
            "mosaic": self.mosaic,
            "close_mosaic": self.plain_epochs,
            "freeze": self.freeze or None,
            "cls": self.class_weight,
            "fliplr": 0.5,
            "translate": 0.1,
            "hsv_h": 0.015,
            "hsv_s": 0.7,
            "hsv_v": 0.4,
            "cache": "ram",
            "plots": True,
            "patience": 0,
            "seed": self.seed,
            "deterministic": False,
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for ``run.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Recipe:
        """From what `to_dict` gave, after JSON.

        Raises:
            InputError: A key is unknown, or a value no good.
        """
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"the stored settings are of another version: {error}", hint="start a new run") from error
