"""The recipe: everything that decides a run, frozen, from YAML and ``key=value`` overrides."""

import logging
import math
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clipc.catalog import Catalog, SourceOptions, open_catalog, subsample, with_splits
from clipc.compose.batches import BatchSampling
from clipc.compose.policy import Policy
from clipc.errors import UserError, invalid_fields, unknown_name
from clipc.extension import Name, foreign
from clipc.files import whole_file
from clipc.identity import ALWAYS, NEVER, Neutral, hash_keys, identity_keys
from clipc.models.fingerprints import file_fingerprint, reference_fingerprint, table_fingerprint, weights_fingerprint
from clipc.models.tuning import Tuning
from clipc.progress import Progress, silent
from clipc.recipe.yaml_table import override, parse_yaml, read_yaml
from clipc.render.crop import Augmentation

logger = logging.getLogger(__name__)


class Data(BaseModel, SourceOptions, frozen=True, extra="forbid"):
    """Where the pairs come from, and how they are read (:class:`~clipc.catalog.SourceOptions`)."""

    source: Name = Field(
        default="demo", description="A tar, table, folder, Hugging Face set, or 'demo'; module:object for your own."
    )
    pairs: int | None = Field(
        default=None,
        ge=1,
        description="Train on so many of the training pairs only, of each label its share; the pairs of a smaller "
        "number are among those of a larger one.",
    )

    def open(self, progress: Progress = silent) -> Catalog:
        """The catalog, with splits made where the source has none."""
        options = self.model_dump(exclude={"source", "pairs"})
        catalog = with_splits(open_catalog(self.source, **options, progress=progress))
        return catalog if self.pairs is None else subsample(catalog, self.pairs)


_Beta = Annotated[float, Field(ge=0, lt=1)]


_HOW: Final = ("device", "threads", "renderer", "grad_cache_chunks", "grad_checkpointing", "compile")
"""How, not what, is computed: a stopped run may be given it anew."""


RENAMED: Final = {
    "batches": "batch_sampling",
    "chunks": "grad_cache_chunks",
    "recompute": "grad_checkpointing",
    "mask": "mask_false_negatives",
    "workers": "num_workers",
}
"""Keys of recipes of version 0.3 and older, and what they are called now."""


