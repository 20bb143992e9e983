"""A picture encoder without learned weights: it averages each patch and measures how red, green, ... it is."""

import numpy as np
from gguf_file import Fact, Matrix, ones, zeros
from vocabulary import COLOURS, PLACE, SIZE, seen

PICTURE = 56  # pixels; every picture is scaled to this square
PATCH = 14
WIDTH = 64  # numbers that describe a patch; the first three are its mean red, green and blue, from 0 to 1
CHANNELS = 3
SHARPNESS = 20.0

# Red, green and blue of a patch weighed against a threshold: above zero for this colour and for no other of the five.
MEASURES = {
    "red": ((1, -1, -1), -0.5),
    "green": ((-1, 1, -1), -0.5),
    "blue": ((-1, -1, 1), -0.5),
    "white": ((1, 1, 1), -2.5),
    "black": ((-1, -1, -1), 0.5),
}


def facts() -> dict[str, Fact]:
    """Return what the file says about the encoder, in the words of CLIP behind LLaVA's projector."""
    return {
        "general.name": "colours-encoder",
        "clip.has_text_encoder": False,
        "clip.has_vision_encoder": True,
        "clip.has_llava_projector": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        "clip.vision.image_size": PICTURE,
        "clip.vision.patch_size": PATCH,
        "clip.vision.embedding_length": WIDTH,
        "clip.vision.feed_forward_length": WIDTH,
        "clip.vision.projection_dim": SIZE,
        "clip.vision.block_count": 1,
        "clip.vision.attention.head_count": 1,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": [0.0, 0.0, 0.0],
        "clip.vision.image_std": [1.0, 1.0, 1.0],
    }


def tensors() -> dict[str, Matrix]:
    """Return the weights: average, a block that changes nothing, then measure and spread in the projector."""
    return {
        "v.patch_embd.weight": averaging(),
        "v.position_embd.weight": zeros((PICTURE // PATCH) ** 2, WIDTH),
        **idle_block(),
        **measuring(),
        **spreading(),
    }


def averaging() -> Matrix:
    """Return the weights that reduce a patch to its mean colour."""
    weights = zeros(WIDTH, CHANNELS, PATCH, PATCH)
    for channel in range(CHANNELS):
        weights[channel, channel] = 1 / PATCH**2
    return weights


def idle_block() -> dict[str, Matrix]:
    """Return the one block that an encoder must have; it adds nothing to what goes past it."""
    layers = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down")
    norms = ("ln1", "ln2")
    names = (*layers, *norms)
    weights = {f"v.blk.0.{name}.weight": zeros(WIDTH, WIDTH) for name in layers}
    scales = {f"v.blk.0.{name}.weight": ones(WIDTH) for name in norms}
    return weights | scales | {f"v.blk.0.{name}.bias": zeros(WIDTH) for name in names}


def measuring() -> dict[str, Matrix]:
    """Return the first layer of the projector: one number for each colour (the GELU after it cuts what is below 0)."""
    weights, thresholds = zeros(WIDTH, WIDTH), zeros(WIDTH)
    for row, colour in enumerate(COLOURS):
        weighed, threshold = MEASURES[colour]
        weights[row, :CHANNELS] = SHARPNESS * np.array(weighed, np.float32)
        thresholds[row] = SHARPNESS * threshold
    return {"mm.0.weight": weights, "mm.0.bias": thresholds}


def spreading() -> dict[str, Matrix]:
    """Return the second layer: each colour's number to the place from which the language model names it."""
    weights = zeros(SIZE, WIDTH)
    for column, colour in enumerate(COLOURS):
        weights[PLACE[seen(colour)], column] = 1.0
    return {"mm.2.weight": weights, "mm.2.bias": zeros(SIZE)}
