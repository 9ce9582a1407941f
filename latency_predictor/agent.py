"""What times a translation on a device: onnxruntime, numpy and the deployed beam search only (Python 3.9)."""

import time

from hat.deploy.beam_search import BeamSearch
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import make_session
from latency_predictor.timing import time_translation


class TimedSearch(BeamSearch):
    """The deployed beam search; `encoder_seconds` is what the encoder took in the last search."""

    encoder_seconds = 0.0

    def encode(self, sources, beam):
        start = time.perf_counter()
        outputs = super().encode(sources, beam)
        self.encoder_seconds = time.perf_counter() - start
        return outputs


def time_graphs(encoder, step, source, beam, target_steps, threads, repeats):
    """Timings {"encoder", "decoder", "total"} of translating `source`, a list of token ids, as a batch of one.

    `encoder` and `step` are serialised graphs (see hat.deploy.graphs) or their files' paths. Exactly `target_steps`
    steps are made, whatever the weights are.
    """
    search = TimedSearch(make_session(encoder, threads), make_session(step, threads))

    def translate():
        search.search([source], SearchOptions(beam), forced_steps=target_steps)
        return search.encoder_seconds

    return time_translation(translate, repeats)
