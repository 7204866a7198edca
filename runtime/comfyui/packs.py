"""Which pack of custom nodes brings a node class, as far as its name tells. Packs name their classes by habit."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodePack:
    """A pack of custom nodes. `link`: its repository, to be cloned into ComfyUI/custom_nodes."""

    name: str
    link: str


_PACKS: tuple[tuple[str, str], ...] = (
    (r".*(MultiGPU|DisTorch).*", "pollockjj/ComfyUI-MultiGPU"),
    (r"(Unet|CLIP|DualCLIP|TripleCLIP|QuadrupleCLIP)LoaderGGUF.*|UnetLoaderGGUFAdvanced", "city96/ComfyUI-GGUF"),
    (r"VHS_.*", "Kosinkadink/ComfyUI-VideoHelperSuite"),
    (r"ADE_.*", "Kosinkadink/ComfyUI-AnimateDiff-Evolved"),
    (r"ACN_.*", "Kosinkadink/ComfyUI-Advanced-ControlNet"),
    (r"WanVideo.*", "kijai/ComfyUI-WanVideoWrapper"),
    (r"HyVideo.*", "kijai/ComfyUI-HunyuanVideoWrapper"),
    (r"CogVideo.*", "kijai/ComfyUI-CogVideoXWrapper"),
    (r"(DownloadAndLoad)?Florence2.*", "kijai/ComfyUI-Florence2"),
    (r".*KJ(v2)?|ImageResizeKJ.*", "kijai/ComfyUI-KJNodes"),
    (r"Nunchaku.*", "nunchaku-tech/ComfyUI-nunchaku"),
    (r"IPAdapter.*", "cubiq/ComfyUI_IPAdapter_plus"),
    (r"(.*DetailerForEach.*|FaceDetailer.*|SAMLoader|Impact.*)", "ltdrdata/ComfyUI-Impact-Pack"),
    (r"UltralyticsDetectorProvider", "ltdrdata/ComfyUI-Impact-Subpack"),
    (r"UltimateSDUpscale.*", "ssitu/ComfyUI_UltimateSDUpscale"),
    (r"SeedVR2.*", "numz/ComfyUI-SeedVR2_VideoUpscaler"),
    (r".* \(rgthree\)", "rgthree/rgthree-comfy"),
    (r"easy .*", "yolain/ComfyUI-Easy-Use"),
    (r"CR .*", "Suzie1/ComfyUI_Comfyroll_CustomNodes"),
    (r"LayerUtility: .*|LayerMask: .*", "chflame163/ComfyUI_LayerStyle"),
    (r".*Preprocessor(_Provider.*)?", "Fannovel16/comfyui_controlnet_aux"),
    (r"RIFE VFI|FILM VFI|.* VFI", "Fannovel16/ComfyUI-Frame-Interpolation"),
    (r"(Image|Text|Number|Mask).* WAS|WAS_.*|.*\(WAS\).*", "WASasquatch/was-node-suite-comfyui"),
    (r"TeaCache.*", "welltop-cn/ComfyUI-TeaCache"),
)
"""Pattern of the whole class name -> repository. The first that fits counts."""


def pack_of(class_type: str) -> NodePack | None:
    """The pack that most likely brings the class; None if nobody can tell from its name."""
    for pattern, repository in _PACKS:
        if re.fullmatch(pattern, class_type):
            return NodePack(repository.rpartition("/")[2], f"https://github.com/{repository}")
    return None
