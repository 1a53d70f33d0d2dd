"""`flatcar dataset compose`: training pictures put together from cut-out vehicles, trains and backgrounds."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from vision.cli.common import JSON, complain, guarded
from vision.cli.dataset import described, description_of


@click.command("compose")
@described
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="The set that was built from these pictures: its training side grows. Or a new folder for images and labels.",
)
@click.option("--count", type=click.IntRange(1, 99_999), default=1000, show_default=True, help="How many pictures.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same pictures.")
@click.option(
    "--cutouts",
    type=click.Path(path_type=Path),
    help="Folder of cut-outs: made there if it is empty, used if not. Delete the bad ones and compose again.",
)
@click.option("--sheet", type=click.Path(path_type=Path), help="Picture file (.png, .jpg) to show the first two dozen on.")
@click.option("--force", is_flag=True, help="Replace composed pictures that are there.")
@JSON
@guarded
def compose(
    data: Path | None,
    folders: Sequence[str],
    pictures: Path | None,
    mapped: Sequence[str],
    polygons: str | None,
    out: Path,
    count: int,
    seed: int,
    cutouts: Path | None,
    sheet: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compose training pictures: vehicles cut out of the training photographs, on trains, under tarpaulins, behind stakes.

    They go to the training side only, and are made of pictures of the training side only.
    """
    import json  # noqa: PLC0415

    from vision.learn.compose import compose_set  # noqa: PLC0415

    done = compose_set(
        description_of(data, folders, mapped, polygons),
        pictures,
        out,
        count=count,
        seed=seed,
        cutouts=cutouts,
        sheet=sheet,
        force=force,
        track=_tracked,
        say=complain,
    )
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2, ensure_ascii=False))
        return
    for name, number in sorted(done.boxes.items()):
        click.echo(f"{number:6d}  {name}")
    click.echo(f"{done.pictures} pictures, {done.empty} of them without a vehicle; {done.pictures / done.seconds:.1f} a second")
    if done.digest is not None:
        click.echo(f"{out}: digest {done.digest}")


def _tracked(numbers: Sequence[int]) -> Iterable[int]:
    """The numbers of the pictures, with a bar on a terminal."""
    if not sys.stderr.isatty():
        return numbers
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import track  # noqa: PLC0415

    return track(numbers, "composing", console=Console(stderr=True), transient=True)
