"""Looks at whom a service lets in, how often, and what it counts."""

from typing import Any

from tests.reference.looking import Make, at_once, code_of, codes


def rate_at_once(make: Make) -> Any:
    here = make(rate_count=4, challenge_count=None)
    return [answer.status for answer in at_once(here, 12, lambda client, _: client.push(here.users.both[0]))].count(200)


def challenges_at_once(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=4)
    return [answer.status for answer in at_once(here, 12, lambda client, _: client.push(here.users.both[0]))].count(200)


def rate(make: Make) -> Any:
    """Requests let in: at once, after 0.5, 0.8, 1.1 and 4 windows; over channels, logins, users, and for replays."""
    here = make(rate_count=10, challenge_count=None)
    one, again = here.users.twice()
    other = next(row for row in here.users.both if row["programme"] == one["programme"] and row["user"] != one["user"])
    told = [codes(here, one, 12).count(200), codes(here, other, 12).count(200)]
    told.append(codes(here, one, 1, channel="BIOMETRIC").count(200))
    told.append(codes(here, again, 1).count(200))
    for later in (0.5, 0.3, 0.3, 3.0):
        here.put_forward(later)
        told.append(codes(here, one, 30).count(200))
    here.put_forward(4)
    told.append(codes(here, one, 15, ref="ref").count(200))
    return told


def rate_over_edges(make: Make) -> Any:
    """The most requests let in by any stretch of less than a window, wherever its windows begin."""
    here = make(rate_count=10, challenge_count=None)
    user = here.users.both[0]
    let_in: list[tuple[int, int]] = []
    for pause, many in [(0.0, 1), (0.9, 12), (0.1, 12), (2.3, 12), (0.5, 12), (1.3, 0)] * 8:
        here.put_forward(pause)
        let_in.append((here.service.clock.now(), codes(here, user, many).count(200)))
    return max(sum(many for at, many in let_in if begin <= at < begin + 10**9) for begin, _ in let_in)


def rate_below(make: Make) -> Any:
    """Whether a user who stays below the rate is let in again and again, after having been above it once."""
    here = make(rate_count=4, challenge_count=None)
    user = here.users.both[0]
    codes(here, user, 5)
    told = []
    for _ in range(8):
        here.put_forward(0.9)
        told.append(code_of(here.client.push(user)))
    return told.count(429)


def bucket(make: Make) -> Any:
    here = make(rate_count=40, challenge_count=None, rate_algorithm="token-bucket", rate_burst=20)
    user = here.users.both[0]
    told = [codes(here, user, 45).count(200)]
    for later in (0.25, 0.75, 0.5):
        here.put_forward(later)
        told.append(codes(here, user, 25).count(200))
    return told


def rate_of_keys(make: Make) -> Any:
    """What is let in of another user of a key that has nothing left, and of one with another key."""
    here = make(rate_count=10, challenge_count=None, rate_scope="api-key")
    user, *others = here.users.both
    same = next(row for row in others if row["programme"] == user["programme"])
    many = here.service.settings.rate_count or 0
    return codes(here, user, many + 1)[-2:], codes(here, same, 1), codes(here, others[0], 1)


def fixed_windows(make: Make) -> Any:
    """Requests let in at once, and the most by any window of the service's."""
    here = make(rate_count=10, challenge_count=None, rate_algorithm="fixed-window", rate_phase="first-request")
    told = []
    for later in (0.0, 0.6, 0.4):
        here.put_forward(later)
        told.append(codes(here, here.users.both[0], 12).count(200))
    return told


def retry_after(make: Make) -> Any:
    here = make(rate_count=1, challenge_count=None)
    codes(here, here.users.both[0], 1)
    return here.client.push(here.users.both[0]).headers.get("retry-after")


def effects_of_refusal(make: Make) -> Any:
    here = make(rate_count=1, challenge_count=None)
    codes(here, here.users.both[0], 5)
    return here.client.pushes()


def challenges(make: Make) -> Any:
    """Challenges issued: at once, over channels, logins and users, and after 0.7 and 1.1 windows."""
    here = make(rate_count=None, challenge_count=4)
    one, again = here.users.twice()
    other = next(row for row in here.users.both if row["programme"] == one["programme"] and row["user"] != one["user"])
    told = [codes(here, one, 6, ref=None), codes(here, one, 1, channel="BIOMETRIC"), codes(here, again, 1)]
    told.append(codes(here, other, 1))
    for later in (0.7, 0.4):
        here.put_forward(later * here.service.settings.challenge_window)
        told.append(codes(here, one, 1))
    return told


def challenges_over_edges(make: Make) -> Any:
    """How many are let in within three of four seconds, at three phases: in one of them at least a window begins."""
    here = make(rate_count=None, challenge_count=4, challenge_window=4.0)
    user = here.users.both[0]
    let_in = []
    for _ in range(3):
        first = codes(here, user, 4).count(200)
        here.put_forward(3)
        let_in.append(first + codes(here, user, 4).count(200))
        here.put_forward(6)  # so that nothing counts any longer, and a second of the window's circle on
    return max(let_in)


def challenges_of_programmes(make: Make) -> Any:
    """Challenges left for another user of a programme that has none left, and for one of another programme."""
    here = make(rate_count=None, challenge_count=10, challenge_scope="programme")
    user, *others = here.users.both
    same = next(row for row in others if row["programme"] == user["programme"])
    many = here.service.settings.challenge_count or 0
    return codes(here, user, many + 1)[-2:], codes(here, same, 1), codes(here, others[0], 1)


def what_costs_a_challenge(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=3)
    user = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    codes(here, user, 3, channel="BIOMETRIC")
    codes(here, user, 3, ref="ref")
    told = codes(here, user, 4)
    here.put_forward(6)
    codes(here, user, 3)
    here.put_forward(6)
    return told + codes(here, user, 1)


def replay_at_the_limit(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=2)
    user = here.users.both[0]
    first = here.client.push(user, ref="ref")
    return codes(here, user, 2), here.client.push(user, ref="ref").body == first.body


def many_users(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=100)
    return {code for _ in range(15) for user in here.users.both[:20] for code in codes(here, user, 1)}


def pushes(make: Make) -> Any:
    """Challenges, and pushes, for 60 refs each asked for twice, and for 5 refusals."""
    here = make(rate_count=None, challenge_count=60)
    user = here.users.both[0]
    told = [code for number in range(60) for code in codes(here, user, 2, ref=f"ref {number}")]
    codes(here, user, 5)
    return told.count(200) // 2, here.client.pushes()


def many_at_a_low_rate(make: Make) -> Any:
    here = make(challenge_count=None)
    told = set()
    for _ in range(15):
        told |= set(codes(here, here.users.both[0], 10))
        here.put_forward(1)
    return told
