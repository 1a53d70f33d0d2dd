"""The one composition: videos in, a run folder with results, tables and evidence out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from vision import __version__
from vision.config import Config, load_config
from vision.detect import Detector, build_detector
from vision.detect.objects import LOWEST_SCORE
from vision.errors import FlatcarError, OutputError
from vision.run.counting import count_video
from vision.run.evidence import write_crops, write_evidence
from vision.run.ledger import InputRow, Ledger
from vision.run.observe import observe_video
from vision.run.results import stored_result, write_result
from vision.run.reviewed import Outcome, rebuild_tables
from vision.run.store import RunFolder, load_raw, raw_path, save_raw
from vision.taxonomy import Taxonomy, default_taxonomy
from vision.types import VideoRecord, VideoResult
from vision.video import find_videos, probe, sha256_of


class Reporter(Protocol):
    """Is told how a scan goes on; a progress bar, or nothing at all."""

    def begin(self, *, videos: int, done_before: int) -> None: ...

    def video(self, path: Path, *, index: int) -> None: ...

    def progress(self, done_s: float, *, duration_s: float | None) -> None: ...

    def finished(self, result: VideoResult) -> None: ...


class Silent:
    """A reporter that says nothing."""

    def begin(self, *, videos: int, done_before: int) -> None: ...

    def video(self, path: Path, *, index: int) -> None: ...

    def progress(self, done_s: float, *, duration_s: float | None) -> None: ...

    def finished(self, result: VideoResult) -> None: ...


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """How a scan ended.

    Attributes:
        run_dir: The run folder.
        results: All inputs of the run that ended, also those of earlier scans; with people's verdicts laid over them.
        lost: People's verdicts that speak of a vehicle or train that is not counted any more.
        failed: The failed ones among the results.
    """

    run_dir: Path
    results: tuple[VideoResult, ...]
    lost: tuple[Outcome, ...] = ()

    @property
    def failed(self) -> tuple[VideoResult, ...]:
        return tuple(result for result in self.results if result.status == "failed")


def scan(
    inputs: Sequence[Path],
    run_dir: Path,
    *,
    config: Config,
    force: bool = False,
    reporter: Reporter | None = None,
    detector_factory: Callable[[], Detector] | None = None,
) -> ScanSummary:
    """Scan files and folders into a run folder; what an earlier call on it finished is not done again.

    Args:
        inputs: Video files and folders.
        run_dir: The run folder; made where it is missing.
        config: All settings.
        force: Start the run anew.
        reporter: Told of the progress.
        detector_factory: Makes the detector; the one of the settings where None.

    Returns:
        All results of the run. A video that failed does not stop the others.

    Raises:
        UsageError: Nothing could start: no such path, no video, unusable weights or run folder.
    """
    reporter = reporter or Silent()
    taxonomy = default_taxonomy()
    paths, passed_over = find_videos(inputs)
    detector = (detector_factory or (lambda: detector_of(config)))()
    try:
        with RunFolder.create(run_dir, force=force) as run, Ledger.open(run_dir, create=True) as ledger:
            ledger.begin(
                config.digest(),
                config.model_dump_json(),
                weights_name=detector.name,
                weights_sha256=detector.weights_sha256,
                version=__version__,
            )
            planned = ledger.plan(paths)
            ledger.set("passed_over", json.dumps([{"what": d.what, "reason": d.reason, "count": d.count} for d in passed_over]))
            pending = ledger.pending()
            reporter.begin(videos=len(pending), done_before=planned.done)
            try:
                for index, row in enumerate(pending):
                    reporter.video(row.path, index=index)
                    reporter.finished(_scan_one(row, run, ledger, detector, config, taxonomy, reporter))
            finally:
                # Also after Ctrl-C: the tables show what is done so far.
                reviewed = rebuild_tables(run, ledger.rows())
            return ScanSummary(run_dir, reviewed.results, reviewed.lost)
    finally:
        detector.close()


def detector_of(config: Config) -> Detector:
    """The detector of the settings, told to report all classes it wavers between: their scores are pooled afterwards."""
    lowest = min(LOWEST_SCORE, config.detect.min_score)
    return build_detector(config.detect.model_copy(update={"min_score": lowest}))


def _scan_one(
    row: InputRow, run: RunFolder, ledger: Ledger, detector: Detector, config: Config, taxonomy: Taxonomy, reporter: Reporter
) -> VideoResult:
    """One video, its result stored and noted in the ledger; a failure is a result too."""
    ledger.mark_running(row)
    record: VideoRecord | None = None
    try:
        record = probe(row.path)
        result = _known(record, row, run, ledger) or _observe_and_count(record, run, detector, config, taxonomy, reporter)
    except OutputError as error:
        error.exit_code = 1  # the run had begun; what it wrote so far is kept
        raise
    except FlatcarError as error:
        result = _failed(row.path, record, error.reason, str(error))
    except MemoryError:
        result = _failed(row.path, record, "out_of_memory", "the picture is too large for this machine's memory")
    except Exception as error:
        if os.environ.get("FLATCAR_DEBUG"):
            raise
        # A fault of ours on one video must not cost the others.
        result = _failed(row.path, record, "internal", f"{type(error).__name__}: {error}")
    write_result(run, result)
    ledger.finish(row, result)
    return result


def _known(record: VideoRecord, row: InputRow, run: RunFolder, ledger: Ledger) -> VideoResult | None:
    """The result of bytes that were scanned before: skipped where another input has them, taken over from a killed scan."""
    same = ledger.find_done(record.sha256)
    if same is not None and same.id != row.id:
        reason = f"duplicate: the same bytes as {same.path}"
        return VideoResult(record.path, record.sha256, "skipped", reason, duration_s=same.duration_s)
    before = stored_result(run, record.sha256)
    return replace(before, path=record.path) if before is not None else None


def _observe_and_count(
    record: VideoRecord, run: RunFolder, detector: Detector, config: Config, taxonomy: Taxonomy, reporter: Reporter
) -> VideoResult:
    observed = observe_video(
        record.path,
        record=record,
        detector=detector,
        config=config,
        progress=lambda done_s: reporter.progress(done_s, duration_s=record.duration_s),
    )
    try:
        result = count_video(observed.raw, duration_s=observed.duration_s, config=config, taxonomy=taxonomy)
        save_raw(run, observed.raw)
        write_evidence(run, observed, result, px_per_m=config.motion.px_per_m)
        return result
    finally:
        observed.close()


def _failed(path: Path, record: VideoRecord | None, reason: str, sentence: str) -> VideoResult:
    return VideoResult(path, record.sha256 if record else _hash_of(path), "failed", f"{reason}: {sentence}")


def _hash_of(path: Path) -> str:
    """The hash of a file that is no video: what could not be read is named too. Empty where even that fails."""
    try:
        return sha256_of(path)
    except (OSError, FlatcarError):
        return ""


def count_again(run_dir: Path, *, config: Config) -> ScanSummary:
    """Count every video of a run again from its stored looks and motion, and rewrite the tables; decodes nothing.

    Args:
        run_dir: A run.
        config: Settings; those of counting and the scale take effect, the others belong to the scan that looked.

    Raises:
        OutputError: It is no run, or cannot be written.
        TruthError: Stored observations are damaged.
    """
    taxonomy = default_taxonomy()
    with RunFolder.create(_existing(run_dir)) as run, Ledger.open(run_dir, create=True) as ledger:
        for row in ledger.rows():
            if row.status == "done" and raw_path(run, row.sha256).is_file():
                raw = load_raw(run, row.sha256)
                raw = replace(raw, record=replace(raw.record, path=row.path))
                result = count_video(raw, duration_s=row.duration_s, config=config, taxonomy=taxonomy)
                write_crops(run, result)
                write_result(run, result)
                ledger.finish(row, result)
        reviewed = rebuild_tables(run, ledger.rows())
        return ScanSummary(run_dir, reviewed.results, reviewed.lost)


def settings_of(run_dir: Path, toml_path: Path | None, flags: dict[str, dict[str, Any]]) -> Config:
    """The settings a run was scanned with, under a settings file and the command line's flags.

    Raises:
        OutputError: It is no run.
        ConfigError: A setting is unknown, malformed or out of range.
    """
    with Ledger.open(run_dir, create=False) as ledger:
        runs = ledger.runs()
    scanned_with = json.loads(runs[-1].config_json) if runs else {}
    return load_config(toml_path, flags, base=scanned_with)


def _existing(run_dir: Path) -> Path:
    """The folder, if it is a run: counting again must not make one."""
    RunFolder.open(run_dir).close()
    return run_dir
