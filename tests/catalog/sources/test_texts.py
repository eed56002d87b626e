import textwrap

import pytest

from clipc.catalog.sources.texts import is_annotation, lines_are_captions

SENTENCE = "a scratched red gear lies on the bench near a small bolt with a deep crack and some oil under bright light"


@pytest.mark.parametrize(
    "text",
    [
        "0 0.5 0.5 0.1 0.2\n1 .4 .4 .1 .1\n",
        "2 0.1 0.2 0.3 0.4 0.5 0.6",
        "7",
        "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59",
        "377,117,463,117,465,130,378,130,sign",
        "imagesource:GoogleEarth\n1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 plane 0\n2.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 ship 0",
    ],
)
def test_numbers_are_no_captions(text: str) -> None:
    assert is_annotation(text)


@pytest.mark.parametrize("text", ["", " \n", "1girl, solo, smile", "2 bolts 3 nuts 4 gears 5", "歯車 3 個", "M6 10 mm"])
def test_captions_may_hold_numbers(text: str) -> None:
    assert not is_annotation(text)


@pytest.mark.parametrize(
    "texts",
    [
        [f"a gear number {n}\nthe red gear {n} on a bench\na scratched gear" for n in range(9)],
        [f"A gear number {n}.\nA scratched gear." for n in range(9)],
        [f"傷のある歯車{n}\n歯車の表面に傷" for n in range(9)],
        ["a gear\na red gear", "one line", "another"],
    ],
)
def test_lines_of_like_form_are_captions(texts: list[str]) -> None:
    assert lines_are_captions(texts)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["one line", "another"],
        [textwrap.fill(SENTENCE[: 60 + 7 * n], 40) for n in range(9)],
        [
            textwrap.fill("歯車の表面に深い傷がありその周りに油がにじんでいて照明の下で光" + "る" * n, 16)
            for n in range(9)
        ],
        ["A scratched gear\non a bench", "A bolt\nnear a nut"],
        ["歯車の表面に\n傷がある。"],
        ["A gear.\n\nIt is red."],
        ["a stray\nbreak", *[f"gear {n}" for n in range(9)]],
    ],
)
def test_wrapped_texts_and_stray_breaks_are_one_caption(texts: list[str]) -> None:
    assert not lines_are_captions(texts)
