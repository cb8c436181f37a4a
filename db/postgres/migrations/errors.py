"""What a migration may raise."""


class SchemaError(Exception):
    """The database cannot be brought to this version; the message, one sentence or two, says why."""
