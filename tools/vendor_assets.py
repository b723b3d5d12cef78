#!/usr/bin/env python3
"""Refresh static/vendor from pinned npm packages. Node is needed only here, never to build or run MCC.

python tools/vendor_assets.py            fetch, verify, copy, write VENDOR.json
python tools/vendor_assets.py --check    offline: every file is what VENDOR.json says, and no other is there
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent / "static" / "vendor"
MANIFEST = ROOT / "VENDOR.json"

PACKAGES = {
    # name: (version, {file in the package: file in static/vendor})
    "htmx.org": (
        "4.0.1",
        {
            "dist/htmx.min.js": "htmx/htmx.min.js",
            "dist/ext/hx-ws.min.js": "htmx/hx-ws.min.js",
            "dist/ext/hx-preload.min.js": "htmx/hx-preload.min.js",
            "LICENSE": "htmx/LICENSE",
        },
    ),
    "sortablejs": ("1.15.7", {"Sortable.min.js": "sortable/Sortable.min.js", "LICENSE": "sortable/LICENSE"}),
    "@github/text-expander-element": (
        "2.9.4",
        {"dist/bundle.js": "text-expander/text-expander.js", "LICENSE": "text-expander/LICENSE"},
    ),
    "@fontsource-variable/geist": (
        "5.3.0",
        {
            "files/geist-latin-wght-normal.woff2": "fonts/geist-latin.woff2",
            "files/geist-latin-ext-wght-normal.woff2": "fonts/geist-latin-ext.woff2",
            "LICENSE": "fonts/LICENSE-geist",
        },
    ),
    "@fontsource-variable/geist-mono": (
        "5.3.0",
        {
            "files/geist-mono-latin-wght-normal.woff2": "fonts/geist-mono-latin.woff2",
            "LICENSE": "fonts/LICENSE-geist-mono",
        },
    ),
    "lucide-static": ("1.62.0", {"LICENSE": "icons/LICENSE"}),
}
ICON_PACKAGE, ICON_FILE = "lucide-static", "icons/icons.json"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check() -> str:
    """Return what is wrong with static/vendor, or an empty string."""
    known = json.loads(MANIFEST.read_text())["files"]
    present = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()} - {MANIFEST.name}
    wrong = [
        name for name in known if name not in present or digest((ROOT / name).read_bytes()) != known[name]["sha256"]
    ]
    stray = sorted(present - set(known))
    problems = [f"changed or missing: {', '.join(wrong)}"] if wrong else []
    problems += [f"not in VENDOR.json: {', '.join(stray)}"] if stray else []
    return "; ".join(problems)


def refresh() -> None:
    """Download every package, verify it against the registry's integrity hash, copy the named files."""
    files: dict[str, dict[str, Any]] = {}
    packages: dict[str, dict[str, Any]] = {}
    for name, (version, wanted) in PACKAGES.items():
        packages[name], contents = fetch(name, version, wanted)
        for target, content in contents.items():
            (ROOT / target).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / target).write_bytes(content)
            files[target] = {"package": name, "sha256": digest(content), "bytes": len(content)}
    MANIFEST.write_text(json.dumps({"packages": packages, "files": dict(sorted(files.items()))}, indent=1) + "\n")


def fetch(name: str, version: str, wanted: dict[str, str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what the manifest says about a package, and its wanted files by their new names."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{name}@{version}", "--json", "--pack-destination", folder]
        answer = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
        facts = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
        archive = next(Path(folder).glob("*.tgz"))
        algorithm, expected = facts["integrity"].split("-", 1)
        if base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode() != expected:
            sys.exit(f"{name} {version} is not what the registry says: integrity mismatch")
        with tarfile.open(archive) as tar:
            contents = {target: member(tar, source) for source, target in wanted.items()}
            if name == ICON_PACKAGE:
                contents[ICON_FILE] = icons(tar)
            licence = json.loads(member(tar, "package.json")).get("license")
    return {"version": version, "license": licence, "integrity": facts["integrity"]}, contents


def member(tar: tarfile.TarFile, path: str) -> bytes:
    file = tar.extractfile(f"package/{path}")
    if file is None:
        sys.exit(f"{path} is not in the package")
    return file.read()


def icons(tar: tarfile.TarFile) -> bytes:
    """Return the shapes of our icons as JSON: what stands between <svg> and </svg>, by name."""
    names = {*json.loads((ROOT / ICON_FILE).read_text()), *sys.argv[1:]}
    shapes = {}
    for name in names:
        inside = re.search(r"<svg[^>]*>(.*)</svg>", member(tar, f"icons/{name}.svg").decode(), re.DOTALL)
        assert inside, name
        shapes[name] = re.sub(r"\s+", " ", inside.group(1)).strip()
    return json.dumps(shapes, indent=0, sort_keys=True).encode()


if __name__ == "__main__":
    if "--check" not in sys.argv:
        refresh()
    if trouble := check():
        sys.exit(trouble)
    sys.stdout.write("static/vendor is what VENDOR.json says\n")
