"""A study's figures as files for papers and slides; each has its own title, axes and legend."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clipc.files import whole_file
from clipc.report import curve_plot, effect_plot, readable
from clipc.report.drawing import INK, MUTED, RULE
from clipc.report.lettering import displayable, figure_language, font_families
from clipc.report.marks import BASELINE
from clipc.report.sections.curves import (
    axis_label,
    axis_name,
    baseline_level,
    curve_panels,
    lower_is_better,
    panel_name,
    unit,
)
from clipc.report.sections.differences import differences, draw_differences, shared_span
from clipc.report.sections.rows import arm_names, effects
from clipc.report.words import Words, words

_DPI = 200
_MARGIN = 0.12
"""Empty space around a figure, in inches."""


def save_figures(data: dict[str, Any], folder: Path, lang: str = "en") -> list[Path]:
    """Writes every figure of a study as SVG and PNG.

    ``folder/figures/`` then holds ``effects-<metric>`` for each main metric that was compared (one column per size),
    ``differences-pairs-<metric>`` where there are several sizes (one panel per arm), and ``curve-<axis>-<metric>`` for
    each curve. Text in the SVG files is stored as outlines, so that it looks the same everywhere. On a machine without
    a Japanese font the words are English, and a name with Japanese characters becomes the arm's number ("arm 3").

    Args:
        data: The tables of ``study.json``.
        folder: The study's folder.
        lang: The language of titles and axes, one of :data:`clipc.report.words.LANGUAGES`.

    Returns:
        The files; the SVG of each figure comes before its PNG.

    Raises:
        UserError: There are no words in this language.
    """
    say = words(figure_language(words(lang).lang))
    target = folder / "figures"
    style: dict[Any, Any] = {
        "font.family": list(font_families()),
        "font.size": 9,
        "text.parse_math": False,  # a name may contain dollar signs
        "svg.fonttype": "path",
        "svg.hashsalt": "clipc",
        "axes.unicode_minus": True,
    }
    files: list[Path] = []
    with mpl.rc_context(style):
        for name, figure in _figures(data, say):
            if figure is None:
                continue
            stem = _unused_name(name, files)
            # "tight" would draw the figure once more for each file, only to measure it.
            box = figure.get_tightbbox().padded(_MARGIN)
            for path in (target / f"{stem}.svg", target / f"{stem}.png"):
                dated = {"Date": None} if path.suffix == ".svg" else None
                with whole_file(path) as new:
                    figure.savefig(
                        new, format=path.suffix[1:], metadata=dated, dpi=_DPI, facecolor="white", bbox_inches=box
                    )
                files.append(path)
    return files


def _figures(data: Mapping[str, Any], say: Words) -> Iterable[tuple[str, Figure | None]]:
    """Every figure with its file's name; None where there is nothing to draw."""
    for metric in data["metrics"]:
        if metric["main"]:
            yield f"effects-{_slug(metric['key'])}", _effects(data, metric, say)
            yield f"differences-pairs-{_slug(metric['key'])}", _differences(data, metric, say)
    for curve in data["curves"]:
        yield f"curve-{_slug(curve['axis'])}-{_slug(curve['metric'])}", _curve(data, curve, say)


