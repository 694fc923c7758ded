"""Writes the profile of the service: what it declares about itself, in the form that `stepup run --profile` reads."""

from ipaddress import ip_address

from harness.reference.settings import Settings


def profile_text(settings: Settings, base_url: str) -> str:
    """profile.toml for a service with these settings; what is not limited is left out."""
    parts = [_target(settings, base_url), _policy(settings), _challenges(settings), _rate(settings), _CONTROL]
    return "\n".join(part for part in parts if part)


def _target(settings: Settings, base_url: str) -> str:
    return f"""# Written by the embedded service each time it starts.
[target]
base_url = "{base_url}"
allow = {_truth(not _is_loopback(settings.host))}
exclusive = true
clock_step = "1ms"
late_effect = "{settings.late_effect:g}s"
hosts = 1

[credentials]
users = "users.json"
"""


def _policy(settings: Settings) -> str:
    lasts = "" if settings.in_flight_for is None else f'in_flight_for = "{settings.in_flight_for:g}s"\n'
    return f"""[policy]
in_flight = "{settings.in_flight}"
{lasts}concurrent_duplicate = "{settings.concurrent_duplicate}"
longest_ref = {settings.longest_ref}
"""


def _challenges(settings: Settings) -> str:
    if settings.challenge_count is None:
        return ""
    return f"""[limits.challenges]
count = {settings.challenge_count}
window = "{settings.challenge_window:g}s"
scope = "{settings.challenge_scope}"
"""


def _rate(settings: Settings) -> str:
    if settings.rate_count is None:
        return ""
    bucket = f"burst = {settings.bucket}\n" if settings.rate_algorithm == "token-bucket" else ""
    phase = f'phase = "{settings.rate_phase}"\n' if settings.rate_algorithm == "fixed-window" else ""
    return f"""[limits.rate]
count = {settings.rate_count}
window = "{settings.rate_window:g}s"
algorithm = "{settings.rate_algorithm}"
{bucket}{phase}scope = "{settings.rate_scope}"
retry_after = {_truth(settings.retry_after)}
counts_refusals = {_truth(settings.counts_refusals)}
counts_replays = {_truth(settings.counts_replays)}
"""


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach the service; a name other than localhost may mean anything."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _truth(value: bool) -> str:
    return "true" if value else "false"


_CONTROL = """[control]
accept = "POST /simulate/challenges/{challenge_id}/accept"
decline = "POST /simulate/challenges/{challenge_id}/decline"
pushes = "GET /simulate/pushes"
reset = "POST /simulate/reset"
kill = "POST /simulate/kill"
stall = "POST /simulate/stall"
"""
