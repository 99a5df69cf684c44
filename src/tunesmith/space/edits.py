"""What is different between the spaces of two sessions: a description for the journal, and sentences for people.

A description is JSON that says of each place of a space what may stand there. Functions of `spec` are only said to be
there: whether two of them do the same nobody can tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .composites import Composite
from .domains import Categorical, Float, Integer, Normal
from .objects import cut, label
from .space import Space
from .tree import Composed, Computed, Conditional, Constant, Draw, Fields, Node, Object, Options

Description = dict[str, Any]
LONGEST_TEXT = 200


def description(space: Space) -> Description:
    """Return what a session writes down of its space, as JSON."""
    return _described(space.root)


def _described(node: Node) -> Description:
    match node:
        case Constant():
            return {"constant": node.value}
        case Object():
            return {"constant": cut(label(node.value), LONGEST_TEXT), "object": True}
        case Options():
            options = [_described(option) for option in node.options]
            found: Description = {"options": options, "text": _text(node.domain)}
            preferred = node.domain.preferred if isinstance(node.domain, Categorical) else None
            return found if preferred is None else {**found, "prior": _words(options[preferred])}
        case Fields(is_list=True):
            return {"fields": {str(key): _described(child) for key, child in node.children.items()}, "list": True}
        case Fields():
            return {"fields": {key: _described(child) for key, child in node.children.items()}}
        case Computed():
            return {"computed": True}
        case Conditional():
            branches = {"when": node.test.gist, "then": _described(node.then)}
            return branches if node.otherwise is None else {**branches, "otherwise": _described(node.otherwise)}
        case Draw() | Composed():
            return _described_domain(node.domain)


def _described_domain(domain: Float | Integer | Normal | Composite) -> Description:
    found: Description = {"domain": type(domain).__name__, "text": _text(domain)}
    if isinstance(domain, Float | Integer):
        found |= {"low": domain.low, "high": domain.high, "log": domain.log, "step": domain.step, "prior": domain.prior}
    return {name: value for name, value in found.items() if value is not None}


def _text(domain: object) -> str:
    return cut(repr(domain), LONGEST_TEXT)


def constants(described: Mapping[str, Any], where: str = "") -> set[str]:
    """Return the places, as paths in a config, where a description has the same value for all trials."""
    if "constant" in described:
        return {where}
    found: set[str] = set()
    for key, child in described.get("fields", {}).items():
        found |= constants(child, f"{where}/{key}" if where else key)
    return found


def summary(described: Mapping[str, Any], where: str = "") -> list[str]:
    """Return a description as text for people: what is searched, then what is the same for all trials."""
    lines = _summary(described, where)
    return [text for is_searched in (True, False) for searched, text in lines if searched is is_searched]


def _summary(described: Mapping[str, Any], where: str) -> list[tuple[bool, str]]:
    if "fields" in described:
        children = described["fields"].items()
        return [line for key, child in children for line in _summary(child, f"{where}/{key}" if where else key)]
    return [("constant" not in described, f"{where}: {_words(described)}")]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each difference between two descriptions, in the new space's order."""
    return list(_changes(before, after, ""))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[str]:
    if before == after:
        return
    if "fields" in before and "fields" in after and before.get("list") == after.get("list"):
        yield from _changed_fields(before["fields"], after["fields"], where)
    elif "when" in before and "when" in after:
        yield from _changed_condition(before, after, where)
    elif "options" in before and "options" in after:
        yield from _changed_options(before, after, where)
    elif "constant" in before and "constant" in after:
        yield (
            f"{where}: was {_shown(before)} and is now {_shown(after)} for all; losses of earlier trials may not "
            "compare with those to come"
        )
    elif "domain" in before and "domain" in after:
        yield f"{where}: {_moved(before, after)}"
    else:
        yield f"{where}: was {_words(before)}, is now {_words(after)}"


