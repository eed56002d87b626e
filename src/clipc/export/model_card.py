"""The model card: model, training data, recipe, metrics and limitations."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from clipc.models.model import ClipModel
from clipc.models.model_config import HUB_PREFIX
from clipc.models.starter import packaged_trunks
from clipc.models.tokenizer import LEARNT
from clipc.recipe.ancestors import ancestors
from clipc.recipe.recipe import Recipe, recipe_of_run
from clipc.recipe.run import Run

_MARKUP: Final = re.compile(r"[\\`*_\[\]{}|~#$<>&@!]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def model_card(
    model: ClipModel,
    name: str,
    run: Run | None = None,
    *,
    hub_id: str | None = None,
    license: str = "unknown",
    onnx: Mapping[str, float] | None = None,
) -> str:
    """The model's ``README.md``, with the metadata header of the Hugging Face Hub.

    It never contains captions, keys of pairs or paths of the data. Names chosen by users (data, rules, columns) are
    escaped. An audit is a report on the model's bias in a file ``audit/NAME.json`` of the run; of it the card takes the
    sentences under the key ``summary`` alone, and whether it ``failed``.

    Args:
        model: The model.
        name: The model's name, for the title.
        run: The run that trained the model, if any. Its ``recipe.yaml`` is read and, where they exist, ``data.json``,
            ``plan-statistics.json``, ``finished.json``, ``environment.json``, ``eval/*.json`` and ``audit/*.json``.
        hub_id: The target repository, ``org/name``.
        license: A license identifier of the Hub, such as ``mit``. It is not escaped: :func:`export_model` checks it.
        onnx: The largest absolute difference between ONNX Runtime and PyTorch by tower, as :func:`export_onnx` returns
            it, if the model is exported to ONNX.

    Returns:
        Markdown.

    Raises:
        UserError: The run's recipe, or another of its files, cannot be read.
    """
    recipe = recipe_of_run(run.folder) if run is not None else None
    base = recipe.model.removeprefix(HUB_PREFIX) if recipe and recipe.model.startswith(HUB_PREFIX) else None
    return _template().render(
        name=name,
        license=Markup(license),
        base=base and Markup(json.dumps(base)),
        hub=hub_id,
        load_name=Markup(f"{HUB_PREFIX}{hub_id}" if hub_id else "local-dir:FOLDER"),
        side=model.image_size,
        context=model.tokenizer.context_length,
        parameters=f"{model.parameter_count:,}",
        trunks=packaged_trunks(model.config),
        offline="hf_model_name" in model.config["text_cfg"],
        learnt=model.config["text_cfg"].get("hf_tokenizer_name") == LEARNT,
        onnx={tower: f"{difference:.0e}" for tower, difference in (onnx or {}).items()},
        data=_data(run, recipe) if run and recipe else None,
        run=_run(run, recipe) if run and recipe else None,
    )


def escape_markdown(text: str) -> Markup:
    """User text escaped for Markdown: one line without links, emphasis, table borders or HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return Markup(_MARKUP.sub(r"\\\g<0>", line))


@cache
def _template() -> Any:
    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else escape_markdown(value)

    engine = Environment(undefined=StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True)
    engine.filters["quoted"] = _quoted
    return engine.from_string((resources.files("clipc.export") / "model_card.md.j2").read_text("utf-8"))


def _data(run: Run, recipe: Recipe) -> dict[str, Any]:
    rows = (run.read_json("plan-statistics.json") or {}).get("rows")
    facts: dict[str, Any] = {
        "name": _public_name(recipe.data.source),
        "generated": False,
        "fingerprint": "not recorded",
        "pairs": {} if rows is None else {"train": rows},
        **(run.read_json("data.json") or {}),
    }
    pairs = [f"{count:,} {split}" for split, count in facts["pairs"].items()]
    return {**facts, "pairs": f"{', '.join(pairs) or 'an unknown number of'} pairs"}


def _run(run: Run, recipe: Recipe) -> dict[str, Any]:
    finished = run.finished or {}
    return {
        "clipc": (run.read_json("environment.json") or {}).get("clipc", "of an unknown version"),
        "ancestors": ancestors(run),
        "composes": recipe.policy.composes,
        "unfinished": run.finished is None,
        "recipe": list(_recipe(recipe, finished)),
        "policy": recipe.policy,
        "share": finished.get("composite_share"),
        "results": list(_results(run, finished)),
        "audits": [
            {"name": name, "summary": _sentences(audit), "failed": "failed" in audit}
            for name, audit in _tables(run, "audit")
        ],
    }


def _tables(run: Run, folder: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """The JSON files in a folder of the run, by name without ending."""
    for file in sorted((run.folder / folder).glob("*.json")):
        yield file.stem, run.read_json(f"{folder}/{file.name}") or {}


def _recipe(recipe: Recipe, finished: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The rows of the table of training, each a key and its value: the recipe's main keys, and the run's length.

    Of a path only the last part is given.
    """
    tune = recipe.tune.model_dump(mode="json", exclude_defaults=True)
    yield "model", _public_name(recipe.model)
    for key in ("pretrained", "image_size", "vocabulary"):
        if (value := getattr(recipe, key)) is not None:
            yield key, _public_name(value) if isinstance(value, str) else value
    yield from ((f"tune.{key}", value) for key, value in tune.items())
    for key in ("steps", "samples", "epochs", "parameters"):
        if key in finished:
            yield key, f"{round(finished[key], 2):,}"
    for key in ("batch_size", "learning_rate", "weight_decay", "warmup", "mask_false_negatives", "wise_ft", "seed"):
        yield key, getattr(recipe, key)
    if wise_ft := finished.get("wise_ft"):
        yield (
            "wise_ft.alpha",
            wise_ft["alpha"] if wise_ft.get("taken", True) else "none did better than an earlier step",
        )


def _results(run: Run, finished: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    data = run.read_json("data.json") or {}
    # Queries are images or captions. Runs of earlier versions did not record the number of captions.
    images, captions = (data.get(kind, {}).get("val", "") for kind in ("pairs", "captions"))
    if best := finished.get("best"):
        metrics = {name: value for name, value in best.items() if name not in ("step", "alpha")}
        title = f"Validation at step {best['step']}"
        if "alpha" in best:
            title = "Validation, by which this interpolation with the initial weights was chosen"
        elif finished.get("selection", "best") == "best":  # Runs of earlier versions did not record it.
            title = f"Validation, by which step {best['step']} was chosen"
        facts = {name: {"n": captions if name.startswith("text_to_image") else images} for name in metrics}
        yield {"title": title, "metrics": metrics, "facts": facts}
    for name, tables in _tables(run, "eval"):
        if not name.endswith("-last") and tables.get("metrics"):
            facts = tables.get("descriptions", {})
            yield {"title": f"Measured ({name})", "metrics": tables["metrics"], "facts": facts}


def _sentences(audit: Mapping[str, Any]) -> list[str]:
    summary = audit.get("summary", [])
    return [summary] if isinstance(summary, str) else [text for text in summary if isinstance(text, str)]


def _public_name(name: str) -> str:
    """The name, and of a path its last part only, which tells nothing about the machine."""
    return name if name.startswith(HUB_PREFIX) else Path(name).name


def _quoted(value: Any) -> str:
    return f"“{value}”" if isinstance(value, str) and value != value.strip() else str(value)
