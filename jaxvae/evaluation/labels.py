"""Display names of metrics. Imports no JAX."""

from jaxvae.experiment.own import short

WORDS = {word: word.upper() for word in ("ais", "ari", "auroc", "dci", "elbo", "irs", "iwae", "kl", "mig", "mmd", "nll",
                                         "nmi", "prdc", "psnr", "sap", "ssim", "vae")}  # fmt: skip
WORDS |= {"frechet": "Fréchet", "knn": "k-NN", "pareto": "Pareto"}


def label(name: str, part: str = "") -> str:
    """Return the display name of a number: "MIG", "clustering: NMI", "DCI: completeness".

    Args:
      name: the metric's name.
      part: the number's own name; a prefix equal to the metric's name is dropped.
    """
    name = short(name)
    said = " ".join(WORDS.get(word, word) for word in name.split("_"))
    rest = part.removeprefix(name).strip("_")
    return f"{said}: {label(rest)}" if rest else said
