"""The command line: parse, call, print. Everything heavy is imported by the command that needs it.

A module here holds the commands of one task and hands them to `main`.
"""

from __future__ import annotations

import click

from vision import __version__
from vision.cli.compose import compose
from vision.cli.dataset import dataset
from vision.cli.evaluate import evaluate
from vision.cli.explain import explain
from vision.cli.machine import doctor
from vision.cli.review import review
from vision.cli.scanning import count, report, scan, show
from vision.cli.simulate import simulate
from vision.cli.training import preview, train
from vision.cli.weights import weights


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="flatcar")
def main() -> None:
    """Count what trains carry, from rail-spotting video."""


dataset.add_command(compose)
dataset.add_command(preview)
for _command in (scan, count, show, report, explain, review, weights, simulate, dataset, evaluate, train, doctor):
    main.add_command(_command)
