import pytest

from services.gateway.http.conditions import check_version, is_known
from shared.vocabulary.faults import BadRequest, PreconditionFailed


@pytest.mark.parametrize("if_match", [None, '"3"', "*", " * ", '"1", "3"', '"1","3"', '"a,b", "3"', "3", 'W/"1", "3"'])
def test_the_version_that_was_seen_may_be_changed(if_match: str | None) -> None:
    check_version(if_match, 3)


@pytest.mark.parametrize("if_match", ['"2"', 'W/"3"', '""', '"33"', '"a,3"'])
def test_another_version_may_not(if_match: str) -> None:
    with pytest.raises(PreconditionFailed, match="version is 3"):
        check_version(if_match, 3)


@pytest.mark.parametrize("if_match", ["", ",", "three", '"3', '3"', '"3" "4"', 'w/"3"', '*, "3"', '"\x7f"'])
def test_what_is_no_list_of_entity_tags_is_told(if_match: str) -> None:
    with pytest.raises(BadRequest):
        check_version(if_match, 3)


@pytest.mark.parametrize("given", [b'"3"', b'W/"3"', b"*", b'"1", W/"3"'])
def test_weak_and_strong_tags_are_known_alike(given: bytes) -> None:
    assert is_known([given], b'"3"')
    assert is_known([given], b'W/"3"')


@pytest.mark.parametrize("given", [[b'"2"'], [b"nonsense"], [b""], [b'"3'], [b'"2"', b'"33"']])
def test_another_tag_and_nonsense_are_not_known(given: list[bytes]) -> None:
    assert not is_known(given, b'"3"')
