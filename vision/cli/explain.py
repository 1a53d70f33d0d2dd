"""``explain``: why a count came out as it did, as pictures and a film."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vision.cli.common import CONFIG, SCALE, complain, guarded


@click.command()
@click.argument("clip_or_run", type=click.Path(path_type=Path), metavar="CLIP_OR_RUN")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the pictures and the film.")
@click.option("--video", help="Which video of a run: its name, or where it lies now.")
@click.option("--train", help="Only this train, by its train_id.")
@click.option("--truth", type=click.Path(path_type=Path), help="Truth file (NDJSON): shows what was missed and what is extra.")
@click.option("--no-video", is_flag=True, help="Pictures only; of a run they are drawn from what is stored, nothing is decoded.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Longest film; what takes longer is shown faster.",
)
@click.option("--weights", help="Clip only: weights by name (flatcar weights list) or path.")
@click.option("--backend", type=click.Choice(["auto", "openvino", "ultralytics"]), help="Clip only: what runs the detector.")
@click.option("--device", help="Clip only: cpu, cuda, cuda:0, mps, gpu or auto.")
@click.option("--min-score", type=float, help="Clip only: lowest score of an object, 0 to 1.")
@click.option("--looks-per-view", type=float, help="Clip only: looks while the train advances by the picture's width.")
@SCALE
@CONFIG
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@guarded
def explain(
    clip_or_run: Path,
    out: Path,
    video: str | None,
    train: str | None,
    truth: Path | None,
    no_video: bool,
    seconds: float,
    px_per_m: float | None,
    config: Path | None,
    quiet: bool,
    **detect: Any,
) -> None:
    """Show how a video was counted: motion, looks, places along the train, and what was left out.

    CLIP_OR_RUN is a video, which is looked at as a scan does, or the folder of a run. Writes a picture for each train and a film.
    """
    from vision.report.explain_files import Wish, write_explanation  # noqa: PLC0415
    from vision.run.progress import TerminalReporter  # noqa: PLC0415

    with TerminalReporter(enabled=not quiet and sys.stderr.isatty()) as reporter:
        reporter.begin(videos=1, done_before=0)
        at = ""

        def progress(stage: str, done_s: float, of_s: float | None) -> None:
            nonlocal at
            if stage != at:
                at = stage
                reporter.video(Path(stage), index=0)
            reporter.progress(done_s, duration_s=of_s)

        written = write_explanation(
            clip_or_run,
            out,
            wish=Wish(video=video, train=train, truth=truth, film=not no_video, longest_s=seconds),
            config_path=config,
            flags={"detect": detect, "motion": {"px_per_m": px_per_m}},
            progress=progress,
        )
    for note in written.notes:
        complain(note)
    if not quiet:
        for path in written.files:
            click.echo(path)
