"""The recipe: everything that decides a run, frozen, from YAML and ``key=value`` overrides."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clipc.catalog import Catalog, open_catalog, with_fewer, with_splits
from clipc.compose.batches import Makeup
from clipc.compose.policy import Policy
from clipc.errors import UserError, unknown_name
from clipc.models.tuning import Tuning
from clipc.models.weights_mark import file_mark, reference_mark, weights_mark
from clipc.progress import Progress, silent
from clipc.recipe.yaml_table import override, parse_yaml, read_yaml
from clipc.render.crop import Augmentation


class Data(BaseModel):
    """Where the pairs come from; the fields are those of :func:`clipc.catalog.open_catalog`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(default="demo", description="A tar, table, folder, Hugging Face set, or 'demo'.")
    images: Path | None = Field(default=None, description="The folder that a table's image paths are relative to.")
    image_column: str | None = Field(default=None, description="The table's column of image paths.")
    caption_columns: tuple[str, ...] = Field(default=(), description="The table's columns of captions.")
    pairs: int | None = Field(
        default=None,
        ge=1,
        description="Train on so many of the training pairs only, of each label its share; the pairs of a smaller "
        "number are among those of a larger one.",
    )
    label_columns: tuple[str, ...] = Field(default=(), description="Columns of class labels, the main one first.")
    split_column: str | None = Field(default=None, description="The table's column of splits.")
    key_column: str | None = Field(default=None, description="The table's column of unique keys.")
    group_column: str | None = Field(
        default=None, description="Pairs of one group (a patient, a part) stay in one split."
    )
    encoding: str | None = Field(default=None, description="The table's encoding, where it is not detected rightly.")
    cache: Path | None = Field(default=None, description="Where catalogs are kept; the user's cache folder if null.")
    lang: Literal["en", "ja"] = Field(default="en", description="Language of the demo set and of prompts.")

    def open(self, progress: Progress = silent) -> Catalog:
        """The catalog, with splits made where the source has none."""
        options = self.model_dump(exclude={"group_column", "pairs"})
        source = options.pop("source")
        catalog = with_splits(open_catalog(source, **options, progress=progress), group_column=self.group_column)
        return catalog if self.pairs is None else with_fewer(catalog, self.pairs)


_Beta = Annotated[float, Field(ge=0, lt=1)]


LATER: Final = (
    *("vocabulary", "pretrained", "tune", "wise_ft", "chunks", "recompute", "compile", "renderer"),
    *("batches", "temperature", "loss"),
)
"""Keys that were added after runs had been named: they are part of a run's name where they are used."""


