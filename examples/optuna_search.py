"""Search hyper-parameters with Optuna: the trial whose best validation ELBO is highest.

pip install optuna && python examples/optuna_search.py            # 12 trials, a few minutes on CPU
"""

import optuna  # pyright: ignore[reportMissingImports]

import jaxvae


def objective(trial, num_epochs=200):
    """Train one trial on the digits; return its best validation loss, the negative ELBO in nats per example."""
    run = jaxvae.fit(
        "vae",
        "digits",
        model__latent_dim=trial.suggest_int("latent_dim", 2, 32, log=True),
        network__hidden=(trial.suggest_categorical("width", [64, 128, 256]),),
        optimizer__learning_rate=trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        train__num_epochs=num_epochs,
        figures__draw=False,
        progress=False,
    )
    losses = [row["loss"] for row in run.history if row["split"] == "validation" and row["loss"] is not None]
    return min(losses)


def main(num_trials=12, num_epochs=200, storage=None):
    """Search, and return the study; `storage="sqlite:///search.db"` keeps it, so that a search goes on."""
    study = optuna.create_study(
        study_name="digits", storage=storage, load_if_exists=True, sampler=optuna.samplers.TPESampler(seed=0)
    )
    study.optimize(lambda trial: objective(trial, num_epochs), n_trials=num_trials)
    print(f"best of {len(study.trials)} trials: {study.best_value:.2f} nats with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
