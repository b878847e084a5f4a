"""The Python blocks of every page run as written, one after the other, in an empty folder.

Only training is shorter: 2 epochs where the page leaves their number to the config, and no figures.
"""

import jax
import numpy as np
import pytest
from pages import PAGES, ROOT, blocks

import jaxvae

ELSEWHERE = {"own_parts.md": "its blocks are files of a package of one's own: tests/cli/test_own_parts_example.py"}
WITH_BLOCKS = [page for page in PAGES if blocks(page, "python") and page.name not in ELSEWHERE]
SHORT = {"train.num_epochs": 2, "evaluate.report": False, "evaluate.nll_samples": 10}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder, in which training is short."""
    fit = jaxvae.fit

    def short(what, data, settings=None, **named):
        given = {key.replace("__", ".") for key in named} | set(settings or {})
        rest = {key: value for key, value in SHORT.items() if key not in given}
        return fit(what, data, {**(settings or {}), **rest}, **named)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxvae, "fit", short)
    return tmp_path


def test_pages_with_blocks_are_found():
    assert len(WITH_BLOCKS) > 10
    assert {page.name for page in PAGES} >= ELSEWHERE.keys()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=[page.name for page in WITH_BLOCKS])
def test_the_blocks_of_a_page_run(page, workplace):
    code = blocks(page, "python")
    if any("mine.npy" in block for block in code):
        np.save("mine.npy", np.random.default_rng(0).normal(3.0, 2.0, (200, 4)))
    if any('"runs/vae-digits"' in block for block in code):
        jaxvae.fit("vae", "digits", workdir="runs/vae-digits")
    names = {}
    for number, block in enumerate(code):
        with jax.debug_key_reuse("MCMC" not in block):  # NumPyro's sampler splits a key that it has used
            exec(compile(block, f"{page.relative_to(ROOT)}, block {number}", "exec"), names)
