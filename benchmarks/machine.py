"""Printing: the machine, the settings, and each figure with its peer and their ratio."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

SETTINGS = Path(__file__).resolve().parents[1] / "deploy" / "postgresql.conf"
_NOT_FOR_A_BENCHMARK = ("listen_addresses", "max_connections")


def postgresql_options() -> list[str]:
    """The settings that the deployment runs with."""
    found = re.findall(r"^(\w+) = (.+)$", SETTINGS.read_text(), re.MULTILINE)
    return [f"{name}={value}" for name, value in found if name not in _NOT_FOR_A_BENCHMARK]


def describe() -> None:
    print(
        f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    print(f"PostgreSQL: {', '.join(postgresql_options())}; SQLite: WAL, synchronous=FULL\n")


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def row(name: str, ours: str, peer: str, ratio: float, reach: str) -> None:
    """One figure; the ratio says how we stand, `reach` what quality.md wants it to become."""
    print(f"{name:58} ours {ours:>14}  peer {peer:>14}  ratio {ratio:7.3f}  ({reach})", flush=True)
