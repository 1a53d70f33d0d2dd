"""A detector that says what it was told to, for tests of everything that uses one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from vision.detect.base import Detector, Picture, check_picture
from vision.errors import DetectorError
from vision.types import Detections


class ScriptedDetector:
    """Returns prepared boxes, picture after picture, or those that a function finds.

    Args:
        script: Detections in the order in which pictures come, or a function of the picture. After the script's end a
            picture is empty.
        class_names: Names that the boxes' classes index.
        fail_at: The picture, counted from 0, at which ``detect`` raises DetectorError; None never.

    Attributes:
        shapes: Shape of each picture that was looked at, in order.
        closed: Whether ``close`` was called.
    """

    def __init__(
        self,
        script: Sequence[Detections] | Callable[[Picture], Detections] = (),
        *,
        class_names: Sequence[str] = ("tank", "bmp", "truck"),
        input_hw: tuple[int, int] = (384, 640),
        fail_at: int | None = None,
    ) -> None:
        self.class_names = tuple(class_names)
        self.input_hw = input_hw
        self.name = "scripted"
        self.weights_sha256 = "0" * 64
        self.shapes: list[tuple[int, ...]] = []
        self.closed = False
        self._script = script
        self._fail_at = fail_at
        self._lock = threading.Lock()

    def detect(self, images: Sequence[Picture]) -> list[Detections]:
        with self._lock:
            return [self._look(image) for image in images]

    def close(self) -> None:
        self.closed = True

    def _look(self, image: Picture) -> Detections:
        if self.closed:
            raise DetectorError("the scripted detector is closed")
        check_picture(image)
        index = len(self.shapes)
        if index == self._fail_at:
            raise DetectorError(f"the scripted detector fails at picture {index}")
        self.shapes.append(image.shape)
        if callable(self._script):
            return self._script(image)
        return self._script[index] if index < len(self._script) else Detections.empty()


def _conforms(detector: ScriptedDetector) -> Detector:
    """For the type checker: the fake keeps the protocol."""
    return detector
