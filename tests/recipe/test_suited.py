"""The recipe for a data set whose user names none."""

from typing import Any

import pytest

from clipc.errors import UserError
from clipc.recipe import suited
from clipc.recipe.recipe import read_recipe


class Pairs:
    """As much of a catalog as the choice reads."""

    def __init__(self, train: int, caption: str = "a photo of a dog") -> None:
        self.splits = {"train": train}
        self._caption = caption

    def __len__(self) -> int:
        return self.splits["train"]

    def captions(self, row: int) -> list[str]:
        return [self._caption]


def choose(pairs: Any) -> suited.SuitedRecipe:
    return suited.suited_recipe(pairs)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suited, "package_folder", lambda _: None)


@pytest.mark.parametrize(
    ("pairs", "size"), [(9, 250), (250, 250), (499, 250), (501, 1000), (2000, 1000), (2300, 5000), (10**6, 50000)]
)
def test_the_nearest_number_of_pairs_decides(pairs: int, size: int) -> None:
    assert choose(Pairs(pairs)).name == f"starter-{size}"


@pytest.mark.parametrize("pairs", [2, 9, 100, 255, 256, 10**5])
def test_a_batch_never_holds_most_of_the_pairs(pairs: int) -> None:
    found = choose(Pairs(pairs))
    recipe = read_recipe(found.name, (), found.changes)
    assert 2 <= recipe.batch_size <= max(2, pairs // 2)


def test_captions_in_another_script_get_a_text_tower_from_scratch() -> None:
    found = choose(Pairs(1000, "犬の写真"))
    recipe = read_recipe(found.name, ["seed=3"], found.changes)
    assert (recipe.model, recipe.vocabulary, recipe.tune.text, recipe.tune.image) == ("starter-image", 8000, "all", 1)
    assert "not English" in found.reason


def test_without_the_starter_models_begin_from_scratch_and_the_reason_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_: object) -> None:
        raise UserError("the weights are missing; install them.")

    monkeypatch.setattr(suited, "package_folder", missing)
    found = choose(Pairs(1000))
    assert found.name == "scratch-1000"
    assert "install them" in found.reason
