"""``evaluate``: runs and detectors against the truth."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
@click.option("--by-condition", is_flag=True, help="A table for each condition that the truth names, before the one for all.")
@click.option("--strict", is_flag=True, help="Exit code 1 unless every train is found and its total lies in its interval.")
@guarded
def evaluate_counts_command(truth: Path, run: Path, as_json: bool, by_condition: bool, strict: bool) -> None:
    """Compare a run's counts with the truth."""
    import json  # noqa: PLC0415

    from vision.run.store import RunFolder  # noqa: PLC0415
    from vision.run.tables import read_trains, read_vehicles  # noqa: PLC0415
    from vision.synth.score import evaluate_by_condition  # noqa: PLC0415
    from vision.taxonomy import default_taxonomy  # noqa: PLC0415

    folder = RunFolder.open(run)
    taxonomy = default_taxonomy()
    parents = {leaf: taxonomy.parent_of(leaf) for leaf in taxonomy.leaves}
    scores, conditions = evaluate_by_condition(truth, read_trains(folder), read_vehicles(folder), parents=parents)
    if as_json:
        split = {"conditions": {name: part.to_dict() for name, part in conditions.items()}} if by_condition else {}
        click.echo(json.dumps({**scores.to_dict(), **split}, indent=2))
    else:
        parts = [f"{name}\n{part.table()}\n" for name, part in conditions.items()] if by_condition else []
        click.echo("\n".join([*parts, *(["all"] if parts else []), scores.table()]))
    sys.exit(1 if strict and not (scores.found == scores.trains and scores.coverage == 1.0) else 0)


@evaluate.command("detect")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="data.yaml of a built set, or its folder.")
@click.option("--weights", default="default", show_default=True, help="Weights by name or path.")
@click.option(
    "--backend", default="auto", show_default=True, type=click.Choice(["auto", "openvino", "ultralytics"]), help="What runs it."
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0, mps or auto.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page and the JSON; replaces an earlier evaluation.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="File for everything as JSON.")
@click.option("--score", type=float, help="Operating point: lowest pooled score of an object  [default: that of a scan]")
@click.option("--split", default="valid", show_default=True, help="Side of the set.")
@click.option("--worst", default=24, show_default=True, type=click.IntRange(0, 500), help="So many of the worst pictures.")
@click.option(
    "--civil",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures and videos without military vehicles: false alarms there, too. May be given again.",
)
@click.option("--compare", help="Second weights on the same pictures: the difference, with its interval.")
@click.option(
    "--without",
    multiple=True,
    metavar="NAME=FILE",
    help="JSON of weights trained without the source NAME: put beside these figures. May be given again.",
)
@click.option(
    "--fiftyone", "in_fiftyone", is_flag=True, help="Also make a FiftyOne data set of it: matches, false alarms, misses."
)
@guarded
def evaluate_detect_command(
    data: Path,
    json_file: Path | None,
    out: Path | None,
    score: float | None,
    without: tuple[str, ...],
    in_fiftyone: bool,
    **given: Any,
) -> None:
    """Measure a detector on the labelled pictures of a built set.

    Average precision by leaf and by parent, by source, view and size; recall, precision, confusion and false alarms at the
    operating point of a scan; calibration; the worst pictures. See docs/evaluate.md.
    """
    from vision.learn.evaluate import Request, evaluate_detector  # noqa: PLC0415
    from vision.learn.evaluation.beside import parse_without  # noqa: PLC0415
    from vision.learn.evaluation.files import check_file, check_folder, write_document, write_folder  # noqa: PLC0415
    from vision.learn.evaluation.page import render_page  # noqa: PLC0415
    from vision.learn.evaluation.terminal import show_evaluation, unreadable  # noqa: PLC0415

    if not data.exists():
        raise InputError(f"no such file or folder: {data}", hint="make a set with: flatcar dataset build")
    request = Request(data=data, min_score=score, without=parse_without(without), **given)
    if out:
        check_folder(out)
    if json_file:
        check_file(json_file)
    if in_fiftyone:
        from vision.review.database import import_fiftyone  # noqa: PLC0415

        fo = import_fiftyone()  # says what is missing before the work, not after it
    with _progress() as watch:
        evaluation = evaluate_detector(request, watch=watch)
    if out:
        write_folder(out, page=render_page(evaluation), document=evaluation.json())
    if json_file:
        write_document(json_file, evaluation.json())
    show_evaluation(evaluation.document)
    if out:
        click.echo(f"page: {out / 'index.html'}")
    if in_fiftyone:
        from vision.review.evaluation import evaluation_name, load_evaluation  # noqa: PLC0415

        weights = str(evaluation.document["weights"]["name"])
        about = f"{weights} on {data} ({request.split})"
        name = evaluation_name(evaluation.truth.root, f"{weights} {request.split}")
        point = request.operating_score
        load_evaluation(fo, evaluation.truth.root, evaluation.scored, name=name, min_score=point, about=about)
        click.echo(f"FiftyOne data set: {name}; look at it with: flatcar review --evaluation {name}")
    sys.exit(1 if unreadable(evaluation.document) else 0)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int, int], None]] | None]:
    """A bar for each set of pictures, where somebody looks."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bars:

        def watch(name: str) -> Callable[[int, int], None]:
            task = bars.add_task(name, total=None)
            return lambda done, of: bars.update(task, completed=done, total=of)

        yield watch
