"""VaDE: clusters of z, a mixture fitted to an autoencoder's codes and trained on (Jiang et al. 2017, arXiv:1611.05148).

python launch.py --config=configs/vade.py        # 8x8 digits, bundled: accuracy 0.930, test loss 24.15
python launch.py --config=configs/vade.py:mnist  # accuracy 0.943, mean of 5 seeds
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vade", dataset)
    is_small = dataset in ("", "digits")
    config.model.latent_dim = 10
    config.model.prior = {"name": "mixture_of_gaussians", "components": 10}
    # With the smaller weights that one hidden layer, or the last one, starts with by default, it learns slowly.
    config.network = {"name": "mlp", "activation": "relu", "hidden_scale": 2.0, "output_scale": 1.0}
    config.network.hidden = (200, 200) if is_small else (500, 500, 2000)
    config.objective = {"name": "vade"}
    config.train.pretrain_epochs = 100 if is_small else 15
    config.train.cluster_epochs = 10
    if not is_small:
        config.train.cluster_rounds = 3
        config.train.num_epochs = 10
        config.train.eval_every_epochs = 5
        config.train.batch_size = 256
        config.optimizer.schedule = {"name": "cosine"}
    config.evaluate.metrics = "collapse,clustering"
    return config
