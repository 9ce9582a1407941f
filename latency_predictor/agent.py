"""What times a translation on a device: onnxruntime, numpy and the deployed beam search only (Python 3.9)."""

from hat.deploy.beam_search import BeamSearch, loop_name
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import Sessions
from latency_predictor.timing import time_translation


def needed_graphs(names, beam):
    """Those of the `names` of a bundle's graphs that the translation of one sentence with `beam` runs."""
    return ("encoder", loop_name(names, beam, sentences=1))


def time_graphs(graphs, source, beam, target_steps, threads, repeats):
    """Timings {"encoder", "decoder", "total"} of translating `source`, a list of token ids, as a batch of one.

    `graphs` {name: serialised graph or its file's path} are those of `needed_graphs`. Exactly `target_steps` steps are
    made, whatever the weights are.
    """
    search = BeamSearch(Sessions(graphs, threads))

    def translate():
        search.search([source], SearchOptions(beam), forced_steps=target_steps)
        return search.encoder.seconds

    return time_translation(translate, repeats)
