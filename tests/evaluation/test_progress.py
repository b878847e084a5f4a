"""The progress line of slow metrics: on a terminal alone, and erased at its end."""

import io

import pytest

from jaxvae.evaluation import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shows"), [(Terminal, True), (io.StringIO, False)])
def test_a_line_names_the_metric_and_its_batches_on_a_terminal(monkeypatch, stream, shows):
    stderr = stream()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr(progress, "MOMENT", 0.0)
    assert list(progress.progress("nll", [3, 1, 2], "batch")) == [3, 1, 2]
    said = stderr.getvalue()
    assert ("nll" in said and "0/3" in said) == shows
    assert not said or said.endswith("\r")
