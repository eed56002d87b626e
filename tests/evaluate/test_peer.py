"""The same zero-shot and retrieval figures as the clip-benchmark package, on the same model and data."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipc.evaluate.prompts import built_in_templates, fill
from clipc.evaluate.retrieval import retrieval
from clipc.evaluate.zeroshot import classifier, zero_shot

from .fake import metrics_of

pytestmark = pytest.mark.peer

CLASSES = ["bolt", "nut", "gear", "washer", "oak tree", "umbrella", "spring"]


@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("clip_benchmark.metrics")


@pytest.fixture(scope="module")
def clip() -> Any:
    """A tiny open_clip model with random weights, and its tokenizer."""
    import open_clip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vision = {"image_size": 16, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32}
        text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
        model = open_clip.CLIP(32, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # So that the features differ by more than rounding.
    return model, open_clip.SimpleTokenizer(context_length=77)


def test_zero_shot_classification(peer: Any, clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clip_benchmark.metrics import zeroshot_classification

    # It calls float() on arrays of one element, which numpy no longer takes; nothing else of it is changed.
    monkeypatch.setattr(zeroshot_classification, "float", lambda one: one.item(), raising=False)
    model, tokenizer = clip
    images = torch.randn(120, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    labels = np.random.default_rng(0).choice(len(CLASSES), 120, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    templates = [t for t in built_in_templates("general") if fill(t, "oak") == t.replace("{}", "oak")]

    class Pictures(torch.utils.data.TensorDataset):
        classes = CLASSES

    loader = torch.utils.data.DataLoader(Pictures(images, torch.from_numpy(labels)), batch_size=50)
    theirs = zeroshot_classification.evaluate(
        model, loader, tokenizer, CLASSES, [t.replace("{}", "{c}") for t in templates], "cpu", amp=False
    )

    def encode_text(texts: list[str]) -> Tensor:
        return normalize(model.encode_text(tokenizer(texts)), dim=-1)

    with torch.inference_mode():
        features = normalize(model.encode_image(images), dim=-1)
    ours = metrics_of(zero_shot(features, classifier(encode_text, CLASSES, templates), labels))
    assert len(templates) >= 2
    assert 0 < ours["top1"] < ours["top5"] < 1
    assert ours["top1"] == pytest.approx(theirs["acc1"], abs=1e-6)
    assert ours["top5"] == pytest.approx(theirs["acc5"], abs=1e-6)
    assert ours["mean_per_class"] == pytest.approx(theirs["mean_per_class_recall"], abs=1e-6)


def test_zero_shot_retrieval(peer: Any, clip: Any) -> None:
    from clip_benchmark.metrics import zeroshot_retrieval

    model, tokenizer = clip
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    rng = np.random.default_rng(0)
    captions = [[f"{rng.choice(CLASSES)} {i} {j}" for j in range(rng.integers(1, 6))] for i in range(40)]
    batches = [(images[i : i + 16], captions[i : i + 16]) for i in range(0, 40, 16)]
    theirs = zeroshot_retrieval.evaluate(model, batches, tokenizer, "cpu", amp=False, recall_k_list=[1, 5, 10])

    texts = [text for group in captions for text in group]
    owner = np.repeat(np.arange(40), [len(group) for group in captions])
    with torch.inference_mode():
        image_features = normalize(model.encode_image(images), dim=-1)
        text_features = normalize(model.encode_text(tokenizer(texts)), dim=-1)
    ours = metrics_of(retrieval(image_features, text_features, owner))
    assert 0 < ours["mean_recall"] < 1
    for k in (1, 5, 10):
        assert ours[f"text_to_image/recall@{k}"] == pytest.approx(theirs[f"image_retrieval_recall@{k}"], abs=1e-6)
        assert ours[f"image_to_text/recall@{k}"] == pytest.approx(theirs[f"text_retrieval_recall@{k}"], abs=1e-6)
