"""The page of the data doctor: findings with their worst cases, what the model will see, speed, and a recipe."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from clipc.report import readable
from clipc.report.page import checked_image, format_date, page
from clipc.report.words import Words, words

_SHARES: Final = ("near", "median", "worst")
"""Values of findings that are shares of a whole, where they are below one."""
_READING: Final = ("sentence", "reason")
"""Values of findings that are sentences of the catalog."""
_LONGEST: Final = 120


def render_doctor(data: Mapping[str, Any], *, lang: str = "en") -> str:
    """The findings of the data doctor as one self-contained HTML page.

    Args:
        data: The tables of :func:`clipc.audit.doctor.doctor`, and as ``keys`` the file of the cleaned list, where it
            was written.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in this language.
        ValueError: An image is not a ``data:`` URI.
    """
    say = words(lang)
    findings: list[dict[str, Any]] = [{**finding, **finding_texts(finding, say)} for finding in data["findings"]]
    for finding in findings:
        if finding["code"] == "unreadable":  # each with the catalog's reason
            finding["examples"] = [{**row, "text": say.reading(row["text"])} for row in finding["examples"]]
        for example in finding["examples"]:
            for uri in example["images"]:
                checked_image(uri)
    views = [_view(view, data, say) for view in data["views"]]
    pairs = data["source"]["pairs"]
    content = {
        "source": data["source"],
        "created": format_date(data["created"], say),
        "version": data["clipc"],
        "headline": headline(data, say),
        "lead": _lead(data, say),
        "examined": data["examined"],
        "severities": [code for code in ("stop", "warning", "note") if any(f["severity"] == code for f in findings)],
        "findings": findings,
        "views": views,
        "views_lead": _views_lead(views, say),
        "loss": _loss(data, say),
        "speed": None if data["speed"] is None else _speed(data["speed"], say),
        "recipe": {**data["recipe"], "lines": list(recipe_reasons(data["recipe"], say))},
        "command": recipe_command(data),
        "clean": clean_sentence(data, say) if data["removed"] or data.get("keys") else None,
        "total": readable.count(sum(pairs.values())),
    }
    return page("doctor.html", say, content)


def finding_texts(finding: Mapping[str, Any], say: Words) -> dict[str, str]:
    """The ``title``, ``meaning`` and ``advice`` of a finding; a code without words stands for itself.

    Args:
        finding: One of the findings of :func:`clipc.audit.doctor.doctor`.
        say: The words of the language.
    """
    values = {name: _value(name, value, say) for name, value in finding["values"].items()}
    values |= {name: readable.count(finding[name]) for name in ("count", "total")}
    values["share"] = readable.percent(finding["share"])
    code = finding["code"]
    if say.get(f"doctor.finding.{code}.title", "") == "":
        return {"title": code, "meaning": "", "advice": ""}
    return {part: say(f"doctor.finding.{code}.{part}", **values) for part in ("title", "meaning", "advice")}


def headline(data: Mapping[str, Any], say: Words) -> str:
    """The verdict in one sentence."""
    for severity in ("stop", "warning"):
        if n := sum(finding["severity"] == severity for finding in data["findings"]):
            return say(f"doctor.headline.{severity}" + ("_one" if n == 1 else ""), n=n)
    return say("doctor.headline.none")


def recipe_command(data: Mapping[str, Any]) -> str:
    """The command that trains the suggested recipe on the source, which is named as ``SOURCE``."""
    changes = [f"{key}={_yaml(value)}" for key, value in data["recipe"]["changes"].items()]
    return " ".join(["clipc train", data["recipe"]["name"], "SOURCE", *changes])


def recipe_reasons(recipe: Mapping[str, Any], say: Words) -> Iterator[str]:
    """A sentence for each reason of the suggested recipe."""
    for reason in recipe["reasons"]:
        values = {
            name: f"{value:.0%}" if name in ("rho", "until") else readable.count(value)
            for name, value in reason.items()
            if name != "code"
        }
        yield say(f"doctor.recipe.reason.{reason['code']}", **values)


def clean_sentence(data: Mapping[str, Any], say: Words) -> str:
    """How many pairs a cleaned list of keys keeps, and how it is written or, where it was (``keys``), used."""
    pairs = sum(data["source"]["pairs"].values())
    counts = {"kept": readable.count(pairs - len(data["removed"])), "pairs": readable.count(pairs)}
    file = data.get("keys")
    return say("doctor.clean", **counts) if file is None else say("doctor.clean_written", file=file, **counts)


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value)


def _value(name: str, value: Any, say: Words) -> Any:
    if name in _READING:
        return say.reading(value)
    if isinstance(value, float):
        return f"{value:.0%}" if name in _SHARES and value <= 1 else readable.tidy(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return readable.count(value)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _lead(data: Mapping[str, Any], say: Words) -> str:
    pairs, model = data["source"]["pairs"], data["model"]
    counts = {name: readable.count(pairs.get(name, 0)) for name in ("train", "val", "test")}
    numbers = {"pairs": readable.count(sum(pairs.values())), "size": model["image_size"], "context": model["context"]}
    return say("doctor.lead", model=model["name"], **counts, **numbers)


def _loss(data: Mapping[str, Any], say: Words) -> str:
    loss = data["loss"]
    return say("doctor.loss.text", batch=readable.count(loss["batch"]), loss=f"{loss['untrained']:.2f}")


def _view(view: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    for name in ("whole", "window", "model"):
        checked_image(view[name])
    texts = [say("doctor.views.enlarged")]
    if view["scale"] > 1:
        texts = [say("doctor.views.scale", scale=f"{view['scale']:.1f}", loss=readable.percent(view["loss"]))]
    if view["structure"] is not None:
        texts.append(say("doctor.views.structure", pixels=readable.tidy(view["structure"])))
    return {**view, "texts": texts, "size": data["model"]["image_size"], "shown": _shown(view)}


def _shown(view: Mapping[str, Any]) -> tuple[str, ...]:
    """The pictures of a view that differ from each other."""
    if view["scale"] <= 1:
        return ("whole",)
    return ("whole", "model") if view["window"] == view["whole"] else ("whole", "window", "model")


def _views_lead(views: Sequence[Mapping[str, Any]], say: Words) -> str:
    """What stands where in the views."""
    shown = {len(view["shown"]) for view in views}
    lead = say(f"doctor.views.lead_{max(shown, default=1)}")
    return f"{lead} {say('doctor.views.fewer')}" if len(shown) > 1 else lead


def _speed(speed: Mapping[str, Any], say: Words) -> dict[str, Any]:
    parts = ("read", "decode", "resize", "transfer")
    most = max(speed[name] for name in parts) or 1.0
    size = readable.short(speed["resident_bytes"]) + "B"
    lead = {name: readable.count(speed[name]) for name in ("images", "cores")}
    return {
        "lead": say("doctor.speed.lead", rate=readable.count(speed["per_second"]), **lead),
        "rows": [
            (say(f"doctor.speed.{name}"), f"{speed[name]:.2f} ms", f"{100 * speed[name] / most:.1f}") for name in parts
        ],
        "advice": [
            say(f"doctor.speed.advice.{code}", **({"size": size} if code == "resident" else {}))
            for code in speed["advice"]
        ],
    }
