"""The run folder: what lies in it, who may write to it, and the raw observations of each video.

    RUN/ledger.sqlite             what was asked, and how far it got (vision.run.ledger)
    RUN/lock.sqlite               held by the one process that writes
    RUN/raw/<sha16>.npz           looks and motion of a video: counting runs again from here
    RUN/results/<name>.json       a VideoResult (vision.run.results)
    RUN/{trains,vehicles,videos}.{ndjson,csv,parquet}
    RUN/crops, RUN/strips         pictures, JPEG
    RUN/report/index.html

Files appear whole or not at all, so a run may be killed at any point. Nothing that a run did not write is ever removed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from vision.errors import OutputError, TruthError
from vision.types import Detections, Dropped, Look, Passage, VideoRecord

RAW_SCHEMA = 1
APPLICATION_ID = 0x666C6174  # "flat", at byte 68 of every SQLite file of a run
LEDGER_NAME = "ledger.sqlite"
LOCK_NAME = "lock.sqlite"
TABLES = ("trains", "vehicles", "videos")
TABLE_FORMATS = ("ndjson", "csv", "parquet")

_TEMPORARY = re.compile(r"\.flatcar-[\w-]+\.tmp")
# What a run writes, by folder: only files of these names are removed by --force. The ledger goes first, see _remove_old.
_WRITTEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("", re.compile(r"ledger\.sqlite(-journal|-wal|-shm)?")),
    ("", re.compile(rf"({'|'.join(TABLES)})\.({'|'.join(TABLE_FORMATS)})")),
    ("raw", re.compile(r"[0-9a-f]{16}\.(npz|zip)")),
    ("results", re.compile(r"(not-)?[0-9a-f]{16}\.json")),
    ("crops", re.compile(r"[0-9a-f]{8}-[\w.-]+\.jpg")),
    ("strips", re.compile(r"[0-9a-f]{8}-[\w.-]+\.(jpg|json)")),
    ("report", re.compile(r"index\.html")),
)


def path_text(path: Path) -> str:
    """A path as text for tables and pages: with forward slashes, and valid Unicode."""
    return clean_text(path.as_posix())


def clean_text(text: str) -> str:
    """Text that every format can hold: the bytes of a file name that are no UTF-8 become ``\\xNN``."""

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return re.sub("[\ud800-\udfff]", escaped, text)


def atomic_write(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it appears whole or not at all; an older file of that name stays until then.

    Args:
        path: Where; its folder must exist.
        content: The bytes, or a function that writes them into an open binary file.

    Raises:
        OutputError: The folder cannot be written, or the disk is full.
    """
    try:
        # In the same folder: os.replace is atomic only within one file system.
        handle, temporary = tempfile.mkstemp(prefix=".flatcar-", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes it private; a result is shared like any other file the person makes.
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # once, at import: reading it means setting it, which threads would see


class RunFolder:
    """A run folder, and while it is being written the lock on it. Use it as a context manager, or ``close`` it.

    Attributes:
        path: The folder.
        writable: Whether this object holds the writer's lock.
    """

    def __init__(self, path: Path, lock: sqlite3.Connection | None = None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, path: Path, *, force: bool = False) -> Self:
        """Make a run folder, or take up an existing one, for writing.

        Args:
            path: A folder that does not exist (its parents are made), is empty, or is a run.
            force: Start anew: remove what an earlier run wrote, and nothing else.

        Raises:
            OutputError: It is a file, cannot be written, holds something that is not a run, or another process
                is writing to it.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            foreign = not is_run(path) and any(not _starting(entry) for entry in path.iterdir())
        except FileExistsError as error:
            raise OutputError(f"{path} is a file, not a folder", hint="give another --out") from error
        except OSError as error:
            raise OutputError(f"cannot make the run folder {path}: {error.strerror}", hint="give another --out") from error
        if foreign:
            raise OutputError(f"{path} holds files and is not a flatcar run", hint="give an empty or new folder as --out")
        run = cls(path, _locked(path))
        try:
            # SQLite takes a lock even where it may only read, so writing is tried by itself.
            with tempfile.TemporaryFile(prefix=".flatcar-", suffix=".tmp", dir=path):
                pass
            if force:
                _remove_old(path)
            for name in ("raw", "results", "crops", "strips", "report"):
                (path / name).mkdir(exist_ok=True)
        except OSError as error:
            run.close()
            raise OutputError(f"cannot write to the run folder {path}: {error.strerror}", hint="give another --out") from error
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run, for reading; a scan may be writing to it meanwhile.

        Raises:
            OutputError: There is no such folder, or it is not a run.
        """
        if not path.exists():
            raise OutputError(f"there is no run folder {path}", hint="make one with: flatcar scan VIDEO --out " + str(path))
        if not path.is_dir() or not is_run(path):
            raise OutputError(f"{path} is not a flatcar run", hint="give the folder that was the --out of a scan")
        return cls(path)

    @property
    def writable(self) -> bool:
        return self._lock is not None

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder({self.path}, writable={self.writable})"


def is_run(path: Path) -> bool:
    """Whether a folder is a run: it holds a ledger or a lock that flatcar made."""
    return any(_is_ours(path / name) for name in (LEDGER_NAME, LOCK_NAME))


def _is_ours(database: Path) -> bool:
    # The SQLite header: 16 bytes of magic, and the application id big-endian at byte 68.
    try:
        with database.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    return header.startswith(b"SQLite format 3\0") and header[68:] == APPLICATION_ID.to_bytes(4, "big")


def _starting(entry: Path) -> bool:
    """What a run killed in its very first moment may leave."""
    names = {LOCK_NAME, f"{LOCK_NAME}-journal"}
    return entry.name in names and entry.is_file() and (entry.stat().st_size == 0 or entry.name != LOCK_NAME)


def _locked(path: Path) -> sqlite3.Connection:
    """The writer's lock: an exclusive SQLite transaction, which the system ends with the process, however it dies."""
    connection = None
    try:
        connection = sqlite3.connect(path / LOCK_NAME, timeout=0.2, isolation_level=None, check_same_thread=False)
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        if "locked" in str(error):
            raise OutputError(f"another flatcar is writing to {path}", hint="wait for it, or give another --out") from error
        raise OutputError(f"cannot write to the run folder {path}: {error}", hint="give another --out") from error
    return connection


def _remove_old(path: Path) -> None:
    """Remove what a run wrote. The ledger first: without it, whatever a kill leaves behind is not taken for results."""
    for folder, pattern in _WRITTEN:
        where = path / folder
        if where.is_symlink() or not where.is_dir():
            continue
        for entry in list(where.iterdir()):
            if (pattern.fullmatch(entry.name) or _TEMPORARY.fullmatch(entry.name)) and (entry.is_file() or entry.is_symlink()):
                entry.unlink()


@dataclass(frozen=True, slots=True)
class RawVideo:
    """What was observed in one video, before counting.

    Attributes:
        record: The video.
        class_names: Names behind ``class_id`` of the looks' detections.
        passages: Trains passing, with their motion on every frame.
        looks: Every run of the detector, in order of time.
        dropped: What was left out so far.
    """

    record: VideoRecord
    class_names: tuple[str, ...]
    passages: tuple[Passage, ...]
    looks: tuple[Look, ...]
    dropped: tuple[Dropped, ...] = ()


def raw_path(run: RunFolder, sha256: str) -> Path:
    """Where a video's raw observations lie."""
    return run.path / "raw" / f"{sha256[:16]}.npz"


def save_raw(run: RunFolder, raw: RawVideo) -> Path:
    """Store what was observed in a video, compressed, in one file.

    Raises:
        OutputError: The run folder cannot be written.
    """
    record = {name: getattr(raw.record, name) for name in VideoRecord.__dataclass_fields__}
    record |= {"path": str(raw.record.path), "time_base": str(raw.record.time_base)}
    about = {
        "schema": RAW_SCHEMA,
        "record": record,
        "class_names": raw.class_names,
        "passages": [passage_scalars(p) for p in raw.passages],
        "dropped": [asdict(d) for d in raw.dropped],
    }
    detections = [look.detections for look in raw.looks]
    arrays: dict[str, NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about).encode("ascii"), np.uint8),
        "look_pts": np.array([look.pts for look in raw.looks], np.int64),
        "look_pts_s": np.array([look.pts_s for look in raw.looks], np.float64),
        "look_detections": np.array([len(d) for d in detections], np.int64),
        "xyxy_px": np.concatenate([np.zeros((0, 4), np.float32), *(d.xyxy_px for d in detections)]),
        "score": np.concatenate([np.zeros(0, np.float32), *(d.score for d in detections)]),
        "class_id": np.concatenate([np.zeros(0, np.int32), *(d.class_id for d in detections)]),
        "passage_frames": np.array([len(p.pts_s) for p in raw.passages], np.int64),
    }
    for name, kind in PASSAGE_ARRAYS.items():
        arrays[f"passage_{name}"] = np.concatenate([np.zeros(0, kind), *(getattr(p, name) for p in raw.passages)]).astype(kind)
    path = raw_path(run, raw.record.sha256)
    path.parent.mkdir(exist_ok=True)
    atomic_write(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
    return path


def load_raw(run: RunFolder, sha256: str) -> RawVideo:
    """What ``save_raw`` stored.

    Raises:
        TruthError: There is none for this video, or it is damaged or of another schema.
    """
    path = raw_path(run, sha256)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays["about"].tobytes())
        if about["schema"] != RAW_SCHEMA:
            raise TruthError(f"{path} has schema {about['schema']}, expected {RAW_SCHEMA}", hint="scan the video again")
        return _raw_of(about, arrays)
    except FileNotFoundError as error:
        raise TruthError(f"nothing is stored for the video {sha256[:16]} in {path.parent}", hint="scan it again") from error
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError, IndexError) as error:
        raise TruthError(f"{path} is damaged: {error}", hint="scan the video again") from error


