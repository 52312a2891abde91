"""A month or a year that a question names, as a condition on a database's one column of dates.

The training data hold no such conditions, so a model compares "March" with a name and 2024 with an amount. `period.py`
reads the question, `rule.py` puts the condition in the place of such comparisons. It is a rule, no model: whoever uses
it has to say so.
"""
