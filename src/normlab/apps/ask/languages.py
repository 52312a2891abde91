"""Which language a question is in, by its function words: only as sure as telling "not English" asks for.

Each language has two lists: words that ask or order, of which one is enough in a short text without English, and other
common words, of which two must be there. Words that English has too ("die", "was", "in", "no") are on no list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS


def foreign_language(words: Sequence[str], linked: Sequence[bool]) -> str:
    """Return the language that a question seems to be in, "" for English or where nothing tells.

    Args:
        words: folded words (lower case, no accents), without marks.
        linked: whether each is a name in the database or a constant, and so says nothing of the language.
    """
    free = [word for word, name in zip(words, linked, strict=True) if not name]
    letters = "".join(free)
    script = next((name for name, pattern in _SCRIPTS if 2 * len(pattern.findall(letters)) > len(letters)), "")
    if script or not free:
        return script
    english = sum(word in _ENGLISH for word in free)
    hits = {name: (sum(w in asking for w in free), sum(w in common for w in free)) for name, asking, common in _LISTS}
    best = max(hits, key=lambda name: sum(hits[name]))
    asking, common = hits[best]
    sure = asking + common >= 2 or (asking == 1 and english == 0 and len(words) <= 6)
    return best if sure and asking + common > english else ""


def _words(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKD", text)
    return frozenset("".join(sign for sign in plain if not unicodedata.combining(sign)).split())


def _own(text: str) -> frozenset[str]:
    """A language's words without those that English has too."""
    return _words(text) - _SHARED - STOP_WORDS


_SHARED = _words("a an as do me no on or so he in am i us was will also her over under let be at is s t by")
"""English words that other languages write alike, or nearly: they speak for none."""
_ENGLISH = STOP_WORDS - _SHARED | _words("number average name names id")
_SCRIPTS = tuple(
    (name, re.compile(f"[{signs}]"))
    for name, signs in (
        ("Cyrillic script", "\u0400-\u052f"),
        ("Greek", "\u0370-\u03ff\u1f00-\u1fff"),
        ("Arabic script", "\u0600-\u06ff\u0750-\u077f"),
        ("Hebrew", "\u0590-\u05ff"),
        ("an Indian script", "\u0900-\u0dff"),
        ("Thai", "\u0e00-\u0e7f"),
        ("Japanese", "\u3040-\u30ff"),
        ("Korean", "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
        ("Chinese or Japanese", "\u4e00-\u9fff"),
    )
)
_LISTS = tuple(
    (name, _own(asking), _own(common))
    for name, asking, common in (
        (
            "German",
            "wie wieviele welche welcher welches welchen zeige zeig zeigen gib nenne liste lösche wer wann wo warum",
            "viele alle der das den dem des ein eine einen einer eines und oder nicht ist sind waren haben hatte mit "
            "von vom aus für fuer über nach bei auf im zum zur mir es gibt pro jeder jede jedes jeden mehr als wurde",
        ),
        (
            "French",
            "combien quel quelle quels quelles affiche afficher affichez donne donnez montre montrez liste listez "
            "lister supprime trouve trouvez qui ou",
            "les des une dans avec pour sur sont est et que dont moi tous toutes leur leurs du au aux par plus moins "
            "chaque le la de y ont il un ayant entre chez cette ces",
        ),
        (
            "Spanish",
            "cuántos cuántas cuánto cuál cuáles qué quién quiénes dónde cuándo muestra muéstrame muestre mostrar lista "
            "enumera encuentra dame borra elimina",
            "los las el la una unos del de en con por para todos todas que es son tiene tienen hay cada más su sus "
            "entre sin y donde han fue un",
        ),
        (
            "Italian",
            "quanti quante quanto quale quali chi dove quando elenca elencare mostra mostrami dammi trova cosa",
            "il lo gli le la una uno della dei delle degli dello del di da con per sono tutti tutte hanno ogni che "
            "nel nella ci un dai dalla ha",
        ),
        (
            "Portuguese",
            "quantos quantas quanto qual quais quem onde quando mostre mostrar liste encontre apague",
            "os um uma das dos da de em na nos nas com para são todos todas tem cada mais que existem há foi seu sua o",
        ),
        (
            "Dutch",
            "hoeveel welke welk toon geef laat wie verwijder noem",
            "het een van de met voor zijn er dat alle elke meer niet en waar wanneer hebben heeft uit zien mij bij "
            "naar klanten zoveel deze hun",
        ),
        (
            "a Scandinavian language",
            "hur hvor vilka hvilke vilken hvilken visa vis ta lista",
            "många mange alla alle och og är er som har med av for från fra till til ett et en det på inte ikke finns "
            "finnes kunder från jag jeg",
        ),
        (
            "Polish",
            "ile jakie jaki jaka który która które pokaż wyświetl podaj kto gdzie kiedy",
            "wszystkie wszystkich jest są na oraz dla z w i ma mają od do przez nie klientów imiona",
        ),
        (
            "Czech",
            "kolik který která které jaké jaký zobraz vypiš kdo kde kdy",
            "všechny všech je jsou pro má ze na s v z",
        ),
        ("Turkish", "kaç hangi göster listele kim nerede nedir", "tüm ve için ile olan var her bir bu en müşteri"),
        (
            "Romanian",
            "câți câte câtă arată afișează cine unde când",
            "toate sunt și pentru cu din care lui ale cei este",
        ),
        (
            "Indonesian",
            "berapa siapa tampilkan tunjukkan sebutkan mana",
            "semua yang dari dengan adalah di dan untuk jumlah ada",
        ),
        ("Hungarian", "hány mely melyik mutasd listázd ki hol mikor", "összes az és vagy minden van egy"),
        ("Finnish", "kuinka mitkä mikä näytä listaa kuka missä milloin", "monta kaikki ja ovat joiden jotka että"),
        ("Vietnamese", "bao liệt hiển", "nhiêu các những của là trong có khách hàng kê thị tất cả"),
    )
)
