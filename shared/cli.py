"""The `worthwhile` command: hands over to a service's own command line, or to `up`."""

from __future__ import annotations

import os
import sys

SERVICES = ("goals", "metrics", "valuation")
_USAGE = """\
worthwhile up [--demo] [--once] [--simulate] [--data-dir DIR] [--port-base N] [--host ADDRESS]
    run the three services on this machine (`worthwhile up --help` tells more)
worthwhile SERVICE VERB
    SERVICE is goals, metrics or valuation;
    VERB is serve, work, migrate, rebuild, verify, export or import;
    metrics also knows create-key and reconcile
    (SERVICE --help tells more)
"""


def main() -> None:
    """Replace this process by the one that does the work."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it runs before anything newer is imported
        found = sys.version.split()[0]
        raise SystemExit(f"worthwhile: Python 3.11 or newer is needed; this is {found}.")
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        return
    first, *rest = arguments
    if first == "up":
        module, passed = "services.local", rest
    elif first in SERVICES:
        module, passed = f"services.{first}", rest
    else:
        sys.stderr.write(f"worthwhile: there is no {first!r}.\n{_USAGE}")
        raise SystemExit(2)
    os.execv(sys.executable, [sys.executable, "-m", module, *passed])  # noqa: S606
