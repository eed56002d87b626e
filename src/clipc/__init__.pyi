"""Types of the public API; see ``__init__.py``."""

from clipc.audit.bias.audit import BiasOptions, audit_bias
from clipc.audit.bias.run_audit import audit_run
from clipc.audit.decisions import Decision, append_decision, read_decisions
from clipc.audit.doctor import doctor, kept_keys, stops
from clipc.audit.quality import QualityOptions, audit_quality
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
from clipc.inference.calibration import Calibration
from clipc.inference.classify import ClassifierOptions, ImageClassifier, make_classifier, measure_classifier
from clipc.inference.compare import CompareOptions, compare_models
from clipc.inference.image_index import ImageIndex
from clipc.inference.search import Hit, ImageSearch
from clipc.inference.used_model import UsedModel
from clipc.models.model import ClipModel
from clipc.prepare.composite_pairs import CompositePairs
from clipc.prepare.contact_sheet import check_rules, contact_sheet
from clipc.prepare.plans import make_plans
from clipc.recipe.data import Data
from clipc.recipe.recipe import Recipe, make_recipe, read_recipe
from clipc.recipe.run import Run
from clipc.render.compose_batch import ComposedBatch, compose_batch
from clipc.render.crop import Augmentation
from clipc.report.audit import render_audit
from clipc.report.doctor import render_doctor
from clipc.report.markdown import pilot_markdown
from clipc.report.pilot import render_pilot
from clipc.report.quality import render_quality
from clipc.report.sheet import render_sheet
from clipc.report.study import render_study
from clipc.report.study_figures import save_figures
from clipc.report.use import render_use
from clipc.review.book import DecisionBook
from clipc.review.queue import review_queue
from clipc.review.sitting import Sitting
from clipc.study.design import Study, read_study
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import run_pilot
from clipc.study.study import run_study
from clipc.study.worth.figures import RoiFigures, read_figures
from clipc.study.worth.tables import WorthInputs, worth_tables
from clipc.train.loss import contrastive_loss, shared_sources
from clipc.train.train import train as train_model

__version__: str

__all__ = [
    "About",
    "Augmentation",
    "BiasOptions",
    "Calibration",
    "Catalog",
    "ClassifierOptions",
    "ClipModel",
    "CompareOptions",
    "ComposedBatch",
    "CompositePairs",
    "Data",
    "Decision",
    "DecisionBook",
    "Evaluation",
    "Hit",
    "ImageClassifier",
    "ImageIndex",
    "ImageSearch",
    "Layout",
    "Measurement",
    "PilotOptions",
    "Plan",
    "Plans",
    "Policy",
    "QualityOptions",
    "Recipe",
    "Reject",
    "RoiFigures",
    "Row",
    "Rules",
    "Run",
    "Shape",
    "Sitting",
    "Source",
    "SourceOptions",
    "Study",
    "Subject",
    "Tiles",
    "UsedModel",
    "UserError",
    "Views",
    "WorthInputs",
    "__version__",
    "append_decision",
    "audit_bias",
    "audit_quality",
    "audit_run",
    "check_rules",
    "compare_models",
    "compose_batch",
    "contact_sheet",
    "contrastive_loss",
    "doctor",
    "evaluate_model",
    "export_model",
    "kept_keys",
    "make_classifier",
    "make_plans",
    "make_recipe",
    "measure_classifier",
    "open_catalog",
    "pilot_markdown",
    "plan_epoch",
    "read_decisions",
    "read_figures",
    "read_recipe",
    "read_rules",
    "read_study",
    "render_audit",
    "render_doctor",
    "render_pilot",
    "render_quality",
    "render_sheet",
    "render_study",
    "render_use",
    "review_queue",
    "run_pilot",
    "run_study",
    "save_figures",
    "shared_sources",
    "stops",
    "subsample",
    "train_model",
    "with_splits",
    "worth_tables",
]
