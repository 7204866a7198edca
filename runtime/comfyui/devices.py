"""What a card is called, from what ComfyUI tells of it."""


def device_name(told: str) -> str:
    """ "RTX 5090" of "cuda:0 NVIDIA GeForce RTX 5090 : cudaMallocAsync" (comfy/model_management.py)."""
    name = told.partition(" : ")[0]
    if ":" in name.split(" ")[0]:
        name = name.partition(" ")[2]
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ").strip()


def is_sandbox(told: str) -> bool:
    """Whether it is no card, but the sandbox's word for one."""
    return told.endswith("(sandbox)")
