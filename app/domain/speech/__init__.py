"""Speech: validation, synchronous and queued synthesis, live streams, audio URLs, samples and waveforms."""
