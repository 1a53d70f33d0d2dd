"""An evaluation in the terminal: what a person wants to know first. Everything else is in the page and the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 120  # columns where nobody looks: a file or a pipe


def show_evaluation(document: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the figures of an evaluation.

    Args:
        document: ``Evaluation.document``.
        console: Where to print; None takes standard output.
    """
    from rich.console import Console  # noqa: PLC0415 - only when something is shown

    if console is None:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDE)
    data, weights = document["data"], document["weights"]
    console.print(
        f"{weights['name']} on {data['pictures']} pictures with {data['boxes']} boxes; "
        f"brackets: {document['coverage']:.0%} interval",
        markup=False,
    )
    _table(
        console, ("", "pictures", "boxes", "parent mAP50", "leaf mAP50", "any AP50", "found", "right parent"), _slices(document)
    )
    names = ("class", "boxes", "AP50", "AP50-95", "recall", "precision", "missed", "as another")
    _table(console, names, _classes(document))
    for line in sentences(document):
        console.print(line, markup=False, soft_wrap=True)


def _slices(document: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    by_part: dict[str, dict[str, Any]] = {}
    for row in document["figures"]:
        by_part.setdefault(row["part"], {})[row["level"]] = row
    scores = {s["part"]: s for s in document["operating_point"]["slices"]}
    for part, levels in by_part.items():
        score = scores[part]
        parent = levels["parent"]
        yield (
            part.replace("=", " "),
            str(parent["pictures"]),
            str(score["boxes"]),
            _with_interval(parent["map50"], parent["map50_interval"]),
            figure(levels["leaf"]["map50"]),
            figure(levels["any"]["map50"]),
            share(score["found"], score["boxes"]),
            share(score["named"], score["boxes"]),
        )


def _classes(document: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    figures = {row["level"]: row["classes"] for row in document["figures"] if row["part"] == "all"}
    for level in ("parent", "any"):
        for name, score in document["operating_point"]["classes"][level].items():
            precision = figures[level][name]
            yield (
                name,
                str(score["boxes"]),
                figure(precision["ap50"]),
                figure(precision["ap"]),
                _with_interval(score["recall"], score["recall_interval"]),
                _with_interval(score["precision"], score["precision_interval"]),
                str(score["missed"]),
                str(score["other"]),
            )


def sentences(document: Mapping[str, Any]) -> list[str]:
    """False alarms, calibration, comparisons and what could not be read, a line each."""
    point = document["operating_point"]
    everywhere = next(s for s in point["slices"] if s["part"] == "all")["false_alarms"]
    lines = [
        f"found, recall, precision: objects with a pooled score of {point['min_score']:g} or more, IoU {point['match_iou']:g}",
        f"false military objects on all pictures: {alarm_words(everywhere)}",
        f"  on those without any vehicle: {alarm_words(document['false_alarms'])}",
    ]
    lines += [f"  in {row['name']}: {alarm_words(row)}" for row in document["civil"]]
    if len(document["civil"]) > 1:
        lines.append(f"  in these {len(document['civil'])} together: {alarm_words(document['civil_total'])}")
    errors = {(c["score"], c["outcome"]): c["error"] for c in document["calibration"]}
    lines.append(
        f"expected calibration error of the pooled score: {figure(errors['pooled', 'vehicle'])} (a vehicle is there), "
        f"{figure(errors['pooled', 'parent'])} (and of that parent)"
    )
    for row in document["without"]:
        beside = "" if row["normal"] is None else f"; trained with it {_carried(row['normal'])}"
        lines.append(f"trained without {row['source']}: {_carried(row['without'])}{beside}")
    if document["compare"]:
        for row in document["compare"]["differences"]:
            sign = "" if row["difference"] is None else f"{row['difference']:+.3f}{interval(row['interval'], sign=True)}"
            lines.append(
                f"{document['compare']['weights']['name']} instead: {row['level']} mAP50 {figure(row['second'])} "
                f"instead of {figure(row['first'])}, {sign or '-'}"
            )
    for name, why in unreadable(document):
        lines.append(f"not used: {name}: {why}")
    return lines


def _carried(part: Mapping[str, Any]) -> str:
    """``parent mAP50 0.549 on 363 pictures``; for a source without vehicles its false alarms."""
    if part["boxes"] or not part["false_alarms"]:
        return f"parent mAP50 {figure(part['map50'].get('parent'))} on {part['pictures']} pictures"
    return f"false military objects {alarm_words(part['false_alarms'])}"


def unreadable(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """File and reason of everything that could not be read."""
    rows = [*document["data"]["unreadable"], *(r for civil in document["civil"] for r in civil["unreadable"])]
    return [(str(name), str(why)) for name, why in rows]


def alarm_words(alarms: Mapping[str, Any]) -> str:
    """``3 on 2 of 95 pictures, 0.032 a picture [0.007, 0.092]``."""
    if not alarms["pictures"]:
        return "there are none"
    return (
        f"{alarms['detections']} on {alarms['pictures_hit']} of {alarms['pictures']} pictures, "
        f"{alarms['per_picture']:.3f} a picture{interval(alarms['per_picture_interval'])}"
    )


def figure(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def share(hits: int, of: int) -> str:
    """Per cent, or a dash."""
    return f"{100 * hits / of:.1f} %" if of else "-"


def interval(bounds: Sequence[float] | None, *, sign: bool = False) -> str:
    """`` [0.492, 0.634]``, or nothing."""
    if not bounds:
        return ""
    return " [" + ", ".join(f"{b:+.3f}" if sign else f"{b:.3f}" for b in bounds) + "]"


def _with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    return figure(value) + interval(bounds)


def _table(console: Console, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a name in [brackets] is no markup
    console.print(table)
