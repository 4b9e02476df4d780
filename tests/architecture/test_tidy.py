"""Style as a test of the repository: small files and functions, one sentence each, nothing dead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("services", "shared", "tests", "benchmarks")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 40
# Words that say nothing of what stands behind them.
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|manager|misc|common)(_|$)")


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (p for p in (ROOT / folder).rglob("*.py") if p.stat().st_size)


def is_migration(path: Path) -> bool:
    return "versions" in path.parts


@pytest.mark.parametrize("path", list(files()), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_small_and_opens_with_one_sentence(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    tree = ast.parse(text)
    sentence = (ast.get_docstring(tree) or "").split("\n\n")[0]
    assert sentence.rstrip().endswith("."), "a module opens with one sentence"
    assert not EMPTY_NAMES.search(path.stem)
    long = [
        f"{node.name} has {size} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or 0) - node.body[0].lineno + 1) > MAX_FUNCTION_LINES
        and not is_migration(path)
        and not node.name.startswith("test_")
    ]
    assert long == []


def test_only_settings_read_the_environment() -> None:
    allowed = {"services/local/processes.py"}
    readers = {
        str(path.relative_to(ROOT))
        for path in files()
        if not {"tests", "benchmarks"} & set(path.parts)
        and re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= allowed


def test_every_public_function_of_the_product_is_documented() -> None:
    """Methods of classes and functions that others call say what they mean."""
    bare: list[str] = []
    for path in files():
        if path.parts[-2] == "tests" or "tests" in path.parts or is_migration(path):
            continue
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bare += [] if ast.get_docstring(node) else [f"{path.name}:{node.name}"]
    assert bare == []


def test_nothing_is_defined_that_nobody_uses() -> None:
    defined: dict[str, Path] = {}
    words: dict[str, int] = {}
    for path in files():
        text = path.read_text()
        for word in re.findall(r"\w+", text):
            words[word] = words.get(word, 0) + 1
        if "tests" not in path.parts and not is_migration(path):
            for node in ast.parse(text).body:
                if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                    defined[node.name] = path
    unused = sorted(f"{path.name}:{name}" for name, path in defined.items() if words[name] == 1)
    assert [name for name in unused if not name.endswith((":upgrade", ":main"))] == []
