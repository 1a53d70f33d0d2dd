"""``review``: a run in FiftyOne, and people's decisions back into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vision.cli.common import RUN, complain, guarded
from vision.cli.dataset import dataset
from vision.errors import DependencyError, InputError, ReviewError, UsageError

if TYPE_CHECKING:
    from vision.review.apply import Applied


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--apply", "applying", is_flag=True, help="Take people's corrections into the run: counts, tables and page follow.")
@click.option("--no-launch", is_flag=True, help="Only make the review set; do not open the App.")
@click.option("--remote", is_flag=True, help="Serve the App for a browser on another machine.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the App.  [default: 5151]")
@click.option("--address", help="Address on which the App listens.  [default: this machine alone]")
@click.option("--name", help="Name of the data set in FiftyOne.  [default: flatcar-RUN-hash]")
@click.option("--who", help="With --apply: your name, for the table of verdicts.  [default: your user name]")
@click.option("--evaluation", metavar="NAME", help="Instead of a run: open what evaluate detect --fiftyone made.")
@click.option("--rebuild", is_flag=True, help="Make the review set anew; decisions that are not applied yet are lost.")
@guarded
def review(
    run: Path | None,
    applying: bool,
    no_launch: bool,
    remote: bool,
    port: int | None,
    address: str | None,
    name: str | None,
    who: str | None,
    evaluation: str | None,
    rebuild: bool,
) -> None:
    """Look at a run in FiftyOne, correct it, and take the corrections back.

    Without options it opens the App. Confirm, reject, merge, split or add vehicles there, or give them another class; then
    `--apply` counts anew with your word above the machine's.
    """
    from vision.review.app import show  # noqa: PLC0415
    from vision.review.apply import apply_review, open_review  # noqa: PLC0415
    from vision.review.database import import_fiftyone  # noqa: PLC0415
    from vision.run.store import RunFolder  # noqa: PLC0415

    if applying and (rebuild or remote):
        raise UsageError("--apply goes with neither --rebuild nor --remote", hint="call flatcar review twice")
    if (run is None) == (evaluation is None):
        raise UsageError("give a run, or --evaluation NAME", hint="see flatcar review --help")
    if run is None:
        fo = import_fiftyone()
        if not fo.dataset_exists(evaluation):
            raise InputError(f"there is no evaluation {evaluation}", hint="make it with: flatcar evaluate detect --fiftyone")
        show(fo, fo.load_dataset(evaluation), port=port, address=address, remote=remote, said=click.echo)
        return
    RunFolder.open(run).close()  # before FiftyOne, which takes seconds to load
    fo = import_fiftyone()
    if applying:
        try:
            _tell(apply_review(fo, run, name=name, who=who))
        except ReviewError as error:
            for problem in error.problems[:-1]:
                complain(problem)
            raise
        return
    opened = open_review(fo, run, name=name, rebuild=rebuild)
    for note in opened.notes:
        complain(note)
    waiting = "; it holds decisions that are not applied yet" if opened.pending else ""
    click.echo(f"review set {opened.name}: {opened.trains} trains, {opened.looks} frames{waiting}")
    if not no_launch:
        show(fo, opened.dataset, port=port, address=address, remote=remote, said=click.echo)
        click.echo(f"take your corrections into the run with: flatcar review {run} --apply")


def _tell(applied: Applied) -> None:
    for outcome in applied.outcomes:
        if outcome.sentence:
            complain(outcome.sentence)
    for note in applied.notes:
        complain(note)
    if not applied.fresh:
        click.echo(f"nothing new to apply; {applied.after} vehicles counted")
        return
    kinds: dict[str, int] = {}
    for verdict in applied.fresh:
        kinds[verdict.kind] = kinds.get(verdict.kind, 0) + 1
    said = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    click.echo(f"{len(applied.fresh)} verdicts applied ({said}): {applied.before} vehicles before, {applied.after} now")
    click.echo(f"report: {applied.page}")


@dataset.command("add")
@RUN
@click.option("--verified", is_flag=True, required=True, help="Only frames on which people decided; there is no other way yet.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for pictures, labels and their groups.")
@click.option("--limit", type=click.IntRange(1), help="At most so many frames, the hardest first.")
@click.option("--keep-similar", is_flag=True, help="Keep frames that show nearly the same as a harder one.")
@click.option("--no-brain", is_flag=True, help="Find near-duplicates by picture hash, also where FiftyOne Brain is installed.")
@guarded
def dataset_add(run: Path, verified: bool, out: Path, limit: int | None, keep_similar: bool, no_brain: bool) -> None:
    """Turn a reviewed run into labelled pictures to learn from.

    Boxes on which nobody decided are painted over. Give the folder to `flatcar dataset build` as a source.
    """
    from vision.review.database import fiftyone_there, import_fiftyone  # noqa: PLC0415
    from vision.review.export import export_verified  # noqa: PLC0415
    from vision.run.store import RunFolder  # noqa: PLC0415

    RunFolder.open(run).close()
    fo = None
    if fiftyone_there() and not no_brain and not keep_similar:
        try:
            fo = import_fiftyone()
        except DependencyError as error:
            complain(f"near-duplicates are found by picture hash, not by FiftyOne Brain: {error.message}")
    made = export_verified(run, out, limit=limit, keep_similar=keep_similar, fo=fo)
    for note in made.notes:
        complain(note)
    left = f"; {made.similar} left out as nearly the same" if made.similar else ""
    click.echo(f"{made.frames} frames with {made.boxes} boxes of {made.trains} trains in {out}{left}")
    click.echo(f"learn from it with: flatcar dataset build --data {out / 'description.yaml'} --out SET")
