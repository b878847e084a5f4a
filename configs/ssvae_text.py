"""Few labels of text: M2 with LSTMs, the label seen by each step of the decoder (Xu et al. 2017, arXiv:1603.02514).

python launch.py --config=configs/ssvae_text.py        # generated sentences, bundled; 100 labels of their tense: 0.878
python launch.py --config=configs/ssvae_text.py:own --config.data.path=FOLDER --config.data.label=file
    # FOLDER/positive.txt, FOLDER/negative.txt, one text a line; data.label=tab: lines 'label<TAB>text'

docs/labels.md has the settings of a decoder of independent words, which taught the classifier most on movie reviews.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("ssvae_text", dataset or "sentences")
    config.data.kind = "text"
    config.data.pixel_range = ()
    config.data.label = "tense"
    config.data.labels = 100
    config.data.context = "label"
    config.model.latent_dim = 16
    config.model.likelihood = {"name": "categorical"}
    config.network = {"name": "lstm", "embed_dim": 32, "hidden": 64}
    config.network.update(encoder_dropout=0.3, word_dropout=0.2)
    config.objective = {"name": "m2", "alpha": 1.0}
    config.kl = {"name": "linear", "fraction": 0.3}
    config.optimizer.learning_rate = 3e-3
    config.optimizer.clip_norm = 5.0
    config.train.batch_size = 64
    config.train.num_epochs = 10
    config.train.eval_every_epochs = 5
    config.train.steps_per_call = 1  # each step has the length of its own batch
    config.evaluate.batch_size = 64
    config.evaluate.checkpoint = "last"  # the best one would need labels of validation examples
    config.evaluate.metrics = "classification"
    return config
