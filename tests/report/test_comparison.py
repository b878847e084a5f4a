"""The table of a comparison, its numbers against `statistics`, and the files it writes from folders of runs."""

import csv
import io
import json
import time

import numpy as np
import pytest

import launch
from jaxvae.common.errors import UserError
from jaxvae.experiment import defaults
from jaxvae.report.comparison import charts, read, table, write
from jaxvae.report.comparison.table import Entry, compare


def entry(name, seed=0, beta=1.0, nll=100.0, **more):
    return Entry(name, {"name": name, "seed": seed, "kl.beta": beta, "data.name": "digits"} | more, {"nll": nll})


GRID = [entry(f"b{beta}s{seed}", seed, beta, 10 * beta + seed**2) for beta in (4.0, 0.5, 1.0) for seed in (0, 1, 2)]


def test_runs_that_differ_by_seed_alone_are_averaged_with_the_divisor_n_minus_1():
    found = compare(GRID)
    assert found.settings == ["kl.beta"]
    assert [group.settings["kl.beta"] for group in found.groups] == [0.5, 1.0, 4.0]
    assert [len(group.names) for group in found.groups] == [3, 3, 3]
    for group in found.groups:
        values = 10 * group.settings["kl.beta"] + np.array([0.0, 1.0, 4.0])
        assert group.metrics["nll"].mean == pytest.approx(values.mean())
        assert group.metrics["nll"].sd == pytest.approx(values.std(ddof=1))
        assert group.metrics["nll"].n == 3
    assert not found.notes
    text = table.as_text(found)
    assert "mean of 3 runs" in text
    assert "6.667 ± 2.082" in text  # 5 + (0, 1, 4): mean 6 2/3, sd of 0, 1, 4
    assert "divisor n - 1" in text
    assert "note: NLL: nats per example." in text


def test_what_has_no_effect_on_the_numbers_does_not_part_runs():
    quiet = {"tool.name": "impute", "figures.format": "pdf", "evaluate.metrics": "all", "data.cache_dir": "/x",
             "data.path": "/moved", "encode.format": "csv"}  # fmt: skip
    found = compare([entry("a", 0), entry("b", 1, **quiet)])
    assert found.settings == []
    assert found.groups[0].names == ("a", "b")
    assert compare([entry("a"), entry("b", **{"tools": 1})]).settings == ["tools"]  # no prefix of a word


def test_data_is_known_by_its_checksum(tmp_path):
    """Each run: the path of its data, its checksum, how it is prepared; the name that stands for it."""
    cases = [
        (("a/wine.csv", "11", 0.0), "wine"), (("b/moved.csv", "11", 0.0), "wine"),  # moved
        (("a/wine.csv", "22", 0.0), "wine (22)"),  # overwritten by other data
        (("a/wine.csv", "33", 0.5), "wine"),  # values hidden in the same file
        (("c/wine.csv", "44", 0.0), "wine (44)"), (("a/wine.csv", "", 0.0), "wine"),  # of an earlier version
        (("c/moved.csv", "", 0.0), "moved"),
    ]  # fmt: skip
    paths = []
    for i, ((path, checksum, missing), _) in enumerate(cases):
        name = path.partition("/")[2].removesuffix(".csv")
        measured = results(20.0) | ({"data": {"checksum": checksum}} if checksum else {})
        paths.append(folder(tmp_path / f"r{i}", measured, data__path=path, data__name=name, data__missing=missing))
    found = read.read(paths)
    assert [entry.settings["data.name"] for entry in found.entries] == [name for _, name in cases]
    assert compare(found.entries[:2]).settings == []
    assert compare(found.entries[:3]).settings == ["data.name"]
    assert compare([found.entries[0], found.entries[3]]).settings == ["data.missing"]


