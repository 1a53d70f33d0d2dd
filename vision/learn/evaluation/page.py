"""The page of an evaluation: one file with its charts and pictures inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from vision.errors import InputError
from vision.learn.evaluation.civil import Civil
from vision.learn.evaluation.operating import BACKGROUND, MISSED
from vision.learn.evaluation.terminal import figure, interval, share, unreadable
from vision.learn.evaluation.worst import COUNTED_MISTAKES, Mistake, WorstPicture, thumbnail
from vision.learn.pictures import read_picture
from vision.run.store import clean_text
from vision.taxonomy import Taxonomy, default_taxonomy

if TYPE_CHECKING:
    from vision.learn.evaluate import Evaluation

# Charts are drawn in a square of 100 by 100 with room for the numbers around it.
_PLOT = 100.0
_DEEPEST = 0.6  # opacity of a cell that holds its whole row: dark text stays readable on it
_LISTED_MISTAKES = 4
_CIVIL_CARDS = 24
_LETTER = 0.6  # width of a letter, in font sizes; the page squeezes or stretches a label into it

Point = tuple[float, float]


def render_page(evaluation: Evaluation) -> str:
    """The page as text.

    Args:
        evaluation: What was measured; the worst pictures are read from the set's folder once more.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(figure=figure, interval=interval, share=share_of, percent_interval=percent_interval)
    template = environment.from_string(_template("evaluation.html.jinja"))
    return template.render(**page_view(evaluation), css=_template("evaluation.css"))


