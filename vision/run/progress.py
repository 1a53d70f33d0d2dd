"""A progress bar on standard error while a scan runs; nothing when the output is piped."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vision.types import VideoResult

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_REFRESH_S = 0.1


class TerminalReporter:
    """A `vision.run.scan.Reporter` that draws one bar for the videos and one for the video at hand.

    Args:
        enabled: False draws nothing and loads nothing.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._progress: Progress | None = None
        self._all: TaskID | None = None
        self._one: TaskID | None = None
        self._name = ""
        self._drawn_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, *, videos: int, done_before: int) -> None:
        if not self._enabled or videos == 0:
            return
        from rich.console import Console  # noqa: PLC0415 - only where a bar is drawn
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._progress.start()
        before = f", {done_before} done before" if done_before else ""
        self._all = self._progress.add_task(f"{videos} videos{before}", total=videos)

    def video(self, path: Path, *, index: int) -> None:
        self._name = path.name
        if self._progress is not None:
            if self._one is not None:
                self._progress.remove_task(self._one)
            self._one = self._progress.add_task(self._name, total=None)

    def progress(self, done_s: float, *, duration_s: float | None) -> None:
        now_s = time.monotonic()
        if self._progress is not None and self._one is not None and now_s - self._drawn_s >= _REFRESH_S:
            self._drawn_s = now_s
            self._progress.update(self._one, completed=done_s, total=duration_s)
            self._progress.refresh()

    def finished(self, result: VideoResult) -> None:
        if self._progress is not None and self._all is not None:
            self._progress.advance(self._all)
            self._progress.refresh()
