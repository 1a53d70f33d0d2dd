"""`flatcar dataset`: the sets a detector learns from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vision.cli.common import JSON, complain, guarded
from vision.errors import UsageError

if TYPE_CHECKING:
    from vision.learn.description import DataSet
    from vision.learn.pictures import Picture
    from vision.learn.problems import Problem

C = TypeVar("C", bound=Callable[..., Any])


@click.group()
def dataset() -> None:
    """Make, check and describe the sets of pictures a detector learns from."""


def described(command: C) -> C:
    """The options that say which pictures: a description, or folders without one."""
    options = (
        click.option("--data", type=click.Path(path_type=Path), help="Description of the set, YAML; see docs/datasets.md."),
        click.option(
            "--from",
            "folders",
            multiple=True,
            metavar="[NAME=][FORMAT:]FOLDER",
            help="A folder of labelled pictures, without a description: yolo:, coco:, voc:, fiftyone:, run: or negatives:; "
            "guessed where it is not said. May be given several times.",
        ),
        click.option("--pictures", type=click.Path(path_type=Path), help="Folder of the collections, if not that of --data."),
        click.option(
            "--map",
            "mapped",
            multiple=True,
            metavar="THEIRS=OURS",
            help="What a class of --from is: a class of the taxonomy, ignore or drop. May be given several times.",
        ),
        click.option("--polygons", type=click.Choice(["refuse", "box"]), help="What to do with polygons in YOLO labels."),
    )
    for option in reversed(options):
        command = option(command)
    return command


SEED = click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another division.")
LEAVE_OUT_BAD = click.option("--leave-out-bad", is_flag=True, help="Leave pictures with bad labels out, rather than stop.")


@dataset.command("build")
@described
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the set; it appears whole or not.")
@click.option("--new-split", is_flag=True, help="Divide the pictures anew, rather than follow the split file.")
@click.option("--hold-out", metavar="SOURCE", help="Measure on all of this source, and learn from nothing that looks like it.")
@click.option("--validation", type=click.FloatRange(0, 1), help="Share for validation, where nothing else says it.")
@click.option("--longest-side", "longest_side_px", type=click.IntRange(32, 16384), help="Shrink pictures to this, pixels.")
@SEED
@LEAVE_OUT_BAD
@click.option("--force", is_flag=True, help="Replace a set that is there.")
@JSON
@guarded
def build_command(
    data: Path | None,
    folders: Sequence[str],
    pictures: Path | None,
    mapped: Sequence[str],
    polygons: str | None,
    out: Path,
    new_split: bool,
    hold_out: str | None,
    validation: float | None,
    longest_side_px: int | None,
    seed: int,
    leave_out_bad: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Build a set: pictures, YOLO labels, the truth to measure against, and where each picture came from."""
    import json  # noqa: PLC0415

    from vision.learn.build import build  # noqa: PLC0415

    described_set = description_of(data, folders, mapped, polygons)
    described_set = described_set.changed(validation=validation, longest_side_px=longest_side_px)
    with _all_problems():
        built = build(
            described_set,
            pictures,
            out,
            new_split=new_split,
            held_out=hold_out,
            leave_out_bad=leave_out_bad,
            force=force,
            seed=seed,
            track=_tracked,
        )
    _complain_of(built.problems)
    if as_json:
        click.echo(json.dumps({"folder": str(out), "digest": built.digest, **built.to_dict()}, indent=2, ensure_ascii=False))
        return
    for what, number in sorted(built.counted.items()):
        click.echo(f"{number:6d}  {what}")
    for line in built.sentences():
        click.echo(line)
    click.echo(f"{out}: digest {built.digest}")


