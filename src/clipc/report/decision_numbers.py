"""The numbers of a decision as text: amounts, gains, multiples and pairs with their intervals and n."""

from collections.abc import Mapping
from typing import Any

from clipc.report import readable
from clipc.report.amounts import Format, difference, estimate, interval, money, times
from clipc.report.words import Words


class DecisionNumbers:
    """Writes the numbers of the table ``worth``.

    Args:
        data: The tables of a pilot, with ``worth``.
        say: The words of a language.
    """

    def __init__(self, data: Mapping[str, Any], say: Words) -> None:
        self.data, self.say = data, say
        self.worth: Mapping[str, Any] = data["worth"]
        self.metric: str = say.metric(self.worth["metric"]["key"])
        self.unit: str = self.worth["metric"]["unit"]
        self.currency: str = (self.worth["figures"] or {}).get("currency", "JPY")

    def money(self, value: float) -> str:
        """An amount in the user's currency."""
        return money(value, self.currency, self.say.lang)

    def gain(self, value: float) -> str:
        """A difference of the metric."""
        return difference(self.unit, value, self.say)

    def ratio(self, value: float) -> str:
        """A multiple."""
        return times(value, self.say)

    def pairs(self, value: float) -> str:
        """A number of pairs."""
        return self.say("worth.pairs", n=readable.count(value))

    def n(self, row: Mapping[str, Any]) -> str:
        """The numbers of seeds and test items that a value rests on."""
        if not row["items"]:
            return self.say("worth.n_seeds", seeds=row["seeds"])
        return self.say("worth.n", seeds=row["seeds"], items=readable.count(row["items"]))

    def level(self) -> str:
        """The confidence level."""
        return f"{100 * self.worth['level']:.4g}%"

    def reading(self) -> Mapping[str, Any] | None:
        """The row of the data equivalence that the verdict rests on."""
        table = self.worth["equivalence"]
        if table is None:
            return None
        return next((row for row in table["rows"] if row["size"] == table["decision"]), None)

    def with_interval(self, e: Mapping[str, Any], write: Format) -> tuple[str, str]:
        """An estimate and its interval as text; the unit of a gain is written once."""
        first = self._bare_gain if write == self.gain else None
        return estimate(e, write, self.say), interval(e, write, self.say, first=first)

    def _bare_gain(self, value: float) -> str:
        return readable.signed(self.unit, value)

    def alternative(self, name: str) -> str:
        """A readable name of an alternative."""
        return self.say.get(f"worth.alternative.{name}", name)

    def roi(self, value: float) -> str:
        """A return on investment as a percentage of the cost."""
        return f"{100 * value:,.0f}%".replace("-", readable.MINUS)

    def smallest_gain(self) -> Mapping[str, Any] | None:
        """The alternative over which the model gains least."""
        return min(self.worth["alternatives"], key=lambda row: row["difference"]["value"], default=None)

    def interval_line(self, ends: str) -> str:
        """An interval with its level."""
        return self.say("worth.interval", level=self.level(), interval=ends)

    def space(self) -> str:
        """What stands between two sentences."""
        return "" if self.say.lang == "ja" else " "
