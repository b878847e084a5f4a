"""Music VAE with a conductor over bars (MusicVAE: Roberts et al. 2018, arXiv:1803.05428, sections 3.2 and 4), small.

python launch.py --config=configs/music_vae.py      # 600 four-voice pieces, generated, bundled
python launch.py --config=configs/music_vae.py --config.data.path=FOLDER_OF_MIDI_FILES
"""

from configs import base


def get_config(dataset=""):
    config = base.get_config("music_vae", dataset or "melodies")
    config.data.kind = "music"
    config.data.pixel_range = ()
    config.model.latent_dim = 32
    config.model.likelihood = {"name": "bernoulli"}
    config.network = {
        "name": "hierarchical",
        "bar": 4,
        "embed_dim": 128,
        "hidden": 256,
        "conductor": 256,
        "dropout": 0.2,
    }
    config.kl = {"name": "free_bits", "nats": 0.25, "fraction": 0.2}
    config.optimizer.clip_norm = 5.0
    config.train.batch_size = 32
    config.train.steps_per_call = 1
    config.evaluate.batch_size = 64
    config.sample.decoding = {"name": "random", "temperature": 0.5}
    return config
