"""Accessibility as axe sees it."""

from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page

SOURCE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
RUN = """async (only) => {
  const found = await axe.run(document, { runOnly: only, resultTypes: ['violations'] });
  const sentence = (rule, node) => `${rule}: ${node.target.join(' ')} ${node.any[0]?.message ?? ''}`;
  return found.violations.flatMap((rule) => rule.nodes.map((node) => sentence(rule.id, node)));
}"""


def violations(page: Page, *, only_colours: bool = False) -> list[str]:
    """Return one sentence for each element of the page that keeps somebody out."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(SOURCE)  # evaluated, not inserted: the policy of the page forbids the latter
    return page.evaluate(RUN, COLOURS if only_colours else TAGS)
