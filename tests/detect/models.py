"""Small models with known answers, and checkpoints with bad manners."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from vision.detect.openvino_adapter import import_openvino

ov = import_openvino()
ops = ov.opset13

COLOURS = ("red", "green", "blue")


def colour_model(folder: Path, *, hw: tuple[int, int] = (32, 64), name: str = "colours") -> Path:
    """End-to-end head: three fixed boxes, scored by the mean of the input's red, green and blue channel. Returns the ``.xml``."""
    height, width = hw
    picture = ops.parameter([1, 3, height, width], ov.Type.f32, name="images")
    score = ops.unsqueeze(ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False), np.array([2]))
    boxes = np.array([[[0, 0, width / 2, height], [width / 4, 0, width, height], [-5, -5, width + 5, 8]]], np.float32)
    classes = np.array([[[0], [1], [2]]], np.float32)
    return _save(ops.concat([_constant(boxes), score, _constant(classes)], 2), picture, folder / f"{name}.xml")


def constant_model(folder: Path, output: Any, *, hw: tuple[int, int] = (32, 64), labels: str | None = None) -> Path:
    """A model that answers the same to every picture; ``output`` has shape (1, ...). Returns the ``.xml``."""
    picture = ops.parameter([1, 3, *hw], ov.Type.f32, name="images")
    nothing = ops.multiply(ops.reduce_mean(picture, np.array([0, 1, 2, 3]), keep_dims=False), np.float32(0))
    return _save(ops.add(_constant(np.asarray(output, np.float32)), nothing), picture, folder / "constant.xml", labels)


def _constant(values: Any) -> Any:
    return ops.constant(values)


def _save(output: Any, picture: Any, xml: Path, labels: str | None = None) -> Path:
    model = ov.Model([output], [picture], "tiny")
    if labels is not None:
        model.set_rt_info(labels, ["model_info", "labels"])
    ov.serialize(model, xml)
    return xml


class Touch:
    """Unpickled naively, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.mkdir, (str(self.path),)


def pickled(content: object, *, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    pickle.Pickler(out, protocol=protocol).dump(content)
    return out.getvalue()


def checkpoint(path: Path, program: bytes, *, extra: dict[str, bytes] | None = None) -> Path:
    """A zip in the form of ``torch.save`` around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return path
