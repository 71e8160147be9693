"""The table of backbones in itself; tests/ml compares every row with Keras."""

from __future__ import annotations

import pytest

from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.backbones import BACKBONES, EVERYTHING, find_backbone


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_row_is_consistent(backbone):
    assert backbone.smallest_size <= backbone.usual_size
    assert min(backbone.output_shape(backbone.smallest_size, backbone.smallest_size)) >= 1
    counts = [block.trainable_parameters for block in backbone.blocks]
    assert counts == sorted(set(counts))
    assert counts[-1] < backbone.trainable_parameters <= backbone.parameters
    # An HDF5 file of float32 values with some room for names.
    assert 4 * backbone.parameters < backbone.weights_bytes < 4.7 * backbone.parameters + 2_000_000
    assert len(backbone.weights_hash) in {0, 32, 64}
    assert backbone.weights_url.startswith("https://storage.googleapis.com/")


def test_files_and_layouts_are_those_of_one_row_each():
    for attribute in ("weights_file", "weights_url", "weights_layout"):
        assert len({getattr(backbone, attribute) for backbone in BACKBONES.values()}) == len(BACKBONES)


def test_output_shapes_worked_out_by_hand():
    assert find_backbone("vgg16").output_shape(150, 150) == (4, 4, 512)  # Chollet's 4 × 4 × 512
    assert find_backbone("resnet50").output_shape(150, 224) == (5, 7, 2048)
    assert find_backbone("inception_v3").output_shape(299, 299) == (8, 8, 2048)
    assert find_backbone("xception").output_shape(299, 299) == (10, 10, 2048)


def test_depths():
    resnet = find_backbone("resnet50")
    assert resnet.depths == ("conv5", "conv4", "conv3", "conv2", EVERYTHING)
    assert resnet.block(EVERYTHING) is None
    assert resnet.trainable_from(EVERYTHING) == resnet.trainable_parameters
    assert find_backbone("vgg16").trainable_from("block5") == 3 * (9 * 512 * 512 + 512)
    with pytest.raises(ExperimentError, match="no block called 'block5'") as caught:
        resnet.block("block5")
    assert "conv5, conv4" in caught.value.hint
    assert caught.value.field == "architecture.unfreeze_from"


def test_an_unknown_backbone_lists_those_there_are():
    with pytest.raises(ExperimentError, match="no pre-trained backbone called 'alexnet'") as caught:
        find_backbone("alexnet")
    assert ", ".join(BACKBONES) in caught.value.hint
