"""What a log line never shows, whatever it is given."""

import uuid

import pytest
import structlog

from db.logging import configure, hashed


def test_a_message_is_left_out_and_an_id_in_a_field_is_hashed(capsys: pytest.CaptureFixture[str]) -> None:
    job = uuid.uuid4()
    configure()
    log = structlog.get_logger()
    try:
        raise ValueError(f"my secret words {job}")
    except ValueError:
        log.exception("failed", key=f"jobs/{job}/1.wav", request_id=str(job))
    structlog.reset_defaults()
    output = capsys.readouterr().err
    assert "my secret words" not in output
    assert output.count(str(job)) == 1  # the request's own id
    assert f"jobs/{hashed(job)}/1.wav" in output
    assert "ValueError" in output
    assert "test_logging.py" in output
