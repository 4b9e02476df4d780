"""Pages that work without scripts, print and read on a phone: what those of all services share."""

from __future__ import annotations

from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined


def page_templates(folder: Path) -> Environment:
    """The templates of a service, which extend `base.html`."""
    loaders = [FileSystemLoader(folder), FileSystemLoader(Path(__file__).parent)]
    return Environment(
        loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )
