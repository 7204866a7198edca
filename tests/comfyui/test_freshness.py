import pytest

from runtime.comfyui import History, Prompt
from runtime.comfyui.freshness import is_fresh

SAMPLED = {
    "model": {"class_type": "UNETLoader", "inputs": {"unet_name": "x"}},
    "positive": {"class_type": "CLIPTextEncode", "inputs": {"text": "x"}},
    "high": {"class_type": "KSamplerAdvanced", "inputs": {"latent_image": ["latent", 0]}},
    "low": {"class_type": "KSamplerAdvanced", "inputs": {"latent_image": ["high", 0]}},
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["low", 0]}},
    "latent": {"class_type": "EmptyLatentImage", "inputs": {}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "x"}},
}
SCALED = {
    "image": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "scaled": {"class_type": "ImageScaleBy", "inputs": {"image": ["image", 0]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["scaled", 0]}},
}


def ended(*cached: str, prompt_id: str = "p") -> History:
    return History(prompt_id, "success", cached=frozenset(cached))


@pytest.mark.parametrize("cached", [(), ("model",), ("model", "positive", "latent")])
def test_loaders_and_encoders_from_the_cache_leave_the_work_to_be_done(cached):
    assert is_fresh(Prompt("p", SAMPLED, ("save",)), ended(*cached))


@pytest.mark.parametrize("cached", [("high",), ("high", "low", "decode", "model")])
def test_with_a_sampler_from_the_cache_a_run_is_no_measure(cached):
    assert not is_fresh(Prompt("p", SAMPLED, ("save",)), ended(*cached))


def test_without_a_sampler_it_depends_on_what_leads_into_the_output():
    prompt = Prompt("p", SCALED, ("save",))
    assert is_fresh(prompt, ended("image"))
    assert not is_fresh(prompt, ended("image", "scaled"))


def test_a_prompt_that_was_posted_anew_is_no_measure():
    assert not is_fresh(Prompt("p", SAMPLED, ("save",)), ended(prompt_id="again"))
