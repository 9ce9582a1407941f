"""The task classification: labelled texts or pairs of texts, an encoder, a label."""

from hat.tasks.task import Task


class Classification(Task):
    name, item = "classification", "text"
    super_model, sub_model = "hat_superclassifier", "hat_classifier"

    def prepare(self, run, source_directory=None):
        from hat.data.classification.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory):
        from hat.data.classification.prepared import ClassificationData

        return ClassificationData(directory)

    def spec(self, config, prepared):
        return config.classifier_spec(prepared)

    def announced_spec(self, config):
        return config.announced_spec()

    def vocabularies(self, spec):
        return {"input": spec.vocabulary}

    def training_arguments(self, prepared, training):
        return {
            "task": "hat_classification",
            "criterion": "hat_classification",
            "label-smoothing": training.label_smoothing,
        }

    def inherited_loss(self, run, parts, device):
        from hat.evaluation.inherited_loss import InheritedLabelLoss
        from hat.fairseq_plugin.classification_data import load_labelled_batches
        from hat.models.checkpoint import load_model

        most = run.config.search.max_tokens
        batches = [load_labelled_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLabelLoss(load_model(run.super_), batches, device)
