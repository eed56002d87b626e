"""Which column of a table holds what: found by name, in English and Japanese, or as the user says."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipc.catalog.build import KNOWN_SPLITS
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import IMAGE_SUFFIXES
from clipc.errors import UserError, unknown_name


def _words(text: str) -> list[str]:
    return text.split()


# In order of preference; compared without case, spaces, underscores and width of letters.
_IMAGE = _words(
    "image imagepath imagefile imagefilename imagefilepath imagename img imgpath imgfile imgname picture photo "
    "filepath filename file path "
    "画像 画像パス 画像ファイル 画像ファイル名 画像名 画像ファイルパス 写真 ファイルパス ファイル名 ファイル パス"
)
_CAPTION = _words(
    "caption captions キャプション 説明文 説明 text texts テキスト description descriptions sentence sentences "
    "文章 文 記述 所見 alttext alt comment コメント title タイトル 題名"
)
_LABEL = _words(
    "label labelname ラベル class classname クラス category カテゴリ カテゴリー "
    "分類 種別 不良種別 欠陥種別 不良種類 欠陥種類 不良名 欠陥名 種類"
)
_SPLIT = _words("split subset partition set 分割 データ分割 区分")
_KEY = _words("key id imageid uid uuid キー 識別子 画像id 画像番号 管理番号")


@dataclass(frozen=True)
class Headings:
    """The columns of a table by what they hold. ``key_is_sure`` tells a key the user named from one found by name."""

    image: str
    captions: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None
    key: str | None
    key_is_sure: bool

    @property
    def note(self) -> str:
        """One sentence on what was chosen."""
        parts = [f"image = {self.image}", f"captions = {', '.join(self.captions)}"]
        parts += [f"labels = {', '.join(self.labels)}"] if self.labels else []
        parts += [f"split = {self.split}"] if self.split else []
        return "columns: " + "; ".join(parts)


def find_headings(
    names: Sequence[str], sample: Sequence[Mapping[str, Any]], options: SourceOptions, where: str
) -> Headings:
    """Finds the columns.

    Args:
        names: The table's columns.
        sample: Its first rows; they tell image paths and split names from columns that only sound like them.
        options: What the user named.
        where: The table's name for messages.

    Raises:
        UserError: There is no column for the image or for captions, or none of a name that the user gave.
    """
    by_user = [
        options.image_column,
        *options.caption_columns,
        *options.label_columns,
        options.split_column,
        options.key_column,
    ]
    given = {name: _given(name, names) for name in by_user if name}
    taken = set(given.values())

    def free(words: Sequence[str]) -> list[str]:
        left = [name for name in names if name not in taken]
        return [name for word in words for name in left if _plain(name) == word]

    image = given[options.image_column] if options.image_column else _image(free(_IMAGE), names, sample)
    if image is None:
        raise _missing("the image files", "--image-column", names, where)
    taken.add(image)
    captions = [given[name] for name in options.caption_columns] or _captions([n for n in names if n not in taken])
    if not captions:
        raise _missing("the captions", "--caption-columns", names, where)
    taken.update(captions)
    labels = [given[name] for name in options.label_columns] or free(_LABEL)[:1]
    taken.update(labels)
    splits = (
        [given[options.split_column]] if options.split_column else [n for n in free(_SPLIT) if _tells_splits(n, sample)]
    )
    taken.update(splits[:1])
    keys = [given[options.key_column]] if options.key_column else free(_KEY)
    return Headings(
        image,
        tuple(captions),
        tuple(labels),
        splits[0] if splits else None,
        keys[0] if keys else None,
        key_is_sure=bool(options.key_column),
    )


def _given(name: str, names: Sequence[str]) -> str:
    """The column of that name, in whichever Unicode form the table has it."""
    if name in names:
        return name
    for known in names:
        if unicodedata.normalize("NFKC", known).strip() == unicodedata.normalize("NFKC", name).strip():
            return known
    raise unknown_name("column", name, names)


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name).casefold())


def _image(by_name: Sequence[str], names: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> str | None:
    """The column that sounds and looks like image files; else the one that looks so; else the one that sounds so."""
    share = {name: _paths(name, sample) for name in names}
    looks = [name for name in names if share[name] > 0.5]
    return next((name for name in by_name if name in looks), next(iter([*looks, *by_name]), None))


def _paths(name: str, sample: Sequence[Mapping[str, Any]]) -> float:
    values = [row.get(name) for row in sample]
    good = sum(isinstance(v, str) and v.strip().lower().endswith(IMAGE_SUFFIXES) for v in values)
    return good / len(values) if values else 0.0


def _captions(names: Sequence[str]) -> list[str]:
    """All columns of the first word that any has, numbered or not: ``caption``, or ``caption_1 caption_2 ...``."""
    for word in _CAPTION:
        pattern = re.compile(re.escape(word) + r"\d*|" + re.escape(word.rstrip("s")) + r"\d+")
        if found := [name for name in names if pattern.fullmatch(_plain(name))]:
            return found
    return []


def _tells_splits(name: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    values = {str(row[name]).strip().lower() for row in sample if row.get(name)}
    return bool(values) and values <= KNOWN_SPLITS


def _missing(what: str, option: str, names: Sequence[str], where: str) -> UserError:
    return UserError(
        f"{where}: no column for {what} was found; name it with {option}. "
        f"The columns are: {', '.join(names) or 'none'}."
    )
