"""The order of a beam's hypotheses by more than the model's probability."""

from normlab.tasks.text2sql.reranking.reranker import reranked

__all__ = ["reranked"]
