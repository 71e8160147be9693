"""Everything that needs Keras: devices, the model, its training, and its file.

Only this package imports keras and tensorflow. Call ``runtime.start`` on a job's thread before importing another
module of it: that sets what must be set before TensorFlow's first operation.
"""
