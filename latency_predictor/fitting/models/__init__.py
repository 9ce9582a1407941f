"""What predicts latency, one model a file: a ridge, and what may correct it.

Each has `fit`, `predict` (numpy alone) and `arrays`, a dictionary of numeric arrays that it can be made of again.
"""

MODELS = ("ridge", "boosting", "mlp")  # the simplest first
