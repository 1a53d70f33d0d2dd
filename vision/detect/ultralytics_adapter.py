"""Detection with Ultralytics and PyTorch: ``.pt``, ``.onnx``, ``.engine``, CUDA and MPS. Neither is imported before it is needed.

Ultralytics installs packages, looks for a network, writes settings into the home folder and runs what a checkpoint says, unless
told otherwise before its first import. ``import_ultralytics`` tells it otherwise; everything in flatcar goes through there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.detect.base import Picture, check_min_score, check_picture, fitted_hw, prepare
from vision.detect.cache import cache_dir
from vision.detect.decode import Head, decode, head_kind
from vision.detect.pickles import pickle_globals, refused_globals
from vision.detect.quiet import block_telemetry
from vision.errors import DependencyError, DetectorError, WeightsError
from vision.types import Detections

_HINT = 'pip install "flatcar[torch]"'
DEFAULT_INPUT_HW = (640, 640)
"""Input where neither the caller nor the file names one."""


def import_ultralytics() -> Any:
    """Ultralytics, imported so that it installs nothing, calls nobody and loads checkpoints in restricted mode only.

    Raises:
        DependencyError: It or PyTorch is not installed, or it is too old for restricted loading.
    """
    block_telemetry()  # its OpenVINO export and import
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    settings_dir = cache_dir() / "ultralytics"
    with contextlib.suppress(OSError):
        settings_dir.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(settings_dir))
    try:
        import ultralytics  # noqa: PLC0415
        from ultralytics.nn import tasks  # noqa: PLC0415
        from ultralytics.utils import SETTINGS  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(f"PyTorch weights need the torch extra: {error}", hint=_HINT) from error
    if not getattr(getattr(tasks, "_SafeLoad", None), "SUPPORTED", False):
        raise DependencyError(f"Ultralytics {ultralytics.__version__} cannot load checkpoints safely", hint=f"update it: {_HINT}")
    tasks.SAFE_LOAD = True  # where somebody imported it before with other settings
    if SETTINGS.get("sync"):
        with contextlib.suppress(OSError):
            SETTINGS.update(sync=False)
    return ultralytics


def check_checkpoint(path: Path) -> None:
    """Refuses a ``.pt`` file that would import anything but the layers of a detection model. Nothing of it is run.

    Raises:
        WeightsError: The file is no checkpoint, or names something else, which the message lists.
    """
    refused = refused_globals(pickle_globals(path))
    if refused:
        named = ", ".join(refused[:5]) + (f" and {len(refused) - 5} more" if len(refused) > 5 else "")
        raise WeightsError(
            f"{path} is not loaded: it asks for {named}, which no detection weights need and which could run foreign code",
            hint="use weights from a source you trust, or an .onnx export",
        )


class UltralyticsDetector:
    """A YOLO detector in PyTorch, or in another runtime behind Ultralytics.

    Takes a ``.pt``, an ``.onnx`` (needs ONNX Runtime), an ``.engine`` (needs TensorRT) or a folder ``*_openvino_model``. A
    checkpoint that has an end-to-end head beside its classic one is run with it, without suppression of overlapping boxes.

    Args:
        path: The weights.
        class_names: Names in the order of the model's classes; None takes the file's own.
        input_hw: Height and width of the input, multiples of 32; None takes the file's own.
        min_score: Boxes below are dropped, in [0, 1].
        device: ``cpu``, ``cuda``, ``cuda:0``, ``mps``, or ``auto``: the first of CUDA, MPS and the processor that is there.
        batch: Pictures to a run of the model, at least 1.
        name, weights_sha256: What the detector says of its weights; the file's name by default, and no hash.

    Raises:
        WeightsError: A file is missing, is no such model, or asks for foreign code.
        DependencyError: The extra is not installed, or the device is not there.
        ValueError: A number is out of its range.
    """

    def __init__(
        self,
        path: Path,
        *,
        class_names: Sequence[str] | None = None,
        input_hw: tuple[int, int] | None = None,
        min_score: float,
        device: str = "auto",
        batch: int = 4,
        name: str | None = None,
        weights_sha256: str = "",
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        if not path.exists():
            raise WeightsError(f"there are no weights at {path}")
        self._min_score = check_min_score(min_score)
        self._batch = batch
        self.name = name or path.stem
        self.weights_sha256 = weights_sha256
        if path.suffix == ".pt":
            check_checkpoint(path)
        import_ultralytics()
        self._model: Any = _load(path, device)
        own_names = tuple(str(self._model.names[index]) for index in sorted(self._model.names))
        if class_names is not None and path.suffix == ".pt" and len(class_names) != len(own_names):
            raise WeightsError(f"{path} knows {len(own_names)} classes, {len(class_names)} names were given")
        self.class_names = tuple(class_names) if class_names is not None else own_names
        self.input_hw = input_hw or _own_input_hw(self._model)
        self._head: Head | None = None
        self._lock = threading.Lock()

    def detect(self, images: Sequence[Picture]) -> list[Detections]:
        """See ``Detector.detect``."""
        with self._lock:
            if self._model is None:
                raise DetectorError(f"the detector {self.name} is closed")
            found: list[Detections] = []
            for start in range(0, len(images), self._batch):
                found += self._run(images[start : start + self._batch])
            return found

    def close(self) -> None:
        """Frees the model. A second call does nothing."""
        with self._lock:
            self._model = None

    def _run(self, images: Sequence[Picture]) -> list[Detections]:
        prepared = [prepare(image, self._size_for(image)) for image in images]
        found: dict[int, Detections] = {}
        for shape in sorted({pixels.shape for pixels, _ in prepared}):
            alike = [index for index, (pixels, _) in enumerate(prepared) if pixels.shape == shape]
            outputs = self._forward(np.stack([prepared[index][0] for index in alike]))
            if self._head is None:
                self._head = head_kind(outputs.shape, len(self.class_names))
            for index, output in zip(alike, outputs, strict=True):
                found[index] = decode(
                    output, self._head, prepared[index][1], min_score=self._min_score, class_count=len(self.class_names)
                )
        return [found[index] for index in range(len(images))]

    def _size_for(self, image: Picture) -> tuple[int, int]:
        """A checkpoint takes any size, an export only its own."""
        check_picture(image)
        return fitted_hw(image.shape, self.input_hw) if self._model.format == "pt" else self.input_hw

    def _forward(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 BGR through the model: its first output, (n, ...) float32."""
        import torch  # noqa: PLC0415

        try:
            with torch.inference_mode():
                batch = torch.from_numpy(pixels).to(self._model.device).permute(0, 3, 1, 2).flip(1).contiguous()
                output = self._model(batch.half() / 255 if self._model.fp16 else batch.float() / 255)
        except RuntimeError as error:
            raise DetectorError(f"{self.name} could not be run: {str(error).splitlines()[0]}") from error
        while isinstance(output, (list, tuple)):
            output = output[0]
        return np.asarray(output.float().cpu().numpy(), dtype=np.float32)


