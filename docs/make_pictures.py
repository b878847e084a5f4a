"""Compose the pictures of the catalogue from finished runs: samples beside reconstructions, lines of text, or curves.

python docs/make_pictures.py runs                  # all of runs/*, or name some: runs/vae-mnist runs/cvae-mnist
python docs/generate.py                            # then the catalogue shows them

Each run gives docs/catalogue/NAME.png, NAME being the name of its config, or NAME.txt for sentences; of several runs
with one name the last given counts. A picture holds its caption (data set, test loss and NLL) and has at most 40 kB;
the caption of lines is the last of them.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxvae.common.errors import UserError

FOLDER = Path(__file__).parent / "catalogue"
WIDTH, GAP, BYTES = 760, 20, 40_000
LINES, LETTERS = 6, 100
SHOWN = ("samples", "reconstructions")


def compose(run: Path) -> tuple[Image.Image, str]:
    """Return samples beside reconstructions of a run, or its curves, `WIDTH` pixels wide, and a caption.

    Raises:
      UserError: the folder has none of these pictures.
    """
    paths = [run / "figures" / f"{name}.png" for name in SHOWN]
    paths = paths if any(path.exists() for path in paths) else [run / "figures" / "curves.png"]
    sheets = [_on_white(path) for path in paths if path.exists()]
    if not sheets:
        raise UserError(f"{run} has neither figures/samples.png nor reconstructions.png nor curves.png")
    height = min(sheet.height for sheet in sheets)
    sheets = [_cut(sheet, height) for sheet in sheets]
    full = Image.new("RGB", (sum(s.width for s in sheets) + GAP * (len(sheets) - 1), height), "white")
    left = 0
    for sheet in sheets:
        full.paste(sheet, (left, 0))
        left += sheet.width + GAP
    width = WIDTH * len(sheets) // 2
    return full.resize((width, round(full.height * width / full.width)), Image.Resampling.LANCZOS), _caption(run, paths)


def line_files(run: Path) -> list[Path]:
    """Return the samples and the reconstructions of a run that writes sentences; of others none."""
    paths = [run / "figures" / f"{name}.txt" for name in SHOWN]
    return [path for path in paths if path.exists()]


def excerpt(run: Path, paths: list[Path]) -> str:
    """Return the first lines of these files of a run, and a caption."""
    found = []
    for path in paths:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()][:LINES]
        found += [*(line if len(line) <= LETTERS else f"{line[:LETTERS]} ..." for line in lines), ""]
    return "\n".join([*found, _caption(run, paths)]) + "\n"


def compressed(picture: Image.Image, caption: str) -> bytes:
    """Return a PNG of at most `BYTES`: with fewer colours, and where that is not enough smaller."""
    info = PngInfo()
    info.add_itxt("Description", caption)
    while True:
        for colours in (256, 64, 32, 16):
            file = io.BytesIO()
            picture.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True, pnginfo=info)
            if file.tell() <= BYTES:
                return file.getvalue()
        picture = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5), Image.Resampling.LANCZOS)


def _on_white(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _cut(sheet: Image.Image, height: int) -> Image.Image:
    """Return the upper rows of a sheet that fit, cut where a line of pixels is white; else the whole sheet, smaller."""
    if sheet.height == height:
        return sheet
    white = np.asarray(sheet)[:height].min((1, 2)) == 255
    last = int(np.flatnonzero(white)[-1]) if white.any() else 0
    if last < 0.6 * height:
        return sheet.resize((max(1, sheet.width * height // sheet.height), height), Image.Resampling.LANCZOS)
    cut = Image.new("RGB", (sheet.width, height), "white")
    cut.paste(sheet.crop((0, 0, sheet.width, last)), (0, 0))
    return cut


def _caption(run: Path, paths: list[Path]) -> str:
    shown = " and ".join(path.stem for path in paths if path.exists()).capitalize()
    test = json.loads((run / "results.json").read_text(encoding="utf-8")).get("test", {})
    values = (f"{label} {test[key]:.2f}" for key, label in (("loss", "test loss"), ("nll", "NLL")) if test.get(key))
    return ", ".join((f"{shown} of {_config(run)['data']['name']}", *values))


def _config(run: Path) -> dict:
    return json.loads((run / "config.json").read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    """Write a picture for each run; return 1 if one failed."""
    given = [Path(argument) for argument in arguments]
    runs = [r for path in given for r in ([path] if (path / "config.json").exists() else sorted(path.glob("*/")))]
    if not runs:
        print(__doc__)
        return 1
    FOLDER.mkdir(exist_ok=True)
    failed = 0
    for run in runs:
        try:
            name = _config(run)["name"].partition("-")[0]
            if paths := line_files(run):
                (FOLDER / f"{name}.txt").write_text(lines := excerpt(run, paths), encoding="utf-8")
                print(f"{name}.txt: {lines.splitlines()[-1]}")
            else:
                picture, caption = compose(run)
                data = compressed(picture, caption)
                (FOLDER / f"{name}.png").write_bytes(data)
                print(f"{name}.png: {len(data) / 1000:.0f} kB, {caption}")
        except (UserError, OSError, ValueError, KeyError) as error:
            failed = 1
            print(f"{run}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