def _effects(data: Mapping[str, Any], metric: Mapping[str, Any], say: Words) -> Figure | None:
    """The effects of all arms on one metric: one column per size, controls below a dotted line."""
    by_size = {size: effects(data, metric, size) for size in data["sizes"]}
    by_size = {size: rows for size, rows in by_size.items() if rows}
    if not by_size:
        return None
    compared = {name for rows in by_size.values() for name in rows}
    names = [name for name in arm_names(data) if name in compared]
    span = effect_plot.value_range(effect for rows in by_size.values() for effect in rows.values())
    arms = sum(name not in data["controls"] for name in names)
    gap = 0.7 if 0 < arms < len(names) else 0.0
    row_y = {name: i + (gap if name in data["controls"] else 0.0) for i, name in enumerate(names)}
    bottom = max(row_y.values()) + 0.7
    height = 0.3 * (bottom + 0.6)
    size_inches = 1.2 + 3.2 * len(by_size) ** 0.75, height + 0.35
    figure, columns = _panels(size_inches, 1, len(by_size), wspace=0.08, share_y=True)
    for axes, (size, rows) in zip(columns, by_size.items(), strict=True):
        effect_plot.draw(axes, [(row_y[name], effect) for name, effect in rows.items()], span)
        axes.set_ylim(bottom, -0.6)
        axes.set_yticks([row_y[name] for name in names], [_name(data, name, say) for name in names])
        axes.tick_params(length=0, labelcolor=INK)
        axes.tick_params(axis="x", labelcolor=MUTED)
        if gap:
            axes.axhline(arms - 0.15, color=MUTED, linewidth=0.8, linestyle=(0, (1.5, 2.0)))
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_title(say("study.pairs", n=readable.count(size)), fontsize=9, color=MUTED, pad=4)
        axes.set_facecolor("white")
    if gap:
        text = say("study.effects.controls")
        columns[0].annotate(text, (0, arms - 0.15), (-4, 0), ("axes fraction", "data"), "offset points",
                            ha="right", va="center", fontsize=7.5, color=MUTED)  # fmt: skip
    _frame(figure, data, metric["key"], say, height)
    axis = say(f"study.figure.difference{_suffix(metric)}", **_difference_words(data, metric, say))
    figure.text(0.5, -0.36 / height, axis, ha="center", va="top", fontsize=9)
    key = say("study.figure.key", n=len(data["seeds"]))
    figure.text(0.5, -0.56 / height, key, ha="center", va="top", fontsize=7.5, color=MUTED)
    return figure


def _differences(data: Mapping[str, Any], metric: Mapping[str, Any], say: Words) -> Figure | None:
    """Each arm's difference over the sizes: one panel per arm, controls last."""
    by_arm = differences(data, metric)
    if not by_arm:
        return None
    across = min(len(by_arm), 3 if len(by_arm) in (3, 5, 6, 9) else 4)
    down = -(-len(by_arm) // across)
    height = 1.55 * down
    figure, panels = _panels((2.15 * across, height), down, across, wspace=0.22, hspace=0.42)
    span = shared_span(by_arm)
    for axes, (name, points) in zip(panels, by_arm.items(), strict=False):
        draw_differences(axes, points, data["sizes"], span)
        axes.tick_params(labelsize=7.5)
        title = _name(data, name, say, max_length=24)
        if name in data["controls"]:
            title = f"{title} ({say('study.role.control')})"
        axes.set_title(title, fontsize=8.5, color=INK, pad=4, loc="left")
    for axes in panels[len(by_arm) :]:
        axes.set_visible(False)
    _frame(figure, data, metric["key"], say, height)
    key = say(f"study.differences.key{_suffix(metric)}", **_difference_words(data, metric, say), n=len(data["seeds"]))
    axis = say("study.log", axis=axis_name("pairs", say))
    figure.text(0.5, -0.36 / height, axis, ha="center", va="top", fontsize=9)
    figure.text(0.5, -0.6 / height, key, ha="center", va="top", fontsize=7.5, color=MUTED, linespacing=1.5)
    return figure


def _curve(data: Mapping[str, Any], curve: Mapping[str, Any], say: Words) -> Figure | None:
    """A curve's panels on one scale, each with its legend below."""
    panels = curve_panels(curve, data)
    if not panels:
        return None
    metric, height = curve["metric"], 3.1
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    keys = 0.19 * (2 + max(len(panel.lines) for panel in panels))
    size_inches = 4.3 * across, height * down + keys * (down - 1)
    figure, plots = _panels(size_inches, down, across, wspace=0.16, hspace=(keys + 0.7) / height)
    level = baseline_level(curve, data)
    span = curve_plot.value_range(line for panel in panels for line in panel.lines)
    for axes, panel in zip(plots, panels, strict=False):
        curve_plot.draw(
            axes, panel.lines, log=curve["log"], level=level, invert_y=lower_is_better(metric, data), y_range=span
        )
        axes.set_title(panel_name(panel, say), fontsize=9, color=MUTED, pad=4)
        axes.set_xlabel(axis_label(curve, panel.lines, say))
        handles = [_handle(line) for line in panel.lines]
        labels = [_name(data, line.name, say) for line in panel.lines]
        if level is not None:
            handles.append(Line2D([], [], color=BASELINE.colour, linestyle=(0, (6.0, 3.0)), linewidth=1.4))
            labels.append(say("study.curves.level", name=_name(data, data["baseline"], say)))
        # matplotlib leaves out labels that begin with an underscore
        labels = [f" {label}" if label.startswith("_") else label for label in labels]
        columns = 2 if max(map(len, labels)) <= 20 else 1
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.0, -0.2), frameon=False, handlelength=3.6,
                    ncols=columns, fontsize=8.5, borderaxespad=0.0)  # fmt: skip
    for axes in plots[len(panels) :]:
        axes.set_visible(False)
    level_unit = displayable(unit(metric, data, say), "?")
    plots[0].set_ylabel(say("study.figure.level", metric=_metric(metric, say), unit=level_unit))
    _frame(figure, data, metric, say, figure.get_size_inches()[1])
    return figure


