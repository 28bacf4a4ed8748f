"""Draws the report's charts as SVG with Vega-Lite, so that the page needs no script.

The colours are CSS variables of the page, which has a light and a dark theme. Each chart fits on a phone.
"""

import re
from collections.abc import Sequence
from typing import Any

import vl_convert
from markupsafe import Markup

Spec = dict[str, Any]

# SVG inside HTML needs no namespaces
_NAMESPACES = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
# a role needs a name; Vega keeps the roles of marks even with `aria` false
_ROLES = re.compile(r' (role="graphics-[a-z-]+"|aria-roledescription="[^"]*")')
_HEIGHT = 210
_FRAME = {
    "width": 320,  # including axes and legend
    "height": _HEIGHT,
    "autosize": {"type": "fit", "contains": "padding"},
    "padding": 8,
    "background": None,
}
_STRONG, _WEAK, _THIRD = "var(--accent)", "var(--soft)", "var(--third)"
_CONFIG = {
    "aria": False,  # the page has a caption for each chart
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "legend": {
        "labelColor": "var(--muted)",
        "labelFontSize": 11,
        "title": None,
        "orient": "top",
        "offset": 4,
    },
}


def _draw(spec: Spec) -> Markup:
    """Returns the chart as SVG, in which Vega has escaped all text."""
    svg = vl_convert.vegalite_to_svg({**_FRAME, "config": _CONFIG, **spec})
    return Markup(_ROLES.sub("", svg.replace(_NAMESPACES, "")))  # noqa: S704


def _colours(names: Sequence[str]) -> Spec:
    """Returns the colour encoding of up to three series; the first series has the stronger colour."""
    scale = {"domain": list(names), "range": [_STRONG, _WEAK, _THIRD]}
    return {"field": "series", "type": "nominal", "scale": scale, "legend": {} if len(names) > 1 else None}


def _axis(field: str, title: str | None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def counts(per_split: dict[str, dict[str, int]]) -> Markup:
    """Draws the number of photos of each class, by split."""
    rows = [
        {"class": name, "series": split, "n": n} for split, classes in per_split.items() for name, n in classes.items()
    ]
    classes = len({row["class"] for row in rows})
    axis = {"labelLimit": 110, "ticks": False, "domain": False, "labelPadding": 6}
    offset = {"field": "series", "type": "nominal", "sort": list(per_split)}
    return _draw(
        {
            "height": max(_HEIGHT, 60 + 13 * len(per_split) * classes),
            "data": {"values": rows},
            "mark": "bar",
            "encoding": {
                "y": {"field": "class", "type": "nominal", "title": None, "sort": None, "axis": axis},
                "yOffset": offset,
                "x": _axis("n", "photos", axis={"tickCount": 4}),
                "color": _colours(list(per_split)),
            },
        }
    )


def histograms(per_split: dict[str, list[float]], title: str) -> Markup:
    """Draws a histogram of each split: fractions of the photos in bins of equal width between 0 and 1."""
    rows = [
        {"series": split, "edge": index / len(bins), "fraction": fraction}
        for split, bins in per_split.items()
        for index, fraction in enumerate([*bins, bins[-1]])  # the last bin again, for its right edge
    ]
    return _draw(
        {
            "data": {"values": rows},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {
                "x": _axis("edge", title, scale={"domain": [0, 1]}, axis={"tickCount": 5, "grid": False}),
                "y": _axis("fraction", None, axis={"format": "%", "tickCount": 4}),
                "color": _colours(list(per_split)),
            },
        }
    )


def curve(series: dict[str, Sequence[float]], best: int, from_zero: bool = False) -> Markup:
    """Draws values by epoch. A dashed line marks the best epoch, whose weights were exported; 0 is the start."""
    rows = [
        {"series": name, "epoch": epoch, "value": value}
        for name, values in series.items()
        for epoch, value in enumerate(values, 1)
    ]
    epochs = max(map(len, series.values()))
    axis = {"values": list(range(1, epochs + 1, 1 + epochs // 8)), "grid": False, "format": "d"}
    scale = {"domain": [min(1, best), max(2, epochs)], "nice": False, "zero": False}
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 60} if epochs == 1 else False},
        "encoding": {
            "y": _axis("value", None, scale={"zero": from_zero}, axis={"tickCount": 4}),
            "color": _colours(list(series)),
        },
    }
    rule = {
        "data": {"values": [{"epoch": best}]},
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--muted)"},
    }
    x = {"x": _axis("epoch", "epoch", axis=axis, scale=scale)}
    return _draw({"data": {"values": rows}, "encoding": x, "layer": [rule, line]})


def reliability(series: dict[str, list[dict[str, Any]]]) -> Markup:
    """Draws the accuracy of each bin by its confidence; the diagonal shows a perfectly calibrated model."""
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "tickCount": 5}}
    diagonal = {
        "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
        "mark": {"type": "line", "strokeDash": [3, 3], "color": "var(--muted)", "strokeWidth": 1},
    }
    rows = [{"series": name, **each} for name, bins in reversed(series.items()) for each in bins]
    colour = {"color": _colours(list(series))}
    size = {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [24, 320]}}
    measured = {"data": {"values": rows}, "mark": {"type": "circle", "opacity": 1}, "encoding": {"size": size} | colour}
    joined = {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 1.5}, "encoding": colour}
    return _draw(
        {
            "height": 270,
            "encoding": {
                "x": _axis("confidence", "probability of the predicted class", **unit),
                "y": _axis("accuracy", "accuracy", **unit),
            },
            "layer": [diagonal, joined, measured],
        }
    )


def coverage(curve: list[dict[str, Any]], points: dict[str, dict[str, float]]) -> Markup:
    """Draws the accuracy on the photos above a threshold by their fraction, and the points of a chosen threshold."""
    line = {"data": {"values": curve}, "mark": {"type": "line", "color": _STRONG, "strokeWidth": 1.5}}
    chosen = {
        "data": {"values": [{"series": name, **each} for name, each in points.items()]},
        "mark": {"type": "circle", "opacity": 1, "size": 90},
        "encoding": {"color": _colours(list(points))},
    }
    unit = {"format": "%", "tickCount": 5}
    return _draw(
        {
            "encoding": {
                "x": _axis("coverage", "photos above the threshold", axis=unit, scale={"domain": [0, 1]}),
                "y": _axis("accuracy", "accuracy on them", axis=unit, scale={"zero": False}),
            },
            "layer": [line, chosen] if points else [line],
        }
    )
