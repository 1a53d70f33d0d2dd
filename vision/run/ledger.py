"""The ledger: which inputs a run was asked for, and how far it got with each.

One SQLite file, ``RUN/ledger.sqlite``, with a rollback journal: it survives a kill at any point, and a copied folder is a whole
one (a write-ahead log would lie beside it and be forgotten). One process writes; it holds the run folder's lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from vision.errors import OutputError
from vision.run.store import APPLICATION_ID, LEDGER_NAME, clean_text, path_text
from vision.types import VideoResult

SCHEMA = 1
InputStatus = Literal["queued", "running", "done", "failed", "skipped"]

_TABLES = f"""
    PRAGMA application_id = {APPLICATION_ID};
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, config_digest TEXT NOT NULL, config_json TEXT NOT NULL, weights_name TEXT NOT NULL,
        weights_sha256 TEXT NOT NULL, version TEXT NOT NULL, started TEXT NOT NULL
    );
    -- `place` is a hash of the absolute path: it tells inputs apart without putting a home folder's name into a run.
    CREATE TABLE inputs (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL, path_bytes BLOB NOT NULL, place TEXT NOT NULL UNIQUE,
        sha256 TEXT NOT NULL DEFAULT '', size_bytes INTEGER, mtime_ns INTEGER,
        status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed', 'skipped')),
        reason TEXT NOT NULL DEFAULT '', sentence TEXT NOT NULL DEFAULT '',
        duration_s REAL, trains INTEGER NOT NULL DEFAULT 0, sightings INTEGER NOT NULL DEFAULT 0, started TEXT, ended TEXT
    );
    CREATE INDEX inputs_sha256 ON inputs (sha256);
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    PRAGMA user_version = {SCHEMA};
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One call of scan on this run: with what it was made, and when (UTC, ISO 8601)."""

    config_digest: str
    config_json: str
    weights_name: str
    weights_sha256: str
    version: str
    started: str


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input.

    Attributes:
        id: Its number in this ledger.
        path: As it was given.
        sha256: Empty until it was hashed.
        size_bytes, mtime_ns: As planned; None where the file could not be looked at.
        status: ``queued``, ``running``, ``done``, ``failed`` or ``skipped``.
        reason, sentence: Why it failed or was skipped: a short stable name, and a sentence for a person.
        duration_s, trains, sightings: What the scan gave.
        started, ended: UTC, ISO 8601, or None.
    """

    id: int
    path: Path
    sha256: str
    size_bytes: int | None
    mtime_ns: int | None
    status: InputStatus
    reason: str
    sentence: str
    duration_s: float | None
    trains: int
    sightings: int
    started: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan found, in inputs: ``new`` ones, ``done`` before, to ``retry`` (failed or interrupted), ``changed`` since."""

    new: int = 0
    done: int = 0
    retry: int = 0
    changed: int = 0


class Ledger:
    """The ledger of one run. Use it as a context manager, or ``close`` it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._planned: set[int] | None = None

    @classmethod
    def open(cls, run_dir: Path, *, create: bool) -> Self:
        """The ledger of a run folder.

        Args:
            run_dir: The run folder.
            create: True to write, making it where it is missing (the caller holds the folder's lock, see
                ``RunFolder.create``); False to read only.

        Raises:
            OutputError: There is none to read, it is damaged or of another schema, or cannot be written.
        """
        path = run_dir / LEDGER_NAME
        # Reading opens it read-write where it may: after a kill, only a writer can roll an unfinished transaction back.
        mode = "rwc" if create else "rw"
        if not create and not path.is_file():
            raise OutputError(f"{run_dir} is not a flatcar run: it has no {LEDGER_NAME}")
        connection = None
        try:
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            schema = connection.execute("PRAGMA user_version").fetchone()[0]
            if schema == 0 and create:
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
                schema = SCHEMA
            if not create:
                connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise OutputError(f"cannot use the ledger {path}: {error}", hint="give another --out") from error
        if schema != SCHEMA:
            connection.close()
            raise OutputError(
                f"{path} has schema {schema}, this version reads {SCHEMA}", hint="use --force to start anew or another --out"
            )
        return cls(connection, path)

    def begin(self, config_digest: str, config_json: str, *, weights_name: str, weights_sha256: str, version: str) -> None:
        """Note a scan that starts on this run; it must use the settings and weights of those before it.

        Args:
            config_digest: Hash over all settings.
            config_json: The settings themselves, a JSON object.
            weights_name: Name of the weights.
            weights_sha256: Hash of the weight file.
            version: Version of flatcar.

        Raises:
            OutputError: The run was made with other settings or weights; the message names what differs.
        """
        before = self.runs()
        if before:
            differs = _differences(before[-1], config_digest, config_json, weights_name, weights_sha256)
            if differs:
                raise OutputError(
                    f"the run {self._path.parent} was made with other settings ({'; '.join(differs)})",
                    hint="use --force to start it anew, or another --out",
                )
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO runs (config_digest, config_json, weights_name, weights_sha256, version, started)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (config_digest, config_json, weights_name, weights_sha256, version, _now()),
            )

    def plan(self, paths: Iterable[Path]) -> Planned:
        """Take inputs up, in their order, and see which are still to be done.

        Done (or skipped) before, at the same place or under the same name, with the same size and time: not again. Failed, left
        running by a kill, or changed since: again. Whether a new place holds a known video is for ``find_done`` to say, once it
        is hashed.
        """
        counts = {"new": 0, "done": 0, "retry": 0, "changed": 0}
        planned: dict[int, None] = {}
        with self._writing() as connection:
            for path in paths:
                size_bytes, mtime_ns = _size_and_mtime(path)
                row = self._known(path, size_bytes, mtime_ns)
                if row is None:
                    cursor = connection.execute(
                        "INSERT INTO inputs (path, path_bytes, place, size_bytes, mtime_ns) VALUES (?, ?, ?, ?, ?)",
                        (path_text(path), os.fsencode(path), _place(path), size_bytes, mtime_ns),
                    )
                    assert cursor.lastrowid is not None
                    kind, number = "new", cursor.lastrowid
                else:
                    number = row.id
                    same = (row.size_bytes, row.mtime_ns) == (size_bytes, mtime_ns) and size_bytes is not None
                    kind = "done" if same and row.status in {"done", "skipped"} else "retry" if same else "changed"
                    # `queued` was planned by a scan that never came to it: as good as new.
                    kind = "new" if row.status == "queued" else kind
                    if kind != "done":
                        connection.execute(
                            "UPDATE inputs SET path = ?, path_bytes = ?, place = ?, size_bytes = ?, mtime_ns = ?, sha256 = '',"
                            " status = 'queued', reason = '', sentence = '', duration_s = NULL, trains = 0, sightings = 0,"
                            " started = NULL, ended = NULL WHERE id = ?",
                            (path_text(path), os.fsencode(path), _place(path), size_bytes, mtime_ns, number),
                        )
                if number not in planned:
                    planned[number] = None
                    counts[kind] += 1
        self._planned = set(planned)
        return Planned(**counts)

    def pending(self) -> tuple[InputRow, ...]:
        """The inputs of the last ``plan`` that are still to be done, in order; without a plan, all that are."""
        rows = (row for row in self.rows() if row.status in {"queued", "running"})
        return tuple(row for row in rows if self._planned is None or row.id in self._planned)

    def find_done(self, sha256: str) -> InputRow | None:
        """The first input with this content that is done, or None: a repost, when it is not the row at hand.

        A file that was only touched, or moved, is no repost: ``vision.run.results.stored_result`` has its result.
        """
        found = self._connection.execute(
            "SELECT * FROM inputs WHERE sha256 = ? AND sha256 != '' AND status = 'done' ORDER BY id", (sha256,)
        ).fetchone()
        return None if found is None else _input_row(found)

    def mark_running(self, row: InputRow) -> None:
        """Note that work on an input has begun: whatever kills it now, the next scan takes it up again."""
        self._update(row, status="running", started=_now())

    def finish(self, row: InputRow, result: VideoResult) -> None:
        """Note how an input ended: done, failed or skipped, with its numbers. Store the result itself first.

        A ``reason`` of the form ``name: sentence`` is noted as the name and the sentence.
        """
        reason, _, sentence = clean_text(result.reason).partition(":")
        self._update(
            row,
            status=result.status,
            sha256=result.sha256,
            reason=reason.strip(),
            sentence=sentence.strip(),
            duration_s=result.duration_s,
            trains=len(result.trains),
            sightings=result.sightings,
            ended=_now(),
        )

    def rows(self) -> tuple[InputRow, ...]:
        """All inputs, in the order in which they were first planned."""
        return tuple(_input_row(row) for row in self._connection.execute("SELECT * FROM inputs ORDER BY id"))

    def runs(self) -> tuple[RunRow, ...]:
        """Every scan that was begun on this run, the latest last."""
        names = ", ".join(RunRow.__dataclass_fields__)
        return tuple(RunRow(*row) for row in self._connection.execute(f"SELECT {names} FROM runs ORDER BY id"))

    def set(self, name: str, value: str) -> None:
        """Keep a named text with the run."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def get(self, name: str) -> str | None:
        """A text kept with ``set``, or None."""
        row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _known(self, path: Path, size_bytes: int | None, mtime_ns: int | None) -> InputRow | None:
        """The row of this place; else one given under the same name that looks the same (the folder was moved or copied)."""
        found = self._connection.execute("SELECT * FROM inputs WHERE place = ?", (_place(path),)).fetchone()
        if found is None:
            found = self._connection.execute(
                "SELECT * FROM inputs WHERE path_bytes = ? AND size_bytes = ? AND mtime_ns = ? ORDER BY id",
                (os.fsencode(path), size_bytes, mtime_ns),
            ).fetchone()
        return None if found is None else _input_row(found)

    def _update(self, row: InputRow, **values: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            connection.execute(f"UPDATE inputs SET {assignments} WHERE id = ?", (*values.values(), row.id))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, whole or not at all."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutputError(f"cannot write the ledger {self._path}: {error}") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _input_row(row: sqlite3.Row) -> InputRow:
    values = {name: row[name] for name in InputRow.__dataclass_fields__}
    return InputRow(**{**values, "path": Path(os.fsdecode(row["path_bytes"]))})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _place(path: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.normpath(path.absolute()))).hexdigest()


def _size_and_mtime(path: Path) -> tuple[int | None, int | None]:
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _differences(before: RunRow, config_digest: str, config_json: str, weights_name: str, weights_sha256: str) -> list[str]:
    """What the run was made with and what is asked now, in words: ``detect.min_score was 0.25 and is 0.3``."""
    found = []
    if before.config_digest != config_digest:
        old, new = _flat(json.loads(before.config_json)), _flat(json.loads(config_json))
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        found += [f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in names] or ["the settings digest"]
    if before.weights_sha256 != weights_sha256:
        was, now = before.weights_sha256[:12], weights_sha256[:12]
        found.append(f"the weights were {before.weights_name} ({was}) and are {weights_name} ({now})")
    return found


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
