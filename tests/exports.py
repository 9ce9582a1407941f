"""What tests of the export share: a sub-training of random weights."""

import numpy as np
from deployed import peaked_weights, torch_model
from tiny import TINY_SPACE

from hat.data.translation.prepared import PreparedData
from hat.experiment.run_directory import mark_done
from hat.models.checkpoint import save_model

NAME = "chosen"


def save_random_model(run, seed):
    """A Transformer of sub-training NAME with random but peaked weights."""
    architecture = TINY_SPACE.sample(np.random.default_rng(5))
    prepared = PreparedData(run.data)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    model = torch_model(architecture, spec, peaked_weights(architecture, spec, seed))
    save_model(run.sub(NAME), model)
    mark_done(run.sub(NAME), seed, [])
    return model
