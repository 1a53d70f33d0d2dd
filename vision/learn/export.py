"""Turn a training checkpoint into weights that can be used and given away: ``flatcar weights export``.

    OUT/NAME/NAME.pt                        PyTorch, half precision, without the optimiser's memory
    OUT/NAME/NAME_openvino/NAME.{xml,bin}   OpenVINO, half precision
    OUT/NAME/NAME.onnx, NAME.engine         where asked for
    OUT/NAME/metrics.json                   measured here, where the pictures to calibrate on have a truth
    OUT/NAME-int8/NAME-int8_openvino/...    the eight-bit model: weights of its own, with figures of its own

All have the end-to-end head: no suppression of overlapping boxes is needed. What the training left in the files about the machine
it ran on (paths, dates, options) is taken out. A folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vision.config import DetectConfig
from vision.detect import build_detector
from vision.detect.ultralytics_adapter import check_checkpoint, import_ultralytics
from vision.errors import DependencyError, FlatcarError, InputError, OutputError, UsageError, WeightsError, first_line
from vision.learn.evaluate import MIN_SCORE, Truth, evaluate, known_classes, predict
from vision.learn.quantise import CALIBRATION_PICTURES, calibration_pictures, import_nncf, quantise
from vision.learn.recipe import STRIDE_PX, Recipe
from vision.learn.training_run import RECORD_NAME
from vision.taxonomy import default_taxonomy

LICENCE = "AGPL-3.0-or-later"
_INSTALL = 'pip install "flatcar[train]"'
FORMATS = ("openvino", "onnx", "torch", "engine")
METRICS_NAME = "metrics.json"

# What a reader of the model needs; the rest of Ultralytics' metadata says where and when it was made.
_KEPT_METADATA = ("author", "version", "stride", "task", "head", "batch", "imgsz", "names", "channels", "end2end")
_KEPT_ARGUMENTS = ("task", "imgsz", "single_cls")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROOM = 8  # times the checkpoint's size: what all forms and the steps between take, roughly


@dataclass(frozen=True)
class Exported:
    """One model of an export.

    Attributes:
        name: Its name.
        folder: Where its files lie.
        metrics: Figures, where they were measured.
    """

    name: str
    folder: Path
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """The weights, sorted."""
        return sorted(p for p in self.folder.rglob("*") if p.suffix in {".pt", ".xml", ".bin", ".onnx", ".engine"})


def export(
    checkpoint: Path,
    name: str,
    out: Path,
    *,
    formats: Sequence[str] = ("openvino", "torch"),
    int8: bool = False,
    calibrate: Path | None = None,
    pictures: int = CALIBRATION_PICTURES,
    input_hw: tuple[int, int] | None = None,
    report: Callable[[str], None] = print,
) -> list[Exported]:
    """Write a checkpoint's weights in the forms asked for.

    Args:
        checkpoint: ``best.pt`` or ``last.pt`` of a training, or any detection checkpoint.
        name: Of the weights, as they will be called.
        out: Folder to write ``NAME`` and, with ``int8``, ``NAME-int8`` into.
        formats: Out of `FORMATS`.
        int8: Write an eight-bit OpenVINO model as well.
        calibrate: A built set or a folder of pictures. Those of a set with a truth are measured on as well.
        pictures: How many to calibrate on.
        input_hw: Height and width of the input, pixels; None takes those of the training, else 384 x 640.
        report: Gets a line as each step begins.

    Returns:
        What was written: one model, or with ``int8`` two.

    Raises:
        UsageError: Options that contradict each other.
        InputError: No checkpoint, or too few pictures.
        WeightsError: The checkpoint is no detector of known classes.
        OutputError: The folder is there already, or cannot be written; the disk is full.
        DependencyError: An extra is not installed, or CUDA is not there for an ``engine``.
    """
    _check(checkpoint, name, formats, int8, calibrate)
    input_hw = input_hw or trained_input(checkpoint)
    if any(side < STRIDE_PX or side % STRIDE_PX for side in input_hw):
        raise InputError(f"an input of {input_hw[0]} x {input_hw[1]} cannot be exported", hint="give multiples of 32")
    chosen = calibration_pictures(calibrate, count=pictures) if int8 and calibrate else []
    targets = [out / name, *([out / f"{name}-int8"] if int8 else [])]
    for target in targets:
        if target.exists():
            raise OutputError(f"{target} is there already", hint="give another name, or remove it")
    with _workplace(out, checkpoint) as place:
        weights = place / name / f"{name}.pt"
        report(f"{name}: {', '.join(formats)} for pictures of {input_hw[0]} x {input_hw[1]}")
        strip_checkpoint(checkpoint, weights, input_hw=input_hw)
        known_classes(_class_names(weights), default_taxonomy(), weights=str(checkpoint))
        models = _write_forms(weights, formats, chosen, input_hw, report)
        figures = _measure(models, calibrate, report)
        if "torch" not in formats:
            weights.unlink()
        pairs = zip(targets, figures, strict=True)
        made = [(target, f) for target, f in pairs if any((place / target.name).glob("*"))]
        for target, metrics in made:
            if metrics:
                text = json.dumps(metrics, indent=1) + "\n"
                (place / target.name / METRICS_NAME).write_text(text, encoding="utf-8")
        for target, _ in made:
            (place / target.name).rename(target)
    return [Exported(target.name, target, metrics) for target, metrics in made]


def _write_forms(
    weights: Path, formats: Sequence[str], calibrate_on: Sequence[Path], input_hw: tuple[int, int], report: Callable[[str], None]
) -> list[Path]:
    """Write the other forms beside a ``.pt``, and the eight-bit model in a folder beside that.

    Returns:
        What to measure: the full model, and the eight-bit one where there are pictures to calibrate on.
    """
    folder, name = weights.parent, weights.stem
    for kind in ("onnx", "engine"):
        if kind in formats:
            _export_file(weights, folder / f"{name}.{kind}", input_hw)
    if "openvino" not in formats and not calibrate_on:
        return [weights]
    openvino = (folder if "openvino" in formats else folder.parent / "unwanted") / f"{name}_openvino"
    export_openvino(weights, openvino, input_hw=input_hw)
    models = [openvino / f"{name}.xml"]
    if calibrate_on:
        report(f"{name}-int8: calibrating on {len(calibrate_on)} pictures")
        models.append(_export_int8(openvino, folder.with_name(f"{name}-int8"), calibrate_on, input_hw))
    return models


def _check(checkpoint: Path, name: str, formats: Sequence[str], int8: bool, calibrate: Path | None) -> None:
    """What can be refused before anything is loaded."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"weights cannot be called {name!r}", hint="use letters, digits, dots, dashes and underscores")
    if unknown := [f for f in formats if f not in FORMATS]:
        raise UsageError(f"no format is called {unknown[0]!r}", hint=f"known are {', '.join(FORMATS)}")
    if not formats and not int8:
        raise UsageError("nothing is to be exported", hint=f"give --format, out of {', '.join(FORMATS)}")
    if int8 and calibrate is None:
        raise UsageError("eight-bit weights are calibrated on pictures", hint="give --calibrate SET, or a folder of pictures")
    if not checkpoint.is_file():
        raise InputError(f"no checkpoint {checkpoint}")
    check_checkpoint(checkpoint)
    import_ultralytics()
    if int8:
        import_nncf()
    if "engine" in formats:
        import torch  # noqa: PLC0415

        if not torch.cuda.is_available():
            raise DependencyError("a TensorRT engine is made on the graphics card it will run on", hint="CUDA is not there")


