"""What the commands share: options, and errors as one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from vision.errors import FlatcarError

P = ParamSpec("P")
R = TypeVar("R")

RUN = click.argument("run", type=click.Path(path_type=Path))
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="Settings file (TOML); see docs/settings.md.")
SCALE = click.option(
    "--px-per-m", type=float, help="Scale at the train, pixels of the full frame per metre: gives speeds and lengths."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output, and nothing else.")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Errors as one line and an exit code; a traceback only for FLATCAR_DEBUG=1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except FlatcarError as error:
            complain(str(error))
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            complain("stopped; what was finished is kept, the same command goes on from there")
            sys.exit(130)
        except BrokenPipeError:
            # The reader of a pipe went away (head, say): no error, but the stream must not be flushed again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:
            if os.environ.get("FLATCAR_DEBUG"):
                raise
            complain(f"a fault in flatcar: {type(error).__name__}: {error}; FLATCAR_DEBUG=1 shows where, please report it")
            sys.exit(1)

    return run


def complain(sentence: str) -> None:
    """One line on standard error, with the program's name before it."""
    click.echo(f"flatcar: {' '.join(sentence.split())}", err=True)
