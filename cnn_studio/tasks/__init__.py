"""The jobs, as plain functions ``job(request, report, cancel) -> result``: what the window and the command line call.

Nothing here knows of Qt, and what a job needs (Keras, TensorFlow, NumPy, Pillow) is imported inside the functions:
importing this package costs milliseconds, and the window's first paint does not wait for any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnn_studio.core.jobs import CancelToken, Report
from cnn_studio.tasks.cross_validation import CrossValidateRequest, cross_validate
from cnn_studio.tasks.data import clear_cache, scan, start_runtime
from cnn_studio.tasks.label_errors import LabelErrorRequest, find_label_errors
from cnn_studio.tasks.models import (
    EvaluateRequest,
    ExportRequest,
    PredictRequest,
    evaluate,
    export,
    held_out_images,
    open_model,
    predict,
    usage_snippet,
)
from cnn_studio.tasks.training import TrainRequest, demo_experiment, recover, train

__all__ = [
    "CrossValidateRequest",
    "EvaluateRequest",
    "ExportRequest",
    "Job",
    "LabelErrorRequest",
    "PredictRequest",
    "TrainRequest",
    "clear_cache",
    "cross_validate",
    "demo_experiment",
    "evaluate",
    "export",
    "find_label_errors",
    "held_out_images",
    "open_model",
    "predict",
    "recover",
    "scan",
    "start_runtime",
    "train",
    "usage_snippet",
]

Job = Callable[[Any, Report, CancelToken], Any]
"""Any of the jobs here."""
