"""What adds something from outside the package: one module of the user's, named in a recipe as ``module:object``."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipc import (
    Catalog,
    Data,
    PilotOptions,
    Plans,
    Policy,
    Recipe,
    Run,
    Study,
    UserError,
    compose_batch,
    contact_sheet,
    make_plans,
    make_recipe,
    open_catalog,
    read_recipe,
    read_study,
    render_pilot,
    render_sheet,
    render_study,
    run_pilot,
    run_study,
    train_model,
)
from clipc.cli import main
from clipc.evaluate.subject import own_evaluator
from clipc.export.model_card import model_card
from clipc.extension import fingerprint, load, mark_untrusted
from clipc.models.model import ClipModel
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import recipe_of_run
from clipc.render.loader import load as batches
from clipc.render.worker import WorkerRenderer
from clipc.report.page import load_section
from clipc.study.run import plan_study
from clipc.study.trials import trial_name

STRIPE = '''
"""A layout, a caption strategy, a partner table, a source, an evaluator and a section of the user's own."""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from clipc import Layout, Measurement, Row, Shape, Source, Tiles

FOLDER = Path(__file__).parent / "images"


def _stripe(shape, draws, views):
    """The second image is a stripe over the first: the middle third, upright or level."""
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (len(shape), 2, 1))
    middle = np.array([[1 / 3, 0, 2 / 3, 1], [0, 1 / 3, 1, 2 / 3]], np.float32)[shape]
    window, place = whole.copy(), whole.copy()
    window[:, 1] = place[:, 1] = middle
    return Tiles(window, place, np.ones((len(shape), 2), np.float32))


STRIPES = Layout(
    (
        Shape("upright-stripe", english=("{a} behind a stripe of {b}", "{a}; stripe: {b}")),
        Shape("level-stripe"),
    ),
    _stripe,
)


def shout(first, second, shape, swapped):
    return f"{first.upper()} [{shape.name}] {second.upper()}"


def pair_up(first, second, shape, swapped):
    return second, first


def next_two(pairs):
    """Each pair's partners are the two that follow it."""
    rows = np.arange(len(pairs))[:, None]
    return (rows + [1, 2]) % len(pairs)


def _rows(told):
    told.notes.append("read by own code")
    for number, file in enumerate(sorted(FOLDER.glob("*.png"))):
        split = "train" if number < 24 else "val" if number < 32 else "test"
        yield Row(file.stem, [f"an image of {file.stem}"], None, split, file.name, more={"number": number})


PAIRS = Source(FOLDER, "own pairs", [FOLDER], _rows)


def gap(subject):
    """How far each caption is from its image, and a number that is no mean of items."""
    found = subject.embeddings
    distance = 1 - (found.image[found.owner] * found.text).sum(1).double().numpy()
    yield Measurement("own/gap", distance, owner=found.owner, higher_is_better=False, unit="ells", default_main=True)
    yield Measurement("own/spread", value=float(distance.std()), n=len(distance), unit="ells")


def gaps(data, words):
    shown = Markup("<li>{}: {}</li>")
    found = [
        shown.format(arm["name"], trial["metrics"]["own/gap"])
        for arm in data["arms"] for result in arm["results"] for trial in result["trials"]
    ]
    return Markup('<section id="gaps"><h2>Gaps</h2><ul>{}</ul></section>').format(Markup("").join(found))


def plain(data, words):
    return "a <b>plain</b> text"


def nothing(*given):
    pass


def wrong(pairs):
    return [0.5] * len(pairs)


def far(pairs):
    return np.full((len(pairs), 1), 10_000)
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path with the module ``stripes`` of the user's, and 40 images."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "images").mkdir()
    (folder / "stripes.py").write_text(STRIPE, "utf-8")
    generator = np.random.Generator(np.random.Philox(3))
    for i in range(40):
        pixels = np.full((24, 24, 3), 6 * i, np.uint8) // 2 + generator.integers(0, 120, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"plate-{i:02d}.png")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(folder)
    patch.setenv("PYTHONPATH", str(folder), prepend=":")
    yield folder
    patch.undo()


OWN = {"layout": "stripes:STRIPES", "caption": "stripes:shout", "partner": "stripes:next_two"}


