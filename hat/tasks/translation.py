"""The task translation: parallel text, an encoder and a decoder, beam search."""

from hat.tasks.task import Task


class Translation(Task):
    name, item = "translation", "token"
    super_model, sub_model = "hat_supertransformer", "hat_transformer"

    def prepare(self, run, source_directory=None):
        from hat.data.translation.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory):
        from hat.data.translation.prepared import PreparedData

        return PreparedData(directory)

    def spec(self, config, prepared):
        return config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)

    def announced_spec(self, config):
        size = config.latency.vocabulary_size or config.data.vocabulary_size
        return config.model_spec(size, size)

    def vocabularies(self, spec):
        return {"source": spec.source_vocabulary, "target": spec.target_vocabulary}

    def training_arguments(self, prepared, training):
        return {
            "task": "hat_translation",
            "source-lang": prepared.source_lang,
            "target-lang": prepared.target_lang,
            "criterion": "hat_label_smoothed_cross_entropy",
            "label-smoothing": training.label_smoothing,
        }

    def inherited_loss(self, run, parts, device):
        from hat.evaluation.inherited_loss import InheritedLoss
        from hat.fairseq_plugin.datasets import load_batches
        from hat.models.checkpoint import load_model

        most = run.config.search.max_tokens
        batches = [load_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLoss(load_model(run.super_), batches, device)
