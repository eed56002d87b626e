"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API, each name loaded when it is first used, so that ``import clipc`` costs nothing:

    from clipc import open_catalog, read_recipe, train_model, with_splits

``clipc.train`` and ``clipc.evaluate`` are packages, so their main functions are called
:func:`train_model` and :func:`evaluate_model` here.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "About": "clipc.catalog.catalog",
    "Augmentation": "clipc.render.crop",
    "Catalog": "clipc.catalog.catalog",
    "ClipModel": "clipc.models.model",
    "ComposedBatch": "clipc.render.compose_batch",
    "CompositePairs": "clipc.prepare.composite_pairs",
    "Data": "clipc.recipe.recipe",
    "Evaluation": "clipc.evaluate.evaluation",
    "Layout": "clipc.compose.layouts.layout",
    "Measurement": "clipc.evaluate.measurement",
    "PilotOptions": "clipc.study.pilot",
    "Plan": "clipc.compose.plan",
    "Plans": "clipc.compose.plan",
    "Policy": "clipc.compose.policy",
    "Recipe": "clipc.recipe.recipe",
    "Reject": "clipc.catalog.rows",
    "Row": "clipc.catalog.rows",
    "Rules": "clipc.compose.rules.schema",
    "Run": "clipc.recipe.run",
    "SourceOptions": "clipc.catalog.rows",
    "Shape": "clipc.compose.layouts.layout",
    "Source": "clipc.catalog.rows",
    "Study": "clipc.study.design",
    "Subject": "clipc.evaluate.subject",
    "Tiles": "clipc.compose.layouts.tiles",
    "UserError": "clipc.errors",
    "Views": "clipc.compose.layouts.tiles",
    "check_rules": "clipc.prepare.contact_sheet",
    "compose_batch": "clipc.render.compose_batch",
    "contact_sheet": "clipc.prepare.contact_sheet",
    "contrastive_loss": "clipc.train.loss",
    "evaluate_model": "clipc.evaluate.evaluation:evaluate",
    "export_model": "clipc.export.export",
    "make_plans": "clipc.prepare.plans",
    "make_recipe": "clipc.recipe.recipe",
    "open_catalog": "clipc.catalog.open",
    "plan_epoch": "clipc.compose.plan",
    "read_recipe": "clipc.recipe.recipe",
    "read_rules": "clipc.compose.rules.read",
    "read_study": "clipc.study.design",
    "render_pilot": "clipc.report.pilot",
    "render_sheet": "clipc.report.sheet",
    "render_study": "clipc.report.study",
    "run_pilot": "clipc.study.pilot",
    "run_study": "clipc.study.study",
    "save_figures": "clipc.report.study_figures",
    "shared_sources": "clipc.train.loss",
    "train_model": "clipc.train.train:train",
    "subsample": "clipc.catalog.subsample",
    "with_splits": "clipc.catalog.split",
}
__all__ = sorted([*_HOMES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clipc")
    if name not in _HOMES:
        raise AttributeError(f"module 'clipc' has no attribute {name!r}")
    home, _, own_name = _HOMES[name].partition(":")
    found = getattr(import_module(home), own_name or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
