"""The folder of a training: what it was asked for, how far it is, and what came out.

RUN/run.json            settings, data digest, starting weights, versions, state
RUN/epoch.txt           pictures of an epoch; data.yaml names it for Ultralytics
RUN/results.csv         a row per epoch: losses, figures on the validation pictures, learning rate
RUN/weights/last.pt     after each epoch; best.pt where the figures were best
RUN/*.jpg, *.png        Ultralytics' plots
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from vision import __version__
from vision.errors import InputError, OutputError
from vision.learn.recipe import Recipe
from vision.run.store import atomic_write

SCHEMA = 1
RECORD_NAME = "run.json"
_LIBRARIES = ("ultralytics", "torch", "torchvision", "albumentations", "opencv-python", "numpy", "openvino")

# Columns of results.csv as Ultralytics names them, and as the table does.
_COLUMNS = {
    "epoch": "epoch",
    "time": "time_s",
    "train/box_loss": "box loss",
    "train/cls_loss": "class loss",
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
    "metrics/mAP50(B)": "mAP50",
    "metrics/mAP50-95(B)": "mAP50-95",
    "lr/pg0": "learning rate",
}


@dataclass(frozen=True)
class Record:
    """What ``run.json`` says.

    Attributes:
        data: Folder of the set.
        data_digest: Of the set, see `vision.learn.manifest.set_digest`.
        start: Name or path of the weights it started from.
        start_sha256: Of that file.
        recipe: The settings.
        device: What it ran on.
        versions: Library -> version.
        state: ``running`` also stands for killed: nobody is left to say so.
        begun, ended: UTC, ISO 8601; ``ended`` is None while it runs.
        schema: Version of this form.
    """

    data: str
    data_digest: str
    start: str
    start_sha256: str
    recipe: Mapping[str, Any]
    device: str
    versions: Mapping[str, str]
    state: Literal["running", "finished"] = "running"
    begun: str = ""
    ended: str | None = None
    schema: int = SCHEMA


@dataclass(frozen=True)
class TrainingRun:
    """A training's folder with its record."""

    folder: Path
    record: Record

    @classmethod
    def begin(cls, folder: Path, record: Record) -> Self:
        """Make the folder of a new run.

        Raises:
            OutputError: It holds something already, or cannot be written.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "a training already" if (folder / RECORD_NAME).is_file() else "something else already"
            hint = "go on with it by --resume, or give another folder" if "training" in what else "give another folder"
            raise OutputError(f"{folder} holds {what}", hint=hint)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        run = cls(folder, replace(record, begun=_now()))
        run._write()
        return run

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A run that was begun.

        Raises:
            InputError: There is none in this folder, or its record is damaged.
        """
        path = folder / RECORD_NAME
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] != SCHEMA:
                raise InputError(f"{path} is of another version: {raw['schema']}", hint="train anew")
            return cls(folder, Record(**raw))
        except FileNotFoundError as error:
            raise InputError(
                f"there is no training in {folder}", hint="start one with: flatcar train --data SET --out RUN"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: {error}", hint="train anew") from error

    def finish(self) -> Self:
        """Note that it came to its end."""
        done = replace(self, record=replace(self.record, state="finished", ended=_now()))
        done._write()
        return done

    def refuse_other(self, asked: Mapping[str, Any]) -> None:
        """Says what of a call does not belong to this run.

        Args:
            asked: Attribute of the record, or setting of the recipe -> what is asked for now.

        Raises:
            OutputError: Something differs; the message names it with both values.
        """
        stored = {**asdict(self.record), **json.loads(json.dumps(dict(self.record.recipe)))}
        for name, value in asked.items():
            if json.loads(json.dumps(value)) != stored[name]:
                then, now = (str(v)[:12] + "…" if len(str(v)) > 24 else v for v in (stored[name], value))
                what = _WORDS.get(name, name.replace("_", " "))
                raise OutputError(
                    f"the training in {self.folder} belongs to another {what}: {then} then, {now} now",
                    hint="resume it as it was begun, or train in another folder",
                )

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "weights" / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best figures; the newest where there are none."""
        best = self.folder / "weights" / "best.pt"
        return best if best.is_file() else self.last

    def results(self) -> list[dict[str, float]]:
        """Rows of the results table, an epoch each; an epoch that was cut short and done again counts once."""
        path = self.folder / "results.csv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            rows = [_numbers(row) for row in csv.DictReader(file, skipinitialspace=True)]
        return list({row["epoch"]: row for row in rows if "epoch" in row}.values())

    def table(self) -> str:
        """The results as text, the best epoch marked."""
        rows = self.results()
        shown = [c for c in _COLUMNS if any(c in row for row in rows)]
        if not rows:
            return "no epoch is finished yet"
        best = max(reversed(rows), key=lambda row: row.get("metrics/mAP50-95(B)", 0.0))
        lines = ["  ".join(f"{_COLUMNS[c]:>10}" for c in shown)]
        for row in rows:
            lines.append("  ".join(f"{_cell(c, row.get(c)):>10}" for c in shown) + ("  best" if row is best else ""))
        return "\n".join(lines)

    def keep_results_until(self, epochs: int) -> float:
        """Drop rows of epochs whose checkpoint was never written.

        Args:
            epochs: How many epochs the checkpoint has behind it.

        Returns:
            Seconds trained until then.
        """
        path = self.folder / "results.csv"
        if not path.is_file():
            return 0.0
        head, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and float(line.split(",", 1)[0]) <= epochs]
        if kept != lines:
            atomic_write(path, "".join([head, *kept]).encode())
        rows = self.results()
        return rows[-1].get("time", 0.0) if rows else 0.0

    def _write(self) -> None:
        atomic_write(self.folder / RECORD_NAME, (json.dumps(asdict(self.record), ensure_ascii=False, indent=2) + "\n").encode())


_WORDS = {"data_digest": "data set", "start_sha256": "starting point", "input_hw": "input size", "without": "choice of sources"}


def describe(data: Path, digest: str, start: tuple[str, str], recipe: Recipe, device: str) -> Record:
    """The record of a run about to begin.

    Args:
        data: Folder of the set.
        digest: Of the set.
        start: Name and sha256 of the starting weights.
        recipe: The settings.
        device: What it will run on.
    """
    return Record(str(data.resolve()), digest, *start, recipe.to_dict(), device, versions())


def versions() -> dict[str, str]:
    """Versions of what a training's result depends on."""
    found = {"flatcar": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for key, value in row.items():
        try:
            numbers[str(key).strip()] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column in {"epoch", "time"}:
        return f"{value:.0f}"
    return f"{value:.2e}" if column.startswith("lr/") else f"{value:.3f}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
