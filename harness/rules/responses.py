"""Rules on the form of an answer: its status, its body, and the headers that go with them."""

from dataclasses import replace
from typing import Any, Final

from harness.case import allowed_for, own_form
from harness.history import History
from harness.profile import Profile
from harness.rules.answers.blame import GATEWAY, LIMIT, PLAIN, is_limit
from harness.rules.answers.kinds import Kind, Kinds, kinds_of
from harness.rules.answers.sessions import lost_tokens
from harness.rules.answers.single import (
    blamed,
    by_intent,
    definite,
    finding_of,
    header,
    invalid_fields,
    joined,
    kept,
    those,
    with_rows,
)
from harness.rules.registry import Finding, Violation, rule
from harness.spec import load_spec

SPEC: Final = load_spec()
SETTLED: Final = ("after-accept", "after-decline")
LIMITED: Final = ("429", f"409:{LIMIT}")  # what a limit may answer to any request
NAMED: Final = 5  # users named in a sentence


@rule(
    "documented-status",
    family="responses",
    severity="must",
    scope="exchange",
    statement="An answer has one of the statuses that its case allows; a status that the document does not list "
    "carries {code, message}.",
    source=SPEC.pointer("responses"),
    advice="Look at the route and at what stands before it (gateway, framework): which of them made this status, and "
    "from which state of the user? The document lists the statuses, the case those that can be right here.",
)
def documented_status(history: History, profile: Profile) -> Finding:
    """A 401 to good credentials counts only where the token was served later: otherwise it may have expired."""
    kinds = kinds_of(history, profile)
    found = blamed(history, profile, "documented-status")
    denied = [number for number in found if kinds.each[number].status == 401]
    lost = lost_tokens(history, kinds.rows_of(denied))
    broken = {number: sentence for number, sentence in found.items() if number not in denied}
    examined = those(kinds, _status_is_judged)
    expired = {"silent": frozenset(lost.silent)}
    finding = finding_of(kinds, examined, broken | _bare(history, kinds), facts=expired, conclude=_expired)
    flapping = [
        Violation((denied_row, served_row), f"user {user} was answered 401, and with the same token served again later")
        for user, denied_row, served_row in lost.flapping
    ]
    return joined(finding, flapping, lost.denied)


def _status_is_judged(kind: Kind) -> bool:
    """Whether another status would have been held against this rule."""
    return definite(kind) and kind.intent not in GATEWAY and not is_limit(kind)


def _bare(history: History, kinds: Kinds) -> dict[int, str]:
    """Statuses that the document does not list, without the body that `default` demands of them."""
    bare = those(kinds, lambda kind: kind.fault and kind.status not in SPEC.statuses and _form_is_judged(kind))
    sentence = "status {} is not listed, and its body is not that of `default`: {}"
    rows = history.frame.iloc[kinds.first[bare]]
    faults = zip(rows["status"], rows["body_fault"], strict=True)
    return {number: sentence.format(*row) for number, row in zip(bare, faults, strict=True)}


def _expired(finding: Finding) -> Finding:
    users = sorted(finding.facts["silent"])
    if not users:
        return finding
    named = ", ".join(str(user) for user in users[:NAMED]) + (", …" if len(users) > NAMED else "")
    told = (
        f"{len(users):,} active user{'s' if len(users) > 1 else ''} of the pool ({named}) got 401 and nothing else "
        "from then on: have their tokens expired? Renew them and run again"
    )
    return replace(finding, shortfall=told)


