"""Draws the picture of composites in the README, from the generated demo set alone.

Writes an HTML page; a browser makes the picture of it, and Pillow makes that small:

    python docs/images/make_composites.py en page.html
    chromium --headless --hide-scrollbars --window-size=1160,800 --screenshot=page.png page.html
    python docs/images/make_composites.py --shrink page.png docs/images/composites.png
"""

import sys
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from clipc import open_catalog, read_recipe
from clipc.models.vocabulary import tokenizer_for
from clipc.prepare.plans import make_plans
from clipc.prepare.preview import preview
from clipc.render.worker import WorkerRenderer

NOTES = {
    "en": "Each picture is half of one training pair and half of another, learned with both captions joined. "
    "The parts are drawn by a program (clipc's demo set), not photographed.",
    "ja": "どの画像も、2組の学習データの画像を半分ずつ合わせたもの。説明文も2つをつないで学習します。"
    "部品はプログラムで描いたもので（clipc のデモデータ）、写真ではありません。",
}
STYLE = """
body { margin: 0; padding: 22px 24px 16px; background: #fff; color: #1c1c1c; width: 1112px;
       font: 15px/1.45 "Liberation Sans", Arial, "Noto Sans CJK JP", sans-serif; }
main { display: grid; grid-template-columns: repeat(4, 1fr); gap: 26px 24px; }
figure { margin: 0; }
.picture { position: relative; }
img { width: 100%; display: block; }
.bar { position: absolute; background: #0b5394; } .bar.second { background: #b45309; }
.left-right .bar { height: 5px; bottom: -5px; left: 0; width: 50%; } .left-right .bar.second { left: 50%; }
.top-bottom .bar { width: 5px; left: -5px; top: 0; height: 50%; } .top-bottom .bar.second { top: 50%; }
figcaption { margin-top: 13px; }
.a { color: #0b5394; } .b { color: #b45309; } b { font-weight: 700; }
p { margin: 20px 0 0; padding-top: 10px; border-top: 1px solid #ccc; font-size: 13px; color: #555; }
"""


def page(lang: str, count: int = 8) -> str:
    """The page with the first composites whose captions fit the model's context whole."""
    recipe = read_recipe("small")
    catalog = open_catalog("demo", lang=lang).split("train")
    plans = make_plans(recipe.policy, catalog, seed=0)
    renderer = WorkerRenderer(plans, recipe.augmentation, 192, tokenizer_for(recipe, catalog))
    whole = [sample for sample in preview(renderer, 6 * count) if not sample["shortened"]]
    figures = [_figure(sample) for sample in whole[:count]]
    head = f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>'
    return f'{head}<html lang="{lang}"><main>{"".join(figures)}</main><p>{NOTES[lang]}</p>'


def _figure(sample: dict[str, Any]) -> str:
    tags = {"first": "span class=a", "second": "span class=b", "": "b"}
    said = "".join(
        f"<{tags[piece['of']]}>{escape(piece['text'])}</{tags[piece['of']].split()[0]}>" for piece in sample["parts"]
    )
    bars = '<i class="bar"></i><i class="bar second"></i>'
    picture = f'<div class="picture {sample["layout"]}"><img src="{sample["picture"]}">{bars}</div>'
    return f"<figure>{picture}<figcaption>{said}</figcaption></figure>"


def shrink(source: Path, target: Path) -> None:
    """Cuts a screenshot's empty margin off and keeps 256 colours."""
    image = Image.open(source).convert("RGB")
    blank = Image.new("RGB", image.size, "white")
    bottom = ImageChops.difference(image, blank).getbbox()[3]
    cut = image.crop((0, 0, image.width, bottom + 16))
    cut.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    if sys.argv[1] == "--shrink":
        shrink(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        Path(sys.argv[2]).write_text(page(sys.argv[1]), "utf-8")
