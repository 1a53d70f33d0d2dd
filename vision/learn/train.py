"""Train a detector on a built set.

    python -m vision.learn.train --data BUILT/data.yaml --start yolo26n.pt --out RUN --hours 2

The recipe is made for a small set and a processor without a GPU; it runs on one as well:

- The classification head is not thrown away: each new class starts from the COCO class it looks like.
- Training pictures are crops of the size the model is used at, not squares: objects have the size they will have.
- Pictures of rare classes are repeated.
- On a processor the network computes in bfloat16 where that is fast, the loss in float32.

A run writes a checkpoint each epoch and goes on from it when called again with ``--resume``.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vision.detect.ultralytics_adapter import check_checkpoint, import_ultralytics
from vision.errors import FlatcarError, InputError

# A class on fewer than this share of the pictures has them repeated, the more so the rarer it is, but no more than
# threefold: a class of twenty pictures is learned by heart otherwise.
RARE_SHARE = 0.05
MOST_REPEATS = 3.0


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        input_hw: Height and width of the training crops, pixels: those the model is used at.
        hours: When to stop; the learning rate is brought down to fit.
        epochs: When to stop if ``hours`` is None.
        batch: Pictures a step.
        learning_rate: At its highest.
        warmup_epochs: Epochs over which it rises.
        plain_epochs: Last epochs, without mosaics.
        zoom: Range by which pictures are scaled.
        device: ``cpu``, ``cuda:0``, ``mps``.
        workers: Processes that prepare pictures.
        seed: Of all that is drawn by lot.
    """

    input_hw: tuple[int, int] = (384, 640)
    hours: float | None = None
    epochs: int = 20
    batch: int = 16
    learning_rate: float = 0.001
    warmup_epochs: float = 0.5
    plain_epochs: int = 1
    zoom: tuple[float, float] = (0.5, 1.4)
    device: str = "cpu"
    workers: int = 1
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        """As Ultralytics' trainer wants them."""
        return {
            "imgsz": max(self.input_hw),
            **({"epochs": self.epochs} if self.hours is None else {"time": self.hours}),
            "batch": self.batch,
            "nbs": self.batch,  # a step of the optimiser for each batch: there are few batches
            "optimizer": "AdamW",
            "lr0": self.learning_rate,
            "lrf": 0.01,
            "cos_lr": True,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "warmup_epochs": self.warmup_epochs,
            "warmup_bias_lr": 0.0,
            "warmup_momentum": 0.9,
            "mosaic": 1.0,
            "close_mosaic": self.plain_epochs,
            "fliplr": 0.5,
            "translate": 0.1,
            "hsv_h": 0.015,
            "hsv_s": 0.7,
            "hsv_v": 0.4,
            "device": self.device,
            "cache": "ram",
            "amp": False,
            "plots": False,
            "patience": 0,
            "seed": self.seed,
            "deterministic": False,
        }


def repeats(classes: Mapping[Path, set[int]], seed: int = 0) -> list[Path]:
    """Pictures of one epoch: those with a rare class several times.

    A picture is repeated sqrt(`RARE_SHARE` / share) times for its rarest class, at most `MOST_REPEATS`; what is left
    over from a whole number is drawn by lot.

    Args:
        classes: Picture -> indices of the classes on it.
        seed: Of the lot.
    """
    lot = random.Random(seed)
    count = Counter(c for found in classes.values() for c in found)
    listed = []
    for path in sorted(classes):
        share = min((count[c] / len(classes) for c in classes[path]), default=1.0)
        factor = min(max(1.0, math.sqrt(RARE_SHARE / share)), MOST_REPEATS)
        listed += [path] * (int(factor) + (lot.random() < factor - int(factor)))
    return listed


def write_epoch_list(data: Path, *, seed: int = 0) -> Path:
    """Write the list of an epoch's pictures beside a built set's ``data.yaml``, and a ``data-epoch.yaml`` that names it.

    Raises:
        InputError: There is no built set.
    """
    folder = data.parent
    try:
        described = yaml.safe_load(data.read_text(encoding="utf-8"))
        pictures = sorted((folder / described["train"]).glob("*.jpg"))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{data} is no built set: {error}", hint="build it with vision.learn.build") from error
    if not pictures:
        raise InputError(f"{data} names no training pictures", hint="build it with vision.learn.build")
    classes = {p: _classes(folder / "labels" / "train" / f"{p.stem}.txt") for p in pictures}
    (folder / "epoch.txt").write_text("".join(f"{p.resolve()}\n" for p in repeats(classes, seed)), encoding="utf-8")
    listed = folder / "data-epoch.yaml"
    listed.write_text(yaml.safe_dump({**described, "train": "epoch.txt"}, sort_keys=False), encoding="utf-8")
    return listed


def train(data: Path, start: Path, out: Path, recipe: Recipe) -> Path:
    """Train.

    Args:
        data: ``data.yaml`` of a built set.
        start: Checkpoint to start from: COCO's classes, or those of ``data``.
        out: Folder of the run.
        recipe: How.

    Returns:
        The last checkpoint, ``out/weights/last.pt``.

    Raises:
        InputError: There is no built set or no checkpoint.
        WeightsError: The checkpoint asks for foreign code.
        DependencyError: Ultralytics is not installed.
    """
    if not start.is_file():
        raise InputError(f"no checkpoint {start}")
    check_checkpoint(start)
    ultralytics = import_ultralytics()
    from vision.learn.trainer import make_trainer  # noqa: PLC0415

    trainer = make_trainer(recipe.input_hw, recipe.zoom, recipe.workers)
    listed = write_epoch_list(data, seed=recipe.seed)
    where = {"project": str(out.resolve().parent), "name": out.name, "exist_ok": True}
    ultralytics.YOLO(str(start)).train(trainer=trainer, data=str(listed), **recipe.arguments(), **where)
    return out / "weights" / "last.pt"


def resume(out: Path, recipe: Recipe) -> Path:
    """Go on with a run that was stopped, with the options it was begun with.

    Raises:
        InputError: The run has no checkpoint.
    """
    last = out / "weights" / "last.pt"
    if not last.is_file():
        raise InputError(f"no run to go on with in {out}")
    check_checkpoint(last)
    ultralytics = import_ultralytics()
    from vision.learn.trainer import make_trainer  # noqa: PLC0415

    trainer = make_trainer(recipe.input_hw, recipe.zoom, recipe.workers)
    ultralytics.YOLO(str(last)).train(trainer=trainer, resume=True)
    return last


def _classes(labels: Path) -> set[int]:
    return {int(line.split()[0]) for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()}


def main(argv: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m vision.learn.train", description="Train a detector on a built set.")
    parser.add_argument("--data", type=Path, required=True, help="data.yaml of a built set")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--hours", type=float, help="when to stop")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help="when to stop, without --hours (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate, help="highest (%(default)s)")
    parser.add_argument("--input-hw", type=int, nargs=2, default=Recipe.input_hw, metavar=("H", "W"), help="size of the crops")
    parser.add_argument("--device", default=Recipe.device, help="cpu, cuda:0, mps (%(default)s)")
    args = parser.parse_args(argv)
    recipe = Recipe(
        input_hw=tuple(args.input_hw), hours=args.hours, epochs=args.epochs, learning_rate=args.learning_rate, device=args.device
    )
    try:
        last = resume(args.out, recipe) if args.resume else train(args.data, args.start, args.out, recipe)
    except FlatcarError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
