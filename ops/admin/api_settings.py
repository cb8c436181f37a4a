"""The API server's settings that commands need: its secrets, for making keys, and its address."""

import os
from collections.abc import Mapping

from app.domain.identity.key_crypto import KeySettings
from db.settings import read
from ops.command_errors import failing_on
from ops.stack.home import home_of, secrets_of
from ops.stack.running import NoStack, running_stack


def key_settings(environ: Mapping[str, str] = os.environ) -> KeySettings:
    """From the environment, else the running stack's. Ends the program if neither has them."""
    from db.settings import SettingsError

    with failing_on(SettingsError):
        return read(KeySettings, {**_secrets(environ), **environ})


def public_url(environ: Mapping[str, str] = os.environ) -> str:
    """The pages' URL: CODEVOICE_PUBLIC_URL, else the running stack's address; empty if there is neither."""
    if given := environ.get("CODEVOICE_PUBLIC_URL", ""):
        return given.rstrip("/")
    try:
        stack = running_stack(environ)
    except NoStack:
        return ""
    return stack.url if environ.get("DATABASE_URL", stack.database_url) == stack.database_url else ""


def _secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The running stack's, unless DATABASE_URL names another database than its own."""
    try:
        stack = running_stack(environ)
    except NoStack:
        return {}
    if environ.get("DATABASE_URL", stack.database_url) != stack.database_url:
        return {}
    kept = secrets_of(home_of(environ))
    return {"CODEVOICE_KEY_PEPPER": kept.key_pepper, "CODEVOICE_KEY_ENCRYPTION_KEY": kept.key_encryption_key}
