"""Which rules find which defect of a simulated endpoint, and what they say of correct ones.

`python -m tests.benchmarks.detection [--runs 20]` simulates so many runs of a correct endpoint and of each defect, each
of them twelve programmes under a policy of its own, judges each by all rules and prints a table: a line for each defect
with the rules that found it and in how many runs. `--correct` leaves out the defects.
"""

import argparse
from collections import Counter as Counts

from tests.rules.whole_runs import blamed
from tests.rules.whole_world import DEFECTS, any_world, defective_world


def main() -> None:
    """Print the detection table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--correct", action="store_true", help="Only correct endpoints: nothing may be found.")
    flags = parser.parse_args()
    seeds = range(flags.first, flags.first + flags.runs)
    alarms = [(seed, found) for seed in seeds if (found := blamed(any_world(seed)))]
    print(f"correct: {len(alarms)} of {flags.runs} runs blamed {alarms or ''}")
    for defect, (rules, _) in DEFECTS.items() if not flags.correct else ():
        hit = Counts(rule for seed in seeds for rule in blamed(defective_world(seed, defect)))
        hits = " ".join(f"{rule} {many}/{flags.runs}" for rule, many in hit.most_common(4))
        mark = "" if any(hit[rule] for rule in rules) else "MISSED "
        print(f"{defect:<26} {mark}{hits}")


if __name__ == "__main__":
    main()
