"""The Info frame at the start of an MP3, which reports the encoder's delay to players."""

_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG 2 and 2.5, by index
_SAMPLES_8 = 72  # an eighth of a frame's samples
_MONO_SIDE_BYTES = 9
_DELAY_SAMPLES = 576  # LAME's own delay; players add the decoder's


def info_frame(first: bytes, rate_hz: int) -> bytes:
    """A silent mono frame with LAME's tag, in the format of the frame `first`. For MPEG 2 and 2.5 rates."""
    head = bytes([first[0], first[1], first[2] & 0b1111_1101, first[3]])  # without the padding bit
    frame_bytes = _SAMPLES_8 * 1000 * _KBPS[head[2] >> 4] // rate_hz
    # No frame count and no gains; of the delays, the one at the end is not known yet either.
    tag = b"Info" + bytes(4) + b"LAME3.100" + bytes(12) + (_DELAY_SAMPLES << 12).to_bytes(3) + bytes(12)
    return (head + bytes(_MONO_SIDE_BYTES) + tag).ljust(frame_bytes, b"\0")
