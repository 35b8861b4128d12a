"""Specs are frozen data: an input, a network on it, a study of several; in Python and in TOML."""

from varprop.spec import builders as _builders  # noqa: F401 -- registers the names of parts
from varprop.spec.defaults import default_study
from varprop.spec.grids import expand_grid
from varprop.spec.heads import HEADS, Head
from varprop.spec.image_networks import mlp_mixer, resnet
from varprop.spec.inputs import Input
from varprop.spec.labels import check_label, file_stem
from varprop.spec.layers import Layer
from varprop.spec.networks import Network
from varprop.spec.reading import parse_study, read_study
from varprop.spec.shorthand import default_input, mlp, parse_input
from varprop.spec.sources import constant, data, digits, gaussian, half_on, kinds
from varprop.spec.studies import Study
from varprop.spec.tokens_and_images import images, tokens
from varprop.spec.transformers import families, transformer
from varprop.spec.widths import parse_widths, spell_widths
from varprop.spec.writing import write_study

__all__ = [
    "HEADS",
    "Head",
    "Input",
    "Layer",
    "Network",
    "Study",
    "check_label",
    "constant",
    "data",
    "default_input",
    "default_study",
    "digits",
    "expand_grid",
    "families",
    "file_stem",
    "gaussian",
    "half_on",
    "images",
    "kinds",
    "mlp",
    "mlp_mixer",
    "parse_input",
    "parse_study",
    "parse_widths",
    "read_study",
    "resnet",
    "spell_widths",
    "tokens",
    "transformer",
    "write_study",
]
