"""Claims: statements of the field that a study answers with confirmed, refuted or undecided.

`kinds` says what a claim can state, `claim` reads claims strictly, `evidence` collects the paired numbers, `judge`
decides, `wording` says it in a sentence.
"""

from normlab.studies.claims.claim import Claim, claims_or_mistakes, parse_claims, read_claims
from normlab.studies.claims.judge import Verdict, judge
from normlab.studies.claims.kinds import KINDS, ClaimKind, Region, claim_kind

__all__ = [
    "KINDS",
    "Claim",
    "ClaimKind",
    "Region",
    "Verdict",
    "claim_kind",
    "claims_or_mistakes",
    "judge",
    "parse_claims",
    "read_claims",
]
