"""The benchmark's tables: for a terminal, and as Markdown for the page of results."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vision.errors import InputError
from vision.run.store import atomic_write
from vision.synth.benchmark import MAIN, Results, camera_moves
from vision.synth.figures import Scores

_LOOKS = {"advance": "by advance", "full": "every frame", "scan": "scan"}


def report(results: Results) -> str:
    """For a terminal: conditions from the worst on, all ways of looking, the baselines, and the trains that went wrong."""
    if not results.rows:
        return "no results"
    main = main_looking(results)
    ranked = sorted(results.conditions, key=lambda name: _badness(results, name, main))
    lines = [
        f"looks: {looking_text(main)}; worst first",
        f"{'condition':<28}{'trains':>7}{'exact':>7}{'±1':>6}{'MAE':>6}{'miss%':>7}{'dbl%':>6}{'cover':>7}{'width':>6}{'ends':>6}"
        f"{'found':>6}{'merg':>5}{'split':>6}{'inv':>5}  why",
        *(_line(name, results, results.of(name), main) for name in ranked),
        _line("all", results, results.rows, main),
        "",
        *(_line(f"all, {looking_text(looking)}", results, results.rows, looking) for looking in results.lookings),
        "",
        "mean error of a clip's total",
    ]
    for title, rows in _groups(results):
        for looking in results.lookings:
            errors = results.errors(rows, looking)
            shown = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
            lines.append(f"{title}, {looking_text(looking)} ({len(rows)} clips): {shown}")
    lines += _civil(results)
    lines += ["", f"wrong totals, {looking_text(main)} (truth -> reported [bounds]):"]
    for row in results.rows:
        counted = row["lookings"][main]
        for train, reason, slip in zip(counted["trains"], counted["why"], counted["slip"], strict=True):
            if reason:
                lines.append(
                    f"  {row['condition']}-{row['seed']}: {train['truth']} -> {train['reported']} "
                    f"[{train['low']}, {train['high']}], {reason}, missed {train['misses']}, doubled {train['doubles']}, "
                    f"slip {'-' if slip is None else slip} vehicles, {' '.join(counted['flags'])}"
                )
    return "\n".join(lines)


def _civil(results: Results) -> list[str]:
    """What was reported on trains that carry nothing."""
    lines = []
    for looking in results.lookings:
        scores = results.scores(results.rows, looking)
        if scores.false_per_train is not None:
            civil = sum(train.found and train.listed == 0 for train in scores.per_train)
            shown = scores.shown("false_per_train", ".2f")
            lines.append(f"false military vehicles a train without any, {looking_text(looking)}: {shown} ({civil} trains)")
    return ["", *lines] if lines else []


def main_looking(results: Results) -> str:
    """The way of looking that conditions are compared by."""
    return MAIN if MAIN in results.lookings else results.lookings[0]


def looking_text(looking: str) -> str:
    """In words."""
    return _LOOKS.get(looking, f"{looking} a second")


def _badness(results: Results, name: str, looking: str) -> tuple[float, float]:
    scores = results.scores(results.of(name), looking)
    return (scores.exact if scores.exact is not None else 1.0, -(scores.mae or 0.0))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def _plain(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(name: str, results: Results, rows: Iterable[Mapping[str, Any]], looking: str) -> str:
    rows = list(rows)
    s = results.scores(rows, looking)
    why = ", ".join(f"{reason} {count}" for reason, count in results.reasons(rows, looking).items())
    return (
        f"{name:<28}{s.trains:>7}{_share(s.exact):>7}{_share(s.within_one):>6}{_plain(s.mae, 2):>6}{_plain(s.misses_per_100):>7}"
        f"{_plain(s.doubles_per_100):>6}{_share(s.coverage):>7}{_plain(s.mean_interval):>6}{_share(s.ends_right):>6}"
        f"{s.found:>6}{s.merged:>5}{s.split:>6}{s.invented:>5}  {why}"
    )


def _groups(results: Results) -> list[tuple[str, list[Mapping[str, Any]]]]:
    moving = [row for row in results.rows if camera_moves(row["condition"])]
    still = [row for row in results.rows if not camera_moves(row["condition"])]
    return [(title, rows) for title, rows in (("camera still", still), ("camera moves", moving)) if rows]


# Markdown.


def write_docs(page: Path, results: Results, *, mode: str, command: str, pictures: Mapping[str, str] | None = None) -> None:
    """Put the tables of a mode between its two marks on a page; the rest of the page stays.

    Args:
        page: With the lines ``<!-- bench:MODE -->`` and ``<!-- /bench:MODE -->``.
        results: At least one row.
        mode: ``engine`` or ``system``.
        command: What made them.
        pictures: Clip, as the tables call it -> picture that explains its failure, relative to the page.

    Raises:
        InputError: The page cannot be read or has no such marks.
    """
    begin, end = f"<!-- bench:{mode} -->", f"<!-- /bench:{mode} -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {page}: {error.strerror}") from error
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InputError(f"{page} needs the lines {begin} and {end} once each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    atomic_write(page, f"{before}{begin}\n{markdown(results, command=command, pictures=pictures)}\n{end}{after}".encode())


def markdown(results: Results, *, command: str, pictures: Mapping[str, str] | None = None) -> str:
    """Tables of one mode, with the command above them."""
    main = main_looking(results)
    clips, trains = len(results.rows), results.scores(results.rows, main).trains
    parts = [
        f"    {' '.join(shlex.quote(word) for word in command.split())}",
        f"{trains} trains in {clips} clips. In brackets 95 % bootstrap intervals over trains; where all trains of a row came out "
        "alike there is nothing to draw, and they are a point.",
        *_marks(results, main, mode=str(results.rows[0]["mode"])),
        f"### By condition, {looking_text(main)}",
        _condition_table(results, main),
        "\n".join(f"- {line}" for line in _civil(results) if line) or "No train without vehicles was among them.",
        "### By looks",
        _looking_table(results),
    ]
    if any(len(results.errors(rows, main)) > 1 for _, rows in _groups(results)):
        parts += ["### Against trackers", _baseline_table(results)]
    parts += ["### By class", _class_table(results, main), "### What fails", _failures(results, main, pictures or {})]
    return "\n\n".join(parts)


FIXED_EXACT, MOVING_EXACT, SINGLE_EXACT = 0.97, 0.90, 0.80
COVERAGE = (0.86, 0.94)
BEST_TRACKER = 5.0
FALSE_A_TRAIN = 0.2
"""What was asked for before anything was measured."""


def _marks(results: Results, looking: str, *, mode: str) -> list[str]:
    """The marks that were set, and whether they were met."""
    rows: list[str] = []

    def mark(what: str, asked: str, measured: str, met: bool) -> None:
        rows.append(f"{what} | {asked} | {measured} | {'met' if met else 'missed'}")

    overall = results.scores(results.rows, looking)
    if mode == "engine":
        for what, names, least in (("fixed", ("fixed",), FIXED_EXACT), ("shake and pan", ("shake", "pan"), MOVING_EXACT)):
            exact = results.scores([row for row in results.rows if row["condition"] in names], looking).exact
            if exact is not None:
                mark(f"exact, {what}", f"at least {_share(least)}", _share(exact), exact >= least)
        single = {name: results.scores(results.of(name), looking).exact for name in results.conditions if "+" not in name}
        below = {name: exact for name, exact in single.items() if exact is not None and exact < SINGLE_EXACT}
        shown = ", ".join(f"{name} {_share(exact)}" for name, exact in sorted(below.items(), key=lambda item: item[1]))
        mark("exact, every single condition", f"at least {_share(SINGLE_EXACT)}", f"below it: {shown or 'none'}", not below)
        asked = f"{_share(COVERAGE[0])} to {_share(COVERAGE[1])}"
        for name in dict.fromkeys((looking, *(name for name in results.lookings if name == "advance"))):
            coverage = results.scores(results.rows, name).coverage
            if coverage is not None:
                met = COVERAGE[0] <= coverage <= COVERAGE[1]
                mark(f"truth within the interval, {looking_text(name)}", asked, _share(coverage), met)
        for title, picked, lookings in _compared(results):
            for name in lookings:
                errors = results.errors(picked, name)
                others = [error for other, error in errors.items() if other != "ours"]
                if others:
                    factor = min(others) / errors["ours"] if errors["ours"] else float("inf")
                    text = f"{factor:.1f} x" if errors["ours"] else "ours makes none"
                    what = f"error of the best other way, {title}, {looking_text(name)}"
                    mark(what, f"at least {BEST_TRACKER:g} x ours", text, factor >= BEST_TRACKER)
    elif overall.false_per_train is not None:
        shown = f"{overall.false_per_train:.2f}"
        mark("false military vehicles a civil train", f"at most {FALSE_A_TRAIN}", shown, overall.false_per_train <= FALSE_A_TRAIN)
    said = "An interval always holds its own count, so it holds the truth at least as often as the count is exact."
    return ["### Marks", _table("mark | asked | measured | ", rows), *([said] if mode == "engine" else [])] if rows else []


def _compared(results: Results) -> list[tuple[str, list[Mapping[str, Any]], list[str]]]:
    """Clips and ways of looking on which trackers are compared: all ways where the camera moves, few looks elsewhere."""
    few = [name for name in results.lookings if name.replace(".", "").isdigit() and float(name) <= float(MAIN)]
    groups = dict(_groups(results))
    ways = (("camera moves", results.lookings), ("camera still", few))
    return [(title, groups[title], list(names)) for title, names in ways if title in groups]


_HEAD = (
    "exact | within 1 | mean error | missed, doubled of 100 | interval holds | ends right | nwRMSE | "
    "found, merged, split, invented"
)


def _figures(s: Scores) -> str:
    exact = _share(s.exact)
    if "exact" in s.bounds:
        low, high = s.bounds["exact"]
        exact += f" [{100 * low:.0f}, {100 * high:.0f}]"
    trains = f"{s.found}, {s.merged}, {s.split}, {s.invented}"
    return (
        f"{exact} | {_share(s.within_one)} | {_plain(s.mae, 2)} | {_plain(s.misses_per_100)}, {_plain(s.doubles_per_100)} "
        f"| {_share(s.coverage)} | {_share(s.ends_right)} | {_plain(s.nw_rmse, 3)} | {trains}"
    )


def _table(head: str, rows: Iterable[str]) -> str:
    columns = head.count("|") + 1
    return "\n".join([f"| {head} |", "|" + "---|" * columns, *(f"| {row} |" for row in rows)])


def _condition_table(results: Results, looking: str) -> str:
    rows = []
    for name, picked in [*((name, results.of(name)) for name in results.conditions), ("**all**", results.rows)]:
        scores = results.scores(picked, looking)
        rows.append(f"{name} | {scores.trains} | {_figures(scores)}")
    return _table(f"condition | trains | {_HEAD}", rows)


def _looking_table(results: Results) -> str:
    return _table(
        f"looks | {_HEAD}",
        (f"{looking_text(looking)} | {_figures(results.scores(results.rows, looking))}" for looking in results.lookings),
    )


def _baseline_table(results: Results) -> str:
    names = list(results.errors(results.rows, results.lookings[0]))
    rows = []
    for title, picked in _groups(results):
        for looking in results.lookings:
            errors = results.errors(picked, looking)
            best = min((error for name, error in errors.items() if name != "ours"), default=0.0)
            factor = "-" if not errors["ours"] else f"{best / errors['ours']:.1f}"
            rows.append(f"{title}, {looking_text(looking)} | " + " | ".join(f"{errors[n]:.2f}" for n in names) + f" | {factor}")
    return "Mean absolute error of a clip's total, on identical boxes.\n\n" + _table(
        f"clips | {' | '.join(names)} | best other over ours", rows
    )


def _class_table(results: Results, looking: str) -> str:
    scores = results.scores(results.rows, looking)
    vehicles: dict[str, int] = {}
    for train in scores.per_train:
        for name, (truth, _) in train.cumulative.items():
            vehicles[name] = vehicles.get(name, 0) + truth[-1]
    rows = (f"{name} | {vehicles[name]} | {value:.3f}" for name, value in sorted(scores.nw_rmse_classes.items()))
    return _table("class | vehicles | nwRMSE", rows)


def _failures(results: Results, looking: str, pictures: Mapping[str, str]) -> str:
    """A line for each reason with the clips it spoilt, and what explains them."""
    by_reason: dict[str, list[str]] = {}
    for row in results.rows:
        for reason in row["lookings"][looking]["why"]:
            if reason:
                name = f"{row['condition']}-{row['seed']}"
                by_reason.setdefault(reason, []).append(f"[{name}]({pictures[name]})" if name in pictures else name)
    lines = [
        f"- **{reason}** ({len(names)}): {', '.join(dict.fromkeys(names))}"
        for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    ]
    if pictures:
        lines.append("\nBehind a link is the picture that [explain](explain.md) draws of that clip.")
    return "\n".join(lines) or "Nothing."
