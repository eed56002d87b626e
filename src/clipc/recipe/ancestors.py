"""The earlier runs that a run goes on from: their names, and the images that they were trained on."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.files import whole_file
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run

ANCESTORS_FILE: Final = "ancestors.json"
"""The runs before this one, the first first; absent for a run that did not start from another."""

SEEN_FILE: Final = "seen-images.npy"
"""The content hashes of the images that the model was trained on, its ancestors' included, ascending, ``uint64``."""


def parent_run(recipe: Recipe) -> Run | None:
    """The run whose model a recipe starts from; None if it starts from something else."""
    folder = Path(recipe.model.removeprefix("local-dir:"))
    places = (folder, folder.parent) if folder.is_dir() else ()
    return next((Run(place) for place in places if (place / "recipe.yaml").is_file()), None)


def ancestors(run: Run) -> list[dict[str, Any]]:
    """The runs before a run, the first first: for each its ``name``, ``run`` (its identity), ``clipc`` and ``data``."""
    return list((run.read_json(ANCESTORS_FILE) or {"runs": []})["runs"])


def seen_images(run: Run) -> npt.NDArray[np.uint64] | None:
    """The content hashes of the images that a run and its ancestors were trained on; None if they were not recorded."""
    try:
        return np.load(run.folder / SEEN_FILE, allow_pickle=False)
    except (OSError, ValueError):
        return None


def record_ancestors(run: Run, recipe: Recipe, catalog: Catalog) -> None:
    """Writes where a run comes from, and which images it is trained on; what is written already stays.

    Args:
        run: The run.
        recipe: Its recipe.
        catalog: Its data.
    """
    if run.rank or (run.folder / SEEN_FILE).is_file():
        return
    images, parent = catalog.table["content"].to_numpy()[catalog.split_names == "train"], parent_run(recipe)
    if parent is not None:
        environment = parent.read_json("environment.json") or {}
        data = {key: value for key, value in (parent.read_json("data.json") or {}).items() if key != "captions"}
        fact = {"name": parent.folder.resolve().name, "run": environment.get("run"), "clipc": environment.get("clipc")}
        run.write_json(ANCESTORS_FILE, {"runs": [*ancestors(parent), {**fact, "data": data}]})
        if (earlier := seen_images(parent)) is not None:
            images = np.concatenate([images, earlier])
    with whole_file(run.folder / SEEN_FILE) as new, new.open("wb") as file:
        np.save(file, np.unique(images.astype(np.uint64)), allow_pickle=False)
