"""The report's charts: Vega-Lite, drawn to SVG here, so that the page needs no script.

Colours are the page's own variables, which follow light and dark. Each chart is as wide as a phone.
"""

from collections.abc import Sequence
from typing import Any

import vl_convert
from markupsafe import Markup

Spec = dict[str, Any]

_NAMESPACES = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'  # a page needs none
_HEIGHT = 210
_FRAME = {
    "width": 320,  # with all that is around the plot
    "height": _HEIGHT,
    "autosize": {"type": "fit", "contains": "padding"},
    "padding": 8,
    "background": None,
}
_MAIN, _SOFT = "var(--accent)", "var(--soft)"
_CONFIG = {
    "aria": False,  # the page says in words what each chart shows
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
    """Returns the chart as SVG; Vega escapes what it writes."""
    svg = vl_convert.vegalite_to_svg({**_FRAME, "config": _CONFIG, **spec})
    return Markup(svg.replace(_NAMESPACES, ""))  # noqa: S704


def _two(names: Sequence[str]) -> Spec:
    """Returns the colours of two series, the first of which is the one to look at."""
    scale = {"domain": list(names), "range": [_MAIN, _SOFT]}
    return {"field": "of", "type": "nominal", "scale": scale, "legend": {} if len(names) > 1 else None}


def _axis(field: str, title: str | None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def counts(per_split: dict[str, dict[str, int]]) -> Markup:
    """Draws the number of photos of each class, by split."""
    rows = [{"class": name, "of": split, "n": n} for split, classes in per_split.items() for name, n in classes.items()]
    classes = len({row["class"] for row in rows})
    axis = {"labelLimit": 110, "ticks": False, "domain": False, "labelPadding": 6}
    offset = {"field": "of", "type": "nominal", "sort": list(per_split)}
    return _draw(
        {
            "height": max(_HEIGHT, 60 + 13 * len(per_split) * classes),
            "data": {"values": rows},
            "mark": "bar",
            "encoding": {
                "y": {"field": "class", "type": "nominal", "title": None, "sort": None, "axis": axis},
                "yOffset": offset,
                "x": _axis("n", "photos", axis={"tickCount": 4}),
                "color": _two(list(per_split)),
            },
        }
    )


def shares(per_split: dict[str, list[float]], title: str) -> Markup:
    """Draws histograms over 0 to 1, whose parts are equally wide, as steps."""
    rows = [
        {"of": split, "at": index / len(parts), "share": share}
        for split, parts in per_split.items()
        for index, share in enumerate([*parts, parts[-1]])
    ]
    return _draw(
        {
            "data": {"values": rows},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {
                "x": _axis("at", title, scale={"domain": [0, 1]}, axis={"tickCount": 5, "grid": False}),
                "y": _axis("share", None, axis={"format": "%", "tickCount": 4}),
                "color": _two(list(per_split)),
            },
        }
    )


def curve(series: dict[str, Sequence[float]], best: int, from_zero: bool = False) -> Markup:
    """Draws values by epoch; a dashed line marks the best epoch, which was exported."""
    rows = [
        {"of": name, "epoch": epoch, "value": value}
        for name, values in series.items()
        for epoch, value in enumerate(values, 1)
    ]
    epochs = max(map(len, series.values()))
    axis = {"values": list(range(1, epochs + 1, 1 + epochs // 8)), "grid": False, "format": "d"}
    scale = {"domain": [1, max(2, epochs)], "nice": False, "zero": False}
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 60} if epochs == 1 else False},
        "encoding": {
            "y": _axis("value", None, scale={"zero": from_zero}, axis={"tickCount": 4}),
            "color": _two(list(series)),
        },
    }
    rule = {
        "data": {"values": [{"epoch": best}]},
        "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--muted)"},
    }
    x = {"x": _axis("epoch", "epoch", axis=axis, scale=scale)}
    return _draw({"data": {"values": rows}, "encoding": x, "layer": [rule, line]})


def reliability(bins: list[dict[str, Any]]) -> Markup:
    """Draws the accuracy against the confidence, bin by bin, with the diagonal of a model that knows how sure it is."""
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": "%", "tickCount": 5}}
    diagonal = {
        "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
        "mark": {"type": "line", "strokeDash": [3, 3], "color": "var(--muted)", "strokeWidth": 1},
    }
    measured = {
        "data": {"values": bins},
        "mark": {"type": "circle", "color": _MAIN, "opacity": 1},
        "encoding": {"size": {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [24, 320]}}},
    }
    joined = {"data": {"values": bins}, "mark": {"type": "line", "color": _MAIN, "strokeWidth": 1.5}}
    return _draw(
        {
            "height": 270,
            "encoding": {
                "x": _axis("confidence", "probability of the answer", **unit),
                "y": _axis("accuracy", "share that is right", **unit),
            },
            "layer": [diagonal, joined, measured],
        }
    )
