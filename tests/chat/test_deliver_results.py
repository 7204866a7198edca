import io
import os
from pathlib import Path

import pytest
from PIL import Image

from db import artifacts, deliveries
from runtime.chat.deliver import deliver
from runtime.registry import Registry
from runtime.sandbox.telegram import Fault
from tests.chat.conftest import picture
from tests.media.samples import mp4


def _metadata(content: bytes) -> dict:
    with Image.open(io.BytesIO(content)) as image:
        return dict(image.info)


async def test_a_picture_arrives_with_caption_buttons_and_as_a_reply(office, alice):
    asked = alice.private_chat.send("/f an astronaut")
    job_id = await office.job(alice.id, state="collected", outputs=[picture()], message_id=asked.message_id)
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)

    message = alice.private_chat.messages[-1]
    assert message.photo is not None
    assert message.caption == "an astronaut\n\nflux · 🎲 7 · ⏱ 4.2 s"
    assert message.buttons == [["🔁 Again", "⬇️ Original"]]
    assert message.inline_keyboard[0][0]["callback_data"] == f"again:{job_id}"
    assert message.reply_to is asked
    assert await office.row(delivery_id) == ("sent", None)
    assert (await office.get(job_id)).state == "delivered"


async def test_a_delivered_artifact_is_found_by_its_message(office, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture()], user_id=alice.id)
    await office.owe_and_send(alice.id, "result", job_id)
    message = alice.private_chat.messages[-1]
    async with office.pool.connection() as connection:
        shown = await artifacts.of_message(connection, alice.id, message.message_id)
    assert shown is not None
    assert (shown.job_id, shown.telegram_file_id) == (job_id, message.photo[-1]["file_id"])


async def test_a_command_that_is_gone_is_not_offered_again(office, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe(alice.id, "result", job_id)
    await deliver(delivery_id, pool=office.pool, gateway=office.gateway, registry=Registry(Path("registry.yaml")))
    assert alice.private_chat.messages[-1].buttons == [["⬇️ Original"]]


async def test_a_message_is_sent_once_however_often_it_is_delivered(office, sandbox, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    await office.send(delivery_id)
    assert len(sandbox.journal.calls("sendPhoto")) == 1


async def test_the_status_message_is_gone_when_the_result_is_there(office, alice):
    job_id = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", job_id)
    assert [message.text for message in alice.private_chat.messages] == ["⏳ In the queue: you are next"]
    await office.set(job_id, state="collected")
    async with office.pool.connection() as connection:
        await artifacts.add(connection, artifacts.NewArtifact("image", "image/png", job_id=job_id), picture())
    await office.owe_and_send(alice.id, "result", job_id)
    assert [message.photo is not None for message in alice.private_chat.messages] == [True]
    assert (await office.get(job_id)).status_message_id is None


async def test_a_status_message_too_old_to_be_deleted_says_that_it_is_done(office, sandbox, alice):
    job_id = await office.job(alice.id, outputs=[picture()])
    await office.owe_and_send(alice.id, "status", job_id)
    await office.set(job_id, state="collected")
    description = "Bad Request: message can't be deleted for everyone"
    sandbox.faults.add(Fault("error", method="deleteMessage", code=400, description=description))

    await office.owe_and_send(alice.id, "result", job_id)

    assert [message.text for message in alice.private_chat.messages if not message.photo] == ["✅ Done"]
    assert (await office.get(job_id)).status_message_id is None


async def test_several_pictures_are_an_album_with_buttons_below_it(office, sandbox, alice):
    outputs = [picture(colour=colour) for colour in ("red", "green", "blue")]
    job_id = await office.job(alice.id, state="collected", outputs=outputs)
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    *album, actions = alice.private_chat.messages
    assert len({message.media_group_id for message in album}) == 1
    assert [bool(message.caption) for message in album] == [True, False, False]
    assert (actions.text, actions.buttons) == ("What next?", [["🔁 Again", "⬇️ Original"]])
    assert actions.reply_to is album[0]
    async with office.pool.connection() as connection:
        state, message_ids = await deliveries.of_job(connection, job_id, "result")
        found = [(await artifacts.of_message(connection, alice.id, each.message_id)).position for each in album]
    assert (state, message_ids) == ("sent", [message.message_id for message in alice.private_chat.messages])
    assert found == [0, 1, 2]
    assert await office.row(delivery_id) == ("sent", None)


async def test_an_album_is_not_repeated_when_only_its_buttons_were_held_up(office, sandbox, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture(), picture(colour="red")])
    sandbox.faults.add(Fault.too_many_requests(1, method="sendMessage"))
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    assert (await office.row(delivery_id))[0] == "pending"
    await office.make_due()
    await office.send(delivery_id)
    assert (await office.row(delivery_id))[0] == "sent"
    assert len(sandbox.journal.calls("sendMediaGroup")) == 1
    assert len(alice.private_chat.messages) == 3


async def test_eleven_pictures_arrive_in_order_as_an_album_of_ten_and_one_more(office, sandbox, alice):
    outputs = [picture(64 + number, 64) for number in range(11)]
    job_id = await office.job(alice.id, state="collected", outputs=outputs)
    await office.owe_and_send(alice.id, "result", job_id)
    widths = [message.photo[-1]["width"] for message in alice.private_chat.messages if message.photo]
    assert widths == [64 + number for number in range(11)]
    assert [bool(message.caption) for message in alice.private_chat.messages] == [True] + [False] * 11


async def test_a_video_plays_while_it_loads(office, sandbox, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[mp4()], kind="video", command="wan")
    await office.owe_and_send(alice.id, "result", job_id)
    message = alice.private_chat.messages[-1]
    assert message.video is not None
    assert (message.video["width"], message.video["height"]) == (64, 48)
    asked = sandbox.journal.calls("sendVideo")[-1]
    assert str(asked.parameters["supports_streaming"]).lower() == "true"
    assert len(asked.files) == 2  # the video and its thumbnail


async def test_a_picture_that_is_no_photo_for_telegram_arrives_as_a_file(office, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture(2100, 100)])
    await office.owe_and_send(alice.id, "result", job_id)
    message = alice.private_chat.messages[-1]
    assert message.document["file_name"] == "flux-7.png"
    assert message.buttons == [["🔁 Again"]]


