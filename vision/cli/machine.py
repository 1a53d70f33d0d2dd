"""``doctor``: what works on this machine."""

from __future__ import annotations

import sys

import click

from vision.cli.common import JSON, guarded


@click.command()
@JSON
@guarded
def doctor(as_json: bool) -> None:
    """Say what works on this machine and what to do about the rest; exit code 1 when something needed fails."""
    import json  # noqa: PLC0415

    from vision.doctor import examine  # noqa: PLC0415

    checks = examine()
    if as_json:
        click.echo(json.dumps([{"name": c.name, "state": c.state, "what": c.what, "todo": c.todo} for c in checks], indent=2))
    else:
        for check in checks:
            click.echo(f"{check.state:<5} {check.name}: {check.what}" + (f" -> {check.todo}" if check.todo else ""))
    sys.exit(1 if any(check.state == "fail" for check in checks) else 0)