@contextlib.contextmanager
def _workplace(out: Path, checkpoint: Path) -> Iterator[Path]:
    """A folder beside the result's place, removed at the end; what fails in it for want of space says so.

    Raises:
        OutputError: The folder cannot be written, or there is no space left.
    """
    needed = _ROOM * checkpoint.stat().st_size
    try:
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
        if free < needed:
            raise OutputError(
                f"no space left in {out}: {free >> 20} MB are free", hint=f"about {(needed >> 20) + 1} MB are needed"
            )
        with tempfile.TemporaryDirectory(prefix=".flatcar-", dir=out, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except FlatcarError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write in {out}: {error.strerror or error}", hint="nothing was left behind") from error
    except RuntimeError as error:
        # PyTorch and OpenVINO name no reason when a file cannot be written.
        if "write" in str(error) or "file" in str(error) or _is_full(out):
            raise OutputError(f"cannot write in {out}: {first_line(error)}", hint="is the disk full?") from error
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 1 << 20
    except OSError as error:
        return error.errno == errno.ENOSPC


def trained_input(checkpoint: Path) -> tuple[int, int]:
    """Height and width a checkpoint was trained for: what its run says, else what it says itself, else 384 x 640."""
    record = checkpoint.parent.parent / RECORD_NAME
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        height, width = json.loads(record.read_text(encoding="utf-8"))["recipe"]["input_hw"]
        return int(height), int(width)
    import_ultralytics()
    from ultralytics.utils.patches import torch_load  # noqa: PLC0415

    with contextlib.suppress(Exception):
        size = torch_load(checkpoint, map_location="cpu")["train_args"]["imgsz"]
        if isinstance(size, (list, tuple)) and len(size) == 2:
            return int(size[0]), int(size[1])
    return Recipe.input_hw


def strip_checkpoint(checkpoint: Path, out: Path, *, input_hw: tuple[int, int]) -> None:
    """Write the weights of a training checkpoint without optimiser state, in half precision.

    Args:
        checkpoint: ``last.pt`` or ``best.pt`` of a training run.
        out: File to write.
        input_hw: Height and width the weights are meant for, pixels.

    Raises:
        InputError: The checkpoint is missing.
        WeightsError: It asks for foreign code, or holds no detection model.
    """
    if not checkpoint.is_file():
        raise InputError(f"no checkpoint {checkpoint}")
    check_checkpoint(checkpoint)
    import_ultralytics()
    import torch  # noqa: PLC0415
    from ultralytics.utils.patches import torch_load  # noqa: PLC0415

    try:
        content = torch_load(checkpoint, map_location="cpu")
    except (RuntimeError, EOFError, KeyError, AttributeError, ValueError) as error:
        raise WeightsError(f"{checkpoint} is damaged: {first_line(error)}", hint="train or fetch it anew") from error
    model = _detection_model(content, checkpoint).half().eval()
    arguments = {"imgsz": list(input_hw), "task": "detect", "single_cls": False}
    model.args = {k: arguments[k] for k in _KEPT_ARGUMENTS}
    for attribute in ("pt_path", "yaml_file", "criterion"):
        if hasattr(model, attribute):
            delattr(model, attribute)
    if isinstance(model.yaml, dict):
        model.yaml.pop("yaml_file", None)
    for parameter in model.parameters():
        parameter.requires_grad = False
    kept = {"epoch": -1, "model": model, "train_args": arguments, "version": content.get("version"), "license": LICENCE}
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.save(kept, out)
    except RuntimeError as error:
        # What PyTorch says when a file cannot be written depends on where it fell over.
        raise OSError(f"the checkpoint could not be written: {first_line(error)}") from error


def _detection_model(content: Any, checkpoint: Path) -> Any:
    """The network in a checkpoint: its running average where there is one.

    Raises:
        WeightsError: There is none, or it does something else than detect.
    """
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415

    model = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if model is None:
        raise WeightsError(f"{checkpoint} holds no model", hint="give best.pt or last.pt of a training")
    if type(model) is not DetectionModel:  # segmentation, poses and so on derive from it
        raise WeightsError(f"{checkpoint} holds a {type(model).__name__}, not a detector", hint="give a detection checkpoint")
    return model


def _class_names(weights: Path) -> list[str]:
    names = import_ultralytics().YOLO(str(weights)).names
    return [str(names[index]) for index in sorted(names)]


def export_openvino(weights: Path, out: Path, *, input_hw: tuple[int, int]) -> None:
    """Write an OpenVINO model with an input of any size, half-precision weights and the end-to-end head.

    It is compiled for a size when it is loaded, so that a low picture need not pay for a high one; the results are the same to
    the last bit as those of an export of that size.

    Args:
        weights: A ``.pt`` from `strip_checkpoint`.
        out: Folder to write: an ``.xml`` and a ``.bin`` of its name, and ``metadata.yaml``.
        input_hw: Height and width of the input, pixels, multiples of 32.
    """
    stem = out.name.removesuffix("_openvino")
    with tempfile.TemporaryDirectory(dir=_home(out)) as folder:
        made = _converted(weights, Path(folder) / f"{stem}.pt", "openvino", input_hw)
        out.mkdir(parents=True, exist_ok=True)
        for suffix in (".xml", ".bin"):
            shutil.move(str(next(made.glob(f"*{suffix}"))), out / f"{stem}{suffix}")
        metadata = yaml.safe_load((made / "metadata.yaml").read_text(encoding="utf-8"))
    kept = {"description": f"flatcar {stem}", "license": LICENCE, **{k: metadata[k] for k in _KEPT_METADATA if k in metadata}}
    (out / "metadata.yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")


def _export_file(weights: Path, out: Path, input_hw: tuple[int, int]) -> None:
    """Write an ``.onnx`` or an ``.engine``."""
    with tempfile.TemporaryDirectory(dir=_home(out)) as folder:
        made = _converted(weights, Path(folder) / f"{out.stem}.pt", out.suffix[1:], input_hw)
        shutil.move(str(made), out)


def _home(out: Path) -> Path:
    """The nearest folder above that is there: on the disk where the result will be."""
    return next(p for p in out.parents if p.is_dir())


def _converted(weights: Path, copy: Path, kind: str, input_hw: tuple[int, int]) -> Path:
    """Ultralytics' conversion of a copy of the weights, beside which it writes."""
    shutil.copyfile(weights, copy)
    # nms=False picks the head that needs no suppression: rows of x0, y0, x1, y1, score, class.
    options: dict[str, Any] = {"format": kind, "imgsz": list(input_hw), "nms": False}
    if kind == "onnx":
        options |= {"simplify": False}
    else:
        options |= {"quantize": 16}
    if kind == "openvino":
        options |= {"dynamic": True}
    if kind == "engine":
        options |= {"device": 0}
    try:
        with warnings.catch_warnings():  # PyTorch's advice on tracing is for Ultralytics
            warnings.simplefilter("ignore")
            return Path(import_ultralytics().YOLO(str(copy)).export(**options))
    except ImportError as error:
        raise DependencyError(f"{kind} needs a package that is not installed: {error}", hint=_INSTALL) from error


def _export_int8(full: Path, out: Path, pictures: Sequence[Path], input_hw: tuple[int, int]) -> Path:
    """The eight-bit copy of an OpenVINO model, with its metadata: its ``.xml``."""
    folder = out / f"{out.name}_openvino"
    folder.mkdir(parents=True)
    xml = folder / f"{out.name}.xml"
    quantise(next(full.glob("*.xml")), xml, pictures, input_hw=input_hw)
    metadata = yaml.safe_load((full / "metadata.yaml").read_text(encoding="utf-8"))
    metadata["description"] = f"flatcar {out.name}"
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False), encoding="utf-8")
    return xml


