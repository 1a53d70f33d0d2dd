"""Train a detector on a built set: ``flatcar train``.

The recipe is made for a small set and a processor without a GPU; it runs on one as well:

- The classification head is not thrown away: each new class starts from the class it looks like.
- Training pictures are crops of the size the model is used at, not squares: objects have the size they will have.
- Pictures of rare classes are repeated.
- Half of the pictures are spoiled the way rail videos are (`vision.learn.augment`).
- The learning rate and the weight of the one-to-many loss come down with the clock, or with the epochs.
- On a processor the network computes in bfloat16 where that is fast, the loss in float32.

A run writes a checkpoint each epoch and can be killed at any time: it goes on from the last one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vision.detect.registry import looks_like_path, sha256_of
from vision.detect.ultralytics_adapter import check_checkpoint, import_ultralytics
from vision.errors import DependencyError, InputError, WeightsError, first_line
from vision.learn.augment import transforms
from vision.learn.epoch import BuiltSet, write_epoch_list
from vision.learn.manifest import set_digest
from vision.learn.recipe import Recipe
from vision.learn.start import find_start
from vision.learn.training_run import TrainingRun, describe

# Ultralytics' links to services: none is used that was not asked for.
_SERVICES = ("clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb", "hub")


@dataclass(frozen=True)
class Loggers:
    """Where the figures go beside the run's folder.

    Attributes:
        tensorboard: Event files for TensorBoard, in the folder.
        mlflow: MLflow, at ``MLFLOW_TRACKING_URI`` or in the folder.
    """

    tensorboard: bool = False
    mlflow: bool = False


def train(
    data: Path,
    out: Path,
    recipe: Recipe,
    *,
    start: str = "default",
    device: str = "auto",
    loggers: Loggers | None = None,
    report: Callable[[str], None] = print,
) -> TrainingRun:
    """Train.

    Args:
        data: ``data.yaml`` of a built set, or its folder.
        out: Folder of the run, new or empty.
        recipe: How.
        start: See `vision.learn.start.find_start`.
        device: ``cpu``, ``cuda``, ``cuda:0``, ``mps``, or ``auto``: the first of CUDA, MPS and the processor that is there.
        loggers: Where the figures go beside the folder.
        report: Gets a line for each epoch.

    Raises:
        InputError: There is no built set, its labels are no good, or there is no checkpoint.
        OutputError: The folder holds something, or cannot be written.
        WeightsError: The checkpoint is no detector, or asks for foreign code.
        DependencyError: An extra or a device is not there.
    """
    built = BuiltSet.open(data)
    built.without(recipe.without)
    checkpoint = find_start(start)
    chosen = choose_device(device)
    augmentations = transforms(recipe.augment)
    _set_loggers(loggers or Loggers(), out)
    model = _load(checkpoint)
    named = str(checkpoint.resolve()) if looks_like_path(start) else start
    record = describe(built.folder, set_digest(built.folder), (named, sha256_of(checkpoint)), recipe, chosen)
    run = TrainingRun.begin(out, record)
    return _run(run, model, built, recipe, {"device": chosen, "augmentations": augmentations}, report)


def resume(
    out: Path,
    *,
    data: Path | None = None,
    start: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
    loggers: Loggers | None = None,
    report: Callable[[str], None] = print,
) -> TrainingRun:
    """Go on with a run that was stopped or killed, with the options it was begun with.

    Args:
        out: Folder of the run.
        data: Where the set lies now; None takes where it was. Its contents must be the same.
        start: What it is said to have started from; None does not ask.
        device: As in `train`; None takes what the run had.
        workers: Processes that prepare pictures; None takes what the run had.
        settings: Settings of the recipe that must be those of the run.
        loggers: As in `train`.
        report: As in `train`.

    Returns:
        The run; one that is finished as it is.

    Raises:
        InputError: There is no run, or no set.
        OutputError: The run belongs to another set, or to other settings.
        WeightsError: The checkpoint is damaged.
        DependencyError: An extra or a device is not there.
    """
    run = TrainingRun.open(out)
    built = BuiltSet.open(data or Path(run.record.data))
    asked: dict[str, Any] = {"data_digest": set_digest(built.folder), **(settings or {})}
    if start is not None:
        asked["start_sha256"] = sha256_of(find_start(start))
    run.refuse_other(asked)
    if run.record.state == "finished":
        report(f"{out} is finished already")
        return run
    recipe = Recipe.from_dict(run.record.recipe)
    recipe = recipe if workers is None else replace(recipe, workers=workers)
    options = {"device": choose_device(device or run.record.device), "augmentations": transforms(recipe.augment)}
    _set_loggers(loggers or Loggers(), out)
    if not run.last.is_file():
        report("it had not finished an epoch: from the start")
        run.keep_results_until(0)
        checkpoint = find_start(run.record.start)
        if sha256_of(checkpoint) != run.record.start_sha256:
            raise WeightsError(f"{checkpoint} is not what this training started from", hint="train in another folder")
        return _run(run, _load(checkpoint), built, recipe, options, report)
    check_checkpoint(run.last)
    epochs, last = _reached(run.last)
    trained_s = run.keep_results_until(epochs)
    if epochs >= last:
        return run.finish()
    report(f"going on after epoch {epochs}")
    return _run(run, _load(run.last), built, recipe, {**options, "resume": True}, report, trained_s=trained_s)


def _run(
    run: TrainingRun,
    model: Any,
    built: BuiltSet,
    recipe: Recipe,
    options: Mapping[str, Any],
    report: Callable[[str], None],
    *,
    trained_s: float = 0.0,
) -> TrainingRun:
    from vision.learn.trainer import make_trainer  # noqa: PLC0415

    listed = write_epoch_list(built, run.folder, without=recipe.without, seed=recipe.seed)
    where = {"project": str(run.folder.resolve().parent), "name": run.folder.resolve().name, "exist_ok": True}
    trainer = make_trainer(recipe, report, trained_s=trained_s)
    arguments = {**recipe.arguments(), "amp": _amp(str(options["device"])), **where}
    if options.get("resume"):  # the rest is in the checkpoint
        arguments = {}
    try:
        model.train(trainer=trainer, data=str(listed), **arguments, **options)
    except (FileNotFoundError, RuntimeError) as error:
        if "Dataset" in str(error):
            raise InputError(f"the set cannot be trained on: {first_line(error)}", hint="run: flatcar dataset check") from error
        raise
    return run.finish()


def choose_device(device: str) -> str:
    """A device as Ultralytics names it.

    Raises:
        DependencyError: It was asked for by name and is not there, or PyTorch is not installed.
        InputError: There is no such kind of device.
    """
    import_ultralytics()
    import torch  # noqa: PLC0415

    cuda, mps = bool(torch.cuda.is_available()), bool(torch.backends.mps.is_available())
    if device == "auto":
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    kind, _, number = device.partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (number and not number.isdigit()):
        raise InputError(f"no device is called {device!r}", hint="it is cpu, cuda, cuda:1, mps or auto")
    if (kind == "cuda" and (not cuda or int(number or 0) >= torch.cuda.device_count())) or (kind == "mps" and not mps):
        raise DependencyError(f"the device {device} is not there", hint="use --device auto")
    return f"cuda:{number or 0}" if kind == "cuda" else kind


def _amp(device: str) -> bool | str:
    """Mixed precision on CUDA, in bfloat16 where the card can: it needs no scaling of the loss, and no trial run."""
    if not device.startswith("cuda"):
        return False
    import torch  # noqa: PLC0415

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else False


def _load(checkpoint: Path) -> Any:
    """The checkpoint as Ultralytics' model.

    Raises:
        WeightsError: It is no detection model.
    """
    ultralytics = import_ultralytics()
    try:
        model = ultralytics.YOLO(str(checkpoint))
    except (TypeError, AttributeError, KeyError, ValueError, RuntimeError, OSError, AssertionError) as error:
        raise WeightsError(f"{checkpoint} is not a model that Ultralytics loads: {first_line(error)}") from error
    if model.task != "detect":
        raise WeightsError(f"{checkpoint} is made to {model.task}, not to detect", hint="give a detection checkpoint")
    return model


def _reached(checkpoint: Path) -> tuple[int, int]:
    """Epochs behind a checkpoint, and of how many."""
    from ultralytics.utils.patches import torch_load  # noqa: PLC0415

    try:
        content = torch_load(checkpoint, map_location="cpu")
        return int(content["epoch"]) + 1, int(content["train_args"]["epochs"])
    except (RuntimeError, KeyError, TypeError, ValueError, OSError, EOFError) as error:
        raise WeightsError(f"{checkpoint} cannot be gone on with: {first_line(error)}", hint="train in another folder") from error


def _set_loggers(loggers: Loggers, out: Path) -> None:
    """Switch Ultralytics' links to services off, and on those that were asked for.

    Raises:
        DependencyError: One that was asked for is not installed.
    """
    asked = {"tensorboard": loggers.tensorboard, "mlflow": loggers.mlflow}
    for name, wanted in asked.items():
        if wanted and importlib.util.find_spec(name) is None:
            raise DependencyError(f"{name} is not installed", hint=f"pip install {name}")
    from ultralytics.utils import SETTINGS  # noqa: PLC0415

    with contextlib.suppress(OSError):
        SETTINGS.update({name: asked.get(name, False) for name in _SERVICES if name in SETTINGS})
    if loggers.mlflow:
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{(out / 'mlflow.db').resolve().as_posix()}")
        os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", "flatcar")
