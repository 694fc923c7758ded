"""Looks at what stands around a service: methods, paths, credentials and forms that are nearly right."""

from collections.abc import Callable
from typing import Any

from tests.reference.client import OPERATION, Answer
from tests.reference.desk import Desk
from tests.reference.looking import OPEN, Make, code_of, codes

Headers = dict[str, str]
ONE = f"{OPERATION}AUTHY"


def _who(user: dict[str, Any], **more: str) -> Headers:
    return {"authorization": f"Bearer {user['token']}", "api-key": user["api_key"], **more}


def _sent(here: Desk, method: str = "POST", path: str = ONE, **more: str) -> Any:
    return code_of(here.client.send(method, path, _who(here.users.both[0], **more)))


def hostile_methods(make: Make) -> Any:
    """Methods that are not POST, whatever they say they are, and how many pushes they lead to."""
    here = make(**OPEN)
    told = [_sent(here, "GET", **{"x-http-method-override": "POST"}), _sent(here, "HEAD")]
    return told, here.client.pushes()


def hostile_paths(make: Make) -> Any:
    """What is asked for by another path than the operation's, or named twice."""
    here = make(**OPEN)
    one = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    query = here.client.send("POST", f"{ONE}?channel=BIOMETRIC", _who(one))
    return [
        _sent(here, path="/", **{"x-original-url": ONE}), _sent(here, path="/stepup/challenges/PUSH/AUTHY"),
        _sent(here, path=f"{ONE}%00"), code_of(query),
    ]  # fmt: skip


def hostile_headers(make: Make) -> Any:
    """Headers that ask for another answer than the operation's, and what form it has then."""
    here = make(**OPEN)
    utf16 = here.client.send("POST", ONE, _who(here.users.both[0], **{"content-type": "text/plain; charset=utf-16"}))
    plain = here.client.send("POST", ONE, _who(here.users.both[0], **{"accept-encoding": ""}))
    form = here.client.push(here.users.both[0], "SMS")
    fields = form.body["syntaxErrors"]["invalidFields"] if isinstance(form.body, dict) else ()
    return [
        _sent(here, **{"if-none-match": "*"}), _sent(here, range="bytes=0-1"), utf16.headers["content-length"],
        list(plain.body), form.headers["content-type"], len(fields),
    ]  # fmt: skip


def hostile_places(make: Make) -> Any:
    """Credentials, refs and channels in places that the document does not name, and wishes that it does not know."""
    here = make(**OPEN)
    user = here.users.both[0]
    one = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    keyed = [here.client.send("POST", ONE, _who(user, **{"idempotency-key": "k"})).id for _ in range(2)]
    bare = {"authorization": f"Bearer {user['token']}", "api_key": user["api_key"]}
    cookie = {"api-key": user["api_key"], "cookie": f"access_token={user['token']}"}
    routed = here.client.send("POST", ONE, _who(one, **{"x-channel": "BIOMETRIC"}))
    return [
        _sent(here, accept="application/xml"), _sent(here, prefer="respond-async"), len(set(keyed)),
        here.client.send("POST", ONE, bare).status, here.client.send("POST", ONE, cookie).status, code_of(routed),
    ]  # fmt: skip


def hostile_credentials(make: Make) -> Any:
    """Credentials that are nearly right, or that somebody else has just had right."""
    here = make(**OPEN)
    user, key = here.users.both[0], here.users.both[0]["api_key"]
    refused = [
        here.client.push(user, api_key=key.upper()), here.client.push(user, api_key=f'"{key}"'),
        here.client.push(user, authorization=f"Bearer {user['token']} and more"),
        here.client.send("POST", f"{ONE}?access_token={user['token']}", {"api-key": key}),
    ]  # fmt: skip
    here.client.push(user, ref="known")
    refused += [here.client.push(user, api_key="none", ref="known"), here.client.push(user, authorization="-")]
    return [answer.status for answer in refused]


def hostile_order(make: Make) -> Any:
    """What is told to those who may not ask, and whether they can tell one user from another."""
    here = make(rate_count=None, challenge_count=1)
    user = here.users.both[0]
    told: list[Any] = codes(here, user, 2) + codes(here, user, 1, api_key="none")
    told += [_lacking(here, state) for state in ("impersonator", "logged_out")]
    one = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    other = next(row for row in here.users.both if row["programme"] != one["programme"])
    strangers = [here.client.push(one, channel, api_key=other["api_key"]) for channel in ("AUTHY", "BIOMETRIC")]
    return [*told, strangers[0].body == strangers[1].body]


def _lacking(here: Desk, state: str) -> Any:
    rows = [row for row in here.users.rows if row["state"] == state]
    found = [(row, channel) for row in rows for channel in ("AUTHY", "BIOMETRIC") if _lacks(row, channel)]
    return codes(here, found[0][0], 1, channel=found[0][1])[0]


def _lacks(row: dict[str, Any], channel: str) -> bool:
    return channel not in row["channels"] or channel in row.get("unsupported", ())


def hostile_refs(make: Make) -> Any:
    """Refs that are alike once something is done to them, and the id of a call that is repeated."""
    here = make(**OPEN)
    ask: Callable[[str], Answer] = lambda ref: here.client.push(here.users.both[0], ref=ref)  # noqa: E731
    return len({ask(ref).id for ref in ("a,b", "a,c", "a", "a%2Cb", "a")})
