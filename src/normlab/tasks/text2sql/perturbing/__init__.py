"""Questions said differently: does a model still answer them? Five rules, each from a question to a question or None.

    synonyms   words that name tables and columns become other words of the same meaning
    typos      one slip of the keyboard in one or two words
    order      a clause at the end moves to the front, or politeness comes or goes
    values     constants in another letter case, or in the plural
    names      the word that names a column is left out or paraphrased where the sentence stays readable

Read `sentence.py` (what a rule may know and must not touch) first, then a rule, then `measuring.py`. The gold query is
never changed: each rule keeps the question's meaning, so far as rules without a model can. The word list and the rules
are this project's own; Dr.Spider (Chang et al. 2023) and Spider-Syn (Gan et al. 2021) ask such questions with others.
"""

KINDS = ("synonyms", "typos", "order", "values", "names")
"""The rules' names, as the command line takes them."""
