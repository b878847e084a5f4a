"""The search of hyper-parameters: its value is the best validation loss of a run, and it goes on where it is kept."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "examples" / "optuna_search.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Optuna and its storage
def test_a_search_finds_the_best_trial_and_goes_on(tmp_path, capsys):
    pytest.importorskip("optuna")
    spec = importlib.util.spec_from_file_location("optuna_search", PATH)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    study = example.main(num_trials=2, num_epochs=10, storage=storage)
    values = [trial.value for trial in study.trials]
    assert len(values) == 2
    assert 20 < study.best_value == min(values) < max(values) < 50
    assert {"latent_dim", "width", "learning_rate"} == study.best_params.keys()
    assert f"best of 2 trials: {study.best_value:.2f} nats" in capsys.readouterr().out
    assert len(example.main(num_trials=1, num_epochs=10, storage=storage).trials) == 3
