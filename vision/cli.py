"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from vision import __version__
from vision.errors import FlatcarError, InputError, UsageError

if TYPE_CHECKING:
    from vision.types import VideoResult

P = ParamSpec("P")
R = TypeVar("R")

_RUN = click.argument("run", type=click.Path(path_type=Path))
_CONFIG = click.option("--config", type=click.Path(path_type=Path), help="Settings file (TOML); see docs/settings.md.")
_SCALE = click.option(
    "--px-per-m", type=float, help="Scale at the train, pixels of the full frame per metre: gives speeds and lengths."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output, and nothing else.")


def _guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Errors as one line and an exit code; a traceback only for FLATCAR_DEBUG=1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except FlatcarError as error:
            _complain(str(error))
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            _complain("stopped; what was finished is kept, the same command goes on from there")
            sys.exit(130)
        except BrokenPipeError:
            # The reader of a pipe went away (head, say): no error, but the stream must not be flushed again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:
            if os.environ.get("FLATCAR_DEBUG"):
                raise
            _complain(f"a fault in flatcar: {type(error).__name__}: {error}; FLATCAR_DEBUG=1 shows where, please report it")
            sys.exit(1)

    return run


def _complain(sentence: str) -> None:
    click.echo(f"flatcar: {' '.join(sentence.split())}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="flatcar")
def main() -> None:
    """Count what trains carry, from rail-spotting video."""


# ---- Scanning and counting --------------------------------------------------------------------------------------------------


@main.command()
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
@_SCALE
@_CONFIG
@click.option("--force", is_flag=True, help="Start the run anew: remove what an earlier scan wrote there.")
@click.option("--no-report", is_flag=True, help="Write the tables, but not the page.")
@_JSON
@click.option("--quiet", "-q", is_flag=True, help="No progress, no summary; only errors.")
@_guarded
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
    _name_failures(summary.failed)
    sys.exit(1 if summary.failed else 0)


@main.command()
@_RUN
@click.option("--min-existence", type=float, help="Report vehicles from this probability on, 0 to 1.")
@click.option("--interval", type=float, help="Share of cases that low to high aims to hold, 0 to 1.")
@click.option("--leaf-share", type=float, help="Share of votes a class needs before it is named instead of its parent, 0 to 1.")
@_SCALE
@_CONFIG
@_JSON
@click.option("--quiet", "-q", is_flag=True, help="No summary; only errors.")
@_guarded
def count(run: Path, as_json: bool, quiet: bool, px_per_m: float | None, config: Path | None, **counting: float | None) -> None:
    """Count a run again from its stored detections and motion; no video is decoded."""
    from vision.report.html import write_report  # noqa: PLC0415
    from vision.run.scan import count_again, settings_of  # noqa: PLC0415

    settings = settings_of(run, config, {"count": counting, "motion": {"px_per_m": px_per_m}})
    summary = count_again(run, config=settings)
    _print_run(run, as_json=as_json, quiet=quiet, page=write_report(run))
    _name_failures(summary.failed)
    sys.exit(1 if summary.failed else 0)


@main.command()
@_RUN
@_JSON
@_guarded
def show(run: Path, as_json: bool) -> None:
    """Show the trains of a run as a table."""
    _print_run(run, as_json=as_json, quiet=False, page=None)


@main.command()
@_RUN
@_guarded
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


def _name_failures(failed: tuple[VideoResult, ...]) -> None:
    for result in failed:
        _complain(result.reason if str(result.path) in result.reason else f"{result.path}: {result.reason}")


# ---- Weights ----------------------------------------------------------------------------------------------------------------


@main.group()
def weights() -> None:
    """The detector's weights."""


@weights.command("list")
@_JSON
@_guarded
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
@_guarded
def weights_verify() -> None:
    """Check the hash of every weight file; exit code 1 when one is altered or missing."""
    from vision.detect.registry import load_registry  # noqa: PLC0415

    rows = load_registry().verify()
    for row in rows:
        click.echo(f"{row.state:<12} {row.model} {row.role} {row.path}")
    sys.exit(1 if any(row.state in {"altered", "missing"} for row in rows) else 0)


# ---- Simulating and evaluating ----------------------------------------------------------------------------------------------


@main.command()
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the clips and truth.ndjson.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first clip; the others count on.")
@click.option("--trains", type=click.IntRange(1), default=1, show_default=True, help="How many clips, one train each.")
@click.option("--condition", default="fixed", show_default=True, help="What is difficult; an unknown name lists them all.")
@click.option("--size", default="1280x720", show_default=True, metavar="WxH", help="Size of the picture, pixels.")
@click.option("--fps", type=click.FloatRange(1, 240), default=25.0, show_default=True, help="Frames a second.")
@click.option("--flatcars", default="4-12", show_default=True, metavar="N or A-B", help="Flatcars in a train.")
@click.option(
    "--cutouts",
    type=click.Path(path_type=Path),
    help="Folder with cut-outs (RGBA PNG and cutouts.tsv) instead of drawn vehicles.",
)
@_guarded
def simulate(
    out: Path, seed: int, trains: int, condition: str, size: str, fps: float, flatcars: str, cutouts: Path | None
) -> None:
    """Render clips of trains whose contents are known exactly."""
    from vision.synth.cutouts import CutoutAssets  # noqa: PLC0415
    from vision.synth.encode import simulate as render  # noqa: PLC0415
    from vision.synth.scene import CONDITIONS  # noqa: PLC0415

    if condition not in CONDITIONS:
        raise UsageError(f"there is no condition {condition!r}", hint=f"choose one of {', '.join(CONDITIONS)}")
    width_px, height_px = _pair(size, "x", "--size", lowest=64)
    low, high = _pair(flatcars if "-" in flatcars else f"{flatcars}-{flatcars}", "-", "--flatcars", lowest=1)
    done = render(
        out,
        seed=seed,
        count=trains,
        condition=condition,
        width_px=width_px,
        height_px=height_px,
        fps=fps,
        flatcars=(low, high),
        assets=CutoutAssets(cutouts) if cutouts else None,
        on_clip=lambda clip: click.echo(f"{clip.path}: {clip.duration_s:.1f} s, {clip.vehicles} vehicles"),
    )
    click.echo(f"{len(done)} clips and {out / 'truth.ndjson'}")


def _pair(text: str, separator: str, option: str, *, lowest: int) -> tuple[int, int]:
    first, found, second = text.partition(separator)
    try:
        pair = int(first), int(second)
    except ValueError:
        pair = (0, 0)
    if not found or min(pair) < lowest or (separator == "-" and pair[0] > pair[1]):
        raise UsageError(f"{option} {text} is not usable", hint=f"give two whole numbers as A{separator}B, at least {lowest}")
    return pair


@main.group()
def evaluate() -> None:
    """Measure a run or a detector against the truth."""


@evaluate.command("counts")
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="A line per train, see docs/simulate.md.")
@_RUN
@_JSON
@click.option("--strict", is_flag=True, help="Exit code 1 unless every train is found and its total lies in its interval.")
@_guarded
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
@_guarded
def evaluate_detect_command(data: Path, weights: str, backend: str, json_file: Path | None) -> None:
    """Measure a detector on the labelled pictures of a built set: mAP by parent and leaf, by view and source."""
    from vision.learn.evaluate import main as run_evaluation  # noqa: PLC0415

    if not data.exists():
        raise InputError(f"no such file or folder: {data}", hint="make a set with python -m vision.learn.build")
    given = ["--data", str(data), "--weights", weights, "--backend", backend]
    sys.exit(run_evaluation([*given, "--json", str(json_file)] if json_file else given))


# ---- The machine ------------------------------------------------------------------------------------------------------------


@main.command()
@_JSON
@_guarded
def doctor(as_json: bool) -> None:
    """Say what works on this machine and what to do about the rest; exit code 1 when something needed fails."""
    import json  # noqa: PLC0415

    from vision.doctor import examine  # noqa: PLC0415

    checks = examine()
    if as_json:
        click.echo(json.dumps([{"name": c.name, "state": c.state, "what": c.what, "todo": c.todo} for c in checks], indent=2))
    else:
        for check in checks:
            click.echo(f"{check.state:<5} {check.name}: {check.what}" + (f" -> {check.todo}" if check.todo else ""))
    sys.exit(1 if any(check.state == "fail" for check in checks) else 0)


if __name__ == "__main__":
    main()
