"""The verdict of a pilot in words: what may be said of CLIP-C on this data, and what may not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipc.report.readable import SHARE, interval, unit_of
from clipc.report.words import Words


@dataclass(frozen=True)
class Verdict:
    """What the first page says.

    Attributes:
        badge: One of ``gain``, ``gain_unconfirmed``, ``gain_uncontrolled``, ``loss``, ``mixed``, ``none``, ``unknown``.
        headline: One plain sentence on CLIP-C against CLIP.
        control: What the control arm adds to it, or that there was none.
        cautions: What limits the sentence: what could not have been seen, generated pictures.
    """

    badge: str
    headline: str
    control: str
    cautions: tuple[str, ...]


def verdict(data: Mapping[str, Any], say: Words) -> Verdict:
    """The verdict on the main metrics of a pilot's tables.

    A gain over CLIP that plain augmentation shows as well is not a gain of composition, so a gain is
    credited to composing only on metrics where CLIP-C also gains over the control.
    """
    main = {m["key"] for m in data["metrics"] if m["main"]}
    found = [c for c in data["comparisons"] if c["metric"] in main]
    effect = _outcome(found, "clip-c", "clip")
    gains = {key for key, said in effect.items() if said == "gain"}
    losses = {key for key, said in effect.items() if said == "loss"}
    held = {key for key in gains if _outcome(found, "clip-c", "augment").get(key) == "gain"}
    control = any(arm["name"] == "augment" for arm in data["arms"]) and bool(_outcome(found, "augment", "clip"))
    counts = {"n": len(effect), "gains": len(gains), "losses": len(losses), "held": len(held)}
    kind = _kind(effect)
    badge = kind
    if kind == "gain" and not held:
        badge = "gain_unconfirmed" if control else "gain_uncontrolled"
    headline = kind
    if kind in ("gain", "loss") and len(gains | losses) == len(effect):
        headline = f"{kind}_{'all' if len(effect) > 1 else 'one'}"
    return Verdict(
        badge,
        say(f"headline.{headline}", **counts),
        _control(say, kind, control, counts, _outcome(found, "augment", "clip")),
        tuple(_cautions(data, found, say)),
    )


def _outcome(found: Sequence[Mapping[str, Any]], arm: str, against: str) -> dict[str, str]:
    """The verdict of each metric on which two arms were compared."""
    return {c["metric"]: c["verdict"] for c in found if (c["arm"], c["against"]) == (arm, against) and c["verdict"]}


def _kind(outcome: Mapping[str, str]) -> str:
    said = set(outcome.values())
    if not said:
        return "unknown"
    if {"gain", "loss"} <= said:
        return "mixed"
    return next((kind for kind in ("gain", "loss") if kind in said), "none")


def _control(say: Words, kind: str, control: bool, counts: Mapping[str, int], outcome: Mapping[str, str]) -> str:
    if not control:
        return say("control.missing_gain" if kind in ("gain", "mixed") else "control.missing")
    if kind in ("gain", "mixed"):
        held, gains = counts["held"], counts["gains"]
        return say(f"control.{'confirmed' if held == gains else 'partly' if held else 'unconfirmed'}", **counts)
    said = list(outcome.values())
    numbers = {"n": len(said), "gains": said.count("gain"), "losses": said.count("loss")}
    found = _kind(outcome)
    return say("control.none_either" if found == kind == "none" else f"control.{found}", **numbers)


def _cautions(data: Mapping[str, Any], found: Sequence[Mapping[str, Any]], say: Words) -> list[str]:
    cautions = [say("caution.generated")] if data["source"]["generated"] else []
    versus = [c for c in found if (c["arm"], c["against"]) == ("clip-c", "clip")]
    intervals = [interval(c) for c in versus if unit_of(c["metric"], data) == SHARE]
    reach = [50.0 * (found[1] - found[0]) for found in intervals if found is not None]
    if reach:
        low, high = f"{min(reach):.1f}", f"{max(reach):.1f}"
        cautions.append(say(f"caution.resolution{'_one' if low == high else ''}", low=low, high=high))
    return cautions
