"""The search for settings: which learning rate, say, each scheme does best with, under one budget for all.

`settings` is what a study file's `search` block may say, `runner` trains the trials, `proposals` draws them (the one
file that imports Optuna), `winners` measures the best of each scheme on the test split, `findings` and `importance`
read a search's folder for the report.
"""
