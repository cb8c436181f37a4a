"""The batcher's decisions, one situation a test."""

from workers.batcher import REST, Load, Plan, plan


def decide(*lanes: str, slots: int = 4, mixed: bool = False, turn_s: float = 0.0) -> Plan:
    return plan(Load(slots=slots, mixed=mixed, lanes=lanes, turn_s=turn_s), linger_ms=5, turn_s=10)


def test_an_idle_engine_claims_at_once_whatever_voice_is_first() -> None:
    assert decide() == Plan(limit=4, lane=None, linger_ms=0)


def test_a_busy_one_voice_engine_waits_a_little_and_takes_more_of_its_voice() -> None:
    assert decide("ryan", "ryan") == Plan(limit=2, lane="ryan", linger_ms=5)


def test_a_full_engine_rests() -> None:
    assert decide("a", "a", "a", "a") == REST


def test_an_engine_that_mixes_voices_never_waits() -> None:
    assert decide("a", "b", mixed=True) == Plan(limit=2, lane=None, linger_ms=0)


def test_a_voice_that_had_its_turn_lets_the_others_in() -> None:
    assert decide("a", turn_s=10.0) == REST
    assert decide("a", "b", mixed=True, turn_s=99.0) == Plan(limit=2)
