"""Pascal VOC: an XML file of boxes in pixels for each picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from vision.errors import InputError
from vision.learn.labels import Source
from vision.learn.pictures import Box, Picture, PictureHead
from vision.learn.problems import Key
from vision.learn.readers_coco import PictureFinder

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MOST_BYTES = 10_000_000


def read_voc(source: Source) -> list[Picture]:
    """Read a folder of VOC XML files and their pictures, wherever below it they lie.

    A file without objects says that nothing is on its picture. Objects marked difficult are ignore regions, unless
    ``difficult: keep`` says otherwise. ``one_based: true`` is for labels that count pixels from 1, as the original ones do.

    Raises:
        InputError: There is no XML file.
    """
    finder = PictureFinder(source.folder)
    sides = _sides(source.folder)
    files = sorted(source.folder.rglob("*.xml"))
    if not files:
        raise InputError(f"{source.folder} has no XML files: no Pascal VOC labels")
    pictures: dict[str, Picture] = {}
    for path in files:
        where = source.place(path)
        root = _parse(source, path)
        if root is None:
            continue
        name = (root.findtext("filename") or "").strip()
        found = (finder.find(path.parent, name) if name else None) or finder.by_stem(path.stem)
        if found is None:
            said = f"there is no picture {name or path.stem}"
            source.problems.error("missing_picture", where, said, picture=(source.name, source.file_of(path)))
            continue
        head = source.head(found, where)
        if head is None:
            continue
        file = source.file_of(found)
        if file in pictures:
            source.problems.error("twice", where, f"a second label file for {file}", picture=(source.name, file))
            continue
        boxes = list(_boxes(source, root, head, where, (source.name, file)))
        pictures[file] = source.picture(found, file, boxes, side=sides.get(path.stem))
    return list(pictures.values())


def _parse(source: Source, path: Path) -> ElementTree.Element | None:
    try:
        data = path.read_bytes()
        if b"<!ENTITY" in data or len(data) > _MOST_BYTES:
            raise InputError("it declares entities or is too large: no label file")
        root = ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError, InputError, ValueError) as error:
        picture = (source.name, source.file_of(path))
        source.problems.error("unreadable_labels", source.place(path), f"cannot read the labels: {error}", picture=picture)
        return None
    if root.tag != "annotation":
        source.problems.warning("not_labels", source.place(path), f"no VOC labels (its root is {root.tag!r}): passed over")
        return None
    return root


def _boxes(source: Source, root: ElementTree.Element, head: PictureHead, where: str, key: Key) -> Iterator[Box]:
    stated = (_float(root.findtext("size/width")) or 0.0, _float(root.findtext("size/height")) or 0.0)
    first_pixel = 1.0 if source.options.get("one_based") is True else 0.0
    keep_difficult = source.choice("difficult", "ignore", "keep") == "keep"
    for number, element in enumerate(root.findall("object"), 1):
        row = f"{where}: object {number}"
        corners = [_float(element.findtext(f"bndbox/{name}")) for name in _CORNERS]
        missing = [name for name, value in zip(_CORNERS, corners, strict=True) if value is None]
        if missing:
            polygon = element.find("polygon") is not None
            said = f"{', '.join(missing)} of its box {'is' if len(missing) == 1 else 'are'} not there, or no number"
            source.problems.error("polygon" if polygon else "columns", row, said, picture=key)
            continue
        left, top, right, bottom = (value for value in corners if value is not None)
        xyxy = source.fractions((left - first_pixel, top - first_pixel, right, bottom), stated, head, row, key)
        box = source.box((element.findtext("name") or "").strip(), xyxy, row, key) if xyxy else None
        if box is None:
            continue
        if (element.findtext("difficult") or "0").strip() == "1" and not keep_difficult:
            source.problems.warning("difficult", row, "marked difficult; taken as an ignore region", together=source.name)
            box = Box(None, box.cxcywh, box.view)
        yield box


def _sides(folder: Path) -> dict[str, str]:
    """Picture name -> side, from the lists in ``ImageSets/Main``."""
    sides: dict[str, str] = {}
    for name, side in (("train", "train"), ("val", "valid"), ("test", "valid")):
        for path in folder.rglob(f"ImageSets/Main/{name}.txt"):
            sides |= {line.split()[0]: side for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    return sides


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
