"""Channels and paths that are taken for something they are not."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from starlette.types import Scope

from harness.reference.answers import Request
from harness.reference.faults.catalogue import fault
from harness.reference.http import App
from harness.reference.people import Login
from harness.reference.service import Call, Service
from harness.reference.settings import CHANNELS


@fault("channel-any-case", "valueOf(channel.toUpperCase())", "channel-enum")
class ChannelAnyCase(Service):
    def read(self, login: Login, request: Request) -> Call:
        return super().read(login, request._replace(channel=request.channel.upper()))


@fault("channel-trimmed", "spaces around the channel are cut off", "channel-enum")
class ChannelTrimmed(Service):
    def read(self, login: Login, request: Request) -> Call:
        return super().read(login, request._replace(channel=request.channel.strip()))


@fault("channel-with-suffix", "the framework takes .json at the end of a path for a format", "channel-enum")
class ChannelWithSuffix(Service):
    def read(self, login: Login, request: Request) -> Call:
        return super().read(login, request._replace(channel=request.channel.split(".")[0].split(";")[0]))


@fault("channel-by-prefix", "a channel is recognised by how it begins", "channel-enum")
class ChannelByPrefix(Service):
    def read(self, login: Login, request: Request) -> Call:
        near = [channel for channel in CHANNELS if request.channel.startswith(channel)]
        return super().read(login, request._replace(channel=near[0] if near else request.channel))


@fault("channel-sms-served", "a channel of a sibling operation works here too", "channel-enum")
class ChannelSmsServed(Service):
    def read(self, login: Login, request: Request) -> Call:
        channel = "AUTHY" if request.channel == "SMS" else request.channel
        return super().read(login, request._replace(channel=channel))


@fault("channel-unknown-as-default", "an unknown channel falls back to the first one", "channel-enum")
class ChannelUnknownAsDefault(Service):
    def read(self, login: Login, request: Request) -> Call:
        channel = request.channel if request.channel in CHANNELS else CHANNELS[0]
        return super().read(login, request._replace(channel=channel))


@fault("channel-empty-served", "no channel means the default one", "channel-enum")
class ChannelEmptyServed(App):
    def channel(self, path: bytes) -> str | None:
        return CHANNELS[0] if path == self.operation else super().channel(path)


@fault("slash-served", "a slash after the channel is matched as if it were not there", "trailing-slash")
class SlashServed(App):
    def channel(self, path: bytes) -> str | None:
        return super().channel(path.rstrip(b"/"))


@fault("path-deeper-served", "the route matches everything below it", "channel-enum")
class PathDeeperServed(App):
    def channel(self, path: bytes) -> str | None:
        rest = path[len(self.operation) :].split(b"/")[0]
        return super().channel(self.operation + rest) if path.startswith(self.operation) else None


@fault("channel-twice-decoded", "the path is decoded by the proxy and by the service", "channel-enum")
class ChannelTwiceDecoded(Service):
    def read(self, login: Login, request: Request) -> Call:
        from urllib.parse import unquote

        return super().read(login, request._replace(channel=unquote(request.channel)))


@fault("host-unchecked", "a server behind a proxy that never looks at Host, which HTTP/1.1 asks for",
       "broken-http-refused")  # fmt: skip
class HostUnchecked(App):
    def check_host(self, scope: Scope, hosts: list[str]) -> None:
        return
