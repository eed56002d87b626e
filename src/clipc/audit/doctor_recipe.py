"""A recipe that suits the size of the data and the machine, with reasons."""

from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.compose.captions.language import japanese
from clipc.models.device import choose_device

_EPOCHS: Final = ((1_000, 200), (5_000, 100), (20_000, 60), (100_000, 30), (1_000_000, 15))
_LAST_EPOCHS: Final = 8
_MAX_BATCH_CPU, _MAX_BATCH_GPU = 128, 1024
_SEEDS, _MORE_SEEDS, _PRECISE_TEST = 3, 5, 1000
_VOCABULARY: Final = 8000


def suggested_recipe(catalog: Catalog, device: str = "auto") -> dict[str, Any]:
    """A recipe for these data on this machine.

    Args:
        catalog: The pairs, with a training split.
        device: The device that would train, as in recipes.

    Returns:
        ``name``: a built-in recipe; ``changes``: changes to it, by dotted key; ``seeds``: how many runs a comparison
        should have; ``reasons``: for each key a ``code`` and the numbers of its sentence.
    """
    pairs, test = catalog.splits.get("train", 0), catalog.splits.get("test", 0)
    gpu = choose_device(device).type == "cuda"
    batch = _batch(pairs, _MAX_BATCH_GPU if gpu else _MAX_BATCH_CPU)
    epochs = next((epochs for most, epochs in _EPOCHS if pairs <= most), _LAST_EPOCHS)
    changes: dict[str, Any] = {"samples": None, "epochs": epochs, "batch_size": batch}
    changes |= {"policy.rho": 0.3, "policy.until": 0.8}
    reasons: list[dict[str, Any]] = [
        {"code": "start"},
        {"code": "epochs", "pairs": pairs, "epochs": epochs},
        {"code": "batch", "batch": batch},
        {"code": "composition", "rho": 0.3, "until": 0.8},
    ]
    rows = range(0, len(catalog), max(1, len(catalog) // 1000))
    if sum(japanese(catalog.caption(row, 0)) for row in rows) > len(rows) / 2:
        changes["vocabulary"] = _VOCABULARY
        reasons.append({"code": "vocabulary", "size": _VOCABULARY})
    seeds = _SEEDS if test >= _PRECISE_TEST else _MORE_SEEDS
    reasons.append({"code": "seeds", "seeds": seeds, "test": test})
    return {"name": "small", "changes": changes, "seeds": seeds, "reasons": reasons}


def _batch(pairs: int, most: int) -> int:
    """A power of two, at most a quarter of the pairs, at least 8."""
    return max(8, min(most, 1 << max(0, (max(1, pairs // 4)).bit_length() - 1)))
