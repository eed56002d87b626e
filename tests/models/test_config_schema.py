import json
from pathlib import Path
from typing import Any

import open_clip
import pytest

from clipc.errors import UserError
from clipc.models.config_schema import check_config
from clipc.models.model import ClipModel
from clipc.models.model_config import built_in_models, model_config


def test_all_published_and_built_in_configurations_fit() -> None:
    for name in (*open_clip.list_models(), *built_in_models()):
        check_config(model_config(name), {}, name)


@pytest.mark.parametrize(
    ("section", "key", "value", "reason"),
    [
        ("vision_cfg", "image_size", 0, "vision_cfg.image_size: .* not 0"),
        ("vision_cfg", "image_size", "64", "vision_cfg.image_size: .* not '64'"),
        ("vision_cfg", "image_size", None, "vision_cfg.image_size: .* not None"),
        ("vision_cfg", "image_size", 10_000_000, "vision_cfg.image_size: .*4096"),
        ("vision_cfg", "patch_size", 1, None),
        ("vision_cfg", "layers", -1, "vision_cfg.layers: "),
        ("text_cfg", "context_length", 1, "text_cfg.context_length: .*3"),
        ("text_cfg", "width", 20_000, "parameters, but the weights beside it"),
        ("preprocess_cfg", "mean", [0.5, 0.5], "mean needs 3 values, not 2"),
        ("preprocess_cfg", "std", [0.5, 0.5, 0.0], "std: .*greater than 0"),
        ("preprocess_cfg", "fill_color", [1, 2], "fill_color"),
    ],
)
def test_a_wrong_value_is_one_sentence_before_anything_is_built(
    tiny_model: str, tmp_path: Path, section: str, key: str, value: Any, reason: str | None
) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "m")
    file = tmp_path / "m" / "open_clip_config.json"
    content = json.loads(file.read_text())
    (content if section == "preprocess_cfg" else content["model_cfg"])[section][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=reason or "do not fit") as caught:
        ClipModel.load(tmp_path / "m")
    assert "\n" not in str(caught.value)
