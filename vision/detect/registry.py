"""The project's own weights by name, anybody's by path; nothing is run whose hash is not the promised one.

``registry.toml`` lies beside the weights: ``vision/_data/weights`` in the installed package, ``weights`` in a checkout.

    default = "flatcar-n-v2"

    [models.flatcar-n-v2]
    description = "..."
    classes = ["tank", "bmp"]
    input_hw = [384, 640]
    licence = "AGPL-3.0-or-later"
    training_data = "..."
    metrics = { map50 = 0.8 }
    files.openvino_xml = { path = "flatcar-n-v2_openvino/flatcar-n-v2.xml", sha256 = "...", bytes = 1 }
    files.openvino_bin = { path = "flatcar-n-v2_openvino/flatcar-n-v2.bin", sha256 = "...", bytes = 1 }
    files.torch = { path = "flatcar-n-v2.pt", sha256 = "...", bytes = 1, url = "https://..." }

``url`` is for a file that is not in the tree: it is fetched once into the user's cache folder.

Weights of one's own have a registry of the same form, without ``default``, in the user's folder (`own_folder`); `load_registry`
reads both. `vision.detect.own_weights` writes it.
"""

from __future__ import annotations

import difflib
import hashlib
import http.client
import importlib.resources
import os
import tempfile
import tomllib
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vision.detect.cache import cache_dir
from vision.errors import WeightsError

Kind = Literal["openvino", "onnx", "torch", "engine"]
Backend = Literal["auto", "openvino", "ultralytics"]
Role = Literal["openvino_xml", "openvino_bin", "torch", "onnx", "engine"]
FileState = Literal["ok", "altered", "missing", "not fetched"]

KINDS: dict[str, Kind] = {".xml": "openvino", ".onnx": "onnx", ".pt": "torch", ".engine": "engine"}
"""Kinds of weights by suffix."""

REGISTRY_NAME = "registry.toml"

_REINSTALL = "reinstall flatcar, or restore it with: git checkout -- weights"
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightFile(_Entry):
    """One file of a model.

    Attributes:
        path: Relative to the registry.
        sha256: Hexadecimal.
        size_bytes: Written ``bytes`` in the file.
        url: Where it can be fetched if it is not in the tree.
    """

    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(alias="bytes", ge=0)
    url: str | None = Field(None, pattern="^https?://")


class ModelEntry(_Entry):
    """What the registry says of a model.

    Attributes:
        classes: Names in the order of the model's classes.
        input_hw: Height and width of its input, pixels.
        metrics: Name to value, as measured in training.
        files: ``openvino_xml``, ``openvino_bin``, ``torch``, ``onnx``, ``engine``; not all need be there.
    """

    description: str
    classes: tuple[str, ...] = Field(min_length=1)
    input_hw: tuple[int, int]
    licence: str
    training_data: str
    metrics: dict[str, Any] = {}
    files: dict[Role, WeightFile] = Field(min_length=1)


class RegistryFile(_Entry):
    """What a ``registry.toml`` holds."""

    default: str = ""
    models: dict[str, ModelEntry]


