"""Request headers that several routes take, as the OpenAPI document describes them."""

from typing import Annotated, Any

from litestar.openapi.spec import OpenAPIType
from litestar.params import HeaderParameter

from app.domain.speech.service import IDEMPOTENCY_KEY_MAX

_STRING: dict[str, Any] = {"one_of": None, "type": OpenAPIType.STRING}  # a header is never null
_ONE_KEY = {**_STRING, "pattern": "^[ -~]+$", "min_length": 1, "max_length": IDEMPOTENCY_KEY_MAX}
# The domain checks the bounds: the framework's check would come before that of the caller's account.
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Sent again with the same key, the request does nothing more: it gets the first answer.",
        schema_extra=_ONE_KEY,
    ),
]
Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        description="`respond-async`: answer with the job instead of its audio.",
        schema_extra=_STRING,
    ),
]
