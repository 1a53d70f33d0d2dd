"""What a PyTorch checkpoint would import, read without running it.

A ``.pt`` file is a zip with a pickle inside, and a pickle is a program: loading one naively runs what its author wrote. Here the
program is only read. This gives the person a clear reason; the barrier itself is PyTorch's restricted unpickler, which the
Ultralytics adapter always uses.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from vision.errors import WeightsError

UNKNOWN_GLOBAL = "(computed name)"
"""Stands for an import whose name the pickle puts together while it runs."""

# What Ultralytics detection checkpoints are made of. Whole modules are named only where they define network layers.
_ALLOWED = frozenset({
    "__builtin__.set", "builtins.set", "__builtin__.getattr", "builtins.getattr",  # getattr: replaced by a layers-only one
    "collections.OrderedDict",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype",
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
    "torch.Size", "torch.device", "torch.dtype",
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor_v2",
    "torch.storage.UntypedStorage",
    "ultralytics.utils.IterableSimpleNamespace", "ultralytics.yolo.utils.IterableSimpleNamespace",
})  # fmt: skip
# Layers: a module of the library, then the name of a class, without a way to climb into what that module imported.
_ALLOWED_CLASS = re.compile(
    r"torch\.\w+Storage"
    r"|(torch\.nn|ultralytics\.nn)\.modules\.\w+\.[A-Z]\w*"
    r"|ultralytics\.(nn\.tasks|utils\.loss|utils\.tal)\.[A-Z]\w*"
    r"|ultralytics\.utils\.loss\.v\d+\w*Loss"
)
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING"}


def pickle_globals(path: Path) -> set[str]:
    """Every ``module.name`` that unpickling the file would import; nothing of it is run.

    Args:
        path: A PyTorch checkpoint: a zip with pickles inside, or bare pickles one after the other.

    Raises:
        WeightsError: The file cannot be read, is neither, or is a TorchScript archive, which holds code.
    """
    try:
        programs = list(_pickles(path))
        return {name for program in programs for name in _imports(program)}
    except (OSError, zipfile.BadZipFile, ValueError, IndexError, KeyError, NotImplementedError) as error:
        raise WeightsError(f"{path} is not a readable PyTorch checkpoint: {error}") from error


def refused_globals(names: set[str]) -> list[str]:
    """Those that a detection checkpoint has no use for, sorted."""
    return sorted(name for name in names if not _allowed(name))


def _allowed(name: str) -> bool:
    return name in _ALLOWED or _ALLOWED_CLASS.fullmatch(name) is not None


def _pickles(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"  # PyTorch's own test: a zip further on in the file is not one to it
    if not is_zip:
        yield path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any("/code/" in name or name.endswith("constants.pkl") for name in names):
            raise WeightsError(f"{path} is a TorchScript archive, which holds code", hint="give the original .pt")
        found = [name for name in names if name.endswith(".pkl")]
        if not found:
            raise ValueError("the archive has no pickle")
        for name in found:
            yield archive.read(name)


def _imports(program: bytes) -> Iterator[str]:
    """Imports of one or more pickles that follow each other. Raw tensor data after the last one ends the reading."""
    if not program:
        raise ValueError("it is empty")
    position, first = 0, True
    while position < len(program):
        names: list[str] = []
        try:
            position += _one_pickle(program[position:], names)
        except ValueError:
            # A legacy checkpoint goes on with raw tensors. What was named before the reader lost its way still counts.
            yield from names
            if first:
                raise
            return
        first = False
        yield from names


def _one_pickle(program: bytes, names: list[str]) -> int:
    """Appends one pickle's imports to ``names`` and returns its length.

    ``STACK_GLOBAL`` takes module and name from the stack. Only the usual form is followed, two strings (perhaps from the memo)
    pushed just before; any other is ``UNKNOWN_GLOBAL``, which nobody allows.
    """
    pushed: list[str | None] = []
    memo: dict[int, str | None] = {}
    for operation, argument, position in pickletools.genops(program):
        code = operation.name
        if code in {"GLOBAL", "INST"}:
            names.append(str(argument).replace(" ", ".", 1))
            pushed.append(None)
        elif code == "STACK_GLOBAL":
            module, name = pushed[-2:] if len(pushed) >= 2 else (None, None)
            names.append(f"{module}.{name}" if module and name else UNKNOWN_GLOBAL)
            pushed.append(None)
        elif code in _STRINGS:
            pushed.append(argument if isinstance(argument, str) else None)
        elif code == "MEMOIZE":
            memo[len(memo)] = pushed[-1] if pushed else None
        elif code in {"PUT", "BINPUT", "LONG_BINPUT"}:
            memo[int(str(argument))] = pushed[-1] if pushed else None
        elif code in {"GET", "BINGET", "LONG_BINGET"}:
            pushed.append(memo.get(int(str(argument))))
        elif code == "STOP":
            return (position or 0) + 1
        elif code not in {"PROTO", "FRAME"}:
            pushed.append(None)
    raise ValueError("the pickle does not end")
