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

from clipc.compose.policy import Policy
from clipc.compose.rules.schema import Rules
from clipc.models.model import ClipModel
from clipc.models.model_config import HUB
from clipc.models.tokenizer import LEARNT
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

    It never contains captions, keys or paths of the data; names chosen by users (data, rules, columns) are escaped. Of
    audits it has the sentences under ``summary`` only.

    Args:
        model: The model.
        name: Its name, for the title.
        run: The run that trained it, if any: its recipe, ``data.json``, ``finished.json``, ``environment.json``,
            ``eval/*.json`` and ``audit/*.json`` are read where they exist.
        hub_id: The target repository, ``org/name``.
        license: A license identifier of the Hub, such as ``mit``.
        onnx: The result of :func:`export_onnx`, if the model is exported to ONNX.

    Returns:
        Markdown.

    Raises:
        UserError: The run's recipe cannot be read.
    """
    recipe = recipe_of_run(run.folder) if run is not None else None
    base = recipe.model.removeprefix(HUB) if recipe and recipe.model.startswith(HUB) else None
    return _template().render(
        name=name,
        license=Markup(license),
        base=base and Markup(json.dumps(base)),
        hub=hub_id,
        place=Markup(f"{HUB}{hub_id}" if hub_id else "local-dir:FOLDER"),
        side=model.image_size,
        context=model.tokenizer.context_length,
        parameters=f"{model.parameter_count:,}",
        learnt=model.config["text_cfg"].get("hf_tokenizer_name") == LEARNT,
        onnx={tower: f"{difference:.0e}" for tower, difference in (onnx or {}).items()},
        data=_data(run, recipe) if run and recipe else None,
        run=_run(run, recipe) if run and recipe else None,
    )


def escaped(text: str) -> Markup:
    """User text escaped for Markdown: one line without links, emphasis, table borders or HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return Markup(_MARKUP.sub(r"\\\g<0>", line))


@cache
def _template() -> Any:
    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else escaped(value)

    engine = Environment(undefined=StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True)
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
    finished, rules = run.finished or {}, recipe.policy.rules
    return {
        "clipc": (run.read_json("environment.json") or {}).get("clipc", "of an unknown version"),
        "composes": recipe.policy.rho > 0 and recipe.policy.treatment == "compose",
        "unfinished": run.finished is None,
        "recipe": list(_recipe(recipe, finished)),
        "policy": list(_policy(recipe.policy, finished.get("composite_share"))),
        "rules": {"name": rules.name, "reasons": list(_reasons(rules))} if rules else None,
        "results": list(_results(run, finished)),
        "audits": [{"name": name, "summary": _sentences(audit)} for name, audit in _tables(run, "audit")],
    }


def _tables(run: Run, folder: str) -> Iterable[tuple[str, Any]]:
    for file in sorted((run.folder / folder).glob("*.json")):
        yield file.stem, json.loads(file.read_text("utf-8"))


def _recipe(recipe: Recipe, finished: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The main keys of the recipe and the length of the run; of paths the last part."""
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


def _policy(policy: Policy, share: float | None) -> Iterable[str]:
    if policy.rho == 0:
        yield "None: plain CLIP."
        return
    composes = policy.treatment == "compose"
    treatment = "composed of two pairs" if composes else "shown alone, under a stronger augmentation (a control)"
    yield f"With rate {policy.rho:g} an example is {treatment}" + (f"; {share:.1%} were." if share is not None else ".")
    if composes:
        names = ("layout", "axis", "caption", "joiner", "template", "partner", "group", "pairing")
        values = ((name, getattr(policy, name)) for name in names)
        yield "; ".join(f"{name}: {_quoted(value)}" for name, value in values if value is not None) + "."


def _reasons(rules: Rules) -> Iterable[tuple[str, str]]:
    sections = {"pairs": "two pairs", "images": "an image", "captions": "captions", "never": "never composed"}
    for section, kind in sections.items():
        for rule in getattr(rules, section):
            yield kind, rule.why or "(no reason given)"


def _results(run: Run, finished: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    pairs = (run.read_json("data.json") or {}).get("pairs", {})
    if best := finished.get("best"):
        n = {"n": pairs.get("val", "")}
        rows = [_row(name, value, n) for name, value in best.items() if name not in ("step", "alpha")]
        choice = f"step {best['step']}" if "alpha" not in best else "this mixture with the start's weights"
        yield {"title": f"Validation, by which {choice} was chosen", "rows": rows}
    for name, tables in _tables(run, "eval"):
        if not name.endswith("-last") and tables.get("metrics"):
            facts = tables.get("descriptions", {})
            rows = [_row(metric, value, facts.get(metric, {})) for metric, value in tables["metrics"].items()]
            yield {"title": f"Measured ({name})", "rows": rows}


def _row(name: str, value: float, facts: Mapping[str, Any]) -> dict[str, Any]:
    chance = facts.get("chance")
    chance = "" if chance is None else f"{chance:.3f}"
    return {"name": name, "value": f"{value:.3f}", "chance": chance, "n": facts.get("n", "")}


def _sentences(audit: Any) -> list[str]:
    summary = audit.get("summary", []) if isinstance(audit, dict) else []
    return [summary] if isinstance(summary, str) else [text for text in summary if isinstance(text, str)]


def _public_name(name: str) -> str:
    """The name, and of a path its last part only, which tells nothing about the machine."""
    return name if name.startswith(HUB) else Path(name).name


def _quoted(value: Any) -> str:
    return f"“{value}”" if isinstance(value, str) and value != value.strip() else str(value)
