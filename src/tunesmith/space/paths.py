"""A place in a space, in the three ways it is written. Text only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Path:
    """A place in a space.

    `str(path)` is how Python would get there, for errors: `space['model'].choice[1]['depth']`.
    """

    text: str = "space"
    name: str = ""
    """Unlike that of every other place, options of a choice included: `model[1]/depth`. Draws and objects go by it."""
    key: str = ""
    """Where the value stands in a config: `model/depth`."""
    depth: int = 0

    def child(self, key: str | int) -> Path:
        """Return the path of a dict's or list's item."""
        return Path(
            f"{self.text}[{key!r}]",
            f"{self.name}/{key}" if self.name else str(key),
            f"{self.key}/{key}" if self.key else str(key),
            self.depth + 1,
        )

    def option(self, function: str, index: int) -> Path:
        """Return the path of a value of a `choice` or `grid_search`, which takes the place of the whole."""
        return Path(f"{self.text}.{function}[{index}]", f"{self.name}[{index}]", self.key, self.depth + 1)

    def branch(self, word: str) -> Path:
        """Return the path of what a condition stands for: `then` goes by the condition's own name."""
        above, nested = self.text, ""
        while above.endswith(".then"):
            above, nested = above.removesuffix(".then"), nested + "[then]"
        name = self.name if word == "then" else f"{self.name}{nested}[{word}]"
        return Path(f"{self.text}.{word}", name, self.key, self.depth + 1)

    def __str__(self) -> str:
        return self.text
