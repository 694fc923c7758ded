"""What master and workers say to each other over Locust's channel, besides what Locust says."""

import hashlib
import json
from typing import Final

from harness import __version__
from harness.profile import Profile
from harness.run_folder import facts_of

HELLO: Final = "stepup-hello"  # worker: here I am; my process, host, and what I would test
WELCOME: Final = "stepup-welcome"  # master: come in, or why not
READY: Final = "stepup-ready"  # worker: I can take orders
CLOCK: Final = "stepup-clock"  # worker: what time do you have? master: this
ORDER: Final = "stepup-order"  # master: this is what you do in the next turn
ROWS: Final = "stepup-rows"  # worker: exchanges that I recorded
ENDED: Final = "stepup-ended"  # worker: the turn is over, and this became of it
CLOSE: Final = "stepup-close"  # master: send nothing more, and close your shard
CLOSED: Final = "stepup-closed"  # worker: done, and these are my counts


def digest_of(profile: Profile) -> str:
    """What a master and its workers must have in common: the harness, the limits and policies, the pool of users."""
    facts = facts_of(profile)
    facts["target"] = {k: v for k, v in facts["target"].items() if k not in ("base_url", "ca_file", "allow")}
    told = json.dumps([__version__, facts, profile.pool.facts()], sort_keys=True, default=list)
    return hashlib.sha256(told.encode()).hexdigest()
