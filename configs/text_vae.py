"""VAE of sentences with an LSTM each way (Bowman et al. 2016, arXiv:1511.06349), and free bits.

python launch.py --config=configs/text_vae.py       # 3,000 generated sentences, bundled: test ELBO -19.35, KL 8.08
python launch.py --config=configs/text_vae.py:ptb --config.data.path=FOLDER
    # ptb.train.txt, ptb.valid.txt, ptb.test.txt: test ELBO -102.32 (KL 3.96) a sentence; published: 101 (KL 2)
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("text_vae", dataset or "sentences")
    config.data.kind = "text"
    config.data.pixel_range = ()
    config.model.latent_dim = 16
    config.model.likelihood = {"name": "categorical"}
    config.network = {"name": "lstm", "embed_dim": 128, "hidden": 256, "tied": True}
    config.network.update(dropout=0.2, word_dropout=0.2)
    config.kl = {"name": "free_bits", "nats": 0.5, "fraction": 0.3}
    config.optimizer.clip_norm = 5.0
    config.optimizer.schedule.name = "cosine"
    config.train.batch_size = 32
    config.train.steps_per_call = 1  # each step has the length of its own batch
    config.evaluate.batch_size = 64
    if dataset == "ptb":
        config.model.latent_dim = 32
        config.network.update(embed_dim=256, hidden=320, encoder_hidden=128, dropout=0.3, word_dropout=0.0)
        config.kl = {"name": "free_bits", "nats": 0.125}
        config.optimizer.learning_rate = 2e-3
        config.evaluate.memory_mb = 100.0
    return config
