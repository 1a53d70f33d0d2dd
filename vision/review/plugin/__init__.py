"""The plugin that FiftyOne's App loads: a panel with a train's strip and its vehicles in order, and operators for verdicts.

What happens to labels is in ``vision.review.deciding``; here it only gets its buttons.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

try:
    import vision  # noqa: F401
except ImportError:  # a checkout: the App's server runs in a folder of its own
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from vision.errors import FlatcarError
from vision.review import deciding
from vision.review.dataset import FIELD, STRIP

VEHICLES_ON_A_PAGE = 12
NOTHING = "No review set is open: choose one that flatcar review made, its name begins with flatcar-."


def is_review_set(dataset: Any) -> bool:
    """Whether a data set is one that ``flatcar review`` made."""
    return dataset is not None and bool(dataset.info.get("flatcar")) and STRIP in (dataset.group_slices or ())


class TrainPanel(foo.Panel):  # type: ignore[misc]
    """A train's strip, its vehicles from the head on, and buttons for the verdicts."""

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name="train_panel",
            label="Flatcar review",
            icon="fact_check",
            surfaces="grid modal",
            help_markdown="Decide on the vehicles of a train. Nothing changes the count before `flatcar review RUN --apply`.",
        )

    def on_load(self, ctx: Any) -> None:
        ctx.panel.state.train = 0
        ctx.panel.state.page = 0
        ctx.panel.state.said = ""
        self._show(ctx)

    def on_change_dataset(self, ctx: Any) -> None:
        self.on_load(ctx)

    def next_train(self, ctx: Any) -> None:
        self._go(ctx, +1)

    def previous_train(self, ctx: Any) -> None:
        self._go(ctx, -1)

    def more(self, ctx: Any) -> None:
        ctx.panel.state.page = (ctx.panel.state.page or 0) + int(ctx.params.get("step", 1))

    def decide(self, ctx: Any) -> None:
        """A button beside a vehicle was pressed."""
        self._change(ctx, lambda sample: deciding.decide(sample, ctx.params["label_id"], ctx.params["verdict"]))

    def undo(self, ctx: Any) -> None:
        self._change(ctx, lambda sample: deciding.clear(sample, ctx.params["label_id"]))

    def choose_class(self, ctx: Any) -> None:
        """A class was chosen for a vehicle."""
        name = ctx.params.get("value")
        label_id = str(ctx.params.get("path", "")).rpartition("class_")[2]
        if name and label_id:
            self._change(ctx, lambda sample: deciding.decide(sample, label_id, "reclass", class_name=name))

    def add(self, ctx: Any) -> None:
        """Draw a vehicle of the chosen class behind the vehicle with the chosen number."""
        state = ctx.panel.state
        name, after = state.get("add.class"), int(state.get("add.after") or 0)
        if not name:
            state.said = "Choose a class for the vehicle that is to be added."
            return
        self._change(ctx, lambda sample: deciding.add_vehicle(sample, name, after=after))

    def _change(self, ctx: Any, change: Any) -> None:
        state = ctx.panel.state
        try:
            change(self._sample(ctx))
            state.said = ""
        except FlatcarError as error:
            state.said = str(error)
        self._show(ctx)
        ctx.ops.reload_samples()

    def _go(self, ctx: Any, step: int) -> None:
        trains = deciding.train_ids_of(ctx.dataset)
        ctx.panel.state.train = ((ctx.panel.state.train or 0) + step) % max(len(trains), 1)
        ctx.panel.state.page = 0
        ctx.panel.state.said = ""
        self._show(ctx)

    def _show(self, ctx: Any) -> None:
        if is_review_set(ctx.dataset):
            sample = self._sample(ctx)
            if sample is not None:
                ctx.panel.set_data("strip", deciding.picture_uri(sample))

    def _sample(self, ctx: Any) -> Any:
        trains = deciding.train_ids_of(ctx.dataset)
        if not trains:
            return None
        return deciding.strip_of(ctx.dataset, trains[min(ctx.panel.state.train or 0, len(trains) - 1)])

    def render(self, ctx: Any) -> types.Property:
        panel = types.Object()
        sample = self._sample(ctx) if is_review_set(ctx.dataset) else None
        if sample is None:
            panel.md(NOTHING, name="nothing")
            return types.Property(panel, view=types.GridView(orientation="vertical"))
        lines = deciding.lines_of(sample)
        self._head(ctx, panel, sample, lines)
        page = min(max(ctx.panel.state.page or 0, 0), max(len(lines) - 1, 0) // VEHICLES_ON_A_PAGE)
        shown = lines[page * VEHICLES_ON_A_PAGE : (page + 1) * VEHICLES_ON_A_PAGE]
        for line in shown:
            self._row(panel, line)
        if len(lines) > VEHICLES_ON_A_PAGE:
            pages = panel.h_stack("pages", gap=2)
            pages.btn("back", label="vehicles before", on_click=self.more, params={"step": -1}, disabled=page == 0)
            last = (page + 1) * VEHICLES_ON_A_PAGE >= len(lines)
            pages.btn("on", label="vehicles behind", on_click=self.more, params={"step": 1}, disabled=last)
        adding = panel.h_stack("add", gap=2, align_y="center")
        adding.enum("class", deciding.class_names(), label="Add a", view=types.DropdownView(space=3, compact=True))
        adding.int("after", label="behind vehicle number", default=len(lines), view=types.FieldView(space=3, compact=True))
        adding.btn("put", label="add", on_click=self.add, variant="outlined")
        return types.Property(panel, view=types.GridView(orientation="vertical", gap=1))

    def _head(self, ctx: Any, panel: types.Object, sample: Any, lines: list[deciding.Line]) -> None:
        trains = deciding.train_ids_of(ctx.dataset)
        place = min(ctx.panel.state.train or 0, len(trains) - 1) + 1
        open_ = sum(bool(line.tags) or not line.number for line in lines)
        ends = "head and tail seen" if sample.head_seen and sample.tail_seen else "seen in part"
        bounds = "" if sample.low == sample.high else f" ({sample.low} to {sample.high})"
        waits = "1 decision waits" if open_ == 1 else f"{open_} decisions wait"
        head = panel.h_stack("head", gap=2, align_y="center")
        head.btn("previous", label="previous train", on_click=self.previous_train, variant="outlined", disabled=len(trains) < 2)
        head.btn("next", label="next train", on_click=self.next_train, variant="outlined", disabled=len(trains) < 2)
        panel.md(
            f"**Train {sample.train_id}** ({place} of {len(trains)}), {Path(sample.video).name}, from {sample.start_s:.1f} s: "
            f"**{sample.count}{bounds}** vehicles, {ends}. {waits} for `flatcar review RUN --apply`.",
            name="about",
        )
        if ctx.panel.state.said:
            panel.md(f"**{ctx.panel.state.said}**", name="said")
        panel.str("strip", view=types.ImageView(width="100%", alt=f"The strip of train {sample.train_id}"))

    def _row(self, panel: types.Object, line: deciding.Line) -> None:
        row = panel.h_stack(f"row_{line.label_id}", gap=1, align_y="center")
        score = "" if line.score is None else f" {100 * line.score:.0f} %"
        said = f" **{line.said}**" if line.said else ""
        row.md(f"**{line.number or '+'}** {line.class_name}{score}{said}", name="text", width="11rem")
        for verdict, label in (("confirm", "confirm"), ("reject", "reject"), ("merge", "merge next"), ("split", "split")):
            if not line.number:
                break
            chosen = any(tag.startswith(verdict) for tag in line.tags)
            row.btn(
                f"{verdict}_{line.number}",
                label=label,
                on_click=self.decide,
                params={"label_id": line.label_id, "verdict": verdict},
                variant="contained" if chosen else "outlined",
            )
        if line.number:
            row.enum(
                f"class_{line.label_id}",
                deciding.class_names(),
                label="class",
                on_change=self.choose_class,
                view=types.DropdownView(compact=True, label="another class", width="9rem"),
            )
        if line.tags or not line.number:
            row.btn(f"undo_{line.label_id}", label="undo", on_click=self.undo, params={"label_id": line.label_id})


class Decide(foo.Operator):  # type: ignore[misc]
    """A verdict on the boxes that are selected: also by keyboard, through the list of operators."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="decide", label="Flatcar: verdict on the selected boxes", dynamic=True)

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        if not ctx.selected_labels:
            inputs.message("none", "Select boxes first: click them in a train's picture.")
            return types.Property(inputs)
        inputs.enum("verdict", ["confirm", "reject", "merge", "split", "reclass"], required=True, label="Verdict")
        if ctx.params.get("verdict") == "reclass":
            inputs.enum("class", deciding.class_names(), required=True, label="Class", view=types.AutocompleteView())
        return types.Property(inputs, view=types.View(label="Verdict on the selected boxes"))

    def execute(self, ctx: Any) -> None:
        verdict, name = ctx.params.get("verdict"), ctx.params.get("class")
        tag = f"is:{name}" if verdict == "reclass" else verdict
        if tag == "merge":
            tag = f"merge:{ctx.selected_labels[0]['label_id'][-6:]}"
        if tag:
            view = ctx.dataset.select_group_slices().select_labels(labels=ctx.selected_labels, fields=FIELD)
            view.tag_labels(tag, label_fields=FIELD)
            ctx.ops.reload_samples()


class AddVehicle(foo.Operator):  # type: ignore[misc]
    """A vehicle that the machine missed, drawn on the strip of a train."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="add_vehicle", label="Flatcar: add a vehicle to a train")

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        inputs.enum("train", deciding.train_ids_of(ctx.dataset), required=True, label="Train")
        inputs.enum("class", deciding.class_names(), required=True, label="Class")
        inputs.int("after", required=True, default=0, label="Behind the vehicle with this number (0: before the first)")
        return types.Property(inputs, view=types.View(label="Add a vehicle"))

    def execute(self, ctx: Any) -> None:
        sample = deciding.strip_of(ctx.dataset, ctx.params["train"])
        deciding.add_vehicle(sample, ctx.params["class"], after=int(ctx.params["after"]))
        ctx.ops.reload_samples()


def register(plugin: Any) -> None:
    """Called by FiftyOne."""
    for part in (TrainPanel, Decide, AddVehicle):
        plugin.register(part)
