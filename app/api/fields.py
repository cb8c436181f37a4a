"""Types of body fields: their bounds and an example, for validation and for the OpenAPI document."""

from typing import Annotated

from msgspec import Meta

from app.domain.accounts.registration import PASSWORD_CHARACTERS
from app.domain.admin.operations import REASON_CHARACTERS

_NOT_EMPTY = {"extra": {"min_length": 1}}  # documented only: the domain has an error of its own

Email = Annotated[str, Meta(examples=["you@example.org"])]
Password = Annotated[
    str,
    Meta(
        min_length=PASSWORD_CHARACTERS[0],
        max_length=PASSWORD_CHARACTERS[1],
        examples=["correct horse battery"],
    ),
]
ReasonText = Annotated[
    str,
    Meta(min_length=REASON_CHARACTERS[0], max_length=REASON_CHARACTERS[1], examples=["invoice 42"]),
]
Text = Annotated[str, Meta(examples=["Hello world"], extra_json_schema=_NOT_EMPTY)]
Voice = Annotated[str, Meta(examples=["Emma"])]
Absent = Meta(examples=[None])  # for optional fields whose values depend on what is installed
