"""Run the command `jaxvae compare`."""

from pathlib import Path

from absl import flags

from jaxvae.cli.flags import HELP, words
from jaxvae.common.errors import UserError
from jaxvae.experiment.defaults import FORMATS

USAGE = """Compare runs: the settings that differ, the metrics, and curves over each other.

jaxvae compare runs/a runs/b runs/c              from a checkout: python launch.py compare runs/a runs/b runs/c
jaxvae compare runs/beta* --metrics=nll,kl --by=kl.beta --format=pdf

Runs that differ by seed alone become one column: mean ± standard deviation. Prints the table, and writes it with the
figures to a folder: comparison.html, comparison.txt, runs.csv (a row for each run) and summary.csv (mean, sd and n).

  --out=comparison   the folder
  --metrics=         metrics drawn against a setting, named as in runs.csv; default: NLL (else ELBO, loss) and its parts
  --by=              that setting; default: of those that differ, the one with most values
  --format=png       png, pdf or svg; beside pdf or svg a PNG is written too"""

MOST_NAMED = 5  # folders in a message


def asked(argv: list[str]) -> bool:
    """Return whether the command line's first word is `compare`."""
    return argv[1:2] == ["compare"]


def run(argv: list[str]) -> None:
    """Compare the runs that the command line names, and print the table.

    Raises:
      UserError: an unknown flag or name; or, after everything is written, folders that could not be compared.
    """
    if HELP & set(argv):
        print(USAGE)
        return
    values = flags.FlagValues()
    flags.DEFINE_string("out", "comparison", "folder to write", flag_values=values)
    flags.DEFINE_list("metrics", [], "metrics drawn against a setting", flag_values=values)
    flags.DEFINE_string("by", "", "that setting", flag_values=values)
    flags.DEFINE_enum("format", "png", FORMATS, "format of the figures", flag_values=values)
    folders = words(argv, values)
    if not folders:
        raise UserError("Name the folders of the runs to compare: jaxvae compare runs/a runs/b.")
    from jaxvae.report.comparison.write import write  # imports matplotlib: late, so that help is fast

    written = write(folders, Path(values.out), values.metrics, values.by, values.format)
    print(written.text)
    if written.refused:
        count = len(written.refused) - MOST_NAMED
        more = f" {count} more folders cannot be compared either." if count > 0 else ""
        raise UserError(f"{' '.join(written.refused[:MOST_NAMED])}{more} The others are compared in '{values.out}'.")
