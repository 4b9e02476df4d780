"""The README's tour runs as it is written, and answers what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
pytestmark = pytest.mark.xdist_group("up")


def blocks() -> Iterator[tuple[str, str]]:
    """The code blocks of the tour, in order: (language, content)."""
    tour = README.read_text().split("## A tour of the main job")[1]
    yield from re.findall(r"```(sh|json)\n(.*?)```", tour, re.DOTALL)


def contains(found: Any, promised: Any) -> bool:
    """Whether an answer holds what the README shows of it."""
    if isinstance(promised, dict):
        return all(contains(found[k], v) for k, v in promised.items() if k in found) and (
            promised.keys() <= found.keys()
        )
    if isinstance(promised, list):
        return len(found) == len(promised) and all(map(contains, found, promised))
    return bool(found == promised)


def test_every_command_of_the_tour_runs_and_answers_as_shown(tmp_path: Path) -> None:
    """Method: the blocks run as one shell script in an empty folder, each marked in the output."""
    if shutil.which("curl") is None:
        pytest.skip("the tour uses curl")
    (tmp_path / ".venv").symlink_to(Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv")))
    script, shown = ["set -m"], []
    for language, content in blocks():
        if language == "sh":
            script += [f"echo; echo '#### {len(script)}'", content]
        else:
            shown.append((f"#### {len(script) - 2}", json.loads(content)))
    environment = {**os.environ, "WORTHWHILE_PORT_BASE": "18401"}
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(script)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for mark, promised in shown:
        section = done.stdout.split(mark + "\n")[1].split("\n#### ")[0]
        answers = [line for line in section.splitlines() if line.startswith("{")]
        assert contains(json.loads(answers[-1]), promised), answers[-1]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    commands = README.read_text().split("## Two commands")[1].split("```")[1]
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", commands, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_what_the_documents_point_at_is_there() -> None:
    for document in [README, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for path in re.findall(
            r"`((?:docs|services|shared|tests|deploy)/[\w./-]+)`", document.read_text()
        ):
            assert (ROOT / path).exists(), f"{document.name} points at {path}"
