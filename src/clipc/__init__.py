"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API. Each name is imported at its first use, so that ``import clipc`` is fast:

    from clipc import open_catalog, read_recipe, train_model, with_splits

``clipc.train`` and ``clipc.evaluate`` are packages, so their main functions are called
:func:`train_model` and :func:`evaluate_model` here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipc.catalog.catalog import About, Catalog
    from clipc.catalog.open import open_catalog
    from clipc.catalog.options import SourceOptions
    from clipc.catalog.rows import Reject, Row, Source
    from clipc.catalog.split import with_splits
    from clipc.catalog.subsample import subsample
    from clipc.compose.layouts.layout import Layout, Shape
    from clipc.compose.layouts.tiles import Tiles, Views
    from clipc.compose.plan import Plan, Plans, plan_epoch
    from clipc.compose.policy import Policy
    from clipc.compose.rules.read import read_rules
    from clipc.compose.rules.schema import Rules
    from clipc.errors import UserError
    from clipc.evaluate.evaluation import Evaluation
    from clipc.evaluate.evaluation import evaluate as evaluate_model
    from clipc.export.export import export_model
    from clipc.models.model import ClipModel
    from clipc.prepare.composite_pairs import CompositePairs
    from clipc.prepare.contact_sheet import check_rules, contact_sheet
    from clipc.prepare.plans import make_plans
    from clipc.recipe.recipe import Data, Recipe, make_recipe, read_recipe
    from clipc.recipe.run import Run
    from clipc.render.compose_batch import ComposedBatch, compose_batch
    from clipc.render.crop import Augmentation
    from clipc.report.pilot import render_pilot
    from clipc.report.sheet import render_sheet
    from clipc.report.study import render_study
    from clipc.report.study_figures import save_figures
    from clipc.study.design import Study, read_study
    from clipc.study.pilot import PilotOptions, run_pilot
    from clipc.study.study import run_study
    from clipc.train.loss import contrastive_loss, shared_sources
    from clipc.train.train import train as train_model

    __version__: str

__all__ = [
    "About",
    "Augmentation",
    "Catalog",
    "ClipModel",
    "ComposedBatch",
    "CompositePairs",
    "Data",
    "Evaluation",
    "Layout",
    "PilotOptions",
    "Plan",
    "Plans",
    "Policy",
    "Recipe",
    "Reject",
    "Row",
    "Rules",
    "Run",
    "Shape",
    "Source",
    "SourceOptions",
    "Study",
    "Tiles",
    "UserError",
    "Views",
    "__version__",
    "check_rules",
    "compose_batch",
    "contact_sheet",
    "contrastive_loss",
    "evaluate_model",
    "export_model",
    "make_plans",
    "make_recipe",
    "open_catalog",
    "plan_epoch",
    "read_recipe",
    "read_rules",
    "read_study",
    "render_pilot",
    "render_sheet",
    "render_study",
    "run_pilot",
    "run_study",
    "save_figures",
    "shared_sources",
    "subsample",
    "train_model",
    "with_splits",
]

_MODULES = {
    "clipc.catalog.catalog": "About, Catalog",
    "clipc.catalog.open": "open_catalog",
    "clipc.catalog.options": "SourceOptions",
    "clipc.catalog.rows": "Reject, Row, Source",
    "clipc.catalog.split": "with_splits",
    "clipc.catalog.subsample": "subsample",
    "clipc.compose.layouts.layout": "Layout, Shape",
    "clipc.compose.layouts.tiles": "Tiles, Views",
    "clipc.compose.plan": "Plan, Plans, plan_epoch",
    "clipc.compose.policy": "Policy",
    "clipc.compose.rules.read": "read_rules",
    "clipc.compose.rules.schema": "Rules",
    "clipc.errors": "UserError",
    "clipc.evaluate.evaluation": "Evaluation, evaluate as evaluate_model",
    "clipc.export.export": "export_model",
    "clipc.models.model": "ClipModel",
    "clipc.prepare.composite_pairs": "CompositePairs",
    "clipc.prepare.contact_sheet": "check_rules, contact_sheet",
    "clipc.prepare.plans": "make_plans",
    "clipc.recipe.recipe": "Data, Recipe, make_recipe, read_recipe",
    "clipc.recipe.run": "Run",
    "clipc.render.compose_batch": "ComposedBatch, compose_batch",
    "clipc.render.crop": "Augmentation",
    "clipc.report.pilot": "render_pilot",
    "clipc.report.sheet": "render_sheet",
    "clipc.report.study": "render_study",
    "clipc.report.study_figures": "save_figures",
    "clipc.study.design": "Study, read_study",
    "clipc.study.pilot": "PilotOptions, run_pilot",
    "clipc.study.study": "run_study",
    "clipc.train.loss": "contrastive_loss, shared_sources",
    "clipc.train.train": "train as train_model",
}
_HOMES = {
    name.split()[-1]: (module, name.split()[0]) for module, names in _MODULES.items() for name in names.split(", ")
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clipc")
    if name not in _HOMES:
        raise AttributeError(f"module 'clipc' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    globals()[name] = value = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
