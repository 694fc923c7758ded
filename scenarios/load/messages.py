"""What master and workers say to each other over Locust's channel, besides what Locust says."""

import hashlib
import json
from pathlib import Path
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
HARNESS: Final = "harness"  # the term that is told in words
_ROOT: Final = Path(__file__).parent.parent.parent


def terms_of(profile: Profile) -> dict[str, str]:
    """What a master and its workers must have in common, by name; the plan is the master's alone."""
    facts = facts_of(profile)
    facts["target"] = {k: v for k, v in facts["target"].items() if k not in ("base_url", "ca_file", "allow")}
    return {HARNESS: _harness(), "profile": _digest(facts), "credentials pool": _digest(profile.pool.facts())}


def differences(ours: dict[str, str], theirs: object) -> str:
    """Which of the terms differ, '' where none does; a worker of an earlier version may not know them at all."""
    told = theirs if isinstance(theirs, dict) else {}
    other = [name for name in ours if told.get(name) != ours[name]]
    if HARNESS in other:
        return f"its harness is of version {str(told.get(HARNESS, 'unknown'))[:40]}, the master's of {ours[HARNESS]}"
    return f"its {' and '.join(other)} {'is' if len(other) == 1 else 'are'} not the master's" if other else ""


def _harness() -> str:
    """The version, and a digest of the code: what a version says may change before its number does."""
    sources = sorted([*_ROOT.glob("harness/**/*.py"), *_ROOT.glob("scenarios/load/*.py")])
    code = [(str(path.relative_to(_ROOT)), path.read_text(encoding="utf-8")) for path in sources]
    return f"{__version__} ({_digest(code)[:8]})"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=list).encode()).hexdigest()
