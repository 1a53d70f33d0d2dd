"""Adding weights to a registry and taking them out again; each of its files appears whole or not at all.

The files are copied into the registry's folder under the weights' name, with a model card beside them:

    NAME.pt, NAME.onnx, NAME.engine
    NAME_openvino/NAME.xml, NAME.bin, metadata.yaml
    NAME.md

A registry is edited as text, a block at its end or a block less, so that what a person wrote into it stays.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vision.config import DetectConfig
from vision.detect import build_detector
from vision.detect.registry import (
    KINDS,
    REGISTRY_NAME,
    ModelEntry,
    RegistryFile,
    Role,
    load_registry,
    own_folder,
    read_registry,
    sha256_of,
    shipped_registry,
)
from vision.errors import InputError, OutputError, TaxonomyError, UsageError, WeightsError
from vision.taxonomy import default_taxonomy

METRICS_NAME = "metrics.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEAD = "# Weights of your own; written by flatcar weights add.\n[models]\n"
_WORST = 5


@dataclass(frozen=True)
class About:
    """What a person says of weights.

    Attributes:
        description: In one line.
        licence: SPDX name, or in words.
        training_data: What they were trained on.
        metrics: Name -> figure, or table of figures.
    """

    description: str = ""
    licence: str = "not stated"
    training_data: str = "not stated"
    metrics: Mapping[str, Any] | None = None


def add_weights(source: Path, name: str, about: About, *, registry: Path | None = None) -> Path:
    """Copy weights beside a registry and enter them into it.

    Args:
        source: A weight file (an ``.xml`` brings its ``.bin``), or a folder with one model in one or several forms, such as
            ``flatcar weights export`` writes.
        name: What they are to be called.
        about: What is known of them.
        registry: File to enter them into; None takes the user's own.

    Returns:
        The model card.

    Raises:
        InputError: Nothing there, or several models in one folder.
        WeightsError: It is no detection model of classes the taxonomy knows; its forms differ; the name is taken.
        OutputError: The folder cannot be written.
    """
    if not _NAME.fullmatch(name) or name == "default":
        raise UsageError(f"weights cannot be called {name!r}", hint="use letters, digits, dots, dashes and underscores")
    target = registry or own_folder() / REGISTRY_NAME
    taken = read_registry(target).models if target.is_file() else {}
    if name in taken or (registry is None and name in read_registry(shipped_registry()).models):
        raise WeightsError(
            f"there are weights called {name!r} already", hint=f"take another name, or: flatcar weights remove {name}"
        )
    found = find_files(source)
    classes, input_hw = _examine(found)
    metrics = about.metrics if about.metrics is not None else _metrics_beside(source)
    check_metrics(metrics)
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".flatcar-", dir=folder) as place:
            files = _copied(found, name, Path(place))
            forms = sorted({KINDS.get(path.suffix, "openvino") for path in found.values()})
            content = {
                "description": about.description or f"detector for {', '.join(forms)}",
                "classes": list(classes),
                "input_hw": list(input_hw),
                "licence": about.licence,
                "training_data": about.training_data,
                "metrics": dict(metrics),
                "files": files,
            }
            entry = ModelEntry.model_validate(content)
            (Path(place) / f"{name}.md").write_text(model_card(name, entry), encoding="utf-8")
            text = (target.read_text(encoding="utf-8") if target.is_file() else _HEAD) + "\n" + entry_text(name, content)
            RegistryFile.model_validate(tomllib.loads(text))  # before anything is in its place
            for made in sorted(Path(place).iterdir()):
                _replace(made, folder / made.name)
            _write_text(target, text)
    except (OSError, shutil.Error) as error:
        raise OutputError(f"cannot write in {folder}: {getattr(error, 'strerror', None) or error}") from error
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{name} cannot be entered: {str(error).splitlines()[0]}") from error
    return folder / f"{name}.md"


def remove_weights(name: str, *, registry: Path | None = None) -> list[Path]:
    """Take weights out of a registry and delete their files.

    Args:
        name: Of the weights.
        registry: File to take them out of; None takes the user's own.

    Returns:
        The files deleted.

    Raises:
        WeightsError: The registry has no such weights, or ships with flatcar.
        OutputError: Something cannot be written or deleted.
    """
    target = registry or own_folder() / REGISTRY_NAME
    entries = read_registry(target).models if target.is_file() else {}
    if name not in entries:
        if registry is None and name in load_registry(shipped_registry()).models:
            raise WeightsError(f"{name} belongs to flatcar", hint="only weights of your own can be removed")
        known = ", ".join(sorted(entries)) or "none"
        raise WeightsError(f"no weights of your own are called {name!r}; known: {known}")
    text = without_entry(target.read_text(encoding="utf-8"), name)
    folder = target.parent.resolve()
    owned = [folder / file.path for file in entries[name].files.values()] + [folder / f"{name}.md"]
    owned += [folder / f"{name}_openvino" / "metadata.yaml"]
    gone = []
    try:
        _write_text(target, text)
        for path in owned:
            if path.is_file() and path.resolve().is_relative_to(folder):
                path.unlink()
                gone.append(path)
        with contextlib.suppress(OSError):
            (folder / f"{name}_openvino").rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {name}: {error.strerror}") from error
    return gone


def find_files(source: Path) -> dict[Role, Path]:
    """The forms of one model: role -> file.

    Raises:
        InputError: There is none, one is incomplete, or there are several of one form.
    """
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    candidates = (
        [source] if source.is_file() else sorted(p for p in [*source.glob("*"), *source.glob("*/*")] if p.suffix in KINDS)
    )
    roles: dict[Role, Path] = {}
    for path in candidates:
        if path.suffix not in KINDS:
            raise InputError(f"{path} is no kind of weights known here", hint=f"known suffixes: {', '.join(KINDS)}")
        kind = KINDS[path.suffix]
        role: Role = "openvino_xml" if kind == "openvino" else kind
        if role in roles:
            hint = "give one file, or the folder of one model"
            raise InputError(f"{source} holds several models: {roles[role].name} and {path.name}", hint=hint)
        roles[role] = path
    if not roles:
        raise InputError(f"{source} holds no weights", hint=f"known suffixes: {', '.join(KINDS)}")
    if "openvino_xml" in roles:
        weights = roles["openvino_xml"].with_suffix(".bin")
        if not weights.is_file():
            raise InputError(f"{weights} is missing", hint=f"keep it beside {roles['openvino_xml'].name}")
        roles["openvino_bin"] = weights
    return roles


def _examine(found: Mapping[Role, Path]) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Classes and input size of a model, which must be the same in all its forms. An ``.engine`` cannot be asked everywhere.

    Raises:
        WeightsError: It is no detection model, its classes are unknown, or its forms differ.
    """
    said: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {}
    opened = [p for role, p in found.items() if role not in {"openvino_bin", "engine"}] or list(found.values())
    for path in opened:
        detector = build_detector(DetectConfig(weights=str(path)))
        said[path.name] = (detector.class_names, detector.input_hw)
        detector.close()
    (first, expected), *others = said.items()
    for other, got in others:
        if got != expected:
            raise WeightsError(f"{first} and {other} differ in their classes or their input", hint="add them as two")
    tree = default_taxonomy()
    for name in expected[0]:
        try:
            tree.resolve(name)
        except TaxonomyError as error:
            hint = "train on the taxonomy's classes; weights with others can be used by their path"
            raise WeightsError(f"{first} is not added: {error.message}", hint=hint) from error
    return expected


