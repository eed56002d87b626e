import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss, SigLipLoss
from torch.nn import functional as F

from clipc.train.loss import contrastive_loss, local_contrastive_loss, shared_sources, siglip_loss


def unit(seed: int, n: int, d: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def ids(seed: int, n: int) -> torch.Tensor:
    return torch.randint(-1, n, (n, 2), generator=torch.Generator().manual_seed(seed))


@given(st.integers(2, 20), st.integers(0, 100))
def test_agrees_with_open_clip(n: int, seed: int) -> None:
    image, text, scale = unit(seed, n, 8), unit(seed + 1, n, 8), torch.tensor(14.3)
    torch.testing.assert_close(contrastive_loss(image, text, scale), ClipLoss()(image, text, scale))


@given(st.integers(1, 20), st.integers(0, 1000))
def test_all_rows_are_the_plain_loss_to_the_last_bit(n: int, seed: int) -> None:
    image, text, scale = unit(seed, n, 8), unit(seed + 1, n, 8), torch.tensor(14.3)
    same = shared_sources(ids(seed, n), ids(seed + 2, n))
    logits = scale * image @ text.T
    masked = logits.masked_fill(same & ~torch.eye(n, dtype=torch.bool), float("-inf"))
    target = torch.arange(n)
    plain = (F.cross_entropy(masked, target) + F.cross_entropy(masked.T, target)) / 2
    assert torch.equal(contrastive_loss(image, text, scale, same), plain)
    assert torch.equal(local_contrastive_loss(image, text, image, text, scale, 0, same), plain)


@given(st.sampled_from([(1, 5), (2, 3), (4, 2), (3, 1)]), st.booleans(), st.integers(0, 1000))
def test_the_mean_over_parts_is_the_whole(parts: tuple[int, int], masked: bool, seed: int) -> None:
    count, size = parts
    n = count * size
    sources, texts = ids(seed, n), ids(seed + 2, n)
    image, text = unit(seed, n, 4).double().requires_grad_(), unit(seed + 1, n, 4).double().requires_grad_()
    scale, bias = torch.tensor(7.0, dtype=torch.float64), torch.tensor(-3.0, dtype=torch.float64)
    same = shared_sources(sources, texts) if masked else None
    contrastive, siglip = [], []
    for start in range(0, n, size):
        rows = slice(start, start + size)
        part = shared_sources(sources[rows], texts[rows], sources, texts) if masked else None
        if part is not None and same is not None:
            assert torch.equal(part, same[rows])
        contrastive.append(local_contrastive_loss(image[rows], text[rows], image, text, scale, start, part))
        siglip.append(siglip_loss(image[rows], text, scale, bias, part, start))
    for found, whole in (
        (contrastive, contrastive_loss(image, text, scale, same)),
        (siglip, siglip_loss(image, text, scale, bias, same)),
    ):
        mean = torch.stack(found).mean()
        torch.testing.assert_close(mean, whole)
        torch.testing.assert_close(torch.autograd.grad(mean, (image, text)), torch.autograd.grad(whole, (image, text)))


def test_the_mask_that_was_given_stays_as_it_was() -> None:
    image, text, same = unit(0, 4, 8), unit(1, 4, 8), torch.ones(4, 4, dtype=torch.bool)
    contrastive_loss(image, text, torch.tensor(3.0), same)
    siglip_loss(image, text, torch.tensor(3.0), torch.tensor(-1.0), same)
    assert same.all()


@given(st.integers(1, 20), st.integers(0, 100))
def test_siglip_agrees_with_open_clip(n: int, seed: int) -> None:
    image, text, scale, bias = unit(seed, n, 8), unit(seed + 1, n, 8), torch.tensor(10.0), torch.tensor(-10.0)
    torch.testing.assert_close(siglip_loss(image, text, scale, bias), SigLipLoss()(image, text, scale, bias))


@given(st.integers(0, 1000))
def test_siglip_agrees_with_a_slow_reference(seed: int) -> None:
    n, scale, bias = 6, 5.0, -2.0
    image, text = unit(seed, n, 4).double(), unit(seed + 1, n, 4).double()
    same = shared_sources(ids(seed, n), ids(seed + 2, n))
    total = 0.0
    for i in range(n):
        for j in range(n):
            if i == j or not same[i, j]:
                score = scale * float(image[i] @ text[j]) + bias
                total += math.log1p(math.exp(-score if i == j else score))
    found = siglip_loss(image, text, torch.tensor(scale).double(), torch.tensor(bias).double(), same)
    assert math.isclose(float(found), total / n, rel_tol=1e-9)


def test_chance_is_the_logarithm_of_the_batch() -> None:
    same = torch.ones(50, 4) / 2
    torch.testing.assert_close(contrastive_loss(same, same, torch.tensor(10.0)), torch.tensor(math.log(50)))


@given(st.integers(0, 1000))
def test_mask_agrees_with_a_slow_reference(seed: int) -> None:
    n = 7
    generator = np.random.Generator(np.random.Philox(seed))
    sources = generator.integers(-1, 6, (n, 2))
    sources[:, 0] = np.abs(sources[:, 0])
    texts = generator.integers(-1, 9, (n, 2))
    texts[:, 0] = np.abs(texts[:, 0])
    same = shared_sources(torch.from_numpy(sources), torch.from_numpy(texts))
    image, text, scale = unit(seed, n, 4).double(), unit(seed + 1, n, 4).double(), 5.0
    total = 0.0
    for i in range(n):
        for a, b in ((image, text), (text, image)):
            below = 0.0
            for j in range(n):
                shared = bool(({*sources[i]} & {*sources[j]}) - {-1} or ({*texts[i]} & {*texts[j]}) - {-1})
                assert bool(same[i, j]) == shared
                if i == j or not shared:
                    below += math.exp(scale * float(a[i] @ b[j]))
            total += math.log(below) - scale * float(a[i] @ b[i])
    found = contrastive_loss(image, text, torch.tensor(scale, dtype=torch.float64), same)
    assert math.isclose(float(found), total / (2 * n), rel_tol=1e-6, abs_tol=1e-9)


def test_all_masked_is_no_loss_and_no_nan() -> None:
    image = unit(0, 4, 8).requires_grad_()
    loss = contrastive_loss(image, unit(1, 4, 8), torch.tensor(10.0), torch.ones(4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()
