"""Describes a filter in English.

The description is a list's summary, or explains single leaves.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, assert_never

from command_center.search import datetimes
from command_center.search.filter_ast import (
    All,
    AnyOf,
    Dates,
    EngagementCondition,
    EngagementConditions,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    IdsField,
    Leaf,
    Not,
    Part,
    SendKinds,
    Success,
    Text,
    TextTest,
)
from command_center.search.references import NOUNS
from command_center.search.scope import without_scope
from models.enums import EngagementKind, EngagementVerdict

Names: TypeAlias = Mapping[tuple[str, int], str]
"""The name of a row by noun and key."""

INVISIBLE = "something not visible"
"""Replaces the name of a row that the viewer may not see."""
_REFERENCE_PHRASES: Mapping[IdsField, str] = {
    "sender": "from {}",
    "person": "to {}",
    "personGroup": "to people in group {}",
    "campaign": "in campaign {}",
    "template": "made from template {}",
    "bulkSend": "part of {}",
}
_QUOTED = frozenset({"personGroup", "campaign", "template", "bulkSend"})
EVENT_WORDS = {
    EngagementKind.VIEW: ("view", "views"),
    EngagementKind.CLICK: ("click", "clicks"),
    EngagementKind.REPLY: ("reply", "replies"),
}
_ACTORS = {
    EngagementVerdict.HUMAN: "a person",
    EngagementVerdict.MACHINE: "a machine",
    EngagementVerdict.SELF: "the sender",
}


def describe_filter(filter: Filter, names: Names) -> str:
    """Return one English sentence that describes the whole filter.

    It begins with the senders. A row without an entry in `names` is described as invisible.
    """
    phrases = [phrase for part in without_scope(filter).parts for phrase in _phrases(part, names)]
    return ", ".join([_range(filter, names), *phrases]) + "."


def describe_leaf(leaf: Leaf, names: Names) -> str:
    """Return a phrase for one leaf that can follow the word "emails"."""
    match leaf:
        case Folders(values) | FolderGroups(values):
            return f"in {_alternatives(enum_title(value.name) for value in values)}"
        case Ids():
            return _REFERENCE_PHRASES[leaf.field].format(_alternatives(_row_names(leaf, names)))
        case EverySender():
            return "from any sender"
        case SendKinds(values):
            return f"sent as {_alternatives(enum_title(value.name) for value in values)}"
        case Success(value):
            return "marked as a success" if value else "not marked as a success"
        case Text(field, test):
            return f"whose {field} {_test(test)}"
        case Dates():
            return _dates(leaf)
        case EngagementCondition():
            return f"with {_condition(leaf)}"
        case _:
            assert_never(leaf)


def describe_requirement(leaf: Leaf, names: Names) -> str:
    """Return an English phrase for what one leaf requires, to stand by itself.

    An example is "clicks by a person: at least 1".
    """
    if not isinstance(leaf, EngagementCondition):
        return describe_leaf(leaf, names)
    actors = f"by {_alternatives(_ACTORS[verdict] for verdict in leaf.verdicts)}"
    return f"{' '.join([EVENT_WORDS[leaf.kind][1], actors, *_circumstances(leaf)])}: {_bounds(leaf)}"


def _phrases(part: Part, names: Names) -> Iterator[str]:
    """Yield the English phrases that describe one part of a filter."""
    match part:
        case All(filters):
            every = "; ".join(_inner(branch, names) for branch in filters)
            yield f"all of ({every})" if filters else "whatever they are"
        case AnyOf(filters):
            some = " or ".join(_inner(branch, names) for branch in filters)
            yield f"either ({some})" if filters else "which none is"
        case Not(branch):
            yield f"not ({_inner(branch, names)})"
        case EngagementConditions(conditions):
            yield from (describe_leaf(condition, names) for condition in conditions)
        case _:
            yield describe_leaf(part, names)


def _inner(filter: Filter, names: Names) -> str:
    phrases = [phrase for part in filter.parts for phrase in _phrases(part, names)]
    return ", ".join(phrases) or "whatever they are"


def _range(filter: Filter, names: Names) -> str:
    """Return the beginning of a filter's description, such as "The owner's emails".

    It names the senders over whose emails the filter ranges.
    """
    for part in filter.parts:
        if isinstance(part, Ids) and part.field == "sender":
            return f"Emails {describe_leaf(part, names)}"
    if any(isinstance(part, EverySender) and part.value for part in filter.parts):
        return "Emails from any sender"
    return "The owner's emails"


def _row_names(leaf: Ids, names: Names) -> Iterator[str]:
    """Yield the names of the rows that a leaf refers to."""
    for key in leaf.ids:
        name = names.get((NOUNS[leaf.field], key))
        yield INVISIBLE if name is None else f"“{name}”" if leaf.field in _QUOTED else name


def _alternatives(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words)) or "none"


def enum_title(name: str) -> str:
    """Return the name of an enum member in words."""
    return name.replace("_", " ").title().replace(" And ", " and ")


def _test(test: TextTest) -> str:
    texts_by_verb = {
        "is": test.equals,
        "contains": test.contains,
        "starts with": test.starts_with,
        "ends with": test.ends_with,
    }
    return " and ".join(f"{verb} “{text}”" for verb, text in texts_by_verb.items() if text is not None) or "is anything"


def _dates(leaf: Dates) -> str:
    verb, bounds = leaf.field.removesuffix("At"), leaf.bounds
    texts_by_phrase = {
        "at or after {}": None if bounds.since is None else datetimes.format_moment(bounds.since),
        "before {}": None if bounds.until is None else datetimes.format_moment(bounds.until),
        ("within the next {}" if verb == "scheduled" else "within the last {}"): bounds.within and bounds.within.words,
        "more than {} ago": bounds.older_than and bounds.older_than.words,
    }
    limits = [limit.format(text) for limit, text in texts_by_phrase.items() if text]
    return f"{verb} {' and '.join(limits)}" if limits else f"{verb} at any time or never"


def _condition(condition: EngagementCondition) -> str:
    words = [_amount(condition)]
    if set(condition.verdicts) != {EngagementVerdict.HUMAN}:
        words.append(f"by {_alternatives(_ACTORS[verdict] for verdict in condition.verdicts)}")
    return " ".join([*words, *_circumstances(condition)])


def _circumstances(condition: EngagementCondition) -> Iterator[str]:
    """Yield English phrases for the link and the spans of an engagement condition."""
    if condition.url:
        yield f"on a link that {_test(condition.url)}"
    if condition.within:
        yield f"in the last {condition.within.words}"
    if condition.after_send:
        yield f"up to {condition.after_send.words} after it was sent"


def _amount(condition: EngagementCondition) -> str:
    """Return an English phrase for the number of events that a condition requires."""
    one, many = EVENT_WORDS[condition.kind]
    if condition.at_most == 0:
        return f"no {one}"
    if (condition.least, condition.at_most) == (0, None):
        return f"any number of {many}"
    last = condition.least if condition.at_most is None else condition.at_most
    return f"{_bounds(condition)} {one if last == 1 else many}"


def _bounds(condition: EngagementCondition) -> str:
    least, most = condition.least, condition.at_most
    if most is None:
        return f"at least {least}" if least else "any number"
    if most == 0:
        return "none"
    if least == 0:
        return f"at most {most}"
    return f"exactly {most}" if least == most else f"{least} to {most}"
