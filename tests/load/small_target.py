"""A small target of the tests: one asyncio process that keeps the contract's main promises, and misbehaves on request.

`python -m tests.load.small_target PORT_FILE [--freeze-after N | --die-after N | --half-after N]` writes its port.
"""

import argparse
import asyncio
import json
import os
import signal
from collections import defaultdict, deque
from pathlib import Path
from time import monotonic


class Target:
    """Answers pushes: 200 with one id for each (token, channel, ref); a rate limit a key when `rate` is given."""

    def __init__(self, misbehave: str, after: int, rate: int, window_s: float, work_s: float) -> None:
        self.issued: dict[tuple[str, str, str], str] = {}
        self.count = 0
        self.asked = 0
        self.misbehave, self.after = misbehave, after
        self.rate, self.window_s = rate, window_s
        self.work_s = work_s
        self.free_at = 0.0
        self.taken: dict[str, deque[float]] = defaultdict(deque)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                if self.misbehave and self.asked > self.after:
                    self._misbehave(writer)
                    if self.misbehave == "never":
                        await asyncio.sleep(3600)
                    return
                await self._work()
                writer.write(self._answer(head.decode("latin-1")))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _work(self) -> None:
        """One request after another keeps a single worker busy for a while."""
        if self.work_s:
            self.free_at = max(self.free_at, monotonic()) + self.work_s
            await asyncio.sleep(self.free_at - monotonic())

    def _misbehave(self, writer: asyncio.StreamWriter) -> None:
        if self.misbehave == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.misbehave == "half":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{"id":')

    def _answer(self, head: str) -> bytes:
        line, *rest = head.split("\r\n")
        _, path, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest if one)}
        if path.endswith(("/accept", "/decline", "/reset")):
            return answer("200 OK", {})
        key = headers.get("api-key", "")
        if self.rate and not self._admit(key):
            return answer("429 Too Many Requests", {}, "Retry-After: 1")
        token, channel, ref = headers.get("authorization", ""), path.rpartition("/")[2], headers.get("idempotency-ref")
        self.count += 1
        operation = (token, channel, ref if ref is not None else f"none {self.count}")
        identifier = self.issued.setdefault(operation, f"c{self.count}")
        return answer("200 OK", {"id": identifier})

    def _admit(self, key: str) -> bool:
        now, taken = monotonic(), self.taken[key]
        while taken and taken[0] <= now - self.window_s:
            taken.popleft()
        if len(taken) >= self.rate:
            return False
        taken.append(now)
        return True


def answer(status: str, body: dict[str, str], *headers: str) -> bytes:
    """A well-formed answer."""
    text = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(text)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


async def run() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file", type=Path)
    parser.add_argument("--misbehave", choices=("die", "half", "never"), default="")
    parser.add_argument("--after", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--window-s", type=float, default=1.0)
    parser.add_argument("--work-s", type=float, default=0.0)
    parser.add_argument("--host", default="127.0.0.1")
    args = parser.parse_args()
    target = Target(args.misbehave, args.after, args.rate, args.window_s, args.work_s)
    server = await asyncio.start_server(target.serve, args.host, 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    fresh = args.port_file.with_suffix(".new")
    fresh.write_text(str(port))
    fresh.replace(args.port_file)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run())
