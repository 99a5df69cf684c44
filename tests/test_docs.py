"""The pages say what the code does."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_state_diagram_is_the_transition_table():
    spec = importlib.util.spec_from_file_location("state_diagram", ROOT / "docs" / "state_diagram.py")
    state_diagram = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(state_diagram)
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

    assert page == state_diagram.updated(page)


PAGES = [
    "README.md",
    "docs/tutorial.md",
    "docs/from_ray_tune.md",
    "docs/own_scheduler.md",
    "docs/own_searcher.md",
    "docs/ask_and_tell.md",
    "docs/simulate.md",
    "docs/objectives_and_racing.md",
    "docs/pbt.md",
    "docs/checkpoints.md",
    "docs/schedulers.md",
    "docs/searchers.md",
    "docs/spaces.md",
    "docs/command_lines.md",
    "docs/parallel_trials.md",
    "docs/cluster.md",
    "docs/warm_start.md",
    "docs/changing_the_space.md",
    "docs/foreign_searchers.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_the_code_on_a_page_runs_from_top_to_bottom(tmp_path, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning:__main__"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_the_links_of_a_page_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")

    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
