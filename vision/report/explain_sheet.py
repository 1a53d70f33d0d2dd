"""The sheet that explains a count, put together from blocks one below the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vision.report.explain_canvas import RULE, SOFT, Canvas, text_width

WIDTH_PX = 1600
LEFT_PX, RIGHT_PX = 64, 24
"""Room beside the drawings: for labels on the left."""

Draw = Callable[[Canvas, float], None]
"""Draws on a sheet, from a row on."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the sheet: how high it is, and how it is drawn from its upper edge on."""

    height_px: float
    draw: Draw


def title(text: str, more: str) -> Block:
    """A heading over a line, with an explanation behind it."""

    def draw(canvas: Canvas, y: float) -> None:
        canvas.lines([(RIGHT_PX, y + 2), (WIDTH_PX - RIGHT_PX, y + 2)], RULE, width=1)
        canvas.text(RIGHT_PX, y + 24, text, size=16, bold=True)
        canvas.text(RIGHT_PX + text_width(text, 16) + 14, y + 24, more, size=12, colour=SOFT)

    return Block(34, draw)
