"""``train``, and ``dataset preview``: detectors of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vision.cli.common import complain, guarded
from vision.errors import UsageError


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="data.yaml of a built set, or its folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run, new or empty.")
@click.option(
    "--start",
    help="Weights to start from: a name of flatcar weights list, a .pt file, or yolo26n.pt.  [default: the shipped weights]",
)
@click.option("--epochs", type=int, help="How long: rounds over the pictures.  [default: 20]")
@click.option("--hours", type=float, help="How long: by the clock, instead of --epochs.")
@click.option("--batch", type=int, help="Pictures a step.  [default: 16]")
@click.option("--input-hw", type=int, nargs=2, metavar="H W", help="Height and width of the model's input.  [default: 384 640]")
@click.option("--learning-rate", type=float, help="At its highest.  [default: 0.001]")
@click.option("--augment", help="How much pictures are spoiled: none, light or rail.  [default: rail]")
@click.option("--mosaic", type=float, help="Share of the pictures that are put together from four.  [default: 1]")
@click.option("--freeze", type=int, help="First stages that stay as they are; 5 saves a third of the time.  [default: 0]")
@click.option("--class-weight", type=float, help="Weight of the class in the loss; that of the box is 7.5.  [default: 0.5]")
@click.option("--without", multiple=True, metavar="SOURCE", help="Leave a source of the set out; may be repeated.")
@click.option("--seed", type=int, help="Of all that is drawn by lot.  [default: 0]")
@click.option("--device", help="cpu, cuda, cuda:1, mps or auto.  [default: auto]")
@click.option("--workers", type=int, help="Processes that prepare pictures.  [default: 1]")
@click.option("--resume", "go_on", is_flag=True, help="Go on with the run in --out that was stopped or killed.")
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard.")
@click.option("--mlflow", is_flag=True, help="Log to MLflow, at MLFLOW_TRACKING_URI or in the run's folder.")
@click.option("--show", type=click.Path(path_type=Path), metavar="RUN", help="Print the results of a run and do nothing else.")
@guarded
def train(**options: Any) -> None:
    """Train a detector on a built set; see docs/train.md.

    After each epoch a checkpoint is written. A run that was stopped goes on with --resume.
    """
    from vision.learn.training_run import TrainingRun  # noqa: PLC0415

    if options["show"]:
        _show(TrainingRun.open(options["show"]))
        return
    if options["out"] is None:
        raise UsageError("train needs the folder of a run", hint="give --out RUN")
    if options["hours"] is not None and options["epochs"] is not None:
        raise UsageError("train takes either --hours or --epochs", hint="leave one out")
    try:
        run = _resume(options) if options["go_on"] else _train(options)
    except KeyboardInterrupt:
        complain(f"stopped; go on after the last finished epoch with: flatcar train --resume --out {options['out']}")
        sys.exit(130)
    click.echo("")
    _show(run)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """What of the recipe was given on the command line."""
    names = ("epochs", "hours", "batch", "learning_rate", "augment", "mosaic", "freeze", "class_weight", "workers", "seed")
    given = {name: options[name] for name in names if options[name] is not None}
    given |= {name: tuple(options[name]) for name in ("input_hw", "without") if options[name]}
    return given


def _loggers(options: dict[str, Any]) -> Any:
    from vision.learn.train import Loggers  # noqa: PLC0415

    return Loggers(tensorboard=options["tensorboard"], mlflow=options["mlflow"])


def _train(options: dict[str, Any]) -> Any:
    from vision.learn.recipe import Recipe  # noqa: PLC0415
    from vision.learn.train import train as begin  # noqa: PLC0415

    if options["data"] is None:
        raise UsageError("train needs a built set", hint="give --data SET; make one with: flatcar dataset build")
    recipe = Recipe(**_settings(options))
    return begin(
        options["data"],
        options["out"],
        recipe,
        start=options["start"] or "default",
        device=options["device"] or "auto",
        loggers=_loggers(options),
        report=click.echo,
    )


def _resume(options: dict[str, Any]) -> Any:
    from vision.learn.train import resume  # noqa: PLC0415

    settings = _settings(options)
    return resume(
        options["out"],
        data=options["data"],
        start=options["start"],
        device=options["device"],
        workers=settings.pop("workers", None),
        settings=settings,
        loggers=_loggers(options),
        report=click.echo,
    )


def _show(run: Any) -> None:
    click.echo(run.table())
    click.echo(f"\n{run.folder}: {run.record.state}; best weights {run.best}")
    if run.best.is_file():
        click.echo(f"next: flatcar weights export {run.best} --name NAME --out FOLDER")


@click.command()
@click.argument("data", metavar="SET", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the sheets.")
@click.option("--transform", "names", multiple=True, metavar="NAME", help="Only this one; may be repeated.  [default: all]")
@click.option("--pictures", type=int, default=6, show_default=True, help="Rows of a sheet.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which pictures, and what is done to them.")
@guarded
def preview(data: Path, out: Path, names: tuple[str, ...], pictures: int, seed: int) -> None:
    """Draw what training does to pictures: a sheet per transform, originals on the left, with boxes."""
    from vision.learn.preview import preview as draw  # noqa: PLC0415

    for sheet in draw(data, out, names=names, pictures=pictures, seed=seed):
        click.echo(str(sheet))
