"""The few parts of gevent that the load stage uses, with types: gevent itself has none."""

from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.event
import gevent.hub
import gevent.lock
import gevent.monkey
import gevent.pool
import gevent.socket

_gevent: Any = gevent
_socket: Any = gevent.socket
_new_waiter: Any = gevent.hub.Waiter
_new_group: Any = gevent.pool.Group
_spawned: Any = _new_group()

Event: Any = gevent.event.Event
Lock: Any = gevent.lock.BoundedSemaphore
Timeout: Any = gevent.Timeout
original: Any = gevent.monkey.get_original
wait_read: Any = _socket.wait_read
wait_write: Any = _socket.wait_write
connect: Any = _socket.create_connection


class Reply:
    """What one greenlet waits for, in `get`, until any other one, or the event loop itself, calls `give`."""

    def __init__(self) -> None:
        self._waiter: Any = _new_waiter()

    def get(self) -> Any:
        """Wait for the value."""
        return self._waiter.get()

    def give(self, value: object) -> None:
        """Hand over the value; never waits."""
        hub = self._waiter.hub
        if self._waiter.greenlet is None or _gevent.getcurrent() is hub:
            self._waiter.switch(value)
        else:  # only the event loop may switch to a greenlet that waits
            hub.loop.run_callback(self._waiter.switch, value)


def sleep(seconds: float) -> None:
    """Let others run for a while."""
    _gevent.sleep(max(seconds, 0.0))


def spawn(function: Callable[..., object], *args: object) -> Any:
    """Run a function in a greenlet of its own, which `end_all` ends."""
    return _spawned.spawn(function, *args)


def serve(function: Callable[..., object], *args: object) -> Any:
    """Run a function in a greenlet that lasts as long as the process."""
    return _gevent.spawn(function, *args)


def soon(function: Callable[[], object]) -> None:
    """Call a function in the event loop, once it has dealt with what is ready now."""
    _gevent.get_hub().loop.run_callback(function)


def join(greenlets: Iterable[Any], timeout_s: float | None = None) -> bool:
    """Wait for greenlets to end; whether they all have. Raises what the first one raised that failed."""
    waited = list(greenlets)
    _gevent.joinall(waited, timeout=timeout_s, raise_error=True)
    return all(one.ready() for one in waited)


def end_all() -> None:
    """End all greenlets that `spawn` began, and wait until they have."""
    _spawned.kill()


def on_signal(number: int, function: Callable[[], object]) -> None:
    """Call a function in the event loop when this signal comes."""
    _gevent.signal_handler(number, function)


def watcher(descriptor: int, events: int) -> Any:
    """A libev watcher of a socket, not yet started."""
    return _gevent.get_hub().loop.io(descriptor, events)


def wait_any(events: list[Any]) -> None:
    """Wait until one of these events is set."""
    _gevent.wait(events, count=1)
