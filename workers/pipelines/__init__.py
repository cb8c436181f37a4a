"""What a worker does for a job: text to stored audio, or an upload to a transcript."""
