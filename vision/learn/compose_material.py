"""What composed pictures are made of: vehicles cut out of training photographs, and backgrounds from them.

Only pictures of the training side come in here; ``training_pictures`` is the one door.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np

from vision.errors import InputError
from vision.learn.build import paint_ignored, shrink, sides_of
from vision.learn.description import DataSet, Reading
from vision.learn.pictures import Box, Picture, picture_head, read_picture
from vision.learn.problems import Key
from vision.synth.cutouts import Cutout, read_table
from vision.synth.dress import Light, dirtied, draped, harmonised, resized, snowed, softened, varied
from vision.synth.paint import Image
from vision.synth.pool import HEIGHT_M, Source
from vision.synth.scene import VEHICLE_LENGTH_M

COVERED = "covered_vehicle"
UNDER_CANVAS = ("tank", "bmp", "bmd", "btr", "mtlb", "sp_gun", "truck", "mlrs")
"""What may stand under a tarpaulin."""

FEW = 20
"""A class with fewer usable boxes takes cut-outs of a lesser quality too."""

ONE_CLASS = 0.5
"""A source with a larger share of one class is a collection of that class."""

_LONGEST_SIDE_PX = 1280
_FOLD_PX = 170
"""Canvas is painted at least this wide, so that a far vehicle has folds too."""

PxBox = tuple[float, float, float, float]


def training_pictures(data: DataSet, read: Reading, in_set: Collection[Key] | None = None) -> list[Picture]:
    """The pictures that may be used: those on the training side.

    Args:
        data: The description.
        read: Its pictures.
        in_set: Training side of a built set, if there is one: it decides, as a source may have been held out of it.

    Raises:
        InputError: The pictures have not been divided, or none is left.
    """
    if in_set is not None:
        usable = [p for p in read.pictures if (p.source, p.file) in in_set]
    elif data.split is None or not data.split.exists():
        raise InputError(
            f"{data.name} is not divided into training and validation yet",
            hint="flatcar dataset split does it; composed pictures are made of the training side only",
        )
    else:
        pictures, written = sides_of(data, read)
        usable = [p for p in pictures if written.sides[p.source, p.file].split == "train"]
    if not usable:
        raise InputError(f"{data.name} has no picture on the training side", hint="is --out a set that was built from it?")
    return usable


def cuttable(pictures: Sequence[Picture]) -> list[Source]:
    """Vehicles that may be cut out: seen from the ground, whole, named for sure, not cut off and not behind another.

    Returns:
        In turn one of each class, so that an early end leaves no class out.
    """
    by_class: dict[str, list[Source]] = defaultdict(list)
    for picture in pictures:
        if not any(_eligible(box) for box in picture.boxes) or picture.view == "high":
            continue
        head = picture_head(picture.path)
        boxes = [_pixels(box, head.width_px, head.height_px) for box in picture.boxes]
        for index, (box, xyxy) in enumerate(zip(picture.boxes, boxes, strict=True)):
            others = boxes[:index] + boxes[index + 1 :]
            if not _eligible(box) or not _free(xyxy, others, head.width_px):
                continue
            assert box.leaf is not None
            by_class[box.leaf].append(
                Source(picture.path, xyxy, box.leaf, picture.source, picture.file, index, picture.licence.split("\n")[0])
            )
    longest = max((len(found) for found in by_class.values()), default=0)
    return [by_class[name][i] for i in range(longest) for name in sorted(by_class) if i < len(by_class[name])]


def few_of(vehicles: Iterable[Source]) -> frozenset[str]:
    """Classes with less than ``FEW`` vehicles."""
    return frozenset(name for name, count in Counter(v.class_name for v in vehicles).items() if count < FEW)


def _eligible(box: Box) -> bool:
    return box.leaf is not None and box.leaf in HEIGHT_M and box.model and box.view != "high"


def _pixels(box: Box, width_px: int, height_px: int) -> PxBox:
    left, top, right, bottom = box.xyxy
    return left * width_px, top * height_px, right * width_px, bottom * height_px


def _free(xyxy: PxBox, others: Sequence[PxBox], width_px: int) -> bool:
    """Whether a box is large enough to be cut out, inside the picture, and hardly overlapped."""
    wide, tall = xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]
    if wide < 60 or tall < 40 or xyxy[0] < 3 or xyxy[2] > width_px - 3 or xyxy[1] < 2:
        return False
    return all(_common(xyxy, other) <= 0.12 * wide * tall for other in others)


def _common(a: PxBox, b: PxBox) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


class Vehicles:
    """Cut-outs, dressed anew each time one is asked for. They are ``vision.synth.still.Sprites``.

    Args:
        folder: With ``cutouts.tsv``; pictures that somebody deleted are passed over.
        allowed: Source and file of the photographs they may come from; None allows all.

    Raises:
        InputError: There are none, or one comes from a photograph that is not on the training side.
    """

    def __init__(self, folder: Path, *, allowed: Collection[Key] | None = None) -> None:
        self._folder = folder
        self._by_class: dict[str, list[Cutout]] = defaultdict(list)
        self.used: list[Cutout] = []
        for cutout in read_table(folder, weeded=True):
            if allowed is not None and (cutout.source, cutout.source_file) not in allowed:
                raise InputError(
                    f"{folder}: {cutout.file} comes from {cutout.source}/{cutout.source_file}, which is not on the training side",
                    hint="give another --cutouts folder, or delete that picture",
                )
            self._by_class[cutout.class_name].append(cutout)
        self._read = lru_cache(maxsize=1024)(self._read_one)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Leaves it has pictures of; the covered vehicle is made of others."""
        covered = (COVERED,) if any(name in self._by_class for name in UNDER_CANVAS) else ()
        return tuple(sorted({*self._by_class, *covered}))

    def counts(self) -> Mapping[str, int]:
        """Leaf -> how many cut-outs."""
        return {name: len(found) for name, found in sorted(self._by_class.items())}

    def sprite(self, rng: np.random.Generator, class_name: str, *, px_per_m: float, light: Light) -> Image | None:
        """A vehicle of a class in this light, or None where its photograph is too small for the scale; see ``Sprites``."""
        names = [name for name in UNDER_CANVAS if name in self._by_class] if class_name == COVERED else [class_name]
        name = names[int(rng.integers(len(names)))]
        cutout = self._by_class[name][int(rng.integers(len(self._by_class[name])))]
        picture = self._read(cutout.file)
        size = size_px(cutout, picture, px_per_m=px_per_m * float(rng.uniform(0.92, 1.08)))
        if size[0] > 2.2 * picture.shape[1]:
            return None
        self.used.append(cutout)
        picture = dressed(picture, rng, size, light, px_per_m=px_per_m, covered=class_name == COVERED)
        return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture

    def _read_one(self, file: str) -> Image:
        picture = cv2.imread(str(self._folder / file), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise InputError(f"{self._folder / file} is not a picture with transparency")
        return np.asarray(picture, dtype=np.uint8)


def size_px(cutout: Cutout, picture: Image, *, px_per_m: float) -> tuple[int, int]:
    """Width and height of a cut-out at a scale: as high as it is, but never longer than its kind."""
    height = cutout.height_m * px_per_m
    width = height * picture.shape[1] / picture.shape[0]
    most = 1.12 * VEHICLE_LENGTH_M[cutout.class_name] * px_per_m
    if width > most:
        width, height = most, height * most / width
    return max(2, round(width)), max(2, round(height))


def dressed(
    picture: Image, rng: np.random.Generator, size: tuple[int, int], light: Light, *, px_per_m: float, covered: bool
) -> Image:
    """A cut-out at a size, in a light, with dirt, snow and perhaps a tarpaulin; BGRA."""
    width, height = size
    least = _FOLD_PX if covered else 60
    if (work := max(width, least)) < picture.shape[1]:
        picture = resized(picture, work, max(2, round(height * work / width)))
    picture = varied(picture, rng)
    picture = harmonised(picture, light.mean, light.contrast, share=float(rng.uniform(0.35, 0.8)))
    if covered:
        tall, wide = picture.shape[:2]
        picture = harmonised(draped(picture, rng), light.mean, light.contrast, share=float(rng.uniform(0.2, 0.6)))
        width, height = round(width * picture.shape[1] / wide), round(height * picture.shape[0] / tall)
    if rng.random() < 0.5:
        picture = dirtied(picture, rng, strength=float(rng.uniform(0.2, 0.8)))
    picture = resized(picture, width, height)
    if light.snow > 0:
        picture = snowed(picture, rng, depth_px=max(1.0, 0.12 * px_per_m), amount=light.snow * float(rng.uniform(0.3, 1)))
    blur = float(rng.uniform(0, 0.9))
    return softened(picture, blur) if blur > 0.35 else picture


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a photograph as a background.

    Attributes:
        picture: (height, width, 3) BGR.
        boxes: Labelled vehicles that are seen on it, leaf and box in its pixels.
        source: The photograph.
    """

    picture: Image
    boxes: tuple[tuple[str, PxBox], ...]
    source: Picture


class Backgrounds:
    """Windows of the training photographs.

    Args:
        pictures: Training pictures.

    Raises:
        InputError: None of them can be a background.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.plain = [p for p in pictures if not p.boxes]
        many, viewed = well_labelled(pictures), {p.source for p in pictures if p.view == "ground"}
        self.labelled = [p for p in pictures if p.source in many and _seen_from_ground(p, known=viewed)]
        if not self.plain and not self.labelled:
            raise InputError("no picture can be a background", hint="pictures taken from the ground, or without vehicles, can")

    def empty(self, rng: np.random.Generator, *, width_px: int, height_px: int) -> Window | None:
        """A window that shows no vehicle, or None where the dice find none."""
        if self.labelled and (not self.plain or rng.random() < 0.72):
            return self._clear(rng, width_px, height_px)
        for _ in range(8):
            photograph = self.plain[int(rng.integers(len(self.plain)))]
            picture = _photograph(photograph.path)
            if min(picture.shape[:2]) >= 160 and upright(picture):
                return Window(_crop(rng, picture, width_px, height_px)[0], (), photograph)
        return None

    def peopled(self, rng: np.random.Generator, *, width_px: int, height_px: int) -> Window | None:
        """A window of a photograph with its labelled vehicles, which fill less than a quarter of it; or None."""
        for _ in range(40 if self.labelled else 0):
            photograph = self.labelled[int(rng.integers(len(self.labelled)))]
            if sum(b.cxcywh[2] * b.cxcywh[3] for b in photograph.boxes) < 0.22:
                break
        else:
            return None
        whole = paint_ignored(_photograph(photograph.path), photograph.boxes)
        height, width = whole.shape[:2]
        picture, (x, y, scale) = _crop(rng, whole, width_px, height_px)
        kept = []
        for box in photograph.boxes:
            if box.leaf is None:
                continue
            left, top, right, bottom = _pixels(box, width, height)
            moved = ((left - x) * scale, (top - y) * scale, (right - x) * scale, (bottom - y) * scale)
            seen = (max(0.0, moved[0]), max(0.0, moved[1]), min(float(width_px), moved[2]), min(float(height_px), moved[3]))
            if seen[2] <= seen[0] or seen[3] <= seen[1]:
                continue
            if _common(seen, seen) < 0.3 * _common(moved, moved):
                picture[int(seen[1]) : int(np.ceil(seen[3])), int(seen[0]) : int(np.ceil(seen[2]))] = 114
            else:
                kept.append((box.leaf, seen))
        return Window(picture, tuple(kept), photograph)

    def textures(self, rng: np.random.Generator, *, count: int = 3) -> list[Image]:
        """Photographs without vehicles, whose surfaces cargo is made of; none where there are no such."""
        return [_photograph(self.plain[int(rng.integers(len(self.plain)))].path) for _ in range(count if self.plain else 0)]

    def _clear(self, rng: np.random.Generator, width_px: int, height_px: int) -> Window | None:
        for _ in range(25):
            photograph = self.labelled[int(rng.integers(len(self.labelled)))]
            boxes = [_with_margin(box.xyxy) for box in photograph.boxes]
            head = _size(photograph.path)
            for _ in range(12):
                wide = float(rng.uniform(0.4, 0.95))
                tall = wide * head[0] / head[1] * height_px / width_px
                if tall > 1:
                    continue
                # The lower edge is where vehicles stand; the train and its bed hide what is there.
                x, y = float(rng.uniform(0, 1 - wide)), float(rng.uniform(0, min(1 - tall, 0.45)))
                if any(_common((x, y, x + wide, y + tall), box) > 0 for box in boxes):
                    continue
                picture = _photograph(photograph.path)
                h, w = picture.shape[:2]
                part = picture[int(y * h) : int((y + tall) * h), int(x * w) : int((x + wide) * w)]
                if min(part.shape[:2]) < 40 or cv2.cvtColor(part, cv2.COLOR_BGR2GRAY).std() < 14:
                    continue
                return Window(_sized(part, width_px, height_px), (), photograph)
        return None


def _seen_from_ground(picture: Picture, *, known: Collection[str]) -> bool:
    """Whether a labelled picture is taken from the ground; where its source says so of some, the unknown ones do not count."""
    if not picture.boxes or picture.view == "high" or any(box.view == "high" for box in picture.boxes):
        return False
    return picture.view == "ground" or picture.source not in known


def well_labelled(pictures: Sequence[Picture]) -> frozenset[str]:
    """Sources that label all vehicles, as far as their labels show it.

    A collection of tanks leaves the trucks beside them unlabelled, and a window of it may show one. One class making up more than
    ``ONE_CLASS`` of a source's boxes is the sign. Where every source is such a one, all are taken.
    """
    by_source: dict[str, Counter[str]] = defaultdict(Counter)
    for picture in pictures:
        by_source[picture.source].update(box.leaf for box in picture.boxes if box.leaf)
    labelled = {source: counts for source, counts in by_source.items() if counts}
    several = {source for source, counts in labelled.items() if max(counts.values()) <= ONE_CLASS * counts.total()}
    return frozenset(several or labelled)


def _with_margin(xyxy: PxBox) -> PxBox:
    """A box with a sixth of its size around it: barrels and shadows reach out of their labels."""
    wide, tall = (xyxy[2] - xyxy[0]) / 6, (xyxy[3] - xyxy[1]) / 6
    return xyxy[0] - wide, xyxy[1] - tall, xyxy[2] + wide, xyxy[3] + tall


def upright(picture: Image) -> bool:
    """Whether it is brighter above than below by more than left and right differ: some collections hold turned pictures."""
    small = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return bool(grey[:16].mean() - grey[32:].mean() > abs(grey[:, :16].mean() - grey[:, 32:].mean()) - 4)


@lru_cache(maxsize=256)
def _photograph(path: Path) -> Image:
    return shrink(read_picture(path), _LONGEST_SIDE_PX)


@cache
def _size(path: Path) -> tuple[int, int]:
    head = picture_head(path)
    return head.width_px, head.height_px


def _crop(rng: np.random.Generator, picture: Image, width_px: int, height_px: int) -> tuple[Image, tuple[float, float, float]]:
    """A window of the picture's shape, most of it, and where it lies: its corner in the picture and its magnification."""
    height, width = picture.shape[:2]
    wide = min(width, height * width_px / height_px) * float(rng.uniform(0.75, 1))
    tall = wide * height_px / width_px
    x, y = int(rng.uniform(0, width - wide)), int(rng.uniform(0, height - tall))
    part = picture[y : y + max(1, int(tall)), x : x + max(1, int(wide))]
    return _sized(part, width_px, height_px), (x, y, width_px / max(1, int(wide)))


def _sized(part: Image, width_px: int, height_px: int) -> Image:
    way = cv2.INTER_AREA if part.shape[1] > width_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (width_px, height_px), interpolation=way), dtype=np.uint8)
