"""The recipe: the configuration of a training run, from YAML and ``key=value`` overrides."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clipc.compose.batches import BatchSampling
from clipc.compose.policy import PathOrName, Policy
from clipc.errors import UserError, invalid_fields
from clipc.extension import mark_untrusted
from clipc.files import whole_file
from clipc.identity import ALWAYS, NEVER, Neutral, hash_keys, identity_keys
from clipc.models.fingerprints import (
    file_fingerprint,
    reference_fingerprint,
    scorer_fingerprint,
    table_fingerprint,
    weights_fingerprint,
)
from clipc.models.tuning import Tuning
from clipc.recipe.data import Data
from clipc.recipe.key_types import KeyType
from clipc.recipe.yaml_table import built_in, override, read_named, read_value, read_yaml, set_key
from clipc.render.crop import Augmentation

logger = logging.getLogger(__name__)


_Beta = Annotated[float, Field(ge=0, lt=1)]


_EXECUTION: Final = ("device", "threads", "renderer", "grad_cache_chunks", "grad_checkpointing", "compile")
"""Keys that say how the result is computed, not which result: they may change when a run resumes. The renderer of
features is an exception: its inputs are others."""


ALIASES: Final = {
    "batches": "batch_sampling",
    "chunks": "grad_cache_chunks",
    "recompute": "grad_checkpointing",
    "mask": "mask_false_negatives",
    "workers": "num_workers",
}
"""Keys of recipes up to version 0.3, with their current names."""


class Recipe(BaseModel):
    """The configuration of one training run. Two equal recipes on equal data give equal weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data: Annotated[Data, NEVER] = Data()
    model: Annotated[PathOrName, ALWAYS] = "small"
    """A model of clipc's or open_clip's, a JSON configuration, or a model to fine-tune: the folder of a run or a model,
    or hf-hub:OWNER/NAME.
    """
    pretrained: Annotated[PathOrName | None, Neutral(None)] = None
    """Pretrained weights for the model: a tag of open_clip's (laion2b_s34b_b79k) or a file; random ones if null."""
    tune: Tuning = Tuning()
    """Trainable layers, adapters and layer-wise learning rates."""
    wise_ft: Annotated[bool, Neutral(False)] = False
    """Interpolate between the weights before and after fine-tuning (WiSE-FT), by the best ratio on validation."""
    image_size: Annotated[int | None, Neutral(None)] = Field(default=None, ge=8)
    """Side of the images in pixels; the model's own if null."""
    vocabulary: Annotated[int | None, Neutral(None)] = Field(default=None, ge=128)
    """Largest size of a vocabulary learnt from the training captions (8000 suits most): for Japanese captions, where
    CLIP's own needs two tokens a character; the model's own if null.
    """
    policy: Policy = Policy()
    augmentation: Augmentation = Augmentation()
    batch_size: Annotated[int, ALWAYS] = Field(default=128, ge=2)
    """Pairs in each step, over all processes."""
    batch_sampling: Annotated[BatchSampling, Neutral("random")] = "random"
    """random; distinct: different captions within a batch, as far as there are enough; balanced: by label."""
    samples: Annotated[int | None, Neutral(None)] = Field(default=None, ge=1)
    """Samples seen in the whole run; give this or epochs."""
    epochs: Annotated[float | None, Neutral(None)] = Field(default=None, gt=0, allow_inf_nan=False)
    """Passes over the training pairs; give this or samples."""
    learning_rate: Annotated[float, ALWAYS] = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """The peak; the default suits training from scratch: divide it by a hundred for fine-tuning."""
    weight_decay: Annotated[float, Neutral(0.0)] = Field(default=0.1, ge=0, allow_inf_nan=False)
    """AdamW's decay of weights; biases and norms are not decayed."""
    betas: Annotated[tuple[_Beta, _Beta], ALWAYS] = (0.9, 0.98)
    warmup: Annotated[float, Neutral(0.0)] = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    grad_cache_chunks: Annotated[int, Neutral(1)] = Field(default=1, ge=1)
    """Chunks of each process's batch, to save memory by gradient caching: the same gradients, about a third slower."""
    grad_checkpointing: Annotated[bool, Neutral(False)] = False
    """Save memory by recomputing activations for the gradient, about a third slower."""
    compile: Annotated[bool, Neutral(False)] = False
    """Compile the towers (torch.compile): the start is slower, the steps are faster."""
    clip_norm: Annotated[float, Neutral(math.inf)] = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    loss: Annotated[Literal["clip", "siglip"], Neutral("clip")] = "clip"
    """clip: softmax cross-entropy over the batch (InfoNCE); siglip: a sigmoid for each combination of image and
    caption, with a learnable bias.
    """
    mask_false_negatives: Annotated[bool, Neutral(False)] = True
    """Pairs that share an image or a caption are not used as negatives."""
    temperature: Annotated[float | None, Neutral(None)] = Field(default=None, ge=0.01, le=1)
    """A fixed temperature; learnable, from 0.07 on, if null."""
    seed: Annotated[int, ALWAYS] = Field(default=0, ge=0, lt=2**64)
    precision: Annotated[Literal["auto", "fp32", "bf16"], Neutral("auto")] = "auto"
    """auto: bf16 where the GPU has it."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Neutral("auto")] = "auto"
    threads: Annotated[int | None, Neutral(None)] = Field(default=None, ge=1)
    """CPU threads; PyTorch's own choice if null."""
    renderer: Annotated[Literal["auto", "worker", "resident", "features"], Neutral("auto")] = "auto"
    """resident caches all decoded images in memory, worker decodes them in each epoch; auto chooses resident if they
    fit. features computes what the locked trunks give once and trains the projections on it.
    """
    kept_views: Annotated[int, Neutral(3)] = Field(default=3, ge=1)
    """With renderer features: random views of each image whose features are kept, besides the whole image."""
    head_dropout: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, lt=1)
    """Dropout before the last linear layer of both projections; with a few hundred pairs 0.5 to 0.8 helps."""
    num_workers: Annotated[int | None, NEVER] = Field(default=None, ge=0)
    """Loader workers; 0 renders in the training process; null takes one a free core (at most 8, fewer than threads) if
    the model is on a GPU and the images are not, else none.
    """
    validations: Annotated[int, Neutral(0)] = Field(default=10, ge=0)
    """The number of validations during the run."""
    selection: Annotated[Literal["last", "ema", "best"], Neutral("best")] = "last"
    """The weights that are the result: last: of the last step; ema: averaged over the last part of the run; best: of
    the step with the best validation.
    """
    ema_share: Annotated[float, Neutral(0.1)] = Field(default=0.1, gt=0, le=1)
    """With selection ema: the share of the run that the average reaches back."""
    patience: Annotated[int | None, Neutral(None)] = Field(default=None, ge=1)
    """With selection best: end the run after so many validations without an improvement; never if null."""
    track: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], NEVER] = ("tensorboard",)
    """Experiment trackers beside metrics.jsonl."""
    checkpoint_seconds: Annotated[float, NEVER] = Field(default=120.0, gt=0)
    """Time between two checkpoints."""

    @model_validator(mode="before")
    @classmethod
    def _apply_aliases(cls, value: Any) -> Any:
        """Renames the keys of recipes up to version 0.3 that have other names now."""
        if not isinstance(value, dict):
            return value
        fields = dict(value)
        if fields.pop("forgetting", None) is not None:
            logger.warning(
                "the key forgetting is ignored; after the run, measure what the model forgot with "
                "clipc eval MODEL SOURCE --against START."
            )
        for old in ALIASES.keys() & fields.keys():
            if (new := ALIASES[old]) in fields:
                raise ValueError(f"{old} is the old name of {new}; leave {old} out")
            logger.warning("the key %s is now called %s; the old name is still read.", old, new)
            fields[new] = fields.pop(old)
        return fields

    @model_validator(mode="after")
    def _check_combinations(self) -> "Recipe":
        if (self.samples is None) == (self.epochs is None):
            raise ValueError("give either samples or epochs, such as epochs: 20")
        if self.wise_ft and not self.validations:
            raise ValueError("wise_ft chooses its weights on validation; set validations to 1 or more")
        if self.patience is not None and (self.selection != "best" or not self.validations):
            raise ValueError("patience counts validations; set selection to best, and validations to 1 or more")
        return self

    def steps(self, pairs: int) -> int:
        """The number of steps of a run.

        Samples are rounded up to whole batches, so the last batch may reach into another epoch.

        Args:
            pairs: The number of training pairs.
        """
        samples = self.samples if self.samples is not None else round((self.epochs or 0) * pairs)
        return max(1, -(-samples // self.batch_size))

    def with_threads(self, threads: int) -> "Recipe":
        """The recipe with this number of CPU threads, unless the recipe sets one itself."""
        return self if self.threads else self.model_copy(update={"threads": threads})

    def identity_keys(self, *, how: bool = True) -> dict[str, Any]:
        """The keys that are part of the run's identity, with their values; models and files are named as in the recipe.

        Args:
            how: Whether to include the keys that say how the result is computed, such as ``device`` and ``renderer``.
        """
        execution = [key for key in _EXECUTION if key != "renderer" or self.renderer != "features"]
        return identity_keys(self, () if how else execution)

    def same_run(self, data_fingerprint: str) -> str:
        """The :meth:`identity` without the keys that may change when a run resumes."""
        return self.identity(data_fingerprint, how=False)

    def identity(self, data_fingerprint: str, *, how: bool = True) -> str:
        """Ten hexadecimal digits that identify the result of this recipe on a data set.

        They depend on the keys whose values are not neutral (:class:`~clipc.identity.Neutral`). Keys that cannot change
        the result are left out: paths of data, workers, checkpoint intervals, reasons and examples of rules. Models and
        tables are hashed by content.

        Args:
            data_fingerprint: The catalog's fingerprint.
            how: As for :meth:`identity_keys`.
        """
        keys = self.identity_keys(how=how)
        if self.model.endswith(".json") and Path(self.model).is_file():
            keys["model"] = file_fingerprint(Path(self.model))
        if (weights := weights_fingerprint(self.model, self.pretrained)) is not None:
            keys["model" if self.pretrained is None else "pretrained"] = weights
        policy = keys["policy"]
        policy |= {name: reference_fingerprint(policy[name]) for name in ("embedding", "reference") if name in policy}
        policy |= {name: table_fingerprint(policy[name]) for name in ("weights", "region") if name in policy}
        if (by := self.policy.score.by) is not None:
            policy["score"] |= {"by": scorer_fingerprint(by)}
        if own_code := self.policy.own_code:
            keys["own_code"] = own_code
        return hash_keys({**keys, "data_fingerprint": data_fingerprint})


_RUN_FILES: Final = ("environment.json", "metrics.jsonl", "finished.json")
"""Files that mark the folder of a run; the recipe in such a folder may come from a stranger."""


def read_recipe(
    name: str | Path, overrides: Sequence[str] | Mapping[str, Any] = (), changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Reads a recipe from a YAML file, or a built-in one, and applies overrides.

    Args:
        name: A file, or a name from ``built_in("recipe")``.
        overrides: ``key=value``, such as ``policy.rho=0.15``, read as :func:`~clipc.recipe.yaml_table.read_value` does;
            or values by dotted key.
        changes: Values by dotted key that the overrides may replace.

    Returns:
        The recipe. Where the file lies in the folder of a run, it may come from a stranger: user code that it names is
        never imported, unless an override names it again.

    Raises:
        UserError: A key is unknown (the message suggests the nearest one), a value is wrong, or the file is missing
            or not YAML.
    """
    if os.path.isdir(name) and str(name) not in built_in("recipe"):
        raise UserError(f"{name} is a folder, not a recipe; to train on it, write clipc train nano data.source={name}.")
    types = KeyType(Recipe)
    fields = read_named(name, "recipe", types)
    if any((Path(name).parent / file).is_file() for file in _RUN_FILES):
        fields = mark_untrusted(fields)
    for key, value in (changes or {}).items():
        set_key(fields, key, value)
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            set_key(fields, key, value)
    else:
        for setting in overrides:
            override(fields, setting, lambda key, text: read_value(key, text, types))
    return make_recipe(fields, str(name))


def recipe_of_run(folder: Path) -> Recipe:
    """Reads the recipe in the folder of a run; user code that it names is never imported.

    Raises:
        UserError: ``recipe.yaml`` is missing, not YAML, or not a recipe.
    """
    file = folder / "recipe.yaml"
    return make_recipe(mark_untrusted(read_yaml(file, "recipe", KeyType(Recipe))), str(file))


def make_recipe(fields: dict[str, Any], where: str = "the recipe") -> Recipe:
    """A recipe from plain values.

    Args:
        fields: The recipe's keys and values, nested.
        where: The source of the fields, for messages.

    Raises:
        UserError: As for :func:`read_recipe`.
    """
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        raise invalid_fields(error, where, Recipe) from error


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Writes a recipe with all defaults as YAML for :func:`read_recipe`."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with whole_file(file) as new, new.open("w", encoding="utf-8") as stream:
        yaml.dump(recipe.model_dump(mode="json"), stream)