@dataclass(frozen=True, slots=True)
class ResolvedWeights:
    """Weights that are on this machine and, if they have a name, are what the registry promised.

    Attributes:
        kind: Which sort of file.
        paths: The file to open first, then those that belong to it.
        class_names: Where the registry or a ``metadata.yaml`` beside the file names them, else None: the file may know.
        input_hw: Likewise: height and width, pixels.
        sha256: Hash of the file, hexadecimal; of ``.xml`` and ``.bin`` one after the other: ``cat X.xml X.bin | sha256sum``.
        name: Name in the registry, or the file's without suffix.
    """

    kind: Kind
    paths: tuple[Path, ...]
    class_names: tuple[str, ...] | None
    input_hw: tuple[int, int] | None
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A row of ``flatcar weights verify``.

    Attributes:
        model, role: Such as ``flatcar-n-v2``, ``torch``.
        path: Where the file lies, or would.
        state: ``not fetched`` is no fault: it has a ``url`` and nobody needed it yet.
        expected_sha256: What the registry says.
        found_sha256: What the file has, or None.
    """

    model: str
    role: str
    path: Path
    state: FileState
    expected_sha256: str
    found_sha256: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    """The weights known by name.

    Attributes:
        folder: Where the registry lies.
        default: The name that ``default`` stands for.
        models: Entries by name.
        own: Names that the user added, and the folder of their files.
    """

    folder: Path
    default: str
    models: dict[str, ModelEntry]
    own: Mapping[str, Path] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Known names, sorted."""
        return sorted(self.models)

    def get(self, name: str) -> ModelEntry:
        """The entry of a name, or of ``default``.

        Raises:
            WeightsError: Unknown; the message lists the known ones.
        """
        wanted = self.default if name == "default" else name
        if wanted not in self.models:
            near = difflib.get_close_matches(wanted, self.models, n=1, cutoff=0.5)
            known = ", ".join(self.names()) or "none"
            hint = f"did you mean {near[0]!r}?" if near else "weights of your own are given by their path"
            raise WeightsError(f"no weights are called {wanted!r}; known: {known}", hint=hint)
        return self.models[wanted]

    def resolve(self, name_or_path: str | Path, *, backend: Backend = "auto") -> ResolvedWeights:
        """Weights by name, or by a path to a file or to a folder with one ``.xml``.

        Args:
            name_or_path: ``default``, a name, or a path.
            backend: Which of a named model's files: ``ultralytics`` takes the PyTorch one, the others OpenVINO's.

        Raises:
            WeightsError: Unknown name, missing file, a hash that differs, an unknown kind of file.
        """
        if isinstance(name_or_path, Path) or looks_like_path(name_or_path):
            return resolve_path(Path(name_or_path))
        entry = self.get(name_or_path)
        name = self.default if name_or_path == "default" else name_or_path
        roles = _roles(entry, name, backend)
        paths = tuple(self._present(name, entry.files[role]) for role in roles)
        return ResolvedWeights(KINDS[paths[0].suffix], paths, entry.classes, entry.input_hw, sha256_of(*paths), name)

    def verify(self) -> list[VerifiedFile]:
        """Every file of every model against its promised hash; fetches nothing."""
        rows = []
        for name in self.names():
            for role, file in self.models[name].files.items():
                path = self._where(name, file)
                found = sha256_of(path) if path.is_file() else None
                absent: FileState = "not fetched" if file.url else "missing"
                state: FileState = absent if found is None else "ok" if found == file.sha256 else "altered"
                rows.append(VerifiedFile(name, role, path, state, file.sha256, found))
        return rows

    def _where(self, name: str, file: WeightFile) -> Path:
        """Beside the registry, else in the cache if it can be fetched."""
        path = self.own.get(name, self.folder) / file.path
        return path if path.is_file() or file.url is None else cache_dir() / "weights" / name / Path(file.path).name

    def _present(self, name: str, file: WeightFile) -> Path:
        """The file on this machine with the promised hash, fetched if need be."""
        path = self._where(name, file)
        if not path.is_file():
            if file.url is None:
                raise WeightsError(f"{path} is missing", hint=_restore(name) if name in self.own else _REINSTALL)
            _fetch(file.url, path, file)
        found = sha256_of(path)
        if found != file.sha256:
            raise WeightsError(
                f"{path} is not the file that {name} promises: expected sha256 {file.sha256[:12]}…, found {found[:12]}…",
                hint="delete it and run again" if file.url else "restore it, or give its path to use it as it is",
            )
        return path


def load_registry(path: Path | None = None) -> Registry:
    """The registry at ``path`` alone; or that of the installed package or the checkout with the user's own beside it.

    Raises:
        WeightsError: There is none, one is malformed, or both know the same name.
    """
    found = path or shipped_registry()
    content = read_registry(found)
    if not content.default:
        raise WeightsError(f"{found}: 'default' is not usable: it is missing")
    shipped = Registry(found.parent, content.default, content.models)
    mine = own_folder() / REGISTRY_NAME
    if path is not None or not mine.is_file():
        return shipped
    own = read_registry(mine).models
    if twice := sorted(own.keys() & content.models.keys()):
        hint = f"remove yours: flatcar weights remove {twice[0]}"
        raise WeightsError(f"{mine} has weights called {twice[0]!r}, and so has flatcar", hint=hint)
    return replace(shipped, models={**content.models, **own}, own=dict.fromkeys(own, mine.parent))


