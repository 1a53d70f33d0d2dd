"""What works on this machine, and what to do about the rest: ``flatcar doctor``.

Nothing here raises: a check that breaks is a finding like any other. What is not installed is not imported; the only slow import
is PyTorch's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vision.errors import first_line

State = Literal["ok", "warn", "fail"]

_LEAST_DISK_BYTES = 2 * 10**9
_LEAST_MEMORY_BYTES = 2 * 10**9
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_CORE = (
    "av",
    "click",
    "jinja2",
    "numpy",
    "openvino",
    "pyarrow",
    "pydantic",
    "pydantic-settings",
    "pyyaml",
    "rich",
    "scenedetect",
    "scipy",
)
_IMPORT_NAMES = {"pyyaml": "yaml", "pydantic-settings": "pydantic_settings"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        state: ``fail`` keeps a scan from working; ``warn`` is a limit, or an extra that is not there.
        what: What was found.
        todo: What to do about it, or empty.
    """

    name: str
    state: State
    what: str
    todo: str = ""


def examine() -> list[Check]:
    """All findings, the machine first, then the core, then the extras."""
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("python", _python),
        ("disk", _disk),
        ("memory", _memory),
        ("cores", _cores),
        ("core libraries", _core_libraries),
        ("OpenCV", _opencv),
        ("codecs", _codecs),
        ("OpenVINO", _openvino),
        ("weights", _weights),
        ("torch", _torch),
        ("albumentations", _albumentations),
        ("FiftyOne", _fiftyone),
    )
    found: list[Check] = []
    for name, look in looks:
        try:
            found += look()
        except Exception as error:  # noqa: BLE001, RUF100  (whatever a broken installation throws is the finding)
            said = " ".join(str(error).split())[:200]
            found.append(Check(name, "fail", f"{type(error).__name__}: {said}", "pip install --force-reinstall flatcar"))
    return found


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _there(module: str) -> bool:
    """Whether a top-level module could be imported, without doing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _gigabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB"


# ---- The machine ------------------------------------------------------------------------------------------------------------


def _python() -> Iterable[Check]:
    what = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Check(
            "python", "warn", f"{what}: not among the tested 3.11 to 3.13", "make an environment with Python 3.11 to 3.13"
        )
    else:
        yield Check("python", "ok", what)


def _disk() -> Iterable[Check]:
    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"flatcar")
    except OSError as error:
        todo = "set TMPDIR to a folder that can be written: a scan keeps its pictures there while it runs"
        yield Check("temporary folder", "fail", f"{folder} cannot be written: {error.strerror}", todo)
    else:
        yield Check("temporary folder", "ok", f"{folder} can be written")
    for name, place in (("temporary folder's disk", folder), ("disk", Path.cwd())):
        free_bytes = shutil.disk_usage(place).free
        short = free_bytes < _LEAST_DISK_BYTES
        yield Check(name, "warn" if short else "ok", f"{_gigabytes(free_bytes)} free", "free some space" if short else "")


def _memory() -> Iterable[Check]:
    free_bytes = _free_memory_bytes()
    if free_bytes is None:
        yield Check("memory", "ok", "free memory cannot be told on this system")
    elif free_bytes < _LEAST_MEMORY_BYTES:
        yield Check(
            "memory", "warn", f"{_gigabytes(free_bytes)} free", "close other programs: a scan takes up to 1 GB, PyTorch more"
        )
    else:
        yield Check("memory", "ok", f"{_gigabytes(free_bytes)} free")


def _free_memory_bytes() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _cores() -> Iterable[Check]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("cores", "ok", f"{count}")


# ---- The core ---------------------------------------------------------------------------------------------------------------


def _core_libraries() -> Iterable[Check]:
    for distribution in _CORE:
        version = _version(distribution)
        if version is None or not _there(_IMPORT_NAMES.get(distribution, distribution)):
            yield Check(distribution, "fail", "not installed", f"pip install {distribution}, or reinstall flatcar")
        else:
            yield Check(distribution, "ok", version)


def _opencv() -> Iterable[Check]:
    wheels = {name: version for name in _OPENCV if (version := _version(name))}
    named = ", ".join(f"{name} {version}" for name, version in wheels.items())
    if not wheels:
        yield Check("OpenCV", "fail", "not installed", 'pip install "opencv-python<5"')
        return
    if any(int(version.split(".")[0]) >= 5 for version in wheels.values()):
        todo = "pip install " + " ".join(f'"{name}<5"' for name in wheels)
        yield Check("OpenCV", "fail", f"{named}: version 5 does not work with Albumentations and FiftyOne", todo)
        return
    if len(set(wheels.values())) > 1:
        newest = max(wheels.values(), key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])
        todo = "pip install --force-reinstall --no-deps " + " ".join(f"{name}=={newest}" for name in wheels)
        yield Check("OpenCV", "fail", f"{named}: different wheels overwrite each other's files", todo)
        return
    import cv2  # noqa: PLC0415

    yield Check("OpenCV", "ok", f"{named} (loads as {cv2.__version__})")


def _codecs() -> Iterable[Check]:
    from vision.video.codecs import decoders  # noqa: PLC0415

    known = decoders()
    lacking = [kind for kind, there in known.items() if not there]
    if lacking:
        todo = "pip install --force-reinstall --only-binary av av: its wheels bring all of them"
        yield Check("codecs", "fail" if "H.264" in lacking else "warn", f"no decoder for {', '.join(lacking)}", todo)
    else:
        yield Check("codecs", "ok", ", ".join(known))


def _openvino() -> Iterable[Check]:
    from vision.detect.openvino_adapter import import_openvino  # noqa: PLC0415

    devices = import_openvino().Core().available_devices
    if "CPU" not in devices:
        todo = "pip install --force-reinstall openvino"
        yield Check("OpenVINO", "fail", f"it sees no processor, only {', '.join(devices) or 'nothing'}", todo)
    else:
        yield Check("OpenVINO", "ok", f"devices: {', '.join(devices)}")


def _weights() -> Iterable[Check]:
    import numpy as np  # noqa: PLC0415

    from vision.config import DetectConfig  # noqa: PLC0415
    from vision.detect import build_detector, load_registry  # noqa: PLC0415

    registry = load_registry()
    for row in registry.verify():
        if row.state in {"altered", "missing"}:
            todo = "reinstall flatcar, or restore it with: git checkout -- weights"
            yield Check(f"weights {row.model}", "fail", f"{row.path} is {row.state}", todo)
    detector = build_detector(DetectConfig(backend="openvino", device="cpu", batch=1))
    try:
        detector.detect([np.zeros((72, 128, 3), np.uint8)])
    finally:
        detector.close()
    yield Check("weights", "ok", f"{registry.get('default').description.split(';')[0]}: {registry.default} loads and runs")


# ---- Extras -----------------------------------------------------------------------------------------------------------------


def _torch() -> Iterable[Check]:
    lacking = [name for name in ("torch", "torchvision", "ultralytics") if not _there(name)]
    if lacking:
        what = f"{', '.join(lacking)} not installed; needed for .pt weights, CUDA, MPS and training only"
        yield Check("torch", "warn", what, 'pip install "flatcar[torch]"')
        return
    try:
        import torch  # noqa: PLC0415
    except Exception as error:  # noqa: BLE001, RUF100
        yield Check("torch", "fail", f"it does not load: {first_line(error)}", 'pip install --force-reinstall "flatcar[torch]"')
        return
    yield Check("torch", "ok", f"torch {torch.__version__}, ultralytics {_version('ultralytics')}")
    yield _torchvision()
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Check("CUDA", "ok", names)
    elif torch.backends.mps.is_available():
        yield Check("MPS", "ok", "there")
    else:
        what = "neither CUDA nor MPS is there; the processor does the work"
        yield Check("CUDA", "warn", what, "none needed for scanning; training wants a graphics card with its driver")


def _torchvision() -> Check:
    try:
        import torch  # noqa: PLC0415
        from torchvision.ops import nms  # noqa: PLC0415

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:  # noqa: BLE001, RUF100
        pair = f"torch {_version('torch')}, torchvision {_version('torchvision')}"
        todo = "install a matching pair: pip install --force-reinstall torch torchvision"
        return Check("torchvision", "fail", f"{pair} do not fit each other: {first_line(error)}", todo)
    return Check("torchvision", "ok", f"{_version('torchvision')}, fits torch")


def _albumentations() -> Iterable[Check]:
    original, successor = _version("albumentations"), _version("albumentationsx")
    if original and successor:
        todo = "pip uninstall albumentationsx albumentations, then: pip install albumentations==2.0.8"
        yield Check("albumentations", "fail", "albumentations and albumentationsx share a folder and break each other", todo)
    elif successor:
        what = f"albumentationsx {successor} is there instead of albumentations; its licence differs and it is not tested here"
        yield Check("albumentations", "warn", what, "pip uninstall albumentationsx, then: pip install albumentations==2.0.8")
    elif original:
        yield Check("albumentations", "ok", original)
    else:
        yield Check("albumentations", "warn", "not installed; needed for training only", 'pip install "flatcar[train]"')


def _fiftyone() -> Iterable[Check]:
    """FiftyOne is not imported: that would start its database."""
    from vision.errors import DependencyError  # noqa: PLC0415, first_line
    from vision.review.database import cache_folder, find_mongod, mongod_version  # noqa: PLC0415

    version = _version("fiftyone")
    if version is None:
        yield Check("FiftyOne", "warn", "not installed; needed for reviewing only", 'pip install "flatcar[review]"')
        return
    yield Check("FiftyOne", "ok", version)
    uri = os.environ.get("FIFTYONE_DATABASE_URI")
    if uri:
        yield _database_at(uri)
        return
    try:
        binary = find_mongod()
    except DependencyError as error:
        yield Check("FiftyOne's database", "warn", error.message, error.hint or "")
        return
    found, _ = mongod_version(binary)
    shown = ".".join(map(str, found or ()))
    folder = Path(os.environ.get("FIFTYONE_DATABASE_DIR") or cache_folder() / "fiftyone-db")
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        todo = "set FIFTYONE_DATABASE_DIR to a folder that can be written"
        yield Check("FiftyOne's database", "warn", f"mongod {shown}, but {folder} cannot be written", todo)
    else:
        yield Check("FiftyOne's database", "ok", f"mongod {shown}, keeps its data in {folder}")


def _database_at(uri: str) -> Check:
    """Whether the database that the user named answers, and is new enough."""
    import re  # noqa: PLC0415

    from vision.review.database import LEAST_VERSION  # noqa: PLC0415

    shown = re.sub(r"//[^@/]*@", "//", uri)  # a password may stand there
    name = "FiftyOne's database"
    try:
        import pymongo  # noqa: PLC0415

        client: Any = pymongo.MongoClient(uri, serverSelectionTimeoutMS=3000)
        version = str(client.server_info()["version"])
        client.close()
    except Exception as error:  # noqa: BLE001, RUF100
        todo = "start it, or unset FIFTYONE_DATABASE_URI to use the embedded one"
        return Check(name, "warn", f"{shown} does not answer: {first_line(error)}", todo)
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        return Check(name, "warn", f"{shown} is MongoDB {version}, too old", "use MongoDB 6.0 or later")
    return Check(name, "ok", f"MongoDB {version} at {shown}")
