"""Uploaded audio: the supported containers, recognised by their first bytes, and the objects' keys."""

from typing import BinaryIO
from uuid import UUID

PREFIX = "uploads"
CONTAINERS = ("wav", "mp3", "mp4", "ogg", "flac", "webm", "aac")
_HEAD_BYTES = 16
_TAG_HEAD_BYTES = 10


def upload_key(job: UUID) -> str:
    """The object key of a job's upload."""
    return f"{PREFIX}/{job}/audio"


def job_of(key: str) -> UUID | None:
    """The job of an object under PREFIX; None for any other key."""
    parts = key.split("/")
    try:
        return UUID(parts[1]) if len(parts) == 3 and parts[0] == PREFIX else None
    except ValueError:
        return None


def container_of(file: BinaryIO) -> str | None:
    """One of CONTAINERS, by the first bytes only; None: not supported. Rewinds the file to its start."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    tagged = head[:3] == b"ID3" and len(head) > _TAG_HEAD_BYTES
    if tagged:
        file.seek(_tag_bytes(head))
        head = file.read(_HEAD_BYTES)
    file.seek(0)
    return _container(head) or ("mp3" if tagged else None)


def _tag_bytes(head: bytes) -> int:
    """The length of an ID3 tag: seven bits a byte."""
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return _TAG_HEAD_BYTES + size


def _container(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mp4"
    by_magic = {b"OggS": "ogg", b"fLaC": "flac", b"\x1a\x45\xdf\xa3": "webm"}
    return by_magic.get(head[:4]) or _mpeg(head)


def _mpeg(head: bytes) -> str | None:
    """By a frame's header: eleven bits set, then version, layer (none: ADTS), bitrate and rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0x06 == 0:
        return "aac" if head[1] & 0xF0 == 0xF0 else None
    is_frame = head[1] & 0x18 != 0x08 and head[2] >> 4 != 0xF and head[2] >> 2 & 3 != 3
    return "mp3" if is_frame else None