def _measure(models: Sequence[Path], data: Path | None, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Figures of each model on the validation pictures of a set; none where there is no truth."""
    folder = None if data is None else data.parent if data.name == "data.yaml" else data
    if folder is None or not (folder / "truth.json").is_file():
        return [{} for _ in models]
    truth = Truth.load(folder)
    report(f"measuring on {len(truth.images)} validation pictures")
    return [measure(model, truth) for model in models]


def measure(model: Path, truth: Truth) -> dict[str, Any]:
    """Mean average precision of weights, in the form of the registry's ``metrics``."""
    detector = build_detector(DetectConfig(weights=str(model), min_score=MIN_SCORE))
    try:
        found = predict(detector, truth)
        names = known_classes(detector.class_names, default_taxonomy(), weights=str(model))
    finally:
        detector.close()
    figures = {f.level: f for f in evaluate(truth, found, names, by=())}
    rounded: dict[str, Any] = {"validation_pictures": len(truth.images)}
    for level in ("parent", "leaf"):
        rounded[f"{level}_map50"] = _rounded(figures[level].map50)
        rounded[f"{level}_map50_95"] = _rounded(figures[level].map)
    rounded["any_ap50"] = _rounded(figures["any"].map50)
    for level in ("parent", "leaf"):
        rounded[f"{level}_ap50"] = {n: _rounded(c.ap50) for n, c in figures[level].classes.items() if c.ap50 is not None}
    return {key: value for key, value in rounded.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
