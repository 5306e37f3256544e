"""Pictures of the demo's report, for the README: `python -m tests.testbed.pictures`, after `make demo`."""

import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from auditlib import folders

REPORT = folders.project() / "outputs" / "serveur" / "latest" / "rapport.html"
PICTURES = folders.project() / "parameters" / "demo"
WIDTH, HEIGHT = 1280, 860


def main() -> None:
    """Write `rapport.png` (the top of the page) and `graphe.png` (the graph of what is served)."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=quiet)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(REPORT.as_uri())
        page.screenshot(path=PICTURES / "rapport.png")
        page.locator("section#graphe figure img").first.screenshot(path=PICTURES / "graphe.png")
        browser.close()
    for name in ("rapport.png", "graphe.png"):
        _shrink(PICTURES / name)


def _shrink(picture: Path) -> None:
    """A palette is enough for text and flat shapes, at a third of the size."""
    Image.open(picture).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(picture, optimize=True)


if __name__ == "__main__":
    main()
