"""Data: sources, splits, preprocessing, and feeds for the training step."""

from jaxvae.data.buckets import make_bucket_feed
from jaxvae.data.feed import Feed, batch_indices, make_feed
from jaxvae.data.incoming import as_dataset, as_stored
from jaxvae.data.kinds import KINDS, load_data, load_sequences
from jaxvae.data.load import Dataset, Split, checksum, from_arrays, from_sources, load, prepare
from jaxvae.data.own_units import viewed
from jaxvae.data.preprocess import BINARIZATIONS, PIXEL_RANGES, binarize, make_preprocess, to_unit_range
from jaxvae.data.scaling import SCALINGS
from jaxvae.data.spec import DataSpec, preprocess_of

__all__ = [
    "BINARIZATIONS", "KINDS", "PIXEL_RANGES", "SCALINGS", "DataSpec", "Dataset", "Feed", "Split", "as_dataset",
    "as_stored", "batch_indices", "binarize", "checksum", "from_arrays", "from_sources", "load", "load_data",
    "load_sequences", "make_bucket_feed", "make_feed", "make_preprocess", "prepare", "preprocess_of", "to_unit_range",
    "viewed",
]  # fmt: skip
