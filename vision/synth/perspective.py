"""Oblique views and zooms: from the flat picture, square-on to the track, to the one that is shown."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.synth.paint import Image
from vision.synth.spec import SceneSpec
from vision.synth.truth import projected

FloatArray = NDArray[np.float64]


class Perspective:
    """From the flat picture to the shown one, frame by frame: the oblique view first, then the zoom.

    Args:
        spec: The scene.
        scene_s: (frames,) the scene's time of each frame.
    """

    def __init__(self, spec: SceneSpec, scene_s: FloatArray) -> None:
        self._size = (spec.width_px, spec.height_px)
        self._frames = len(scene_s)
        self._oblique = oblique_matrix(spec) if spec.lens is not None and spec.lens.oblique else None
        zoom = spec.lens.zoom.at(scene_s) if spec.lens is not None else np.ones(len(scene_s))
        self._zoom: FloatArray | None = None
        if spec.lens is not None and np.any(zoom != 1.0):
            x, y = spec.lens.zoom_centre[0] * spec.width_px, spec.lens.zoom_centre[1] * spec.height_px
            self._zoom = np.tile(np.eye(3), (len(scene_s), 1, 1))
            self._zoom[:, 0, 0] = self._zoom[:, 1, 1] = zoom
            self._zoom[:, 0, 2], self._zoom[:, 1, 2] = x * (1 - zoom), y * (1 - zoom)

    def matrices(self) -> FloatArray | None:
        """(frames, 3, 3), or None where nothing changes."""
        if self._oblique is None:
            return self._zoom
        return np.tile(self._oblique, (self._frames, 1, 1)) if self._zoom is None else self._zoom @ self._oblique

    def seen(self, flat: Image, index: int) -> Image:
        """The flat picture in the oblique view."""
        del index
        if self._oblique is None:
            return flat
        # Columns far away are squeezed several times: without a blur along the track they would flicker.
        smooth = cv2.blur(flat, (3, 1))
        return _warped(np.asarray(smooth, dtype=np.uint8), self._oblique, self._size)

    def zoomed(self, picture: Image, index: int) -> Image:
        """The picture as magnified as it is in a frame."""
        if self._zoom is None or self._zoom[index, 0, 0] == 1.0:
            return picture
        return _warped(picture, self._zoom[index], self._size)

    def seen_boxes(self, xyxy: FloatArray) -> FloatArray:
        """Boxes (frames, n, 4) of the flat picture in the oblique view."""
        return xyxy if self._oblique is None else projected(xyxy, np.broadcast_to(self._oblique, (len(xyxy), 3, 3)))


def _warped(picture: Image, matrix: FloatArray, size: tuple[int, int]) -> Image:
    """The picture through a perspective of edges (as boxes have them); OpenCV wants one of the pixels' middles."""
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    centred = half @ matrix @ np.linalg.inv(half)
    seen = cv2.warpPerspective(picture, centred, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen, dtype=np.uint8)


def oblique_matrix(spec: SceneSpec) -> FloatArray:
    """(3, 3) from the flat picture to the oblique view of it.

    The track recedes towards the horizon: at column ``x`` from the near edge rows shrink towards it by ``k = 1 / (1 + c x)``, and
    columns follow ``x' = a x k``, whose slope is ``a k^2``. ``c`` puts the far edge's ``k`` at ``far_share``, ``a`` is the
    foreshortening at the near edge, and the flat picture is just so wide that its far edge meets the picture's.
    """
    assert spec.lens is not None
    wide = spec.canvas_wh_px[0]
    c = (1 / spec.lens.far_share - 1) / wide
    a = spec.width_px / (wide * spec.lens.far_share)
    matrix = np.array([[a, 0, 0], [spec.horizon_px * c, 1, 0], [c, 0, 1]])
    if spec.lens.near == "right":
        outer, inner = np.eye(3), np.eye(3)
        outer[0], inner[0] = (-1, 0, spec.width_px), (-1, 0, wide)
        matrix = outer @ matrix @ inner
    return np.asarray(matrix, dtype=np.float64)
