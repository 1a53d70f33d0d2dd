"""Ultralytics' trainer with the changes `vision.learn.train` names. Imports torch: loaded only to train."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.data.augment import RandomPerspective
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import unwrap_model

from vision.learn.recipe import Recipe
from vision.learn.start import start_rows

Report = Callable[[str], None]


def carry_head(model: Any, old: Mapping[int, str], new: Mapping[int, str]) -> None:
    """Give a detector new classes in place, each starting from the old class it looks like.

    Args:
        model: Ultralytics' DetectionModel.
        old: Index -> name of its classes.
        new: Index -> name of those it is to have.
    """
    head = model.model[-1]
    rows = start_rows([old[i] for i in sorted(old)], [new[i] for i in sorted(new)])
    branches = [head.cv3] + ([head.one2one_cv3] if getattr(head, "one2one_cv3", None) is not None else [])
    for scale in (s for branch in branches for s in branch):
        before = scale[-1]
        after = nn.Conv2d(before.in_channels, len(rows), 1)
        with torch.no_grad():
            # A little noise, or classes of one origin would stay the same class.
            after.weight.copy_(before.weight[rows] + 0.02 * before.weight.std() * torch.randn_like(after.weight))
            after.bias.copy_(before.bias[rows])
        scale[-1] = after
    head.nc = model.nc = len(rows)
    head.no = head.nc + 4 * head.reg_max
    model.yaml = {**model.yaml, "nc": head.nc}


def crop_to(transforms: Any, input_hw: tuple[int, int], zoom: tuple[float, float]) -> None:
    """Make a pipeline of transforms end in crops of a size, scaled by a range. Without it they are squares."""
    for transform in _perspectives(transforms):
        transform.size = (input_hw[1], input_hw[0])
        transform.scale = zoom


def _perspectives(transforms: Any) -> Iterator[Any]:
    for transform in getattr(transforms, "transforms", ()):
        if isinstance(transform, RandomPerspective):
            yield transform
        yield from _perspectives(transform)


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 in hardware; emulated it is slower than float32."""
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check and check())


def usable_threads() -> int:
    """Threads to compute with: ``OMP_NUM_THREADS`` where it is set, else the cores this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_trainer(recipe: Recipe, report: Report, *, trained_s: float = 0.0) -> type:
    """A trainer class for the recipe.

    Args:
        recipe: How to train.
        report: Gets a line after each epoch.
        trained_s: Seconds already trained, when a run goes on.
    """

    class Trainer(DetectionTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.args.workers = recipe.workers  # Ultralytics would take none on a processor
            self.steps = self.batches = 0  # of this process; of this epoch
            self.plain = False
            self.add_callback("on_train_start", Trainer._start_clock)
            self.add_callback("on_train_epoch_start", Trainer._start_epoch)
            self.add_callback("on_fit_epoch_end", Trainer._report)

        # What is trained on what.

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            model = copy.deepcopy(weights).float()
            names, old = self.data["names"], dict(weights.names)
            if list(old.values()) != list(names.values()):
                carry_head(model, old, names)
            for parameter in model.parameters():
                parameter.requires_grad = True
            return model.to(memory_format=torch.channels_last)

        def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
            with contextlib.redirect_stdout(io.StringIO()):  # a bar for each folder of pictures that is read
                dataset = super().build_dataset(img_path, mode, batch)
            if mode == "train":
                crop_to(dataset.transforms, recipe.input_hw, recipe.zoom)
            return dataset

        def _close_dataloader_mosaic(self) -> None:
            self.plain = True
            super()._close_dataloader_mosaic()
            crop_to(self.train_loader.dataset.transforms, recipe.input_hw, recipe.zoom)

        # How it computes.

        def _setup_train(self) -> None:
            super()._setup_train()
            if self.device.type == "cpu":
                # Ultralytics leaves one core free, which on two cores is half of them: 9.4 against 14.5 pictures a second.
                torch.set_num_threads(usable_threads())
                if has_fast_bfloat16():
                    _forward_in_bfloat16()

        # The schedules, by our own clock.

        def _start_clock(self) -> None:
            self.train_time_start = time.time() - trained_s

        def _start_epoch(self) -> None:
            self.batches, self.epoch_begun = 0, time.time()
            if recipe.hours is not None and not self.plain and self.epoch_time:
                left_s = recipe.hours * 3600 - (time.time() - self.train_time_start)
                if left_s < (recipe.plain_epochs + 0.5) * self.epoch_time:
                    self._close_dataloader_mosaic()
                    self.train_loader.reset()

        @property
        def progress(self) -> float:
            if recipe.hours is not None:
                return float((time.time() - self.train_time_start) / (recipe.hours * 3600))
            return float((self.epoch + self.batches / max(1, len(self.train_loader))) / self.epochs)

        def optimizer_step(self) -> None:
            rate = recipe.learning_rate_at(self.progress, self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            criterion: Any = getattr(unwrap_model(self.model), "criterion", None)
            if hasattr(criterion, "o2m"):
                criterion.o2m = recipe.one_to_many_at(self.progress)
                criterion.o2o = 1.0 - criterion.o2m
            super().optimizer_step()
            self.steps += 1
            self.batches += 1
            if recipe.hours is not None and self.progress >= 1:
                self.stop = True
                self.epochs = self.args.epochs = self.epoch + 1  # this was the last one: it gets the plots of the last

        # What is left behind.

        def save_model(self) -> bool:
            """Checkpoints appear whole: a kill while one is written leaves the one before."""
            last: Path = self.wdir / "last.pt"
            best: Path = self.wdir / "best.pt"
            self.last, self.best = last.with_suffix(".writing"), best.with_suffix(".writing")
            try:
                saved = bool(super().save_model())
                for part, whole in ((self.best, best), (self.last, last)):
                    if part.exists():
                        part.replace(whole)
            finally:
                self.last, self.best = last, best
            return saved

        def final_eval(self) -> None:
            """Nothing: the figures are known, and what is exported is stripped then. A stripped checkpoint cannot go on."""

        def _report(self) -> None:
            taken_s = time.time() - self.train_time_start
            where = f"epoch {self.epoch + 1}"
            where += f" of {self.epochs}" if recipe.hours is None else f", {taken_s / 3600:.2f} of {recipe.hours:g} hours"
            figures = [f"loss {sum(float(v) for v in self.tloss.values()):.3f}"] if self.tloss else []
            figures += [f"mAP50 {self.metrics['metrics/mAP50(B)']:.3f}"] if "metrics/mAP50(B)" in self.metrics else []
            report(f"{where}: {', '.join(figures)}, {time.time() - self.epoch_begun:.0f} s")

    return Trainer


def _forward_in_bfloat16() -> None:
    """Compute the network, but not the loss, in bfloat16: 19 against 9 pictures a second on two cores with AMX.

    Set on the class: a changed model object would be pickled into the checkpoints.
    """

    def loss(self: Any, batch: Mapping[str, Any], preds: Any = None) -> Any:
        if getattr(self, "criterion", None) is None:
            self.criterion = self.init_criterion()
        if preds is None:
            with torch.autocast("cpu", torch.bfloat16):
                preds = self.forward(batch["img"].to(memory_format=torch.channels_last))
            preds = _in_float32(preds)
        return self.criterion(preds, batch)

    DetectionModel.loss = loss


def _in_float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, Mapping):
        return {k: _in_float32(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return type(value)(_in_float32(v) for v in value)  # type: ignore[call-arg]
    return value
