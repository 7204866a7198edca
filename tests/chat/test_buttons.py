import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.chat.buttons import (
    Button,
    Press,
    again_button,
    callback_data,
    cancel_button,
    original_button,
    read_keyboard,
    read_press,
    resend_button,
    written_keyboard,
)
from runtime.chat.texts import languages

ids = st.integers(0, 2**63 - 1)


@given(st.sampled_from(["again", "orig", "cancel", "send"]), ids)
def test_a_press_is_read_back_as_it_was_written(action, subject):
    data = callback_data(action, subject)
    assert len(data.encode()) <= 64
    assert read_press(data) == Press(action, subject)


@given(st.text())
def test_anything_else_is_no_press_of_ours(data):
    press = read_press(data)
    assert press is None or callback_data(press.action, press.id).lstrip() == data or data.partition(":")[2][0] == "0"


@pytest.mark.parametrize(
    "data",
    ["", "again", "again:", "again:x", "again:-1", "again:1 ", "again:1\n", "AGAIN:1", "again:²", f"again:{2**63}"],
)
def test_forged_data_is_refused(data):
    assert read_press(data) is None


@pytest.mark.parametrize(("text", "data"), [("", "again:1"), (" ", "again:1"), ("x", ""), ("x", "é" * 33)])
def test_a_button_that_telegram_would_refuse_cannot_be_made(text, data):
    with pytest.raises(ValueError, match=r"button|bytes"):
        Button(text, data)


@pytest.mark.parametrize("language", languages())
@given(subject=ids)
def test_every_button_fits_in_every_language(language, subject):
    for keyboard in (
        ((again_button(subject, language), original_button(subject, language)),),
        cancel_button(subject, language),
        resend_button(subject, language),
    ):
        assert read_keyboard(written_keyboard(keyboard)) == keyboard