def _load(path: Path, device: str) -> Any:
    """The model in Ultralytics' common wrapper for all formats."""
    import torch  # noqa: PLC0415
    from ultralytics.nn.autobackend import AutoBackend  # noqa: PLC0415

    chosen = _device(torch, device)
    try:
        return AutoBackend(str(path), device=chosen, verbose=False, end2end=True if path.suffix == ".pt" else None).eval()
    except ImportError as error:
        hint = f"pip install {error.name}" if error.name in {"onnxruntime", "tensorrt"} else _HINT
        raise DependencyError(f"{path.name} needs a package that is not installed: {error}", hint=hint) from error
    except (TypeError, AttributeError, KeyError, ValueError, RuntimeError, OSError, AssertionError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} is not a detection model that Ultralytics loads: {said}") from error


def _device(torch: Any, device: str) -> Any:
    """The torch device for a setting.

    Raises:
        DependencyError: It was asked for by name and is not there.
    """
    has_cuda = bool(torch.cuda.is_available())
    has_mps = bool(torch.backends.mps.is_available())
    if device == "auto":
        return torch.device("cuda:0" if has_cuda else "mps" if has_mps else "cpu")
    wanted = torch.device("cuda:0" if device in {"cuda", "gpu"} else device)
    missing = (wanted.type == "cuda" and (not has_cuda or wanted.index >= torch.cuda.device_count())) or (
        wanted.type == "mps" and not has_mps
    )
    if missing:
        raise DependencyError(f"the device {device} is not there", hint="use --device auto")
    return wanted


def _own_input_hw(model: Any) -> tuple[int, int]:
    """The size that an export was made for, or that a checkpoint was trained with."""
    size = getattr(model, "imgsz", None)
    if size is None and model.format == "pt":
        size = (getattr(model.backend.model, "args", None) or {}).get("imgsz")
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if size is not None and len(size) == 2 else DEFAULT_INPUT_HW
