"""What a load is made from: options, plan, profile and run folder, and the orders that follow from them."""

import resource
from dataclasses import dataclass
from math import ceil
from typing import Final

from harness.errors import HarnessError
from harness.plan import Plan
from harness.profile import Profile, load_profile
from harness.run_folder import RunFolder, open_run
from scenarios.load.options import Options, plan_of_options
from scenarios.load.order import Order
from scenarios.load.part import Deal
from scenarios.load.planner import deal
from scenarios.load.usage import read_usage

SPARE_FILES: Final = 100  # descriptors besides those of connections


@dataclass(frozen=True)
class Setup:
    """Everything that is read before a load begins."""

    options: Options
    plan: Plan
    profile: Profile
    folder: RunFolder

    def orders(self, turn: int) -> tuple[Deal, list[Order]]:
        """Who does what in a turn: the deal, and the order of each process."""
        usage = read_usage(self.folder.history, self.profile)
        everyone = list(range(len(self.profile.pool.users)))
        indices = self.folder.facts.get("deal", {}).get("load", everyone)
        processes = self.options.processes
        made = deal(self.plan, self.profile, usage, indices, processes)
        run, seed, plan = str(self.folder.facts["started"]), self.options.seed, self.plan
        connections = ceil(plan.connections / processes)
        return made, [
            Order(run, seed, process, turn, plan.timeout_s, connections, tuple(made.of(process)), usage)
            for process in range(processes)
        ]


def read_setup(options: Options) -> Setup:
    """Read and check what the options name; HarnessError where a load cannot begin."""
    assert options.run is not None
    plan = plan_of_options(options)
    if options.listen is None:
        raise_file_limit(ceil(plan.connections / options.processes))
    return Setup(options, plan, load_profile(options.profile), open_run(options.run))


def raise_file_limit(connections: int) -> None:
    """Let this process, and those it starts, open so many connections; HarnessError where the system does not."""
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and wanted > hard:
        raise HarnessError(
            f"{connections:,} connections in one process need {wanted:,} file descriptors; the limit is {hard:,}",
            hint=f"Raise it (ulimit -Hn {wanted}), lower `connections` in the plan, or use more --processes.",
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
