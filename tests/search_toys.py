"""A search space small enough for brute force, with a made-up latency and loss, and a device that can be killed."""

import dataclasses
import itertools

from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.experiment.sections import SearchConfig
from latency_predictor.latency import Latency
from search.instruments import Instruments

SPACE = SearchSpace(
    qkv_dim=32,
    encoder=EncoderSpace(embed_dim=(16, 32), layers=(1, 2), ffn_dim=(32, 64), self_attention_heads=(2,)),
    decoder=DecoderSpace(
        embed_dim=(16, 32),
        layers=(1, 2),
        ffn_dim=(32, 64),
        self_attention_heads=(2, 4),
        cross_attention_heads=(2,),
        cross_attention_span=(1, 2),
    ),
)
SETTINGS = SearchConfig(population=30, parents=8, mutations=12, crossovers=12, iterations=30, measured_finalists=3)

CONFIG = {  # of an experiment with this space
    "data": {"corpus": "synthetic.de-en", "source_lang": "de", "target_lang": "en"},
    "model": {},
    "search_space": SPACE.to_dict(),
    "super_training": {"max_update": 1, "warmup_updates": 1, "lr": 0.1},
    "sub_training": {"max_update": 1, "warmup_updates": 1, "lr": 0.1},
    "search": {
        "population": 12,
        "parents": 6,
        "mutations": 6,
        "crossovers": 6,
        "iterations": 6,
        "measured_finalists": 3,
    },
}
LENGTHS = (12, 11)
HALF_WIDTH = 0.03  # of every range that a Device measures


def everything():
    """All architectures of SPACE, each once."""
    ranges = [range(len(gene.choices)) for gene in SPACE.genes]
    return list(dict.fromkeys(SPACE.decode(genome) for genome in itertools.product(*ranges)))


def latency(architecture):
    """Made-up milliseconds: more with every size, unevenly."""
    encoder, decoder = architecture.encoder, architecture.decoder
    encoder_ms = encoder.embed_dim / 16 + 0.6 * encoder.layers + sum(encoder.ffn_dim) / 100
    return encoder_ms + sum(
        1.7 + decoder.embed_dim / 24 + ffn_dim / 90 + 0.3 * span + 0.05 * heads
        for ffn_dim, span, heads in zip(
            decoder.ffn_dim, decoder.cross_attention_span, decoder.self_attention_heads, strict=True
        )
    )


def predict(architectures):
    """`latency` of a list."""
    return [latency(architecture) for architecture in architectures]


def bound(architectures):
    """Made-up milliseconds above `latency`, by a share that differs from one architecture to the next."""
    return [
        latency(architecture)
        * (1.05 + 0.1 * (architecture.encoder.layers == 2) + 0.002 * sum(architecture.decoder.ffn_dim))
        for architecture in architectures
    ]


def loss(architecture):
    """Made-up nats per token: less with every size, and a taste for span 2 in the last layer."""
    encoder, decoder = architecture.encoder, architecture.decoder
    size = encoder.embed_dim * encoder.layers + sum(encoder.ffn_dim) / 2 + 1.5 * decoder.embed_dim * decoder.layers
    taste = 0.3 * (decoder.cross_attention_span[-1] == 2) + 0.1 * decoder.self_attention_heads[0]
    return 9.0 - size**0.5 / 4 - sum(decoder.ffn_dim) / 300 - taste


def evolved(evolution):
    """A search (Generations), after it was told every `loss` it asked for."""
    while not evolution.finished:
        asked = evolution.ask()
        if asked:
            evolution.tell([loss(architecture) for architecture in asked])
    return evolution


def timed(milliseconds, half_width=0.0):
    """The Latency of a round of calls, give or take `half_width`, a share of it."""
    return Latency(milliseconds, milliseconds * (1 - half_width), milliseconds * (1 + half_width))


def in_turns(measure):
    """What measures several architectures in a round, of a function that gives the Latency of one."""
    return lambda architectures: [measure(architecture) for architecture in architectures]


def size_bytes(architecture):
    """Made-up bytes of a bundle: they go with the encoder, of which a step of the decoder knows nothing."""
    encoder = architecture.encoder
    return 1000 * (20 + encoder.embed_dim + sum(encoder.ffn_dim)) + 100 * architecture.decoder.layers


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class Device:
    """Instruments that count their calls, and can be killed at the n-th loss or measurement; `others` replace some."""

    def __init__(self, run, killed_at=None, **others):
        self.scored, self.measured, self._killed_at = [], [], killed_at
        spec = run.config.model_spec(100, 100)
        own = Instruments(predict, self._measure, self._scores, size_bytes, spec, LENGTHS, train=self._train)
        self.instruments = dataclasses.replace(own, **others)

    def _scores(self, architectures, _part):
        return map(self._score, architectures)

    def _score(self, architecture):
        if len(self.scored) + len(self.measured) == self._killed_at:
            raise Killed
        self.scored.append(architecture)
        return loss(architecture), 1

    def _measure(self, architectures):
        return list(map(self._measure_one, architectures))

    def _measure_one(self, architecture):
        if len(self.scored) + len(self.measured) == self._killed_at:
            raise Killed
        self.measured.append(architecture)
        return timed(latency(architecture), HALF_WIDTH)

    def _train(self, architectures, _until):
        return [loss(architecture) for architecture in architectures]
