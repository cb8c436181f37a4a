"""The texts of voice samples: one sentence a language, and digits for languages without one."""

_DIGITS = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."
_TEXTS = {
    "ar": "مرحبًا، هكذا يبدو صوتي. ماذا تريد أن أقرأ لك؟",
    "bg": "Здравейте, така звучи гласът ми. Какво да прочета?",
    "ca": "Hola, així sona la meva veu. Què voleu que llegeixi?",
    "cs": "Dobrý den, takhle zní můj hlas. Co mám přečíst?",
    "da": "Hej, sådan lyder min stemme. Hvad skal jeg læse op?",
    "de": "Guten Tag, so klingt meine Stimme. Was darf ich vorlesen?",
    "el": "Γεια σας, έτσι ακούγεται η φωνή μου. Τι θέλετε να διαβάσω;",
    "en": "Hello, this is how my voice sounds. What shall I read to you?",
    "es": "Hola, así suena mi voz. ¿Qué quiere que lea?",
    "et": "Tere, niimoodi kõlab minu hääl. Mida ma ette loen?",
    "fi": "Hei, tältä ääneni kuulostaa. Mitä luen sinulle?",
    "fr": "Bonjour, voici le son de ma voix. Que voulez-vous que je lise ?",
    "hi": "नमस्ते, मेरी आवाज़ ऐसी सुनाई देती है। मैं आपके लिए क्या पढ़ूँ?",
    "hr": "Dobar dan, ovako zvuči moj glas. Što da pročitam?",
    "hu": "Jó napot, így szól a hangom. Mit olvassak fel?",
    "id": "Halo, beginilah suara saya. Apa yang harus saya bacakan?",
    "it": "Buongiorno, questa è la mia voce. Che cosa devo leggere?",
    "ja": "こんにちは、私の声はこのように聞こえます。何を読みましょうか。",
    "ko": "안녕하세요, 제 목소리는 이렇게 들립니다. 무엇을 읽어 드릴까요?",
    "lt": "Sveiki, taip skamba mano balsas. Ką jums paskaityti?",
    "lv": "Sveiki, tā skan mana balss. Ko lai es izlasu?",
    "nb": "Hei, slik høres stemmen min ut. Hva skal jeg lese?",
    "nl": "Hallo, zo klinkt mijn stem. Wat zal ik voorlezen?",
    "pl": "Dzień dobry, tak brzmi mój głos. Co mam przeczytać?",
    "pt": "Olá, é assim que a minha voz soa. O que devo ler?",
    "ro": "Bună ziua, așa sună vocea mea. Ce să citesc?",
    "ru": "Здравствуйте, так звучит мой голос. Что мне прочитать?",
    "sk": "Dobrý deň, takto znie môj hlas. Čo mám prečítať?",
    "sl": "Dober dan, tako zveni moj glas. Kaj naj preberem?",
    "sr": "Добар дан, овако звучи мој глас. Шта да прочитам?",
    "sv": "Hej, så här låter min röst. Vad ska jag läsa?",
    "tr": "Merhaba, sesim böyle duyuluyor. Ne okumamı istersiniz?",
    "uk": "Добрий день, так звучить мій голос. Що мені прочитати?",
    "vi": "Xin chào, giọng của tôi nghe như thế này. Tôi nên đọc gì?",
    "zh": "你好，我的声音听起来是这样的。要我读什么？",
}
_SAME = {"cmn": "zh", "no": "nb"}


def sample_text(language: str) -> str:
    """The sample text for a language tag."""
    primary = language.partition("-")[0].lower()
    return _TEXTS.get(_SAME.get(primary, primary), _DIGITS)
