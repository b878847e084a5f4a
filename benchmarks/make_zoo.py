"""Train the models of the zoo, one after another, and write them to jaxvae/zoo/.

python benchmarks/make_zoo.py                     # all; minutes on 2 CPU cores
python benchmarks/make_zoo.py vae-digits ...      # some

Each is a config on bundled data, small enough for the wheel: see docs/zoo.md. Another version of JAX gives other last
digits, so that a model is made again only on purpose: later versions must read its files and give its numbers.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import jaxvae

ZOO = Path(__file__).parents[1] / "jaxvae" / "zoo"
USUAL = {"figures.draw": False, "evaluate.metrics": "", "evaluate.report": False, "evaluate.nll_samples": 100}
SENTENCES = {"network.embed_dim": 48, "network.hidden": 64, "model.latent_dim": 16, "train.num_epochs": 8}
MELODIES = {"network.embed_dim": 32, "network.hidden": 56, "network.conductor": 56, "model.latent_dim": 16,
            "train.num_epochs": 8}  # fmt: skip
MODELS = {  # config and settings; the name is that of the run
    "vae-digits": ("vae", {}),
    "vae_2d-digits": ("vae_2d", {}),
    "conv_vae-digits": ("conv_vae", {}),
    "cvae-digits": ("cvae", {}),
    "vq_vae-digits": ("vq_vae", {"network.hidden": (256,)}),
    "ae-digits": ("ae", {}),
    "table_vae-wine": ("table_vae", {}),
    "miwae_missing-breast_cancer": ("miwae_missing", {}),
    "text_vae-sentences": ("text_vae", SENTENCES),
    "music_vae-melodies": ("music_vae", MELODIES),
}


def make(name: str) -> None:
    """Train one model and write its folder."""
    config, settings = MODELS[name]
    start = time.process_time()
    run = jaxvae.fit(config, settings={**USUAL, **settings, "name": name}, progress=False)
    shutil.rmtree(ZOO / name, ignore_errors=True)
    files = run.export(ZOO / name, license="apache-2.0")
    log = ZOO / name / "metrics.jsonl"  # of validation alone: small
    log.write_text("".join(json.dumps(row) + "\n" for row in run.history if row["split"] == "validation"))
    size = sum(path.stat().st_size for path in files)
    loss = json.loads((ZOO / name / "results.json").read_text())["test"]["loss"]
    print(
        f"{name:<30} test loss {loss:9.3f}  {size / 1e3:5.0f} kB  {time.process_time() - start:5.0f} s of CPU",
        flush=True,
    )


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MODELS:
        make(chosen)
