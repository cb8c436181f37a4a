"""Requests that schemathesis must not send, and why. Loaded by SCHEMATHESIS_HOOKS."""

import os
import uuid
from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """GET /transcribe is a page for people; of a parameter sent twice one counts, as everywhere."""
    is_page = case.path == "/transcribe" and case.method.upper() != "POST"
    is_twice = any(isinstance(value, list | dict) for value in (case.query or {}).values())
    return not is_page and not is_twice


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Protect the account and keys the fuzzer itself uses: their ids are replaced with unknown ones."""
    own = os.environ["FUZZ_OWN"].split(",")
    for name, value in (case.path_parameters or {}).items():
        if str(value) in own:
            case.path_parameters[name] = str(uuid.uuid4())
