"""Detection with OpenVINO: the core install's detector, on any CPU. The only importer of ``openvino``.

Measured on a two-core Xeon, YOLO26n 384x640, FP16-compressed weights computed in FP32, milliseconds a picture alone | with a
thread beside that keeps one core busy: latency mode 29.7 | 71, batch of four 29.4 | 66, two single-picture streams 23.9 | 37. So
pictures run singly, as many at once as OpenVINO names for the machine, and a lone picture gets all cores.
Its cache of compiled models saved 0.1 s of 0.6 s; not worth files in a person's home.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.detect.base import Picture, Precision, check_min_score, check_picture, fitted_hw, prepare
from vision.detect.decode import Head, decode, head_kind
from vision.detect.quiet import block_telemetry
from vision.errors import DependencyError, DetectorError, WeightsError
from vision.geometry import Letterbox
from vision.types import Detections

DEFAULT_INPUT_HW = (640, 640)
"""Input of a model that accepts any size and does not say which it was trained with."""


def import_openvino() -> Any:
    """OpenVINO without its telemetry; every import of it in flatcar goes through here.

    Raises:
        DependencyError: It is not installed, or its libraries do not load on this machine.
    """
    block_telemetry()
    try:
        import openvino  # noqa: PLC0415  (it takes 0.1 s: only when a detector is built)
    except ImportError as error:
        raise DependencyError(f"OpenVINO cannot be loaded: {error}", hint="pip install --force-reinstall openvino") from error
    return openvino


class _Size:
    """A model compiled for one size of input, and the requests that run it one after the other in a ring.

    Args:
        input_hw: Height and width of the input, pixels.
        compiled: OpenVINO's compiled model.
        at_once: How many requests may run at once.
    """

    def __init__(self, input_hw: tuple[int, int], compiled: Any, at_once: int) -> None:
        self.input_hw = input_hw
        self._requests = cycle([compiled.create_infer_request() for _ in range(at_once)])

    def next_request(self) -> Any:
        """The request that has waited longest; free, as long as no more than ``at_once`` run."""
        return next(self._requests)


class OpenVinoDetector:
    """A YOLO detector in OpenVINO: an ``.xml`` with its ``.bin`` beside, or an ``.onnx``.

    End-to-end heads, (n, boxes, 6), and classic ones, (n, 4 + classes, anchors), are told apart by their shape. Scaling and the
    order of the channels are compiled into the model.

    Args:
        model_path: The ``.xml`` or ``.onnx`` file.
        class_names: Names in the order of the model's classes; None reads those that the export wrote into the file.
        input_hw: Height and width of the input, pixels; None takes the model's own.
        min_score: Boxes below are dropped, in [0, 1].
        batch: Pictures worked on at once, at most; 1 gives a lone picture all cores.
        threads: Threads to use; None uses all cores.
        device: OpenVINO's device, ``CPU`` or ``GPU``.
        precision: ``f32`` gives the same boxes on every machine; ``fast`` lets OpenVINO compute in bfloat16 where the processor
            can: on Xeons with AMX twice as fast, with scores that differ by up to 0.06 (95th percentile of 63 boxes).
        name, weights_sha256: What the detector says of its weights; the file's name by default, and no hash.

    Raises:
        WeightsError: A file is missing or is no such model.
        DependencyError: OpenVINO is not installed.
        ValueError: A number is out of its range.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        class_names: Sequence[str] | None,
        input_hw: tuple[int, int] | None = None,
        min_score: float,
        batch: int = 4,
        threads: int | None = None,
        device: str = "CPU",
        precision: Precision = "f32",
        name: str | None = None,
        weights_sha256: str = "",
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self._min_score = check_min_score(min_score)
        self.name = name or model_path.stem
        self.weights_sha256 = weights_sha256
        model = _read(model_path)
        self.class_names = tuple(class_names) if class_names is not None else _class_names(model, model_path)
        self.input_hw = input_hw or _own_input_hw(model)
        self._compile: Callable[[tuple[int, int]], Any] = lambda input_hw: _compile(
            model.clone(), model_path, input_hw, device, _settings(batch, threads, precision)
        )
        compiled = self._compile(self.input_hw)
        # Only the first output is read: some exports add further ones.
        self._head: Head = head_kind(_shape(compiled.output(0)), len(self.class_names))
        self._at_once = max(1, min(batch, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))))
        self._sizes = {self.input_hw: _Size(self.input_hw, compiled, self._at_once)}
        self._lock = threading.Lock()

    def detect(self, images: Sequence[Picture]) -> list[Detections]:
        """See ``Detector.detect``."""
        with self._lock:
            if not self._sizes:
                raise DetectorError(f"the detector {self.name} is closed")
            return self._run(images)

    def close(self) -> None:
        """Frees the model. A second call does nothing."""
        with self._lock:
            self._sizes = {}

    def _run(self, images: Sequence[Picture]) -> list[Detections]:
        """Pictures through rings of requests: while some run, the next is prepared."""
        found: list[Detections] = []
        running: list[tuple[Any, Picture, Letterbox]] = []  # OpenVINO reads the array in place: it must live on
        try:
            for image in images:
                check_picture(image)
                size = self._size_for(image)
                pixels, letterbox = prepare(image, size.input_hw)
                if len(running) == self._at_once:
                    found.append(self._collect(*running.pop(0)))
                request = size.next_request()
                request.start_async({0: pixels[None]}, share_inputs=True)
                running.append((request, pixels, letterbox))
            while running:
                found.append(self._collect(*running.pop(0)))
        except RuntimeError as error:
            raise DetectorError(f"{self.name} could not be run: {_first_line(error)}") from error
        finally:
            for request, _, _ in running:
                request.wait()
        return found

    def _size_for(self, image: Picture) -> _Size:
        """The model for the lowest input that the picture fits, set up when it is first needed."""
        wanted = fitted_hw(image.shape, self.input_hw)
        if wanted not in self._sizes:
            try:
                self._sizes[wanted] = _Size(wanted, self._compile(wanted), self._at_once)
            except WeightsError:  # some exports hold on to their size
                self._sizes[wanted] = self._sizes[self.input_hw]
        return self._sizes[wanted]

    def _collect(self, request: Any, _pixels: Picture, letterbox: Letterbox) -> Detections:
        request.wait()
        output: NDArray[np.float32] = np.asarray(request.get_output_tensor(0).data, dtype=np.float32)[0]
        return decode(output, self._head, letterbox, min_score=self._min_score, class_count=len(self.class_names))


