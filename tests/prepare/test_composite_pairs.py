"""Composition as a dataset."""

import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, StackDataset

from clipc import Catalog, CompositePairs, Policy, open_catalog, shared_sources
from clipc.compose.layouts import LAYOUTS
from clipc.errors import UserError

SIZE = 8
WORDS = ["red", "blue", "green", "white", "black", "pink"]


def to_tensor(image: Image.Image) -> torch.Tensor:
    """The whole picture, squeezed to the target size."""
    return torch.from_numpy(np.asarray(image.resize((SIZE, SIZE))).copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Twelve pictures of one grey each, 20 apart, in two groups, with two captions that name it."""
    folder = tmp_path_factory.mktemp("flat")
    rows = ["image,caption,camera,box"]
    for i in range(12):
        Image.new("RGB", (40, 30), (20 * i, 20 * i, 20 * i)).save(folder / f"{i:02d}.png")
        rows += [f"{i:02d}.png,one <{i}>.,{'AB'[i % 2]},", f"{i:02d}.png,two <{i}>.,{'AB'[i % 2]},"]
    (folder / "pairs.csv").write_text("\n".join(rows))
    return open_catalog(folder / "pairs.csv")


def check(image: torch.Tensor, text: str, sources: torch.Tensor, layout: str) -> None:
    """The picture and the caption show both sources and nothing else."""
    first, second = sources.tolist()
    assert f"<{first}>" in text
    if second < 0:
        assert (image == 20 * first).all()
        return
    assert first != second
    assert f"<{second}>" in text
    shown = {"first-image": {20 * first}, "blend": {10 * (first + second)}}
    assert set(image.unique().tolist()) == shown.get(layout, {20 * first, 20 * second})


def test_one_picture_under_two_names_is_one_source(tmp_path: Path) -> None:
    for name, grey in (("a", 10), ("b", 90), ("c", 10)):
        Image.new("RGB", (9, 9), (grey,) * 3).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"picture {name}")
    pairs = CompositePairs(open_catalog(tmp_path), to_tensor, policy=Policy(rho=1))
    shown = pairs.sources(range(3))
    left = pairs.plans.rows(0, 3).left
    assert shown[:, 0].tolist() == [{0: 0, 1: 1, 2: 0}[row] for row in left.tolist()]
    assert set(shown.flatten().tolist()) == {0, 1}


@settings(max_examples=30, deadline=None)
@given(
    rho=st.floats(0, 1),
    layout=st.sampled_from([name for name in sorted(LAYOUTS) if name != "region"]),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 50),
)
def test_any_policy(flat: Catalog, rho: float, layout: str, seed: int, epoch: int) -> None:
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=rho, layout=layout), seed=seed)
    pairs.set_epoch(epoch)
    sources = pairs.sources(range(12))
    assert sorted(sources[:, 0].tolist()) == list(range(12))
    for i in range(12):
        image, text = pairs[i]
        assert torch.equal(pairs.sources(i), sources[i])
        check(image, text, sources[i], layout)
        assert text == pairs[i][1]
    assert torch.equal(pairs.sources(np.int64(3)), sources[3])
    assert torch.equal(pairs.sources(torch.arange(12)), sources)
    assert torch.equal(pairs.texts([2, 5])[1], pairs.texts(5))
    assert torch.equal(pairs.texts(range(12))[:, 1] < 0, sources[:, 1] < 0)


def test_an_item_is_the_row_of_the_plan(flat: Catalog) -> None:
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=0.5), seed=4)
    pairs.set_epoch(3)
    plan = pairs.plans.rows(36, 48)
    assert pairs.sources(range(12)).tolist() == np.stack([plan.left, plan.right], axis=1).tolist()
    with pytest.raises(IndexError):
        pairs[12]
    assert pairs[-1][1] == pairs[11][1]
    assert len(list(pairs)) == len(pairs) == 12


def test_groups_and_rules_hold(flat: Catalog, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: cameras\npairs:\n  - require: a.camera = b.camera\n    why: light differs\n"
        "captions:\n  - when: a.camera = 'A'\n    joiner: ' beside '\n"
    )
    for policy in (Policy(rho=1, group="camera"), Policy.model_validate({"rho": 1, "rules": str(rules)})):
        pairs = CompositePairs(flat, to_tensor, policy=policy)
        sources = pairs.sources(range(12))
        assert (sources[:, 0] % 2 == sources[:, 1] % 2).all()
        texts = [pairs[i][1] for i in range(12)]
    for text, (first, _) in zip(texts, sources.tolist(), strict=True):
        assert (" beside " in text) == (first % 2 == 0)


def test_regions_are_kept_as_if_the_transform_showed_the_whole_image(tmp_path: Path) -> None:
    rows = ["image,caption,box"]
    for i in range(4):
        pixels = np.zeros((30, 60, 3), dtype=np.uint8)
        pixels[:, 45:] = 200  # The centre half would show none of this, the right half shows all of it.
        pixels[8 * i : 8 * i + 4] = 0  # Equal pictures are never composed.
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f'{i}.png,picture {i},"45,0,60,30"')
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    catalog = open_catalog(tmp_path / "pairs.csv")
    policy = Policy(rho=1, axis="left-right", layout="region", region="box")
    nearest: Callable[[Image.Image], torch.Tensor] = lambda image: torch.from_numpy(  # noqa: E731
        np.asarray(image.resize((SIZE, SIZE), Image.Resampling.NEAREST)).copy()
    ).permute(2, 0, 1)
    for image, _ in CompositePairs(catalog, nearest, policy=policy):
        assert image[0].amax(dim=0).tolist() == [0, 0, 200, 200] * 2


def items(loader: DataLoader[Any]) -> list[tuple[str, int]]:
    return [(text, int(row)) for (_, texts), rows in loader for text, row in zip(texts, rows, strict=True)]


def test_persistent_workers_see_the_epoch(flat: Catalog) -> None:
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=0.5))
    loader = DataLoader(
        StackDataset(pairs, range(len(pairs))),  # pyright: ignore[reportArgumentType]
        batch_size=3,
        num_workers=2,
        persistent_workers=True,
    )
    seen = []
    for epoch in (0, 1, 5, 0):
        pairs.set_epoch(epoch)
        seen.append(items(loader))
        assert seen[-1] == [(pairs[i][1], i) for i in range(12)]
    assert seen[0] == seen[3]
    assert seen[0] != seen[1] != seen[2]


def test_workers_that_are_started_afresh_see_the_epoch_too(flat: Catalog) -> None:
    """What spawned workers are sent stays tied to the epoch of the one who sent it."""
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=0.5))
    sent = pickle.loads(ForkingPickler.dumps(pairs))
    for epoch in (3, 1):
        pairs.set_epoch(epoch)
        assert torch.equal(sent.sources(range(12)), pairs.sources(range(12)))
        assert sent[5][1] == pairs[5][1]


def test_a_copy_goes_its_own_way(flat: Catalog) -> None:
    pairs = CompositePairs(flat, to_tensor, open_clip.SimpleTokenizer(context_length=12), policy=Policy(rho=0.5))
    pairs.set_epoch(2)
    copy = pickle.loads(pickle.dumps(pairs))
    assert torch.equal(copy[4][0], pairs[4][0])
    assert torch.equal(copy[4][1], pairs[4][1])
    pairs.set_epoch(3)
    assert not torch.equal(copy.sources(range(12)), pairs.sources(range(12)))


def test_any_sampler_shows_every_pair_first_once(flat: Catalog) -> None:
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=0.5))
    shuffled = DataLoader(
        StackDataset(pairs, range(len(pairs))),  # pyright: ignore[reportArgumentType]
        batch_size=5,
        shuffle=True,
        generator=torch.Generator().manual_seed(1),
    )
    first = [s for (_, _), rows in shuffled for s in pairs.sources(rows)[:, 0].tolist()]
    assert sorted(first) == list(range(12))


def test_the_mask_is_one_call(flat: Catalog) -> None:
    pairs = CompositePairs(flat, to_tensor, policy=Policy(rho=0.8))
    rows = torch.arange(12)
    same = shared_sources(pairs.sources(rows), pairs.texts(rows))
    shown = [{k for k in pair if k >= 0} for pair in pairs.sources(rows).tolist()]
    assert same.tolist() == [[bool(a & b) for b in shown] for a in shown]


def transformers_tokenizer(words: list[str]) -> Any:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<start>", "<end>", "<?>", *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<?>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", bos_token="<start>", model_max_length=11
    )


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Six pictures whose captions repeat one word of their own 30 times."""
    folder = tmp_path_factory.mktemp("talkative")
    for i in range(6):
        Image.new("RGB", (9, 9), (20 * i, 20 * i, 20 * i)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(" ".join([WORDS[i]] * 30))
    return open_catalog(folder)


def both_halves_keep_words(pairs: CompositePairs, ids: dict[str, int]) -> None:
    for i, (first, second) in enumerate(pairs.sources(range(6)).tolist()):
        tokens = pairs[i][1]
        assert tokens.dtype == torch.int64
        counts = [int((tokens == ids[WORDS[row]]).sum()) for row in (first, second)]
        assert min(counts) >= 2
        assert abs(counts[0] - counts[1]) <= 1


@pytest.mark.parametrize("length", [8, 16, 77])
def test_long_captions_keep_both_halves_with_clips_own_tokenizer(talkative: Catalog, length: int) -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=length)
    pairs = CompositePairs(talkative, to_tensor, tokenizer, policy=Policy(rho=1))
    assert pairs[0][1].shape == (length,)
    assert (torch.stack([tokens for _, tokens in pairs]) == tokenizer.eot_token_id).sum() == 6
    both_halves_keep_words(pairs, {word: tokenizer.encode(word)[0] for word in WORDS})


@pytest.mark.peer
@pytest.mark.parametrize("wrapped", [False, True])
def test_long_captions_keep_both_halves_with_other_tokenizers(
    talkative: Catalog, wrapped: bool, tmp_path: Path
) -> None:
    theirs = transformers_tokenizer([*WORDS, "and"])
    ids = theirs.get_vocab()
    tokenizer = theirs
    if wrapped:
        theirs.save_pretrained(tmp_path)
        tokenizer = open_clip.tokenizer.HFTokenizer(str(tmp_path), context_length=11)
    pairs = CompositePairs(talkative, to_tensor, tokenizer, policy=Policy(rho=1))
    assert pairs[0][1].shape == (11,)
    assert (torch.stack([tokens for _, tokens in pairs]) == ids["<end>"]).sum() == 6
    both_halves_keep_words(pairs, ids)


@pytest.mark.peer
def test_a_tokenizer_without_a_limit_is_told(talkative: Catalog) -> None:
    tokenizer = transformers_tokenizer(WORDS)
    tokenizer.model_max_length = int(1e30)
    with pytest.raises(UserError, match="model_max_length"):
        CompositePairs(talkative, to_tensor, tokenizer)


def test_an_image_that_cannot_be_read_is_grey_and_named(flat: Catalog, tmp_path: Path) -> None:
    gone = replace(flat, root=tmp_path)
    pairs = CompositePairs(gone, to_tensor, policy=Policy(rho=0))
    key = gone.keys[int(pairs.sources(0)[0])]
    with pytest.warns(UserWarning, match=f"{key}.*grey"):
        image, _ = pairs[0]
    assert (image == 127).all()


def test_the_first_image_layout_reads_one_image(flat: Catalog) -> None:
    seen: list[int] = []
    spy: Callable[[Image.Image], torch.Tensor] = lambda image: (seen.append(1), to_tensor(image))[1]  # noqa: E731
    pairs = CompositePairs(flat, spy, policy=Policy(rho=1, layout="first-image"))
    pairs[0]
    assert len(seen) == 1


def test_wrong_inputs_are_told(flat: Catalog, tiny_catalog: Catalog) -> None:
    with pytest.raises(UserError, match=r"splits test, train, val.*split\('train'\)"):
        CompositePairs(tiny_catalog, to_tensor)
    with pytest.raises(UserError, match="augment"):
        CompositePairs(flat, to_tensor, policy=Policy(treatment="augment"))
    with pytest.raises(UserError, match=r"policy\.until is a share of a run"):
        CompositePairs(flat, to_tensor, policy=Policy(until=0.7))
    with pytest.raises(UserError, match=r"square.*\(3, 30, 40\)"):
        CompositePairs(flat, lambda image: torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1))[0]
    with pytest.raises(UserError, match="not Image"):
        CompositePairs(flat, lambda image: image)[0]  # pyright: ignore
    with pytest.raises(UserError, match="str is no tokenizer"):
        CompositePairs(flat, to_tensor, "ViT-B-32")


def test_nothing_warns_in_daily_use(tiny_catalog: Catalog) -> None:
    train = open_clip.image_transform(32, is_train=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = CompositePairs(tiny_catalog.split("train"), train, policy=Policy(rho=0.5))
        assert all(image.shape == (3, 32, 32) for image, _ in pairs)
