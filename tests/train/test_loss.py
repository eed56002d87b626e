import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from torch.nn import functional as F

from clipc.train.loss import contrastive_loss, shared_sources


def unit(seed: int, n: int, d: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


@given(st.integers(2, 20), st.integers(0, 100))
def test_agrees_with_open_clip(n: int, seed: int) -> None:
    image, text, scale = unit(seed, n, 8), unit(seed + 1, n, 8), torch.tensor(14.3)
    torch.testing.assert_close(contrastive_loss(image, text, scale), ClipLoss()(image, text, scale))


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
