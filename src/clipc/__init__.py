"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API, each name loaded when it is first used, so that ``import clipc`` costs nothing:

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
    from clipc.evaluate.measurement import Measurement
    from clipc.evaluate.subject import Subject
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
    "Measurement",
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
    "Subject",
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
    "SourceOptions": "clipc.catalog.options",
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
