from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.captions.language import japanese, noun_phrase, without_stop
from clipc.demo.captions import captions, load_language
from clipc.demo.image import scene

NOUN_PHRASES = """
赤い円
青い四角
赤いまる
傷のあるボルトの写真
錆びた六角ナット
灰色のコンベアの上に置かれた、傷のある銀色の歯車
真上から見たひび割れたフランジ
ベルトコンベアの上に置かれた無傷のL字ブラケット
工場で撮影した汚れた平座金
90度エルボ
外径12.5 mmのワッシャー
表面のへこみ
端のひび
圧縮コイルばね
曲がったねじ
はんだ付け不良
塗装はがれ
基板のはんだ
溶接部のひずみ
深いきず
切りくず
金属くず
胸部X線写真
胸部X線写真（正面像）
胸部CTの水平断像
右下肺野の浸潤影
肺炎の疑い
両側のすりガラス影
骨折した右腕
術後3日目の単純X線写真
左肺または右肺の結節
COVID-19患者の肺
胸水を伴う心拡大
滑走路に並ぶ二機の飛行機
駐車場と道路
海沿いの住宅地
建物に囲まれた緑の公園
川に架かる白い橋
二階建て
工業地帯の衛星画像
港に停泊する船
広い砂浜のそば
円形の貯水タンク三基
走る犬
雪の中を走る黒い犬
赤い服を着た子ども
ボールで遊ぶ子どもたち
笑顔の女の子のこと
古いいす
緑色のもの
けが人
二つ
A4の書類
""".strip().splitlines()
OTHERS = """
カメラ3、ロットA17
赤いボルト、良品
胸部X線写真、側面像
カメラ3、ロットA17、傷あり
この赤いボルトは錆びている。
画面の左上側に錆びた青いナットが写っている。
作業台の上に欠けたギアがある
鋼製のボルトを木の机の上に置いて撮影。異常なし。
ボルトを木の机の上に置いて撮影
コンベアの上の歯車。表面に傷がある。
平ワッシャーの外観検査画像。良品。
検査対象は銅製の歯車で、縁が欠けている。
赤い塗装のフランジ、縁に欠けあり
表面に錆が出ている
不良は見られない
腐食が認められる
異常なし
打痕あり
この部品は無傷
表面に傷が多数
工場で点検
部品を検査
ラインを停止
亀裂が入った
色が薄い
ひびは見られません
これは良品です
ひびがありますか
右下肺野に浸潤影を認める
明らかな異常を認めず
胸水なし
心拡大は軽度
肺炎を疑う
骨折は指摘できない
心陰影の拡大が見られた
左肺に結節、右肺に胸水
正面像で、両側に胸水を認めます
飛行機が二機ある
多くの建物が道路に沿って並んでいる
川が町を流れる
川の両岸に木々が密集している
海岸に白い波が打ち寄せる
空港には飛行機が多い
駐車場は満車だ
橋が川に架かる
犬が雪の中を走っている
男性が自転車に乗り、女性が歩く
子どもが笑った
二人が並んで歩く
とても美しい
見て！
これは何？
工場から出荷
""".strip().splitlines()


@pytest.mark.parametrize("caption", NOUN_PHRASES)
def test_noun_phrases(caption: str) -> None:
    assert noun_phrase(caption)


@pytest.mark.parametrize("caption", OTHERS)
def test_sentences_and_lists_are_no_noun_phrases(caption: str) -> None:
    assert not noun_phrase(caption)


def test_the_demo_captions_are_told_apart() -> None:
    generators = (np.random.Generator(np.random.Philox(number)) for number in range(10))
    for shape, state, generator in product(load_language("ja").parts, load_language("ja").states, generators):
        for caption in captions(scene(shape, state, generator), load_language("ja"), generator):
            # Each is a sentence, a name with a remark ("歯車、良品"), or a noun phrase.
            remark = "、" in caption and not caption.split("、")[0].endswith("置かれた")
            assert noun_phrase(caption) == (not caption.endswith("。") and not remark)


def test_a_bracket_at_the_end_is_looked_past() -> None:
    assert noun_phrase("胸部X線写真(正面像) [術後]")
    assert not noun_phrase("胸水がある（右）")
    assert noun_phrase("（正面像）")


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert noun_phrase(text) in (True, False)
    bare = without_stop(text)
    assert text.strip().startswith(bare)
    assert bool(bare) == bool(text.strip())


@pytest.mark.parametrize("text", ["りんご", "リンゴ", "ﾘﾝｺﾞ", "林檎", "a 円", "々", "𠮷"])
def test_kana_and_kanji_are_japanese(text: str) -> None:
    assert japanese(text)


@pytest.mark.parametrize("text", ["", "a circle", "Ａ", "。", "・", "кошка", "고양이", "🐈"])
def test_other_scripts_are_not(text: str) -> None:
    assert not japanese(text)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("A dog runs.", "A dog runs"),
        (" in the forest . ", "in the forest"),
        ("in the forest . .", "in the forest"),
        ("赤い円。", "赤い円"),
        ("赤い円 。", "赤い円"),
        ("赤い円｡", "赤い円"),
        ("and so on...", "and so on..."),
        ("うーん…", "うーん…"),
        ("bolts, nuts, etc.", "bolts, nuts, etc."),
        ("the U.S.", "the U.S."),
        ("No. 5", "No. 5"),
        ("3.5 mm.", "3.5 mm"),
        ("what?", "what?"),
        (".", "."),
        ("", ""),
    ],
)
def test_only_a_final_full_stop_goes(text: str, bare: str) -> None:
    assert without_stop(text) == bare
