"""The only importer of fairseq: our task, models, criterion and optimiser, and access to its data and trainer.

Works both as `hat.fairseq_plugin` and as fairseq's `--user-dir hat/fairseq_plugin`, which imports this package a
second time under the name `fairseq_plugin`; all registration therefore happens in modules imported by full name.
"""

import hat.fairseq_plugin.mends
import hat.fairseq_plugin.registered  # noqa: F401
