"""Claims: statements of the field that a study answers with confirmed, refuted or undecided.

`claim` reads them strictly, `evidence` collects the paired numbers, `judge` decides, `wording` says it to a
person.
"""

from normlab.studies.claims.claim import KINDS, Claim, claims_or_mistakes, parse_claims, read_claims
from normlab.studies.claims.judge import Verdict, judge

__all__ = ["KINDS", "Claim", "Verdict", "claims_or_mistakes", "judge", "parse_claims", "read_claims"]
