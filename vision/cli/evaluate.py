"""``evaluate``: runs and detectors against the truth."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vision.cli.common import JSON, RUN, guarded
from vision.errors import InputError


@click.group()
def evaluate() -> None:
    """Measure a run or a detector against the truth."""


@evaluate.command("counts")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="A line per train, see docs/simulate.md.")
@RUN
@JSON
@click.option("--strict", is_flag=True, help="Exit code 1 unless every train is found and its total lies in its interval.")
@guarded
def evaluate_counts_command(truth: Path, run: Path, as_json: bool, strict: bool) -> None:
    """Compare a run's counts with the truth."""
    import json  # noqa: PLC0415

    from vision.run.store import RunFolder  # noqa: PLC0415
    from vision.run.tables import read_trains, read_vehicles  # noqa: PLC0415
    from vision.synth.score import evaluate_counts  # noqa: PLC0415
    from vision.taxonomy import default_taxonomy  # noqa: PLC0415

    folder = RunFolder.open(run)
    taxonomy = default_taxonomy()
    parents = {leaf: taxonomy.parent_of(leaf) for leaf in taxonomy.leaves}
    scores = evaluate_counts(truth, read_trains(folder), read_vehicles(folder), parents=parents)
    click.echo(json.dumps(scores.to_dict(), indent=2) if as_json else scores.table())
    sys.exit(1 if strict and not (scores.found == scores.trains and scores.coverage == 1.0) else 0)


@evaluate.command("detect")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="data.yaml of a built set, or its folder; see docs/weights.md."
)
@click.option("--weights", default="default", show_default=True, help="Weights by name or path.")
@click.option(
    "--backend", default="auto", show_default=True, type=click.Choice(["auto", "openvino", "ultralytics"]), help="What runs it."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="File for the figures as JSON.")
@guarded
def evaluate_detect_command(data: Path, weights: str, backend: str, json_file: Path | None) -> None:
    """Measure a detector on the labelled pictures of a built set: mAP by parent and leaf, by view and source."""
    from vision.learn.evaluate import main as run_evaluation  # noqa: PLC0415

    if not data.exists():
        raise InputError(f"no such file or folder: {data}", hint="make a set with python -m vision.learn.build")
    given = ["--data", str(data), "--weights", weights, "--backend", backend]
    sys.exit(run_evaluation([*given, "--json", str(json_file)] if json_file else given))
