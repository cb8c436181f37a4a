"""S2b: a text whose end breaks the engine is spoken whole, or what was given of it is paid."""

import pytest

from tests.dialects import STREAMS, Call
from tests.findings.accounts import Account
from tests.stack import Running
from tests.wire import Connection, request

PROSE = ("The quick brown fox jumps over the lazy dog, again and again. " * 50)[:3_060]
POISON = {
    "dotted letters in a paragraph of their own": "\n\n" + "U.S.A." * 150,
    "dotted letters in a sentence of their own": " So it is.\n" + "a." * 500,
    "dotted letters in many paragraphs": ("\n\n" + "b." * 250) * 3,
}


@pytest.mark.parametrize("call", STREAMS, ids=[call.name for call in STREAMS])
def test_speech_given_before_poison_is_paid(target: Running, call: Call) -> None:
    account = Account(target)
    given = {}
    for name, poison in POISON.items():
        with Connection(account.url) as connection:
            body = call.body(PROSE + poison, "ryan")
            connection.send(request("POST", call.path_of("ryan"), call.key(account.key), body))
            head = connection.head()
            assert head.status == 200
            given[name] = len(connection.read(head))
    jobs = account.all_ended()

    assert {name: bytes_ > 0 for name, bytes_ in given.items()} == dict.fromkeys(POISON, True)
    assert [job["credits"] for job in jobs] == [1] * len(POISON)
    assert account.spent() == len(POISON)


def test_an_overheard_job_that_ends_in_poison_is_paid(account: Account) -> None:
    poison = next(iter(POISON.values()))
    job = account.queue(PROSE + poison)
    with Connection(account.url) as connection:
        connection.send(request("GET", f"/tts/stream/{job}", {}))
        head = connection.head()
        given = connection.read(head)

    assert head.status == 200
    assert len(given) > 100_000
    assert account.ended(job)["credits"] == 1
