"""The OpenAPI document is true: whatever is sent, every answer is in it, and nothing breaks."""

import pytest
import requests

from .calls import fuzz
from .stack import fuzzed

CASES_MAX = 2000
OPERATORS = "^/api/(admin|auth|keys)"  # their coverage alone would be as many cases again: see the command


@pytest.mark.timeout(300)
def test_every_answer_is_in_the_document_whatever_is_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    with fuzzed(tmp_path_factory.mktemp("fuzzed")) as (stack, key):
        covered = fuzz(stack.url, key, "--phases", "examples,coverage", "--exclude-path-regex", OPERATORS)
        tried = fuzz(stack.url, key, "--phases", "examples,fuzzing,stateful", "-n", "3")
        me = requests.get(f"{stack.url}/api/auth/me", headers={"X-API-Key": key}, timeout=10)

        assert (covered.failures, covered.output if covered.failures else "") == ([], "")
        assert (tried.failures, tried.output if tried.failures else "") == ([], "")
        assert me.status_code == 200
        assert stack.audit_is_clean()
    assert tried.operations > 70
    assert 1000 < covered.cases + tried.cases <= CASES_MAX
    assert covered.accepted + tried.accepted > 100
