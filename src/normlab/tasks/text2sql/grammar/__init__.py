"""The SQL that a model may write: its actions, the automaton that allows them, masks, and SQL to actions and back."""
