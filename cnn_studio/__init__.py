"""cnn_studio: train, try and export image classifiers from a folder of pictures."""

__version__ = "0.1.0"
