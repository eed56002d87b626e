"""The card that goes with a model: what it is, what it was trained on, what was measured, what it is not for."""

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
    """The model's ``README.md``, with the header that the Hugging Face Hub reads.

    Captions, keys and paths of the data never enter it; what a user has named (data, rules, columns) is escaped. Of
    audits it holds the sentences under ``summary`` only.

    Args:
        model: The model.
        name: Its name, for the title.
        run: The run that it came out of, if any: its recipe, ``data.json``, ``finished.json``, ``environment.json``,
            ``eval/*.json`` and ``audit/*.json`` are read, as far as they are there.
        hub_id: The repository it is meant for, ``org/name``.
        license: An identifier of the Hub's, such as ``mit``.
        onnx: What :func:`export_onnx` returned, if it was asked for.

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
    """Text of a user's as Markdown shows it: one line, nothing of it a link, an emphasis, a table's edge or HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return Markup(_MARKUP.sub(r"\\\g<0>", line))


@cache
def _template() -> Any:
    def written(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else escaped(value)

    engine = Environment(undefined=StrictUndefined, finalize=written, autoescape=False, keep_trailing_newline=True)
    return engine.from_string((resources.files("clipc.export") / "model_card.md.j2").read_text("utf-8"))


def _data(run: Run, recipe: Recipe) -> dict[str, Any]:
    trained_on = (run.read_json("plan-statistics.json") or {}).get("rows")
    facts: dict[str, Any] = {
        "name": _last(recipe.data.source),
        "generated": False,
        "fingerprint": "not recorded",
        "pairs": {} if trained_on is None else {"train": trained_on},
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
        "audits": [
            {"name": file.stem, "summary": _sentences(json.loads(file.read_text("utf-8")))}
            for file in sorted((run.folder / "audit").glob("*.json"))
        ],
    }


def _recipe(recipe: Recipe, finished: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """What was done, in the recipe's own words; of paths the last part."""
    tune = recipe.tune.model_dump(mode="json", exclude_defaults=True)
    yield "model", _last(recipe.model)
    for what in ("pretrained", "image_size", "vocabulary"):
        if (value := getattr(recipe, what)) is not None:
            yield what, _last(value) if isinstance(value, str) else value
    yield from ((f"tune.{key}", value) for key, value in tune.items())
    for what in ("steps", "samples", "epochs", "parameters"):
        if what in finished:
            yield what, f"{round(finished[what], 2):,}"
    for what in ("batch_size", "learning_rate", "weight_decay", "warmup", "mask_false_negatives", "wise_ft", "seed"):
        yield what, getattr(recipe, what)
    if mixed := finished.get("wise_ft"):
        yield "wise_ft.alpha", mixed["alpha"] if mixed.get("taken", True) else "none did better than an earlier step"


def _policy(policy: Policy, share: float | None) -> Iterable[str]:
    if policy.rho == 0:
        yield "None: plain CLIP."
        return
    composes = policy.treatment == "compose"
    what = "composed of two pairs" if composes else "shown alone, under a stronger augmentation (a control)"
    yield f"With rate {policy.rho:g} an example is {what}" + (f"; {share:.1%} were." if share is not None else ".")
    if composes:
        names = ("layout", "axis", "caption", "joiner", "template", "partner", "group", "pairing")
        given = ((name, getattr(policy, name)) for name in names)
        yield "; ".join(f"{name}: {_quoted(value)}" for name, value in given if value is not None) + "."


def _reasons(rules: Rules) -> Iterable[tuple[str, str]]:
    sections = {"pairs": "two pairs", "images": "an image", "captions": "captions", "never": "never composed"}
    for section, kind in sections.items():
        for rule in getattr(rules, section):
            yield kind, rule.why or "(no reason given)"


def _results(run: Run, finished: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    pairs = (run.read_json("data.json") or {}).get("pairs", {})
    if best := finished.get("best"):
        figures = {name: value for name, value in best.items() if name not in ("step", "alpha")}
        rows = [_row(name, value, "", pairs.get("val", "")) for name, value in figures.items()]
        what = f"step {best['step']}" if "alpha" not in best else "this mixture with the start's weights"
        yield {"title": f"Validation, by which {what} was chosen", "rows": rows}
    for file in sorted((run.folder / "eval").glob("*.json")):
        found = json.loads(file.read_text("utf-8"))
        if file.stem.endswith("-last") or not found.get("metrics"):
            continue
        described = found.get("descriptions", {})
        rows = [_measured(name, value, described.get(name, {})) for name, value in found["metrics"].items()]
        yield {"title": f"Measured ({file.stem})", "rows": rows}


def _row(name: str, value: float, chance: str, n: Any) -> dict[str, Any]:
    return {"name": name, "value": f"{value:.3f}", "chance": chance, "n": n}


def _measured(name: str, value: float, described: Mapping[str, Any]) -> dict[str, Any]:
    chance = described.get("chance")
    return _row(name, value, "" if chance is None else f"{chance:.3f}", described.get("n", ""))


def _sentences(audit: Any) -> list[str]:
    found = audit.get("summary", []) if isinstance(audit, dict) else []
    return [found] if isinstance(found, str) else [text for text in found if isinstance(text, str)]


def _last(named: str) -> str:
    """A name as it is, and of a path its last part: where things lie on a machine is nobody's business."""
    return named if named.startswith(HUB) else Path(named).name


def _quoted(value: Any) -> str:
    return f"“{value}”" if isinstance(value, str) and value != value.strip() else str(value)
