"""The commands of the deep-learning course, with the flags and the files that its assignments publish.

One file per task (`cifar`, `ner`, `sql`); each says how the published flags become settings of normlab. Training makes
a run folder and one model file of it (`normlab.runs.model_file`); prediction reads that file.
"""