def test_the_same_seed_twice_counts_once():
    found = compare([entry("a", 0, nll=1.0), entry("twin", 0, nll=1.0), entry("b", 1, nll=3.0)])
    assert found.groups[0].names == ("a", "b")
    assert found.groups[0].metrics["nll"] == table.Mean(2.0, pytest.approx(2**0.5), 2)
    assert len(found.notes) == 1
    assert "'twin'" in found.notes[0]
    assert len(list(csv.reader(io.StringIO(table.runs_csv(found))))) == 4


def test_settings_and_metrics_that_a_run_lacks_are_dashes():
    other = Entry("other", entry("other").settings | {"kl.cycles": 4}, {"loss": 2.0})
    found = compare([entry("a"), other])
    rows = {row[0]: row[1:] for row in table.cells(found)}
    assert rows["kl.cycles"] == ["-", "4"]
    assert rows["NLL"] == ["100", "-"]
    assert rows["loss"] == ["-", "2"]
    assert "seed" not in rows
    partly = compare([entry("a", 0), Entry("b", entry("b", 1).settings, {}), entry("c", 2, nll=102.0)])
    assert table.cells(partly)[-1] == ["NLL", "101.000 ± 1.414 (n=2)"]


def test_csv_has_a_row_for_each_run_and_for_each_group():
    found = compare(GRID)
    runs = list(csv.DictReader(io.StringIO(table.runs_csv(found))))
    assert [(row["run"], float(row["nll"])) for row in runs] == [(one.name, one.metrics["nll"]) for one in GRID]
    groups = list(csv.DictReader(io.StringIO(table.groups_csv(found))))
    assert [float(row["kl.beta"]) for row in groups] == [0.5, 1.0, 4.0]
    assert [float(row["nll sd"]) for row in groups] == pytest.approx([np.std([0, 1, 4], ddof=1)] * 3)
    assert {row["nll n"] for row in groups} == {row["runs"] for row in groups} == {"3"}


