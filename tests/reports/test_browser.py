"""Reports in a real browser: nothing is logged or requested, nothing overflows, all is drawn, named and legible."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from reports import compare_forms, trend, write_reports
from reports.compare import compare
from reports.trend import read_trend
from tests.reports.browser import Browser, needs_chromium
from tests.reports.conftest import KINDS, Made
from tests.reports.test_compare import run

pytestmark = needs_chromium
PAGES = (*KINDS, "comparison", "trend")

# The size of every chart and of what is drawn in it, and which charts have nothing but axes.
CHARTS = """[...document.querySelectorAll('svg.chart')].map(svg => ({
  name: svg.getAttribute('aria-label'), width: svg.getBoundingClientRect().width,
  marks: [...svg.querySelectorAll('path:not(.grid),rect,circle')].filter(m => {
    const box = m.getBBox(); return box.width > 0 || box.height > 0 }).length,
  outside: [...svg.querySelectorAll('text')].filter(t => { const box = t.getBBox();
    return box.x < -1 || box.x + box.width > svg.viewBox.baseVal.width + 1 }).map(t => t.textContent) }))"""
# Elements that reach beyond the page, unless a box that scrolls by itself holds them.
WIDE = """[...document.querySelectorAll('body *')].filter(e => {
  if (e.closest('.scroll,.skip')) return false;
  const box = e.getBoundingClientRect(); return box.right > document.documentElement.clientWidth + 1 || box.left < -1
}).map(e => e.outerHTML.slice(0, 120))"""
OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"
# WCAG 2.1, 1.4.3: the contrast of every text with what is behind it.
CONTRAST = """(() => {
  const rgb = t => t.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = e => { for (let p = e; p; p = p.parentElement) { const c = rgb(getComputedStyle(p).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c } return [255, 255, 255] };
  const poor = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ['SCRIPT', 'STYLE', 'TITLE', 'title'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement;
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.set(e.tagName + '.' + e.getAttribute('class'), ratio.toFixed(2));
  }
  return [...poor] })()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture(scope="module")
def pages(runs: dict[str, Made]) -> dict[str, Path]:
    for made in runs.values():
        write_reports(made.path, made.summary)
    found = {kind: made.path / "report.html" for kind, made in runs.items()}
    comparison = compare([run(1)], [run(2, 1.1, verdicts={"idempotent-replay": "fail"})])
    rows, notes = read_trend(runs["passing"].path.parent)
    folder = runs["passing"].path.parent
    for name, page in (("comparison", compare_forms.html(comparison)), ("trend", trend.html(rows, notes))):
        found[name] = folder / f"{name}.html"
        found[name].write_text(page, encoding="utf-8")
    return found


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_logged_requested_or_too_wide(
    browser: Browser, pages: dict[str, Path], kind: str, width: int
) -> None:
    browser.open(pages[kind], width, phone=width == 360)
    browser.value(OPEN_ALL)
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value(WIDE) == []
    assert browser.complaints() == []
    assert browser.requests() == [pages[kind].resolve().as_uri()]


@pytest.mark.parametrize("kind", ["passing", "failing", "partial", "hostile", "comparison", "trend"])
@pytest.mark.parametrize("width", [360, 1440])
def test_charts_are_drawn_and_their_texts_are_inside(
    browser: Browser, pages: dict[str, Path], kind: str, width: int
) -> None:
    browser.open(pages[kind], width, phone=width == 360)
    charts = browser.value(CHARTS)
    assert len(charts) >= {"hostile": 3, "comparison": 1, "trend": 1}.get(kind, 6)
    for chart in charts:
        assert chart["marks"] > 0, chart
        assert 300 < chart["width"] <= (1060 if kind in ("comparison", "trend") else 560), chart
        assert chart["outside"] == [], chart


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", PAGES)
def test_every_text_can_be_read(browser: Browser, pages: dict[str, Path], kind: str, dark: bool) -> None:
    browser.open(pages[kind], dark=dark)
    browser.value(OPEN_ALL)
    assert browser.value(CONTRAST) == []


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_screen_reader_meets_has_a_name(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.open(pages[kind])
    browser.value(OPEN_ALL)
    nodes = [one for one in browser.call("Accessibility.getFullAXTree")["nodes"] if not one["ignored"]]
    roles = [(one["role"]["value"], one.get("name", {}).get("value", "")) for one in nodes]
    needed = {"image", "img", "link", "button", "region", "navigation", "table", "heading", "DisclosureTriangle"}
    assert [role for role, name in roles if role in needed and not name.strip()] == []
    assert [role for role, _ in roles].count("main") == 1
    levels = browser.value("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_lines_of_a_witness_are_no_columns_of_letters(browser: Browser, pages: dict[str, Path]) -> None:
    for kind in ("failing", "hostile"):
        for width in (360, 1440):
            browser.open(pages[kind], width, phone=width == 360)
            tall = "Math.max(...[...document.querySelectorAll('.timeline li')].map(e => e.offsetHeight))"
            assert browser.value(tall) < 160


def test_can_be_worked_by_keyboard(browser: Browser, pages: dict[str, Path], runs: dict[str, Made]) -> None:
    browser.open(pages["failing"])
    reached = []
    for _ in range(8):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        browser.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.value("document.activeElement.textContent.trim()"))
    glance = [rule["rule"] for rule in runs["failing"].summary["rules"] if rule["status"] == "fail"]
    assert reached[:4] == ["Skip to the results", *glance]
    assert reached[4:] == ["error_rate", "latency_p99", "ref-retention, settled-token", "Failures"]
    boxes = (
        "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0 && box.getAttribute('aria-label'))"
    )
    assert browser.value(boxes) is True


def test_a_link_to_something_folded_unfolds_it(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failing"])
    browser.value("document.querySelector('.rule-row p').id = 'here'")
    assert browser.value("document.getElementById('here').closest('details').open") is False
    browser.value("new Promise(done => { addEventListener('hashchange', () => done(1)); location.hash = '#here' })")
    assert browser.value("document.getElementById('here').closest('details').open") is True


def test_prints_with_everything_unfolded(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["failing"])
    browser.call("Page.printToPDF")
    assert browser.value("[...document.querySelectorAll('details')].every(one => one.open)") is True


def test_a_script_of_a_target_could_not_run(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    page = pages["passing"].read_text(encoding="utf-8")
    broken.write_text(
        page.replace("<main", "<script>window.owned = 1</script><img src='http://127.0.0.1:9/x'><main", 1)
    )
    browser.open(broken)
    assert browser.value("window.owned") is None
    assert len(browser.complaints()) >= 2  # this is also what shows that complaints are seen
