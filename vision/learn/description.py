"""A data-set description, ``datasets/*.yaml`` or one of your own: which pictures, under which terms, called what.

    sources:
      mine:
        reader: yolo
        folder: my-pictures
        licence: CC BY 4.0
        classes: {Panzer: tank, other: ignore}

is a whole one; docs/datasets.md tells what else can be said.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from vision.errors import InputError, TaxonomyError
from vision.learn.pictures import Picture
from vision.learn.problems import BadLabels, Problems
from vision.learn.sources import LABELLED_ONLY, OPTIONS, READERS, check_options, guess_reader, read_source
from vision.taxonomy import Taxonomy, default_taxonomy

LONGEST_SIDE_PX = 640
VALIDATION = 0.15

_KEYS = {"name", "sources", "taxonomy", "split", "longest_side_px", "validation", "rules", "note"}


@dataclass(frozen=True)
class Reading:
    """What the collections of a description gave.

    Attributes:
        pictures: Usable pictures, those with errors left out.
        problems: What is wrong with the rest.
    """

    pictures: Sequence[Picture]
    problems: Problems


@dataclass(frozen=True)
class DataSet:
    """A data-set description.

    Attributes:
        name: Its name.
        sources: Collection -> its options, as read.
        taxonomy: The class tree; its leaves are the classes.
        split: Path of the split file, or None where there is no place for one.
        longest_side_px: Pictures are shrunk to this.
        validation: Share of the pictures that goes to validation, of sources that do not say it themselves.
        root: Folder of the collections, unless another is given.
    """

    name: str
    sources: Mapping[str, Mapping[str, Any]]
    taxonomy: Taxonomy = field(default_factory=default_taxonomy)
    split: Path | None = None
    longest_side_px: int = LONGEST_SIDE_PX
    validation: float = VALIDATION
    root: Path = field(default_factory=Path)

    @classmethod
    def load(cls, path: Path) -> DataSet:
        """Read a description; paths in it are relative to it.

        Raises:
            InputError: The file cannot be read as a description; the message says what is wrong with it.
        """
        try:
            raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        except OSError as error:
            raise InputError(f"cannot read the description {path}: {error.strerror}") from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path} is no data-set description: {' '.join(str(error).split())}") from error
        if not isinstance(raw, Mapping) or not isinstance(raw.get("sources"), Mapping) or not raw["sources"]:
            raise InputError(f"{path} is no data-set description: it has no table of sources", hint="see docs/datasets.md")
        if unknown := sorted(set(map(str, raw)) - _KEYS):
            raise InputError(f"{path}: unknown {', '.join(unknown)}", hint=f"a description knows {', '.join(sorted(_KEYS))}")
        try:
            taxonomy = Taxonomy.load(path.parent / raw["taxonomy"]) if "taxonomy" in raw else default_taxonomy()
            data = cls(
                name=str(raw.get("name", path.stem)),
                sources={str(name): options for name, options in raw["sources"].items()},
                taxonomy=taxonomy,
                split=path.parent / raw.get("split", f"{path.stem}.split.tsv"),
                longest_side_px=int(raw.get("longest_side_px", LONGEST_SIDE_PX)),
                validation=float(raw.get("validation", VALIDATION)),
                root=path.parent,
            )
        except TaxonomyError as error:
            raise InputError(f"{path}: {error.message}", hint=error.hint) from error
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} is no data-set description: {error}") from error
        data.check(str(path))
        return data

    @classmethod
    def of_folders(cls, folders: Sequence[str], **options: object) -> DataSet:
        """A description of folders without one.

        Args:
            folders: Each ``FOLDER``, ``READER:FOLDER`` or ``NAME=READER:FOLDER``; without a reader it is guessed.
            options: Options of all of them, such as ``classes``; those that a reader does not know are not given to it.

        Raises:
            InputError: A folder is missing, two have the same name, or a reader is unknown.
        """
        sources: dict[str, dict[str, Any]] = {}
        for text in folders:
            named = "=" in text.split(":")[0] and not Path(text).is_dir()
            name, _, rest = text.partition("=") if named else ("", "", text)
            reader, colon, place = rest.partition(":")
            if not colon or reader not in READERS:
                if colon and not Path(rest).is_dir():
                    raise InputError(f"unknown reader {reader!r} in {text}", hint=f"use one of {', '.join(sorted(READERS))}")
                reader, place = "", rest
            folder = Path(place).resolve()
            if not folder.is_dir():
                raise InputError(f"there is no folder {place}")
            name = name or "".join(c if c.isalnum() or c in "_.-" else "_" for c in folder.name) or "pictures"
            if name in sources:
                raise InputError(f"two sources are called {name!r}", hint=f"name them: --from other={reader or 'yolo'}:{place}")
            sources[name] = {"reader": reader or guess_reader(folder), "folder": str(folder), **options}
        for name, entry in sources.items():
            known = OPTIONS[entry["reader"]]
            sources[name] = {key: value for key, value in entry.items() if key in known}
        data = cls(name="+".join(sources), sources=sources)
        data.check("--from")
        return data

    def check(self, where: str) -> None:
        """Check what can be checked without the pictures.

        Raises:
            InputError: A source has no reader, an unknown option, or a share that is none.
        """
        for name, options in self.sources.items():
            check_options(name, options)
            share = options.get("validation", self.validation)
            if share != "published" and not _is_share(share):
                raise InputError(f"{where}: {name}: validation is {share!r}", hint="use a share from 0 to 1, or published")
        if not 32 <= self.longest_side_px <= 16384:
            raise InputError(f"{where}: longest_side_px is {self.longest_side_px}", hint="use 32 to 16384")
        if not _is_share(self.validation):
            raise InputError(f"{where}: validation is {self.validation}", hint="use a share from 0 to 1")

    def with_default(self, option: str, value: object) -> DataSet:
        """The same with an option for those sources that know it and do not say it; None changes nothing."""
        if value is None:
            return self
        sources = {
            name: {option: value, **options} if option in OPTIONS[str(options["reader"])] else options
            for name, options in self.sources.items()
        }
        return replace(self, sources=sources)

    def changed(self, *, validation: float | None = None, longest_side_px: int | None = None) -> DataSet:
        """The same with other figures for the whole set; None changes nothing.

        Raises:
            InputError: A figure is out of its range.
        """
        data = self if validation is None else replace(self, validation=validation)
        data = data if longest_side_px is None else replace(data, longest_side_px=longest_side_px)
        data.check("the options")
        return data

    def shares(self) -> dict[str, object]:
        """Source -> ``published``, or the share of it that goes to validation."""
        return {name: options.get("validation", self.validation) for name, options in self.sources.items()}

    @contextmanager
    def reading(self, root: Path | None = None) -> Iterator[Reading]:
        """Read all collections; pictures that a reader makes (frames of a video) are there until the context ends.

        Args:
            root: Folder of the collections; None takes the description's own.

        Raises:
            InputError: A folder is missing, or a description or label file is of another form.
        """
        problems = Problems()
        with TemporaryDirectory(prefix="flatcar-") as work:
            pictures: list[Picture] = []
            for name, options in self.sources.items():
                found = read_source(
                    name, root or self.root, options, taxonomy=self.taxonomy, problems=problems, work=Path(work) / name
                )
                for picture in found:
                    bad = (name, picture.file) in problems.bad_pictures
                    background = not picture.boxes and options["reader"] not in LABELLED_ONLY
                    if background or any(b.leaf for b in picture.boxes):
                        pictures.append(picture)
                    elif not bad:
                        said = "no label is left on it but ignore regions: the picture is not used"
                        problems.warning("not_used", f"{name}: {picture.file}", said, together=name)
            _refuse_clashes(pictures, problems)
            yield Reading([p for p in pictures if (p.source, p.file) not in problems.bad_pictures], problems)

    def pictures(self, root: Path | None = None) -> list[Picture]:
        """All usable pictures: those of negative collections, and those with a labelled box.

        Raises:
            BadLabels: A label or a picture is bad.
        """
        with self.reading(root) as read:
            if read.problems.errors:
                raise BadLabels(read.problems)
            return list(read.pictures)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _refuse_clashes(pictures: Sequence[Picture], problems: Problems) -> None:
    """Two pictures that would be one file in the set, also where a file system does not tell cases apart."""
    by_name: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_name[picture.name.casefold()].append(picture)
        if any("\ud800" <= c <= "\udfff" or ord(c) < 32 for c in picture.file):
            shown = picture.file.encode("utf-8", "backslashreplace").decode()
            problems.error(
                "bad_name", f"{picture.source}: {shown!r}", "a file name that is no text", picture=(picture.source, picture.file)
            )
    for alike in by_name.values():
        first = alike[0]
        for other in alike[1:]:
            said = f"would have the same name in the set as {first.source}: {first.file}"
            problems.error("same_name", f"{other.source}: {other.file}", said, picture=(other.source, other.file))


class _Loader(yaml.SafeLoader):
    """Refuses a table that has a key twice: YAML would silently keep the last, and a source would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(f"{key!r} stands twice, in line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)
