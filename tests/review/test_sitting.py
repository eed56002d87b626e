"""A sitting goes on where the last one stopped, and what it wrote opens what experts' decisions open."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipc.audit.decisions import read_decisions
from clipc.catalog.catalog import Catalog
from clipc.cli import main
from clipc.prepare.preview import composite_images
from clipc.recipe.recipe import Recipe
from clipc.review.book import DecisionBook
from clipc.review.images import ReviewImages
from clipc.review.queue import ReviewQueue, review_queue
from clipc.review.sitting import Sitting
from clipc.study.pilot.worth import with_acceptance
from clipc.study.worth.gates import meaning_gate


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, out, err


def test_a_new_sitting_knows_the_decisions_and_rules(sitting: Sitting, queue: ReviewQueue) -> None:
    for row in range(8):
        sitting.decide(row, row != 3)
    sitting.rules.accept(sitting.proposals(3)[0].id, "because")
    again = Sitting(queue, DecisionBook(sitting.book.file, "Mori"), sitting.rules.file, None)
    assert again.progress() == sitting.progress()
    assert [(r.text, r.rule.why, r.removes) for r in again.rules.accepted] == [
        (r.text, r.rule.why, r.removes) for r in sitting.rules.accepted
    ]
    assert again.rows("undecided") == sitting.rows("undecided")
    assert again.undo() == (True, 7)
    other = Sitting(queue, DecisionBook(sitting.book.file, "Sato"), sitting.rules.file, None)
    assert other.progress()["accepted"] == other.progress()["rejected"] == 0


def test_filters_divide_the_queue(sitting: Sitting) -> None:
    for row in range(0, 60, 2):
        sitting.decide(row, row % 3 == 0)
    sitting.rules.accept(sitting.proposals(2)[0].id)
    undecided, accepted, rejected = (sitting.rows(show) for show in ("undecided", "accepted", "rejected"))
    hidden = [row for row in sitting.rows("removed") if row not in accepted + rejected]
    assert sorted(undecided + accepted + rejected + hidden) == sitting.rows("all") == list(range(300))
    counts = sitting.progress()
    assert (counts["accepted"], counts["rejected"], counts["removed"]) == (len(accepted), len(rejected), len(hidden))


def test_rules_of_the_plan_stay_first_in_the_file(
    factory_catalog: Catalog, any_partner: Recipe, tmp_path: Path
) -> None:
    from clipc.compose.rules.read import read_rules

    given = tmp_path / "given.yaml"
    given.write_text("# our line\nname: line\npairs:\n  - require: a.camera = b.camera  # one light\n", "utf-8")
    policy = any_partner.policy.model_copy(update={"rules": read_rules(given)})
    recipe = any_partner.model_copy(update={"policy": policy})
    book = DecisionBook(tmp_path / "decisions.csv", "Mori")
    sitting = Sitting(review_queue(recipe, factory_catalog, 60), book, tmp_path / "rules.yaml", policy.rules)
    sitting.decide(0, False)
    offered = sitting.proposals(0)
    assert all(rule.removes < 60 for rule in offered)
    sitting.rules.accept(offered[0].id, "so")
    text = (tmp_path / "rules.yaml").read_text("utf-8")
    assert text.startswith(given.read_text("utf-8").rstrip())
    assert len(sitting.rules.accepted) == 1
    assert given.read_text("utf-8").count("\n") == 4  # the given file is not touched


def test_only_the_latest_images_are_kept(queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def count(renderer: Any, row: int, side: int) -> Any:
        rendered.append(row)
        return composite_images(renderer, row, side)

    monkeypatch.setattr("clipc.review.images.composite_images", count)
    images = ReviewImages(queue, most=2)
    for row in (0, 0, 1, 0, 2, 1):
        images.jpeg(row, "picture")
        images.jpeg(row, "left")
    assert rendered == [0, 1, 2, 1]


def test_decisions_of_the_page_calibrate_a_score_and_open_the_gate_of_meaning(
    sitting: Sitting, factory: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for row in range(60):
        sitting.decide(row, row != 5)
    file = sitting.book.file
    words = (
        "audit",
        factory,
        "policy.group=null",
        "--score",
        "checks",
        "--decisions",
        file,
        "--out",
        tmp_path / "audit",
    )
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    experts = json.loads(out)["experts"]
    assert (experts["decisions"], experts["composites"], experts["accepted"]) == (60, 60, 59)
    assert experts["threshold"]["wanted"] == 0.9
    checked = {"broken": 0, "failed_examples": 0, "composites": 100, "rules": None, "acceptance": None, "score": None}
    assert meaning_gate(checked, 0.9)["status"] == "not run"
    gate = meaning_gate(with_acceptance(checked, read_decisions(file)), 0.9)
    assert (gate["status"], gate["by"], gate["n"]) == ("passed", "expert", 60)


def test_mining_from_the_terminal(
    sitting: Sitting,
    factory: Path,
    labels: Callable[[int], tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    words = ("review", factory, "policy.group=null", "--mine", "--out", tmp_path)
    assert "Too few decisions" in run(capsys, *words)[1]
    for row in range(150):
        sitting.decide(row, set(labels(row)) != {"dent", "scratch"})
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    table = json.loads(out)
    assert table["decided"] == 150
    assert table["rules"][0]["precision"]["low"] > 0.5
    from clipc.compose.rules.read import read_rules

    rules = read_rules(tmp_path / "candidate-rules.yaml")
    assert [f"forbid: {rule.forbid}" for rule in rules.pairs] == [rule["rule"] for rule in table["rules"]]
    assert "of" in (rules.pairs[0].why or "")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["review", "demo"], "say who decides"),
        (["review", "nowhere.csv", "--by", "Mori"], "there is no nowhere.csv"),
        (["review", "demo", "--by", "Mori", "--count", "0"], "Must be >= 1"),
        (["review", "demo", "--by", "Mori", "--decisions", "a.txt"], "no decisions file"),
        (["review", "demo", "--by", "Mori", "policy.rh=1"], "did you mean 'policy.rho'"),
    ],
)
def test_the_users_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], hint: str) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert hint in err
    assert "Traceback" not in err
