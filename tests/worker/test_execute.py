"""One job in this process: what is written when it ends well, and when it does not."""

from tests.worker.yard import Yard
from runtime.sandbox.comfyui import SandboxComfyUI

from runtime.worker.broker import DELIVER


async def test_a_job_ends_collected_with_its_picture_and_a_message_owed(yard: Yard, comfyui: SandboxComfyUI):
    job = await yard.run(await yard.queue("flux", chat_id=7, user_id=8, seed=5))

    assert (job.state, job.backend, job.attempt, job.error) == ("collected", "gpu-1", 1, None)
    assert comfyui.last_graph["sampler"]["inputs"]["seed"] == 5
    ((media_type, digest, content, width),) = await yard.rows(
        "select media_type, digest, content, width from artifacts join blobs on artifact_id = id where job_id = %s", job.id
    )
    assert (media_type, width) == ("image/png", 64)
    assert b"an astronaut" not in content
    ((delivery, kind),) = await yard.rows("select id, kind from deliveries where job_id = %s", job.id)
    assert kind == "result"
    assert yard.sent(DELIVER) == [{"delivery_id": delivery}]
    assert await yard.rows("select last_artifact_id from sessions where chat_id = 7 and user_id = 8")
    assert await yard.rows("select warm_model_set from backends") == [("flux-schnell",)]
    assert await yard.rows("select job_id from slots where job_id is not null") == []
