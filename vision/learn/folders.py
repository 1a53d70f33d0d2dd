"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision.errors import InputError, OutputError

# What a build writes, and what a training or a composing leaves in the folder. Anything else is somebody's, and is not removed.
OURS = frozenset(
    {
        "images", "labels", "truth", "truth.json", "data.yaml", "manifest.ndjson", "set.json",
        "epoch.txt", "data-epoch.yaml", "composed", "composed.ndjson", "hard_negatives",
    }
)  # fmt: skip


@contextmanager
def fresh_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` when the block ends well, and is removed when it does not.

    It lies beside ``path``, so that the renaming is one step. An older set of that name stays until then.

    Args:
        path: Where the set is to be; nothing or an empty folder must be there, or with ``force`` an older set.
        force: Replace an older set.

    Raises:
        OutputError: Something is there that may not be replaced, the place cannot be written, or the disk is full.
        InputError: A file that the block reads cannot be read.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link: what it points to is not replaced
    _check_place(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".unfinished", dir=path.parent))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="give another --out") from error
    try:
        yield temporary
        _check_place(path, force=force)  # another build may have been quicker
        temporary.chmod(0o777 & ~_UMASK)  # mkdtemp makes it private
        _put(temporary, path)
    except OSError as error:
        named = str(error.filename or temporary)
        if not Path(named).is_relative_to(temporary) and Path(named) != path:  # something else could not be read
            raise InputError(f"cannot read {named}: {error.strerror or error}") from error
        raise OutputError(f"cannot write {path}: {error.strerror or error}", hint="what was begun is removed again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_place(path: Path, *, force: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError(f"{path} is no folder", hint="give another --out")
    try:
        entries = [p.name for p in path.iterdir()] if path.exists() else []
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="give another --out") from error
    if not entries:
        return
    foreign = sorted(set(entries) - OURS)
    if foreign:
        named = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise OutputError(f"{path} holds what is not of a data set ({named}) and is not replaced", hint="give another --out")
    if not force:
        raise OutputError(f"{path} holds a data set already", hint="give another --out, or --force to replace it")


def _put(new: Path, path: Path) -> None:
    """Rename the new folder into place; on a failure the old one is there again."""
    old = None
    if path.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
        path.replace(old)  # onto an empty folder: one step
    try:
        new.replace(path)
    except OSError:
        if old is not None:
            with contextlib.suppress(OSError):
                old.replace(path)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
