"""The pages say what the code does."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_state_diagram_is_the_transition_table():
    spec = importlib.util.spec_from_file_location("state_diagram", ROOT / "docs" / "state_diagram.py")
    state_diagram = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(state_diagram)
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

    assert page == state_diagram.updated(page)