@dataset.command("split")
@described
@click.option("--validation", type=click.FloatRange(0, 1), help="Share for validation, in place of what the description says.")
@SEED
@click.option("--anew", is_flag=True, help="Forget the sides that pictures have in the split file.")
@LEAVE_OUT_BAD
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Split file to write, if not that of --data.")
@JSON
@guarded
def split_command(
    data: Path | None,
    folders: Sequence[str],
    pictures: Path | None,
    mapped: Sequence[str],
    polygons: str | None,
    validation: float | None,
    seed: int,
    anew: bool,
    leave_out_bad: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Divide pictures into training and validation: scenes and clips stay whole, classes balanced, old sides kept."""
    import json  # noqa: PLC0415

    from vision.learn.divide import redivide  # noqa: PLC0415

    described_set = description_of(data, folders, mapped, polygons)
    with _all_problems():
        done = redivide(
            described_set,
            pictures,
            out or described_set.split,
            validation=validation,
            seed=seed,
            anew=anew,
            leave_out_bad=leave_out_bad,
        )
    _complain_of(done.problems)
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2, ensure_ascii=False))
        return
    _print_counts("pictures", done.pictures)
    _print_counts("pictures with", done.classes)
    for line in done.sentences():
        click.echo(line)


@dataset.command("check")
@click.argument("what", metavar="SET_OR_DESCRIPTION", type=click.Path(path_type=Path))
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder of a description's collections, if not its own.")
@click.option("--all", "everything", is_flag=True, help="Print every problem, not the first 20 of each kind.")
@JSON
@guarded
def check_command(what: Path, pictures: Path | None, everything: bool, as_json: bool) -> None:
    """Find bad labels, unreadable pictures and leaks between the sides; exit code 1 when there are errors."""
    import json  # noqa: PLC0415

    from vision.learn.check import check, table  # noqa: PLC0415
    from vision.learn.problems import lines  # noqa: PLC0415

    checked = check(what, pictures)
    if as_json:
        click.echo(json.dumps(checked.to_dict(), indent=2, ensure_ascii=False))
    else:
        rows = table(checked)
        if rows:
            _print_table(("severity", "problem", "count", "first"), [(s, kind, str(n), first) for s, kind, n, first in rows])
        for line in lines(checked.problems, shown=sys.maxsize if everything else 20) if rows else ():
            click.echo(line)
        for line in checked.not_checked:
            click.echo(f"not checked: {line}")
        errors = sum(p.count for p in checked.problems.errors)
        warnings = sum(p.count for p in checked.problems.warnings)
        click.echo(f"{checked.pictures} pictures, {checked.boxes} boxes: {errors} errors, {warnings} warnings")
    sys.exit(1 if checked.problems.errors else 0)


@dataset.command("stats")
@click.argument("folder", metavar="SET", type=click.Path(path_type=Path))
@JSON
@guarded
def stats_command(folder: Path, as_json: bool) -> None:
    """Count a set: pictures, boxes by class, parent and size, sources, views and licences, on each side."""
    import json  # noqa: PLC0415

    from vision.learn.stats import missing_classes, stats  # noqa: PLC0415

    counted = stats(folder)
    if as_json:
        click.echo(json.dumps(counted.to_dict(), indent=2, ensure_ascii=False))
        return
    for title, part in (
        ("set", counted.pictures),
        ("boxes by class", counted.boxes),
        ("boxes by parent", counted.parents),
        ("boxes by size", counted.sizes),
        ("pictures by source", counted.sources),
        ("pictures by view", counted.views),
        ("pictures by licence", counted.licences),
    ):
        _print_counts(title, part)
    missing = missing_classes(counted)
    if missing:
        click.echo(f"no box in validation: {', '.join(missing)}; no figure will say how well they are found")
    click.echo(f"digest {counted.digest}")


def description_of(data: Path | None, folders: Sequence[str], mapped: Sequence[str], polygons: str | None) -> DataSet:
    """The description that the options give."""
    from vision.learn.description import DataSet  # noqa: PLC0415

    if (data is None) == (not folders):
        raise UsageError("say which pictures", hint="give either --data DESCRIPTION or --from FOLDER")
    if data is not None:
        if mapped:
            raise UsageError("--map goes with --from", hint="write classes: into the description")
        return DataSet.load(data).with_default("polygons", polygons)
    classes = dict(text.partition("=")[::2] for text in mapped)
    if any(not theirs or not ours for theirs, ours in classes.items()):
        raise UsageError("--map needs two names", hint="write it as --map Panzer=tank")
    return DataSet.of_folders(folders, **({"classes": classes} if classes else {})).with_default("polygons", polygons)


def _tracked(pictures: Sequence[Picture]) -> Iterable[Picture]:
    """The pictures, with a bar on a terminal."""
    if not sys.stderr.isatty():
        return pictures
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import track  # noqa: PLC0415

    return track(pictures, "writing", console=Console(stderr=True), transient=True)


@contextmanager
def _all_problems() -> Iterator[None]:
    """Names every bad label that made something stop, before the error itself."""
    from vision.learn.problems import BadLabels  # noqa: PLC0415

    try:
        yield
    except BadLabels as error:
        _complain_of(error.problems)
        raise


def _complain_of(problems: Iterable[Problem]) -> None:
    from vision.learn.problems import lines  # noqa: PLC0415

    for line in lines(problems):
        complain(line)


def _print_counts(title: str, counts: Any) -> None:
    """A table of names with a column per side."""
    rows = [(name, *(str(sides.get(side, 0)) for side in ("train", "valid"))) for name, sides in counts.items()]
    if rows:
        _print_table((title, "train", "valid"), rows)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a file or a pipe its cells a tab apart, for cut and awk."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            click.echo("\t".join(row))
        return
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i and name in {"train", "valid", "count"} else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
