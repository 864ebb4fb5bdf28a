"""The YAML files that ship with the suite and go by their names: configurations of subjects, baselines."""

from __future__ import annotations

from importlib.resources import files


def shipped(*folder: str) -> dict[str, str]:
    """Return name, without its ending, and text of each file in a folder of the suite."""
    place = files("kit_conformance").joinpath(*folder)
    return {
        each.name.removesuffix(".yaml"): each.read_text("utf-8")
        for each in sorted(place.iterdir(), key=lambda one: one.name)
        if each.name.endswith(".yaml")
    }
