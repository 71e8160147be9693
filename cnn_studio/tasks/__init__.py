"""The jobs, each a ``Job[Request, Result]``, a plain function ``job(request, context) -> result``: what the window and
the command line call.

Nothing here knows of Qt, and what a job needs (Keras, TensorFlow, NumPy, Pillow) is imported inside the functions:
importing this package costs milliseconds, and the window's first paint does not wait for any of it.
"""

from __future__ import annotations

from cnn_studio.core.job.jobs import Job
from cnn_studio.tasks.augmentation import (
    AugmentationCost,
    CostRequest,
    Preview,
    PreviewRequest,
    measure_augmentation,
    preview_augmentation,
)
from cnn_studio.tasks.calibration import CalibrateRequest, Temperature, calibrate
from cnn_studio.tasks.comparison import CompareRequest, compare_augmentations, planned_trials
from cnn_studio.tasks.cross_validation import CrossValidateRequest, cross_validate
from cnn_studio.tasks.data import clear_cache, scan, start_runtime
from cnn_studio.tasks.evaluation import EvaluateRequest, evaluate, saved_evaluation
from cnn_studio.tasks.explanation import ExplainRequest, explain, write_overlay
from cnn_studio.tasks.input_range import KeepRangeRequest, RangesRequest, keep_input_range, try_input_ranges
from cnn_studio.tasks.label_errors import LabelErrorRequest, find_label_errors
from cnn_studio.tasks.models import (
    ExportRequest,
    PredictRequest,
    export,
    held_out_images,
    open_model,
    predict,
    usage_snippet,
)
from cnn_studio.tasks.report import ReportRequest, write_report
from cnn_studio.tasks.training import TrainRequest, demo_experiment, recover, train

__all__ = [
    "AugmentationCost",
    "CalibrateRequest",
    "CompareRequest",
    "CostRequest",
    "CrossValidateRequest",
    "EvaluateRequest",
    "ExplainRequest",
    "ExportRequest",
    "Job",
    "KeepRangeRequest",
    "LabelErrorRequest",
    "PredictRequest",
    "Preview",
    "PreviewRequest",
    "RangesRequest",
    "ReportRequest",
    "Temperature",
    "TrainRequest",
    "calibrate",
    "clear_cache",
    "compare_augmentations",
    "cross_validate",
    "demo_experiment",
    "evaluate",
    "explain",
    "export",
    "find_label_errors",
    "held_out_images",
    "keep_input_range",
    "measure_augmentation",
    "open_model",
    "planned_trials",
    "predict",
    "preview_augmentation",
    "recover",
    "saved_evaluation",
    "scan",
    "start_runtime",
    "train",
    "try_input_ranges",
    "usage_snippet",
    "write_overlay",
    "write_report",
]
