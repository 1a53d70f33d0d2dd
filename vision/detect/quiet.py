"""Keeps OpenVINO from reporting home.

``import openvino`` sends an event to Google Analytics each time and writes an identifier to ``~/intel``, unless the package
``openvino_telemetry`` cannot be imported: then OpenVINO takes its own stub. Who watches which trains is nobody's business.
Apart from the adapters, whose imports call this, nothing in flatcar imports OpenVINO.
"""

from __future__ import annotations

import sys

_TELEMETRY = "openvino_telemetry"


def block_telemetry() -> None:
    """Makes ``import openvino_telemetry`` fail from here on, for the whole process; does nothing if it already happened."""
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