class Recipe(BaseModel):
    """One run of training. Two equal recipes on equal data give equal weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Data = Data()
    model: str = Field(
        default="small",
        description="A model of clipc's or open_clip's, a JSON configuration, or what to go on from: a run's or a "
        "model's folder, or hf-hub:OWNER/NAME.",
    )
    pretrained: str | None = Field(
        default=None,
        description="Weights to start from, for a model that was named: a tag of open_clip's (laion2b_s34b_b79k) or a "
        "file; fresh ones if null.",
    )
    tune: Tuning = Field(default=Tuning(), description="What of the model learns, and how fast.")
    wise_ft: bool = Field(
        default=False,
        description="Mix the weights that the run began with into the last ones (WiSE-FT), as much as is best on "
        "validation.",
    )
    forgetting: Data | None = Field(
        default=None, description="A set on which the model is measured before and after, to see what it forgot."
    )
    image_size: int | None = Field(
        default=None, ge=8, description="Side of the pictures in pixels; the model's own if null."
    )
    vocabulary: int | None = Field(
        default=None,
        ge=128,
        description="Learn a vocabulary of at most so many tokens from the training captions (8000 suits most): for "
        "Japanese captions, on which CLIP's own spends two tokens a character; the model's own if null.",
    )
    policy: Policy = Policy()
    augmentation: Augmentation = Augmentation()
    batch_size: int = Field(default=128, ge=2, description="Pairs a step, over all processes.")
    batches: Makeup = Field(
        default="random",
        description="What stands in one batch: pairs as they come; distinct captions, as far as there are enough; or "
        "balanced, each label's share.",
    )
    samples: int | None = Field(default=None, ge=1, description="Pairs shown in all; give this or epochs.")
    epochs: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Times that every training pair is shown."
    )
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        allow_inf_nan=False,
        description="The peak; for fresh weights: a public model wants a hundredth.",
    )
    weight_decay: float = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="AdamW's, of weights but not of biases and norms."
    )
    betas: tuple[_Beta, _Beta] = (0.9, 0.98)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    chunks: int = Field(
        default=1,
        ge=1,
        description="Parts that each process computes its batch in, to save memory: the same gradients (gradient "
        "caching), about a third slower.",
    )
    recompute: bool = Field(
        default=False, description="Save memory by computing activations again for the gradient, about a third slower."
    )
    compile: bool = Field(default=False, description="Compile the towers (torch.compile): slow to start, then faster.")
    clip_norm: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    loss: Literal["clip", "siglip"] = Field(
        default="clip",
        description="clip: which caption of the batch belongs to a picture, and the other way round; siglip: each pair "
        "is a yes-no question of its own, with a bias that is learnt.",
    )
    mask: bool = Field(
        default=True, description="Pairs that share an image or a caption are no negatives of each other."
    )
    temperature: float | None = Field(
        default=None, ge=0.01, le=1, description="A fixed temperature of the loss; learnt, from 0.07 on, if null."
    )
    seed: int = Field(default=0, ge=0, lt=2**64)
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="auto: bf16 where the GPU has it.")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(default=None, ge=1, description="CPU threads; PyTorch's own choice if null.")
    renderer: Literal["auto", "worker", "resident"] = Field(
        default="auto",
        description="resident keeps all pictures decoded in memory, worker decodes them again each time; auto takes "
        "resident where they fit.",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        description="Processes that render ahead; 0 renders in the training process; null takes as many as there are "
        "cores for them (at most 8, fewer than threads) where the model is on a GPU and pictures are not, else none.",
    )
    validations: int = Field(default=10, ge=0, description="How often the validation split is measured during the run.")
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = Field(
        default=("tensorboard",), description="Where figures go beside metrics.jsonl."
    )
    checkpoint_seconds: float = Field(default=120.0, gt=0, description="Time between two checkpoints.")

    @model_validator(mode="after")
    def _makes_sense(self) -> "Recipe":
        if (self.samples is None) == (self.epochs is None):
            raise ValueError("give samples or epochs, one of the two, such as epochs: 20")
        if self.wise_ft and not self.validations:
            raise ValueError("wise_ft chooses its weights on validation; set validations to 1 or more")
        return self

    @property
    def measures_at_the_end(self) -> bool:
        """Whether more is measured after the last step than validation."""
        return self.wise_ft or self.forgetting is not None

    def steps(self, pairs: int) -> int:
        """The number of steps on so many training pairs; the last one may go into one more epoch."""
        samples = self.samples if self.samples is not None else round((self.epochs or 0) * pairs)
        return max(1, -(-samples // self.batch_size))

    def same_run(self, data_fingerprint: str) -> str:
        """The :meth:`identity` without what a stopped run may be given anew: how, not what, is computed."""
        free = ("device", "threads", "renderer", "chunks", "recompute", "compile")
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in free}).identity(data_fingerprint)

    def identity(self, data_fingerprint: str) -> str:
        """Ten hexadecimal digits that name what this recipe makes of these data.

        What cannot change the result (where data lie, workers, how often it is saved, the reasons and examples of
        rules) is left out.
        """
        reasons = {section: {"__all__": {"why"}} for section in ("pairs", "images", "captions", "never")}
        left_out: dict[str, Any] = dict.fromkeys(("data", "workers", "checkpoint_seconds", "track", "forgetting"), True)
        left_out["policy"] = {"rules": {"name": True, "examples": True, **reasons}}
        fields = self.model_dump(mode="json", exclude=left_out)
        # What came later counts where it is used, so that older names stay.
        for name in LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                del fields[name]
        if self.model.endswith(".json") and Path(self.model).is_file():
            fields["model"] = file_mark(Path(self.model))  # What it says counts, not where it lies.
        if (start := weights_mark(self.model, self.pretrained)) is not None:
            fields["model" if self.pretrained is None else "pretrained"] = start
        for name in ("embedding", "reference"):  # What the model is counts, not where it lies.
            fields["policy"][name] = reference_mark(fields["policy"][name])
        text = json.dumps({**fields, "data_fingerprint": data_fingerprint}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def built_in_recipes() -> list[str]:
    """The recipes that ship with clipc."""
    folder = resources.files("clipc") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file or by the name of one that ships, changed by ``key=value`` words.

    Args:
        name: A file, or a name from :func:`built_in_recipes`.
        overrides: Such as ``policy.rho=0.15``; values are read as YAML.

    Raises:
        UserError: An unknown key (with the nearest one that exists), a wrong value, a file that is not
            there or no YAML.
    """
    if str(name) in built_in_recipes():
        text = (resources.files("clipc") / "recipes" / f"{name}.yaml").read_text("utf-8")
    elif os.path.isfile(name):
        return _made(read_yaml(Path(name), "recipe"), overrides, str(name))
    elif Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"there is no recipe file {name}.")
    elif os.path.exists(name):
        raise UserError(f"{name} is no recipe; to train on it, write clipc train nano data.source={name}.")
    else:
        raise unknown_name("recipe", str(name), built_in_recipes())
    return _made(parse_yaml(text, str(name)), overrides, str(name))


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
        raise _readable(error, where) from error


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Writes a recipe, every value resolved, as YAML that :func:`read_recipe` reads."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(recipe.model_dump(mode="json"), stream)


def _made(fields: dict[str, Any] | None, overrides: Sequence[str], where: str) -> Recipe:
    fields = fields or {}
    for word in overrides:
        override(fields, word)
    return make_recipe(fields, where)


def _readable(error: ValidationError, where: str) -> UserError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        return UserError(f"{where}: {unknown_name('key', '.'.join(path), _keys(Recipe))}")
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        known = re.findall(r"'([^']*)'", str(first.get("ctx", {}).get("expected", "")))
        what = f"value of {'.'.join(path)}"
        return UserError(f"{where}: {unknown_name(what, first['input'], known)}")
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    given = "" if first["type"] == "value_error" else f", not {first['input']!r}"
    return UserError(f"{where}: {'.'.join(path)}{': ' if path else ''}{message}{given}.")


def _keys(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name