def test_the_text_is_as_wide_as_a_terminal():
    text = table.as_text(compare([entry(f"a-long-name-of-a-run-{i}", beta=float(i)) for i in range(9)]), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("kl.beta") == len(text.split("\n\n")) > 1
    assert all(f"run-{i}" in text for i in range(9))


def test_a_point_with_error_bars_is_the_mean_and_the_sd():
    found = compare(GRID)
    assert charts.main_setting(found) == "kl.beta"
    axes = charts.against(found, "nll", "kl.beta").axes[0]
    (drawn,) = axes.containers
    np.testing.assert_allclose(drawn.lines[0].get_xydata(), [(b, 10 * b + 5 / 3) for b in (0.5, 1.0, 4.0)])
    low, high = (np.asarray(cap.get_ydata(), float) for cap in drawn.lines[1])
    np.testing.assert_allclose((high - low) / 2, np.std([0, 1, 4], ddof=1))
    assert axes.get_ylabel() == "NLL (nats)"
    assert axes.get_xlabel() == "kl.beta\nmean ± sd, n = 3"


def test_a_second_setting_gives_lines_and_words_give_ticks():
    named = [entry(f"{kind}{beta}", beta=beta, kind=kind) for kind in ("flat", "deep") for beta in (1.0, 2.0, 3.0)]
    axes = charts.against(compare(named), "nll", "kl.beta").axes[0]
    assert [one.get_label() for one in axes.containers] == ["kind=deep", "kind=flat"]
    by_kind = charts.against(compare(named), "nll", "kind").axes[0]
    assert [tick.get_text() for tick in by_kind.get_xticklabels()] == ["deep", "flat"]
    assert charts.main_setting(compare(named)) == "kl.beta"


def test_a_label_that_is_too_long_gives_way_to_the_runs_name():
    group = compare([entry("a", **{"x.width": 7}), entry("b", **{"y.width": 8})]).groups[0]
    assert group.label() == "x.width=-, y.width=8"
    long = compare([entry("a", text="t" * 60), entry("b", 1, text="t" * 60), entry("c")]).groups[1]
    assert long.label() == "a and 1 more"


def folder(path, results, **changes):
    config = defaults.get_config("vae").to_dict()
    for key, value in changes.items():
        section, _, name = key.partition("__")
        config[section] = {**config[section], name: value} if name else value
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    rows = [{"step": i, "epoch": float(i), "split": "validation", "loss": 30.0 / i, "kl": i} for i in range(1, 7)]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if results is not None:
        (path / "results.json").write_text(json.dumps(results))
    return str(path)


def results(nll):
    return {"test": {"nll": nll, "kl": 3.0, "nll_samples": 5, "elbo": None}, "train_seconds": 2.5,
            "metrics": {"collapse": {"active": 4, "warning": "text", "kl_by_unit": [1.0]}}}  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    return [
        folder(tmp_path / f"runs/b{b}-{s}", results(20.0 + b + s), kl__beta=b, seed=s)
        for b in (1.0, 2.0)
        for s in (0, 1)
    ]


def test_numbers_are_flat_and_finite():
    assert read.numbers(results(9.0)) == {"nll": 9.0, "kl": 3.0, "collapse.active": 4, "train_seconds": 2.5}
    assert read.numbers({"test": [], "metrics": {"a": 3}, "train_seconds": True}) == {}


def test_the_command_compares_what_can_be_compared_and_names_the_rest(runs, tmp_path, capsys):
    unfinished = folder(tmp_path / "runs/unfinished", None)
    out = tmp_path / "out"
    argv = ["launch.py", "compare", *runs, unfinished, str(tmp_path / "none"), runs[0], f"--out={out}", "--format=svg"]
    assert launch.main(argv, time.time()) == 2
    text, error = capsys.readouterr()
    assert error.count("\n") == 1
    assert "'unfinished' has no results.json" not in error  # the path is given as the user gave it
    assert f"'{unfinished}' has no results.json" in error
    assert (
        f"or it was made in Python and not evaluated. Continue it, or evaluate it with --workdir={unfinished}" in error
    )
    assert f"jaxvae.load('{unfinished}', data=...).report()" in error
    assert "holds no run" in error
    assert "21.500 ± 0.707" in text
    assert (out / "comparison.txt").read_text() in text
    page = (out / "comparison.html").read_text()
    assert "21.500 ± 0.707" in page
    assert page.count("<img ") == 3
    assert "http" not in page.replace("base64", "")
    assert "holds no run" in page
    names = {path.name for path in out.iterdir()}
    pictures = {f"{name}.{kind}" for name in ("curves", "nll", "kl") for kind in ("png", "svg")}
    assert names == pictures | {"comparison.html", "comparison.txt", "runs.csv", "summary.csv"}


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(runs, tmp_path):
    for kind in ("a", "b"):
        write.write(runs, tmp_path / kind, ["nll"], "kl.beta", "pdf")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "Name the folders"),
        (["--metric=nll", "x"], "Did you mean 'metrics'?"),
        (["--format=gif", "x"], "png"),
        (["nothing/here"], "There is nothing to compare. 'nothing/here' holds no run"),
    ],
)
def test_mistakes_are_one_paragraph(argv, words, capsys):
    assert launch.main(["launch.py", "compare", *argv], time.time()) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_unknown_metrics_and_settings_are_refused_before_anything_is_written(runs, tmp_path):
    with pytest.raises(UserError, match="Did you mean 'nll'"):
        write.write(runs, tmp_path / "out", ["nl"])
    with pytest.raises(UserError, match=r"kl\.beta"):
        write.write(runs, tmp_path / "out", (), "beta")
    assert not (tmp_path / "out").exists()


def test_help_explains_the_command(capsys):
    for argv in (["compare", "--help"], ["help", "compare"]):
        assert launch.main(["launch.py", *argv], time.time()) == 0
        assert "summary.csv" in capsys.readouterr().out
