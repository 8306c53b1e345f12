from uuid import UUID, uuid4

import pytest

from shared.vocabulary.run_token import RunToken, make_run_token, read_run_token

KEY = b"0123456789-for-tests-only-abcdefghijkl"
RUN = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.mark.parametrize("step_id", ["call", "_", "a_b_c", "Notify_2", "notify[3]", "notify[99]", "x" * 64 + "[0]"])
def test_a_token_tells_its_run_and_its_step(step_id: str) -> None:
    assert read_run_token(KEY, make_run_token(KEY, RUN, step_id)) == RunToken(RUN, step_id)


def test_a_token_is_the_same_for_every_attempt() -> None:
    assert make_run_token(KEY, RUN, "call") == make_run_token(KEY, RUN, "call")


def test_a_token_can_stand_in_a_header() -> None:
    token = make_run_token(KEY, RUN, "notify[3]")
    assert token.startswith(f"paor_{RUN.hex}_notify.3_")
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.")


def test_steps_that_look_alike_have_tokens_of_their_own() -> None:
    ids = ["notify", "notify[1]", "notify_1", "notify[11]", "notify[01]"]
    assert len({make_run_token(KEY, RUN, step_id) for step_id in ids}) == len(ids)


def test_no_changed_character_passes() -> None:
    token = make_run_token(KEY, RUN, "notify[3]")
    for place, character in enumerate(token):
        other = "0" if character != "0" else "1"
        assert read_run_token(KEY, token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "paor_", "pao_x_y_z", "paor_" + "0" * 32 + "_call_" + "0" * 64, "paor_é", "\0"])
def test_what_nobody_made_is_refused(text: str) -> None:
    assert read_run_token(KEY, text) is None


def test_the_token_of_one_step_does_not_pass_for_another_nor_under_another_key() -> None:
    token = make_run_token(KEY, RUN, "call")
    mac = token.rpartition("_")[2]
    assert read_run_token(KEY, f"paor_{RUN.hex}_other_{mac}") is None
    assert read_run_token(KEY, f"paor_{uuid4().hex}_call_{mac}") is None
    assert read_run_token(KEY[::-1], token) is None


@pytest.mark.parametrize("step_id", ["", "3", "a b", "a[x]", "a[1][2]", "a\n", "a.b", "é", "a[-1]"])
def test_what_is_no_step_gets_no_token(step_id: str) -> None:
    with pytest.raises(ValueError, match="not the id of a step"):
        make_run_token(KEY, RUN, step_id)