@rule(
    "response-schema",
    family="responses",
    severity="must",
    scope="exchange",
    statement="A body has the shape that its status declares: JSON with a JSON content type and nothing after it, the "
    "right types, enum values, and an id that is not empty.",
    source=SPEC.pointer("responses", "200", "content"),
    advice="Compare the body in the witness with the schema of its status in openapi.yaml. A body that is right alone "
    "and wrong under load is often another request's, or two that were written into one connection.",
)
def response_schema(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    examined = those(kinds, lambda kind: kind.status in SPEC.statuses and _form_is_judged(kind))
    broken = {number: _misshapen(history, kinds, number) for number in examined if kinds.each[number].fault}
    return finding_of(kinds, examined, broken)


def _form_is_judged(kind: Kind) -> bool:
    """Whether the document says what this body looks like; a gateway's own answer may look as the gateway likes."""
    return kind.method != "HEAD" and not own_form(kind.intent, kind.allowed, kind.status) and _has_schema(kind)


def _has_schema(kind: Kind) -> bool:
    return kind.status not in SPEC.statuses or SPEC.schema(kind.status) is not None


def _misshapen(history: History, kinds: Kinds, number: int) -> str:
    row = history.frame.iloc[kinds.first[number]]
    return f"a {row['status']} of another shape than declared: {row['body_fault']}"


@rule(
    "no-server-error",
    family="responses",
    severity="must",
    scope="exchange",
    statement="No input of a client makes a 5xx; 503 is right only where the profile declares overload.",
    source=SPEC.pointer("responses", "500"),
    advice="Find this request in the service's log by its time and ref. If the target may shed load with 503, declare "
    'it: [outcomes] valid = ["200", "503"].',
)
def no_server_error(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    examined = those(kinds, lambda kind: kind.intent not in GATEWAY)
    return finding_of(kinds, examined, blamed(history, profile, "no-server-error"))


@rule(
    "broken-http-refused",
    family="responses",
    severity="should",
    scope="exchange",
    statement="A request that breaks HTTP itself, or misses the operation's path, is answered 4xx or its connection is "
    "closed, or is led from a path that is none to another one: it is not served, and makes no 5xx.",
    source="RFC 9112, section 2.2; RFC 9110, section 15.5",
    advice="Usually the gateway's or the framework's parser is too lenient, or its error handler is not reached.",
)
def broken_http_refused(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    examined = those(kinds, lambda kind: kind.intent in GATEWAY)
    return finding_of(kinds, examined, blamed(history, profile, "broken-http-refused"))


@rule(
    "bad-request-names-field",
    family="responses",
    severity="must",
    scope="exchange",
    statement="A 400 names the field that is wrong, and the error; an odd idempotency-ref is served or refused so.",
    source=SPEC.pointer("responses", "400"),
    advice="Fill syntaxErrors.invalidFields: fieldName with the parameter at fault, error with a value of the enum, "
    "such as {fieldName: channel, error: IN}.",
)
def bad_request_names_field(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    rows = with_rows(kinds, lambda kind: kind.status == 400 and not kind.fault and _names_field(kind, profile))
    bodies = kept(history, "body", rows)
    faults = {row: _nameless(body, _wrong(history, profile, row)) for row, body in bodies.items()}
    nameless = [Violation((row,), fault) for row, fault in faults.items() if fault]
    own = by_intent(
        history, profile, "bad-request-names-field", facts={"asked": len(rows), "read": len(bodies)}, conclude=_bodies
    )
    others = sum(1 for row in bodies if not history.frame["intent"].iloc[row].startswith("ref-"))
    return joined(replace(own, examined=own.examined + others), nameless, len(nameless))


def _bodies(finding: Finding) -> Finding:
    asked, read = finding.facts["asked"], finding.facts["read"]
    unseen = "the bodies of the 400s were not kept" if asked and not read else ""
    return replace(finding, shortfall=unseen, note=f"{read:,} answers with status 400 read" if read else "")


def _names_field(kind: Kind, profile: Profile) -> bool:
    """Whether a 400 to this must be for a field, and nothing else is wrong that could be told instead."""
    fields = ("channel-unknown", "ref-odd", "ref-twice", *PLAIN)
    return kind.intent in fields and {*kind.allowed, *LIMITED} == {*allowed_for(kind.intent, profile), *LIMITED}


def _wrong(history: History, profile: Profile, row: int) -> tuple[str, ...]:
    """What the names of the fields at fault may have in them, in letters only."""
    intent = history.frame["intent"].iloc[row]
    told = {*allowed_for(intent, profile), *LIMITED}
    if intent.startswith("ref-") and any({*allowed_for(state, profile)} <= told for state in SETTLED):
        return ("",)  # the token may be settled as well, which is told alike, and then it is at fault
    # A reference may be odd as well, and which of the two is looked at first is open.
    return ("channel", "ref") if intent == "channel-unknown" else ("ref",) if intent.startswith("ref-") else ("",)


def _nameless(body: Any, wrong: tuple[str, ...]) -> str:
    """What a 400's body fails to say; empty where it names a field at fault with its error."""
    named = [field for field in invalid_fields(body) if field.get("fieldName")]
    if not named:
        return "a 400 names no field"
    if not any(part in _letters(str(field["fieldName"])) for field in named for part in wrong):
        return f"a 400 names another field than the one that is wrong ({' or '.join(wrong)})"
    return (
        "" if any(field.get("error") in SPEC.field_errors for field in named) else "a 400 names a field, but no error"
    )


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalpha())


@rule(
    "method-not-allowed",
    family="responses",
    severity="must",
    scope="exchange",
    statement="Every other method gets 405 with {code, message}, and Allow names POST; TRACE is refused at least.",
    source=f"{SPEC.pointer('responses', '405')}; RFC 9110, section 15.5.6",
    advice="Let the router answer 405 for the path, with Allow: POST and the documented body, also where a gateway or "
    "framework has a handler of its own for HEAD or OPTIONS.",
)
def method_not_allowed(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    rows = with_rows(kinds, lambda kind: kind.status == 405 and kind.intent == "method-other")
    headers = kept(history, "headers", rows)
    faults = {row: _disallows(header(told, "allow")) for row, told in headers.items()}
    silent = [Violation((row,), fault) for row, fault in faults.items() if fault]
    facts = {"asked": len(rows), "read": len(headers)}
    own = by_intent(history, profile, "method-not-allowed", facts=facts, conclude=_allows)
    return joined(own, silent, len(silent))


def _allows(finding: Finding) -> Finding:
    asked, read = finding.facts["asked"], finding.facts["read"]
    unseen = "the headers of the 405s were not kept, so Allow could not be read" if asked and not read else ""
    return replace(finding, shortfall=unseen, note=f"Allow read in {read:,} answers" if read else "")


def _disallows(allow: str | None) -> str:
    if allow is None:
        return f"a 405 has no Allow header, which must name {SPEC.method}"
    named = {method.strip().upper() for method in allow.split(",")}
    return "" if SPEC.method in named else f"Allow of a 405 does not name {SPEC.method}: {allow[:60]!r}"


@rule(
    "unauthorised-challenge",
    family="responses",
    severity="should",
    scope="exchange",
    statement="A 401 says by WWW-Authenticate how to authenticate.",
    source="RFC 9110, section 15.5.2",
    advice="Send `WWW-Authenticate: Bearer` with every 401.",
)
def unauthorised_challenge(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    rows = with_rows(kinds, lambda kind: kind.status == 401 and kind.intent not in GATEWAY)
    headers = kept(history, "headers", rows)
    mute = [row for row, told in headers.items() if not header(told, "www-authenticate")]
    violations = [Violation((row,), "a 401 has no WWW-Authenticate header") for row in mute]
    found = Finding(len(headers), facts={"asked": len(rows)}, conclude=_challenges)
    return joined(found, violations, len(mute))


def _challenges(finding: Finding) -> Finding:
    unseen = finding.facts["asked"] and not finding.examined
    return replace(finding, shortfall="the headers of the 401s were not kept" if unseen else "")