def _copied(found: Mapping[Role, Path], name: str, place: Path) -> dict[str, dict[str, Any]]:
    """Copies under the new name, and what the registry says of each."""
    entries: dict[str, dict[str, Any]] = {}
    for role, path in sorted(found.items()):
        inside = f"{name}_openvino/" if role.startswith("openvino") else ""
        relative = f"{inside}{name}{path.suffix}"
        copy = place / relative
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
        entries[role] = {"path": relative, "sha256": sha256_of(copy), "bytes": copy.stat().st_size}
    beside = found["openvino_xml"].with_name("metadata.yaml") if "openvino_xml" in found else None
    if beside is not None and beside.is_file():
        shutil.copyfile(beside, place / f"{name}_openvino" / "metadata.yaml")
    return entries


def _metrics_beside(source: Path) -> Mapping[str, Any]:
    folder = source if source.is_dir() else source.parent
    for path in (folder / METRICS_NAME, folder.parent / METRICS_NAME):
        if path.is_file():
            return read_metrics(path)
    return {}


def read_metrics(path: Path) -> Mapping[str, Any]:
    """Figures from a JSON file.

    Raises:
        InputError: It is missing, or holds no table of figures.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"no figures in {path}: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"no figures in {path}: not a table")
    return raw


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Figures, or tables of them, and short texts.

    Raises:
        InputError: Something else is among them.
    """
    for key, value in metrics.items():
        rows = value.items() if isinstance(value, Mapping) else [(key, value)]
        for name, one in rows:
            if not isinstance(one, (int, float, str)) or (isinstance(one, float) and not math.isfinite(one)):
                raise InputError(
                    f"the figure {name!r} is no number", hint="give JSON of names and numbers, or of one table of them"
                )


