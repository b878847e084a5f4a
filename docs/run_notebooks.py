"""Run the notebooks of docs/notebooks in new kernels and keep small outputs: python docs/run_notebooks.py [NAME ...]

It needs `pip install -e '.[docs]'`. Each notebook runs in an empty folder, with warnings as errors, and is written back
with its outputs: without progress bars, times and other volatile metadata, and with pictures of at most 128 colours.
"""

import argparse
import base64
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).parent / "notebooks"
COLOURS = 128  # of a picture: smooth enough, and a third of the bytes
BAR = r"\d+%\|.*\| \d+/\d+ \["  # of tqdm
STRICT = "import warnings; warnings.simplefilter('error')"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks() -> list[Path]:
    """Return the notebooks by name."""
    return sorted(FOLDER.glob("*.ipynb"))


def run(path: Path, timeout: int = 900) -> Any:
    """Run a notebook in a new kernel and an empty folder, and return it with its outputs, `cleaned`.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell raises an exception, or warns.
    """
    import nbclient
    import nbformat

    notebook: Any = nbformat.read(path, as_version=4)
    # Settings of JAX for tests would change the numbers; the warnings of the kernel itself are not about the notebook.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "MPLBACKEND"))}
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=[f"--IPKernelApp.exec_lines={STRICT}", "--log-level=CRITICAL"],
        )
        client.execute(env={**env, "JAX_PLATFORMS": "cpu"})
    return cleaned(notebook)


def cleaned(notebook: Any) -> Any:
    """Drop progress bars and volatile metadata, number the cells, and shrink pictures."""
    notebook["metadata"] = METADATA
    for number, cell in enumerate(notebook["cells"], 1):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {"tags": tags} if (tags := cell["metadata"].get("tags")) else {}
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in map(_without_progress, cell["outputs"]) if output]
        for output in cell.get("outputs", ()):
            if "image/png" in (data := output.get("data", {})):
                data["image/png"] = _shrunk(data["image/png"])
            output.pop("metadata", None)
            if output["output_type"] in ("display_data", "execute_result"):
                output["metadata"] = {}
    return notebook


def _without_progress(output: Any) -> Any:
    """Return an output without the lines of progress bars; None where nothing else is in it."""
    if output.get("name") == "stderr":
        lines = [line for line in re.split(r"[\r\n]+", output["text"]) if line.strip()]
        output["text"] = "\n".join(line for line in lines if not re.search(BAR, line))
    return output if output.get("text", True) else None


def _shrunk(picture: str) -> str:
    """Reduce a PNG in base64 to few colours, without the text that matplotlib puts into it."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as found:
        few = found.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(made := io.BytesIO(), format="png", optimize=True)
    return base64.b64encode(made.getvalue()).decode()


def pictures(path: Path, notebook: Any) -> dict[Path, bytes]:
    """Return the pictures of a notebook that pages show: files NAME-CELL.png beside it, from the output of a cell."""
    found = {}
    for file in path.parent.glob(f"{path.stem}-*.png"):
        cell = next(cell for cell in notebook["cells"] if cell["id"] == file.stem.removeprefix(f"{path.stem}-"))
        shown = [output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
        found[file] = base64.b64decode(shown[0])
    return found


def main(argv: list[str]) -> int:
    """Run the notebooks that are named, or all, and write them back."""
    import nbformat

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [path.stem for path in notebooks()]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(known)}")
    names = parser.parse_args(argv).names
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        path, start = FOLDER / f"{name}.ipynb", time.perf_counter()
        notebook = run(path)
        nbformat.write(notebook, path)
        for file, content in pictures(path, notebook).items():
            file.write_bytes(content)
        print(f"{name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
