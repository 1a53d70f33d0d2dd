"""A run in the terminal: the trains with their counts, and what failed. Plain text when it goes into a file or a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision.report import words
from vision.run.ledger import Ledger
from vision.run.reviewed import reviewed_run
from vision.run.store import RunFolder, path_text
from vision.run.tables import class_order, train_ids
from vision.types import VideoResult

if TYPE_CHECKING:
    from rich.console import Console

_HEADER = ("train", "video", "at", "total", "vehicles", "completeness", "flags", "reviewed")


def show_run(run_dir: Path, *, console: Console | None = None) -> None:
    """Print a run: a table of its trains, then the inputs that failed, were skipped or still wait.

    Args:
        run_dir: The run folder.
        console: Where to print; None takes standard output.

    Raises:
        OutputError: It is not a run.
        TruthError: A stored result is damaged.
    """
    from rich.console import Console  # noqa: PLC0415 - only when something is shown

    console = console or Console()
    results, waiting = _read(run_dir)
    rows = [tuple(words.printable(cell) for cell in row) for row in _train_lines(results)]
    reviewed = any(row[-1] for row in rows)  # a column that says nothing is not shown
    header, rows = (_HEADER, rows) if reviewed else (_HEADER[:-1], [row[:-1] for row in rows])
    if console.is_terminal:
        _print_table(console, header, rows)
    else:
        # Not through rich: it would break lines at 80 columns. A tab apart, for cut and awk.
        for row in (header, *rows) if rows else ():
            console.file.write("\t".join(row) + "\n")
    for line in _other_lines(results, waiting, found=bool(rows)):
        if console.is_terminal:
            console.print(words.printable(line), markup=False, highlight=False)
        else:
            console.file.write(words.printable(line) + "\n")


def _read(run_dir: Path) -> tuple[list[VideoResult], list[str]]:
    run = RunFolder.open(run_dir)
    with Ledger.open(run_dir, create=False) as ledger:
        rows = ledger.rows()
    results = sorted(reviewed_run(run, rows).results, key=lambda r: (path_text(r.path), r.sha256))
    return results, [path_text(row.path) for row in rows if row.status in {"queued", "running"}]


def _train_lines(results: Sequence[VideoResult]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for result in results:
        named = sorted(zip(train_ids(result), result.trains, strict=True), key=lambda pair: pair[1].passage.start_s)
        for train_id, train in named:
            counts = ", ".join(f"{name} {words.interval_words(train.counts[name])}" for name in class_order(train.counts))
            lines.append(
                (
                    train_id,
                    path_text(result.path),
                    words.clock(train.passage.start_s),
                    words.interval_words(train.total),
                    counts or "none",
                    words.completeness_words(train),
                    ", ".join(train.flags),
                    words.reviewed_short(train),
                )
            )
    return lines


def _other_lines(results: Sequence[VideoResult], waiting: Sequence[str], *, found: bool) -> list[str]:
    lines = [] if found else ["no train found"]
    for result in results:
        if result.status != "done":
            lines.append(f"{result.status}: {path_text(result.path)}: {words.reason_words(result.reason)}")
    lines += [f"not scanned yet: {name}" for name in waiting]
    return lines


def _print_table(console: Console, header: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, caption="total: all but cars, low to high in brackets", caption_justify="left")
    for name in header:
        table.add_column(name, overflow="fold", no_wrap=name in {"train", "at"})
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a name in [brackets] is no markup
    console.print(table)