def page_view(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that the template shows."""
    document, tree = evaluation.document, default_taxonomy()
    slices = document["operating_point"]["slices"]
    return {
        "document": document,
        "everything": next(s for s in slices if s["part"] == "all"),
        "headline": {row["level"]: row for row in document["figures"] if row["part"] == "all"},
        "slices": _slices(document),
        "classes": {level: _classes(document, level, tree) for level in ("parent", "leaf")},
        "confusion": {level: _confusion(document["confusion"][level], tree) for level in ("parent", "leaf")},
        "curves": _curves(document, tree),
        "alarms": _alarms(document),
        "calibration": _calibrations(document["calibration"]),
        "worst": [_worst_view(w, evaluation) for w in evaluation.worst],
        "civil_worst": _civil_views(evaluation.civil),
        "counted_mistakes": COUNTED_MISTAKES,
        "unreadable": unreadable(document),
    }


def share_of(value: float | None) -> str:
    """A share in per cent with a digit, or a dash."""
    return "-" if value is None else share(round(value * 1_000_000), 1_000_000)


def percent_interval(bounds: Sequence[float] | None) -> str:
    """`` [74.1, 84.4]``, in per cent, or nothing."""
    return f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else ""


def _slices(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per slice, with its figures at every level."""
    scores = {s["part"]: s for s in document["operating_point"]["slices"]}
    rows: dict[str, dict[str, Any]] = {}
    for row in document["figures"]:
        kind, _, name = row["part"].partition("=")
        entry = rows.setdefault(row["part"], {"kind": kind, "name": name or "all pictures", "score": scores[row["part"]]})
        entry[row["level"]] = row
    return list(rows.values())


def _classes(document: Mapping[str, Any], level: str, tree: Taxonomy) -> list[dict[str, Any]]:
    precision = next(row["classes"] for row in document["figures"] if row["level"] == level and row["part"] == "all")
    nothing = {"ap50": None, "ap": None}
    return [
        {"name": name, "colour": tree.colour(name), "english": tree.names_en[name], **score, **precision.get(name, nothing)}
        for name, score in document["operating_point"]["classes"][level].items()
    ]


def _confusion(table: Mapping[str, Any], tree: Taxonomy) -> dict[str, Any]:
    """The table with the tone of each cell: right, wrong in kind within the parent, wrong, missed."""
    rows = []
    for name, counts, shares in zip(table["rows"], table["counts"], table["shares"], strict=True):
        cells = []
        for column, count, part in zip(table["columns"], counts, shares, strict=True):
            tone = _tone(name, column, tree)
            cells.append({"count": count, "share": part, "tone": tone, "opacity": round(_DEEPEST * part, 3)})
        rows.append({"name": name, "total": sum(counts), "cells": cells})
    return {"columns": table["columns"], "rows": rows}


def _tone(row: str, column: str, tree: Taxonomy) -> str:
    if row == column:
        return "right"
    if row == BACKGROUND or column == MISSED:
        return "lost"
    return "near" if tree.parent_of(row) == tree.parent_of(column) else "wrong"


def _curves(document: Mapping[str, Any], tree: Taxonomy) -> list[dict[str, Any]]:
    """Precision over recall of each parent, with the operating point."""
    found = []
    figures = {row["level"]: row["classes"] for row in document["figures"] if row["part"] == "all"}
    for level in ("parent", "any"):
        for name, precision in document["curves"][level].items():
            score = document["operating_point"]["classes"][level][name]
            points = list(zip(document["curves"]["recall"], precision, strict=True))
            last = max((i for i, (_, p) in enumerate(points) if p > 0), default=-1)
            at = None if score["precision"] is None else _point(score["recall"], score["precision"])
            found.append(
                {
                    "name": "any vehicle" if level == "any" else name,
                    "colour": "var(--ink)" if level == "any" else tree.colour(name),
                    "boxes": score["boxes"],
                    "ap50": figures[level][name]["ap50"],
                    "line": _path([_point(x, y) for x, y in points[: last + 1]]),
                    "at": at,
                    "words": f"recall {figure(score['recall'])}, precision {figure(score['precision'])}",
                }
            )
    return found


def _alarms(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """False alarms by where the pictures come from."""
    rows = [{"name": "pictures of the set without any vehicle", **document["false_alarms"]}]
    rows += [{**c, "name": f"{c['name']}, given as civil"} for c in document["civil"]]
    if len(document["civil"]) > 1:
        rows.append({"name": f"these {len(document['civil'])} together", **document["civil_total"]})
    for s in document["operating_point"]["slices"]:
        if s["false_alarms"] is not None:
            kind, _, name = s["part"].partition("=")
            rows.append({"name": f"{kind} {name}" if name else "all pictures of the set", **s["false_alarms"]})
    return [row for row in rows if row["pictures"]]


def _calibrations(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A chart per score, a line per outcome."""
    charts: dict[str, dict[str, Any]] = {}
    titles = {"best": "Best single box", "pooled": "Pooled score, as a scan uses it"}
    for row in rows:
        chart = charts.setdefault(row["score"], {"title": titles[row["score"]], "objects": row["objects"], "lines": []})
        most = max((b["objects"] for b in row["bins"]), default=0) or 1
        dots = [
            {"x": x, "y": y, "r": round(1.2 + 3.3 * (b["objects"] / most) ** 0.5, 2), "n": b["objects"]}
            for b in row["bins"]
            if b["objects"]
            for x, y in [_point(b["score"], b["right"])]
        ]
        line = {"outcome": row["outcome"], "error": row["error"], "bins": row["bins"], "dots": dots}
        chart["lines"].append({**line, "line": _path([(d["x"], d["y"]) for d in dots])})
    return list(charts.values())


def _point(x: float, y: float) -> Point:
    return round(_PLOT * x, 2), round(_PLOT * (1 - y), 2)


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _worst_view(worst: WorstPicture, evaluation: Evaluation) -> dict[str, Any]:
    row = worst.picture.row
    width, height = int(row["width"]), int(row["height"])
    text_px = _text_px(width, height)
    missed = {m.xyxy_px for m in worst.mistakes if m.kind == "missed"}
    marks = [_mark(box.xyxy_px, "true", None, width, text_px) for box in worst.picture.boxes if box.xyxy_px not in missed]
    marks += [_mark(region, "ignored", None, width, text_px) for region in worst.picture.ignored]
    marks += [_mark(m.xyxy_px, m.kind, _label(m), width, text_px) for m in reversed(worst.mistakes)]
    counted = Counter(m.words() for m in worst.mistakes)  # in the order of the mistakes, the dearest first
    words = [text if n == 1 else f"{text}, {n} times" for text, n in counted.items()]
    if len(words) > _LISTED_MISTAKES:
        words[_LISTED_MISTAKES:] = [f"and {len(words) - _LISTED_MISTAKES} more"]
    return {
        "name": clean_text(PurePosixPath(str(row["file_name"])).name),
        "about": clean_text(f"{row['source']}, {row['view']}"),
        "loss": f"{worst.loss:.1f}",
        "words": words,
        "picture": _thumbnail(evaluation.truth.root / row["file_name"]),
        "width": width,
        "height": height,
        "text_px": round(text_px, 1),
        "marks": marks,
    }


def _thumbnail(path: Path) -> str | None:
    """None where the picture cannot be read any more: the rest of the page still stands."""
    try:
        return thumbnail(read_picture(path))
    except InputError:
        return None


def _civil_views(civil: Sequence[Civil]) -> list[dict[str, Any]]:
    """Pictures of all civil folders with the surest false objects."""
    pictures = sorted(((c.name, p) for c in civil for p in c.worst), key=lambda item: -item[1].score)
    views = []
    for folder, p in pictures[:_CIVIL_CARDS]:
        text_px = _text_px(p.width_px, p.height_px)
        marks = [_mark(box, "false", f"{name} {score:.2f}", p.width_px, text_px) for name, score, box in reversed(p.objects)]
        views.append(
            {
                "name": clean_text(p.name),
                "about": clean_text(folder),
                "loss": None,
                "words": [f"{name} {score:.2f}" for name, score, _ in p.objects[:_LISTED_MISTAKES]],
                "picture": p.thumbnail,
                "width": p.width_px,
                "height": p.height_px,
                "text_px": round(text_px, 1),
                "marks": marks,
            }
        )
    return views


def _text_px(width_px: int, height_px: int) -> float:
    return 0.042 * max(width_px, 0.75 * height_px)


def _label(mistake: Mistake) -> str:
    if mistake.kind == "missed":
        return str(mistake.truth)
    said = f"{mistake.found} {mistake.score or 0.0:.2f}"
    return f"{said}, is {mistake.truth}" if mistake.kind == "wrong" else said


def _mark(xyxy_px: Sequence[float], kind: str, label: str | None, picture_width: int, text_px: float) -> dict[str, Any]:
    """A box to draw, with where its label goes: above it, or inside where the picture ends."""
    x0, y0, x1, y1 = xyxy_px
    label_width = _LETTER * text_px * (len(label) + 1) if label else 0.0
    return {
        "kind": kind,
        "x": round(x0, 1),
        "y": round(y0, 1),
        "width": round(max(x1 - x0, 1.0), 1),
        "height": round(max(y1 - y0, 1.0), 1),
        "label": label,
        "label_x": round(max(0.0, min(x0, picture_width - label_width)), 1),
        "label_y": round(y0 - 1.25 * text_px if y0 > 1.3 * text_px else y0, 1),
        "label_width": round(label_width, 1),
    }


def _template(name: str) -> str:
    return (resources.files("vision.learn.evaluation") / "templates" / name).read_text(encoding="utf-8")
