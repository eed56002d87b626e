"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API. Each name is imported at its first use, so that ``import clipc`` is fast:

    from clipc import open_catalog, read_recipe, train_model, with_splits

``clipc.train`` and ``clipc.evaluate`` are packages, so their main functions are called
:func:`train_model` and :func:`evaluate_model` here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Aliases mark the names as exported (PEP 484).
    from clipc.catalog.catalog import About as About
    from clipc.catalog.catalog import Catalog as Catalog
    from clipc.catalog.open import open_catalog as open_catalog
    from clipc.catalog.options import SourceOptions as SourceOptions
    from clipc.catalog.rows import Reject as Reject
    from clipc.catalog.rows import Row as Row
    from clipc.catalog.rows import Source as Source
    from clipc.catalog.split import with_splits as with_splits
    from clipc.catalog.subsample import subsample as subsample
    from clipc.compose.layouts.layout import Layout as Layout
    from clipc.compose.layouts.layout import Shape as Shape
    from clipc.compose.layouts.tiles import Tiles as Tiles
    from clipc.compose.layouts.tiles import Views as Views
    from clipc.compose.plan import Plan as Plan
    from clipc.compose.plan import Plans as Plans
    from clipc.compose.plan import plan_epoch as plan_epoch
    from clipc.compose.policy import Policy as Policy
    from clipc.compose.rules.read import read_rules as read_rules
    from clipc.compose.rules.schema import Rules as Rules
    from clipc.errors import UserError as UserError
    from clipc.evaluate.evaluation import Evaluation as Evaluation
    from clipc.evaluate.evaluation import evaluate as evaluate_model
    from clipc.export.export import export_model as export_model
    from clipc.models.model import ClipModel as ClipModel
    from clipc.prepare.composite_pairs import CompositePairs as CompositePairs
    from clipc.prepare.contact_sheet import check_rules as check_rules
    from clipc.prepare.contact_sheet import contact_sheet as contact_sheet
    from clipc.prepare.plans import make_plans as make_plans
    from clipc.recipe.recipe import Data as Data
    from clipc.recipe.recipe import Recipe as Recipe
    from clipc.recipe.recipe import make_recipe as make_recipe
    from clipc.recipe.recipe import read_recipe as read_recipe
    from clipc.recipe.run import Run as Run
    from clipc.render.compose_batch import ComposedBatch as ComposedBatch
    from clipc.render.compose_batch import compose_batch as compose_batch
    from clipc.render.crop import Augmentation as Augmentation
    from clipc.report.pilot import render_pilot as render_pilot
    from clipc.report.sheet import render_sheet as render_sheet
    from clipc.report.study import render_study as render_study
    from clipc.report.study_figures import save_figures as save_figures
    from clipc.study.design import Study as Study
    from clipc.study.design import read_study as read_study
    from clipc.study.pilot import PilotOptions as PilotOptions
    from clipc.study.pilot import run_pilot as run_pilot
    from clipc.study.study import run_study as run_study
    from clipc.train.loss import contrastive_loss as contrastive_loss
    from clipc.train.loss import shared_sources as shared_sources
    from clipc.train.train import train as train_model

    __version__: str

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
__all__ = ["evaluate_model", "train_model"]  # Type checkers see the other names by their aliases.
__all__[:] = sorted([*_HOMES, "__version__"])


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