@pytest.fixture(scope="module")
def recipe(own: Path, tiny_model: str) -> Recipe:
    return make_recipe(
        {
            "data": {"source": "stripes:PAIRS"},
            "model": tiny_model,
            "policy": {"rho": 0.5, **OWN},
            "samples": 48,
            "batch_size": 8,
            "validations": 1,
            "track": [],
            "renderer": "worker",
            "num_workers": 1,
            "threads": 1,
            "device": "cpu",
        }
    )


@pytest.fixture(scope="module")
def catalog(recipe: Recipe) -> Catalog:
    return recipe.data.open()


@pytest.fixture(scope="module")
def plans(recipe: Recipe, catalog: Catalog) -> Plans:
    return make_plans(recipe.policy, catalog.split("train"), 0)


def test_a_source_is_read_as_those_that_ship(own: Path, catalog: Catalog) -> None:
    assert len(catalog) == 40
    assert catalog.about.name == "own pairs"
    assert "read by own code" in catalog.about.notes
    assert catalog.column("number")[7] == 7
    assert catalog.image(0).shape == (24, 24, 3)
    assert open_catalog("stripes:PAIRS").rejects_file is None


def test_a_source_is_read_again_when_its_images_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "grows.py").write_text(STRIPE, "utf-8")
    for count in (1, 2):
        Image.new("RGB", (9, 9), (count, 0, 0)).save(tmp_path / "images" / f"{count}.png")
        assert len(open_catalog("grows:PAIRS")) == count


def test_a_layout_a_strategy_and_a_table_are_seen_in_a_plan(plans: Plans, catalog: Catalog) -> None:
    plan = plans.rows(0, 240)
    composed = plan.right >= 0
    assert set(plan.layout[composed].tolist()) == {7, 8}
    assert set(((plan.right - plan.left) % 24)[composed].tolist()) == {1, 2}
    names = plan.table()["layout"].to_pylist()
    assert set(names) == {"plain", "upright-stripe", "level-stripe"}
    layouts = plan.statistics()["layouts"]
    assert layouts["upright-stripe"] + layouts["level-stripe"] == composed.sum()
    assert min(layouts["upright-stripe"], layouts["level-stripe"]) > 0.3 * composed.sum()
    row = int(np.flatnonzero(composed)[0])
    left, right = (plans.catalog.caption(int(column[row]), 0).upper() for column in (plan.left, plan.right))
    text = plans.wordings[0].text(left, right, int(plan.layout[row]), False)
    assert text == f"{left} [{names[row]}] {right}"


def test_what_is_drawn_is_what_a_layout_that_ships_gets(catalog: Catalog) -> None:
    """A layout of two shapes draws as halves do, so that two arms differ in nothing else."""
    pairs = catalog.split("train")
    mine, halves = (
        make_plans(Policy(rho=0.5, layout=name), pairs, 0).rows(0, 48) for name in (OWN["layout"], "centre-halves")
    )
    for column in ("left", "right", "left_caption", "right_caption", "swapped"):
        np.testing.assert_array_equal(getattr(mine, column), getattr(halves, column))
    composed = mine.right >= 0
    np.testing.assert_array_equal(mine.layout[composed] - 7, halves.layout[composed] - 1)


def test_a_batch_is_rendered_in_worker_processes(plans: Plans, recipe: Recipe) -> None:
    tokenizer = ClipModel.create(recipe.model).tokenizer
    renderer = WorkerRenderer(plans, recipe.augmentation, 12, tokenizer)
    here = list(batches(renderer, 8, range(3)))
    there = list(batches(renderer, 8, range(3), workers=2))
    for one, other in zip(here, there, strict=True):
        assert (one.images == other.images).all()
        assert (one.tokens == other.tokens).all()
        assert one.treated == other.treated


def test_a_process_that_starts_afresh_imports_it_by_its_name(plans: Plans, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "plans.pickle").write_bytes(pickle.dumps(plans))
    code = (
        "import pickle, sys\n"
        "plans = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(plans.rows(0, 24).statistics()['layouts'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plans.pickle")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == str(plans.rows(0, 24).statistics()["layouts"])


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_contact_sheet_names_them(recipe: Recipe, catalog: Catalog, lang: str) -> None:
    tables = contact_sheet(recipe, catalog, 6)
    again = json.loads(json.dumps(tables))
    assert again["policy"]["layout"] == "stripes:STRIPES"
    assert again["statistics"]["layouts"]["upright-stripe"] > 0
    assert {sample["layout"] for sample in again["samples"]} <= {"upright-stripe", "level-stripe"}
    assert again["samples"][0]["why"] == {"code": "own", "name": "stripes:next_two", "of": 2}
    for sample in again["samples"]:
        assert f"[{sample['layout']}]" in sample["caption"]
    page = render_sheet(again, lang=lang)
    for named in ("upright-stripe", *OWN.values()):
        assert named in page


