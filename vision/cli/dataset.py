"""`flatcar dataset`: the sets a detector learns from."""

from __future__ import annotations

import click


@click.group()
def dataset() -> None:
    """Make, check and describe the sets of pictures a detector learns from."""