def entry_text(name: str, entry: Mapping[str, Any]) -> str:
    """An entry as a block of ``registry.toml``."""
    lines = [f"[models.{_key(name)}]"]
    lines += [f"{key} = {_value(value)}" for key, value in entry.items() if not isinstance(value, Mapping)]
    lines += ["", f"[models.{_key(name)}.metrics]"]
    lines += [f"{_key(key)} = {_value(value)}" for key, value in entry["metrics"].items()]
    for role, file in entry["files"].items():
        lines += ["", f"[models.{_key(name)}.files.{role}]", *(f"{key} = {_value(value)}" for key, value in file.items())]
    return "\n".join(lines) + "\n"


def without_entry(text: str, name: str) -> str:
    """A registry's text without the tables of one model."""
    heads = (f"[models.{_key(name)}]", f"[models.{_key(name)}.")
    kept, inside = [], False
    for line in text.split("\n"):  # not splitlines: a string may hold what that takes for the end of a line
        if line.startswith("["):
            inside = line.startswith(heads)
        if not inside:
            kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _value(value: Any) -> str:
    """A value as TOML: JSON but for tables."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """A TOML string: JSON's, which leaves one control character as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def model_card(name: str, entry: ModelEntry) -> str:
    """A page on a model: what it is, its figures, where it fails; what only its maker knows is left to fill in."""
    lines = [
        f"# {name}",
        "",
        entry.description + ".",
        "",
        f"- Classes: {', '.join(entry.classes)}",
        f"- Input: {entry.input_hw[0]} x {entry.input_hw[1]} pixels (height x width)",
        f"- Licence: {entry.licence}",
        f"- Trained on: {entry.training_data}",
        f"- Files: {', '.join(file.path for file in entry.files.values())}",
        "",
        "## Figures",
        "",
    ]
    plain = {k: v for k, v in entry.metrics.items() if not isinstance(v, Mapping)}
    tables = {k: v for k, v in entry.metrics.items() if isinstance(v, Mapping)}
    lines += _table(("figure", "value"), list(plain.items())) if plain else ["None were measured: `flatcar evaluate detect`."]
    for title, table in tables.items():
        lines += ["", *_table(("class", title), list(table.items()))]
    lines += ["", "## Where it fails", "", *_failures(tables)]
    left = "which pictures the figures were measured on, what was never among the training pictures, what it is not for"
    lines += ["", f"*To fill in: {left}.*"]
    return "\n".join(lines) + "\n"


def _failures(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The worst classes of each table of average precisions."""
    lines = []
    for title, table in tables.items():
        figures = sorted((v, k) for k, v in table.items() if isinstance(v, (int, float)))
        if figures and "ap" in title:
            worst = ", ".join(f"{k} {v:.3f}" for v, k in figures[:_WORST])
            lines.append(f"- Worst by {title}: {worst}.")
    return lines or ["- Not known: there are no figures by class."]


def _table(header: tuple[str, str], rows: Sequence[tuple[str, Any]]) -> list[str]:
    return [f"| {header[0]} | {header[1]} |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows)]


def _replace(made: Path, final: Path) -> None:
    """A file or folder to its place. What a removal left behind under that name goes."""
    if final.is_dir():
        shutil.rmtree(final)
    made.replace(final)


def _write_text(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".flatcar-", suffix=".tmp", delete=False
    ) as file:
        partial = Path(file.name)
        file.write(text)
    try:
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
