"""What schemathesis is not to try, and why. Loaded by SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """GET /transcribe is a page for people; of a parameter sent twice one counts, as everywhere."""
    is_page = case.path == "/transcribe" and case.method.upper() != "POST"
    is_twice = any(isinstance(value, list) for value in (case.query or {}).values())
    return not is_page and not is_twice
