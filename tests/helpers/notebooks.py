"""The notebooks as tests read them: cells, outputs, prose, and the difference between two executions."""

import ast
import json
import re
from pathlib import Path
from typing import Any

NUMBER = r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?"
VARIES = "varies"  # the tag of a cell whose text may differ: sentences or rows that a model has drawn


def read(path: Path) -> dict[str, Any]:
    """A notebook as JSON, its sources and texts joined to one string each."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", ()):
            output["text"] = "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return notebook


def of_kind(notebook: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def prose(notebook: dict[str, Any]) -> str:
    return "\n\n".join(cell["source"] for cell in of_kind(notebook, "markdown"))


def program(notebook: dict[str, Any]) -> ast.Module:
    return ast.parse("\n".join(cell["source"] for cell in of_kind(notebook, "code")))


def texts(cell: dict[str, Any]) -> str:
    """What a cell prints or returns as text; pictures as their kind, notes on stderr left out."""
    shown = [
        "picture" if "image/png" in output.get("data", {}) else output["text"]
        for output in cell["outputs"]
        if output.get("name") != "stderr"
    ]
    return "\n".join(shown)


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(NUMBER, text)]


def differences(committed: dict[str, Any], fresh: dict[str, Any], share: float = 0.1, least: float = 0.1) -> list[str]:
    """Where the outputs differ: other words, or a number that is away by more than `least` and this share of it."""
    found = []
    for old, new in zip(of_kind(committed, "code"), of_kind(fresh, "code"), strict=True):
        before, after = texts(old), texts(new)
        if VARIES in old["metadata"].get("tags", ()):
            is_same = before.count("\n") == after.count("\n")
        else:
            words, again = ([" ".join(re.sub(NUMBER, "#", text).split())] for text in (before, after))
            pairs = zip(numbers(before), numbers(after), strict=False)
            is_same = words == again and all(abs(a - b) <= max(least, share * abs(a)) for a, b in pairs)
        if not is_same:
            found.append(f"cell {old['execution_count']}:\n{before}\n--- now ---\n{after}")
    return found
