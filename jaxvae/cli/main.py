"""Run the command `jaxvae`: parse the flags, run one mode, and turn every mistake into one paragraph."""

import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags, logging

from jaxvae.api.suggestions import check_options
from jaxvae.cli import compare, export
from jaxvae.cli import help as help_
from jaxvae.cli.devices import check_devices
from jaxvae.cli.flags import parse
from jaxvae.cli.modules import bring, trusted
from jaxvae.common.errors import UserError, advice
from jaxvae.common.platform import avoid_wrong_sums
from jaxvae.experiment import own
from jaxvae.experiment.checks import check_places
from jaxvae.experiment.plain import flatten

MODES = ("train", "evaluate", "sample", "reconstruct", "encode", "tool")


def command() -> int:
    """Run the installed command `jaxvae` (entry point)."""
    return main(sys.argv, time.time())


def main(argv: list[str], started: float) -> int:
    """Run one mode, or print help.

    Args:
      argv: the name of the program and its arguments.
      started: when the process started, in seconds since the epoch.

    Returns:
      the exit status: 0, 2 after a user's error, 128 + n after signal n.
    """
    values, config = _flags(), {}
    try:
        for command in (compare, export):
            if command.asked(argv):
                command.run(argv)
                return 0
        if help_.asked(argv):
            print(help_.text(argv, values))
            return 0
        config = parse(argv, values).to_dict()
        workdir = Path(values.workdir or f"runs/{config['name']}")
        if values.mode == "train":
            check_places(config, workdir)
        avoid_wrong_sums()
        from jaxvae.train import sharding  # imports JAX: late, so that help and errors in flags are fast

        _say_things_once()
        _keep_compiled()
        sharding.start_hosts(values.coordinator, values.num_processes, values.process_id, values.host_timeout)
        check_devices()
        from jaxvae.cli import commands
        from jaxvae.runs import hosts

        check_options(flatten(config))
        bring(trusted(argv, config, values["import"].value or ""))
        with hosts.watched():
            commands.MODES[values.mode](config, workdir, started)
    except UserError as error:
        return _fail(f"error: {' '.join(str(error).split())}", 2)
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        return _fail(f"error: The system refused{where}: {error.strerror or error}.{advice(error)}", 2)
    except (MemoryError, RuntimeError) as error:  # devices raise RuntimeError
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            return _own_failure(error, config)
        smaller = "Make model.latent_dim, network.hidden, train.batch_size or evaluate.memory_mb smaller."
        return _fail(f"error: This does not fit into memory: {str(error).splitlines()[0]}. {smaller}", 2)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "stopped", getattr(stop, "status", 130))
    except Exception as error:
        return _own_failure(error, config)
    return 0


def _own_failure(error: Exception, config: Mapping[str, Any]) -> int:
    """Print an error of the user's own parts in one paragraph; raise every other error again."""
    failed = own.failure(error, own.names(config))
    if not failed:
        raise error
    return _fail(f"error: Your own code failed: {' '.join(failed.split())}", 2)


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", "", "folder of the run (default: runs/<config.name>)", flag_values=values)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", flag_values=values)
    flags.DEFINE_string("import", "", "your own modules whose parts a run may use", flag_values=values)
    flags.DEFINE_string("coordinator", "", "HOST:PORT of process 0, to run on several hosts", flag_values=values)
    flags.DEFINE_integer("num_processes", 0, "number of processes, over all hosts", flag_values=values)
    flags.DEFINE_integer("process_id", -1, "rank of this process, from 0", flag_values=values)
    flags.DEFINE_integer(
        "host_timeout", 100, "seconds without a heartbeat after which another process is lost", 1, flag_values=values
    )
    return values


def _keep_compiled() -> None:
    """Cache compiled programs on disk, so that a second start of the same run does not compile again.

    Failures of the cache are harmless, so their warnings are silenced.
    """
    import jax

    from jaxvae.data.cache import cache_folder

    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _say_things_once() -> None:
    """Silence Orbax's logging and its threads' tracebacks: it raises the same errors, which `main` prints."""
    logging.set_verbosity(logging.FATAL)
    default = sys.unraisablehook
    sys.unraisablehook = lambda it: None if str(it.exc_value) == "Event loop is closed" else default(it)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
