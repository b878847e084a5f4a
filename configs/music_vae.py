"""Music VAE with a conductor over bars (MusicVAE: Roberts et al. 2018, arXiv:1803.05428, sections 3.2 and 4), small.

python launch.py --config=configs/music_vae.py      # 600 generated pieces for four voices: test ELBO -95.36, KL 9.90
python launch.py --config=configs/music_vae.py --config.data.path=FOLDER_OF_MIDI_FILES
python launch.py --config=configs/music_vae.py:jsb --config.data.path=JSB.npz     # one LSTM: 8.26 nats a frame
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("music_vae", dataset or "melodies")
    config.data.kind = "music"
    config.data.pixel_range = ()
    config.model.latent_dim = 32
    config.model.likelihood = {"name": "bernoulli"}
    config.network = {"name": "hierarchical", "bar": 4, "embed_dim": 128, "hidden": 256, "conductor": 256}
    config.network.dropout = 0.2
    config.kl = {"name": "free_bits", "nats": 0.25, "fraction": 0.2}
    config.optimizer.clip_norm = 5.0
    config.train.batch_size = 16
    config.train.steps_per_call = 1  # each step has the length of its own batch
    config.evaluate.batch_size = 64
    config.sample.decoding = {"name": "random", "temperature": 0.7}
    if dataset == "jsb":
        config.network = {"name": "lstm", "embed_dim": 128, "hidden": 200, "encoder_hidden": 128, "dropout": 0.4}
        config.kl.nats = 0.1
    return config
