"""``simulate``: clips whose contents are known."""

from __future__ import annotations

from pathlib import Path

import click

from vision.cli.common import guarded
from vision.errors import UsageError


@click.command()
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the clips and truth.ndjson.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first clip; the others count on.")
@click.option("--trains", type=click.IntRange(1), default=1, show_default=True, help="How many clips, one train each.")
@click.option(
    "--condition",
    default="fixed",
    show_default=True,
    help="What is difficult: a name, or several joined by +, as in shake+snow; an unknown name lists them all.",
)
@click.option("--size", default="1280x720", show_default=True, metavar="WxH", help="Size of the picture, pixels.")
@click.option("--fps", type=click.FloatRange(1, 240), default=25.0, show_default=True, help="Frames a second.")
@click.option("--flatcars", default="4-12", show_default=True, metavar="N or A-B", help="Flatcars in a train.")
@click.option(
    "--cutouts",
    type=click.Path(path_type=Path),
    help="Folder with cut-outs (RGBA PNG and cutouts.tsv) instead of drawn vehicles.",
)
@click.option("--boxes", is_flag=True, help="Write boxes.ndjson too: the vehicles in every frame.")
@guarded
def simulate(
    out: Path, seed: int, trains: int, condition: str, size: str, fps: float, flatcars: str, cutouts: Path | None, boxes: bool
) -> None:
    """Render clips of trains whose contents are known exactly."""
    from vision.synth.cutouts import CutoutAssets  # noqa: PLC0415
    from vision.synth.encode import simulate as render  # noqa: PLC0415
    from vision.synth.scene import CONDITIONS, parse_condition  # noqa: PLC0415

    try:
        parse_condition(condition)
    except ValueError as error:
        unknown = next((name for name in condition.split("+") if name.strip() not in CONDITIONS), condition)
        hint = f"choose from {', '.join(CONDITIONS)}; several are joined by +"
        raise UsageError(f"there is no condition {unknown.strip()!r}", hint=hint) from error
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
        boxes=boxes,
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