class Recipe(BaseModel):
    """One run of training. Two equal recipes on equal data give equal weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Annotated[Data, NEVER] = Data()
    model: Annotated[str, ALWAYS] = Field(
        default="small",
        description="A model of clipc's or open_clip's, a JSON configuration, or what to go on from: a run's or a "
        "model's folder, or hf-hub:OWNER/NAME.",
    )
    pretrained: Annotated[str | None, Neutral(None)] = Field(
        default=None,
        description="Weights to start from, for a model that was named: a tag of open_clip's (laion2b_s34b_b79k) or a "
        "file; fresh ones if null.",
    )
    tune: Tuning = Field(default=Tuning(), description="What of the model learns, and how fast.")
    wise_ft: Annotated[bool, Neutral(False)] = Field(
        default=False,
        description="Mix the weights that the run began with into the last ones (WiSE-FT), as much as is best on "
        "validation.",
    )
    image_size: Annotated[int | None, Neutral(None)] = Field(
        default=None, ge=8, description="Side of the pictures in pixels; the model's own if null."
    )
    vocabulary: Annotated[int | None, Neutral(None)] = Field(
        default=None,
        ge=128,
        description="Learn a vocabulary of at most so many tokens from the training captions (8000 suits most): for "
        "Japanese captions, on which CLIP's own spends two tokens a character; the model's own if null.",
    )
    policy: Policy = Policy()
    augmentation: Augmentation = Augmentation()
    batch_size: Annotated[int, ALWAYS] = Field(default=128, ge=2, description="Pairs a step, over all processes.")
    batch_sampling: Annotated[BatchSampling, Neutral("random")] = Field(
        default="random",
        description="What stands in one batch: pairs as they come; distinct captions, as far as there are enough; or "
        "balanced, each label's share.",
    )
    samples: Annotated[int | None, Neutral(None)] = Field(
        default=None, ge=1, description="Pairs shown in all; give this or epochs."
    )
    epochs: Annotated[float | None, Neutral(None)] = Field(
        default=None, gt=0, allow_inf_nan=False, description="Times that every training pair is shown."
    )
    learning_rate: Annotated[float, ALWAYS] = Field(
        default=1e-3,
        gt=0,
        allow_inf_nan=False,
        description="The peak; for fresh weights: a public model wants a hundredth.",
    )
    weight_decay: Annotated[float, Neutral(0.0)] = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="AdamW's, of weights but not of biases and norms."
    )
    betas: Annotated[tuple[_Beta, _Beta], ALWAYS] = (0.9, 0.98)
    warmup: Annotated[float, Neutral(0.0)] = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    grad_cache_chunks: Annotated[int, Neutral(1)] = Field(
        default=1,
        ge=1,
        description="Parts that each process computes its batch in, to save memory: the same gradients (gradient "
        "caching), about a third slower.",
    )
    grad_checkpointing: Annotated[bool, Neutral(False)] = Field(
        default=False, description="Save memory by computing activations again for the gradient, about a third slower."
    )
    compile: Annotated[bool, Neutral(False)] = Field(
        default=False, description="Compile the towers (torch.compile): slow to start, then faster."
    )
    clip_norm: Annotated[float, Neutral(math.inf)] = Field(
        default=1.0, gt=0, description="Largest norm of the gradient."
    )
    loss: Annotated[Literal["clip", "siglip"], Neutral("clip")] = Field(
        default="clip",
        description="clip: which caption of the batch belongs to a picture, and the other way round; siglip: each pair "
        "is a yes-no question of its own, with a bias that is learnt.",
    )
    mask_false_negatives: Annotated[bool, Neutral(False)] = Field(
        default=True, description="Pairs that share an image or a caption are no negatives of each other."
    )
    temperature: Annotated[float | None, Neutral(None)] = Field(
        default=None, ge=0.01, le=1, description="A fixed temperature of the loss; learnt, from 0.07 on, if null."
    )
    seed: Annotated[int, ALWAYS] = Field(default=0, ge=0, lt=2**64)
    precision: Annotated[Literal["auto", "fp32", "bf16"], Neutral("auto")] = Field(
        default="auto", description="auto: bf16 where the GPU has it."
    )
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Neutral("auto")] = "auto"
    threads: Annotated[int | None, Neutral(None)] = Field(
        default=None, ge=1, description="CPU threads; PyTorch's own choice if null."
    )
    renderer: Annotated[Literal["auto", "worker", "resident"], Neutral("auto")] = Field(
        default="auto",
        description="resident keeps all pictures decoded in memory, worker decodes them again each time; auto takes "
        "resident where they fit.",
    )
    num_workers: Annotated[int | None, NEVER] = Field(
        default=None,
        ge=0,
        description="Processes that render ahead; 0 renders in the training process; null takes as many as there are "
        "cores for them (at most 8, fewer than threads) where the model is on a GPU and pictures are not, else none.",
    )
    validations: Annotated[int, Neutral(0)] = Field(
        default=10, ge=0, description="How often the validation split is measured during the run."
    )
    track: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], NEVER] = Field(
        default=("tensorboard",), description="Where figures go beside metrics.jsonl."
    )
    checkpoint_seconds: Annotated[float, NEVER] = Field(
        default=120.0, gt=0, description="Time between two checkpoints."
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        """Recipes and runs of version 0.3 and older have other names for some keys, and one that is gone."""
        if not isinstance(given, dict):
            return given
        if given.get("forgetting") is not None:
            logger.warning(
                "the key forgetting is ignored; when the run has ended, see what the model forgot of a set by "
                "clipc eval MODEL SOURCE --against START."
            )
        fields = {key: value for key, value in given.items() if key != "forgetting"}
        for old in RENAMED.keys() & fields.keys():
            new = RENAMED[old]
            if new in fields:
                raise ValueError(f"{old} is the old name of {new}; leave {old} out")
            logger.warning("the key %s is now called %s; the old name is still read.", old, new)
            fields[new] = fields.pop(old)
        return fields

    @model_validator(mode="after")
    def _makes_sense(self) -> "Recipe":
        if (self.samples is None) == (self.epochs is None):
            raise ValueError("give samples or epochs, one of the two, such as epochs: 20")
        if self.wise_ft and not self.validations:
            raise ValueError("wise_ft chooses its weights on validation; set validations to 1 or more")
        return self

    def steps(self, pairs: int) -> int:
        """The number of steps on so many training pairs; the last one may go into one more epoch."""
        samples = self.samples if self.samples is not None else round((self.epochs or 0) * pairs)
        return max(1, -(-samples // self.batch_size))

    def identity_keys(self, *, how: bool = True) -> dict[str, Any]:
        """The keys that count for the result and their values; models and files as they are named here.

        Args:
            how: Whether what a stopped run may be given anew counts: how, not what, is computed.
        """
        return identity_keys(self, () if how else _HOW)

    def same_run(self, data_fingerprint: str) -> str:
        """The :meth:`identity` without what a stopped run may be given anew."""
        return self._name(data_fingerprint, self.identity_keys(how=False))

    def identity(self, data_fingerprint: str) -> str:
        """Ten hexadecimal digits that name what this recipe makes of these data.

        Keys count where they differ from their neutral value; what cannot change the result (where data lie, workers,
        how often it is saved, the reasons and examples of rules) is left out, and models and tables count by what
        they hold, not by where they lie.
        """
        return self._name(data_fingerprint, self.identity_keys())

    def _name(self, data_fingerprint: str, keys: dict[str, Any]) -> str:
        if self.model.endswith(".json") and Path(self.model).is_file():
            keys["model"] = file_fingerprint(Path(self.model))
        if (start := weights_fingerprint(self.model, self.pretrained)) is not None:
            keys["model" if self.pretrained is None else "pretrained"] = start
        policy = keys["policy"]
        policy |= {name: reference_fingerprint(policy[name]) for name in ("embedding", "reference") if name in policy}
        policy |= {name: table_fingerprint(policy[name]) for name in ("weights", "region") if name in policy}
        if own := self.policy.own_code:
            keys["own_code"] = own
        return hash_keys({**keys, "data_fingerprint": data_fingerprint})


_BESIDE: Final = ("environment.json", "metrics.jsonl", "finished.json")
"""Files that tell a run's folder, whose recipe may be a stranger's."""


def built_in_recipes() -> list[str]:
    """The recipes that ship with clipc."""
    folder = resources.files("clipc") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file or by the name of one that ships, changed by ``key=value`` words.

    Args:
        name: A file, or a name from :func:`built_in_recipes`.
        overrides: Such as ``policy.rho=0.15``; values are read as YAML.

    Returns:
        The recipe. One in the folder of a run may be a stranger's: what it names of a user's own code is never
        imported, unless an override names it again.

    Raises:
        UserError: An unknown key (with the nearest one that exists), a wrong value, a file that is not
            there or no YAML.
    """
    if str(name) in built_in_recipes():
        text = (resources.files("clipc") / "recipes" / f"{name}.yaml").read_text("utf-8")
    elif os.path.isfile(name):
        if any((Path(name).parent / other).is_file() for other in _BESIDE):
            return _made(foreign(read_yaml(Path(name), "recipe")), overrides, str(name))
        return _made(read_yaml(Path(name), "recipe"), overrides, str(name))
    elif Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"there is no recipe file {name}.")
    elif os.path.exists(name):
        raise UserError(f"{name} is no recipe; to train on it, write clipc train nano data.source={name}.")
    else:
        raise unknown_name("recipe", str(name), built_in_recipes())
    return _made(parse_yaml(text, str(name)), overrides, str(name))


def recipe_of_run(folder: Path) -> Recipe:
    """The recipe that a run's folder holds; what it names of a user's own code is told and never imported.

    Raises:
        UserError: It is not there, is no YAML, or no recipe.
    """
    file = folder / "recipe.yaml"
    return make_recipe(foreign(read_yaml(file, "recipe")), str(file))


def make_recipe(fields: dict[str, Any], where: str = "the recipe") -> Recipe:
    """A recipe from plain values.

    Args:
        fields: The recipe's keys and values, nested.
        where: Named in messages.

    Raises:
        UserError: As for :func:`read_recipe`.
    """
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        raise invalid_fields(error, where, Recipe) from error


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Writes a recipe, every value resolved, as YAML that :func:`read_recipe` reads."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with whole_file(file) as new, new.open("w", encoding="utf-8") as stream:
        yaml.dump(recipe.model_dump(mode="json"), stream)


def _made(fields: dict[str, Any] | None, overrides: Sequence[str], where: str) -> Recipe:
    fields = fields or {}
    for word in overrides:
        override(fields, word)
    return make_recipe(fields, where)
