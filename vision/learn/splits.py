"""Divide pictures into training and validation so that no scene lies on both sides.

Pictures of one scene are gathered into groups first: near-duplicates by perceptual hash, the same
place from another angle by colours and file numbers, and scenes that a person named. A group goes to
one side as a whole; otherwise the validation figure would measure memory.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vision.errors import DependencyError, InputError
from vision.learn.pictures import Picture, read_picture
from vision.learn.problems import Key
from vision.run.store import atomic_write

FloatArray = npt.NDArray[np.float32]

# A 64-bit DCT hash of the same photograph, rescaled, recompressed or re-captioned, stays within a
# few bits; unrelated pictures differ in about 32, and one pair in 60,000 in 12 or fewer.
NEAR_DUPLICATE_BITS = 12

# Colours alone do not tell a scene: 0.1 % of unrelated pairs reach this similarity (dry grass, snow). But where files
# were numbered while somebody went through an album, those who also stand side by side are nearly all the same place:
# 48 of them were looked at. A sheared or cropped copy has the colours and a hash that is not too far off.
SAME_COLOURS = 0.85
SAME_COLOURS_BITS = 20
NEIGHBOUR_NUMBERS = 2

_COLUMNS = ("source", "file", "split", "group")
_MAKE_SPLIT = "make one with: flatcar dataset split"


@dataclass(frozen=True)
class Placed:
    """Where one picture went: a row of the split file.

    Attributes:
        source: Name of the collection.
        file: Path inside it.
        split: ``train`` or ``valid``.
        group: Name of its scene, stable while the scene's first picture stays.
    """

    source: str
    file: str
    split: str
    group: str


@dataclass(frozen=True)
class Looks:
    """How pictures look, one entry each: see `picture_hash` and `picture_colours`."""

    hashes: Sequence[int]
    colours: Sequence[FloatArray]


def looks(pictures: Sequence[Picture]) -> Looks:
    """How pictures look.

    Raises:
        InputError: A picture cannot be read.
        DependencyError: The ``train`` extra is not installed.
    """
    return Looks([picture_hash(p.path) for p in pictures], [picture_colours(p.path) for p in pictures])


def picture_hash(path: Path) -> int:
    """Perceptual hash of a picture as it is seen, upright, 64 bits.

    Raises:
        InputError: It cannot be read.
        DependencyError: The ``train`` extra is not installed.
    """
    try:
        import imagehash  # noqa: PLC0415
        from PIL import Image, ImageOps  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("hashing pictures needs imagehash", hint="install flatcar[train]") from error
    try:
        with Image.open(path) as image:
            image.draft("L", (256, 256))  # a JPEG decodes at a fraction of its size: the hash sees 32 x 32
            return int(str(imagehash.phash(ImageOps.exif_transpose(image))), 16)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read the picture {path}: {error}") from error


def picture_colours(path: Path) -> FloatArray:
    """Square roots of a picture's HSV histogram: the dot product of two is their similarity, 0 to 1.

    Returns:
        432 numbers, float32, of unit length.

    Raises:
        InputError: It cannot be read.
    """
    image = read_picture(path, reduced=True)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [12, 6, 6], [0, 180, 0, 256, 0, 256]).ravel()
    return np.asarray(np.sqrt(counts / counts.sum()), dtype=np.float32)


def file_number(file: str) -> int | None:
    """The first number in a file's name, or None."""
    match = re.search(r"\d+", Path(file).name)
    return int(match[0]) if match else None


def same_scene(pictures: Sequence[Picture], hashes: Sequence[int], colours: Sequence[FloatArray]) -> list[tuple[int, int]]:
    """Pairs of indices, first below second, that look like the same scene.

    Args:
        pictures: All pictures.
        hashes: For each its `picture_hash`.
        colours: For each its `picture_colours`.
    """
    bits = np.unpackbits(np.array(hashes, dtype=">u8")[:, None].view(np.uint8), axis=1)
    stacked = np.array(colours, dtype=np.float32)
    numbers = np.array([-1000 if (n := file_number(p.file)) is None else n for p in pictures])
    sources = np.array([p.source for p in pictures])
    pairs = []
    for i in range(len(pictures) - 1):
        rest = slice(i + 1, None)
        bits_apart = np.count_nonzero(bits[rest] != bits[i], axis=1)
        alike = stacked[rest] @ stacked[i] >= SAME_COLOURS
        neighbours = (sources[rest] == sources[i]) & (numbers[i] >= 0) & (np.abs(numbers[rest] - numbers[i]) <= NEIGHBOUR_NUMBERS)
        found = (bits_apart <= NEAR_DUPLICATE_BITS) | (alike & (neighbours | (bits_apart <= SAME_COLOURS_BITS)))
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(found)]
    return pairs


