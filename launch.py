"""The command line from a checkout: `python launch.py` is `jaxvae`, which is `jaxvae.cli.main`."""

import sys
import time

from jaxvae.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv, time.time()))