def _handle(line: curve_plot.Line) -> Line2D:
    """A line's mark and style for the legend."""
    mark = line.mark
    face = mark.colour if mark.filled else "white"
    return Line2D([], [], color=mark.colour, linestyle=mark.line, marker=mark.marker, markerfacecolor=face,
                  markersize=5.5, linewidth=1.6)  # fmt: skip


def _panels(
    size_inches: tuple[float, float], down: int, across: int, *, share_y: bool = False, **space: float
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row; ``space`` goes to matplotlib's ``subplots_adjust``."""
    figure = Figure(figsize=size_inches)
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, sharey=share_y, squeeze=False).ravel()
    figure.subplots_adjust(left=0, right=1, top=1, bottom=0, **space)
    return figure, list(panels)


def _suffix(metric: Mapping[str, Any]) -> str:
    """The end of a phrase's key: where lower is better, another phrase explains the inverted axis."""
    return "" if metric["higher_is_better"] else "_turned"


def _difference_words(data: Mapping[str, Any], metric: Mapping[str, Any], say: Words) -> dict[str, str]:
    unit = displayable(say.unit(metric["unit"], "of_difference"), "?")
    return {"baseline": _name(data, data["baseline"], say), "unit": unit}


def _frame(figure: Figure, data: Mapping[str, Any], metric: str, say: Words, height: float) -> None:
    study = displayable(data["name"], "study")
    title = say("study.figure.title", study=study, metric=_metric(metric, say))
    figure.text(0, 1 + 0.36 / height, title, ha="left", va="bottom", fontsize=10.5, weight="bold", color=INK)
    figure.patch.set_edgecolor(RULE)


def _name(data: Mapping[str, Any], name: str, say: Words, max_length: int = 44) -> str:
    """An arm's name, or "arm 3" by its number in the study where the fonts lack a character of the name."""
    order = [arm["name"] for arm in data["arms"]]
    return displayable(
        name,
        say("study.figure.arm", n=order.index(name) + 1 if name in order else len(order) + 1),
        max_length=max_length,
    )


def _metric(key: str, say: Words) -> str:
    return displayable(say.metric(key), displayable(words("en").metric(key), "metric"), max_length=72)


def _slug(text: str) -> str:
    """A name for use in a file's name: ASCII letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:80] or "x"


def _unused_name(stem: str, files: Iterable[Path]) -> str:
    """The name, or the name with a number if a written file has it already."""
    taken = {path.stem for path in files}
    return next(name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)
