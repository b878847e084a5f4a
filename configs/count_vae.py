"""VAE for counts: negative binomial with a dispersion for each entry, as for gene expression (Lopez et al. 2018).

python launch.py --config=configs/count_vae.py        # 8x8 digits, bundled: test loss 117.28, NLL 116.33
python launch.py --config=configs/count_vae.py:mnist
python launch.py --config=configs/count_vae.py:cells  # drawn counts of 60 genes in 3,000 cells, measured in 3 batches

For `cells` the batch and the library size of each cell are the context, so that the code need not hold them: from codes
of half of the cells, a logistic regression reads the batch of the others with an accuracy of 0.34 (chance is 0.33, and
0.79 without the context: --config.data.context= --config.model.likelihood.link=exp) and the type with 1.00.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("count_vae", dataset)
    config.data.pixel_range = ()  # as stored
    config.model.latent_dim = 10
    config.model.likelihood = {"name": "negative_binomial"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    if config.data.name == "cells":
        config.data.context = "batch,total"
        config.model.likelihood = {"name": "negative_binomial", "link": "shares"}  # of the library size
        config.model.latent_dim = 4
        config.network.hidden = (64,)
        config.train.num_epochs = 150
        config.train.eval_every_epochs = 10
    return config
