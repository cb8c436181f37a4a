"""Matches a requested language to an engine's: by tag, by ISO 639-2 code, or by its English name."""

from collections.abc import Sequence

_THREE_LETTERS = """
af afr; am amh; ar ara; as asm; az aze; ba bak; be bel; bg bul; bn ben; bo bod tib; br bre; bs bos;
ca cat; cs ces cze; cy cym wel; da dan; de deu ger; el ell gre; en eng; es spa; et est; eu eus baq;
fa fas per; fi fin; fo fao; fr fra fre; gl glg; gu guj; ha hau; he heb; hi hin; hr hrv; ht hat; hu hun;
hy hye arm; id ind; is isl ice; it ita; ja jpn; jw jav; ka kat geo; kk kaz; km khm; kn kan; ko kor;
la lat; lb ltz; ln lin; lo lao; lt lit; lv lav; mg mlg; mi mri mao; mk mkd mac; ml mal; mn mon; mr mar;
ms msa may; mt mlt; my mya bur; ne nep; nl nld dut; nn nno; no nor nob; oc oci; pa pan; pl pol; ps pus;
pt por; ro ron rum; ru rus; sa san; sd snd; si sin; sk slk slo; sl slv; sn sna; so som; sq sqi alb;
sr srp; su sun; sv swe; sw swa; ta tam; te tel; tg tgk; th tha; tk tuk; tl tgl fil; tr tur; tt tat;
uk ukr; ur urd; uz uzb; vi vie; yi yid; yo yor; zh zho chi cmn
"""
_ROWS = (row.split() for row in _THREE_LETTERS.split(";"))
_TWO_LETTERS = {code: row[0] for row in _ROWS for code in row[1:]} | {"jv": "jw", "nb": "no"}


def matching(requested: str, tags: Sequence[str], names: Sequence[str]) -> str | None:
    """The tag of `tags` (with their English `names`) that was requested; None: none of them.

    A tag is matched whole, else by its language alone: en-GB matches en, or en-US.
    """
    wanted = requested.strip().replace("_", "-").casefold()
    whole = {tag.casefold(): tag for tag in reversed(tags)}
    named = {word(name): tag for tag, name in reversed(list(zip(tags, names, strict=False)))}
    languages = {tag.casefold().partition("-")[0]: tag for tag in reversed(tags)}
    language = wanted.partition("-")[0]
    by_language = languages.get(language) or languages.get(_TWO_LETTERS.get(language, ""))
    return whole.get(wanted) or by_language or named.get(wanted)


def word(name: str) -> str:
    """A language's name as OpenAI writes it: `English (United States)` is `english`."""
    return name.partition("(")[0].strip().casefold()
