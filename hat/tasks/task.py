"""Task: what the stages ask of the kind of model that an experiment is about."""

import abc


class Task(abc.ABC):
    """One object for each task. Heavy modules are imported inside of the methods that need them.

    `item` is what a loss in nats is given for: a token or a text. `super_model` and `sub_model` are fairseq's names
    (`--arch`) of the SuperTransformer and of a standalone network.
    """

    name: str
    item: str
    super_model: str
    sub_model: str

    @abc.abstractmethod
    def prepare(self, run, source_directory=None):
        """The stage `hat-prepare` of a RunDirectory."""

    @abc.abstractmethod
    def prepared(self, directory):
        """What it left in `directory`: at least `directory`, `corpus`, and `sentences` {split: count}.

        Raises ArtifactError if the preparation isn't there or never finished.
        """

    @abc.abstractmethod
    def spec(self, config, prepared):
        """All that, beside its architecture, fixes a model of these prepared data."""

    @abc.abstractmethod
    def announced_spec(self, config):
        """`spec` as far as it is known before any data are prepared: enough to measure with."""

    @abc.abstractmethod
    def vocabularies(self, spec):
        """{"source": number of words}, and the like, of a model of this `spec`."""

    @abc.abstractmethod
    def training_arguments(self, prepared, training):
        """{name: value} of the fairseq-train arguments of a TrainingConfig that only this task has."""

    @abc.abstractmethod
    def inherited_loss(self, run, parts, device):
        """(Architecture, part) -> (validation loss in nats, number of items it is summed over), with the weights of the
        run's SuperTransformer, on `device`. `parts` are arrays of line numbers of the validation split.
        """