async def test_what_telegram_refuses_as_a_photo_arrives_as_a_file(office, sandbox, alice):
    sandbox.faults.add(Fault("error", method="sendPhoto", description="Bad Request: PHOTO_INVALID_DIMENSIONS"))
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    await office.owe_and_send(alice.id, "result", job_id)
    assert alice.private_chat.messages[-1].document is not None


async def test_what_telegram_refuses_in_every_form_is_told(office, sandbox, alice):
    sandbox.faults.add(
        Fault("error", method="sendPhoto", description="Bad Request: IMAGE_PROCESS_FAILED"),
        Fault("error", method="sendDocument", description="Bad Request: FILE_PARTS_INVALID"),
    )
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    assert (await office.row(delivery_id))[0] == "failed"
    message = alice.private_chat.messages[-1]
    assert message.text.startswith("Telegram did not take the result")
    assert message.buttons == [["🔁 Again"]]


async def test_an_original_too_large_for_telegram_is_told(office, alice):
    side, content = 4100, io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(content, "PNG", compress_level=0)
    job_id = await office.job(alice.id, state="delivered", outputs=[content.getvalue()])
    async with office.pool.connection() as connection:
        (output,) = await artifacts.outputs(connection, job_id)
    await office.owe_and_send(alice.id, "original", job_id, artifact_ids=[output.id])
    assert alice.private_chat.messages[-1].text.startswith("The result is 51 MB; Telegram takes at most 50 MB")


async def test_a_result_that_has_expired_is_told(office, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    async with office.pool.connection() as connection:
        await connection.execute("delete from blobs")
    await office.owe_and_send(alice.id, "result", job_id)
    message = alice.private_chat.messages[-1]
    assert message.text.startswith("This is no longer stored")
    assert (await office.get(job_id)).state == "delivered"


async def test_nothing_that_is_sent_holds_metadata(office, alice):
    assert "prompt" in _metadata(picture())
    job_id = await office.job(alice.id, state="collected", outputs=[picture(2100, 100)])
    await office.owe_and_send(alice.id, "result", job_id)
    assert "prompt" not in _metadata(alice.private_chat.messages[-1].content)


async def test_the_original_is_a_file_with_every_pixel_and_no_metadata(office, alice):
    made = picture()
    job_id = await office.job(alice.id, state="delivered", outputs=[made])
    async with office.pool.connection() as connection:
        (output,) = await artifacts.outputs(connection, job_id)
    await office.owe_and_send(alice.id, "original", job_id, artifact_ids=[output.id])
    message = alice.private_chat.messages[-1]
    assert message.document["file_name"] == "flux-7.png"
    assert "prompt" not in _metadata(message.content)
    with Image.open(io.BytesIO(made)) as before, Image.open(io.BytesIO(message.content)) as after:
        assert before.tobytes() == after.tobytes()


async def test_several_originals_are_an_album_of_files(office, alice):
    job_id = await office.job(alice.id, state="delivered", outputs=[picture(), picture(colour="red")])
    async with office.pool.connection() as connection:
        ids = [output.id for output in await artifacts.outputs(connection, job_id)]
    await office.owe_and_send(alice.id, "original", job_id, artifact_ids=ids)
    names = [message.document["file_name"] for message in alice.private_chat.messages]
    assert names == ["flux-7-1.png", "flux-7-2.png"]


async def test_an_original_that_has_expired_is_told(office, alice):
    job_id = await office.job(alice.id, state="delivered")
    await office.owe_and_send(alice.id, "original", job_id, artifact_ids=[12345])
    assert alice.private_chat.messages[-1].text.startswith("This is no longer stored")


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
async def test_a_job_without_a_result_sends_none(office, alice, state):
    job_id = await office.job(alice.id, state=state)
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    assert (await office.row(delivery_id))[0] == "dropped"
    assert alice.private_chat.messages == []


async def test_a_large_upload_shows_what_is_going_on(office, sandbox, alice):
    noise = Image.effect_noise((1100, 1100), 100)
    content = io.BytesIO()
    noise.save(content, "PNG")
    assert len(content.getvalue()) > 1_000_000
    sandbox.faults.add(Fault("slow", method="sendPhoto", seconds=0.2))
    job_id = await office.job(alice.id, state="collected", outputs=[content.getvalue()])
    await office.owe_and_send(alice.id, "result", job_id)
    assert [call.parameters["action"] for call in sandbox.journal.calls("sendChatAction")] == ["upload_photo"]


async def test_a_result_for_a_topic_stays_in_it(office, sandbox, alice):
    group = sandbox.group("Painters", [alice], forum=True)
    topic = group.topic("Swans")
    job_id = await office.job(group.id, state="collected", outputs=[picture()], thread_id=topic.thread_id)
    await office.owe_and_send(group.id, "result", job_id)
    assert topic.messages[-1].photo is not None


async def test_a_result_for_a_deleted_topic_arrives_in_the_group(office, sandbox, alice):
    group = sandbox.group("Painters", [alice], forum=True)
    job_id = await office.job(group.id, state="collected", outputs=[picture()], thread_id=987654)
    await office.owe_and_send(group.id, "result", job_id)
    assert group.messages[-1].photo is not None
