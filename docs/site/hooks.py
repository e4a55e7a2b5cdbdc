"""What mkdocs does not do by itself: pages for each room's docstrings, and links from a document to
files outside docs/.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "eacl_jax"
# From what a user imports to what only commands do; rooms that are not named follow.
ORDER = (
    "recognizer",
    "corpora",
    "data",
    "encoders",
    "model",
    "training",
    "studies",
    "export",
    "bulk",
    "serving",
    "reports",
    "cli",
)
# Documents at the top that are pages of the site.
PAGES = ("BUILD_NOTES.md", "CHANGELOG.md", "CONTRIBUTING.md")
_LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")


def rooms() -> list[str]:
    """Folders of the package, in the order of the reference."""
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def modules(folder: Path) -> list[str]:
    """Dotted names of public modules below a folder: a package, its namesake, then the others."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in folder.rglob("*.py")]
    parts = [path.parts[:-1] if path.name == "__init__" else path.parts for path in paths]
    public = [names for names in parts if not any(name.startswith("_") for name in names)]
    public.sort(key=lambda names: (*names[:-1], "") if names[-1] == names[-2] else names)
    return [".".join(names) for names in public]


def reference(title: str, names: list[str]) -> str:
    """A page of the docstrings of some modules."""
    return f"# {title}\n\n" + "\n".join(
        f"::: {name}\n    options:\n      show_submodules: false\n" for name in names
    )


def on_config(config: Any) -> Any:
    """Lists the reference's pages."""
    pages = ["reference/ground.md", *(f"reference/{room}.md" for room in rooms())]
    config.nav = [
        {"Reference": pages} if item == {"Reference": []} else item for item in config.nav
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the reference, and what the documents link to outside docs/."""
    ground = [
        "eacl_jax",
        *(
            f"eacl_jax.{path.stem}"
            for path in sorted(PACKAGE.glob("*.py"))
            if path.stem != "__init__"
        ),
    ]
    files.append(
        File.generated(config, "reference/ground.md", content=reference("eacl_jax", ground))
    )
    for room in rooms():
        page = reference(f"eacl_jax.{room}", modules(PACKAGE / room))
        files.append(File.generated(config, f"reference/{room}.md", content=page))
    for name in PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    pages = list(files.documentation_pages())
    for page in pages:  # grows: what is added may link to more
        for link in _LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, link)
            if (
                path
                and not path.startswith("docs/")
                and path not in files.src_uris
                and (ROOT / path).is_file()
            ):
                file = File.generated(config, path, abs_src_path=str(ROOT / path))
                file.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(file)
                if file.is_documentation_page():
                    pages.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they hold in the repository become links as they hold in the site."""

    def rewritten(match: re.Match[str]) -> str:
        path = _in_repository(page.file.src_uri, match[0])
        if not path:
            return match[0]
        target = path.removeprefix("docs/") + match[0][len(match[0].partition("#")[0]) :]
        return relpath(target, str(PurePosixPath(page.file.src_uri).parent))

    return _LINK.sub(rewritten, markdown)


def _in_repository(page: str, link: str) -> str:
    """The file that a relative link of a page means, from the repository's root; "" for other
    links.
    """
    path, _, _ = link.partition("#")
    if not path or ":" in path:
        return ""
    folder = PurePosixPath(f"docs/{page}" if (ROOT / "docs" / page).exists() else page).parent
    return normpath(str(folder / path))