def test_phrases_of_a_shape_are_those_of_spatial_captions(own: Path) -> None:
    wording = Policy(layout=OWN["layout"], caption="spatial").wording
    assert wording.text("a cog.", "a pin", 7, False) == "a cog behind a stripe of a pin"
    assert wording.text("a cog. It is on the left.", "a pin", 7, False) == "a cog. It is on the left; stripe: a pin"
    assert wording.text("a cog.", "a pin", 8, False) == "a cog and a pin"
    assert wording.text("赤い円", "青い四角", 7, False) == "赤い円と青い四角"


def test_a_strategy_that_gives_two_captions_has_them_joined_as_the_policy_says(own: Path) -> None:
    joined = [
        Policy(caption="stripes:pair_up", **more).wording for more in ({}, {"joiner": " / "}, {"template": "{b}<{a}"})
    ]
    assert [wording.text("x.", "y", 1, False) for wording in joined] == ["y and x.", "y / x.", "x<y"]


def test_compose_batch_takes_own_layouts_and_strategies(own: Path) -> None:
    import torch

    images = torch.arange(6, dtype=torch.float32)[:, None, None, None].expand(6, 3, 9, 9)
    made = compose_batch(images, list("abcdef"), policy=Policy(rho=1, layout=OWN["layout"], caption=OWN["caption"]))
    assert made.treated == 6
    assert all("stripe] " in caption for caption in made.captions)
    with pytest.raises(UserError, match="cannot be kept inside a batch"):
        compose_batch(images, list("abcdef"), policy=Policy(rho=1, partner=OWN["partner"]))


