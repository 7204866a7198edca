"""The chat page looks and behaves like a chat, on a desktop."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto, Update

from runtime.sandbox.telegram import Chat, Fault, SandboxTelegram
from tests.browser.conftest import OpenPage
from tests.sandbox.telegram.samples import film, picture

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BUTTONS = InlineKeyboardMarkup(
    [[InlineKeyboardButton("Again", callback_data="again:1"), InlineKeyboardButton("Original", callback_data="orig:1")]]
)


async def type_message(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def test_an_empty_chat_invites_and_a_suggestion_is_sent_by_a_click(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    await page.get_by_role("button", name="/f an astronaut on a beach").click()
    sent = await chat.wait_for(lambda message: not message.from_bot)
    assert sent.text == "/f an astronaut on a beach"
    await expect(page.locator(".empty")).to_have_count(0)
    await expect(page.locator(".row.is-out .words")).to_contain_text("/f an astronaut on a beach")


async def test_a_command_becomes_a_picture_while_one_watches(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    progress = asyncio.Event()

    async def paint() -> None:
        updates: tuple[Update, ...] = ()
        while not updates:
            updates = await bot.get_updates(timeout=5)
        asked = updates[0].message
        assert asked is not None
        status = await asked.reply_text("queued", do_quote=True)
        await status.edit_text("62 %")
        await bot.send_chat_action(asked.chat_id, "upload_photo")
        await progress.wait()
        await status.delete()
        await asked.reply_photo(picture(512, 512), caption="an astronaut", reply_markup=BUTTONS, do_quote=True)

    painter = asyncio.create_task(paint())
    await type_message(page, "/f an astronaut")
    await expect(page.locator(".row:not(.is-out) .words")).to_contain_text("62 %")
    await expect(page.locator("#chat-status")).to_have_text("sending photo…")
    progress.set()
    await expect(page.locator(".media img")).to_be_visible()
    await painter

    await expect(page.get_by_text("62 %")).to_have_count(0)
    await expect(page.locator("#chat-status")).to_have_text("bot")
    await expect(page.locator(".quote")).to_contain_text("/f an astronaut")
    await expect(page.get_by_role("button", name="Again")).to_be_visible()


async def test_enter_sends_and_shift_enter_breaks_the_line(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    field = page.get_by_label("Message", exact=True)
    await field.click()
    await page.keyboard.type("first")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second")
    await page.keyboard.press("Enter")
    assert (await chat.wait_for(lambda message: not message.from_bot)).text == "first\nsecond"
    await expect(field).to_have_value("")


async def test_typing_a_slash_offers_commands_that_narrow_down(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    field, options = page.get_by_label("Message", exact=True), page.get_by_role("option")
    await field.press_sequentially("/f")
    await expect(options).to_have_count(2)
    await expect(field).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("ArrowDown")
    await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Tab")
    await expect(field).to_have_value("/flux ")
    await expect(page.get_by_role("listbox", name="Commands")).to_be_hidden()

    await field.fill("/he")
    await page.keyboard.press("Enter")
    await expect(field).to_have_value("/help ")
    await page.keyboard.press("Enter")
    assert (await chat.wait_for(lambda message: not message.from_bot)).text == "/help"


async def test_the_slash_button_opens_and_escape_closes_the_menu(bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    menu = page.get_by_role("listbox", name="Commands")
    await page.get_by_role("button", name="Commands").click()
    await expect(menu).to_contain_text("Edit a picture in words")
    await page.keyboard.press("Escape")
    await expect(menu).to_be_hidden()


async def test_the_menu_follows_the_bot(bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.set_my_commands([("wan", "Text to video")])
    await page.get_by_role("button", name="Commands").click()
    await expect(page.get_by_role("option")).to_have_text(["/wanText to video"])
    await bot.delete_my_commands()
    await expect(page.get_by_role("button", name="Commands")).to_be_hidden()


async def test_a_picture_opens_in_the_viewer_and_escape_closes_it(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_photo(chat.id, picture(800, 600), caption="sea")
    await page.get_by_role("button", name="Open photo: sea").click()
    viewer = page.get_by_role("dialog", name="Media viewer")
    await expect(viewer.get_by_role("img", name="sea")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(viewer).to_be_hidden()


async def test_a_picture_keeps_its_place_before_it_has_loaded(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_photo(chat.id, picture(800, 400))
    box = await page.locator(".media.is-single").bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(2.0, rel=0.02)


async def test_an_album_is_one_bubble_with_a_grid_one_can_walk_through(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    await bot.send_media_group(
        chat.id, [InputMediaPhoto(picture(600, 600, colour), caption=colour) for colour in ("red", "green", "blue")]
    )
    await expect(page.locator(".row")).to_have_count(1)
    cells = page.locator(".album .cell")
    await expect(cells).to_have_count(3)
    await cells.nth(1).get_by_role("button").click()
    await expect(page.locator(".viewer-bar span")).to_contain_text("2 of 3")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(".viewer-bar span")).to_contain_text("3 of 3")
    await expect(page.locator(".viewer-caption")).to_have_text("blue")


async def test_a_short_video_plays_muted_in_a_loop_and_with_controls_in_the_viewer(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page(calm=False)
    await bot.send_video(chat.id, film(), caption="boat")
    await page.wait_for_function("() => document.querySelector('.media video')?.currentTime > 0.1")
    video = page.locator(".media video")
    assert await video.evaluate("film => film.muted && film.loop && !film.paused")
    await page.get_by_role("button", name="Open video: boat").click()
    assert await page.locator(".viewer video").evaluate("film => film.controls")


async def test_who_wants_less_motion_gets_a_video_that_waits(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page(calm=True)
    await bot.send_video(chat.id, film())
    await expect(page.locator(".media .play")).to_be_visible()
    assert await page.locator(".media video").evaluate("film => film.paused")


async def test_a_document_is_downloaded_under_its_name(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_document(chat.id, b"the original", filename="astronaut.bin")
    async with page.expect_download() as started:
        await page.get_by_role("link", name="Download astronaut.bin").click()
    download = await started.value
    assert download.suggested_filename == "astronaut.bin"
    assert (await download.path()).read_bytes() == b"the original"


async def test_a_pressed_button_spins_until_the_bot_answers_with_a_toast(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    await bot.send_message(chat.id, "done", reply_markup=BUTTONS)
    button = page.get_by_role("button", name="Again")
    await button.click()
    await expect(button).to_have_attribute("aria-busy", "true")
    (update,) = await bot.get_updates(timeout=5)
    assert update.callback_query is not None
    await update.callback_query.answer("Started again")
    await expect(page.locator(".toast")).to_have_text("Started again")
    await expect(button).to_have_attribute("aria-busy", "false")


async def test_an_alert_is_a_dialog(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_message(chat.id, "done", reply_markup=BUTTONS)
    await page.get_by_role("button", name="Original").click()
    (update,) = await bot.get_updates(timeout=5)
    assert update.callback_query is not None
    await update.callback_query.answer("The original has expired", show_alert=True)
    await expect(page.get_by_role("dialog")).to_contain_text("The original has expired")
    await page.get_by_role("button", name="OK").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_edits_keep_the_button_one_is_about_to_press_in_focus(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    sent = await bot.send_message(chat.id, "10 %", reply_markup=BUTTONS)
    await page.get_by_role("button", name="Again").focus()
    await bot.edit_message_text("20 %", chat.id, sent.message_id, reply_markup=BUTTONS)
    await expect(page.locator(".words")).to_contain_text("20 %")
    await expect(page.get_by_role("button", name="Again")).to_be_focused()


async def test_a_reply_quotes_its_message_and_the_quote_leads_back(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    first = await bot.send_photo(chat.id, picture(400, 400), caption="an astronaut")
    for number in range(12):
        await bot.send_message(chat.id, f"filler {number}\n" * 4)
    target = page.locator(f"#message-{first.message_id}")
    await target.hover()
    await target.get_by_role("button", name="Reply", exact=True).click()
    await expect(page.locator("#reply-bar")).to_contain_text("an astronaut")
    await type_message(page, "/qwen a t-shirt")
    reply = await chat.wait_for(lambda message: message.text == "/qwen a t-shirt")
    assert reply.reply_to is not None
    assert reply.reply_to.message_id == first.message_id
    await page.locator(".row.is-out .quote").click()
    await expect(target).to_have_class(re.compile("is-found"))
    await expect(target).to_be_in_viewport()


async def test_pictures_are_previewed_captioned_and_sent_as_an_album(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    files = [
        {"name": f"{colour}.png", "mimeType": "image/png", "buffer": picture(60, 60, colour)}
        for colour in ("red", "green", "blue")
    ]
    await page.set_input_files("#file-input", files)  # type: ignore[arg-type]
    panel = page.get_by_role("dialog", name="Send files")
    await expect(panel).to_contain_text("Send 3 photos as an album")
    await panel.get_by_role("button", name="Remove green.png").click()
    await panel.get_by_label("Caption").fill("/qwen join these")
    await page.keyboard.press("Enter")
    await chat.wait_for(lambda message: message.media_group_id is not None)
    assert [message.caption for message in chat.messages] == ["/qwen join these", None]
    await expect(page.locator(".album .cell")).to_have_count(2)


async def test_a_picture_can_be_sent_as_a_file(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    original = picture(60, 60)
    await page.set_input_files("#file-input", [{"name": "a.png", "mimeType": "image/png", "buffer": original}])
    await page.get_by_label("As files").check()
    await page.get_by_role("button", name="Send", exact=True).last.click()
    sent = await chat.wait_for(lambda message: message.document is not None)
    assert sent.content == original


@pytest.mark.parametrize("gesture", ["paste", "drop"])
async def test_a_picture_can_be_pasted_and_dropped(bot: Bot, chat: Chat, open_page: OpenPage, gesture: str) -> None:
    page = await open_page()
    await page.evaluate(
        """async ([gesture, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "sea.png", {type: "image/png"}));
            const event = gesture === "paste"
                ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
                : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
            document.querySelector("#log").dispatchEvent(event);
        }""",
        [gesture, list(picture(40, 40))],
    )
    await expect(page.get_by_role("dialog", name="Send files")).to_contain_text("Send a photo")
    await page.keyboard.press("Enter")
    assert (await chat.wait_for(lambda message: message.photo is not None)).photo is not None


async def test_what_cannot_be_sent_is_explained_and_not_lost(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await type_message(page, "x" * 4097)
    await expect(page.locator(".toast")).to_contain_text("message is too long")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("x" * 4097)


async def test_reading_above_is_not_disturbed_and_new_messages_are_counted(
    bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    for number in range(30):
        await bot.send_message(chat.id, f"message {number}\nof several lines")
    await expect(page.locator("#log").get_by_text("message 29")).to_be_in_viewport()
    await page.locator("#log").hover()
    await page.mouse.wheel(0, -1200)
    button = page.get_by_role("button", name="To the newest message")
    await expect(button).to_be_visible()
    await page.wait_for_timeout(150)
    before = await page.evaluate("document.querySelector('#log').scrollTop")

    await bot.send_message(chat.id, "new one")
    await bot.send_message(chat.id, "new two")

    button = page.get_by_role("button", name="2 new messages, go to the newest")
    await expect(button).to_be_visible()
    assert await page.evaluate("document.querySelector('#log').scrollTop") == before
    await button.click()
    await expect(page.locator("#log").get_by_text("new two")).to_be_in_viewport()
    await expect(button).to_be_hidden()


async def test_deleted_messages_leave(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page(calm=False)
    sent = await bot.send_message(chat.id, "gone soon")
    await expect(page.locator("#log").get_by_text("gone soon")).to_be_visible()
    await bot.delete_message(chat.id, sent.message_id)
    await expect(page.locator(".row")).to_have_count(0)
    await expect(page.locator(".empty")).to_be_visible()


async def test_text_is_shown_with_its_entities_and_never_as_markup(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_message(chat.id, "<img src=x onerror=alert(1)> & <b>")
    await bot.send_message(
        chat.id,
        '🚀 <b>bold <i>both</i></b> <code>--seed 7</code> <a href="https://example.org/">link</a> /help',
        parse_mode="HTML",
    )
    await expect(page.locator(".words").first).to_contain_text("<img src=x onerror=alert(1)> & <b>")
    words = page.locator(".words").last
    await expect(words.locator("strong")).to_have_text("bold both")
    await expect(words.locator("strong em")).to_have_text("both")
    await expect(words.locator("code")).to_have_text("--seed 7")
    await expect(words.get_by_role("link")).to_have_attribute("href", "https://example.org/")
    await words.get_by_role("button", name="/help").click()
    assert (await chat.wait_for(lambda message: not message.from_bot)).text == "/help"


async def test_links_that_would_run_a_script_lead_nowhere(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    await bot.send_message(
        chat.id,
        "x",
        entities=[{"type": "text_link", "offset": 0, "length": 1, "url": "javascript:alert(1)"}],  # type: ignore[list-item]
    )
    await expect(page.locator(".words a")).to_have_attribute("href", "#")


async def test_reactions_are_shown(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    page = await open_page()
    asked = chat.send("hello")
    await bot.set_message_reaction(chat.id, asked.message_id, "🔥")
    await expect(page.locator(".reactions button")).to_have_text("🔥")


async def test_two_people_have_their_own_chats_and_share_groups(
    sandbox: SandboxTelegram, bot: Bot, open_page: OpenPage
) -> None:
    alice, bob = sandbox.user("Alice"), sandbox.user("Bob")
    group = sandbox.group("Pixel club", [alice, bob])
    alices, bobs = await open_page(), await open_page("bob")
    alice.private_chat.send("only mine")
    for page in (alices, bobs):
        await page.get_by_role("button", name=re.compile("Pixel club")).click()
    await type_message(bobs, "/f a whale")
    await expect(alices.locator(".sender")).to_have_text("Bob")
    await expect(alices.locator(".words")).to_contain_text("/f a whale")
    await expect(bobs.get_by_text("only mine")).to_have_count(0)
    assert group.messages[0].sender.first_name == "Bob"


async def test_one_switches_to_another_person_from_the_menu(sandbox: SandboxTelegram, open_page: OpenPage) -> None:
    sandbox.user("Bob")
    page = await open_page()
    await page.locator("#person-button").click()
    await page.get_by_role("menuitem", name="Bob").click()
    await expect(page.locator("#person-name")).to_have_text("Bob")


async def test_topics_are_tabs(sandbox: SandboxTelegram, bot: Bot, open_page: OpenPage) -> None:
    forum = sandbox.group("Forum", [sandbox.user("Alice")], forum=True)
    topic = forum.topic("Posters")
    forum.send("/f in general")
    page = await open_page()
    await page.get_by_role("button", name=re.compile("Forum")).click()
    await page.get_by_role("tab", name="Posters").click()
    await expect(page.get_by_text("in general")).to_have_count(1)
    await type_message(page, "/f a poster")
    sent = await topic.wait_for(lambda message: message.text == "/f a poster")
    assert sent.thread_id == topic.thread_id


async def test_blocking_and_unblocking_the_bot(sandbox: SandboxTelegram, bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="More").click()
    await page.get_by_role("menuitem", name="Block the bot").click()
    await page.get_by_role("button", name="Unblock the bot").click()
    await expect(page.get_by_label("Message", exact=True)).to_be_visible()
    statuses = [update.my_chat_member for update in await bot.get_updates()]
    assert [change.new_chat_member.status for change in statuses if change] == ["kicked", "member"]


async def test_trouble_is_armed_from_the_menu(sandbox: SandboxTelegram, bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="More").click()
    await page.get_by_role("menuitem", name="Next update: delivered twice").click()
    await expect(page.locator(".toast")).to_contain_text("Armed")
    assert sandbox.faults.strike_delivery("duplicate", 1) == Fault("duplicate")


async def test_the_badge_says_that_this_is_no_telegram(bot: Bot, open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Sandbox").click()
    await expect(page.get_by_role("dialog")).to_contain_text("This is no real Telegram")


async def test_a_page_without_a_bot_says_so_until_one_connects(sandbox: SandboxTelegram, open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.locator("#chat-status")).to_have_text("waiting for the bot to connect")
    async with Bot("123456789:AAEabcdefghijklmnopqrstuvwxyz012345", base_url=f"{sandbox.base_url}/bot") as bot:
        await bot.set_webhook("http://127.0.0.1:9/")
    await expect(page.locator("#chat-status")).to_have_text("bot")


async def test_the_page_reconnects_and_catches_up_by_itself(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, open_page: OpenPage
) -> None:
    page = await open_page()
    chat.send("before")
    await expect(page.locator(".row")).to_have_count(1)
    port = int(sandbox.base_url.rsplit(":", 1)[1])
    await sandbox.stop()
    await expect(page.locator("#chat-status")).to_have_text("connecting…")
    chat.send("meanwhile")
    await sandbox.start(port=port)
    await expect(page.locator("#log").get_by_text("meanwhile")).to_be_visible(timeout=15000)
    await expect(page.locator(".row")).to_have_count(2)


async def test_it_follows_the_colour_scheme(bot: Bot, chat: Chat, open_page: OpenPage) -> None:
    async def brightness(page: Page) -> int:
        colour = await page.locator(".chat-head").evaluate("head => getComputedStyle(head).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    assert await brightness(await open_page()) > 600
    assert await brightness(await open_page(dark=True)) < 200
