"""What the node classes of the catalogue do when they run."""

from runtime.sandbox.comfyui.nodes import latents, loaders, pictures, prompts, sampling, saving
from runtime.sandbox.comfyui.nodes.recipe import RECIPES, Interrupted, NodeFailure, NodeRun, Recipe

__all__ = [
    "RECIPES",
    "Interrupted",
    "NodeFailure",
    "NodeRun",
    "Recipe",
    "latents",
    "loaders",
    "pictures",
    "prompts",
    "sampling",
    "saving",
]