def read_registry(path: Path) -> RegistryFile:
    """A registry file as written.

    Raises:
        WeightsError: It cannot be read, or is malformed.
    """
    try:
        return RegistryFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WeightsError(f"cannot read the weights registry {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WeightsError(f"{path}: {where!r} is not usable: {first['msg']}") from error


def own_folder() -> Path:
    """Folder of the user's own weights, not made yet: ``FLATCAR_WEIGHTS_DIR`` if set, else in the user's cache."""
    given = os.environ.get("FLATCAR_WEIGHTS_DIR")
    return Path(given).expanduser() if given else cache_dir() / "own-weights"


def resolve_path(path: Path) -> ResolvedWeights:
    """Weights by path, with what a ``metadata.yaml`` beside them says.

    Args:
        path: An ``.xml`` (its ``.bin`` beside), ``.onnx``, ``.pt`` or ``.engine``; or a folder with one ``.xml``.

    Raises:
        WeightsError: Missing, or of another kind.
    """
    if path.is_dir():
        inside = sorted(path.glob("*.xml"))
        if len(inside) != 1:
            raise WeightsError(f"{path} holds {len(inside)} .xml files, expected one", hint="give the path of the file")
        path = inside[0]
    if path.suffix not in KINDS:
        raise WeightsError(f"{path} is no kind of weights known here", hint=f"known suffixes: {', '.join(KINDS)}")
    if not path.is_file():
        raise WeightsError(f"there are no weights at {path}")
    paths: tuple[Path, ...] = (path,)
    if path.suffix == ".xml":
        paths = (path, path.with_suffix(".bin"))
        if not paths[1].is_file():
            raise WeightsError(f"{paths[1]} is missing", hint=f"keep it beside {path.name}")
    class_names, input_hw = _metadata(path.with_name("metadata.yaml")) if path.suffix == ".xml" else (None, None)
    return ResolvedWeights(KINDS[path.suffix], paths, class_names, input_hw, sha256_of(*paths), path.stem)


def sha256_of(*paths: Path) -> str:
    """Hash of files one after the other, hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _restore(name: str) -> str:
    return f"add it again: flatcar weights remove {name}, then flatcar weights add"


def shipped_registry() -> Path:
    """The registry of the installed package, or of the checkout.

    Raises:
        WeightsError: There is none.
    """
    installed = Path(str(importlib.resources.files("vision"))) / "_data" / "weights" / REGISTRY_NAME
    checkout = Path(__file__).parents[2] / "weights" / REGISTRY_NAME
    for path in (installed, checkout):
        if path.is_file():
            return path
    raise WeightsError("the weights registry is missing from this installation", hint="reinstall flatcar, or give a path")


def looks_like_path(text: str) -> bool:
    """Whether weights given as text are a path, not a name: a known suffix, or a separator in it."""
    return Path(text).suffix in KINDS or "/" in text or os.sep in text


def _roles(entry: ModelEntry, name: str, backend: Backend) -> tuple[Role, ...]:
    """Which files a backend opens, the first being the one it is given."""
    if backend == "ultralytics" and "torch" in entry.files:
        return ("torch",)
    if backend != "ultralytics" and {"openvino_xml", "openvino_bin"} <= entry.files.keys():
        return ("openvino_xml", "openvino_bin")
    if "onnx" in entry.files:
        return ("onnx",)
    if backend == "auto" and "torch" in entry.files:
        return ("torch",)
    if backend != "openvino" and "engine" in entry.files:
        return ("engine",)
    raise WeightsError(f"{name} has no file for the backend {backend}", hint=f"it has: {', '.join(sorted(entry.files))}")


def _metadata(path: Path) -> tuple[tuple[str, ...] | None, tuple[int, int] | None]:
    """Class names and input size from the ``metadata.yaml`` of an Ultralytics export; None for what it does not say."""
    if not path.is_file():
        return None, None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
    content = content if isinstance(content, dict) else {}
    names: Any = content.get("names")
    size: Any = content.get("imgsz")
    if isinstance(names, list):
        names = dict(enumerate(names))
    known = isinstance(names, dict) and names and sorted(names) == list(range(len(names)))
    class_names = tuple(str(names[index]) for index in range(len(names))) if known else None
    return class_names, (int(size[0]), int(size[1])) if isinstance(size, list) and len(size) == 2 else None


def _fetch(url: str, path: Path, file: WeightFile) -> None:
    """Downloads a file whole or not at all; its hash is checked before it takes its name."""
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, received_bytes = hashlib.sha256(), 0
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response,
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as out,
        ):
            partial = Path(out.name)
            while (chunk := response.read(_CHUNK_BYTES)) and received_bytes <= file.size_bytes:
                received_bytes += len(chunk)
                digest.update(chunk)
                out.write(chunk)
        if received_bytes != file.size_bytes or digest.hexdigest() != file.sha256:
            raise WeightsError(
                f"{url} did not give the promised file: expected sha256 {file.sha256[:12]}… ({file.size_bytes} bytes), "
                f"found {digest.hexdigest()[:12]}… ({received_bytes} bytes read)",
                hint="try again later, or update flatcar",
            )
        partial.chmod(0o644)
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"cannot fetch {url}: {error}", hint="check the connection, or give a path to weights") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
