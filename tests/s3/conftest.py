"""Stores that must all behave alike: a folder, OpenStack Swift's S3 API, and MinIO where Docker runs."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from ops.stack.embedded import free_port
from tests.conftest import Lack
from tests.records import submit, wallet, worker

__all__ = ["submit", "wallet", "worker"]

SWIFT = Path(__file__).with_name("swift_server.py")
NewBucket = Callable[..., str]


def s3_url(endpoint: str, bucket: str, key: str, secret: str) -> str:
    return f"s3://{bucket}?endpoint={endpoint}&access_key_id={key}&secret_access_key={secret}"


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory, lack: Lack) -> Generator[NewBucket]:
    """URLs of buckets that do not exist yet; `secret` may be a wrong one."""
    folder, port = tmp_path_factory.mktemp("swift"), free_port()
    try:
        os.setxattr(folder, "user.test", b"1")
    except OSError:
        lack("a file system with user attributes")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", SWIFT, folder, str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            endpoint = f"http://127.0.0.1:{port}"

            def url(*, bucket: str = "", secret: str = "testing", at: str = endpoint) -> str:
                return s3_url(at, bucket or f"b{secrets.token_hex(6)}", "test:tester", secret)

            yield url
        finally:
            process.kill()


@pytest.fixture(scope="session")
def minio() -> Generator[NewBucket | None]:
    """The same, of a MinIO in a container; None without an engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode != 0:
        yield None
        return
    from testcontainers.minio import MinioContainer

    with MinioContainer("minio/minio:RELEASE.2025-09-07T16-13-09Z") as server:
        given = server.get_config()
        endpoint = f"http://{given['endpoint']}"
        yield lambda: s3_url(endpoint, f"b{secrets.token_hex(6)}", given["access_key"], given["secret_key"])


@pytest.fixture(params=["folder", "swift", "minio"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, lack: Lack) -> str:
    """A store of the test's own."""
    if request.param == "folder":
        return (tmp_path / "objects").as_uri()
    new_bucket: NewBucket | None = request.getfixturevalue(request.param)
    return new_bucket() if new_bucket else lack("a container engine", may_be_absent=True)
