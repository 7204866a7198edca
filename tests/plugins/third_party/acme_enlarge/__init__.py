"""/enlarge: a picture with more pixels."""

from runtime.api import Choice, Command, Float, GpuAffinity, ImageInput, Invocation, Veto, Workflow, hookimpl

VEILRUN_API = 1

enlarge = Command(
    name="enlarge",
    aliases=("big",),
    summary="A picture with more pixels",
    example="--megapixels 8",
    parameters=(
        ImageInput(),
        Float("megapixels", "size of the result", default=4.0, low=0.25, high=16.0),
        Choice("method", "how to make new pixels", choices=("lanczos", "bicubic", "area"), default="lanczos"),
    ),
    workflow=Workflow.load(
        "enlarge.json",
        bind={"image": "image.image", "megapixels": "scaled.megapixels", "method": "scaled.upscale_method"},
        output="save",
    ),
    affinity=GpuAffinity(vram_gb=1),
)


@hookimpl
def register_commands() -> list[Command]:
    return [enlarge]


@hookimpl
def before_invoke(invocation: Invocation) -> None:
    """Keep to the operator's bound: `config: {most_megapixels: 8}`."""
    if invocation.command != "enlarge":
        return
    most, asked = invocation.config.get("most_megapixels"), invocation.arguments["megapixels"]
    if isinstance(most, int) and isinstance(asked, float) and asked > most:
        raise Veto(f"at most {most} megapixels, please")