def _changed_fields(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, child in after.items():
        place = f"{where}/{key}" if where else key
        if key in before:
            yield from _changes(before[key], child, place)
        else:
            yield f"{place}: new, {_words(child)}; {_earlier(child)}"
    for key, child in before.items():
        if key not in after:
            place = f"{where}/{key}" if where else key
            yield f"{place}: removed, was {_words(child)}; earlier trials count by what is left of their configs"


def _changed_condition(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[str]:
    if before["when"] != after["when"]:
        yield f"{where}: was there where {before['when']}, is now where {after['when']}"
    yield from _changes(before["then"], after["then"], where)
    if "otherwise" in before and "otherwise" in after:
        yield from _changes(before["otherwise"], after["otherwise"], f"{where} (otherwise)")
    elif before.get("otherwise") != after.get("otherwise"):
        old, new = (_words(one["otherwise"]) if "otherwise" in one else "absent" for one in (before, after))
        yield f"{where}: was {old} otherwise, is now {new}"


def _earlier(child: Mapping[str, Any]) -> str:
    """Return what earlier trials count as that had no such parameter."""
    if "constant" in child or "computed" in child:
        return "earlier trials count as if they had had it"
    if "prior" in child:
        return f"earlier trials count as {child['prior']} (its prior)"
    return "what earlier trials had there is unknown, and they count as any value"


def _changed_options(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[str]:
    old, new = _by_signature(before["options"]), _by_signature(after["options"])
    added = [_words(option) for signature, option in new.items() if signature not in old]
    removed = [_words(option) for signature, option in old.items() if signature not in new]
    if not set(old) & set(new) or before["text"].partition("(")[0] != after["text"].partition("(")[0]:
        yield f"{where}: was {before['text']}, is now {after['text']}"
        return
    if added:
        yield f"{where}: {', '.join(added)} added"
    if removed:
        yield f"{where}: {', '.join(removed)} removed"
    for signature, option in new.items():
        if signature in old:
            yield from _changes(old[signature], option, where)
    if not added and not removed and before["text"] != after["text"] and list(old) == list(new):
        # The same values with other weights or another prior.
        same_inside = all(old[signature] == option for signature, option in new.items())
        if same_inside:
            yield f"{where}: changed from {before['text']} to {after['text']}"


def _by_signature(options: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return options by what they go by in two versions of a choice: a value, or a dict's keys and constants."""
    found: dict[str, Mapping[str, Any]] = {}
    for option in options:
        signature = _signature(option)
        if signature in found:
            signature = f"{signature} {len(found)}"
        found[signature] = option
    return found


def _signature(option: Mapping[str, Any]) -> str:
    if "fields" not in option:
        return json.dumps(option, sort_keys=True, default=str)
    fixed = {key: child["constant"] for key, child in option["fields"].items() if "constant" in child}
    return json.dumps(fixed or sorted(option["fields"]), sort_keys=True, default=str)


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return how one range became another."""
    old, new = before["text"], after["text"]
    are_alike = before["domain"] == after["domain"] and before.get("step") == after.get("step")
    if not are_alike or "low" not in before or "low" not in after:
        return f"changed from {old} to {new}"
    (low, high), (new_low, new_high) = (before["low"], before["high"]), (after["low"], after["high"])
    if (low, high) == (new_low, new_high):
        return f"changed from {old} to {new}"
    if new_low <= low and high <= new_high:
        return f"widened from {old} to {new}"
    if low <= new_low and new_high <= high:
        return f"narrowed from {old} to {new}"
    return f"moved from {old} to {new}"


def _words(described: Mapping[str, Any]) -> str:
    if "constant" in described:
        return _shown(described)
    if "computed" in described:
        return "a function"
    if "when" in described:
        return f"{_words(described['then'])} where {described['when']}"
    if "fields" in described:
        inside = described["fields"]
        if described.get("list"):
            return cut(f"[{', '.join(_words(child) for child in inside.values())}]", LONGEST_TEXT)
        return cut("{" + ", ".join(f"{key!r}: {_words(child)}" for key, child in inside.items()) + "}", LONGEST_TEXT)
    return str(described["text"])


def _shown(described: Mapping[str, Any]) -> str:
    return str(described["constant"]) if described.get("object") else label(described["constant"])
