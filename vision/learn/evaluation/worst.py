"""The pictures on which a detector fails most, to be looked at.

A picture's loss is the sum of what its objects and its misses cost, in nats, each at most 3.0 (which is a score of 0.05):

    right parent, score s      -ln(s)         unsure though right
    wrong parent, score s      -ln(1 - s)     sure though wrong
    no vehicle there, score s  -ln(1 - s)     sure though nothing is there
    nothing found              3.0

Objects count from ``LOWEST_SCORE`` on: one below the operating point costs little where it is wrong, and spares a miss where it
is right. So that crowds do not fill the list, a picture is ranked by the sum of its three dearest mistakes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detect.objects import LOWEST_SCORE
from vision.learn.evaluation.operating import Scored, SeenObject
from vision.taxonomy import Taxonomy

Image = NDArray[np.uint8]

DEAREST = -log(LOWEST_SCORE)
COUNTED_MISTAKES = 3
THUMBNAIL_PX = 480
_JPEG_QUALITY = 78


@dataclass(frozen=True)
class Mistake:
    """One thing that went wrong at the operating point.

    Attributes:
        kind: ``missed``, ``wrong`` (the parent is another) or ``false`` (it belongs to no true box).
        truth: True leaf; None where nothing is.
        found: Leaf reported; None where nothing was found.
        score: Pooled score; None where nothing was found.
        xyxy_px: Where.
    """

    kind: str
    truth: str | None
    found: str | None
    score: float | None
    xyxy_px: tuple[float, float, float, float]

    def words(self) -> str:
        """``truck missed``, ``bmp taken for tank 0.91``, ``tank 0.83 on no true box``."""
        if self.kind == "missed":
            return f"{self.truth} missed"
        if self.kind == "wrong":
            return f"{self.truth} taken for {self.found} {self.score:.2f}"
        return f"{self.found} {self.score:.2f} on no true box"


@dataclass(frozen=True)
class WorstPicture:
    """A picture, what it costs and what went wrong.

    Attributes:
        picture: The picture with its truth and its objects.
        loss: See the module's text.
        mistakes: What went wrong at the operating point, the dearest first; may be empty.
    """

    picture: Scored
    loss: float
    mistakes: tuple[Mistake, ...]


def worst_pictures(scored: Sequence[Scored], min_score: float, tree: Taxonomy, *, limit: int) -> list[WorstPicture]:
    """The pictures with the highest loss, those without any mistake at the operating point left out."""
    found = []
    for picture in scored:
        losses = sorted(_losses(picture, tree), reverse=True)[:COUNTED_MISTAKES]
        mistakes = _mistakes(picture, min_score, tree)
        if mistakes:
            found.append(WorstPicture(picture, sum(losses), tuple(mistakes)))
    return sorted(found, key=lambda w: (-w.loss, str(w.picture.row["file_name"])))[:limit]


def _losses(picture: Scored, tree: Taxonomy) -> list[float]:
    seen = {o.truth for o in picture.objects}
    costs = [DEAREST for i in range(len(picture.boxes)) if i not in seen]
    return costs + [_cost(o.score, right=_right(o, picture, tree)) for o in picture.objects]


def _cost(score: float, *, right: bool) -> float:
    return min(DEAREST, -log(max(score if right else 1.0 - score, 1e-9)))


def _right(o: SeenObject, picture: Scored, tree: Taxonomy) -> bool:
    return o.truth is not None and tree.parent_of(picture.boxes[o.truth].class_name) == tree.parent_of(o.class_name)


def _mistakes(picture: Scored, min_score: float, tree: Taxonomy) -> list[Mistake]:
    objects = picture.above(min_score)
    seen = {o.truth for o in objects}
    costs: list[tuple[float, Mistake]] = [
        (DEAREST, Mistake("missed", box.class_name, None, None, box.xyxy_px))
        for i, box in enumerate(picture.boxes)
        if i not in seen
    ]
    for o in objects:
        if not _right(o, picture, tree):
            true = None if o.truth is None else picture.boxes[o.truth].class_name
            kind = "false" if true is None else "wrong"
            costs.append((_cost(o.score, right=False), Mistake(kind, true, o.class_name, o.score, o.xyxy_px)))
    return [mistake for _, mistake in sorted(costs, key=lambda c: -c[0])]


def thumbnail(image: Image) -> str:
    """A picture, (height, width, 3) uint8, BGR, as a small JPEG, a data URI."""
    scale = min(1.0, THUMBNAIL_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(np.asarray(data).tobytes()).decode("ascii")
