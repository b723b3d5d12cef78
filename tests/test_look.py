"""The look keeps its promises: contrast of every token in both themes, weight, vendored files."""

import gzip
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MCC = ROOT / "static" / "mcc"
VENDOR = ROOT / "static" / "vendor"
HUES = ("blue", "green", "amber", "red", "violet", "teal")
SURFACES = ("canvas", "surface", "raised", "sunken", "hover")

Oklab = tuple[float, float, float]


def tokens(theme: str) -> dict[str, Oklab]:
    """Read the colours of one theme from tokens.css, as OKLab."""
    css = (MCC / "tokens.css").read_text()
    found = {}
    for name, light, dark in re.findall(r"--([a-z0-9-]+): light-dark\((oklch\([^)]*\)), (oklch\([^)]*\))\)", css):
        found[name] = oklab(light if theme == "light" else dark)
    return found


def oklab(colour: str) -> Oklab:
    lightness, chroma, hue = re.findall(r"[\d.]+", colour)[:3]
    angle = math.radians(float(hue))
    return float(lightness) / 100, float(chroma) * math.cos(angle), float(chroma) * math.sin(angle)


def luminance(colour: Oklab) -> float:
    """OKLab to linear sRGB, clipped to what a screen shows: https://bottosson.github.io/posts/oklab/"""
    lightness, a, b = colour
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    red, green, blue = (min(max(each, 0), 1) for each in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Oklab, other: Oklab) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(part: float, colour: Oklab, ground: Oklab) -> Oklab:
    """``color-mix(in oklab, colour part, ground)``"""
    return tuple(part * one + (1 - part) * other for one, other in zip(colour, ground, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_on_every_surface(theme):
    colours = tokens(theme)
    pairs = {
        (text, on): contrast(colours[text], colours[on]) for text in ("text", "text-2", "text-3") for on in SURFACES
    }
    pairs |= {(text, "press"): contrast(colours[text], colours["press"]) for text in ("text", "text-2", "text-3")}
    for hue in HUES:
        text, tint = colours[f"{hue}-t"], mix(0.14, colours[hue], colours["surface"])
        pairs |= {(f"{hue}-t", on): contrast(text, colours[on]) for on in ("surface", "canvas", "hover")}
        pairs[f"{hue}-t", "its tint"] = contrast(text, tint)
    pairs["on-ink", "ink"] = contrast(colours["on-ink"], colours["ink"])

    assert {pair: round(ratio, 2) for pair, ratio in pairs.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_dot_bar_and_border_can_be_seen(theme):
    colours = tokens(theme)
    parts = (*HUES, "grey", "c1", "c2", "c3", "c4", "c5", "c6", "line-ctl")

    faint = {part: round(contrast(colours[part], colours["surface"]), 2) for part in parts}

    assert {part: ratio for part, ratio in faint.items() if ratio < 3} == {}
    assert contrast(colours["line-ctl"], colours["canvas"]) >= 3
    assert contrast(colours["blue"], colours["canvas"]) >= 3, "the focus ring"


def test_no_text_is_faded():
    """Opacity lowers contrast where no checker sees it. Things may appear and vanish, in animations they may blink."""
    css = re.sub(r"@keyframes \w+ \{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", (MCC / "mcc.css").read_text())

    assert set(re.findall(r"opacity: ([\d.]+)", css)) <= {"0", "1"}


def weight(*paths: Path) -> int:
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)


def test_a_page_is_light():
    scripts = [*(MCC / "js").glob("*.js"), VENDOR / "htmx/htmx.min.js", VENDOR / "htmx/hx-ws.min.js"]

    assert weight(MCC / "tokens.css", MCC / "mcc.css") <= 15 * 1024
    assert weight(*scripts) <= 40 * 1024


def test_vendored_files_are_what_the_manifest_says():
    command = [sys.executable, ROOT / "tools" / "vendor_assets.py", "--check"]

    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


def test_every_icon_of_a_template_exists():
    icons = json.loads((VENDOR / "icons" / "icons.json").read_text())
    names = {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r"{% icon [\"']([a-z0-9-]+)[\"']", path.read_text())
    }

    assert sorted(names - set(icons)) == []
