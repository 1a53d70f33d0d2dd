"""Divide pictures into training and validation so that no scene lies on both sides.

Pictures of one scene are gathered into groups first: near-duplicates by perceptual hash, the same
place from another angle by colours and file numbers, and scenes that a person named. A group goes to
one side as a whole; otherwise the validation figure would measure memory.
"""

from __future__ import annotations

import csv
import hashlib
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
from vision.learn.sources import Picture

FloatArray = npt.NDArray[np.float32]

Key = tuple[str, str]
"""Source and file: the identity of a picture."""

# A 64-bit DCT hash of the same photograph, rescaled, recompressed or re-captioned, stays within a
# few bits; unrelated pictures differ in about 32, and one pair in 60,000 in 12 or fewer.
NEAR_DUPLICATE_BITS = 12

# Colours alone do not tell a scene: 0.1 % of unrelated pairs reach this similarity (dry grass, snow). But where files
# were numbered while somebody went through an album, those who also stand side by side are nearly all the same place:
# 48 of them were looked at. A sheared or cropped copy has the colours and a hash that is not too far off.
SAME_COLOURS = 0.85
SAME_COLOURS_BITS = 20
NEIGHBOUR_NUMBERS = 2


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


def picture_hash(path: Path) -> int:
    """Perceptual hash of a picture, 64 bits.

    Raises:
        DependencyError: The ``train`` extra is not installed.
    """
    try:
        import imagehash  # noqa: PLC0415
        from PIL import Image  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("hashing pictures needs imagehash", hint="install flatcar[train]") from error
    with Image.open(path) as image:
        image.draft("L", (256, 256))  # a JPEG decodes at a fraction of its size: the hash sees 32 x 32
        return int(str(imagehash.phash(image)), 16)


def picture_colours(path: Path) -> FloatArray:
    """Square roots of a picture's HSV histogram: the dot product of two is their similarity, 0 to 1.

    Returns:
        432 numbers, float32, of unit length.
    """
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    if image is None:
        raise InputError(f"cannot read the picture {path}")
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
) -> list[Placed]:
    """Give every group a side.

    Args:
        pictures: All pictures.
        groups: For each picture the index that names its group.
        validation: Source -> ``"published"`` (its author's sides; the majority of a group decides, a tie is
            validation) or the share of its groups, 0 to 1, that goes to validation, chosen by hash.

    Returns:
        One row a picture, in the order given.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for i, g in enumerate(groups):
        members[g].append(i)
    side = {g: _side(pictures[g], [pictures[i] for i in indices], validation) for g, indices in members.items()}
    return [Placed(p.source, p.file, side[g], pictures[g].name) for p, g in zip(pictures, groups, strict=True)]


def _side(first: Picture, members: Sequence[Picture], validation: Mapping[str, object]) -> str:
    published = Counter(p.published for p in members if validation.get(p.source) == "published")
    if published:
        return "valid" if published["valid"] >= published["train"] else "train"
    share = validation.get(first.source, 0)
    assert isinstance(share, int | float)
    lot = int(hashlib.sha256(f"{first.source}/{first.file}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "valid" if lot < share else "train"


def read_split(path: Path) -> dict[Key, Placed]:
    """Read a split file: tab-separated source, file, split, group."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return {(r["source"], r["file"]): Placed(r["source"], r["file"], r["split"], r["group"]) for r in rows}


def write_split(path: Path, placed: Iterable[Placed]) -> None:
    """Write a split file, sorted by source and file."""
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, delimiter="\t", lineterminator="\n")
        table.writerow(["source", "file", "split", "group"])
        for p in sorted(placed, key=lambda p: (p.source, p.file)):
            table.writerow([p.source, p.file, p.split, p.group])
