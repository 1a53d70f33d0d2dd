"""``weights``: the detectors known by name."""

from __future__ import annotations

import sys
from typing import Any

import click

from vision.cli.common import JSON, guarded


@click.group()
def weights() -> None:
    """The detector's weights."""


@weights.command("list")
@JSON
@guarded
def weights_list(as_json: bool) -> None:
    """List the weights known by name."""
    import json  # noqa: PLC0415

    from vision.detect.registry import load_registry  # noqa: PLC0415

    registry = load_registry()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "default": name == registry.default,
            "description": entry.description,
            "classes": list(entry.classes),
            "input_hw": list(entry.input_hw),
            "licence": entry.licence,
            "metrics": dict(entry.metrics),
        }
        for name in registry.names()
        for entry in [registry.get(name)]
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}{' (default)' if row['default'] else ''}: {row['description']}")
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
