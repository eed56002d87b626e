"""The model that a name means: a run, a pilot (its best arm), a folder, or a tag of open_clip's."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.catalog.options import SourceOptions
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder
from clipc.files import expand_home
from clipc.models.fingerprints import scorer_fingerprint
from clipc.models.model import ClipModel
from clipc.models.model_config import LOCAL_DIR_PREFIX
from clipc.prepare.feature_renderer import kept_features_of
from clipc.prepare.kept_encoder import KeptEncoder
from clipc.progress import Progress, silent
from clipc.recipe.recipe import recipe_of_run
from clipc.recipe.run import Run
from clipc.study.pilot.stages.stage import read_results

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class UsedModel:
    """A model in use.

    Attributes:
        name: The name that the user gave.
        clip: The model, in evaluation mode.
        fingerprint: A hash of its weights, preprocessing and tokenizer; of a published model its name.
        run: The run that trained it; None if no run is known.
        arm: Of a pilot, the arm whose model it is.
    """

    name: str
    clip: ClipModel
    fingerprint: str
    run: Run | None = None
    arm: str | None = None

    @classmethod
    def open(cls, name: str) -> "UsedModel":
        """Loads a model.

        Of a finished pilot it is plain CLIP, unless the best arm gains over it, as the report's verdict says; of its
        seeds the first, whose models a pilot keeps, or where there are several the best one on validation.

        Args:
            name: The folder of a run, of a pilot or of a model, ``hf-hub:OWNER/NAME``, or ``NAME:WEIGHTS`` with a tag
                or a file, such as ``ViT-B-32:laion2b_s34b_b79k``.

        Raises:
            UserError: There is no such model, or the pilot is not finished.
        """
        folder = Path(expand_home(name.removeprefix(LOCAL_DIR_PREFIX)))
        if not folder.is_dir():
            return cls(name, ClipModel.load(name), scorer_fingerprint(name))
        folder, arm = best_trial(folder) if (folder / "stages").is_dir() else (folder, None)
        run = next((Run(f) for f in (folder, folder.resolve().parent) if (f / "recipe.yaml").is_file()), None)
        if run is not None and run.finished is None:
            logger.warning(
                "the training of %s has not ended, so its model is not the final one; the same clipc train goes on.",
                name,
            )
        return cls(name, ClipModel.load(folder), scorer_fingerprint(str(folder)), run, arm)

    def image_encoder(self, cache: Path | None = None, progress: Progress = silent) -> Encoder:
        """What encodes a catalog's images: from kept features if the model was trained on them, else from pixels.

        Args:
            cache: The cache folder; None for the default one.
            progress: Called with the number of features computed.
        """
        if self.run is None or "kept" not in (self.run.read_json("plan-statistics.json") or {}):
            return self.clip
        kept = kept_features_of(str(self.run.folder), self.clip, cache, progress)
        return KeptEncoder(self.clip, kept, captions=False)

    def training_data(self, progress: Progress = silent) -> Catalog | None:
        """The data that the run was trained on, with its splits; None where they cannot be opened here any more."""
        if self.run is None:
            return None
        try:
            return recipe_of_run(self.run.folder).data.open(progress)
        except UserError:
            return None

    def source_options(self, source: str, options: SourceOptions) -> SourceOptions:
        """How a source is read: as in training where it is the run's own, but for what the user says otherwise.

        Args:
            source: The source.
            options: What the user says.
        """
        if self.run is None:
            return options
        data, unsaid = recipe_of_run(self.run.folder).data, SourceOptions()
        if Path(expand_home(source)).absolute() != Path(expand_home(data.source)).absolute():
            return options
        said: dict[str, Any] = {n: value for n, value in vars(options).items() if value != getattr(unsaid, n)}
        return replace(data.options, **{"cache": options.cache, **said})

    def as_json(self) -> dict[str, Any]:
        """Name, arm and fingerprint, for tables."""
        return {"name": Path(self.name).name or self.name, "arm": self.arm, "fingerprint": self.fingerprint}


def best_trial(folder: Path) -> tuple[Path, str]:
    """The run folder of a pilot's best arm, and the arm; see :meth:`UsedModel.open`.

    Raises:
        UserError: The pilot has not compared its arms yet, or its trials were removed.
    """
    result = read_results(folder, ["experiment"]).get("experiment")
    if result is None:
        raise UserError(f"the pilot in {folder} has compared no arms yet; let it finish, or name one of its trials.")
    arm, tables = result.values["winner"], result.tables
    if tables["verdict"]["arms"].get(arm) not in ("gain", "uncontrolled", "shared"):
        arm = tables["baseline"]
    results = next((one["results"] for one in tables["arms"] if one["name"] == arm), [])
    names = [name for trial in (results[-1]["trials"] if results else ()) for name in trial["runs"]]
    runs = [run for name in names if (run := Run(folder / "trials" / name)).finished is not None and run.model.is_dir()]
    if not runs:
        raise UserError(
            f"no model of {arm} is in {folder / 'trials'} any more; run the pilot in another folder, or train one."
        )
    return max(runs, key=_validation).folder, arm


def _validation(run: Run) -> float:
    best = (run.finished or {}).get("best") or {}
    return float(best.get("mean_recall", 0.0))
