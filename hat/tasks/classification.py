"""The task classification: labelled texts or pairs of texts, an encoder, a label."""

from hat.tasks.task import Task


class Classification(Task):
    name, item = "classification", "text"
    length_keys = ("latency.length",)
    command, decodes = "hat-classify", False
    super_model, sub_model = "hat_superclassifier", "hat_classifier"

    def title(self, config):
        return f"Classifying {config.data.corpus if config.data.corpus != 'files' else config.name}"

    def prepare(self, run, source_directory=None):
        from hat.data.classification.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory):
        from hat.data.classification.prepared import ClassificationData

        return ClassificationData(directory)

    def spec(self, config, prepared):
        given = {name: getattr(prepared, name) for name in ("first", "separator", "padding", "segments")}
        return config.classifier_spec(prepared.vocabulary, tuple(prepared.labels), **given)

    def announced_spec(self, config):
        special = {"first": 0, "separator": 2, "padding": 1, "segments": 0}  # ids don't change what is timed
        return config.classifier_spec(config.data.vocabulary_size, ("0", "1"), **special)

    def vocabularies(self, spec):
        return {"input": spec.vocabulary}

    def training_arguments(self, prepared, training):
        return {
            "task": "hat_classification",
            "criterion": "hat_classification",
            "label-smoothing": training.label_smoothing,
        }

    def fixed_lengths(self, config):
        return None if config.latency.length is None else (config.latency.length, 0)

    def corpus_lengths(self, prepared, split):
        ids = prepared.token_ids(split)  # whose sizes are gone when it is
        lengths = tuple(int(size) for size in ids.sizes)
        return lengths, (0,) * len(lengths)

    def measured_graphs(self, architecture, spec, weights, precision, latency):
        from hat.deploy.building.classifier_graph import build_classifier_graphs

        return build_classifier_graphs(architecture, spec, weights, precision)

    def workload(self, spec, latency):
        return {"task": self.name, "source_vocabulary": spec.vocabulary, "segments": spec.segments}

    def protocol(self, spec, latency):
        return {"beam": 1, "source_vocabulary": spec.vocabulary, "target_vocabulary": len(spec.labels)}

    def calls(self, run, split, count):
        from hat.data.drawing import draw_lines

        prepared = run.prepared()
        chosen = draw_lines(prepared, split, count, run.config.seed)
        texts, pairs, _ = prepared.raw(split)
        sentences = [texts[line] if pairs is None else [texts[line], pairs[line]] for line in chosen]
        ids = prepared.token_ids(split)
        return {"sentences": sentences, "ids": [[int(token) for token in ids[line]] for line in chosen]}

    def bundle_maker(self, run, name, weights, inputs):
        from hat.export.classification.bundle_maker import ClassifierBundleMaker

        return ClassifierBundleMaker.of(run, name, weights, inputs)

    def write_trial_bundle(self, run, model, precision, folder):
        from hat.export.classification.bundle_maker import write_trial_classifier

        write_trial_classifier(run, model, precision, folder)

    def bundle_size(self, run, precision):
        from hat.export.classification.bundle_size import ClassifierBundleSize

        return ClassifierBundleSize(run, precision)

    @property
    def spec_class(self):
        from hat.models.classifier_spec import ClassifierSpec

        return ClassifierSpec

    def judge(self, run):
        from hat.evaluation.classification.judge import ClassificationJudge

        return ClassificationJudge(run)

    def inherited_loss(self, run, parts, device):
        from hat.evaluation.inherited_loss import InheritedLabelLoss
        from hat.fairseq_plugin.classification_data import load_labelled_batches
        from hat.models.checkpoint import load_model

        most = run.config.search.max_tokens
        batches = [load_labelled_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLabelLoss(load_model(run.super_), batches, device)
