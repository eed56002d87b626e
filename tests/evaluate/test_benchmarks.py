"""SugarCrepe and Winoground on stand-ins for their files: figures, what is missing, and what is refused."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipc.errors import UserError
from clipc.evaluate.sugarcrepe import CATEGORIES, evaluate_sugarcrepe
from clipc.evaluate.winoground import CHANCE, evaluate_winoground, read_winoground, scores

from .fake import COLOURS, NAMES, ColourModel


def picture(label: str) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10), COLOURS[label]).save(buffer, "PNG")
    return buffer.getvalue()


def crepe(root: Path) -> tuple[Path, Path]:
    """Two of SugarCrepe's files, with pictures of which one is missing and one is broken."""
    images, data = root / "val2017", root / "data"
    images.mkdir()
    data.mkdir()
    for label in NAMES:
        (images / f"{label}.jpg").write_bytes(picture(label))
    (images / "broken.jpg").write_bytes(b"no picture")
    right = [("r", "red", "green"), ("g", "green", "red"), ("b", "blue", "red"), ("r", "red", "blue")]
    wrong = [("g", "blue", "green"), ("lost", "red", "blue"), ("broken", "red", "blue")]
    for split, rows in (("swap_att", right), ("add_obj", right[:1] + wrong)):
        table = {
            str(i): {"filename": f"{name}.jpg", "caption": f"a {yes} car", "negative_caption": f"a {no} car"}
            for i, (name, yes, no) in enumerate(rows)
        }
        (data / f"{split}.json").write_text(json.dumps(table), "utf-8")
    return data, images


def test_sugarcrepe_by_split_and_never_as_one(tmp_path: Path) -> None:
    data, images = crepe(tmp_path)
    for folder in (data, tmp_path):
        found = evaluate_sugarcrepe(ColourModel(), folder, images)
        assert found.metrics == {"sugarcrepe/add_obj/top1": 0.5, "sugarcrepe/swap_att/top1": 1.0}
        told = found.context["sugarcrepe"]
        assert told["pictures"]["missing"] == told["pictures"]["unreadable"] == 1
        assert told["pictures"]["left_out"] == ["lost.jpg", "broken.jpg"]
        assert {name: (table["n"], table["images"], table["left_out"]) for name, table in told["splits"].items()} == {
            "add_obj": (2, 2, 2),
            "swap_att": (4, 3, 0),
        }
        assert told["splits"]["swap_att"]["interval"][1] == 1
        assert set(found.context["not_measured"]) == {f"sugarcrepe/{s}" for s in CATEGORIES} - set(
            name.removesuffix("/top1") for name in found.metrics
        )
        assert {one.chance for one in found.measurements.values()} == {0.5}
        assert json.loads(json.dumps(found.context)) == found.context
        swapped = found.measurements["sugarcrepe/swap_att/top1"]
        assert list(swapped.interval or ()) == told["splits"]["swap_att"]["interval"]
        owner = swapped.owner
        assert owner is not None
        assert len(np.unique(owner)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "cannot be read as JSON"),
        ("[]", "JSON object"),
        ('{"0": {"filename": "r.jpg", "caption": "x"}}', "entry '0' needs the texts"),
        ('{"0": {"filename": 7, "caption": "x", "negative_caption": "y"}}', "entry '0' needs the texts"),
        ('{"0": {"filename": "../r.jpg", "caption": "x", "negative_caption": "y"}}', "leads out of"),
        ('{"0": {"filename": "/etc/passwd", "caption": "x", "negative_caption": "y"}}', "leads out of"),
        ('{"0": {"filename": "a\\u0000.jpg", "caption": "x", "negative_caption": "y"}}', "needs the texts"),
        ('{"0": {"filename": "none.jpg", "caption": "x", "negative_caption": "y"}}', "none of 1 images can be read"),
    ],
)
def test_sugarcrepe_refuses(tmp_path: Path, text: str, message: str) -> None:
    data, images = crepe(tmp_path)
    (data / "add_obj.json").unlink()
    (data / "swap_att.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        evaluate_sugarcrepe(ColourModel(), data, images)


def test_a_folder_without_the_files_is_told_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"add_att\.json"):
        evaluate_sugarcrepe(ColourModel(), tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"examples\.jsonl"):
        evaluate_winoground(ColourModel(), tmp_path)


def rows() -> list[dict[str, Any]]:
    """Four of Winoground's rows; this model gets the third wrong, whose captions are of the other pictures."""
    pairs = [("r", "g", "red", "green"), ("g", "b", "green", "blue"), ("r", "b", "blue", "red"), ("r", "g", "red", "x")]
    tags = ["Object", "Relation", "Object", "Both"]
    return [
        {
            "id": i,
            "image_0": f"ex_{i}_img_0",
            "image_1": f"ex_{i}_img_1",
            "caption_0": f"the {yes} one",
            "caption_1": f"the {no} one",
            "tag": f"Adjective-Color/{tag}",
            "secondary_tag": "",
            "num_main_preds": 1,
            "collapsed_tag": tag,
            "labels": (one, two),
        }
        for i, ((one, two, yes, no), tag) in enumerate(zip(pairs, tags, strict=True))
    ]


