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
_spawned: Any = gevent.pool.Group()

Waiter: Any = gevent.hub.Waiter  # one greenlet waits in `get` for another one, or the event loop, to `switch`
Event: Any = gevent.event.Event
Lock: Any = gevent.lock.BoundedSemaphore
Timeout: Any = gevent.Timeout
original: Any = gevent.monkey.get_original
wait_read: Any = _socket.wait_read
wait_write: Any = _socket.wait_write
connect: Any = _socket.create_connection


def sleep(seconds: float) -> None:
    """Let others run for a while."""
    _gevent.sleep(max(seconds, 0.0))


def spawn(function: Callable[..., object], *args: object) -> Any:
    """Run a function in a greenlet of its own, which `end_all` ends."""
    return _spawned.spawn(function, *args)


def serve(function: Callable[..., object], *args: object) -> Any:
    """Run a function in a greenlet that lasts as long as the process."""
    return _gevent.spawn(function, *args)


def join(greenlets: Iterable[Any], timeout_s: float | None = None) -> None:
    """Wait for greenlets to end; raises what the first one raised that failed."""
    _gevent.joinall(list(greenlets), timeout=timeout_s, raise_error=True)


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
