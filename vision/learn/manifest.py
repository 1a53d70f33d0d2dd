"""What a built set is made of: a row per picture in ``manifest.ndjson``, a summary in ``set.json``, one digest over all of it.

A picture in the set says where it came from (source, file, sha256 of the original, licence), which side and scene it went to, how
large it is and what is on it. The digest names the set's contents: a training run stores it, and ``flatcar dataset check`` says
whether a set is still what was built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vision.errors import InputError
from vision.learn.pictures import PICTURE_SUFFIXES

MANIFEST_NAME = "manifest.ndjson"
SUMMARY_NAME = "set.json"
SCHEMA = 1

_PICTURE_FOLDERS = ("images", "labels", "truth")
_FILES = ("truth.json", MANIFEST_NAME)


@dataclass(frozen=True)
class Row:
    """One picture of a built set.

    Attributes:
        picture: Its name in the set, without folder and suffix.
        split: ``train`` or ``valid``.
        source: Name of the collection.
        file: Path inside the collection.
        sha256: Of the original file (of a frame of a video: of the frame as decoded).
        licence: As the description states it; empty where it does not.
        group: Its scene: pictures of one scene are on one side.
        view: ``ground``, ``high`` or ``unknown``.
        width_px, height_px: Size in the set.
        original_width_px, original_height_px: Size of the original, upright.
        boxes: Leaf -> how many.
        ignored: How many ignore regions.
    """

    picture: str
    split: str
    source: str
    file: str
    sha256: str
    licence: str
    group: str
    view: str
    width_px: int
    height_px: int
    original_width_px: int
    original_height_px: int
    boxes: Mapping[str, int] = field(default_factory=dict)
    ignored: int = 0

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Row:
        """A row as read from JSON; keys of a later version are passed over.

        Raises:
            KeyError: A key is missing.
        """
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__})


def write_manifest(folder: Path, rows: Iterable[Row]) -> None:
    """Write ``manifest.ndjson``, a line per picture, sorted by side and name."""
    ordered = sorted(rows, key=lambda r: (r.split, r.picture))
    lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in ordered]
    (folder / MANIFEST_NAME).write_text("".join(lines), encoding="utf-8", newline="\n")


def read_manifest(folder: Path) -> list[Row]:
    """The rows of a built set; none where it has no manifest (built by an older version, or elsewhere).

    Raises:
        InputError: A line is not a row; the message names it.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                rows.append(Row.of(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}:{number} is no row of a manifest: {error}", hint="build the set again") from error
    return rows


def write_summary(folder: Path, summary: Mapping[str, Any]) -> str:
    """Write ``set.json``: the summary with the set's digest. Call it last, when all else is written.

    Returns:
        The digest.
    """
    digest = set_digest(folder)
    text = json.dumps({"schema": SCHEMA, **summary, "digest": digest}, ensure_ascii=False, indent=2) + "\n"
    (folder / SUMMARY_NAME).write_text(text, encoding="utf-8", newline="\n")
    return digest


def read_summary(folder: Path) -> dict[str, Any]:
    """What ``set.json`` says; empty where there is none.

    Raises:
        InputError: It is damaged.
    """
    path = folder / SUMMARY_NAME
    if not path.is_file():
        return {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}", hint="build the set again") from error
    if not isinstance(summary, dict):
        raise InputError(f"{path} is damaged: not an object", hint="build the set again")
    return summary


def set_digest(folder: Path) -> str:
    """Digest of a set's contents: its class names, pictures, labels, truth and manifest, wherever the folder lies.

    What a training leaves in the folder (``*.cache``, lists of pictures) does not count, nor does the path in ``data.yaml``.
    A picture moved to the other side, a changed label or a changed class name changes it.

    Args:
        folder: The set's folder, or its ``data.yaml``.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: There is no set.
    """
    folder = folder if folder.is_dir() else folder.parent
    whole = hashlib.sha256()
    whole.update(json.dumps(class_names(folder), ensure_ascii=False).encode())
    for path in _contents(folder):
        whole.update(f"\n{path.relative_to(folder).as_posix()}\0".encode("utf-8", "surrogateescape"))
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def class_names(folder: Path) -> list[str]:
    """Class names of a set, in the order of their index, from its ``data.yaml``.

    Raises:
        InputError: There is no ``data.yaml``, or it names no classes.
    """
    path = folder / "data.yaml"
    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        if isinstance(names, Mapping):
            if sorted(names) != list(range(len(names))):
                raise ValueError(f"the class indices are not 0 to {len(names) - 1}")
            names = [names[i] for i in range(len(names))]
        if not isinstance(names, list) or not names:
            raise ValueError("names is neither a list nor a table")
        return [str(name) for name in names]
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no built set: it has no data.yaml", hint="make one with: flatcar dataset build") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not describe a set: {error}", hint="make one with: flatcar dataset build") from error


def _contents(folder: Path) -> Iterator[Path]:
    """Files that make up the set, in a fixed order."""
    roots = [folder / name for name in _PICTURE_FOLDERS if (folder / name).is_dir()]
    if not (folder / "images").is_dir():  # a set in another layout, train/images say
        roots = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [p for root in roots for p in root.rglob("*") if p.suffix.lower() in {*PICTURE_SUFFIXES, ".txt"} and p.is_file()]
    found += [folder / name for name in _FILES if (folder / name).is_file()]
    yield from sorted(found, key=lambda p: p.relative_to(folder).as_posix())
