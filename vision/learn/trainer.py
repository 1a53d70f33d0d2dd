"""Ultralytics' trainer with the four changes `vision.learn.train` names. Imports torch: loaded only to train."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from ultralytics.data.augment import RandomPerspective
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

# COCO's class that each class starts from; what is not named here starts from COCO's truck.
COCO_TRUCK = 7
COCO_START = {"uaz": 2, "civil_car": 2}
COCO_CLASSES = 80


def carry_head(model: Any, names: Mapping[int, str]) -> None:
    """Give a COCO detector new classes in place, each starting from the COCO class it looks like.

    Args:
        model: Ultralytics' DetectionModel with COCO's 80 classes.
        names: Index -> name of the new classes.
    """
    head = model.model[-1]
    rows = [COCO_START.get(names[i], COCO_TRUCK) for i in range(len(names))]
    branches = [head.cv3] + ([head.one2one_cv3] if getattr(head, "one2one_cv3", None) is not None else [])
    for scale in (s for branch in branches for s in branch):
        old = scale[-1]
        new = nn.Conv2d(old.in_channels, len(rows), 1)
        with torch.no_grad():
            # A little noise, or classes of one origin would stay the same class.
            new.weight.copy_(old.weight[rows] + 0.02 * old.weight.std() * torch.randn_like(new.weight))
            new.bias.copy_(old.bias[rows])
        scale[-1] = new
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


def make_trainer(input_hw: tuple[int, int], zoom: tuple[float, float], workers: int) -> type:
    """A trainer class for the recipe.

    Args:
        input_hw: Height and width of the crops, pixels.
        zoom: Range by which pictures are scaled.
        workers: Processes that prepare pictures; Ultralytics would take none on a processor.
    """

    class Trainer(DetectionTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.args.workers = workers

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            model = copy.deepcopy(weights).float()
            names = self.data["names"]
            if model.model[-1].nc == COCO_CLASSES != len(names):
                carry_head(model, names)
            for parameter in model.parameters():
                parameter.requires_grad = True
            return model.to(memory_format=torch.channels_last)

        def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
            dataset = super().build_dataset(img_path, mode, batch)
            if mode == "train":
                crop_to(dataset.transforms, input_hw, zoom)
            return dataset

        def _close_dataloader_mosaic(self) -> None:
            super()._close_dataloader_mosaic()
            crop_to(self.train_loader.dataset.transforms, input_hw, zoom)

        def _setup_train(self) -> None:
            super()._setup_train()
            if self.device.type == "cpu" and has_fast_bfloat16():
                _forward_in_bfloat16()

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
