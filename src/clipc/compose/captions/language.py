"""Properties of a caption that decide how it is joined, found by patterns instead of a dictionary."""

import re
import unicodedata
from typing import Final

_KANA: Final = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_KANJI: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_JAPANESE: Final = re.compile(f"[{_KANA}{_KANJI}]")

_STOPS: Final = (".", "．", "。", "｡")
_ELLIPSES: Final = ("..", "。。")
_ABBREVIATION: Final = re.compile(
    r"\b(etc|approx|incl|excl|dept|fig|figs|no|nos|vs|al|ca|max|min|temp|inc|ltd|co|corp|jr|sr|st|mt|dr|mr|mrs|ms"
    r"|(?:[A-Za-z]\.)+[A-Za-z])\.$",
    re.IGNORECASE,
)


def japanese(text: str) -> bool:
    """Whether a text has kana or kanji.

    A Chinese text counts as Japanese too, since the two languages share characters; set a joiner for such captions.
    """
    return not text.isascii() and _JAPANESE.search(text) is not None


def without_stop(text: str) -> str:
    """A caption without its final full stop, and without white space at either end.

    An ellipsis stays, and so does the stop of a common English abbreviation (``etc.``, ``U.S.``). A text that consists
    of stops is unchanged.
    """
    bare = text = text.strip()
    while bare.endswith(_STOPS) and not bare.endswith(_ELLIPSES) and not _ABBREVIATION.search(bare):
        bare = bare[:-1].rstrip()
    return bare or text


_HIRAGANA: Final = "\u3041-\u309f"
_BRACKETED: Final = re.compile(r"\s*[(\[「『【〈《][^()\[\]「」『』【】〈〉《》]*[)\]」』】〉》]$")
_INNER_STOP: Final = re.compile(r"(?<=[0-9])[.,](?=[0-9])|(?<=[A-Za-z])\.(?=\s?[A-Za-z0-9])")
"""A stop or comma inside a number or an abbreviation, which ends nothing."""
_NOT_ONE_PHRASE: Final = re.compile(r"[。.!?…]|(?<![たるいのなだうくすむぶぐ])\s*[、,;:]")
"""A sign of more than one phrase: a full stop, or a comma that follows no modifier (a list, a name and a remark)."""

_OR: Final = re.compile("または|もしくは|あるいは")
"""Words for "or", which contain は without being a topic."""
_TOPIC: Final = re.compile(
    rf"[^{_HIRAGANA}\s、](?:に|で|と|から|まで|の)?は(?!がれ|がし|んだ|み出|く離|さみ|め合|ずれ|ね|こ)"
)
"""The topic particle は after a word that is not in hiragana, but no word that begins with は (はがれ, はんだ)."""

_PREDICATE: Final = re.compile(
    rf"(?:を|(?<!け)が|に|で|へ|から|より|[{_HIRAGANA}]て)\s*[^{_HIRAGANA}\s]+(?:\s+[^{_HIRAGANA}\s]+)*$"
)
"""A final noun right after a case particle or て, which stands for a verb (机に置いて撮影, 傷が多数, 工場で点検)."""

_SENTENCE_END: Final = re.compile(
    r"(?:[るうくぐすつぬぶむただいてでずをがにへはとも]|ません|から|より|あり|おり|なり|なし|べし|[らさ]れ|[有無][りし]"
    r"|(?:です|ます|した|せん|る|だ|い)[かねよわ])$"
)
_NOUN_END: Final = re.compile(
    r"(?:こと|ところ|ひと|そと|あと|いと|みなと|もと|もの|ふた|はんだ|ひだ|あいだ|くず|みず|(?<![でに起生尽飽])きず"
    r"|いす|りす|からす|まる|ざる|あひる|いぬ|こぶ|かぶ|ふく|ろうそく|ぶどう|ぞう|(?<!でし)(?<!まし)[ょゅ]う"
    r"|[合扱疑覆囲違匂使洗払笑狙戦縫願]い|住まい|くらい|ぐらい|[階戸]建て|組立て|手当て|仕立て|うで|けが|かに|うに"
    r"|ひも|こども|子ども|いも|くも|もも|(?:[0-9一二三四五六七八九くひふ]|ひと|ふた|みっ|よっ|いつ|むっ|ななっ|やっ|ここの)つ)$"
)
"""Nouns, and ends of nouns, that :data:`_SENTENCE_END` would take for the end of a sentence."""


def noun_phrase(text: str) -> bool:
    """Whether a Japanese caption is one noun phrase, so that と may join it to another.

    The end of the caption decides: nothing may follow the noun, and nothing before the noun may show that it stands
    for a verb. Undecidable texts count as sentences: と after a sentence would say "if" (…があると…), while two noun
    phrases that are joined as sentences are merely stiff.

    A noun phrase ends in kanji, katakana, digits, Latin letters or kana that end a noun (こと, ばね, へこみ). A
    caption is no noun phrase if it ends like a verb, an adjective or a copula, or in あり or なし; if it has a full
    stop, or a comma after a noun (赤いボルト、良品); if it has a topic (部品は無傷); or if its last noun comes right
    after a case particle or て (机に置いて撮影). A bracket at the end is ignored.

    Limits: a noun in hiragana that ends like a verb counts as a sentence unless a short list has it. A sentence that
    ends in an unusual kana counts as a noun phrase; so does a sentence in another language without a full stop.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    while (bare := _BRACKETED.sub("", text)) and bare != text:
        text = bare
    text = text.strip("「」『』()[]\"' ")
    if not text or _NOT_ONE_PHRASE.search(_INNER_STOP.sub("", text)) or _TOPIC.search(_OR.sub("", text)):
        return False
    if re.search(f"[{_HIRAGANA}]$", text):
        return _NOUN_END.search(text) is not None or _SENTENCE_END.search(text) is None
    return _PREDICATE.search(text) is None
