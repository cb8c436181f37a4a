"""Opens an S3 bucket, and creates it if it is missing."""

import http.client
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

_WAIT_S = 10.0
_FINE = (200, 204, 409)  # 409: another client has just created it
_PLACE = (
    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>"
)
_HOME_REGION = "us-east-1"  # the one that must not be named as a location constraint


def open_bucket(name: str, prefix: str, options: dict[str, str]) -> S3Store:
    """The bucket. Options: `endpoint`, `region`, `access_key_id`, `secret_access_key`; else from AWS_*."""
    endpoint = options.get("endpoint", "")
    config: dict[str, Any] = {"region": _HOME_REGION, **options}
    return S3Store(
        name,
        prefix=prefix or None,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": endpoint.startswith("http:"),
            "connect_timeout": "2s",
            "timeout": "30s",
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
        **config,
    )


def make_bucket(name: str, options: dict[str, str]) -> None:
    """Create the bucket. Blocking. Raises OSError, http.client.HTTPException, or obstore's errors."""
    url = urlsplit(obstore.sign(open_bucket(name, "", options), "PUT", "", timedelta(seconds=60)))
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    region = options.get("region", _HOME_REGION)
    body = "" if region == _HOME_REGION else _PLACE.format(region)
    connection = kind(url.netloc, timeout=_WAIT_S)
    try:
        connection.request("PUT", f"{url.path}?{url.query}", body.encode())
        answer = connection.getresponse()
        if answer.status not in _FINE:
            raise OSError(f"the bucket {name} is missing, and making it answers {answer.status}")
    finally:
        connection.close()
