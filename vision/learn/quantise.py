"""Eight-bit weights and activations for an OpenVINO model, calibrated on pictures: post-training quantisation by NNCF.

What the convolutions feed on becomes eight bits wide. What stands behind the last convolutions stays as it is: the boxes are put
together there and the best picked, on numbers whose differences matter more than their size; it costs nearly nothing to run.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision.detect.base import prepare
from vision.detect.openvino_adapter import import_openvino
from vision.detect.quiet import block_telemetry
from vision.errors import DependencyError, InputError, WeightsError
from vision.learn.pictures import PICTURE_SUFFIXES, read_picture

CALIBRATION_PICTURES = 300
LEAST_PICTURES = 8
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def calibration_pictures(place: Path, *, count: int = CALIBRATION_PICTURES, seed: int = 0) -> list[Path]:
    """Pictures to calibrate on, drawn by lot: the training side of a built set, or those in a folder.

    Args:
        place: A built set or its ``data.yaml``, or a folder of pictures.
        count: How many, at most.
        seed: Of the lot.

    Raises:
        InputError: There are too few.
    """
    folder = place.parent if place.name == "data.yaml" else place
    inside = folder / "images" / "train" if (folder / "images" / "train").is_dir() else folder
    found = sorted(p for p in inside.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES) if inside.is_dir() else []
    if len(found) < LEAST_PICTURES:
        hint = f"give a set or folder with {LEAST_PICTURES} or more"
        raise InputError(f"{len(found)} pictures to calibrate on in {inside}", hint=hint)
    return found if len(found) <= count else random.Random(seed).sample(found, count)


def quantise(xml: Path, out: Path, pictures: Sequence[Path], *, input_hw: tuple[int, int]) -> None:
    """Write an eight-bit copy of a model.

    Args:
        xml: OpenVINO model with one input of (n, 3, height, width), RGB, 0 to 1.
        out: ``.xml`` to write, its ``.bin`` beside.
        pictures: To calibrate on, at least one that can be read; the others are passed over.
        input_hw: Height and width at which the pictures are shown to it, pixels.

    Raises:
        InputError: None of the pictures can be read.
        WeightsError: The model is none, or NNCF cannot quantise it.
        DependencyError: NNCF is not installed.
    """
    nncf = import_nncf()
    ov = import_openvino()
    model = _read(ov, xml)
    batches = list(_inputs(pictures, input_hw))
    if not batches:
        raise InputError(f"none of the {len(pictures)} pictures to calibrate on can be read")
    try:
        done = nncf.quantize(
            model,
            nncf.Dataset(batches, lambda pixels: pixels.astype(np.float32) / np.float32(255)),
            # Symmetric activations. MIXED gives them a zero point of their own: 1.55 against 1.85 times as fast as float32 on the
            # shipped model, and no better (parent mAP50 0.549 against 0.551; 0.555 in float32).
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(batches),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=behind_convolutions(model), validate=False),
        )
    except (RuntimeError, nncf.errors.ValidationError, nncf.errors.InternalError) as error:
        raise WeightsError(f"{xml} cannot be quantised: {str(error).strip().splitlines()[0]}") from error
    ov.save_model(done, str(out), compress_to_fp16=True)


def behind_convolutions(model: Any, *, last_too: bool = True) -> list[str]:
    """Names of a model's operations between its last convolutions and its output.

    Args:
        model: OpenVINO model.
        last_too: Name the last convolutions as well.
    """
    names: list[str] = []
    seen: set[str] = set()
    ahead = [result.input_value(0).get_node() for result in model.get_results()]
    while ahead:
        node = ahead.pop()
        name = node.get_friendly_name()
        if name in seen or node.get_type_name() in {"Constant", "Parameter"}:
            continue
        seen.add(name)
        last = node.get_type_name() in _CONVOLUTIONS
        if last_too or not last:
            names.append(name)
        if not last:
            ahead += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return sorted(names)


def import_nncf() -> Any:
    """NNCF without its telemetry and its chatter.

    Raises:
        DependencyError: It is not installed.
    """
    block_telemetry()
    try:
        import nncf  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(f"eight-bit weights need the train extra: {error}", hint='pip install "flatcar[train]"') from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _read(ov: Any, xml: Path) -> Any:
    try:
        return ov.Core().read_model(xml)
    except RuntimeError as error:
        raise WeightsError(f"{xml} is not a model that OpenVINO reads") from error


def _inputs(pictures: Sequence[Path], input_hw: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures as the detector prepares them, (1, 3, height, width), RGB."""
    for path in pictures:
        with suppress(InputError):  # enough others are at hand
            pixels, _ = prepare(read_picture(path), input_hw)
            yield np.ascontiguousarray(pixels[None, ..., ::-1].transpose(0, 3, 1, 2))
