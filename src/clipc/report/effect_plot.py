"""Effect plots: one row per arm with its mean difference, two intervals and one stroke per seed.

All rows share one scale. On a page each row is a small SVG, a *strip*, beside the arm's name; it is written without
matplotlib, because a study may have a thousand strips. In a figure file all rows are drawn on the same axes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles

from matplotlib.axes import Axes

from clipc.report.drawing import INK, MUTED, RULE, WIDTH, draw_marks, format_signed, tick_values
from clipc.report.marks import CONTROL, TREATMENT, Mark

HEIGHT = 24.0
"""The height of a strip, in CSS pixels before the page scales it."""
_LINE_Y, _SEEDS_Y = 9.5, 19.5


@dataclass(frozen=True)
class Effect:
    """One arm's difference from the baseline, in the unit of the axis; positive values are better.

    Attributes:
        difference: The mean of the paired differences.
        interval: The t interval over seeds, if any.
        two_way: The two-way interval over seeds and test items, if any.
        per_seed: The difference for each seed.
        control: Whether the arm is a control.
    """

    difference: float
    interval: tuple[float, float] | None
    two_way: tuple[float, float] | None
    per_seed: tuple[float, ...]
    control: bool

    @property
    def mark(self) -> Mark:
        """The mark of the arm's role."""
        return CONTROL if self.control else TREATMENT

    @property
    def values(self) -> list[float]:
        """Every value that is drawn."""
        return [self.difference, *(self.interval or ()), *(self.two_way or ()), *self.per_seed]


def value_range(effects: Iterable[Effect], *, max_ratio: float = 4.0) -> tuple[float, float]:
    """The common range of all rows; it contains zero and, with a margin, all values except those of outliers.

    Among four or more rows a row is an outlier if its largest absolute value is more than ``max_ratio`` times the
    upper quartile over rows. One arm with very bad results would otherwise make all other rows unreadable. An outlier
    is drawn with an arrow at the edge.
    """
    rows = [effect.values for effect in effects]
    extents = [max(map(abs, row)) for row in rows]
    if len(rows) >= 4:
        quartile = quantiles(extents, n=4, method="inclusive")[2]
        rows = [row for row, furthest in zip(rows, extents, strict=True) if furthest <= max_ratio * quartile]
    low, high = (end(0.0, *(value for row in rows for value in row)) for end in (min, max))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def any_outside(effects: Iterable[Effect], span: tuple[float, float]) -> bool:
    """Whether any value lies outside the range, and is therefore drawn as an arrow at the edge."""
    return any(not span[0] <= value <= span[1] for effect in effects for value in effect.values)


def strip(effect: Effect, span: tuple[float, float]) -> str:
    """One row as an ``<svg>`` element without text and ids.

    A thick bar is the t interval, a thin line with end strokes the two-way interval, and each stroke below a seed.
    """
    mark = effect.mark
    parts = [_grid(span)]
    if effect.two_way is not None:
        left, right = (_x(end, span) for end in effect.two_way)
        parts.append(_path(f"M{left:.1f} {_LINE_Y}H{right:.1f}", INK, 0.9))
        parts += [_path(f"M{end:.1f} 3.5v12", INK, 0.9) for end in (left, right) if 0 < end < WIDTH]
    if effect.interval is not None:
        left, right = (_x(end, span) for end in effect.interval)
        parts.append(_path(f"M{left:.1f} {_LINE_Y}H{right:.1f}", mark.colour, 3.4))
    seeds = [_x(value, span) for value in effect.per_seed if span[0] <= value <= span[1]]
    if seeds:
        parts.append(_path("".join(f"M{x:.1f} {_SEEDS_Y - 3}v6" for x in seeds), INK, 1.0))
    if min(effect.values) < span[0]:
        parts.append(f'<path d="M0 {_LINE_Y}l8 -5v10z" fill="{INK}"/>')
    if max(effect.values) > span[1]:
        parts.append(f'<path d="M{WIDTH:g} {_LINE_Y}l-8 -5v10z" fill="{INK}"/>')
    if span[0] <= effect.difference <= span[1]:
        fill = mark.colour if mark.filled else "#fff"
        position = f"translate({_x(effect.difference, span) - 5:.1f} {_LINE_Y - 5})"
        path = f'<path d="{mark.outline}" fill="{fill}" stroke="{mark.colour}" stroke-width="1.4"'
        parts.append(f'{path} transform="{position}"/>')
    return _svg(HEIGHT, "".join(parts))


def axis(span: tuple[float, float]) -> str:
    """The axis below a column of strips, as an ``<svg>`` element: numbers with their signs."""
    inner = 0.03 * (span[1] - span[0])
    labels = [value for value in tick_values(span) if span[0] + inner <= value <= span[1] - inner]
    texts = [f'<text x="{_x(value, span):.1f}" y="13">{format_signed(value)}</text>' for value in labels]
    return _svg(18, f'<g fill="{MUTED}" font-size="12" text-anchor="middle">{"".join(texts)}</g>')


def draw(axes: Axes, rows: Sequence[tuple[float, Effect]], span: tuple[float, float]) -> None:
    """Draws rows on axes whose y grows downwards.

    Args:
        axes: The axes to draw on; their x range becomes ``span``.
        rows: The y of each row, and its effect.
        span: The common range, see :func:`value_range`.
    """
    axes.set_xlim(span)
    for value in tick_values(span):
        zero = abs(value) < 1e-9
        axes.axvline(value, color=INK if zero else RULE, linewidth=0.9 if zero else 0.6, zorder=1.5 if zero else 0)
    for y, effect in rows:
        mark = effect.mark
        if effect.two_way is not None:
            axes.plot(effect.two_way, [y, y], color=INK, linewidth=0.8, zorder=2)
            axes.plot(effect.two_way, [y, y], "|", color=INK, markersize=8, markeredgewidth=0.8, zorder=2)
        if effect.interval is not None:
            axes.plot(effect.interval, [y, y], color=mark.colour, linewidth=3.0, solid_capstyle="butt", zorder=3)
        axes.plot(effect.per_seed, [y + 0.36] * len(effect.per_seed), "|", color=INK, markersize=4, markeredgewidth=0.8)
        for edge, marker, outside in ((0, "<", min(effect.values) < span[0]), (1, ">", max(effect.values) > span[1])):
            if outside:
                axes.plot(span[edge], y, marker, color=INK, markersize=5, clip_on=False, zorder=4)
        if span[0] <= effect.difference <= span[1]:
            draw_marks(axes, [effect.difference], [y], mark, 5.5)
    axes.set_xticks(tick_values(span), [format_signed(value) for value in tick_values(span)])


def _x(value: float, span: tuple[float, float]) -> float:
    """The x of a value on a strip, in CSS pixels; values outside the range are clipped to the edge."""
    return WIDTH * min(max((value - span[0]) / (span[1] - span[0]), 0.0), 1.0)


def _grid(span: tuple[float, float]) -> str:
    lines = "".join(f"M{_x(value, span):.1f} 0v{HEIGHT:g}" for value in tick_values(span))
    return _path(lines, RULE, 0.6) + _path(f"M{_x(0.0, span):.1f} 0v{HEIGHT:g}", INK, 1.0)


def _path(commands: str, colour: str, width: float) -> str:
    return f'<path d="{commands}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _svg(height: float, content: str) -> str:
    start = f'<svg aria-hidden="true" viewBox="0 0 {WIDTH:g} {height:g}" xmlns="http://www.w3.org/2000/svg">'
    return f"{start}{content}</svg>"
