"""The time a login refusal takes does not reveal whether the account exists."""

import secrets
import time
from statistics import median

from tests.app.api_process import ApiProcess
from tests.app.conftest import Person, SignUp

PAIRS = 24
ATTEMPTS = 8  # noise makes a gap where there is none; it hides none each time
GAP_MAX = 0.05


def refused_s(api: ApiProcess, email: str) -> float:
    sent = {"email": email, "password": secrets.token_hex(8)}
    began = time.perf_counter()
    answer = api.call("POST", "/api/auth/login", json=sent)
    took = time.perf_counter() - began
    assert (answer.status_code, answer.json()["detail"]["error"]) == (401, "invalid_credentials")
    return took


def gap(api: ApiProcess, known: Person) -> float:
    """Median difference of adjacent samples, which share the machine's load, relative to a login's time."""
    differences, all_s = list[float](), list[float]()
    for turn in range(PAIRS):
        emails = [known.email, f"{secrets.token_hex(6)}@example.org"]
        order = emails if turn % 2 else emails[::-1]
        took = {email: refused_s(api, email) for email in order}
        differences.append(took[emails[0]] - took[emails[1]])
        all_s += took.values()
    return abs(median(differences)) / median(all_s)


def test_an_unknown_email_is_refused_no_sooner_than_a_wrong_password(
    api: ApiProcess, sign_up: SignUp
) -> None:
    person = sign_up()
    refused_s(api, person.email)

    gaps = list[float]()
    while len(gaps) < ATTEMPTS and (not gaps or gaps[-1] >= GAP_MAX):
        gaps.append(gap(api, person))

    assert min(gaps) < GAP_MAX, gaps