@pytest.fixture(scope="module")
def run(recipe: Recipe, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_model(recipe, tmp_path_factory.mktemp("runs") / "own", catalog=catalog)


def test_a_run_trains_with_them(run: Run) -> None:
    assert run.finished is not None
    assert run.finished["composite_share"] > 0
    told = run.read_json("plan-statistics.json")
    assert told is not None
    assert told["layouts"]["level-stripe"] > 0


def test_the_source_file_is_part_of_a_runs_identity(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recipe.model_copy(update={"policy": Policy()})
    monkeypatch.syspath_prepend(tmp_path)
    names: set[str] = {plain.identity("data")}
    for text in (STRIPE, f"{STRIPE}\n# changed"):
        (tmp_path / "changing.py").write_text(text, "utf-8")
        for key, named in OWN.items():
            changed = Policy.model_validate({key: named.replace("stripes:", "changing:")})
            names.add(recipe.model_copy(update={"policy": changed}).identity("data"))
    assert len(names) == 7
    assert "changing" not in sys.modules


PILOT = """
name: mine
arms:
  clip: {policy.rho: 0}
  striped:
    what: Stripes of another image.
    policy: {layout: "stripes:STRIPES", caption: "stripes:shout", partner: "stripes:next_two"}
evaluators: stripes:gap
sections: [stripes:gaps, stripes:plain]
"""


@pytest.fixture(scope="module")
def pilot(own: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny pilot in which everything is the user's own; no time goes into measuring the pace."""
    folder = tmp_path_factory.mktemp("pilot")
    (folder / "mine.yaml").write_text(PILOT, "utf-8")
    words = ["pilot", "stripes:PAIRS", f"model={tiny_model}", "validations=1", "precision=fp32"]
    words += ["samples=48", "batch_size=8", "--recipe", "nano", "--go-on"]
    with pytest.MonkeyPatch.context() as patch:
        settled = {"pairs": 24, "arms": ["clip", "striped"], "seeds": 3, "renderer": "worker"}
        pace = {"pairs_per_second": 100.0, "validation_seconds": 0.0, "fixed_seconds": 1.0}
        settled |= {"minutes": 1.0, "feature_minutes": 0.0, "pace": pace}
        patch.setattr("clipc.study.pilot.experiment._settle", lambda *_: settled)
        with pytest.raises(SystemExit) as ended:
            main([*words, "--study", str(folder / "mine.yaml"), "--jobs", "2", "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out"


def test_a_pilot_s_json_holds_all_that_is_the_users_own(pilot: Path) -> None:
    tables = json.loads((pilot / "report.json").read_text("utf-8"))
    assert tables["source"]["name"] == "own pairs"
    assert [arm["name"] for arm in tables["arms"]] == ["clip", "striped"]
    assert list(tables["verdict"]["arms"]) == ["striped"]
    (composites,) = tables["composites"]
    assert {key: composites["policy"][key] for key in OWN} == OWN
    for sample in composites["samples"]:
        assert sample["layout"] in ("upright-stripe", "level-stripe")
        assert f"[{sample['layout']}]" in sample["caption"]
    metrics = {metric["key"]: metric for metric in tables["metrics"]}
    assert (metrics["own/gap"]["main"], metrics["own/spread"]["main"]) == (True, False)
    (compared,) = (row for row in tables["comparisons"] if row["metric"] == "own/gap")
    assert len(compared["per_seed"]) == 3
    assert tables["evaluators"] == {"stripes:gap": fingerprint("stripes:gap")}
    assert tables["sections"] == ["stripes:gaps", "stripes:plain"]


def test_a_study_compares_them_in_processes_of_its_own(pilot: Path) -> None:
    """The pilot's trials are a study's; their workers import the names, and a study's page shows the arm that does."""
    tables = json.loads((pilot / "report.json").read_text("utf-8"))
    assert "stripes:STRIPES" in render_study(tables)
    records = [json.loads(file.read_text("utf-8")) for file in (pilot / "records").glob("*.json")]
    composed = {record["recipe"]["policy"]["layout"]: record["summary"]["composite_share"] > 0 for record in records}
    assert len(records) == 6
    assert composed == {Policy().layout: False, "stripes:STRIPES": True}


@pytest.mark.parametrize("page", ["report.html", "report.ja.html"])
def test_a_pilot_s_page_shows_all_that_is_the_users_own(pilot: Path, page: str) -> None:
    tables = json.loads((pilot / "report.json").read_text("utf-8"))
    shown = (pilot / page).read_text("utf-8")
    for named in ("own pairs", "striped", "Stripes of another image.", *OWN.values(), "own/gap", "-stripe]"):
        assert named in shown
    assert shown.count("<li>striped: 0.") + shown.count("<li>striped: 1.") == 3
    assert f"<li>striped: {tables['arms'][1]['results'][0]['trials'][2]['metrics']['own/gap']}</li>" in shown
    assert "a &lt;b&gt;plain&lt;/b&gt; text" in shown


def test_an_evaluator_s_source_file_renames_records_and_no_trial(
    recipe: Recipe, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(**more: Any) -> tuple[str, str]:
        fields = {"name": "x", "set": {"model": recipe.model, "samples": 48}, "arms": {"clip": {}}, "seeds": 1, **more}
        (planned,) = plan_study(Study.model_validate(fields), catalog, tmp_path, tmp_path)
        return planned.trial.folder.name, planned.record.name

    monkeypatch.syspath_prepend(tmp_path)
    found = [names()]
    for text in (STRIPE, f"{STRIPE}\n# changed"):
        (tmp_path / "measures.py").write_text(text, "utf-8")
        found.append(names(evaluators="measures:gap"))
    assert len({trial for trial, _ in found}) == 1
    assert len({record for _, record in found}) == 3
    assert found[0][1] == f"{found[0][0]}.json"
    assert "measures" not in sys.modules


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("evaluators=gap", "'gap' is no reference to code; write module:object"),
        ("sections=[3]", "'3' is no reference to code; write module:object"),
        ("evaluators=stripes:NOTHING", "there is no NOTHING in the module stripes"),
        ("evaluators=stripes:STRIPES", "is a Layout; expected is a function of .subject. that gives measurements"),
        ("evaluators=stripes:gaps", "cannot be called with 1 values"),
    ],
)
def test_a_mistake_in_a_study_is_told_before_its_data_are_read(
    own: Path, tmp_path: Path, change: str, match: str
) -> None:
    (tmp_path / "mine.yaml").write_text(PILOT, "utf-8")
    with pytest.raises(UserError, match=match):
        run_study(read_study(tmp_path / "mine.yaml", ["data.source=nowhere.csv", change]), tmp_path / "out")


@pytest.mark.parametrize("change", ["sizes=[8, all]", "search={trials: 2}"])
def test_a_pilot_has_no_time_for_sizes_and_ranges(tmp_path: Path, change: str) -> None:
    fields = PILOT.replace("policy.rho: 0", "policy.rho: 0, weight_decay: {from: 0.1, to: 0.2}")
    text = (fields if change.startswith("search") else PILOT) + change.replace("=", ": ", 1)
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    with pytest.raises(UserError, match="which a pilot does not run; use clipc study"):
        run_pilot(PilotOptions(study=str(tmp_path / "mine.yaml")), tmp_path / "out")


def test_what_an_evaluator_or_a_section_gives_is_checked(own: Path) -> None:
    anything: Any = None
    with pytest.raises(UserError, match=r"stripes:nothing gave NoneType; expected are measurements"):
        own_evaluator("stripes:nothing")(anything)
    with pytest.raises(UserError, match=r"stripes:nothing returned NoneType; return text, or markupsafe.Markup"):
        load_section("stripes:nothing")({}, anything)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nowhere:LAYOUT", "there is no module nowhere; install it, or name its folder in PYTHONPATH"),
        ("stripes.inner:LAYOUT", "stripes is no package, so there is no module stripes.inner"),
        ("clipc.nowhere:LAYOUT", "there is no module clipc.nowhere"),
        ("stripes:NOTHING", "there is no NOTHING in the module stripes"),
        ("stripes:shout", "stripes:shout is a function; expected is a clipc.Layout"),
        ("breaks:LAYOUT", r"breaks:LAYOUT cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("ends:LAYOUT", r"ends:LAYOUT cannot be imported \(SystemExit: 3\)"),
        ("needs:LAYOUT", r"needs:LAYOUT cannot be imported \(ModuleNotFoundError: No module named 'not_there'\)"),
        ("halves:LAYOUT", r"halves:LAYOUT cannot be imported \(UserError: a layout needs shapes"),
        ("sys:LAYOUT", "there is no LAYOUT in the module sys"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, match: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for module, text in {
        "breaks": "1 / 0",
        "ends": "raise SystemExit(3)",
        "needs": "import not_there",
        "halves": "from clipc import Layout\nLAYOUT = Layout((), None)",
    }.items():
        (tmp_path / f"{module}.py").write_text(text, "utf-8")
    recipe = make_recipe({"epochs": 1, "policy": {"layout": name}})
    with pytest.raises(UserError, match=match):
        check_start(recipe)


@pytest.mark.parametrize(
    ("key", "name", "match"),
    [
        ("caption", "stripes:STRIPES", "is a Layout; expected is a function of .first, second, shape, swapped."),
        ("caption", "stripes:next_two", "cannot be called with 4 values; expected is a function"),
        ("partner", "stripes:shout", "cannot be called with 1 values; expected is a function of .pairs."),
        ("partner", "stripes:wrong", r"gave float64 of shape \(24,\); expected are whole numbers, shape \(24, k\)"),
        ("partner", "stripes:far", "gave rows from 10000 to 10000; there are rows 0 to 23"),
    ],
)
def test_functions_of_another_kind_are_refused(catalog: Catalog, key: str, name: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        make_plans(Policy.model_validate({key: name}), catalog.split("train"), 0)


def test_a_source_must_be_one(own: Path) -> None:
    with pytest.raises(UserError, match=r"stripes:STRIPES is a Layout; expected is a clipc\.Source"):
        open_catalog("stripes:STRIPES")


def test_a_module_without_a_file_has_no_fingerprint() -> None:
    with pytest.raises(UserError, match="has no file of its own"):
        fingerprint("sys:path")


class TestWhoseCodeIsRun:
    """Recipes that somebody gives are run by; what a run's folder or a record names is never imported."""

    @pytest.fixture
    def stranger(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A run's folder whose recipe names a module that leaves a trace when it is imported."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
        trace = "import os, pathlib\npathlib.Path(os.environ['TRACE']).touch()\n"
        (tmp_path / "strange.py").write_text(trace + STRIPE, "utf-8")
        folder = tmp_path / "run"
        folder.mkdir()
        for file in run.folder.iterdir():
            (folder / file.name).symlink_to(file)
        text = (run.folder / "recipe.yaml").read_text("utf-8").replace("stripes:", "strange:")
        (folder / "recipe.yaml").unlink()
        (folder / "recipe.yaml").write_text(text, "utf-8")
        yield folder
        assert not (tmp_path / "trace").exists()
        assert "strange" not in sys.modules

    def test_facts_are_read(self, stranger: Path) -> None:
        recipe = recipe_of_run(stranger)
        assert recipe.policy.layout == "strange:STRIPES"
        assert recipe == make_recipe(recipe.model_dump(mode="json"))
        assert "strange:STRIPES" in model_card(ClipModel.load(stranger), "name", Run(stranger))

    def test_models_are_exported_and_measured(self, stranger: Path, tmp_path: Path, tiny_source: Path) -> None:
        for words in (
            ["export", str(stranger), "--out", str(tmp_path / "out")],
            ["eval", str(stranger), str(tiny_source), "--out", str(tmp_path / "eval")],
        ):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == 0

    @pytest.mark.parametrize(
        ("file", "changes"), [("recipe.yaml", []), ("recipe.yaml", ["data.source=demo", "policy.layout=blend"])]
    )
    def test_training_by_a_runs_own_recipe_is_refused(
        self, stranger: Path, capsys: pytest.CaptureFixture[str], file: str, changes: list[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["train", str(stranger / file), *changes])
        assert ended.value.code == 2
        assert "from which no code is run; give the recipe itself" in capsys.readouterr().err

    def test_plans_data_and_strategies_are_refused(self, stranger: Path, catalog: Catalog) -> None:
        recipe = recipe_of_run(stranger)
        asked: list[Any] = [
            lambda: make_plans(recipe.policy, catalog.split("train"), 0),
            lambda: make_plans(recipe.policy.model_copy(update={"layout": "blend"}), catalog.split("train"), 0),
            lambda: make_plans(Policy(partner=recipe.policy.partner), catalog.split("train"), 0),
            lambda: Plans(catalog.split("train"), Policy(rho=1, layout=recipe.policy.layout), 0).rows(0, 24),
            lambda: recipe.data.open(),
            lambda: Data(source=recipe.data.source).open(),
            lambda: contact_sheet(recipe, catalog),
            lambda: check_start(recipe),
        ]
        for ask in asked:
            with pytest.raises(UserError, match="give the recipe itself"):
                ask()

    def test_a_page_of_tables_runs_no_code(self, stranger: Path, pilot: Path) -> None:
        tables = json.loads((pilot / "report.json").read_text("utf-8").replace("stripes:", "strange:"))
        assert tables["sections"] == ["strange:gaps", "strange:plain"]
        for render in (render_pilot, render_study):
            assert "Gaps" not in render(tables)

    def test_names_stay_foreign_on_their_way_to_other_processes(self, stranger: Path) -> None:
        import pickle

        policy = pickle.loads(pickle.dumps(recipe_of_run(stranger).policy))
        for name in (policy.layout, policy.model_copy(deep=True).layout):
            with pytest.raises(UserError, match="give the recipe itself"):
                load(name, object, "")

    def test_records_are_compared_without_running_anything(
        self, recipe: Recipe, catalog: Catalog, stranger: Path
    ) -> None:
        records = stranger.parent / "records"
        records.mkdir()
        value = {"recipe": recipe_of_run(stranger).model_dump(mode="json", exclude={"data"}), "trial": "n24-s0-x"}
        record = {**value, "data": {"fingerprint": catalog.fingerprint}}
        (records / "n24-s0-x.json").write_text(json.dumps(record), "utf-8")
        missing = recipe.model_copy(update={"model": "runs/nowhere", "policy": Policy()})
        name, missing_weights = trial_name(missing, catalog, records, "")
        assert "nameless" in name
        assert "runs/nowhere" in missing_weights

    def test_what_is_named_again_with_the_command_is_run(self, run: Run, own: Path) -> None:
        named = read_recipe(run.folder / "recipe.yaml", [f"policy.{key}={name}" for key, name in OWN.items()])
        check_start(named)
        with pytest.raises(UserError, match="give the recipe itself"):
            check_start(read_recipe(run.folder / "recipe.yaml"))

    def test_a_copy_of_the_recipe_is_the_recipe_itself(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_bytes((run.folder / "recipe.yaml").read_bytes())
        check_start(read_recipe(tmp_path / "mine.yaml"))

    def test_other_texts_are_left_as_they_are(self) -> None:
        fields = {"a": ["column:x y", {"b": 1}, "hf-hub:o/n", None]}
        assert mark_untrusted(fields) == fields


def test_the_command_line_finds_modules_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_source: Path
) -> None:
    (tmp_path / "here.py").write_text(STRIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        main(["compose", str(tiny_source), "policy.layout=here:STRIPES", "policy.rho=1", "--out", "sheet"])
    assert ended.value.code == 0
    assert "upright-stripe" in (tmp_path / "sheet" / "sheet.html").read_text("utf-8")
