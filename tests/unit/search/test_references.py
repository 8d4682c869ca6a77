"""The rows a filter names, and the filter without those its owner may not see."""

from command_center.ids import encode
from command_center.search.filter_ast import NO_KEY
from command_center.search.parser import parse_filter
from command_center.search.references import IdReference, id_references, keep_visible_ids

RAW = {
    "sender": [encode("User", 1)],
    "personGroup": [encode("Group", 1), encode("Group", 2)],
    "any": [{"campaign": [encode("Campaign", 1), "gone"]}, {"not": {"all": [{"bulkSend": [encode("BulkSend", 4)]}]}}],
}


def test_every_id_is_named_with_its_noun_and_place() -> None:
    assert sorted(id_references(parse_filter(RAW)), key=lambda named: named.path) == [
        IdReference("Campaign", 1, ("any", "0", "campaign", "0")),
        IdReference("Campaign", NO_KEY, ("any", "0", "campaign", "1")),
        IdReference("BulkSend", 4, ("any", "1", "not", "all", "0", "bulkSend", "0")),
        IdReference("Group", 1, ("personGroup", "0")),
        IdReference("Group", 2, ("personGroup", "1")),
        IdReference("User", 1, ("sender", "0")),
    ]


def test_invisible_ids_are_dropped_everywhere_and_match_nothing() -> None:
    kept = keep_visible_ids(parse_filter(RAW), {"User": {1}, "Group": {2}, "Campaign": {7}})
    assert kept == parse_filter(
        {
            "sender": [encode("User", 1)],
            "personGroup": [encode("Group", 2)],
            "any": [{"campaign": []}, {"not": {"all": [{"bulkSend": []}]}}],
        }
    )
