"""The rows a filter names, and the filter without those its owner may not see."""

from command_center.ids import encode
from command_center.search.filter_ast import NO_KEY
from command_center.search.parser import check
from command_center.search.references import NamedId, keep_ids, named_ids

RAW = {
    "sender": [encode("User", 1)],
    "personGroup": [encode("Group", 1), encode("Group", 2)],
    "any": [{"campaign": [encode("Campaign", 1), "gone"]}, {"not": {"all": [{"bulkSend": [encode("BulkSend", 4)]}]}}],
}


def test_every_id_is_named_with_its_noun_and_place() -> None:
    assert sorted(named_ids(check(RAW)), key=lambda named: named.path) == [
        NamedId("Campaign", 1, ("any", "0", "campaign", "0")),
        NamedId("Campaign", NO_KEY, ("any", "0", "campaign", "1")),
        NamedId("BulkSend", 4, ("any", "1", "not", "all", "0", "bulkSend", "0")),
        NamedId("Group", 1, ("personGroup", "0")),
        NamedId("Group", 2, ("personGroup", "1")),
        NamedId("User", 1, ("sender", "0")),
    ]


def test_ids_out_of_sight_are_dropped_at_any_depth_and_match_nothing() -> None:
    kept = keep_ids(check(RAW), {"User": {1}, "Group": {2}, "Campaign": {7}})
    assert kept == check(
        {
            "sender": [encode("User", 1)],
            "personGroup": [encode("Group", 2)],
            "any": [{"campaign": []}, {"not": {"all": [{"bulkSend": []}]}}],
        }
    )
