"""The catalogue of faults: what each imitates, which rules must catch it, and what has to be set for it to show."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.reference.http import App
from harness.reference.people import People
from harness.reference.service import Service
from harness.reference.settings import Settings


@dataclass(frozen=True)
class Fault:
    """A planted defect. `rules` are those that must catch it; `needs` the settings under which it shows."""

    id: str
    imitates: str
    rules: tuple[str, ...]
    needs: dict[str, Any] = field(default_factory=dict)
    planted: type[Service] | type[App] = field(default=Service, repr=False)


Planted = TypeVar("Planted", type[Service], type[App])
FAULTS: Final[dict[str, Fault]] = {}


def fault(name: str, imitates: str, *rules: str, **needs: Any) -> Callable[[Planted], Planted]:
    """Plant a subclass of Service or App under a name; an entry that could not be used is refused at import."""
    known = {setting.name for setting in fields(Settings)}

    def plant(planted: Planted) -> Planted:
        if name in FAULTS or not rules or not needs.keys() <= known:
            raise ValueError(f"fault {name!r}: the name is taken, no rule is named, or a setting is unknown")
        FAULTS[name] = Fault(name, imitates, rules, needs, planted)
        return planted

    return plant


def build_app(settings: Settings, people: People, database: Path) -> App:
    """The service of these settings, with the fault they name planted in it."""
    planted = FAULTS[settings.fault].planted if settings.fault else Service
    if issubclass(planted, App):
        return planted(Service(settings, people, database))
    return App(planted(settings, people, database))
