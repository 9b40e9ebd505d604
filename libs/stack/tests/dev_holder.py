"""Runs `python -m stack dev` with stand-in services on free ports, as a process that a test can signal."""

import dataclasses
import sys
import time
from pathlib import Path

from stack import Programs
from stack.dev import dev, dev_options
from stack.runner import run_until_signal

if __name__ == "__main__":
    standin = (sys.executable, str(Path(__file__).with_name("standin.py")))
    options = dataclasses.replace(
        dev_options(), data_dir=Path(sys.argv[1]), ports={}, programs=Programs(standin, standin, standin)
    )
    sys.exit(run_until_signal(dev(options, time.monotonic()), with_parent="--with-parent" in sys.argv))
