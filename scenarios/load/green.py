"""The few parts of gevent that the load stage uses, with types: gevent itself has none."""

from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.event
import gevent.hub
import gevent.lock
import gevent.monkey
import gevent.socket

_gevent: Any = gevent
_socket: Any = gevent.socket

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
    """Run a function in a greenlet of its own."""
    return _gevent.spawn(function, *args)


def join(greenlets: Iterable[Any], timeout_s: float | None = None) -> None:
    """Wait for greenlets to end."""
    _gevent.joinall(list(greenlets), timeout=timeout_s)


def kill(greenlets: Iterable[Any]) -> None:
    """End greenlets and wait until they have."""
    _gevent.killall(list(greenlets))


def watcher(descriptor: int, events: int) -> Any:
    """A libev watcher of a socket, not yet started."""
    return _gevent.get_hub().loop.io(descriptor, events)