def _read(model_path: Path) -> Any:
    """The model as written, with exactly one input."""
    if model_path.suffix == ".xml" and not model_path.with_suffix(".bin").is_file():
        raise WeightsError(f"{model_path.with_suffix('.bin')} is missing", hint=f"keep it beside {model_path.name}")
    if not model_path.is_file():
        raise WeightsError(f"there are no weights at {model_path}")
    try:
        model = import_openvino().Core().read_model(model_path)
    except RuntimeError as error:
        raise WeightsError(f"{model_path} is not a model that OpenVINO reads: {_first_line(error)}") from error
    if len(model.inputs) != 1:
        raise WeightsError(f"{model_path} takes {len(model.inputs)} inputs, expected one picture")
    return model


def _settings(batch: int, threads: int | None, precision: Precision) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY" if batch == 1 else "THROUGHPUT"}
    if precision == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    return settings


def _compile(model: Any, model_path: Path, input_hw: tuple[int, int], device: str, settings: dict[str, Any]) -> Any:
    """The model for one uint8 BGR picture of shape (1, height, width, 3), compiled for the device."""
    ov = import_openvino()

    if not device.startswith("CPU"):
        settings.pop("INFERENCE_NUM_THREADS", None)
    try:
        model.reshape([1, 3, *input_hw])
        steps = ov.preprocess.PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
            ov.preprocess.ColorFormat.BGR
        )
        steps.input().model().set_layout(ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ov.preprocess.ColorFormat.RGB).scale(255.0)
        steps.output(0).tensor().set_element_type(ov.Type.f32)
        return ov.Core().compile_model(steps.build(), device, settings)
    except RuntimeError as error:
        size = f"{input_hw[1]}x{input_hw[0]}"
        raise WeightsError(f"{model_path} cannot be set up for pictures of {size} on {device}: {_first_line(error)}") from error


def _shape(port: Any) -> tuple[int, ...]:
    """A port's shape, with -1 where it is open."""
    return tuple(int(side.get_length()) if side.is_static else -1 for side in port.partial_shape)


def _own_input_hw(model: Any) -> tuple[int, int]:
    """The input's size that the model was exported for."""
    shape = _shape(model.input(0))
    if len(shape) == 4 and min(shape[2:]) > 0:
        return shape[2], shape[3]
    size = _note(model, "framework", "imgsz")
    return (int(size[0]), int(size[1])) if isinstance(size, list) and len(size) == 2 else DEFAULT_INPUT_HW


def _class_names(model: Any, model_path: Path) -> tuple[str, ...]:
    """The names that Ultralytics' export wrote: ``framework/names`` in an ONNX file, ``model_info/labels`` in an IR."""
    names = _note(model, "framework", "names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        return tuple(str(names[index]) for index in range(len(names)))
    labels = _note(model, "model_info", "labels")
    if isinstance(labels, str) and labels.strip():
        return tuple(label.replace("_", " ") for label in labels.split())
    raise WeightsError(f"{model_path} does not name its classes", hint="put the export's metadata.yaml beside it")


def _note(model: Any, *path: str) -> Any:
    """A value from the model's notes (``rt_info``), as a Python literal where it is one, or None."""
    if not model.has_rt_info(list(path)):
        return None
    value = model.get_rt_info(list(path)).value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError):
        return value


def _first_line(error: Exception) -> str:
    """What OpenVINO complains about, without the source lines around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (said or lines or [type(error).__name__])[0][:200]
