"""Draw test images, and below them reconstructions and draws of several runs on the same data.

python benchmarks/side_by_side.py sharpness.png VAE=runs/conv_vae-mnist VAE-GAN=runs/vae_gan-mnist [--sampler=gmm]
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import jaxvae
from jaxvae.experiment import sources

NUM, SIDE, TEXT, LETTER = 16, 42, 190, 14


def strip(images: np.ndarray, greatest: float, title: str) -> Image.Image:
    """Put grey images `[N, H, W, 1]` beside each other, after a title."""
    scaled = np.asarray(images[..., 0], np.float32) * (255 / greatest)
    row = np.concatenate(list(scaled), axis=1).clip(0, 255).astype(np.uint8)
    pictures = Image.fromarray(row).resize((SIDE * len(images), SIDE * images.shape[1] // images.shape[2]))
    whole = Image.new("L", (TEXT + pictures.width, pictures.height + 3), 255)
    whole.paste(pictures, (TEXT, 0))
    font = ImageFont.load_default(LETTER)
    ImageDraw.Draw(whole).text((4, pictures.height / 2), title, fill=0, font=font, anchor="lm")
    return whole


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--sampler", default="prior")
    asked = parser.parse_args()
    runs = {name: jaxvae.load(folder) for name, _, folder in (each.partition("=") for each in asked.runs)}
    data = sources.load(next(iter(runs.values())).config["data"])
    x = data.test.x[:NUM]
    rows = [strip(x, data.max_value, "test images")]
    for name, run in runs.items():
        rows.append(strip(run.reconstruct(x), data.max_value, f"{name}, reconstructions"))
        rows.append(strip(run.sample(NUM, seed=0, sampler=asked.sampler), data.max_value, f"{name}, draws"))
    whole = Image.new("L", (rows[0].width, sum(row.height for row in rows)), 255)
    for i, row in enumerate(rows):
        whole.paste(row, (0, sum(each.height for each in rows[:i])))
    whole.save(asked.path, optimize=True)


if __name__ == "__main__":
    main()
