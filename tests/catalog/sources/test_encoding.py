from pathlib import Path

import pytest

from clipc.catalog.open import open_catalog
from clipc.catalog.sources.encoding import detect_encoding
from clipc.errors import UserError

CHINESE = [
    "红色的齿轮放在桌子上",
    "一只狗在草地上奔跑",
    "两个男人坐在长椅上聊天",
    "白色的猫在沙发上睡觉",
    "表面有划伤，不合格",
]
TRADITIONAL = ["紅色的齒輪放在桌子上", "兩個男人坐在長椅上", "白色的貓在沙發上睡覺", "孩子們在海灘上玩耍"]
KOREAN = [
    "빨간 톱니바퀴가 책상 위에 있다",
    "개가 풀밭에서 뛰고 있다",
    "흰 고양이가 소파에서 잔다",
    "두 남자가 벤치에 앉아 있다",
]
JAPANESE = ["赤い歯車が机の上にある", "犬が草の上を走る", "白い猫がソファで寝ている", "不良品", "表面に傷がある"]


@pytest.mark.parametrize(
    ("texts", "codec"),
    [
        *((CHINESE, codec) for codec in ("gbk", "gb18030")),
        *((KOREAN, codec) for codec in ("euc_kr", "cp949")),
        *((JAPANESE, codec) for codec in ("euc_jp", "cp932", "utf-8", "utf-16")),
        (TRADITIONAL, "big5"),
    ],
)
@pytest.mark.parametrize("times", [1, 30])
def test_east_asian_encodings_are_not_taken_for_each_other(texts: list[str], codec: str, times: int) -> None:
    rows = "".join(f"{n:04d}.jpg,{text}\n" for n, text in enumerate(texts * times))
    data = ("image,caption\n" + rows).encode(codec)
    assert data.decode(detect_encoding(data).codec).endswith(rows)


@pytest.mark.parametrize("form", ["table", "texts"])
def test_where_too_few_characters_tell_the_user_is_asked(tmp_path: Path, picture, form: str) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    file, text = ("t.csv", "image,caption\na.jpg,红色的齿轮\n") if form == "table" else ("a.txt", "红色的齿轮")
    (tmp_path / file).write_bytes(text.encode("gbk"))
    source = tmp_path / file if form == "table" else tmp_path
    with pytest.raises(UserError, match=rf"{file}.*from so few characters; name it with --encoding"):
        open_catalog(source)
    assert open_catalog(source, encoding="gb18030").captions(0) == ["红色的齿轮"]
