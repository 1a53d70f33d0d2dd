"""An evaluation on disk: a folder with the page and the JSON, whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from pathlib import Path

from vision.errors import OutputError
from vision.run.store import atomic_write

PAGE = "index.html"
DOCUMENT = "evaluation.json"


def check_folder(out: Path) -> None:
    """Say before the work begins whether a folder can be written.

    Raises:
        OutputError: It is a file, holds something that is no evaluation, or its parent cannot be written.
    """
    if out.exists():
        if not out.is_dir():
            raise OutputError(f"{out} is a file, not a folder", hint="give another --out")
        names = {p.name for p in out.iterdir()}
        if names and (DOCUMENT not in names or names - {PAGE, DOCUMENT}):
            raise OutputError(f"{out} holds files and is no earlier evaluation", hint="give an empty or new folder as --out")
    above = next(p for p in out.absolute().parents if p.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".flatcar-", suffix=".tmp", dir=above):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {above}: {error.strerror}", hint="give another --out") from error


def check_file(path: Path) -> None:
    """Say before the work begins whether a file can be written.

    Raises:
        OutputError: It is a folder, or there is no folder for it.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder, not a file", hint="give the name of a file as --json")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {path.absolute().parent}", hint="make it, or give another --json")


def write_document(path: Path, document: str) -> None:
    """Write the JSON alone.

    Raises:
        OutputError: It cannot be written.
    """
    atomic_write(path, document.encode())


def write_folder(out: Path, *, page: str, document: str) -> None:
    """Write page and JSON into a folder that then takes the place of ``out``; an earlier evaluation stays until then.

    Raises:
        OutputError: It cannot be written.
    """
    check_folder(out)
    # Not mkdtemp: that makes a folder nobody else may read.
    new = out.parent / f".flatcar-{uuid.uuid4().hex}.tmp"
    old = new.with_suffix(".old")
    try:
        new.mkdir(parents=True)
        atomic_write(new / PAGE, page.encode())
        atomic_write(new / DOCUMENT, document.encode())
        if out.exists():
            out.rename(old)
        new.rename(out)
    except OSError as error:
        if old.exists() and not out.exists():
            old.rename(out)
        raise OutputError(f"cannot write {out}: {error.strerror}") from error
    finally:
        for leftover in (new, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(leftover)
