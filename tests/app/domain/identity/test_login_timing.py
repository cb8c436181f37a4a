"""How long a log-in is refused says nothing of whether there is such an account."""

import secrets
import time
from statistics import median

from tests.app.conftest import Person, SignUp
from tests.app.front import Front

PAIRS = 24
ATTEMPTS = 8  # noise makes a gap where there is none; it hides none each time
GAP_MAX = 0.05


def refused_s(front: Front, email: str) -> float:
    sent = {"email": email, "password": secrets.token_hex(8)}
    began = time.perf_counter()
    answer = front.call("POST", "/api/auth/login", json=sent)
    took = time.perf_counter() - began
    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_credentials")
    return took


def gap(front: Front, known: Person) -> float:
    """Median of the differences of neighbours, who share the machine's mood, by what a log-in takes."""
    differences, all_s = list[float](), list[float]()
    for turn in range(PAIRS):
        emails = [known.email, f"{secrets.token_hex(6)}@example.org"]
        order = emails if turn % 2 else emails[::-1]
        took = {email: refused_s(front, email) for email in order}
        differences.append(took[emails[0]] - took[emails[1]])
        all_s += took.values()
    return abs(median(differences)) / median(all_s)


def test_an_unknown_email_is_refused_no_sooner_than_a_wrong_password(front: Front, sign_up: SignUp) -> None:
    person = sign_up()
    refused_s(front, person.email)

    gaps = list[float]()
    while len(gaps) < ATTEMPTS and (not gaps or gaps[-1] >= GAP_MAX):
        gaps.append(gap(front, person))

    assert min(gaps) < GAP_MAX, gaps
