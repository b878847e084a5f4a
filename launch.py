"""Train, evaluate, sample from or reconstruct with a variational autoencoder.

python launch.py --config=configs/vae.py                     # a model on its default data
python launch.py --config=configs/vae.py:mnist               # on another data set
python launch.py --config=configs/vae.py --config.train.num_epochs=5 --workdir=runs/short
python launch.py --workdir=runs/short --mode=sample          # a finished run needs no --config
"""

import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags, logging

from jaxvae.cli.flags import parse
from jaxvae.cli.modules import bring, trusted
from jaxvae.common.errors import UserError, advice
from jaxvae.common.platform import avoid_wrong_sums
from jaxvae.experiment import defaults, own

MODES = ["train", "evaluate", "sample", "reconstruct", "tool"]


def main(argv: list[str], started: float) -> int:
    """Runs one mode. Returns the exit status: 0, 2 for a mistake in what was given, 128 + n after signal n."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", "", "folder of the run (default: runs/<config.name>)", flag_values=values)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", flag_values=values)
    flags.DEFINE_string("import", "", "modules of your own that a run may use parts of", flag_values=values)
    flags.DEFINE_string("coordinator", "", "HOST:PORT of process 0, to run on several hosts", flag_values=values)
    flags.DEFINE_integer("num_processes", 0, "how many processes there are, over all hosts", flag_values=values)
    flags.DEFINE_integer("process_id", -1, "which of them this is, from 0", flag_values=values)
    if {"--help", "-h", "-help", "--helpfull", "--helpshort"} & set(argv):
        print(f"{__doc__}\nflags:\n{values.get_help()}")
        print(f"settings, each as --config.KEY=VALUE, with its default:\n\n{defaults.get_config('NAME')}")
        return 0
    config: Any = {}
    try:
        config = parse(argv, values)
        avoid_wrong_sums()
        from jaxvae.cli import commands
        from jaxvae.train import sharding  # brings JAX: only now, so that help and mistakes in the flags answer at once

        _say_things_once()
        _keep_compiled()
        sharding.start_hosts(values.coordinator, values.num_processes, values.process_id)
        bring(trusted(argv, config, values["import"].value))
        commands.MODES[values.mode](config.to_dict(), Path(values.workdir or f"runs/{config.name}"), started)
    except UserError as error:
        return _say(f"error: {' '.join(str(error).split())}", 2)
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        return _say(f"error: The system refused{where}: {error.strerror or error}.{advice(error)}", 2)
    except (MemoryError, RuntimeError) as error:  # RuntimeError is how a device says it
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            return _own_failure(error, config)
        smaller = "Make model.latent_dim, network.hidden, train.batch_size or evaluate.memory_mb smaller."
        return _say(f"error: This does not fit into memory: {str(error).splitlines()[0]}. {smaller}", 2)
    except KeyboardInterrupt as stop:
        return _say(str(stop) or "stopped", getattr(stop, "status", 130))
    except Exception as error:
        return _own_failure(error, config)
    return 0


def _own_failure(error: Exception, config: Mapping[str, Any]) -> int:
    """Prints an error of the user's own parts in one paragraph; every other error is raised as it is."""
    failed = own.failure(error, own.names(config))
    if not failed:
        raise error
    return _say(f"error: Your own code failed: {' '.join(failed.split())}", 2)


def _keep_compiled() -> None:
    """Compiled steps are kept on the disk: a second start of the same run does not compile again.

    Where the disk cannot keep them nothing is lost, so nothing is said.
    """
    import jax

    from jaxvae.data.cache import cache_folder

    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _say_things_once() -> None:
    """What Orbax logs or prints from its threads it raises too, and then `main` says it."""
    logging.set_verbosity(logging.FATAL)
    default = sys.unraisablehook
    sys.unraisablehook = lambda it: None if str(it.exc_value) == "Event loop is closed" else default(it)


def _say(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv, time.time()))
