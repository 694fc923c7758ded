"""Faults that can be planted in the embedded service, a module a family; `FAULTS` is the catalogue."""

from harness.reference.faults import (
    access,
    challenges,
    delivery,
    filters,
    forms,
    gateways,
    ids,
    paths,
    races,
    rates,
    refs,
    restarts,
    state,
    waits,
)
from harness.reference.faults.catalogue import FAULTS, Fault, build_app

__all__ = [
    "FAULTS", "Fault", "access", "build_app", "challenges", "delivery", "filters", "forms", "gateways", "ids", "paths",
    "races", "rates", "refs", "restarts", "state", "waits",
]  # fmt: skip
