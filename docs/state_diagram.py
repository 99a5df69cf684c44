"""Draws a trial's life from the code's own transition table: `python docs/state_diagram.py` updates ARCHITECTURE.md."""

from pathlib import Path

from tunesmith.core.trial import NEW_TRIAL, TRANSITIONS, Status

BEGIN, END = "<!-- state diagram: begin -->", "<!-- state diagram: end -->"


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (status, event), target in TRANSITIONS.items():
        source = "[*]" if status == NEW_TRIAL else str(status)
        edges.setdefault((source, str(target)), []).append(event.__name__)
    lines = [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in edges.items()]
    lines += [f"    {status} --> [*]" for status in Status if status.is_final]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def updated(text: str) -> str:
    """Return a page with the diagram between its two marks drawn anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


if __name__ == "__main__":
    page = Path(__file__).parents[1] / "ARCHITECTURE.md"
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