def winoground(root: Path, kind: str) -> Path:
    """The rows as a folder, in one of the two forms that are published."""
    data = root / "data"
    (data / "images").mkdir(parents=True)
    table = rows()
    for row in table:
        for i, label in enumerate(row.pop("labels")):
            if kind == "jsonl":
                (data / "images" / f"{row[f'image_{i}']}.png").write_bytes(picture(label))
            else:
                row[f"image_{i}"] = {"bytes": picture(label), "path": None}
    if kind == "jsonl":
        (data / "examples.jsonl").write_text("\n".join(json.dumps(row) for row in table) + "\n", "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(table), data / "test-00000-of-00001.parquet")
    return data


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_winoground_in_both_forms_with_every_tag(tmp_path: Path, kind: str) -> None:
    data = winoground(tmp_path, kind)
    found = evaluate_winoground(ColourModel(), tmp_path)
    assert found.metrics["winoground/all/text"] == 0.75
    assert found.metrics["winoground/collapsed_tag=Object/group"] == 0.5
    assert found.metrics["winoground/collapsed_tag=Relation/group"] == 1
    assert found.metrics["winoground/tag=Adjective-Color-Relation/image"] == 1
    told = found.context["winoground"]
    assert (told["left_out"], told["pictures"]["read"]) == (0, 8)
    assert {name: table["n"] for name, table in told["groups"].items() if not name.startswith("tag=")} == {
        "all": 4,
        "collapsed_tag=Both": 1,
        "collapsed_tag=Object": 2,
        "collapsed_tag=Relation": 1,
    }
    assert found.measurements["winoground/all/group"].chance == pytest.approx(1 / 6)
    assert json.loads(json.dumps(found.context)) == found.context
    assert evaluate_winoground(ColourModel(), data).metrics == found.metrics


def test_winoground_without_some_pictures_and_with_a_name_that_leads_out(tmp_path: Path) -> None:
    data = winoground(tmp_path, "jsonl")
    (data / "images" / "ex_2_img_0.png").unlink()
    found = evaluate_winoground(ColourModel(), data)
    assert found.context["winoground"]["left_out"] == 1
    assert found.context["winoground"]["pictures"]["left_out"] == ["ex_2_img_0.png"]
    for i in (0, 1, 3):
        (data / "images" / f"ex_{i}_img_1.png").unlink()
    with pytest.raises(UserError, match="both images"):
        evaluate_winoground(ColourModel(), data)
    text = (data / "examples.jsonl").read_text("utf-8")
    (data / "examples.jsonl").write_text(text.replace("ex_3_img_0", "../../ex_3_img_0"), "utf-8")
    with pytest.raises(UserError, match="leads out of"):
        evaluate_winoground(ColourModel(), data)
    (data / "examples.jsonl").write_text(text + "{", "utf-8")
    with pytest.raises(UserError, match="line 5 is not JSON"):
        evaluate_winoground(ColourModel(), data)


def test_winoground_ends_lines_where_json_lines_do_and_tells_of_other_encodings(tmp_path: Path) -> None:
    file = winoground(tmp_path, "jsonl") / "examples.jsonl"
    table = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    table[0]["caption_0"] = "a\u2028line"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table), "utf-8")
    examples, _, _ = read_winoground(tmp_path)
    assert examples[0].captions[0] == "a\u2028line"
    assert len(examples) == 4
    file.write_bytes(file.read_bytes() + b"\xff")
    with pytest.raises(UserError, match=r"examples\.jsonl cannot be read as text in UTF-8"):
        read_winoground(tmp_path)


SIMILAR = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=4, max_size=4)


@given(SIMILAR)
def test_scores_are_the_papers_where_nothing_is_tied_and_expected_values_where_something_is(
    values: list[float],
) -> None:
    s = np.reshape(values, (2, 2))
    found = {name: hits[0] for name, hits in scores(s[None]).items()}
    # The mean over many small noises, of the paper's definition.
    rng = np.random.Generator(np.random.Philox(1))
    noisy = s + 1e-3 * rng.random((4000, 2, 2))
    text = (noisy[:, 0, 0] > noisy[:, 1, 0]) & (noisy[:, 1, 1] > noisy[:, 0, 1])
    image = (noisy[:, 0, 0] > noisy[:, 0, 1]) & (noisy[:, 1, 1] > noisy[:, 1, 0])
    reference = {"text": text.mean(), "image": image.mean(), "group": (text & image).mean()}
    exact = len(set(values)) == 4
    assert found == pytest.approx(reference, abs=1e-9 if exact else 0.04)


def test_a_model_that_scores_everything_the_same_is_at_chance() -> None:
    assert {name: hits.mean() for name, hits in scores(np.ones((3, 2, 2))).items()} == pytest.approx(CHANCE)
    random = np.random.Generator(np.random.Philox(2)).random((40_000, 2, 2))
    assert {name: hits.mean() for name, hits in scores(random).items()} == pytest.approx(CHANCE, abs=0.01)
