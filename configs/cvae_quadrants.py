"""Predict the hidden quadrants of an image from the others by a conditional VAE (Sohn, Lee & Yan 2015, section 5.1).

python launch.py --config=configs/cvae_quadrants.py            # 8x8 digits, bundled; the lower left quadrant is seen
python launch.py --config=configs/cvae_quadrants.py:mnist      # one quadrant seen: NLL 60.50 after 40 epochs
python launch.py --config=configs/cvae_quadrants.py:mnist --config.data.context=top_left,bottom_left  # two quadrants

The context is the seen quadrants; loss and NLL are of the others alone.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("cvae_quadrants", dataset)
    config.data.context = "bottom_left"
    config.data.binarization = "static"
    config.model.latent_dim = 50
    config.model.prior = {"name": "conditional_normal", "hidden": (500, 500)}
    config.network = {"name": "mlp", "hidden": (500, 500), "activation": "relu", "hidden_scale": 1 / 3}
    if config.data.name == "mnist":
        config.data.binarization = "dynamic"  # with pixels drawn once the model learns the draws by heart
        config.optimizer.schedule.name = "cosine"
        config.train.num_epochs = 40
    return config
