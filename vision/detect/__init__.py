"""Detectors: one protocol, an OpenVINO and an Ultralytics adapter behind it, and the registry of weights."""

from __future__ import annotations

from pathlib import Path

from vision.config import DetectConfig
from vision.detect.base import Detector, prepare
from vision.detect.registry import Backend, Registry, ResolvedWeights, load_registry, looks_like_path, resolve_path
from vision.errors import ConfigError

__all__ = ["Detector", "Registry", "ResolvedWeights", "build_detector", "load_registry", "prepare", "resolve_weights"]


def build_detector(config: DetectConfig, *, threads: int | None = None) -> Detector:
    """The detector that the settings ask for, ready to run.

    ``auto`` takes OpenVINO for weights by name, ``.xml`` and ``.onnx``, unless a CUDA or MPS device is asked for; Ultralytics for
    ``.pt`` and ``.engine``.

    Args:
        config: Weights, backend, device, lowest score, precision, batch.
        threads: Threads for OpenVINO; None uses all cores.

    Raises:
        WeightsError: Weights that are unknown, missing, altered or no detection model.
        DependencyError: An extra or a device that is not there.
        ConfigError: Settings that contradict each other.
    """
    weights = resolve_weights(config)
    if _backend(config, weights) == "openvino":
        return _with_openvino(config, weights, threads)
    return _with_ultralytics(config, weights)


def resolve_weights(config: DetectConfig) -> ResolvedWeights:
    """The weights that the settings name, checked; neither OpenVINO nor PyTorch is loaded.

    Raises:
        WeightsError: Unknown, missing or altered.
    """
    backend: Backend = "auto"
    if config.backend == "ultralytics" or (config.backend == "auto" and _torch_device(config)):
        backend = "ultralytics"
    elif config.backend == "openvino":
        backend = "openvino"
    if looks_like_path(config.weights):  # needs no registry
        return resolve_path(Path(config.weights))
    return load_registry().resolve(config.weights, backend=backend)


def _torch_device(config: DetectConfig) -> bool:
    return config.device.startswith(("cuda", "mps"))


def _backend(config: DetectConfig, weights: ResolvedWeights) -> Backend:
    if config.backend == "openvino":
        return "openvino"
    if config.backend == "ultralytics" or weights.kind in {"torch", "engine"}:
        return "ultralytics"
    return "ultralytics" if _torch_device(config) and weights.kind == "onnx" else "openvino"


def _with_openvino(config: DetectConfig, weights: ResolvedWeights, threads: int | None) -> Detector:
    from vision.detect.openvino_adapter import OpenVinoDetector  # noqa: PLC0415

    if weights.kind in {"torch", "engine"}:
        raise ConfigError(f"OpenVINO does not run {weights.paths[0].name}", hint="use --backend ultralytics, or an .onnx export")
    if _torch_device(config):
        raise ConfigError(f"OpenVINO does not run on {config.device}", hint="use --backend ultralytics, or weights as .pt")
    return OpenVinoDetector(
        weights.paths[0],
        class_names=weights.class_names,
        input_hw=weights.input_hw,
        min_score=config.min_score,
        batch=config.batch,
        threads=threads,
        precision=config.precision,
        device="GPU" if config.device == "gpu" else "CPU",
        name=weights.name,
        weights_sha256=weights.sha256,
    )


def _with_ultralytics(config: DetectConfig, weights: ResolvedWeights) -> Detector:
    from vision.detect.ultralytics_adapter import UltralyticsDetector  # noqa: PLC0415

    path = weights.paths[0]
    return UltralyticsDetector(
        path.parent if weights.kind == "openvino" else path,
        class_names=weights.class_names,
        input_hw=weights.input_hw,
        min_score=config.min_score,
        device=config.device,
        batch=config.batch,
        name=weights.name,
        weights_sha256=weights.sha256,
    )
