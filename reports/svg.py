"""Charts as inline SVG: scales, axes and a few marks; colours come from the page's style sheet by class."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reports.escape import as_html

WIDTH, HEIGHT = 520, 230  # two charts side by side on a desktop; one fills a phone, with larger letters
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 34
Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values `low` to `high` onto pixels `start` to `end`; `log` by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (self._of(one) for one in (self.low, self.high, value))
        span = high - low
        part = (value - low) / span if span else 0.5
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.log else value


def nice(low: float, high: float, most: int = 5) -> list[float]:
    """Round values from `low` to `high`, at most about `most`, at steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 9) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten within `low` to `high`, with 2 and 5 between where there are few of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = math.log10(high / low) > 3
    values = [10.0**power * factor for power in powers for factor in ((1,) if wide else (1, 2, 5))]
    return [value for value in values if low <= value * 1.0001 and value <= high * 1.0001]


def short(value: float) -> str:
    """A number for an axis: 1,500 as 1.5k, without needless zeros."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def clock(seconds: float) -> str:
    """A time on the run's clock: 12.5 s, 3:20, 1:02:00."""
    if seconds < 120:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class Chart:
    """A plot area with axes; marks are added in the order in which they are painted.

    `title` is its accessible name, `says` what it shows in a sentence: both are read aloud.
    """

    title: str
    says: str
    x: Scale
    y: Scale
    width: int = WIDTH
    height: int = HEIGHT
    marks: list[str] = field(default_factory=list)

    def x_axis(self, values: Iterable[float], name: str, told: Callable[[float], str] = short) -> None:
        """Ticks and their labels below the plot, with the axis' name at its right end."""
        base = max(self.y.start, self.y.end)
        for value in values:
            at = round(self.x(value), 1)
            self.marks.append(f'<path class="grid" d="M{at} {base}V{min(self.y.start, self.y.end)}"/>')
            side = "end" if at + 4.5 * len(told(value)) > self.width else "middle"
            self.marks.append(f'<text class="tick" x="{at}" y="{base + 15}" text-anchor="{side}">{told(value)}</text>')
        self.marks.append(
            f'<text class="axis" x="{self.x.end}" y="{base + 30}" text-anchor="end">{as_html(name)}</text>'
        )

    def y_axis(self, values: Iterable[float], name: str, told: Callable[[float], str] = short) -> None:
        """Lines across the plot, labelled at its left, with the axis' name at the top."""
        for value in values:
            at = round(self.y(value), 1)
            self.marks.append(f'<path class="grid" d="M{self.x.start} {at}H{self.x.end}"/>')
            self.marks.append(
                f'<text class="tick" x="{self.x.start - 7}" y="{at + 3.5}" text-anchor="end">{told(value)}</text>'
            )
        self.marks.append(f'<text class="axis" x="0" y="{self.y.end - 4}">{as_html(name)}</text>')

    def line(self, points: Sequence[Point], style: str) -> None:
        """A line through the points; a single one is drawn as a dot."""
        if len(points) == 1:
            (x, y) = points[0]
            self.dot(x, y, style)
        elif points:
            self.marks.append(f'<path class="line {style}" d="{self._through(points)}"/>')

    def dot(self, x: float, y: float, style: str) -> None:
        """A dot at a point."""
        self.marks.append(f'<circle class="dot {style}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3"/>')

    def area(self, points: Sequence[Point], style: str) -> None:
        """The area between the points and the base line."""
        if points:
            base = f"{self.y.start:.1f}"
            first, last = self.x(points[0][0]), self.x(points[-1][0])
            self.marks.append(
                f'<path class="area {style}" d="{self._through(points)}L{last:.1f} {base}L{first:.1f} {base}Z"/>'
            )

    def bar(self, low: float, high: float, value: float, style: str, base: float = 0.0, gap: float = 1.0) -> None:
        """A bar from `low` to `high` on the x axis, from `base` to `value` on the y axis."""
        left, right = self.x(low) + gap, self.x(high) - gap
        top, bottom = self.y(value), self.y(base)
        if bottom - top > 0.05:
            self.marks.append(
                f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.8):.1f}" '
                f'height="{max(bottom - top, 0.8):.1f}"/>'
            )

    def strip(self, place: int, low: float, high: float, style: str) -> None:
        """A bar that lies on its side in row `place`, from `low` to `high` on the x axis."""
        left, right = self.x(low), self.x(high)
        top, bottom = self.y(place) + 3, self.y(place + 1) - 3
        if right - left > 0.05:
            self.marks.append(
                f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                f'height="{bottom - top:.1f}"/>'
            )

    def cells(self, boxes: Iterable[tuple[float, float, float, float]], style: str) -> None:
        """Many boxes (x from, x to, y from, y to) of one style as one path."""
        parts = []
        for low, high, under, over in boxes:
            left, right, bottom, top = self.x(low), self.x(high), self.y(under), self.y(over)
            parts.append(f"M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}Z")
        if parts:
            self.marks.append(f'<path class="{style}" d="{"".join(parts)}"/>')

    def across(self, value: float, label: str, style: str = "bound") -> None:
        """A line across the plot with a label above it, such as a limit."""
        at = round(self.y(value), 1)
        self.marks.append(f'<path class="line {style}" d="M{self.x.start} {at}H{self.x.end}"/>')
        self.marks.append(
            f'<text class="note {style}" x="{self.x.end}" y="{at - 5}" text-anchor="end">{as_html(label)}</text>'
        )

    def text(self, x: float, y: float, label: str, style: str = "note", anchor: str = "start") -> None:
        """A label at pixels `x`, `y`."""
        self.marks.append(
            f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{as_html(label)}</text>'
        )

    def _through(self, points: Sequence[Point]) -> str:
        return "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)

    def svg(self) -> str:
        """The chart as an SVG element that scales with the page."""
        style = "chart wide" if self.width > WIDTH else "chart"
        name = as_html(f"{self.title}. {self.says}", 600)
        return (
            f'<svg class="{style}" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{name}">'
            f"{''.join(self.marks)}</svg>"
        )


def x_scale(low: float, high: float, *, log: bool = False, width: int = WIDTH) -> Scale:
    """A scale over the plot's width."""
    return Scale(low, high if high > low else low + 1, LEFT, width - RIGHT, log)


def y_scale(low: float, high: float, *, log: bool = False, height: int = HEIGHT) -> Scale:
    """A scale over the plot's height, upwards."""
    return Scale(low, high if high > low else low + 1, height - BOTTOM, TOP + 8, log)


LEGEND: Final = '<span class="key"><i class="swatch {style}"></i>{name}</span>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """A legend above a chart: (class, name) pairs."""
    return '<p class="legend">' + "".join(LEGEND.format(style=s, name=as_html(n)) for s, n in entries) + "</p>"