def group(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Connected components of ``count`` nodes: for each node the lowest index of its component."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(i) for i in range(count)]


def named_scenes(pictures: Sequence[Picture], scenes: Mapping[str, Iterable[Sequence[int]]]) -> list[tuple[int, int]]:
    """Pairs of indices a person named by the numbers in the file names.

    Args:
        pictures: All pictures.
        scenes: Source -> lists of numbers that show the same scene.
    """
    by_number: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        by_number[picture.source, file_number(picture.file)].append(i)
    pairs = []
    for source, lists in scenes.items():
        for numbers in lists:
            members = [i for n in numbers for i in by_number[source, n]]
            pairs += list(itertools.pairwise(members))
    return pairs


def divide(
    pictures: Sequence[Picture],
    groups: Sequence[int],
    validation: Mapping[str, object],
    *,
    seed: int = 0,
    keep: Mapping[Key, Placed] | None = None,
) -> list[Placed]:
    """Give every group a side.

    Args:
        pictures: All pictures.
        groups: For each picture the index that names its group.
        validation: Source -> ``"published"`` (its author's sides; the majority of a group decides, a tie is validation) or the
            share of it, 0 to 1, that goes to validation, so that each class has about that share there (see `balanced`).
        seed: Another seed, another division.
        keep: Pictures that have their side from before. Their whole group follows them; where two sides meet in one group (a new
            picture shows both scenes), it goes to validation.

    Returns:
        One row a picture, in the order given.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for i, g in enumerate(groups):
        members[g].append(i)
    side: dict[int, str] = {}
    by_share: dict[str, list[int]] = defaultdict(list)
    for g, indices in members.items():
        told = {keep[key].split for i in indices if keep and (key := (pictures[i].source, pictures[i].file)) in keep}
        published = Counter(p.published for p in (pictures[i] for i in indices) if validation.get(p.source) == "published")
        if told:
            side[g] = "valid" if "valid" in told else "train"
        elif published:
            side[g] = "valid" if published["valid"] >= published["train"] else "train"
        else:
            by_share[pictures[g].source].append(g)
    for source, found in by_share.items():
        share = validation.get(source, 0)
        assert isinstance(share, int | float)
        order = sorted(found, key=lambda g: _lot(pictures[g], seed))
        classes = [Counter(_classes(pictures[i]) for i in members[g]) for g in order]
        flat = [Counter({c: n for found, n in counted.items() for c in found}) for counted in classes]
        side |= dict(zip(order, balanced(flat, share), strict=True))
    return [Placed(p.source, p.file, side[g], pictures[g].name) for p, g in zip(pictures, groups, strict=True)]


def balanced(groups: Sequence[Mapping[str, int]], share: float) -> list[str]:
    """Choose groups for validation so that each class has about its share of pictures there, the rarest class first.

    A class that is in two groups or more has at least one on each side, unless the share is 0 or 1.

    Args:
        groups: For each group, class -> pictures with it; the order breaks ties.
        share: 0 to 1.

    Returns:
        ``train`` or ``valid`` for each.
    """
    total: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for counted in groups:
        total.update(counted)
        held.update(counted.keys())
    wanted = {c: n * share for c, n in total.items()}
    side: list[str | None] = [None] * len(groups)
    valid: Counter[str] = Counter()
    train: Counter[str] = Counter()
    for c in sorted(total, key=lambda c: (held[c], c)):
        mine = [i for i, counted in enumerate(groups) if c in counted]
        for i in mine:
            if side[i] is not None:
                continue
            n = groups[i][c]
            # Nearer to what is wanted with this group than without it; no class is left without a group on either side.
            takes = abs(valid[c] + n - wanted[c]) < abs(valid[c] - wanted[c])
            last = all(side[j] is not None for j in mine if j != i)
            if len(mine) > 1 and last and 0 < share < 1:
                takes = not valid[c] or (takes and bool(train[c]))
            side[i] = "valid" if takes else "train"
            (valid if takes else train).update(groups[i])
    return [s or "train" for s in side]


def _classes(picture: Picture) -> tuple[str, ...]:
    """What a picture counts for: its leaves, or that there are none."""
    return tuple(sorted({b.leaf for b in picture.boxes if b.leaf})) or ("",)


def _lot(picture: Picture, seed: int) -> str:
    name = f"{picture.source}/{picture.file}" if seed == 0 else f"{seed}:{picture.source}/{picture.file}"
    return hashlib.sha256(name.encode()).hexdigest()


def same_clip(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    """Pairs of indices whose pictures come from one clip or train."""
    last: dict[Key, int] = {}
    pairs = []
    for i, picture in enumerate(pictures):
        if picture.clip is not None:
            key = (picture.source, picture.clip)
            if key in last:
                pairs.append((last[key], i))
            last[key] = i
    return pairs


def hold_out(pictures: Sequence[Picture], placed: Mapping[Key, Placed], source: str) -> dict[Key, Placed]:
    """The sides when one source is only measured on, and nothing like it is learned from.

    Its pictures all go to validation. A training picture of another source leaves the set where it is of a scene that the source
    shows too, by the groups of the split or by the look of it.

    Args:
        pictures: All pictures.
        placed: Their sides.
        source: The source to hold out.

    Returns:
        New sides; pictures that left are not in it.

    Raises:
        InputError: There is no such source.
    """
    if source not in {p.source for p in pictures}:
        known = ", ".join(sorted({p.source for p in pictures}))
        raise InputError(f"there is no source {source!r} to hold out", hint=f"there are {known}")
    found = looks(pictures)
    groups = group(len(pictures), same_scene(pictures, found.hashes, found.colours) + same_clip(pictures))
    alike = {g for p, g in zip(pictures, groups, strict=True) if p.source == source}
    scenes = {placed[p.source, p.file].group for p in pictures if p.source == source and (p.source, p.file) in placed}
    sides: dict[Key, Placed] = {}
    for picture, g in zip(pictures, groups, strict=True):
        key = (picture.source, picture.file)
        before = placed.get(key)
        if picture.source == source:
            sides[key] = Placed(*key, "valid", before.group if before else picture.name)
        elif before is not None and not (before.split == "train" and (g in alike or before.group in scenes)):
            sides[key] = before
    return sides


def read_split(path: Path) -> dict[Key, Placed]:
    """Read a split file: tab-separated source, file, split, group.

    Raises:
        InputError: It cannot be read, or a row is none; the message names it.
    """
    placed: dict[Key, Placed] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t")
            if rows.fieldnames is None or not set(_COLUMNS) <= set(rows.fieldnames):
                raise InputError(f"{path} is no split file: its first row is not {' '.join(_COLUMNS)}", hint=_MAKE_SPLIT)
            for number, row in enumerate(rows, 2):
                values = [row[column] for column in _COLUMNS]
                if any(v is None for v in values) or row["split"] not in {"train", "valid"}:
                    raise InputError(f"{path}:{number}: the split is {row['split']!r}, not train or valid", hint=_MAKE_SPLIT)
                placed[values[0], values[1]] = Placed(*values)
    except FileNotFoundError as error:
        raise InputError(f"there is no split file {path}", hint=_MAKE_SPLIT) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the split file {path}: {error}", hint=_MAKE_SPLIT) from error
    return placed


def write_split(path: Path, placed: Iterable[Placed]) -> None:
    """Write a split file, sorted by source and file.

    Raises:
        OutputError: It cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(_COLUMNS)
    for p in sorted(placed, key=lambda p: (p.source, p.file)):
        table.writerow([p.source, p.file, p.split, p.group])
    atomic_write(path, text.getvalue().encode())
