"""Turn a training checkpoint into the weights that are shipped: one ``.pt`` and one OpenVINO model.

    python -m vision.learn.export --checkpoint best.pt --name flatcar-n-v1 --out weights

What the training left in the files about the machine it ran on (paths, dates, options) is taken out. Sizes and hashes
are printed in the form of ``weights/registry.toml``.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vision.detect.ultralytics_adapter import check_checkpoint, import_ultralytics
from vision.errors import FlatcarError, InputError

LICENCE = "AGPL-3.0-or-later"

# What a reader of the model needs; the rest of Ultralytics' metadata says where and when it was made.
_KEPT_METADATA = ("author", "version", "stride", "task", "head", "batch", "imgsz", "names", "channels", "end2end")
_KEPT_ARGUMENTS = ("task", "imgsz", "single_cls")


def strip_checkpoint(checkpoint: Path, out: Path, *, input_hw: tuple[int, int]) -> None:
    """Write the weights of a training checkpoint without optimiser state, in half precision.

    Args:
        checkpoint: ``last.pt`` or ``best.pt`` of a training run.
        out: File to write.
        input_hw: Height and width the weights are meant for, pixels.

    Raises:
        InputError: The checkpoint is missing or holds no model.
        WeightsError: It asks for foreign code.
    """
    if not checkpoint.is_file():
        raise InputError(f"no checkpoint {checkpoint}")
    check_checkpoint(checkpoint)
    import_ultralytics()
    import torch  # noqa: PLC0415
    from ultralytics.utils.patches import torch_load  # noqa: PLC0415
    from ultralytics.utils.torch_utils import strip_optimizer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / "stripped.pt"
        if not strip_optimizer(str(checkpoint), str(stripped)):
            raise InputError(f"{checkpoint} holds no model")
        content = torch_load(stripped, map_location="cpu")
    arguments = {"imgsz": list(input_hw), "task": "detect", "single_cls": False}
    model = content["model"]
    model.args = {k: arguments[k] for k in _KEPT_ARGUMENTS}
    for attribute in ("pt_path", "yaml_file"):
        if hasattr(model, attribute):
            delattr(model, attribute)
    kept = {"epoch": -1, "model": model, "train_args": arguments, "version": content.get("version"), "license": LICENCE}
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, out)


def export_openvino(weights: Path, out: Path, *, input_hw: tuple[int, int]) -> None:
    """Write an OpenVINO model with a fixed input, half-precision weights and the end-to-end head.

    Args:
        weights: A ``.pt`` from `strip_checkpoint`.
        out: Folder to write: an ``.xml`` and a ``.bin`` of its name, and ``metadata.yaml``.
        input_hw: Height and width of the input, pixels, multiples of 32.
    """
    ultralytics = import_ultralytics()
    stem = out.name.removesuffix("_openvino")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{stem}.pt"
        shutil.copyfile(weights, copy)
        # nms=False picks the head that needs no suppression: rows of x0, y0, x1, y1, score, class.
        made = Path(ultralytics.YOLO(str(copy)).export(format="openvino", imgsz=list(input_hw), quantize=16, nms=False))
        out.mkdir(parents=True, exist_ok=True)
        for suffix in (".xml", ".bin"):
            shutil.move(str(next(made.glob(f"*{suffix}"))), out / f"{stem}{suffix}")
        metadata = yaml.safe_load((made / "metadata.yaml").read_text(encoding="utf-8"))
    kept = {"description": f"flatcar {stem}", "license": LICENCE, **{k: metadata[k] for k in _KEPT_METADATA if k in metadata}}
    (out / "metadata.yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")


def registry_entry(path: Path, root: Path) -> dict[str, Any]:
    """Path relative to ``root``, SHA-256 and size of a file, as ``registry.toml`` has them."""
    content = path.read_bytes()
    return {"path": path.relative_to(root).as_posix(), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def main(argv: Sequence[str] | None = None) -> int:
    """Export from the command line."""
    parser = argparse.ArgumentParser(prog="python -m vision.learn.export", description="Make the weights that are shipped.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint of a training run")
    parser.add_argument("--name", required=True, help="name of the weights, as in registry.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of registry.toml")
    parser.add_argument("--input-hw", type=int, nargs=2, default=(384, 640), metavar=("H", "W"), help="input size (384 640)")
    args = parser.parse_args(argv)
    weights, folder = args.out / f"{args.name}.pt", args.out / f"{args.name}_openvino"
    try:
        strip_checkpoint(args.checkpoint, weights, input_hw=tuple(args.input_hw))
        export_openvino(weights, folder, input_hw=tuple(args.input_hw))
    except FlatcarError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    files = {"openvino_xml": folder / f"{args.name}.xml", "openvino_bin": folder / f"{args.name}.bin", "torch": weights}
    for key, path in files.items():
        print(f"\n[models.{args.name}.files.{key}]")
        for name, value in registry_entry(path, args.out).items():
            print(f"{name} = {value!r}".replace("'", '"'))
    return 0


if __name__ == "__main__":
    sys.exit(main())
