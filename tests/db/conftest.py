from tests.records import submit, wallet, worker

__all__ = ["submit", "wallet", "worker"]
