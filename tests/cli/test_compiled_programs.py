"""A first start compiles few programs: what runs outside the training step is compiled as a whole, not by operation."""

import time

import jax
import pytest

import launch
from jaxvae.report import maps

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.mark.slow
def test_a_run_with_metrics_tools_and_report_compiles_few_programs(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(maps, "POINTS", 60)  # examples of the map, which scikit-learn computes

    def listen(event, seconds, **_):
        if event == COMPILED:
            compiled.append(seconds)

    options = "--config.train.num_epochs=1", "--config.evaluate.nll_samples=5"
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        assert (
            launch.main(["launch.py", "--config=configs/vae.py", f"--workdir={tmp_path}", *options], time.time()) == 0
        )
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not (tmp_path / "errors.log").exists()  # every picture and section is there
    assert (tmp_path / "report.html").is_file()
    assert 10 < len(compiled) < 40  # 31 where written; one operation at a time they were 196
