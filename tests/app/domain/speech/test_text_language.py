"""The language of a text that no request names, by its script."""

import pytest

from app.domain.speech.text_language import script_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good morning", None),
        ("Доброе утро", "ru"),
        ("Сделано в Японии: カ", "ru"),
        ("おはようございます", "ja"),
        ("東京都の天気は晴れです", "ja"),
        ("鲜の每日，新鲜水果新鲜蔬菜每天都有", "zh"),
        ("早上好", "zh"),
        ("안녕하세요 の", "ko"),
    ],
)
def test_the_most_frequent_script_decides_the_language(text: str, language: str | None) -> None:
    assert script_language(text) == language
