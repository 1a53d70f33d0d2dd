"""``scan``, ``count``, ``show``, ``report``: from videos to counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vision.cli.common import CONFIG, JSON, RUN, SCALE, complain, guarded

if TYPE_CHECKING:
    from vision.run.scan import ScanSummary


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="INPUT...")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("flatcar-run"), show_default=True, help="The run folder."
)
@click.option("--weights", help="Weights by name (flatcar weights list) or path.")
@click.option("--backend", type=click.Choice(["auto", "openvino", "ultralytics"]), help="What runs the detector.")
@click.option("--device", help="cpu, cuda, cuda:0, mps, gpu or auto.")
@click.option("--min-score", type=float, help="Lowest score of an object, over all classes together, 0 to 1.")
@click.option("--looks-per-view", type=float, help="Looks of the detector while the train advances by the picture's width.")
@click.option(
    "--precision", type=click.Choice(["f32", "fast"]), help="OpenVINO: the same everywhere, or faster where the processor can."
)
@click.option("--batch", type=int, help="Pictures to a batch of the detector.")
@SCALE
@CONFIG
@click.option("--force", is_flag=True, help="Start the run anew: remove what an earlier scan wrote there.")
@click.option("--no-report", is_flag=True, help="Write the tables, but not the page.")
@JSON
@click.option("--quiet", "-q", is_flag=True, help="No progress, no summary; only errors.")
@guarded
def scan(
    inputs: tuple[Path, ...],
    out: Path,
    force: bool,
    no_report: bool,
    as_json: bool,
    quiet: bool,
    px_per_m: float | None,
    config: Path | None,
    **detect: Any,
) -> None:
    """Scan videos and folders of videos into a run folder.

    A second call on the same run folder goes on where the first one stopped. Exit code 0: all done; 1: some input failed, named
    in the table; 2: nothing could start.
    """
    from vision.config import load_config  # noqa: PLC0415
    from vision.report.html import write_report  # noqa: PLC0415
    from vision.run.progress import TerminalReporter  # noqa: PLC0415
    from vision.run.scan import scan as run_scan  # noqa: PLC0415

    settings = load_config(config, {"detect": detect, "motion": {"px_per_m": px_per_m}})
    with TerminalReporter(enabled=not quiet and not as_json and sys.stderr.isatty()) as reporter:
        summary = run_scan(list(inputs), out, config=settings, force=force, reporter=reporter)
    page = None if no_report else write_report(out)
    _print_run(out, as_json=as_json, quiet=quiet, page=page)
    _name_failures(summary)
    sys.exit(1 if summary.failed else 0)


@click.command()
@RUN
@click.option("--min-existence", type=float, help="Report vehicles from this probability on, 0 to 1.")
@click.option("--interval", type=float, help="Share of cases that low to high aims to hold, 0 to 1.")
@click.option("--leaf-share", type=float, help="Share of votes a class needs before it is named instead of its parent, 0 to 1.")
@SCALE
@CONFIG
@JSON
@click.option("--quiet", "-q", is_flag=True, help="No summary; only errors.")
@guarded
def count(run: Path, as_json: bool, quiet: bool, px_per_m: float | None, config: Path | None, **counting: float | None) -> None:
    """Count a run again from its stored detections and motion; no video is decoded."""
    from vision.report.html import write_report  # noqa: PLC0415
    from vision.run.scan import count_again, settings_of  # noqa: PLC0415

    settings = settings_of(run, config, {"count": counting, "motion": {"px_per_m": px_per_m}})
    summary = count_again(run, config=settings)
    _print_run(run, as_json=as_json, quiet=quiet, page=write_report(run))
    _name_failures(summary)
    sys.exit(1 if summary.failed else 0)


@click.command()
@RUN
@JSON
@guarded
def show(run: Path, as_json: bool) -> None:
    """Show the trains of a run as a table."""
    _print_run(run, as_json=as_json, quiet=False, page=None)


@click.command()
@RUN
@guarded
def report(run: Path) -> None:
    """Write the page of a run anew and say where it is."""
    from vision.report.html import write_report  # noqa: PLC0415

    click.echo(write_report(run))


def _print_run(run: Path, *, as_json: bool, quiet: bool, page: Path | None) -> None:
    if as_json:
        import json  # noqa: PLC0415

        from vision.run.store import RunFolder  # noqa: PLC0415
        from vision.run.tables import read_trains, read_vehicles, read_videos  # noqa: PLC0415

        folder = RunFolder.open(run)
        document = {
            "run": str(run),
            "report": None if page is None else str(page),
            "videos": read_videos(folder),
            "trains": read_trains(folder),
            "vehicles": read_vehicles(folder),
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    elif not quiet:
        from vision.report.terminal import show_run  # noqa: PLC0415

        show_run(run)
        if page is not None:
            click.echo(f"report: {page}")


def _name_failures(summary: ScanSummary) -> None:
    for result in summary.failed:
        complain(result.reason if str(result.path) in result.reason else f"{result.path}: {result.reason}")
    for outcome in summary.lost:
        complain(outcome.sentence)