PASSAGE_ARRAYS: dict[str, type[np.floating[Any]]] = {
    "pts_s": np.float64,
    "displacement_px": np.float64,
    "background_px": np.float64,
    "trust": np.float32,
}
"""The fields of a Passage that hold a number for each frame."""


def passage_scalars(passage: Passage) -> dict[str, Any]:
    """The fields of a passage that are no arrays, ready for JSON."""
    names = [name for name in Passage.__dataclass_fields__ if name not in PASSAGE_ARRAYS]
    return {name: getattr(passage, name) for name in names}


def passage_of(scalars: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Passage:
    """A passage from ``passage_scalars`` after JSON and its arrays, each of shape (n,)."""
    tuples = {name: tuple(scalars[name]) for name in ("view_x_px", "band_y_px", "flags")}
    return Passage(**{**scalars, **tuples, **{name: arrays[name].astype(kind) for name, kind in PASSAGE_ARRAYS.items()}})


def _raw_of(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> RawVideo:
    record = about["record"]
    record |= {"path": Path(record["path"]), "time_base": Fraction(record["time_base"])}
    looks = []
    for pts, pts_s, part in zip(arrays["look_pts"], arrays["look_pts_s"], _parts(arrays["look_detections"]), strict=True):
        detections = Detections(arrays["xyxy_px"][part], arrays["score"][part], arrays["class_id"][part])
        looks.append(Look(int(pts), float(pts_s), detections))
    passages = []
    for scalars, part in zip(about["passages"], _parts(arrays["passage_frames"]), strict=True):
        passages.append(passage_of(scalars, {name: arrays[f"passage_{name}"][part] for name in PASSAGE_ARRAYS}))
    return RawVideo(
        record=VideoRecord(**record),
        class_names=tuple(about["class_names"]),
        passages=tuple(passages),
        looks=tuple(looks),
        dropped=tuple(Dropped(**d) for d in about["dropped"]),
    )


def _parts(lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of consecutive parts of the given lengths."""
    ends = np.cumsum(lengths)
    return (slice(int(end - n), int(end)) for end, n in zip(ends, lengths, strict=True))
