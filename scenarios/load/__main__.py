"""Starts the load stage: `python -m scenarios.load --profile FILE --run DIR`."""

import os
import signal

# Nothing has been sent while this is still being loaded; the stage has a better handler as soon as it is.
signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import locust  # noqa: E402, F401, I001  before all else: it patches the standard library for gevent as it is imported

import logging  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from harness.errors import ExitCode, HarnessError  # noqa: E402
from scenarios.load.options import read_options  # noqa: E402


def main(arguments: Sequence[str]) -> ExitCode:
    """Run the load that the arguments name; errors that a user can mend are printed."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _run(arguments)
    except HarnessError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201
        return error.code


def _run(arguments: Sequence[str]) -> ExitCode:
    options = read_options(arguments)
    sys.argv = sys.argv[:1]  # Locust's page reads the command line of its process as if it were Locust's own
    if options.join is not None:
        from scenarios.load.worker import work_for

        return work_for(options, options.join)
    from scenarios.load.setup import read_setup

    setup = read_setup(options)
    if options.processes > 1 or options.listen is not None:
        from scenarios.load.master import Master

        return Master(setup).run()
    from scenarios.load.engine import Alone

    return Alone(setup).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
