"""``weights``: the detectors known by name, and new ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vision.cli.common import JSON, guarded
from vision.errors import UsageError

REGISTRY = click.option(
    "--registry", type=click.Path(path_type=Path), help="Registry file to write.  [default: the one of your own weights]"
)


@click.group()
def weights() -> None:
    """The detector's weights."""


@weights.command("list")
@JSON
@guarded
def weights_list(as_json: bool) -> None:
    """List the weights known by name: flatcar's and your own."""
    import json  # noqa: PLC0415

    from vision.detect.registry import load_registry  # noqa: PLC0415

    registry = load_registry()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "default": name == registry.default,
            "own": name in registry.own,
            "description": entry.description,
            "classes": list(entry.classes),
            "input_hw": list(entry.input_hw),
            "licence": entry.licence,
            "training_data": entry.training_data,
            "metrics": dict(entry.metrics),
        }
        for name in registry.names()
        for entry in [registry.get(name)]
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row['name']}{' (default)' if row['default'] else ' (your own)' if row['own'] else ''}: {row['description']}"
        )
        click.echo(f"  classes: {', '.join(row['classes'])}")
        click.echo(f"  input {row['input_hw'][0]}x{row['input_hw'][1]}, licence {row['licence']}")
        for name, value in row["metrics"].items():
            click.echo(f"  {name}: {value}")


@weights.command("verify")
@guarded
def weights_verify() -> None:
    """Check the hash of every weight file; exit code 1 when one is altered or missing."""
    from vision.detect.registry import load_registry  # noqa: PLC0415

    rows = load_registry().verify()
    for row in rows:
        click.echo(f"{row.state:<12} {row.model} {row.role} {row.path}")
    sys.exit(1 if any(row.state in {"altered", "missing"} for row in rows) else 0)


@weights.command("add")
@click.argument("source", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What they are to be called.")
@click.option("--description", default="", help="In one line.")
@click.option("--licence", default="not stated", show_default=True, help="SPDX name, or in words.")
@click.option("--data", "training_data", default="not stated", show_default=True, help="What they were trained on.")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path),
    help="Figures as JSON.  [default: metrics.json beside the weights]",
)
@REGISTRY
@guarded
def weights_add(
    source: Path, name: str, description: str, licence: str, training_data: str, metrics: Path | None, registry: Path | None
) -> None:
    """Give weights of your own a name: they are copied, hashed and can then be used by it."""
    from vision.detect.own_weights import About, add_weights, read_metrics  # noqa: PLC0415

    about = About(description, licence, training_data, read_metrics(metrics) if metrics else None)
    card = add_weights(source, name, about, registry=registry)
    click.echo(f"{name} is known now: flatcar scan VIDEO --weights {name}")
    click.echo(f"its model card, to be completed: {card}")


@weights.command("remove")
@click.argument("name")
@REGISTRY
@guarded
def weights_remove(name: str, registry: Path | None) -> None:
    """Forget weights of your own and delete their copies."""
    from vision.detect.own_weights import remove_weights  # noqa: PLC0415

    for path in remove_weights(name, registry=registry):
        click.echo(f"deleted {path}")


@weights.command("export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Of the weights, as they will be called.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write NAME, and NAME-int8, into.")
@click.option(
    "--format", "formats", default="openvino,torch", show_default=True, help="Out of openvino, onnx, torch, engine; with commas."
)
@click.option("--int8", is_flag=True, help="An eight-bit OpenVINO model as well: smaller and faster.")
@click.option("--calibrate", type=click.Path(path_type=Path), help="For --int8: a built set, or a folder of pictures.")
@click.option("--pictures", type=click.IntRange(8), default=300, show_default=True, help="For --int8: how many to calibrate on.")
@click.option("--input-hw", type=int, nargs=2, metavar="H W", help="Height and width of the input.  [default: as trained]")
@guarded
def weights_export(checkpoint: Path, formats: str, input_hw: tuple[int, int] | None, **options: Any) -> None:
    """Turn a training's checkpoint into weights to use and to give away.

    A built set given by --calibrate is measured on as well: what eight bits cost is stated.
    """
    from vision.learn.export import export  # noqa: PLC0415

    if options["calibrate"] and not options["calibrate"].exists():
        raise UsageError(f"no such file or folder: {options['calibrate']}", hint="give --calibrate a built set or pictures")
    listed = [part.strip() for part in formats.split(",") if part.strip()]
    name, out = options.pop("name"), options.pop("out")
    made = export(checkpoint, name, out, formats=listed, input_hw=input_hw or None, report=click.echo, **options)
    for model in made:
        click.echo(f"\n{model.name}, in {model.folder}")
        for path in model.files:
            click.echo(f"  {path.relative_to(model.folder)}  {path.stat().st_size / 1e6:.2f} MB")
        click.echo(f"  next: flatcar weights add {model.folder} --name {model.name} --licence ... --data ...")
    _compare([model.metrics for model in made])


def _compare(metrics: list[dict[str, Any]]) -> None:
    """The figures, and what eight bits cost."""
    if not metrics or not metrics[0]:
        return
    full, *others = metrics
    click.echo(f"\n{'':16} {'full':>8}" + "".join(f" {'int8':>8} {'change':>8}" for _ in others))
    for key, value in full.items():
        if isinstance(value, float):
            click.echo(f"{key:16} {value:8.3f}" + "".join(f" {o[key]:8.3f} {o[key] - value:+8.3f}" for o in others))
