"""A small factory's pairs, and a sitting over their composites."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.review.book import DecisionBook
from clipc.review.queue import ReviewQueue, review_queue
from clipc.review.sitting import Sitting

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 96 pictures with a label, a camera, a temperature and captions, one of them with markup."""
    folder = tmp_path_factory.mktemp("factory")
    generator = np.random.Generator(np.random.Philox(1))
    rows = []
    for i in range(96):
        label, camera = ("dent", "scratch", "stain")[i % 3], f"line {i // 3 % 4}"
        pixels = generator.integers(0, 255, size=(20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
        caption = f"plate {i} with a {label}" if i % 8 else f"plate {i} with a {label} {SCRIPT}"
        row = {"image": f"{i:02d}.png", "caption": caption, "label": label, "camera": camera, "oven": 20.5 + i}
        rows.append(row | {"split": "train" if i < 90 else "val" if i < 93 else "test"})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder / "pairs.jsonl"


@pytest.fixture(scope="session")
def factory_catalog(factory: Path) -> Catalog:
    """The opened :func:`factory`."""
    return open_catalog(factory)


@pytest.fixture(scope="session")
def any_partner() -> Recipe:
    """A recipe whose composites are of any two pairs."""
    return read_recipe("small")


@pytest.fixture(scope="session")
def queue(factory_catalog: Catalog, any_partner: Recipe) -> ReviewQueue:
    """Three hundred composites."""
    return review_queue(any_partner, factory_catalog, 300)


@pytest.fixture
def sitting(queue: ReviewQueue, tmp_path: Path) -> Sitting:
    """A sitting without decisions."""
    return Sitting(queue, DecisionBook(tmp_path / "decisions.csv", "Mori"), tmp_path / "rules.yaml", None)


@pytest.fixture
def labels(queue: ReviewQueue) -> Callable[[int], tuple[str, str]]:
    """The labels of both pairs of a row of the queue."""
    values, plan = queue.pairs.column("label"), queue.plans.plan
    return lambda row: (values[plan.left[row]], values[plan.right[row]])
